"""Search engines as indexes: what Milvus and Qdrant hold, how they are asked, and in which order their hits count.

An engine is fed block by block what the package's own exact index of the same vectors holds, and its scores rank by the same
rule. So what an engine loses is told from what it is given: impacts as bytes times a scale, or vectors of unit length.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from rarityir import parsing, store
from rarityir.indexes.approximate import EF, Kind
from rarityir.indexes.offset import OFFSET, Offset, moved
from rarityir.indexes.packing import named, quantised
from rarityir.indexes.sparse import positive
from rarityir.indexes.topk import pad
from rarityir.settings import ImpactSettings
from rarityir.types import Floats, Hits, Impacts, Ints, Json, RarityError, Takes

CONSTRUCTION = 128  # candidates followed while a graph grows
_BYTES = 4 << 20  # of vectors sent at once, about
_AT_ONCE = 64  # queries
_FREQUENCIES, FACTS, _NAME = "document_frequencies.npy", "engine.json", "collection.json"
Ranking = tuple[Ints, Floats]


@dataclass(frozen=True)
class Form:
    """What an engine holds: vectors of a width, in a graph of so many links a node or in none; or impacts (width 0)."""

    width: int = 0
    links: int = 0


class Held(Protocol):
    """An engine's documents, numbered by row. `vectors` are a (n, K) array or `Impacts` of which none is empty."""

    def insert(self, rows: Sequence[int], vectors: Floats | Impacts) -> None:
        """Adds documents."""

    def finish(self) -> int:
        """Makes what was added ready to be searched, and returns how many documents there are."""

    def search(self, queries: Floats | Impacts, depth: int, ef: int) -> Iterable[Ranking]:
        """Returns rows and scores of each query's best, in any order; a graph follows `ef` candidates."""

    def close(self) -> None:
        """Frees what is open; once more does nothing."""


class Engine(Protocol):
    """Makes and opens what a folder holds or names. `most` is how many documents the engine finds for a query at most.

    `server` is the environment variable that names one.
    """

    name: str
    most: int
    server: str

    def version(self) -> str:
        """Returns the engine's release, and the server where there is one; `MissingExtra` where it is not installed."""

    def create(self, folder: Path, form: Form) -> Held:
        """Begins anew in a folder, in place of what an earlier build left there."""

    def open(self, folder: Path, form: Form) -> Held:
        """Opens what was finished."""


class SparseEngine:
    """The impacts of `sparse:K` in an engine, as systems name it: `milvus:sparse:64`."""

    takes: Takes = "impacts"

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def key(self, arg: str) -> str:
        """Returns the engine's name with `sparse:K` and what else is stored otherwise than by default."""
        return f"{self._engine.name}:sparse:{self.settings(arg).stored}"

    def version(self) -> str:
        """Returns what else the stored form depends on: how impacts are made, the engine's release, and its server."""
        return f"canonical tokens, 8 bits, {self._engine.version()}"

    @property
    def elsewhere(self) -> bool:
        """Whether a server holds what is built, and keeps it when the folder is removed."""
        return bool(address(self._engine.server))

    def settings(self, arg: str) -> ImpactSettings:
        """Returns how documents and queries become impacts."""
        return ImpactSettings.parse(arg, f"{self._engine.name}:sparse")

    def exact(self, arg: str) -> str:
        """Returns the index that holds the same impacts, whose results the engine's are measured against."""
        return f"sparse:{arg}" if arg else "sparse"

    def build(self, arg: str, blocks: Iterable[Impacts], folder: Path) -> dict[str, Json]:
        """Gives the engine document impacts, which come in row order, and returns their facts."""
        rows, given, frequencies = 0, 0, np.empty(0, np.int64)
        held = self._engine.create(folder, Form())
        try:
            for block in map(stored, blocks):
                if not rows:
                    frequencies = np.zeros(block.vocabulary, np.int64)
                frequencies += np.bincount(block.token_ids, minlength=block.vocabulary)
                for numbers, part in _sparse_parts(block):
                    held.insert([rows + number for number in numbers], part)
                    given += len(numbers)  # a document without tokens can be no hit, and Milvus takes none
                rows += len(block.indptr) - 1
            arrived(self._engine, held.finish(), given)
        finally:
            held.close()
        with store.replacing(folder / _FREQUENCIES) as temporary, temporary.open("wb") as file:
            np.save(file, frequencies)
        postings = int(frequencies.sum())
        store.write_json(folder / FACTS, {"documents": rows, "width": 0})
        facts = {"dim": self.settings(arg).keep, "postings": postings}
        return {**facts, "bytes_per_doc": on_disk(folder, 8 * postings, rows)}

    def open(self, arg: str, folder: Path) -> SparseHeld:
        """Opens what was built."""
        documents = facts_of(folder)["documents"]
        return SparseHeld(self._engine, self._engine.open(folder, Form()), documents, parsing.array(folder / _FREQUENCIES))


