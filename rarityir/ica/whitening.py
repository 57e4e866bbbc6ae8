"""Rows made white by streaming moments: centred, turned to their principal axes, each scaled to variance one, in float64."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rarityir.filters.gram import axes
from rarityir.types import RarityError

Vectors = NDArray[np.float64]
ROWS = 8192  # of a block
RANK = 1e-10  # of the largest variance: what is below is rounding


class Whitening(NamedTuple):
    """z = (x − mean) @ down.T is white; x = mean + z @ up where no direction was left out. `variances` are of the K kept."""

    mean: Vectors
    down: Vectors  # (K, D)
    up: Vectors  # (K, D)
    variances: Vectors
    total: float  # the variance of all directions
    rows: int


def blocks(x_ND: NDArray[Any], weights_N: Vectors | None = None) -> Iterator[tuple[Vectors, Vectors | None]]:
    """Yields blocks of rows in float64, each with its weights."""
    for start in range(0, len(x_ND), ROWS):
        part = slice(start, start + ROWS)
        yield np.asarray(x_ND[part], np.float64), None if weights_N is None else weights_N[part]


def checked(x_ND: NDArray[Any], weights_N: Any = None) -> tuple[NDArray[Any], Vectors | None]:
    """Returns a matrix and its weights as arrays; raises `RarityError` for what has no axes."""
    x = np.asarray(x_ND)
    if x.ndim != 2 or len(x) < 2:
        raise RarityError(f"ICA is of a matrix (N, D) with two rows or more, not of an array of shape {x.shape}")
    if weights_N is None:
        return x, None
    w = np.asarray(weights_N, np.float64)
    if w.shape != (len(x),) or not np.isfinite(w).all() or (w < 0).any() or not w.any():
        raise RarityError(
            f"weights are one number from 0 on for each of the {len(x)} rows, not all 0; these have shape {w.shape}"
        )
    return x, w


def whiten(parts: Iterable[tuple[Vectors, Vectors | None]], n_components: int | None = None) -> Whitening:
    """Returns the whitening of rows that come in blocks, in one pass: moments about the first block's mean.

    Raises:
        RarityError: where entries are not finite, or the rows vary in fewer directions than are asked for.
    """
    origin, count, mass = np.zeros(0), 0, 0.0
    first, second = np.zeros(0), np.zeros((0, 0))
    for rows, weights in parts:
        if not count:
            origin = rows.mean(axis=0)  # near the mean, so that the moments about it cancel little
            first, second = np.zeros(rows.shape[1]), np.zeros((rows.shape[1],) * 2)
        moved = rows - origin
        heavy = moved if weights is None else moved * weights[:, None]
        count, mass = count + len(rows), mass + (len(rows) if weights is None else weights.sum())
        first, second = first + heavy.sum(axis=0), second + heavy.T @ moved
    if not count or not np.isfinite(second).all():
        raise RarityError("some entries are not finite, or there are no rows; encode them again")
    shift = first / mass
    variances, directions = axes(second / mass - np.outer(shift, shift))
    rank = int((variances > RANK * variances[0]).sum()) if variances[0] > 0 else 0
    wanted = rank if n_components is None else n_components
    if not 0 < wanted <= rank:
        raise RarityError(f"{n_components} axes of rows that vary in {rank} of {len(variances)} directions; ask for 1 to {rank}")
    scale = np.sqrt(variances[:wanted, None])
    kept = directions[:wanted]
    return Whitening(origin + shift, kept / scale, kept * scale, variances[:wanted], float(variances.sum()), count)


def unweighted(rows: Iterable[NDArray[Any]]) -> Iterator[tuple[Vectors, None]]:
    """Yields blocks that come without weights as `whiten` takes them."""
    yield from zip((np.asarray(block, np.float64) for block in rows), repeat(None))
