"""The compiled loops that search the sparse index: adding postings up term at a time, keeping the best.

Postings lie in blocks of 65,536 documents, whose accumulators stay in the processor's cache while a query's terms are added
up. A token of many of a block's documents is heavy: it is a column, a byte for each document, which vector instructions add
ten times as fast as scattered postings. No addition is reordered and none is fused with a product, so a sum is that of the
terms in order. Slices are rare here: one counts a reference, which takes longer than to add a short list of postings.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from rarityir.indexes.instructions import WIDTH, lowest, prefetch, reach
from rarityir.indexes.packing import BLOCK
from rarityir.indexes.sorting import column_of, reaching

FEW = 8  # a block whose postings are fewer than its documents by this factor is picked from by posting, not by document
SPAN = 1 << 11  # scores looked through before they are cleared
AHEAD = 1 << 8  # postings of the next term that are asked for while one is added
LINE = 32  # rows in a cache line
LAST = (1 << 32) - 1  # a candidate is a number, the better the larger: its score's bits, then LAST less its row


@numba.njit(cache=True, nogil=True)
def search(
    index: Any, whole: Any, indptr: Any, tokens: Any, weights: Any, cutoff: int, scratch: Any, found: Any, counts: Any
) -> None:  # fmt: skip
    """Puts each query's best candidates into its row of `found`, unordered, at least the first `cutoff` and then zeros.

    Query q's terms are `indptr[q]` to `indptr[q + 1]` of `tokens` and `weights`; `whole`: all scales are 1; `scratch` holds
    zeros for a block, filled up to a multiple of WIDTH, and is left so; `found` has room for `cutoff` + WIDTH candidates and
    more. A document scores scale · Σ weight · impact, terms in the query's order, in float32.
    """
    # What at least `cutoff` documents of the blocks so far score; or 0.
    thresholds = np.zeros(len(counts), np.float32)
    longest = 0
    for q in range(len(counts)):
        longest = max(longest, indptr[q + 1] - indptr[q])
    places = np.empty((longest, 2), np.int64)
    # Block by block, for what one query has read of a block the next finds in the cache.
    for block in range(len(index.pointers)):
        first = block * BLOCK
        scales = index.scales[first : first + BLOCK]
        for q in range(len(counts)):
            start, stop = indptr[q], indptr[q + 1]
            postings, bound = locate(index, block, tokens, weights, start, stop, places)
            # The bound is taken in float64 and with room for the rounding of float32 sums: skipping never changes a result.
            if postings == 0 or bound * (1.0001 + 1e-7 * (stop - start)) < thresholds[q]:
                continue
            add(index, places, weights, start, stop, scratch, len(scales))
            if postings * FEW < len(scales):
                counts[q], thresholds[q] = pick_touched(
                    index.rows, places[: stop - start], scales, first, cutoff, thresholds[q], counts[q], scratch, found[q]
                )
            else:
                counts[q], thresholds[q] = pick(scales, whole, first, cutoff, thresholds[q], counts[q], scratch, found[q])
    for q in range(len(counts)):
        found[q, counts[q] :] = 0


@numba.njit(cache=True, nogil=True)
def locate(index: Any, block: int, tokens: Any, weights: Any, start: int, stop: int, places: Any) -> Any:
    """Finds each term's postings in a block; returns how many, heavy ones counted as BLOCK, and what no score exceeds.

    A place is where light postings begin and end, or -1 and where a heavy token's column begins.
    """
    postings: Any = 0
    bound, step = 0.0, np.float64(index.steps[block])
    before, heavy, stop_heavy = index.starts[block, 0], index.starts[block, 1], index.starts[block + 1, 1]
    for j in range(stop - start):
        token = tokens[start + j]
        peak = index.peaks[block, token]
        bound += weights[start + j] * (peak * step)
        count = np.int64(index.pointers[block, token + 1]) - np.int64(index.pointers[block, token])
        if peak > 0 and count == 0:
            places[j, 0], places[j, 1] = -1, column_of(index, block, reaching(index.heavy[:, 0], heavy, stop_heavy, token))
            postings += BLOCK
        else:
            places[j, 0] = before + np.int64(index.pointers[block, token])
            places[j, 1] = places[j, 0] + count
            postings += count
    return postings, bound


@numba.njit(cache=True, nogil=True)
def add(index: Any, places: Any, weights: Any, start: int, stop: int, scratch: Any, size: int) -> None:
    """Adds the terms up in order; of heavy ones that follow each other up to four at a time, which spares passes."""
    j, terms = 0, stop - start
    while j < terms:
        if places[j, 0] >= 0:
            if j + 1 < terms:
                fetch(index, places[j + 1, 0], min(places[j + 1, 1], places[j + 1, 0] + AHEAD))
            add_light(index.rows, index.impacts, places[j, 0], places[j, 1], weights[start + j], scratch)
            j += 1
            continue
        run = 1
        while run < 4 and j + run < terms and places[j + run, 0] < 0:
            run += 1
        if run == 1:
            add_one(index.columns, places[j, 1], weights[start + j], scratch, size)
            j += 1
        elif run < 4:
            add_two(index.columns, places, weights, start, j, scratch, size)
            j += 2
        else:
            add_four(index.columns, places, weights, start, j, scratch, size)
            j += 4


@numba.njit(cache=True, nogil=True)
def fetch(index: Any, start: int, stop: int) -> None:
    """Asks for postings that are read next: where a list begins in memory, the processor cannot foresee."""
    if start >= 0:
        for at in range(start, stop, LINE):
            prefetch(index.rows, at)
        for at in range(start, stop, 2 * LINE):
            prefetch(index.impacts, at)


@numba.njit(cache=True, nogil=True)
def add_light(rows: Any, impacts: Any, start: int, stop: int, weight: Any, scratch: Any) -> None:
    """Adds light postings up; numbers without a sign spare a test for a negative index at each."""
    for i in range(np.uint64(start), np.uint64(stop)):
        scratch[rows[i]] += weight * np.float32(impacts[i])


@numba.njit(cache=True, nogil=True)
def add_one(columns: Any, column: int, weight: Any, scratch: Any, size: int) -> None:
    """Adds a heavy token up: to documents without it weight times zero, which changes no sum."""
    a = np.uint64(column)
    for i in range(np.uint64(size)):
        scratch[i] += weight * np.float32(columns[a + i])


@numba.njit(cache=True, nogil=True)
def add_two(columns: Any, places: Any, weights: Any, start: int, j: int, scratch: Any, size: int) -> None:
    """Adds two heavy tokens up, one after the other."""
    a, b = np.uint64(places[j, 1]), np.uint64(places[j + 1, 1])
    of_a, of_b = weights[start + j], weights[start + j + 1]
    for i in range(np.uint64(size)):
        scratch[i] = (scratch[i] + of_a * np.float32(columns[a + i])) + of_b * np.float32(columns[b + i])


@numba.njit(cache=True, nogil=True)
def add_four(columns: Any, places: Any, weights: Any, start: int, j: int, scratch: Any, size: int) -> None:
    """Adds four heavy tokens up, one after the other."""
    a, b, c, d = np.uint64(places[j, 1]), np.uint64(places[j + 1, 1]), np.uint64(places[j + 2, 1]), np.uint64(places[j + 3, 1])
    of_a, of_b, of_c, of_d = weights[start + j], weights[start + j + 1], weights[start + j + 2], weights[start + j + 3]
    for i in range(np.uint64(size)):
        total = (scratch[i] + of_a * np.float32(columns[a + i])) + of_b * np.float32(columns[b + i])
        scratch[i] = (total + of_c * np.float32(columns[c + i])) + of_d * np.float32(columns[d + i])


@numba.njit(cache=True, nogil=True)
def pick(scales: Any, whole: Any, first: int, cutoff: int, threshold: Any, count: int, scratch: Any, found: Any) -> Any:
    """Takes a block's candidates and clears it; returns how many there are now and what the last place needs."""
    size, bits = len(scales), scratch.view(np.uint32)
    # A row of this block comes after those that score the threshold: it has to score more.
    least = np.nextafter(threshold, np.float32(np.inf))
    if threshold == 0:
        if not whole:
            multiply(scales, 0, size, scratch)
        threshold, whole = guess(scratch, size, cutoff), True
        least = max(least, threshold)
    for begin in range(0, size, SPAN):
        end = min(begin + SPAN, size)
        if not whole:
            multiply(scales, begin, end, scratch)
        for start in range(begin, end, WIDTH):
            reached = reach(scratch, start, least)
            if reached == 0:
                continue
            while reached:
                i = start + lowest(reached)
                found[count] = candidate(bits[i], first + i)
                count += 1
                reached &= reached - 1
            if count > len(found) - WIDTH:
                count, threshold = cutoff, shrink(found, count, cutoff)
                least = np.nextafter(threshold, np.float32(np.inf))
        scratch[begin:end] = 0.0
    return count, threshold


