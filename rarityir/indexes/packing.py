"""Impacts as bytes, and blocks of them as the sparse index stores them; and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rarityir.types import Floats, Impacts, Ints, RarityError

BLOCK = 1 << 16  # documents whose postings lie together: a row within them is two bytes
HEAVY = 8  # a token is heavy in a block if more than one document in so many has it: there a column is as fast, and small
LARGEST = 255  # an impact is a byte
_MOST = 2**32 - 1  # what a pointer holds
_STEP = 1 << 14  # documents made bytes at a time


class Codes(NamedTuple):
    """Vectors like `Impacts`, whose values are bytes (`codes`) times a scale for each document."""

    indptr: Ints
    token_ids: Ints
    codes: NDArray[np.uint8]
    scales: Floats
    vocabulary: int


def quantised(impacts: Impacts) -> tuple[NDArray[np.uint8], Floats]:
    """Returns impacts as bytes, at least 1 each, and the scale of each document that turns them back.

    A document whose impacts are whole and at most 255 keeps them, its scale is 1. What a document becomes depends on it alone.
    """
    if not np.isfinite(impacts.values).all() or (impacts.values <= 0).any():
        raise RarityError("impacts must be positive and finite")
    lengths = np.diff(impacts.indptr)
    filled = lengths > 0
    scales = np.ones(len(lengths), np.float32)
    if filled.any():
        starts = impacts.indptr[:-1][filled]
        whole = (impacts.values == np.rint(impacts.values)) & (impacts.values <= LARGEST)
        largest = np.maximum.reduceat(impacts.values, starts) / np.float32(LARGEST)
        smallest = np.finfo(np.float32).tiny  # a scale of 0 would lose the document
        scales[filled] = np.where(np.logical_and.reduceat(whole, starts), np.float32(1.0), np.maximum(largest, smallest))
    codes = np.rint(impacts.values / np.repeat(scales, lengths))
    return np.clip(codes, 1, LARGEST).astype(np.uint8), scales


def coded(blocks: Iterable[Impacts]) -> Iterator[Codes]:
    """Returns blocks of impacts as bytes and scales."""
    for impacts in blocks:
        named(impacts)
        for start in range(0, len(impacts.indptr) - 1, _STEP):
            indptr = impacts.indptr[start : start + _STEP + 1]
            part = slice(indptr[0], indptr[-1])
            some = Impacts(indptr - indptr[0], impacts.token_ids[part], impacts.values[part], impacts.vocabulary)
            yield Codes(some.indptr, some.token_ids, *quantised(some), some.vocabulary)


def named(impacts: Impacts) -> None:
    """Raises where a token is none of the vocabulary: the compiled loops do not look."""
    if len(impacts.token_ids) and not 0 <= impacts.token_ids.min() <= impacts.token_ids.max() < impacts.vocabulary:
        raise RarityError(f"impacts name tokens outside 0 to {impacts.vocabulary - 1}, their vocabulary")


def packed(blocks: Iterable[Codes]) -> Iterator[dict[str, Any]]:
    """Returns each 65,536 documents as arrays of the index but `starts`, which counts what came before."""
    from rarityir.indexes import sorting

    first = 0
    for block in _rebatched(blocks, BLOCK):
        documents = len(block.scales)
        lengths, peaks = np.zeros(block.vocabulary, np.int64), np.zeros(block.vocabulary, np.float32)
        twice = sorting.measure(block.indptr, block.token_ids, block.codes, block.scales, lengths, peaks)
        if twice >= 0:
            raise RarityError(f"document {first + twice} (counted from 0) has a token twice; add its impacts up first")
        heavy = np.flatnonzero(lengths * HEAVY > documents)
        yield {**_sorted(block, lengths, heavy), **_bounds(peaks), "scales": block.scales.copy()}
        first += documents


def _sorted(block: Codes, lengths: Ints, heavy: Ints) -> dict[str, Any]:
    """A block's postings by token, of heavy tokens as columns."""
    from rarityir.indexes import sorting

    of_heavy = np.stack([heavy, lengths[heavy]], axis=1).astype(np.uint32)
    lengths[heavy] = 0
    pointers = np.concatenate([[0], np.cumsum(lengths)])
    count, documents = int(pointers[-1]), len(block.scales)
    if count > _MOST:
        raise RarityError(f"{count} impacts of {documents} documents are more than a block holds; keep fewer of each")
    rows, impacts = np.empty(count, np.uint16), np.empty(count, np.uint8)
    columns = np.zeros(len(heavy) * documents, np.uint8)
    sorting.sort(block.indptr, block.token_ids, block.codes, pointers, heavy, rows, impacts, columns)
    light = {"pointers": pointers.astype(np.uint32)[None], "rows": rows, "impacts": impacts}
    return {**light, "heavy": of_heavy, "columns": columns}


