"""Postings of 8-bit impacts on disk and in memory: built in a stream, memory-mapped, searched exactly by many threads."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from rarityir import store
from rarityir.indexes.topk import pad
from rarityir.types import Floats, Hits, Impacts, Ints, Json, RarityError

_ARRAYS = ("pointers", "peaks", "rows", "impacts", "scales")
_FACTS = "index.json"
_LARGEST = 255  # an impact is a byte


class SparseIndex:
    """Documents' impacts by token, in blocks of 65,536 documents; about three bytes a posting.

    An impact is its document's largest times n/255, or the number itself where all are whole and at most 255: so a score is
    scale · Σ weight · impact over the query's tokens in order, in float32, to the last bit.
    """

    def __init__(self, arrays: dict[str, Any], documents: int, vocabulary: int) -> None:
        if documents >= 2**32:  # a candidate carries its row in 32 bits
            raise RarityError(f"{documents} documents are more than one sparse index holds (2^32); build several")
        self._arrays, self.documents, self.vocabulary = arrays, documents, vocabulary

    @classmethod
    def build(cls, impacts: Any, path: str | Path | None = None) -> SparseIndex:
        """Returns the index of documents' impacts: a `scipy.sparse.csr_matrix` (documents × tokens), `Impacts`, or blocks.

        With a path it is written there as it is built, holding one block in memory, and opened memory-mapped.
        """
        if path is not None:
            write(_blocks(impacts), Path(path))
            return cls.load(path)
        parts = list(_packed(_blocks(impacts)))
        if not parts:
            raise RarityError("there are no documents to index")
        arrays = {name: np.concatenate([part[name] for part in parts]) for name in _ARRAYS if name not in ("pointers", "peaks")}
        starts = np.cumsum([0, *(len(part["rows"]) for part in parts[:-1])])
        arrays["pointers"] = np.stack([part["pointers"] + start for part, start in zip(parts, starts, strict=True)])
        arrays["peaks"] = np.stack([part["peaks"] for part in parts])
        return cls(arrays, len(arrays["scales"]), arrays["peaks"].shape[1])

    @classmethod
    def load(cls, path: str | Path) -> SparseIndex:
        """Opens a written index, memory-mapped."""
        folder = Path(path)
        try:
            facts = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
            arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in _ARRAYS}
        except (OSError, ValueError) as error:
            raise RarityError(f"{folder} holds no whole sparse index ({error}); build it again") from None
        shape = (len(arrays["scales"]), arrays["peaks"].shape[1])
        if shape != (facts.get("documents"), facts.get("vocabulary")):
            raise RarityError(f"{folder} holds no whole sparse index (its arrays are of other sizes); build it again")
        return cls(arrays, *shape)

    def save(self, path: str | Path) -> Path:
        """Writes the index as plain arrays."""
        folder = Path(path)
        for name, array in self._arrays.items():
            with store.replacing(folder / f"{name}.npy") as temporary, temporary.open("wb") as file:
                np.save(file, np.asarray(array))
        store.write_json(folder / _FACTS, {"documents": self.documents, "vocabulary": self.vocabulary})
        return folder

    @property
    def postings(self) -> int:
        """The number of impacts stored."""
        return len(self._arrays["rows"])

    @property
    def bytes(self) -> int:
        """The bytes of all arrays."""
        return sum(int(array.nbytes) for array in self._arrays.values())

    @cached_property
    def _whole(self) -> bool:
        """Whether all impacts are whole numbers: then no score need be scaled."""
        return bool((np.asarray(self._arrays["scales"]) == 1).all())

    def statistics(self) -> dict[str, Json]:
        """Returns documents, postings, bytes and bits a posting, tokens in use and how long their postings are."""
        lengths = np.diff(np.asarray(self._arrays["pointers"]), axis=1).sum(axis=0)
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

    def search(self, queries: Any, cutoff: int, threads: int | None = None) -> Hits:
        """Returns the best `cutoff` rows of each query: a CSR matrix (queries × tokens) or `Impacts`, weights positive.

        Of equal scores the earlier row comes first, also at the cutoff; a document that scores nothing is no hit. Uses all
        cores unless told how many threads.
        """
        asked = _as_impacts(queries)
        if asked.vocabulary > self.vocabulary:
            raise RarityError(f"the queries have {asked.vocabulary} tokens, the index {self.vocabulary}")
        if len(asked.values) and not (asked.values >= 0).all():
            raise RarityError("query weights must not be negative: the index adds impacts up, it takes none away")
        count = len(asked.indptr) - 1
        workers = max(1, min(threads or os.cpu_count() or 1, count))
        bounds = np.linspace(0, count, workers + 1).astype(int)
        with ThreadPoolExecutor(workers) as pool:
            parts = pool.map(lambda i: self._search(asked, range(bounds[i], bounds[i + 1]), cutoff), range(workers))
        return pad([hit for part in parts for hit in part], cutoff)

    def _search(self, queries: Impacts, numbers: range, cutoff: int) -> list[tuple[Ints, Floats]]:
        from rarityir.indexes import kernels

        wanted = min(cutoff, self.documents)
        scratch, lanes = np.zeros(kernels.BLOCK, np.float32), np.empty(kernels.LANES, np.float32)
        room = np.empty(max(4 * wanted, wanted + 256) + kernels.BLOCK // kernels.LANES, np.uint64)
        arrays: list[Any] = [np.asarray(self._arrays[name]) for name in _ARRAYS]
        found = []
        for number in numbers:
            part = slice(queries.indptr[number], queries.indptr[number + 1])
            tokens, weights = queries.token_ids[part], queries.values[part].astype(np.float32)
            n = kernels.search(*arrays, self._whole, tokens, weights, wanted, scratch, lanes, room)  # type: ignore[call-arg]
            best = np.sort(room[:n])[::-1][:wanted]
            rows = kernels.LAST - (best & np.uint64(kernels.LAST)).astype(np.int64)
            found.append((rows, (best >> np.uint64(32)).astype(np.uint32).view(np.float32)))
        return found


def write(blocks: Iterable[Impacts], folder: Path) -> None:
    """Writes the index of a stream of impacts, which come in row order; one block of documents is held at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {name: _Growing(folder / f"{name}.npy") for name in _ARRAYS}
    documents = vocabulary = postings = 0
    for part in _packed(blocks):
        part["pointers"], part["peaks"] = (part["pointers"] + postings)[None], part["peaks"][None]
        for name, file in files.items():
            file.append(part[name])
        documents, vocabulary = documents + len(part["scales"]), part["peaks"].shape[1]
        postings += len(part["rows"])
    if not documents:
        raise RarityError("there are no documents to index")
    for file in files.values():
        file.close()
    store.write_json(folder / _FACTS, {"documents": documents, "vocabulary": vocabulary})


