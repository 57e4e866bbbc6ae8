"""Postings of 8-bit impacts on disk and in memory: built in a stream, memory-mapped, searched exactly by many threads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np

from rarityir.indexes import arrays
from rarityir.indexes.packing import BLOCK, Codes, as_impacts, blocks_of, coded, joined, named
from rarityir.machine import cores
from rarityir.types import Floats, Hits, Impacts, Ints, Json, RarityError

_AT_ONCE, _ROOM = 64, 1 << 19  # queries that search a block one after another, and the candidates they may hold
_WORTH = 1 << 25  # documents times terms, about a millisecond's work, for which a thread is started


class SparseIndex:
    """Documents' impacts by token, in blocks of 65,536 documents; about three bytes a posting.

    An impact is its document's largest times n/255, or the number itself where the document's are whole and at most 255: so
    a score is scale · Σ weight · impact over the query's tokens in order, in float32, to the last bit.
    """

    def __init__(self, found: dict[str, Any]) -> None:
        self._arrays, self.documents, self.vocabulary = found, len(found["scales"]), found["peaks"].shape[1]
        if self.documents >= 2**32:  # a candidate carries its row in 32 bits
            raise RarityError(f"{self.documents} documents are more than one sparse index holds (2^32); build several")

    @classmethod
    def build(cls, impacts: Any, path: str | Path | None = None) -> SparseIndex:
        """Returns the index of documents' impacts: a `scipy.sparse.csr_matrix` (documents × tokens), `Impacts`, or blocks.

        With a path it is written there as it is built, holding one block in memory, and opened memory-mapped.
        """
        return cls._of(coded(blocks_of(impacts)), path)

    @classmethod
    def merge(cls, parts: Sequence[SparseIndex | str | Path], path: str | Path | None = None) -> SparseIndex:
        """Returns the index of the documents of several, one index after the other; a part may be a folder.

        It is the index that building all documents at once gives, to the byte; one block of documents is held at a time.
        """
        opened = [part if isinstance(part, SparseIndex) else cls.load(part) for part in parts]
        sources = {Path(part).resolve() for part in parts if not isinstance(part, SparseIndex)}
        if path is not None and Path(path).resolve() in sources:
            raise RarityError(f"{path} is one of the parts to merge; choose another folder for the whole")
        return cls._of((part._codes(block) for part in opened for block in range(-(-part.documents // BLOCK))), path)

    @classmethod
    def _of(cls, blocks: Iterable[Codes], path: str | Path | None) -> SparseIndex:
        if path is None:
            return cls(arrays.gathered(blocks))
        arrays.write(blocks, Path(path))
        return cls.load(path)

    @classmethod
    def load(cls, path: str | Path) -> SparseIndex:
        """Opens a written index, memory-mapped."""
        return cls(arrays.load(Path(path)))

    def save(self, path: str | Path) -> Path:
        """Writes the index as plain arrays."""
        return arrays.save(self._arrays, Path(path))

    @property
    def postings(self) -> int:
        """The number of impacts stored."""
        return len(self._arrays["rows"]) + int(self._arrays["heavy"][:, 1].sum())

    @property
    def bytes(self) -> int:
        """The bytes of all arrays."""
        return sum(int(array.nbytes) for array in self._arrays.values())

    @cached_property
    def document_frequencies(self) -> Ints:
        """How many documents have each token: (V,)."""
        return arrays.document_frequencies(self._arrays)

    @cached_property
    def _whole(self) -> bool:
        """Whether all impacts are whole numbers: then no score need be scaled."""
        return bool((np.asarray(self._arrays["scales"]) == 1).all())

    @cached_property
    def _compiled(self) -> Any:
        """The arrays as the compiled loops take them."""
        return arrays.compiled(self._arrays)

    def statistics(self) -> dict[str, Json]:
        """Returns documents, postings, bytes and bits a posting, tokens in use and how long their postings are."""
        lengths = self.document_frequencies
        used = np.sort(lengths[lengths > 0])[::-1]
        shares = {f"p{q}": int(np.percentile(used, q)) if len(used) else 0 for q in (50, 90, 99)}
        return {
            "documents": self.documents,
            "vocabulary": self.vocabulary,
            "postings": self.postings,
            "impacts_per_document": round(self.postings / max(1, self.documents), 2),
            "bytes": self.bytes,
            "bits_per_posting": round(8 * self.bytes / max(1, self.postings), 2),
            "tokens_used": len(used),
            "coverage": round(len(used) / max(1, self.vocabulary), 4),
            "longest": int(used[0]) if len(used) else 0,
            **shares,
        }

    def impacts(self, start: int, stop: int) -> Impacts:
        """Returns the vectors of rows `start` to `stop - 1`, tokens rising; a value is byte · scale in float32, what is searched.

        Each call looks every token up in each block of 65,536 documents that it touches: ask for thousands of rows at a time.
        """
        if not 0 <= start <= stop <= self.documents:
            raise RarityError(f"rows {start} to {stop} are not within an index of {self.documents} documents")
        blocks = range(start // BLOCK, -(-stop // BLOCK))
        found = joined([self._codes(n, max(0, start - n * BLOCK), stop - n * BLOCK) for n in blocks], self.vocabulary)
        with np.errstate(over="ignore", invalid="ignore"):  # of scales that nobody wrote
            values = np.multiply(found.codes, np.repeat(found.scales, np.diff(found.indptr)), dtype=np.float32)
        return Impacts(found.indptr, found.token_ids, values, self.vocabulary)

    def vector(self, row: int) -> tuple[Ints, Floats]:
        """Returns one document's tokens, rising, and their impacts, as `impacts` does."""
        found = self.impacts(row, row + 1)
        return found.token_ids, found.values

    def _codes(self, block: int, first: int = 0, stop: int = BLOCK) -> Codes:
        """The vectors of a block's rows `first` to `stop - 1`, or to its last."""
        from rarityir.indexes import sorting

        scales = self._compiled.scales[block * BLOCK :][:BLOCK][first:stop]
        lengths = np.zeros(len(scales), np.int64)
        sorting.count(self._compiled, block, first, lengths)
        indptr = np.concatenate([[0], np.cumsum(lengths)])
        token_ids, codes = np.empty(indptr[-1], np.int64), np.empty(indptr[-1], np.uint8)
        sorting.unsort(self._compiled, block, first, indptr[:-1].copy(), token_ids, codes)
        return Codes(indptr, token_ids, codes, scales, self.vocabulary)

    def search(self, queries: Any, cutoff: int, threads: int | None = None) -> Hits:
        """Returns the best `cutoff` rows of each query: a CSR matrix (queries × tokens) or `Impacts`, weights not negative.

        Of equal scores the earlier row comes first, also at the cutoff; a document that scores nothing is no hit. Uses all
        cores, or as many threads as told, where there is enough to do; they take some queries at a time.
        """
        from rarityir.indexes.instructions import WIDTH

        asked, count = self._asked(queries), max(0, min(cutoff, self.documents))
        total = len(asked.indptr) - 1
        hits = Hits(np.full((total, count), -1, np.int64), np.zeros((total, count), np.float32))
        worth = 1 + self.documents * (total + len(asked.token_ids)) // _WORTH
        workers = max(1, min(threads or cores(), total, worth))
        room = max(2 * count, count + 256) + WIDTH
        # Queries that search a block one after another find it in the cache; but threads should end together.
        step = max(1, min(_AT_ONCE, _ROOM // room, -(-total // (1 if workers == 1 else 2 * workers))))
        waiting: SimpleQueue[int] = SimpleQueue()
        for start in range(0, total if count else 0, step):
            waiting.put(start)

        def work() -> int:
            scratch, widest = np.zeros(-(-min(self.documents, BLOCK) // WIDTH) * WIDTH, np.float32), 0
            while True:
                try:
                    start = waiting.get_nowait()
                except Empty:
                    return widest
                part = slice(start, start + step)
                into = Hits(hits.rows[part], hits.scores[part])
                widest = max(widest, self._search(asked, range(total)[part], scratch, room, into))

        with ThreadPoolExecutor(workers) as pool:
            others = [pool.submit(work) for _ in range(workers - 1)]
            widest = max([work(), *(other.result() for other in others)])
        return hits if widest >= count else Hits(hits.rows[:, :widest].copy(), hits.scores[:, :widest].copy())

    def _search(self, asked: Impacts, numbers: range, scratch: Floats, room: int, hits: Hits) -> int:
        """Answers some of the queries into `hits`; returns how many candidates the richest had."""
        from rarityir.indexes import kernels

        found, counts = np.empty((len(numbers), room), np.uint64), np.zeros(len(numbers), np.int64)
        terms = asked.indptr[numbers.start : numbers.stop + 1], asked.token_ids, asked.values
        kernels.search(self._compiled, self._whole, *terms, hits.rows.shape[1], scratch, found, counts)
        best = np.sort(found[:, : counts.max()])[:, ::-1][:, : hits.rows.shape[1]]
        kernels.unpack(best, hits.rows, hits.scores)
        return int(counts.max())

    def _asked(self, queries: Any) -> Impacts:
        asked = as_impacts(queries)
        if asked.vocabulary > self.vocabulary:
            raise RarityError(f"the queries have {asked.vocabulary} tokens, the index {self.vocabulary}")
        named(asked)
        asked = Impacts(
            np.ascontiguousarray(asked.indptr, np.int64),
            np.ascontiguousarray(asked.token_ids, np.int64),
            np.ascontiguousarray(asked.values, np.float32),
            asked.vocabulary,
        )
        if not np.isfinite(asked.values).all() or (asked.values < 0).any():
            raise RarityError(
                "query weights must be finite and must not be negative: the index adds impacts up, it takes none away"
            )
        return asked


def write(blocks: Iterable[Impacts], folder: Path) -> None:
    """Writes the index of a stream of impacts, which come in row order; one block of documents is held at a time."""
    arrays.write(coded(blocks), folder)