class SparseHeld:
    """Impacts in an engine, to be searched."""

    takes: Takes = "impacts"

    def __init__(self, engine: Engine, held: Held, documents: int, frequencies: Ints) -> None:
        self._engine, self._held, self.documents, self.document_frequencies = engine, held, documents, frequencies
        weakref.finalize(self, held.close)

    def search(self, queries: Impacts, cutoff: int) -> Hits:
        """Returns the best `cutoff` rows of each query, weights not negative; a document that shares no token is no hit."""
        named(queries)
        if queries.vocabulary > len(self.document_frequencies):
            raise RarityError(f"the queries have {queries.vocabulary} tokens, the index {len(self.document_frequencies)}")
        if not (np.isfinite(queries.values) & (queries.values >= 0)).all():
            raise RarityError(f"query weights must not be negative, and finite: {self._engine.name} adds impacts up")
        asked = positive(queries)
        filled = np.flatnonzero(np.diff(asked.indptr))
        limit = limited(self._engine, cutoff, self.documents)

        def ask(numbers: Ints, depth: int) -> Iterator[Ranking]:
            for start in range(0, len(numbers), _AT_ONCE):
                yield from self._held.search(_chosen(asked, filled[numbers[start : start + _AT_ONCE]]), depth, EF)

        return answered(ask, filled, len(asked.indptr) - 1, cutoff, limit)