def quantised(impacts: Impacts) -> tuple[NDArray[np.uint8], Floats]:
    """Returns impacts as bytes, at least 1 each, and the scale of each document that turns them back."""
    if not np.isfinite(impacts.values).all() or (impacts.values <= 0).any():
        raise RarityError("impacts must be positive and finite")
    lengths = np.diff(impacts.indptr)
    if len(impacts.values) and (impacts.values == np.rint(impacts.values)).all() and impacts.values.max() <= _LARGEST:
        return impacts.values.astype(np.uint8), np.ones(len(lengths), np.float32)
    largest = np.zeros(len(lengths), np.float32)
    filled = lengths > 0
    if filled.any():
        largest[filled] = np.maximum.reduceat(impacts.values, impacts.indptr[:-1][filled])
    scales = np.where(filled, largest / np.float32(_LARGEST), np.float32(1.0)).astype(np.float32)
    codes = np.rint(impacts.values / np.repeat(scales, lengths))
    return np.clip(codes, 1, _LARGEST).astype(np.uint8), scales


def _packed(blocks: Iterable[Impacts]) -> Iterator[dict[str, Any]]:
    """Each 65,536 documents as arrays of the index, their pointers counted from the block's beginning."""
    from rarityir.indexes import kernels

    for impacts in _rebatched(blocks, kernels.BLOCK):
        codes, scales = quantised(impacts)
        pointers, rows, sorted_codes = kernels.sort(impacts.indptr, impacts.token_ids, codes, impacts.vocabulary)
        peaks = np.zeros(impacts.vocabulary, np.float32)
        weighted = sorted_codes * scales[rows]
        used = np.flatnonzero(np.diff(pointers))
        if len(used):
            peaks[used] = np.maximum.reduceat(weighted, pointers[used])
        yield {"pointers": pointers, "peaks": peaks, "rows": rows, "impacts": sorted_codes, "scales": scales}


