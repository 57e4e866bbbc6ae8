"""The compiled loops of the sparse index: sorting postings, adding them up term at a time, keeping the best (owns numba).

Postings lie in blocks of 65,536 documents: a row within its block is two bytes, and a block's accumulators stay in the
processor's cache while a query's terms are added up. No operation is reordered, so a sum is that of the terms in order.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

BLOCK = 1 << 16
LANES = 1 << 12  # a lane is the rows of a block that are equal modulo this
SPARSE = 8  # a block whose postings are fewer than its documents by this factor is picked from by posting, not by document
LAST = (1 << 32) - 1  # a candidate is a number, the better the larger: its score's bits, then LAST less its row


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


@numba.njit(cache=True, nogil=True)
def search(
    pointers: Any, peaks: Any, rows: Any, impacts: Any, scales: Any, whole: Any, tokens: Any, weights: Any, cutoff: int,
    scratch: Any, lanes: Any, found: Any,
) -> int:  # fmt: skip
    """Puts one query's best candidates into `found`, at least the first `cutoff` places, unordered; returns how many.

    `pointers` (blocks, V + 1), `peaks` (blocks, V) the largest impact times scale of a token in a block; `whole`: all scales
    are 1; `scratch` holds a block of zeros and is left so; `lanes` has room for LANES scores, `found` for more than `cutoff`
    candidates and a lane. A document scores scale · Σ weight · impact, terms in the query's order, in float32.
    """
    count = 0
    threshold: Any = np.float32(0.0)  # what at least `cutoff` documents score, all of them in the blocks so far; or 0
    for block in range(len(pointers)):
        bound, postings = 0.0, 0
        for j in range(len(tokens)):
            postings += pointers[block, tokens[j] + 1] - pointers[block, tokens[j]]
            bound += weights[j] * peaks[block, tokens[j]]
        # The bound is taken in float64 and with room for the rounding of float32 sums: skipping never changes a result.
        if postings == 0 or bound * 1.0001 < threshold:
            continue
        for j in range(len(tokens)):
            start, stop = pointers[block, tokens[j]], pointers[block, tokens[j] + 1]
            add(rows[start:stop], impacts[start:stop], weights[j], scratch)
        first = block * BLOCK
        here = scales[first : first + BLOCK]
        # A row of this block comes after those that score the threshold: it has to score more.
        least = np.nextafter(threshold, np.float32(np.inf))
        if postings * SPARSE < len(here):
            for j in range(len(tokens)):
                part = rows[pointers[block, tokens[j]] : pointers[block, tokens[j] + 1]]
                count, threshold, least = pick_touched(part, here, first, cutoff, threshold, least, count, scratch, found)
        else:
            peaks_of_lanes(here, whole, scratch, lanes)
            some = lanes[: 8 * cutoff]
            if threshold == 0 and cutoff <= len(some):  # as many lanes, so as many documents, have at least this
                threshold = np.partition(some, len(some) - cutoff)[len(some) - cutoff]
                least = max(least, threshold)
            count, threshold = pick_lanes(len(here), first, cutoff, threshold, least, count, scratch, lanes, found)
            scratch[: len(here)] = 0.0
    return count


@numba.njit(cache=True, nogil=True)
def add(rows: Any, impacts: Any, weight: Any, scratch: Any) -> None:
    """Adds one term's impacts up; a slice from its beginning is what spares a test for a negative index at each posting."""
    for i in range(len(rows)):
        scratch[rows[i]] += weight * impacts[i]


# A largest value is found by vector instructions only where zeros have no sign and nothing is NaN.
@numba.njit(cache=True, nogil=True, fastmath={"nnan", "nsz"})
def peaks_of_lanes(scales: Any, whole: Any, scratch: Any, lanes: Any) -> None:
    """Turns sums into scores and puts the largest score of each lane into `lanes`."""
    lanes[:] = 0.0
    for start in range(0, len(scales), LANES):
        part, scale = scratch[start : min(start + LANES, len(scales))], scales[start : start + LANES]
        if not whole:
            for i in range(len(part)):
                part[i] *= scale[i]
        for i in range(len(part)):
            lanes[i] = max(lanes[i], part[i])


@numba.njit(cache=True, nogil=True)
def pick_lanes(
    rows: int, first: int, cutoff: int, threshold: Any, least: Any, count: int, scratch: Any, lanes: Any, found: Any
) -> Any:
    """Takes the candidates of a block out of the lanes that have one."""
    bits = scratch.view(np.uint32)
    for lane in range(LANES):
        if lanes[lane] >= least:
            for i in range(lane, rows, LANES):  # without a branch: what does not count is written over
                found[count] = np.uint64(bits[i]) << np.uint64(32) | np.uint64(LAST - first - i)
                count += scratch[i] >= least
            if count > len(found) - BLOCK // LANES:
                count, threshold = cutoff, shrink(found, count, cutoff)
                least = max(least, threshold)
    return count, threshold


@numba.njit(cache=True, nogil=True)
def pick_touched(
    touched: Any, scales: Any, first: int, cutoff: int, threshold: Any, least: Any, count: int, scratch: Any, found: Any
) -> Any:
    """Takes the candidates among some rows of a block and sets those rows back to zero."""
    bits = scratch.view(np.uint32)
    for row in touched:
        scratch[row] *= scales[row]
        if scratch[row] >= least:
            found[count] = np.uint64(bits[row]) << np.uint64(32) | np.uint64(LAST - first - row)
            count += 1
            if count == len(found):
                count, threshold = cutoff, shrink(found, count, cutoff)
                least = max(least, threshold)
        scratch[row] = 0.0
    return count, threshold, least


@numba.njit(cache=True, nogil=True)
def shrink(found: Any, count: int, cutoff: int) -> Any:
    """Keeps the best `cutoff` of some candidates; returns the last place's score."""
    kept = np.partition(found[:count], count - cutoff)[count - cutoff :]
    found[:cutoff] = kept
    last = np.array([kept[0] >> np.uint64(32)]).astype(np.uint32)
    return last.view(np.float32)[0]
