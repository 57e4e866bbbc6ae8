"""Rows of a matrix as unit vectors, and their first two moments, a block at a time in float64."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rarityir.filters.gram import axes, gram
from rarityir.types import Floats, Ints, RarityError

Vectors = NDArray[np.float64]
Mask = NDArray[np.bool_]
ENTRIES = 2**22  # of a block in float64: 32 MB


class Moments(NamedTuple):
    """Mean (D,) and covariance (D, D) of rows, each counted once or by weight."""

    mean: Vectors
    covariance: Vectors


def matrix(given: NDArray[Any], what: str = "rows of tokens") -> NDArray[Any]:
    """Returns the (V, D) array; anything else, or one with entries that are not finite, is a `RarityError`."""
    found = np.asarray(given)
    if found.ndim != 2 or not found.size or not np.issubdtype(found.dtype, np.number):
        raise RarityError(f"{what} are a (V, D) matrix of numbers; this array has shape {found.shape} of {found.dtype}")
    if not all(np.isfinite(found[start : start + step]).all() for start, step in _steps(found)):
        raise RarityError(f"{what} hold entries that are not finite; is the checkpoint whole?")
    return found


def lengths(rows_BD: Vectors) -> Vectors:
    """Returns each row's length, summed in an order that does not depend on the other rows of the block."""
    return np.asarray(np.sqrt((rows_BD * rows_BD).sum(axis=1)))


def unit_blocks(
    rows_VD: NDArray[Any], allowed_V: Mask | None = None, centre_D: Vectors | None = None, block: int = 0
) -> Iterator[tuple[Ints, Vectors]]:
    """Yields (ids, unit rows in float64) of the allowed rows, less a centre; rows of no length are left out."""
    for start, step in _steps(rows_VD, block):
        ids = np.arange(start, min(start + step, len(rows_VD)))
        ids = ids if allowed_V is None else ids[allowed_V[ids]]
        x_BD = rows_VD[ids].astype(np.float64)
        if centre_D is not None:
            x_BD -= centre_D
        long_B = lengths(x_BD)
        some = long_B > 0
        yield ids[some], np.ascontiguousarray(x_BD[some] / long_B[some, None])


def unit_rows(rows_VD: NDArray[Any], allowed_V: Mask | None = None, centre_D: Vectors | None = None) -> Floats:
    """Returns all V rows at unit length in float32; those not allowed, and those of no length, are zero."""
    found = np.zeros(rows_VD.shape, np.float32)
    for ids, u_BD in unit_blocks(rows_VD, allowed_V, centre_D):
        found[ids] = u_BD
    return found


def moments(rows_VD: NDArray[Any], allowed_V: Mask | None = None, weights_V: Vectors | None = None) -> Moments:
    """Returns mean and covariance (of the weighted mean, both by weight) of the allowed rows, in two passes."""
    weights = np.ones(len(rows_VD)) if weights_V is None else np.asarray(weights_V, np.float64).copy()
    if allowed_V is not None:
        weights = np.where(allowed_V, weights, 0.0)
    if not weights.sum() > 0:
        raise RarityError("no row is left to take a mean of; give counts that are not all zero, or allow some tokens")
    weights /= weights.sum()
    blocks = [slice(start, start + step) for start, step in _steps(rows_VD)]
    mean_D = np.sum([weights[part] @ rows_VD[part].astype(np.float64) for part in blocks], axis=0)
    roots = np.sqrt(weights)[:, None]
    covariance = gram(((rows_VD[part].astype(np.float64) - mean_D) * roots[part] for part in blocks), rows_VD.shape[1])
    return Moments(mean_D, covariance)


def principal(found: Moments) -> tuple[Vectors, Vectors]:
    """Returns a covariance's eigenvalues in falling order and its axes (D, D), one a row."""
    return axes(found.covariance)


def _steps(rows_VD: NDArray[Any], block: int = 0) -> Iterator[tuple[int, int]]:
    step = block or max(1, ENTRIES // rows_VD.shape[1])
    return ((start, step) for start in range(0, len(rows_VD), step))