@numba.njit(cache=True, nogil=True)
def multiply(scales: Any, start: int, stop: int, scratch: Any) -> None:
    """Turns sums into scores."""
    for i in range(np.uint64(start), np.uint64(stop)):
        scratch[i] *= scales[i]


@numba.njit(cache=True, nogil=True)
def guess(scores: Any, size: int, cutoff: int) -> Any:
    """Returns what at least `cutoff` scores reach, or 0, by the largest of each lane: rows that are equal modulo a number."""
    lanes = 128
    while lanes < 4 * cutoff:
        lanes *= 2
    if 2 * lanes > size:
        return np.float32(0.0)
    largest = scores[:lanes].copy()
    fold(scores, min(size, 64 * lanes), largest)
    return bar(largest, cutoff)


# A largest value is found by vector instructions only where zeros have no sign and nothing is NaN.
@numba.njit(cache=True, nogil=True, fastmath={"nnan", "nsz"})
def fold(scores: Any, size: int, largest: Any) -> None:
    """Finds the largest score of each lane."""
    for start in range(len(largest), size, len(largest)):
        part = scores[start : min(start + len(largest), size)]
        for i in range(len(part)):
            largest[i] = max(largest[i], part[i])


@numba.njit(cache=True, nogil=True)
def bar(scores: Any, cutoff: int) -> Any:
    """Returns what at least `cutoff` of the scores reach and few more; 0 if that is a 256th of the best or less.

    Counts scores by their bits, which rise with them: 64 bins for each doubling.
    """
    bits, counts = scores.view(np.uint32), np.zeros(8 * 64 + 1, np.int32)
    low = max(np.int64(0), np.int64(bits.max()) - (8 << 23))
    for i in range(len(bits)):
        counts[max(np.int64(0), np.int64(bits[i]) - low) >> 17] += 1
    at, above = len(counts) - 1, counts[-1]
    while above < cutoff:
        at -= 1
        above += counts[at]
    edge = np.array([low + (at << 17) if at else 0]).astype(np.uint32)
    return edge.view(np.float32)[0]


