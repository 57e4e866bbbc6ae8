"""Subspaces that filters remove, and the angles between them and directions.

Source of the angles: Björck and Golub, "Numerical methods for computing angles between linear subspaces", Math. Comp. 27
(1973): small ones from their sines, large ones from their cosines, each where it is exact.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rarityir.types import RarityError

Vectors = NDArray[np.float64]
RANK = 1e-5  # of the largest singular value: a filter's float32 directions below add nothing to what it keeps


class Split(NamedTuple):
    """Orthonormal directions that a filter keeps (K, D) and those it removes (M, D), K + M = D."""

    kept: Vectors
    removed: Vectors


class Share(NamedTuple):
    """The share of a direction's square that lies in a subspace, and what a random direction's would be, mean and spread."""

    value: float
    expected: float
    spread: float


def split(basis_KD: NDArray[Any]) -> Split:
    """Returns what a linear map of width D keeps and what it takes to zero."""
    basis = np.asarray(basis_KD, np.float64)
    if basis.ndim != 2 or not basis.size:
        raise RarityError(f"a filter's basis is a (K, D) matrix; this one has shape {basis.shape}")
    scale, turned = np.linalg.eigh(basis.T @ basis)
    rank = int((scale > max(scale[-1], 0.0) * RANK**2).sum())
    falling = turned.T[::-1]
    return Split(np.ascontiguousarray(falling[:rank]), np.ascontiguousarray(falling[rank:]))


def orthonormal(rows_MD: NDArray[Any]) -> Vectors:
    """Returns an orthonormal basis (R, D) of what some rows span."""
    _, values, turned = np.linalg.svd(np.atleast_2d(np.asarray(rows_MD, np.float64)), full_matrices=False)
    return np.asarray(turned[values > (values[0] if len(values) else 0.0) * 1e-10])


def principal_angles(one_MD: NDArray[Any], other_ND: NDArray[Any]) -> Vectors:
    """Returns the principal angles in rising order, in radians, between the spans of two sets of rows: min(rank, rank) of them.

    They do not depend on which rows span what. An empty span gives none.
    """
    if not len(one_MD) or not len(other_ND):
        return np.zeros(0)
    a, b = orthonormal(one_MD), orthonormal(other_ND)
    if len(a) < len(b):
        a, b = b, a
    if not len(b):
        return np.zeros(0)
    cosines = np.linalg.svd(a @ b.T, compute_uv=False)
    sines = np.linalg.svd(b - (b @ a.T) @ a, compute_uv=False)[::-1]
    cosines, sines = np.clip(cosines, 0.0, 1.0), np.clip(sines, 0.0, 1.0)
    return np.asarray(np.where(cosines**2 < 0.5, np.arccos(cosines), np.arcsin(sines)))


def share(direction_D: NDArray[Any], subspace_MD: Vectors) -> Share:
    """Returns how much of a direction's square lies in the span of orthonormal rows.

    A direction drawn evenly from the sphere has a Beta(M/2, (D−M)/2) share: mean M/D, variance 2M(D−M) / (D²(D+2)).
    """
    direction = np.asarray(direction_D, np.float64)
    square = float(direction @ direction)
    inside, width = len(subspace_MD), len(direction)
    if not square > 0:
        raise RarityError("a direction of zeros has no share in any subspace; is the target constant?")
    value = float(((subspace_MD @ direction) ** 2).sum() / square) if inside else 0.0
    spread = np.sqrt(2 * inside * (width - inside) / (width**2 * (width + 2)))
    return Share(value, inside / width, float(spread))


def cosine(one_D: NDArray[Any], other_D: NDArray[Any]) -> float:
    """Returns the cosine of the angle between two directions, 0 where one is zero."""
    one, other = np.asarray(one_D, np.float64), np.asarray(other_D, np.float64)
    norms = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other / norms) if norms else 0.0
