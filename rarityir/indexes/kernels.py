"""The compiled loops of the sparse index: sorting postings, adding them up term at a time, keeping the best (owns numba).

Postings lie in blocks of 65,536 documents: a row within its block is two bytes, and a block's accumulators stay in the
processor's cache while a query's terms are added up. No operation is reordered, so a sum is that of the terms in order.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

BLOCK = 1 << 16
GROUP = 64  # accumulators looked at together when the best are picked
SPARSE = 8  # a block whose postings are fewer than its documents by this factor is picked from by posting, not by document


@numba.njit(cache=True, nogil=True)
def sort(indptr: Any, token_ids: Any, values: Any, vocabulary: int) -> Any:
    """Returns postings by token (pointers, rows, values) of one block's documents; within a token rows rise."""
    pointers = np.zeros(vocabulary + 1, np.int64)
    for token in token_ids:
        pointers[token + 1] += 1
    for token in range(vocabulary):
        pointers[token + 1] += pointers[token]
    place = pointers[:-1].copy()
    rows, sorted_values = np.empty(len(token_ids), np.uint16), np.empty(len(token_ids), values.dtype)
    for row in range(len(indptr) - 1):
        for i in range(indptr[row], indptr[row + 1]):
            at = place[token_ids[i]]
            rows[at], sorted_values[at] = row, values[i]
            place[token_ids[i]] = at + 1
    return pointers, rows, sorted_values


# No sum may be reordered; without these two a largest value could not be found by vector instructions.
@numba.njit(cache=True, nogil=True, fastmath={"nnan", "nsz"})
def search(
    pointers: Any, peaks: Any, rows: Any, impacts: Any, scales: Any, tokens: Any, weights: Any, cutoff: int, scratch: Any,
    scores: Any, found: Any,
) -> int:  # fmt: skip
    """Puts one query's best candidates into `scores` and `found`, at least the first `cutoff` places; returns how many.

    `pointers` (blocks, V + 1), `peaks` (blocks, V) the largest impact times scale of a token in a block; `scratch` holds a
    block of zeros and is left so. A document scores scale · Σ weight · impact, terms in the query's order, in float32.
    """
    count = 0
    threshold: Any = np.float32(0.0)
    for block in range(len(pointers)):
        bound, postings = 0.0, 0
        for j in range(len(tokens)):
            postings += pointers[block, tokens[j] + 1] - pointers[block, tokens[j]]
            bound += weights[j] * peaks[block, tokens[j]]
        # The bound is taken in float64 and with room for the rounding of float32 sums: skipping never changes a result.
        if postings == 0 or bound * 1.0001 < threshold:
            continue
        for j in range(len(tokens)):
            weight = weights[j]
            for p in range(pointers[block, tokens[j]], pointers[block, tokens[j] + 1]):
                scratch[rows[p]] += weight * impacts[p]
        first = block * BLOCK
        here = scales[first : first + BLOCK]
        if postings * SPARSE < len(here):
            for j in range(len(tokens)):
                part = rows[pointers[block, tokens[j]] : pointers[block, tokens[j] + 1]]
                count, threshold = pick_touched(part, here, first, cutoff, threshold, count, scratch, scores, found)
        else:
            count, threshold = pick_all(here, first, cutoff, threshold, count, scratch, scores, found)
    return count


@numba.njit(cache=True, nogil=True)
def pick_touched(
    touched: Any, scales: Any, first: int, cutoff: int, threshold: Any, count: int, scratch: Any, scores: Any, found: Any
) -> Any:
    """Takes the candidates among some rows of a block and sets those rows back to zero."""
    for row in touched:
        score = scratch[row] * scales[row]
        scratch[row] = 0.0
        if score > 0 and score >= threshold:
            scores[count], found[count] = score, first + row
            count += 1
            if count == len(scores):
                threshold, count = shrink(scores, found, count, cutoff), cutoff
    return count, threshold


@numba.njit(cache=True, nogil=True, fastmath={"nnan", "nsz"})
def pick_all(
    scales: Any, first: int, cutoff: int, threshold: Any, count: int, scratch: Any, scores: Any, found: Any
) -> Any:  # fmt: skip
    """Takes the candidates among all rows of a block and sets it back to zero."""
    for start in range(0, len(scales), GROUP):
        stop = min(start + GROUP, len(scales))
        best = np.float32(0.0)
        for i in range(start, stop):
            scratch[i] *= scales[i]
            best = max(best, scratch[i])
        if best > 0 and best >= threshold:
            for i in range(start, stop):
                if scratch[i] > 0 and scratch[i] >= threshold:
                    scores[count], found[count] = scratch[i], first + i
                    count += 1
                    if count == len(scores):
                        threshold, count = shrink(scores, found, count, cutoff), cutoff
        scratch[start:stop] = 0.0
    return count, threshold


@numba.njit(cache=True, nogil=True)
def shrink(scores: Any, rows: Any, count: int, cutoff: int) -> Any:
    """Keeps the best `cutoff` of some candidates, of equal scores the earlier rows; returns the last place's score."""
    last = np.partition(scores[:count], count - cutoff)[count - cutoff]
    above = 0
    for i in range(count):
        above += scores[i] > last
    tied = np.sort(rows[:count][scores[:count] == last])
    latest = tied[cutoff - above - 1]
    kept = 0
    for i in range(count):
        if scores[i] > last or (scores[i] == last and rows[i] <= latest):
            scores[kept], rows[kept] = scores[i], rows[i]
            kept += 1
    return last