@numba.njit(cache=True, nogil=True)
def pick_touched(
    rows: Any, places: Any, scales: Any, first: int, cutoff: int, threshold: Any, count: int, scratch: Any, found: Any
) -> Any:
    """Takes a block's candidates among the rows of few postings, as `pick` does, and sets those rows back to zero."""
    bits = scratch.view(np.uint32)
    least = np.nextafter(threshold, np.float32(np.inf))
    for j in range(len(places)):
        for i in range(np.uint64(places[j, 0]), np.uint64(places[j, 1])):
            row = rows[i]
            scratch[row] *= scales[row]
            if scratch[row] >= least:
                found[count] = candidate(bits[row], first + row)
                count += 1
                if count > len(found) - WIDTH:
                    count, threshold = cutoff, shrink(found, count, cutoff)
                    least = max(least, threshold)
            scratch[row] = 0.0
    return count, threshold


@numba.njit(cache=True, nogil=True)
def candidate(bits: Any, row: int) -> Any:
    """Returns a score's bits and a row as one number."""
    return np.uint64(bits) << np.uint64(32) | np.uint64(LAST - row)


@numba.njit(cache=True, nogil=True)
def shrink(found: Any, count: int, cutoff: int) -> Any:
    """Keeps the best `cutoff` of some candidates; returns the last place's score (Hoare's selection; no two are equal)."""
    low, high, wanted = 0, count - 1, count - cutoff
    while low < high:
        pivot, i, j = found[(low + high) // 2], low, high
        while i <= j:
            while found[i] < pivot:
                i += 1
            while found[j] > pivot:
                j -= 1
            if i <= j:
                found[i], found[j] = found[j], found[i]
                i, j = i + 1, j - 1
        if wanted <= j:
            high = j
        elif wanted >= i:
            low = i
        else:
            break
    last = np.array([found[wanted] >> np.uint64(32)]).astype(np.uint32)
    for i in range(cutoff):
        found[i] = found[wanted + i]
    return last.view(np.float32)[0]


@numba.njit(cache=True, nogil=True)
def unpack(best: Any, rows: Any, scores: Any) -> None:
    """Writes candidates, in order, as rows and scores; a zero is none."""
    bits = scores.view(np.uint32)
    for q in range(best.shape[0]):
        for i in range(best.shape[1]):
            if best[q, i]:
                rows[q, i] = LAST - np.int64(best[q, i] & np.uint64(LAST))
                bits[q, i] = np.uint32(best[q, i] >> np.uint64(32))
