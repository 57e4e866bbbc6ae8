"""How good predictions are, by types and by occurrences, with intervals: never one number without the other.

A few hundred types are half of all running text and one in a hundred rows of a regression. R² over types hides what becomes
of them; R² weighted by occurrences is what a reader of text meets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rarityir.types import Ints

Vectors = NDArray[np.float64]
REPLICATES = 2000
LEVEL = 0.95
SHARES = (0.5, 0.8, 0.95, 1.0)  # of occurrences, where the bands of frequency end
NAMES = ("head", "upper", "middle", "tail", "unseen")
_ENTRIES = 1 << 21  # of multiplicities at a time


class Interval(NamedTuple):
    """A value and the 95 % interval of a bootstrap over groups; NaN where there is nothing to compute it from."""

    value: float
    low: float
    high: float


NOTHING = Interval(np.nan, np.nan, np.nan)


class Pair(NamedTuple):
    """A score over types (each row once) and over occurrences (each row as often as it occurs)."""

    type: Interval
    occurrence: Interval


class Scores(NamedTuple):
    """What else there is to say of predictions under one weighting.

    `slope` and `intercept` are of the actual on the predicted values: 1 and 0 where predictions can be taken at their word.
    `spread` is the slope of predicted on actual values: what is left of differences. `mae` is the mean absolute error.
    """

    spearman: float
    slope: float
    intercept: float
    spread: float
    mae: float
    bias: float


class Band(NamedTuple):
    """Rows of one range of frequency: how many, what share of occurrences, mean actual and predicted values, what is wrong.

    `bias_…` is the mean of predicted − actual, each row counted once or as often as it occurs. `error` is the band's share of
    all squared error of occurrences. `first` names rows, the most frequent first.
    """

    name: str
    rows: int
    least: float
    most: float
    share: float
    actual: float
    predicted: float
    bias_type: float
    bias_occurrence: float
    mae: float
    error: float
    first: tuple[int, ...]


def r2(y: Vectors, predicted: Vectors, weights: Vectors | None = None) -> float:
    """Returns 1 − Σw(y − ŷ)² / Σw(y − ȳ)², ȳ the weighted mean; NaN where y does not vary."""
    w = np.ones(len(y)) if weights is None else weights
    mean = (w @ y) / w.sum()
    total = 0.0 if _constant(y, w) else w @ (y - mean) ** 2
    return float(1 - (w @ (y - predicted) ** 2) / total) if total > 0 else float("nan")


def describe(y: Vectors, predicted: Vectors, weights: Vectors | None = None) -> Scores:
    """Returns the other scores; Spearman's correlation under weights is the weighted correlation of the plain ranks."""
    from scipy.stats import rankdata

    w = np.ones(len(y)) if weights is None else weights
    w = w / w.sum()
    _, ranked = _moments(rankdata(y), rankdata(predicted), w)
    means, (yy, pp, yp) = _moments(y, predicted, w)
    slope = yp / pp if pp > 0 else np.nan
    return Scores(
        spearman=float(ranked[2] / np.sqrt(ranked[0] * ranked[1])) if ranked[0] * ranked[1] > 0 else float("nan"),
        slope=float(slope),
        intercept=float(means[0] - slope * means[1]),
        spread=float(yp / yy) if yy > 0 else float("nan"),
        mae=float(w @ np.abs(y - predicted)),
        bias=float(means[1] - means[0]),
    )


def _moments(a: Vectors, b: Vectors, w: Vectors) -> tuple[tuple[float, float], tuple[float, float, float]]:
    mean_a, mean_b = float(w @ a), float(w @ b)
    a, b = (np.zeros(len(x)) if _constant(x, w) else x - mean for x, mean in ((a, mean_a), (b, mean_b)))
    return (mean_a, mean_b), (float(w @ a**2), float(w @ b**2), float(w @ (a * b)))


def _constant(x: Vectors, w: Vectors) -> bool:
    """Whether what has weight is of one value: its mean is rounded, so squares about it need not be 0."""
    seen = x[w > 0]
    return not len(seen) or bool(np.ptp(seen) == 0)


