"""How two weights of the same tokens go together, also beyond what both owe to how often tokens occur."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rarityir.types import Ints, RarityError

Doubles = NDArray[np.float64]


class Comparison(NamedTuple):
    """Over `tokens` that have both: R² and slope of values on the other, Spearman's ρ, and ρ with log n partialled out."""

    tokens: int
    r2: float
    slope: float
    spearman: float
    partial: float
    with_log_n: float  # Spearman's ρ of the values with log n


def compare(values_V: Doubles, other_V: Doubles, n_V: Ints) -> Comparison:
    """Compares values (V,) with others (V,) of the same tokens, which occur n (V,) times."""
    if not np.shape(values_V) == np.shape(other_V) == np.shape(n_V):
        raise RarityError(f"{np.shape(values_V)} values, {np.shape(other_V)} others and {np.shape(n_V)} counts do not pair up")
    both = np.isfinite(values_V) & np.isfinite(other_V) & (np.asarray(n_V) > 0)
    if both.sum() < 3:
        raise RarityError(f"{int(both.sum())} tokens have both values; at least 3 are needed to compare them")
    x, y, n = (np.asarray(row, np.float64)[both] for row in (other_V, values_V, n_V))
    ranks = [rank(row) for row in (y, x, n)]
    yx, yn, xn = (correlation(ranks[i], ranks[j]) for i, j in ((0, 1), (0, 2), (1, 2)))
    rest = np.sqrt(max(0.0, 1 - yn**2) * max(0.0, 1 - xn**2))
    away = _away(x)
    slope = float(away @ (y - y.mean()) / max(float((away**2).sum()), 1e-300))
    partial = float((yx - yn * xn) / rest) if rest > 1e-12 else float("nan")
    return Comparison(int(both.sum()), correlation(y, x) ** 2, slope, yx, partial, yn)


def rank(values: Doubles) -> Doubles:
    """Returns ranks (U,) from 0, equal values sharing their mean rank."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return np.asarray((last - (count + 1) / 2)[place], np.float64)


def correlation(x: Doubles, y: Doubles) -> float:
    """Returns Pearson's r, 0 where one side does not vary."""
    a, b = _away(x), _away(y)
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b / size) if size > 0 else 0.0


def _away(x: Doubles) -> Doubles:
    """Returns values less their mean, exactly 0 where all are equal: their mean is rounded, and need not be one of them."""
    return np.zeros(len(x)) if not len(x) or np.ptp(x) == 0 else np.asarray(x - x.mean())
