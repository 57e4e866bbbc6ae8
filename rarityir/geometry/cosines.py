"""Cosines of all tokens with directions, beside what isotropic rows would give.

For rows that point anywhere alike, a cosine's square is Beta(1/2, (D − 1)/2), its mean 0 and its variance 1/D; the r-th
largest of V such cosines is the quantile at an order statistic of V uniform draws. So the line to compare with needs no
sampling.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rarityir.geometry.nearest import Neighbours
from rarityir.geometry.rows import ENTRIES, Vectors, unit_blocks
from rarityir.types import Json

BINS = 2000  # of the cosines' histogram over [−1, 1]
_POINTS = 4096  # of the integral over an order statistic
QUANTILES = (0.001, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999)


class Isotropic(NamedTuple):
    """Isotropic rows' cosines: their standard deviation, the largest of V, the mean of the k largest and of those' pairs."""

    sd: float
    top: float
    nearest: float
    pairs: float


@dataclass(frozen=True, eq=False)
class Cosines:
    """Moments (n,) of each direction's cosines with all tokens, and the histogram (BINS,) of all of them together."""

    mean: Vectors
    sd: Vectors
    skew: Vectors
    kurtosis: Vectors  # 3 for a normal distribution
    histogram: NDArray[np.int64] = field(repr=False)

    def quantiles(self, shares: tuple[float, ...] = QUANTILES) -> Vectors:
        """Returns the quantiles of all cosines, to a bin's width of 0.001."""
        edges = np.linspace(-1, 1, BINS + 1)
        cumulated = np.concatenate([[0.0], np.cumsum(self.histogram) / self.histogram.sum()])
        return np.interp(shares, cumulated, edges)

    def json(self) -> dict[str, Json]:
        """Returns the means over directions, and the quantiles."""
        found = {name: float(getattr(self, name).mean()) for name in ("mean", "sd", "skew", "kurtosis")}
        return {**found, "quantiles": dict(zip(map(str, QUANTILES), self.quantiles().round(4).tolist(), strict=True))}


def cosines(found: Neighbours, block: int = 0) -> Cosines:
    """Returns the distribution of the cosines of all allowed rows with the directions of a search."""
    n, width = found.directions.shape
    sums, count, histogram = np.zeros((4, n)), 0, np.zeros(BINS, np.int64)
    block = block or max(1, min(ENTRIES // width, ENTRIES // n))
    for ids, u_BD in unit_blocks(found.rows, found.allowed, found.centre, block):
        c_nB = found.directions @ u_BD.T
        count += len(ids)
        power = np.ones_like(c_nB)
        for row in sums:
            power *= c_nB
            row += power.sum(axis=1)
        places = np.clip(((c_nB + 1) * (BINS / 2)).astype(np.int64), 0, BINS - 1)
        histogram += np.bincount(places.ravel(), minlength=BINS)
    one, two, three, four = sums / count
    variance = np.maximum(two - one**2, np.finfo(float).tiny)
    skew = (three - 3 * one * two + 2 * one**3) / variance**1.5
    kurtosis = (four - 4 * one * three + 6 * one**2 * two - 3 * one**4) / variance**2
    return Cosines(one, np.sqrt(variance), skew, kurtosis, histogram)


def isotropic(tokens: int, width: int, k: int = 10) -> Isotropic:
    """Returns what `tokens` rows drawn uniformly on the sphere in `width` dimensions have to any direction, in closed form.

    The mean cosine among the pairs of the k nearest is the mean product of two of their cosines with the direction: what is
    left of each row is perpendicular to it and independent of the others.
    """
    largest = [_order_mean(rank, tokens, width) for rank in range(1, k + 1)]
    nearest = float(np.mean(largest))
    return Isotropic(width**-0.5, largest[0], nearest, nearest**2)


def isotropic_quantiles(shares: NDArray[np.float64] | tuple[float, ...], width: int) -> Vectors:
    """Returns the quantiles of an isotropic row's cosine."""
    from scipy.special import betaincinv

    p = np.asarray(shares, np.float64)
    tail = np.minimum(p, 1 - p)
    size = np.sqrt(1 - betaincinv((width - 1) / 2, 0.5, np.minimum(2 * tail, 1.0)))
    return np.asarray(np.where(p < 0.5, -size, size))


def _order_mean(rank: int, tokens: int, width: int) -> float:
    """The expected cosine of the rank-th nearest: the upper quantile at U ~ Beta(rank, V − rank + 1), averaged."""
    from scipy.special import betaincinv

    u = (np.arange(_POINTS) + 0.5) / _POINTS
    above = betaincinv(rank, tokens - rank + 1, u)
    size = np.sqrt(1 - betaincinv((width - 1) / 2, 0.5, np.minimum(2 * np.minimum(above, 1 - above), 1.0)))
    return float(np.where(above < 0.5, size, -size).mean())
