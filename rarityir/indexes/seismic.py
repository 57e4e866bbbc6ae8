"""`seismic:K`: the impacts of `sparse:K`, searched approximately by Seismic (arXiv 2404.18812; extra `seismic`).

It keeps the whole index in memory, stores impacts in half precision (scores are right to three digits), and groups documents
by chance: two builds of the same documents may find other documents. The exact engine is `rarityir.indexes.postings`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import numpy as np

from rarityir import parsing, registry, store
from rarityir.indexes.packing import as_impacts, blocks_of, named
from rarityir.indexes.sparse import positive
from rarityir.indexes.topk import pad
from rarityir.machine import cores
from rarityir.settings import ImpactSettings
from rarityir.types import Hits, Impacts, Ints, Json, MissingExtra, RarityError, Takes

QUERY_CUT, HEAP_FACTOR = 10, 0.9
_INDEX, _FACTS, _FREQUENCIES = "index", "index.json", "document_frequencies.npy"
_SUFFIX = ".index.seismic"  # what Seismic adds to a file's name
_LARGEST = 65504.0  # of half precision
_NARROW = 2**16  # tokens that 16 bits number


class SeismicIndex:
    """Documents' impacts in Seismic, behind the interface of `SparseIndex`; results are approximate."""

    def __init__(self, inner: Any, documents: int, document_frequencies: Ints) -> None:
        self._inner, self.documents = inner, documents
        self.document_frequencies = document_frequencies

    @classmethod
    def build(cls, impacts: Any, path: str | Path | None = None) -> SeismicIndex:
        """Returns the index of documents' impacts: a `scipy.sparse.csr_matrix`, `Impacts`, or blocks of them in row order.

        With a path it is saved there too. Impacts of 0 and below are no postings; one above 65,504 is a `RarityError`.
        """
        seismic = _seismic()
        data, wide, rows, frequencies = None, False, 0, np.empty(0, np.int64)
        for block in map(positive, blocks_of(impacts)):
            named(block)
            if data is None:
                wide = block.vocabulary > _NARROW
                data = (seismic.SeismicDatasetLV if wide else seismic.SeismicDataset)(dim=block.vocabulary)
                frequencies = np.zeros(block.vocabulary, np.int64)
            ordered = _ordered(block)
            ids = [str(row) for row in range(rows, rows + len(block.indptr) - 1)]
            data.add_documents_by_id(ids, ordered.token_ids, ordered.values, ordered.indptr)
            frequencies += np.bincount(block.token_ids, minlength=block.vocabulary)
            rows += len(ids)
        if not rows:
            raise RarityError("there are no documents to index")
        kind = seismic.SeismicIndexLV if wide else seismic.SeismicIndex
        with _silence():
            found = cls(kind.build_from_dataset(data), rows, frequencies)
        if path is not None:
            found.save(path)
        return found

    @classmethod
    def load(cls, path: str | Path) -> SeismicIndex:
        """Reads a saved index into memory, once its files are found to be those that were saved: Seismic believes any bytes."""
        folder, seismic = Path(path), _seismic()
        try:
            facts = parsing.mapping(folder / _FACTS)
            parsing.need(store.unbroken(facts), f"{_FACTS} was changed")
            for name, digest in facts.get("files", {}).items():  # an earlier release noted none
                parsing.need(store.unchanged(folder / name, digest), f"{name} was changed")
            frequencies = parsing.array(folder / _FREQUENCIES)
            kind = seismic.SeismicIndexLV if len(frequencies) > _NARROW else seismic.SeismicIndex
            with _silence():
                return cls(kind.load(str(folder / f"{_INDEX}{_SUFFIX}")), int(facts["documents"]), frequencies)
        except parsing.BROKEN as error:
            raise RarityError(f"{folder} holds no whole Seismic index ({error}); build it again") from None

    def save(self, path: str | Path) -> Path:
        """Writes the index in Seismic's own file, with what it does not tell beside it."""
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        with store.replacing(folder / _FREQUENCIES) as temporary, temporary.open("wb") as file:
            np.save(file, self.document_frequencies)
        with store.replacing(folder / f"{_INDEX}{_SUFFIX}") as temporary:
            with _silence():
                self._inner.save(str(temporary))
            os.replace(f"{temporary}{_SUFFIX}", temporary)
        files: Json = {name: store.digest_file(folder / name) for name in (_FREQUENCIES, f"{_INDEX}{_SUFFIX}")}
        facts: dict[str, Json] = {"documents": self.documents, "vocabulary": self.vocabulary, "files": files}
        store.write_json(folder / _FACTS, store.sealed(facts))
        return folder

    @property
    def vocabulary(self) -> int:
        """The number of tokens."""
        return len(self.document_frequencies)

    def search(
        self,
        queries: Any,
        cutoff: int,
        threads: int | None = None,
        *,
        query_cut: int = QUERY_CUT,
        heap_factor: float = HEAP_FACTOR,
    ) -> Hits:
        """Returns about the best `cutoff` rows of each query: a CSR matrix (queries × tokens) or `Impacts`, weights positive.

        Of equal scores the earlier row comes first. Uses all cores unless told how many threads.

        Args:
            query_cut: how many of a query's heaviest tokens look for documents; all of them score those that are found.
            heap_factor: above 0; a higher one looks into more groups of documents.
        """
        asked = as_impacts(queries)
        if asked.vocabulary > self.vocabulary:
            raise RarityError(f"the queries have {asked.vocabulary} tokens, the index {self.vocabulary}")
        if not (np.isfinite(asked.values) & (asked.values >= 0)).all():
            raise RarityError("query weights must not be negative, and finite: Seismic adds impacts up, it takes none away")
        if cutoff < 1:
            return Hits(np.empty((len(asked.indptr) - 1, 0), np.int64), np.empty((len(asked.indptr) - 1, 0), np.float32))
        string = _seismic().get_seismic_string()
        parts = [slice(*pair) for pair in zip(asked.indptr[:-1], asked.indptr[1:], strict=True)]
        found = self._inner.batch_search(
            np.arange(len(parts)).astype(string),
            [asked.token_ids[part].astype(string) for part in parts],
            [np.ascontiguousarray(asked.values[part], np.float32) for part in parts],
            min(cutoff, self.documents),
            query_cut=query_cut,
            heap_factor=heap_factor,
            num_threads=threads or cores(),
        )
        # Rankings come in any order; each hit names its query, and a query that finds nothing is nowhere named.
        of_query = {int(hits[0][0]): hits for hits in found if hits}
        return pad([_ranked(of_query.get(number, [])) for number in range(len(parts))], cutoff)


