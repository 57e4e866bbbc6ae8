"""How near each row of a matrix is to the rows that were never trained: in three readings of the rows, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rarityir.types import Ints, RarityError

Vector = NDArray[np.float64]
READINGS = ("raw", "centred", "without pc1")
BLOCK = 4096  # rows at a time
PASSES, BESIDE, SETTLED = 12, 8, 1e-6  # of the search for the first principal direction


@dataclass(frozen=True, eq=False)
class Nearness:
    """What is measured of V rows against the mean unused row, which for an unused row is that of the others.

    Attributes:
        cosine: reading → (V,) cosine with the mean unused row; 0 for a row of zeros.
        distance: reading → (V,) Euclidean distance from it.
        norm: (V,) length of the row as stored.
        centroid: (V,) distance from the mean of the usual rows.
    """

    cosine: dict[str, Vector]
    distance: dict[str, Vector]
    norm: Vector
    centroid: Vector


def nearness(x_VD: Any, unused: Ints, usual: NDArray[np.bool_]) -> Nearness:
    """Returns how near rows (V, D), an array or what yields blocks of them by `.blocks()`, are to the mean of some of them.

    The mean row and the first principal direction that two of the readings take away are those of the rows marked in `usual`. An
    id given twice in `unused` counts once.
    """
    size = int(x_VD.shape[0])
    unused = np.unique(unused)  # in the order that a pass over the rows meets them
    mean_D, unused_RD = _means(x_VD, usual, unused)
    first_D = _first(x_VD, usual, mean_D)
    frames = {"raw": _Frame(), "centred": _Frame(mean_D), "without pc1": _Frame(mean_D, first_D)}
    found = {name: (np.empty(size), np.empty(size)) for name in frames}
    norm, centroid = np.empty(size), np.empty(size)
    start = 0
    for block in blocks(x_VD):
        rows = slice(start, start + len(block))
        norm[rows] = np.linalg.norm(block, axis=1)
        centroid[rows] = np.linalg.norm(block - mean_D, axis=1)
        for name, frame in frames.items():
            found[name][0][rows], found[name][1][rows] = _compare(frame(block), frame(unused_RD).mean(axis=0))
        start += len(block)
    for name, frame in frames.items():
        own_RD = frame(unused_RD)
        others_RD = (own_RD.sum(axis=0) - own_RD) / (len(own_RD) - 1)
        found[name][0][unused], found[name][1][unused] = _compare(own_RD, others_RD)
    return Nearness(
        {name: pair[0] for name, pair in found.items()}, {name: pair[1] for name, pair in found.items()}, norm, centroid
    )


def norms(x_VD: Any) -> Vector:
    """Returns the length of each row (V,)."""
    return np.concatenate([np.linalg.norm(block, axis=1) for block in blocks(x_VD)])


def blocks(x_VD: Any) -> Iterator[Vector]:
    """Yields the rows in order, in float64."""
    given = x_VD.blocks(BLOCK) if hasattr(x_VD, "blocks") else (x_VD[i : i + BLOCK] for i in range(0, len(x_VD), BLOCK))
    for block in given:
        found = np.asarray(block, np.float64)
        if not np.isfinite(found).all():
            raise RarityError("the matrix has rows that are no numbers (nan or infinite); download the model again")
        yield found


@dataclass(frozen=True, eq=False)
class _Frame:
    """A reading of rows: less a mean, and less what lies along a direction."""

    mean: Vector | None = None
    first: Vector | None = None

    def __call__(self, x_BD: Vector) -> Vector:
        centred = x_BD if self.mean is None else x_BD - self.mean
        return centred if self.first is None else centred - np.outer(centred @ self.first, self.first)


def _compare(x_BD: Vector, to: Vector) -> tuple[Vector, Vector]:
    """Cosine with and distance from one row (D,), or one a row (B, D)."""
    product = (x_BD * to).sum(axis=1)
    lengths = np.linalg.norm(x_BD, axis=1) * np.linalg.norm(to, axis=-1)
    cosine = np.divide(product, lengths, out=np.zeros(len(x_BD)), where=lengths > 0)
    return cosine, np.linalg.norm(x_BD - to, axis=1)


def _means(x_VD: Any, usual: NDArray[np.bool_], unused: Ints) -> tuple[Vector, Vector]:
    """The mean usual row (D,), and the unused rows themselves (R, D)."""
    total, kept, start = np.zeros(x_VD.shape[1]), [], 0
    known = np.zeros(len(usual), bool)
    known[unused] = True
    for block in blocks(x_VD):
        rows = slice(start, start + len(block))
        total += block[usual[rows]].sum(axis=0)
        kept.append(block[known[rows]])
        start += len(block)
    if start != len(usual) or not usual.any():
        raise RarityError(f"{start} rows were read of {len(usual)}, {int(usual.sum())} of them usual; download the model again")
    return total / usual.sum(), np.concatenate(kept)


def _first(x_VD: Any, usual: NDArray[np.bool_], mean_D: Vector) -> Vector:
    """The first principal direction of the usual rows, by subspace iteration: a pass a step, no D × D matrix."""
    width = len(mean_D)
    basis = np.linalg.qr(np.random.default_rng(0).standard_normal((width, min(BESIDE, width))))[0]
    first = basis[:, 0]
    for _ in range(PASSES):
        product, start = np.zeros_like(basis), 0
        for block in blocks(x_VD):
            centred = block[usual[start : start + len(block)]] - mean_D
            product += centred.T @ (centred @ basis)
            start += len(block)
        basis, values, _ = np.linalg.svd(product, full_matrices=False)
        before, first = first, basis[:, 0]
        if values[0] == 0 or 1 - abs(before @ first) < SETTLED:
            break
    return np.asarray(first)
