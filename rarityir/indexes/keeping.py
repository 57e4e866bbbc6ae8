"""The compiled loop that keeps each query's best scores while blocks of documents go by."""

# mypy: disallow-untyped-decorators=False

from __future__ import annotations

from typing import Any

import numba

SPAN, PART = 128, 32  # scores looked at together, and again where one of them is kept; most spans hold none


@numba.njit(cache=True, nogil=True)
def keep(scores: Any, first: int, depth: int, floors: Any, counts: Any, kept: Any, rows: Any) -> None:
    """Adds the (Q, B) scores of the rows from `first` on to `kept` and `rows` (Q, room), of which `counts` (Q,) are filled.

    A score at or below its query's floor is passed over. Once a query's room is full, its best `depth` stay and the lowest
    of them is the new floor; so at any time at least `depth` of what was seen is kept, or all of it.
    """
    room = kept.shape[1]
    for q in range(scores.shape[0]):
        floor, count = floors[q], counts[q]
        for start in range(0, scores.shape[1], SPAN):
            span = scores[q, start : start + SPAN]
            above = False
            for i in range(len(span)):
                above |= span[i] > floor  # over a slice, and "or" instead of a sum: this the compiler does 16 at a time
            if not above:
                continue
            for at in range(0, len(span), PART):
                part = span[at : at + PART]
                above = False
                for i in range(len(part)):
                    above |= part[i] > floor
                if not above:
                    continue
                for i in range(len(part)):
                    if part[i] > floor:
                        kept[q, count], rows[q, count] = part[i], first + start + at + i
                        count += 1
                        if count == room:
                            floor, count = cut(kept[q], rows[q], count, depth), depth
        floors[q], counts[q] = floor, count


@numba.njit(cache=True, nogil=True)
def finish(depth: int, floors: Any, counts: Any, kept: Any, rows: Any) -> None:
    """Leaves each query its best `depth` and fills its other places, up to `depth`, with row -1."""
    for q in range(len(counts)):
        if counts[q] > depth:
            floors[q], counts[q] = cut(kept[q], rows[q], counts[q], depth), depth
        rows[q, counts[q] : depth] = -1


@numba.njit(cache=True, nogil=True)
def cut(kept: Any, rows: Any, count: int, depth: int) -> Any:
    """Puts the best `depth` of `count` scores first, in no order, and returns the lowest of them (Hoare's selection)."""
    low, high = 0, count - 1
    while low < high:
        pivot, i, j = kept[(low + high) // 2], low, high
        while i <= j:
            while kept[i] > pivot:
                i += 1
            while kept[j] < pivot:
                j -= 1
            if i <= j:
                kept[i], kept[j] = kept[j], kept[i]
                rows[i], rows[j] = rows[j], rows[i]
                i += 1
                j -= 1
        if depth - 1 <= j:
            high = j
        elif depth - 1 >= i:
            low = i
        else:
            break
    lowest = kept[0]
    for i in range(1, depth):
        lowest = min(lowest, kept[i])
    return lowest