class ApproximateIndex:
    """A `SeismicIndex` of aligned tokens, as systems name it: `seismic:64,query_cut=20,heap_factor=1`."""

    takes: Takes = "impacts"

    def __init__(self, inner: SeismicIndex, query_cut: int, heap_factor: float) -> None:
        self._inner, self._query_cut, self._heap_factor = inner, query_cut, heap_factor

    @classmethod
    def key(cls, arg: str) -> str:
        """Returns `seismic:K` and what else is stored otherwise than by default; how to search is no part of it."""
        cls._searching(arg)
        return f"seismic:{cls.settings(arg).stored}"

    @classmethod
    def version(cls) -> str:
        """Returns what else the stored form depends on: how impacts are made, and Seismic's release."""
        try:
            return f"canonical tokens, half precision, pyseismic-lsr {installed('pyseismic-lsr')}"
        except PackageNotFoundError:
            raise _missing() from None

    @staticmethod
    def settings(arg: str) -> ImpactSettings:
        """Returns how documents and queries become impacts."""
        return ImpactSettings.parse(arg, "seismic", _SEARCHING)

    @staticmethod
    def _searching(arg: str) -> tuple[int, float]:
        known = {**dict.fromkeys(ImpactSettings._fields, str), **_SEARCHING}
        given = registry.options(arg, known, "seismic")
        query_cut, heap_factor = given.get("query_cut", QUERY_CUT), given.get("heap_factor", HEAP_FACTOR)
        if query_cut < 1 or not 0 < heap_factor < float("inf"):
            raise RarityError(f"seismic:{arg}: query_cut is at least 1, heap_factor above 0 (more is more exact, and slower)")
        return query_cut, heap_factor

    @classmethod
    def build(cls, arg: str, blocks: Iterable[Impacts], folder: Path) -> dict[str, Json]:
        """Writes the index of document impacts, which come in row order, and returns its facts."""
        found = SeismicIndex.build(blocks, folder)
        postings = int(found.document_frequencies.sum())
        return {
            "dim": cls.settings(arg).keep,
            "bytes_per_doc": round(store.size(folder) / found.documents, 1),
            "postings": postings,
        }

    @classmethod
    def open(cls, arg: str, folder: Path) -> ApproximateIndex:
        """Reads a built index into memory, to be searched as the argument says."""
        return cls(SeismicIndex.load(folder), *cls._searching(arg))

    @property
    def document_frequencies(self) -> Ints:
        """In how many documents each token is (C,)."""
        return self._inner.document_frequencies

    def search(self, queries: Impacts, cutoff: int) -> Hits:
        """Returns about the best `cutoff` rows of each query; a document that shares no token is no hit."""
        return self._inner.search(queries, cutoff, query_cut=self._query_cut, heap_factor=self._heap_factor)


_SEARCHING: dict[str, Any] = {"query_cut": int, "heap_factor": float}


def _seismic() -> Any:
    try:
        import seismic
    except ImportError:
        raise _missing() from None
    return seismic


def _missing() -> MissingExtra:
    return MissingExtra("seismic needs pyseismic-lsr: pip install 'rarityir[seismic]'; sparse:K searches the same exactly")


def _ordered(block: Impacts) -> Impacts:
    """A block whose rows name their tokens in ascending order, each once, as Seismic wants them."""
    if not np.isfinite(block.values).all() or block.values.max(initial=0.0) > _LARGEST:
        raise RarityError(f"impacts must be finite and at most {_LARGEST:.0f}, what half precision holds; scale them down")
    row = np.repeat(np.arange(len(block.indptr) - 1), np.diff(block.indptr))
    order = np.lexsort((block.token_ids, row))
    token_ids = np.ascontiguousarray(block.token_ids[order], np.int64)
    if ((np.diff(token_ids) == 0) & (np.diff(row) == 0)).any():
        raise RarityError("a document holds a token twice; add its impacts up first")
    return Impacts(block.indptr, token_ids, np.ascontiguousarray(block.values[order], np.float32), block.vocabulary)


def _ranked(hits: list[tuple[str, float, str]]) -> tuple[Any, Any]:
    rows, scores = np.array([int(row) for *_, row in hits], np.int64), np.array([score for _, score, _ in hits], np.float32)
    order = np.lexsort((rows, -scores))
    return rows[order], scores[order]


@contextmanager
def _silence() -> Iterator[None]:
    """Seismic tells what it does on the process's standard output, where only results belong."""
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)