def _rebatched(blocks: Iterable[Impacts], size: int) -> Iterator[Impacts]:
    """The same documents in blocks of `size`, the last one shorter."""
    held: list[Impacts] = []
    count = 0
    for block in blocks:
        start = 0
        while start < len(block.indptr) - 1:
            stop = min(len(block.indptr) - 1, start + size - count)
            held.append(_cut(block, start, stop))
            count, start = count + stop - start, stop
            if count == size:
                yield _joined(held)
                held, count = [], 0
    if held:
        yield _joined(held)


def _cut(block: Impacts, start: int, stop: int) -> Impacts:
    part = slice(block.indptr[start], block.indptr[stop])
    indptr = np.asarray(block.indptr[start : stop + 1] - block.indptr[start], np.int64)
    return Impacts(indptr, block.token_ids[part], block.values[part], block.vocabulary)


def _joined(parts: list[Impacts]) -> Impacts:
    starts = np.cumsum([0, *(len(part.values) for part in parts)])
    indptr = np.concatenate([[0], *(part.indptr[1:] + start for part, start in zip(parts, starts, strict=False))])
    return Impacts(
        indptr.astype(np.int64),
        np.concatenate([part.token_ids for part in parts]).astype(np.int64),
        np.concatenate([part.values for part in parts]).astype(np.float32),
        max(part.vocabulary for part in parts),
    )


def _blocks(impacts: Any) -> Iterable[Impacts]:
    if isinstance(impacts, Impacts) or hasattr(impacts, "tocsr"):
        return [_as_impacts(impacts)]
    found: Iterable[Impacts] = impacts
    return found


def _as_impacts(given: Any) -> Impacts:
    if isinstance(given, Impacts):
        return given
    if not hasattr(given, "tocsr"):
        raise RarityError(f"impacts are a scipy CSR matrix or Impacts, not {type(given).__name__}")
    matrix = given.tocsr().copy()
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    indptr, ids = matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64)
    return Impacts(indptr, ids, matrix.data.astype(np.float32), matrix.shape[1])


class _Growing:
    """A `.npy` file whose first axis grows; numpy leaves room in the header for its final length."""

    def __init__(self, path: Path) -> None:
        self._path, self._temporary = path, path.with_name(f".{path.name}.{os.getpid()}.tmp")
        self._file: BinaryIO = self._temporary.open("wb")
        self._length, self._sample = 0, np.empty(0)

    def append(self, array: NDArray[Any]) -> None:
        array = np.ascontiguousarray(array)
        if not self._length:
            self._sample = array[:0]
            self._header(array.shape)
        self._length += len(array)
        self._file.write(array.data)

    def close(self) -> None:
        self._file.seek(0)
        self._header((self._length, *self._sample.shape[1:]))
        self._file.close()
        os.replace(self._temporary, self._path)

    def _header(self, shape: tuple[int, ...]) -> None:
        facts = {"shape": shape, "fortran_order": False, "descr": np.lib.format.dtype_to_descr(self._sample.dtype)}
        np.lib.format.write_array_header_1_0(self._file, facts)
