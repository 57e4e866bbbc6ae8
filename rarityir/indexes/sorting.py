"""The compiled loops that turn a block of vectors into postings and back."""

# mypy: disallow-untyped-decorators=False

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from rarityir.indexes.packing import BLOCK


@numba.njit(cache=True, nogil=True)
def measure(indptr: Any, token_ids: Any, codes: Any, scales: Any, lengths: Any, peaks: Any) -> int:
    """Counts a block's documents by token and finds the largest impacts; returns a row that has a token twice, or -1."""
    last = np.full(len(lengths), -1, np.int64)
    for row in range(len(indptr) - 1):
        for i in range(indptr[row], indptr[row + 1]):
            token = token_ids[i]
            if last[token] == row:
                return row
            last[token] = row
            lengths[token] += 1
            peaks[token] = max(peaks[token], scales[row] * np.float32(codes[i]))
    return -1


@numba.njit(cache=True, nogil=True)
def sort(indptr: Any, token_ids: Any, codes: Any, pointers: Any, heavy: Any, rows: Any, impacts: Any, columns: Any) -> None:
    """Puts a block's impacts in their places: of token `heavy[i]` into the i-th column, of the others by `pointers`."""
    place, documents = pointers[:-1].copy(), len(indptr) - 1
    for i in range(len(heavy)):
        place[heavy[i]] = -1 - i * documents
    for row in range(documents):
        for i in range(indptr[row], indptr[row + 1]):
            at = place[token_ids[i]]
            if at < 0:
                columns[row - 1 - at] = codes[i]
            else:
                rows[at], impacts[at] = row, codes[i]
                place[token_ids[i]] = at + 1


@numba.njit(cache=True, nogil=True)
def count(index: Any, block: int, first: int, lengths: Any) -> None:
    """Adds to `lengths[i]` how many impacts row `first + i` of a block has."""
    for token in range(index.peaks.shape[1]):
        start, stop = within(index, block, token, first, first + len(lengths))
        for i in range(start, stop):
            lengths[index.rows[i] - first] += 1
    for heavy in range(index.starts[block, 1], index.starts[block + 1, 1]):
        column = column_of(index, block, heavy) + first
        for row in range(len(lengths)):
            lengths[row] += index.columns[column + row] > 0


@numba.njit(cache=True, nogil=True)
def unsort(index: Any, block: int, first: int, place: Any, token_ids: Any, codes: Any) -> None:
    """Puts the impacts of row `first + i` of a block at `place[i]` and after, tokens rising, and moves that on."""
    heavy, stop_heavy = index.starts[block, 1], index.starts[block + 1, 1]
    for token in range(index.peaks.shape[1]):
        if heavy < stop_heavy and index.heavy[heavy, 0] == token:
            column = column_of(index, block, heavy) + first
            for row in range(len(place)):
                if index.columns[column + row]:
                    token_ids[place[row]], codes[place[row]] = token, index.columns[column + row]
                    place[row] += 1
            heavy += 1
        start, stop = within(index, block, token, first, first + len(place))
        for i in range(start, stop):
            at = np.int64(index.rows[i]) - first
            token_ids[place[at]], codes[place[at]] = token, index.impacts[i]
            place[at] += 1


@numba.njit(cache=True, nogil=True)
def within(index: Any, block: int, token: int, first: int, last: int) -> Any:
    """Returns where a token's light postings of rows `first` to `last - 1` of a block begin and end."""
    start = index.starts[block, 0]
    begin, end = start + np.int64(index.pointers[block, token]), start + np.int64(index.pointers[block, token + 1])
    return reaching(index.rows, begin, end, first), reaching(index.rows, begin, end, last)


@numba.njit(cache=True, nogil=True)
def reaching(numbers: Any, low: int, high: int, least: int) -> int:
    """Returns the first place from `low` on, `high` if none, where rising numbers are at least `least`."""
    while low < high:
        middle = (low + high) // 2
        if np.int64(numbers[middle]) < least:
            low = middle + 1
        else:
            high = middle
    return low


@numba.njit(cache=True, nogil=True)
def column_of(index: Any, block: int, heavy: int) -> Any:
    """Returns where a heavy token's column begins: only the last block has fewer documents than BLOCK."""
    before = index.starts[block, 1]
    return before * BLOCK + (heavy - before) * min(BLOCK, len(index.scales) - block * BLOCK)