def frequency_bands(y: Vectors, predicted: Vectors, counts: Vectors, rows: Ints) -> list[Band]:
    """Returns the table of bias: the head (the most frequent types that are half of all text), three bands below, the unseen.

    `rows` names the rows. Types of one count are never parted: they belong to the band where the last of them ends.
    """
    order = np.lexsort((rows, -counts))
    falling = counts[order]
    shares = np.cumsum(falling) / falling.sum()
    squared = counts * (y - predicted) ** 2
    # The first type that brings a share about belongs to the band, and so do all of its count.
    ends = [int(np.searchsorted(-falling, -falling[np.searchsorted(shares, s - 1e-12)], side="right")) for s in SHARES[:-1]]
    seen = int((falling > 0).sum())
    bounds = [0, *ends, seen, len(order)]
    found = []
    for name, start, end in zip(NAMES, bounds[:-1], bounds[1:], strict=True):
        inside = order[start:end]
        if not len(inside):
            continue
        n, gap = counts[inside], predicted[inside] - y[inside]
        mass = float(n.sum())
        found.append(
            Band(
                name=name,
                rows=len(inside),
                least=float(n.min()),
                most=float(n.max()),
                share=mass / float(counts.sum()),
                actual=float(y[inside].mean()),
                predicted=float(predicted[inside].mean()),
                bias_type=float(gap.mean()),
                bias_occurrence=float(n @ gap / mass) if mass else float("nan"),
                mae=float(np.abs(gap).mean()),
                error=float(squared[inside].sum() / squared.sum()) if squared.any() else float("nan"),
                first=tuple(rows[inside[:20]].tolist()),
            )
        )
    return found


def multiplicities(groups: int, count: int, seed: int) -> Iterator[Vectors]:
    """Yields how often each group is drawn (b, G) in resamples of as many groups, some resamples at a time."""
    rng = np.random.default_rng([seed, 4])
    step = max(1, _ENTRIES // groups)
    for at in range(0, count, step):
        some = min(step, count - at)
        found = np.empty((some, groups))
        for i in range(some):
            found[i] = np.bincount(rng.integers(0, groups, groups), minlength=groups)
        yield found


def intervals(
    sums_GC: Vectors, statistics: Callable[[Vectors], Vectors], *, replicates: int = REPLICATES, seed: int = 0
) -> list[Interval]:
    """Returns statistics of summed columns with bias-corrected, accelerated intervals (Efron, 1987) of a bootstrap over groups.

    `statistics` maps sums (…, C) to values (…, S). One group makes no interval.
    """
    total = sums_GC.sum(axis=0)
    values = statistics(total)
    if len(sums_GC) < 2:
        return [Interval(float(value), np.nan, np.nan) for value in values]
    drawn = np.concatenate([statistics(m @ sums_GC) for m in multiplicities(len(sums_GC), replicates, seed)])
    left_out = np.concatenate([statistics(total - sums_GC[at : at + 65536]) for at in range(0, len(sums_GC), 65536)])
    return [Interval(float(v), *corrected(float(v), drawn[:, i], left_out[:, i])) for i, v in enumerate(values)]


def corrected(value: float, drawn_B: Vectors, left_out_G: Vectors) -> tuple[float, float]:
    """Returns the BCa bounds of a value from its resamples and from the values without each group."""
    from scipy.special import ndtr, ndtri

    drawn = drawn_B[np.isfinite(drawn_B)]
    if not np.isfinite(value) or not len(drawn):
        return (float("nan"), float("nan"))
    below = (np.count_nonzero(drawn < value) + 0.5 * np.count_nonzero(drawn == value)) / len(drawn)
    shift = ndtri(np.clip(below, 0.5 / len(drawn), 1 - 0.5 / len(drawn)))
    away = np.nanmean(left_out_G) - left_out_G[np.isfinite(left_out_G)]
    spread = (away**2).sum()
    acceleration = (away**3).sum() / (6 * spread**1.5) if spread > 0 else 0.0
    z = shift + ndtri(np.array([(1 - LEVEL) / 2, (1 + LEVEL) / 2]))
    low, high = np.quantile(drawn, ndtr(shift + z / np.maximum(1 - acceleration * z, 0.1)))
    return (float(low), float(high))