def _bounds(peaks: Floats) -> dict[str, Any]:
    """Each token's largest impact as a byte times a step, rounded up."""
    step = np.nextafter(peaks.max(initial=0) / np.float32(LARGEST), np.float32(np.inf), dtype=np.float32)
    codes = np.maximum(np.ceil(peaks / step), peaks > 0)
    return {"peaks": codes.astype(np.uint8)[None], "steps": step[None]}


def as_impacts(given: Any) -> Impacts:
    """Returns a `scipy.sparse.csr_matrix` as `Impacts`, its duplicates added up and its zeros left out."""
    if isinstance(given, Impacts):
        return given
    if not hasattr(given, "tocsr"):
        raise RarityError(f"impacts are a scipy CSR matrix or Impacts, not {type(given).__name__}")
    matrix = given.tocsr().copy()
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    indptr, ids = matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64)
    return Impacts(indptr, ids, matrix.data.astype(np.float32), matrix.shape[1])


def blocks_of(impacts: Any) -> Iterable[Impacts]:
    """Returns what an index is built of as blocks: a matrix or `Impacts` is one, anything else is gone through."""
    if isinstance(impacts, Impacts) or not isinstance(impacts, Iterable) or hasattr(impacts, "tocsr"):
        return [as_impacts(impacts)]
    return map(as_impacts, impacts)


class _Gathering:
    """Documents put one after the other into arrays that are used again for the next block: memory is that of one block."""

    def __init__(self, size: int, vocabulary: int) -> None:
        self.size, self._vocabulary = size, vocabulary
        self.documents, self._impacts = 0, 0
        self._ends, self._scales = np.zeros(size + 1, np.int64), np.empty(size, np.float32)
        self._token_ids, self._codes = np.empty(0, np.int64), np.empty(0, np.uint8)

    def take(self, block: Codes, start: int) -> int:
        """Takes documents from `start` on, as many as there is room for, and returns the first that is left."""
        if block.vocabulary != self._vocabulary:
            raise RarityError(f"impacts of {self._vocabulary} and of {block.vocabulary} tokens are of different vocabularies")
        stop = min(len(block.scales), start + self.size - self.documents)
        first, last = self.documents, self.documents + stop - start
        part = slice(block.indptr[start], block.indptr[stop])
        at, end = self._impacts, self._impacts + int(part.stop - part.start)
        if end > len(self._token_ids):
            room = max(end, 2 * len(self._token_ids))
            self._token_ids, self._codes = (
                np.concatenate([x[:at], np.empty(room - at, x.dtype)]) for x in (self._token_ids, self._codes)
            )
        self._token_ids[at:end], self._codes[at:end] = block.token_ids[part], block.codes[part]
        self._ends[first + 1 : last + 1] = at + block.indptr[start + 1 : stop + 1] - block.indptr[start]
        self._scales[first:last] = block.scales[start:stop]
        self.documents, self._impacts = last, end
        return stop

    def given(self) -> Codes:
        """Returns what was taken, in these arrays, and begins anew."""
        documents, impacts, self.documents, self._impacts = self.documents, self._impacts, 0, 0
        arrays = self._ends[: documents + 1], self._token_ids[:impacts], self._codes[:impacts], self._scales[:documents]
        return Codes(*arrays, self._vocabulary)


def _rebatched(blocks: Iterable[Codes], size: int) -> Iterator[Codes]:
    """The same documents in blocks of `size`, the last one shorter. The arrays of one block are those of the next."""
    held: _Gathering | None = None
    for block in blocks:
        held, start = held or _Gathering(size, block.vocabulary), 0
        while start < len(block.scales):
            start = held.take(block, start)
            if held.documents == size:
                yield held.given()
    if held and held.documents:
        yield held.given()


def joined(parts: list[Codes], vocabulary: int) -> Codes:
    """Returns the documents of several, one after the other, as one."""
    lengths = [np.diff(part.indptr) for part in parts]
    return Codes(
        np.concatenate([[0], *lengths]).cumsum().astype(np.int64, copy=False),
        np.concatenate([np.empty(0, np.int64), *(part.token_ids for part in parts)]),
        np.concatenate([np.empty(0, np.uint8), *(part.codes for part in parts)]),
        np.concatenate([np.empty(0, np.float32), *(part.scales for part in parts)]),
        vocabulary,
    )