class DenseEngine:
    """Vectors of unit length in an engine by inner product: `milvus:dense` exactly, `milvus:dense:hnsw,32,ef=128` by a graph.

    `offset=FOLDER`, last in the argument, moves queries as `dense:offset=FOLDER` does.
    """

    takes: Takes = "embeddings"

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def key(self, arg: str) -> str:
        """Returns the engine's name and the part of the argument that what is stored depends on."""
        kind, where = self._kind(arg), moved(arg)[1]
        if where:
            Offset.load(where)
        return f"{self._engine.name}:dense" + (f":{kind.stored}" if kind else "")

    def version(self) -> str:
        """Returns what else the stored form depends on: the engine's release, and its server."""
        return f"inner product, unit length, {self._engine.version()}"

    def exact(self, arg: str) -> str:
        """Returns the index that holds the same vectors, whose results the engine's are measured against."""
        where = moved(arg)[1]
        return f"dense:{OFFSET}{where}" if where else "dense"

    @property
    def elsewhere(self) -> bool:
        """Whether a server holds what is built, and keeps it when the folder is removed."""
        return bool(address(self._engine.server))

    def _kind(self, arg: str) -> Kind | None:
        """The graph that an argument names; None where every vector is looked at."""
        kind, _ = moved(arg)
        if kind in ("", "flat"):
            return None
        if not kind.startswith("hnsw"):
            raise RarityError(
                f"{self._engine.name}:dense:{kind}: unknown kind of index; known: flat (exact); hnsw,32; hnsw,32,ef=128"
            )
        return Kind.parse(kind)

    def build(self, arg: str, blocks: Iterable[Floats], folder: Path) -> dict[str, Json]:
        """Gives the engine (n, K) blocks, which come in row order, and returns their facts."""
        kind, held, rows, width = self._kind(arg), None, 0, 0
        try:
            for block in blocks:
                if held is None:
                    width = block.shape[1]
                    held = self._engine.create(folder, Form(width, kind.links if kind else 0))
                step = max(1, _BYTES // (4 * width))
                for first in range(0, len(block), step):
                    part = np.ascontiguousarray(block[first : first + step], np.float32)
                    held.insert(range(rows + first, rows + first + len(part)), part)
                rows += len(block)
            if held is None:
                raise RarityError("there are no documents to index")
            arrived(self._engine, held.finish(), rows)
        finally:
            if held is not None:
                held.close()
        store.write_json(folder / FACTS, {"documents": rows, "width": width})
        return {"dim": width, "bytes_per_doc": on_disk(folder, 4 * width * rows, rows)}

    def open(self, arg: str, folder: Path) -> DenseHeld:
        """Opens what was built, to be searched as the argument says."""
        kind, facts = self._kind(arg), facts_of(folder)
        form = Form(facts["width"], kind.links if kind else 0)
        offset = Offset.opened(moved(arg)[1], folder)
        return DenseHeld(self._engine, self._engine.open(folder, form), facts["documents"], kind, offset)


class DenseHeld:
    """Vectors in an engine, to be searched."""

    takes: Takes = "embeddings"

    def __init__(self, engine: Engine, held: Held, documents: int, kind: Kind | None, offset: Offset | None = None) -> None:
        self._engine, self._held, self.documents, self._kind, self._offset = engine, held, documents, kind, offset
        weakref.finalize(self, held.close)

    def search(self, queries: Floats, cutoff: int) -> Hits:
        """Returns the best `cutoff` rows of each (Q, K) query, moved where there is an offset; of a graph about the best."""
        x_QK = np.ascontiguousarray(self._offset(queries) if self._offset else queries, np.float32)
        limit = limited(self._engine, cutoff, self.documents)
        if self._kind:
            limit = min(limit, cutoff)  # to look deeper would be to follow more candidates than asked for
        ef = self._kind.ef if self._kind else EF

        def ask(numbers: Ints, depth: int) -> Iterator[Ranking]:
            for start in range(0, len(numbers), _AT_ONCE):
                yield from self._held.search(x_QK[numbers[start : start + _AT_ONCE]], depth, max(ef, depth))

        return pad(closed(ask, len(x_QK), cutoff, limit), cutoff)


_NONE: Ranking = (np.empty(0, np.int64), np.empty(0, np.float32))


def closed(ask: Callable[[Ints, int], Iterable[Ranking]], queries: int, cutoff: int, limit: int) -> list[Ranking]:
    """Returns each query's hits, score descending and of equal scores the earlier row first, also at the cutoff.

    An engine cuts equal scores as it likes. So a few more than `cutoff` are asked for, and twice as many again where the last
    of them still scores as the last that is wanted; never more than `limit`.
    """
    found: list[Ranking] = [_NONE] * queries
    open_Q = np.arange(queries if cutoff > 0 else 0)
    depth = min(limit, cutoff + max(16, cutoff // 8))
    while len(open_Q):
        for number, (rows, scores) in zip(open_Q, ask(open_Q, depth), strict=True):
            order = np.lexsort((rows, -scores))
            found[number] = rows[order], scores[order]
        if depth == limit:
            break
        full = [len(found[n][0]) == depth and found[n][1][cutoff - 1] == found[n][1][-1] for n in open_Q]
        open_Q, depth = open_Q[np.array(full, bool)], min(limit, 2 * depth)
    return [(rows[:cutoff], scores[:cutoff]) for rows, scores in found]


def answered(ask: Callable[[Ints, int], Iterable[Ranking]], filled: Ints, queries: int, cutoff: int, limit: int) -> Hits:
    """Returns the hits of so many queries, of which the `filled` ones are asked, by `closed`; the others hold nothing to ask."""
    found: list[Ranking] = [_NONE] * queries
    for number, ranking in zip(filled, closed(ask, len(filled), cutoff, limit), strict=True):
        found[number] = ranking
    return pad(found, cutoff)


def stored(impacts: Impacts) -> Impacts:
    """Returns impacts as the exact index holds them: those above zero, each a byte times its document's scale."""
    named(impacts)
    kept = positive(impacts)
    codes, scales = quantised(kept)
    return kept._replace(values=np.multiply(codes, np.repeat(scales, np.diff(kept.indptr)), dtype=np.float32))


def address(variable: str) -> str:
    """Returns the server that an environment variable names, or nothing; one with a secret in it is a `RarityError`."""
    found = os.environ.get(variable, "").strip()
    if "@" in found:
        raise RarityError(
            f"{variable} must not hold a password, as it is written to manifests; see docs/integrations for where to put it"
        )
    return found


def keep_name(folder: Path, collection: str) -> None:
    """Writes which collection of a server a folder stands for."""
    store.write_json(folder / _NAME, {"collection": collection})


def kept_name(folder: Path) -> str:
    """Returns the collection that a folder stands for, or nothing."""
    try:
        return str(parsing.value(folder / _NAME)["collection"])
    except parsing.BROKEN:
        return ""


def _sparse_parts(block: Impacts) -> Iterator[tuple[list[int], Impacts]]:
    """A block's documents that have tokens, some at a time, with their numbers in the block."""
    filled = np.flatnonzero(np.diff(block.indptr))
    each = 8 * max(1, len(block.token_ids)) / max(1, len(filled))
    step = max(1, int(_BYTES // 4 / each))  # Python objects on the way are larger than what is sent
    for start in range(0, len(filled), step):
        yield filled[start : start + step].tolist(), _chosen(block, filled[start : start + step])


def _chosen(impacts: Impacts, rows: Ints) -> Impacts:
    """Some rows of impacts."""
    spans = [slice(impacts.indptr[row], impacts.indptr[row + 1]) for row in rows]
    token_ids, values = (np.concatenate([array[span] for span in spans]) for array in (impacts.token_ids, impacts.values))
    indptr = np.cumsum([0, *(span.stop - span.start for span in spans)])
    return Impacts(indptr.astype(np.int64), token_ids, values, impacts.vocabulary)


def limited(engine: Engine, cutoff: int, documents: int) -> int:
    """Returns how many hits can be asked for; `RarityError` where that is fewer than are wanted."""
    if cutoff > engine.most and documents > engine.most:
        raise RarityError(f"{engine.name} finds at most {engine.most} documents for a query, not {cutoff}; lower --cutoff")
    return min(documents, engine.most)


def arrived(engine: Engine, found: int, rows: int) -> None:
    """Raises `RarityError` where an engine does not hold the documents that it was given, or was given none."""
    if not rows:
        raise RarityError("there are no documents to index, or none has a token")
    if found != rows:
        raise RarityError(f"{engine.name} holds {found} of {rows} documents; build the index again")


def on_disk(folder: Path, sent: int, rows: int) -> float:
    """Returns the bytes a document on disk, or of what was sent to a server."""
    written = sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())
    return round(max(sent, written) / rows, 1)


def facts_of(folder: Path) -> dict[str, int]:
    """Returns documents and width of what was built; `RarityError` for a folder that does not say."""
    try:
        found: dict[str, int] = parsing.value(folder / FACTS)
        return {name: int(found[name]) for name in ("documents", "width")}
    except parsing.BROKEN as error:
        raise RarityError(f"{folder} holds no whole index of an engine ({error}); build it again") from None
