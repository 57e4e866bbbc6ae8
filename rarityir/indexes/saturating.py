"""The compiled loops that score how often tokens occur, in float64: tf / (tf + k1 (1 − b + b · length / mean length)).

What a token adds is rounded to a grid on which sums are exact, so neither the order of a query's tokens nor whether one is
asked for twice or two once changes a score: documents that ought to tie do.
"""

# mypy: disallow-untyped-decorators=False

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from rarityir.indexes.packing import BLOCK, LARGEST
from rarityir.indexes.sorting import column_of, reaching

_LEAST = 1e-300  # of a norm: with k1 = 0, what occurs counts 1 and what does not counts 0


@numba.njit(cache=True, nogil=True)
def normalise(lengths: Any, k1: float, b: float, mean: float, norms: Any) -> None:
    """Puts k1 (1 − b + b · length / mean) of each document into `norms`."""
    for i in range(len(lengths)):
        norms[i] = max(k1 * (1.0 - b + b * lengths[i] / mean), _LEAST)


@numba.njit(cache=True, nogil=True)
def add(
    index: Any, excess: Any, block: int, tokens: Any, times: Any, weights: Any, grid: float, norms: Any, scratch: Any
) -> Any:  # fmt: skip
    """Adds a query's tokens up over a block, into `scratch`; returns whether any document has one of them.

    A token is asked for so many `times` and weighs `weights` each time; `grid` is a power of two above the sum of both's
    products. `excess` are the rows, tokens and frequencies of the block that no byte holds.
    """
    first, found = block * BLOCK, False
    for j in range(len(tokens)):
        token, often, weight = tokens[j], times[j], weights[j]
        if index.peaks[block, token] == 0:
            continue
        found = True
        before = index.starts[block, 0]
        start, stop = before + np.int64(index.pointers[block, token]), before + np.int64(index.pointers[block, token + 1])
        if stop > start:
            add_light(index.rows, index.impacts, start, stop, often, weight, grid, norms, scratch)
        else:
            heavy = reaching(index.heavy[:, 0], index.starts[block, 1], index.starts[block + 1, 1], token)
            add_heavy(index.columns, column_of(index, block, heavy), often, weight, grid, norms, scratch)
        for i in range(len(excess)):
            if excess[i, 1] == token:
                row = excess[i, 0] - first
                scratch[row] += often * share(weight, np.float64(excess[i, 2]), norms[row], grid)
                scratch[row] -= often * share(weight, np.float64(LARGEST), norms[row], grid)
    return found


@numba.njit(cache=True, nogil=True)
def share(weight: Any, frequency: Any, norm: Any, grid: float) -> Any:
    """Returns what a token asked for once adds to a document's score, on the grid."""
    return (weight * (frequency / (frequency + norm)) + grid) - grid


@numba.njit(cache=True, nogil=True)
def add_light(
    rows: Any, frequencies: Any, start: int, stop: int, often: Any, weight: Any, grid: float, norms: Any, scratch: Any
) -> None:  # fmt: skip
    """Adds a token of few documents up."""
    for i in range(np.uint64(start), np.uint64(stop)):
        row = rows[i]
        scratch[row] += often * share(weight, np.float64(frequencies[i]), norms[row], grid)


@numba.njit(cache=True, nogil=True)
def add_heavy(columns: Any, column: int, often: Any, weight: Any, grid: float, norms: Any, scratch: Any) -> None:
    """Adds a token of many documents up: to those without it nothing."""
    at = np.uint64(column)
    for i in range(np.uint64(len(norms))):
        scratch[i] += often * share(weight, np.float64(columns[at + i]), norms[i], grid)
