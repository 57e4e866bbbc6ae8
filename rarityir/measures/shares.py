"""The share of one system's effectiveness that another one keeps, with a bootstrap interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000
LEVEL = 0.95


@dataclass(frozen=True)
class Share:
    """A ratio of two means over the same topics, and the ends of its interval."""

    value: float
    low: float
    high: float


def share(values: NDArray[np.float64], reference: NDArray[np.float64], seed: int = 0, level: float = LEVEL) -> Share | None:
    """Returns mean(values) / mean(reference) with its percentile interval over resampled topics; None where it divides by 0.

    Topics are drawn with replacement, both systems' values of a topic together (Efron & Tibshirani, An Introduction to the
    Bootstrap, 1993, chapter 13).
    """
    if not reference.sum() > 0:
        return None
    rng, ratios, count = np.random.default_rng(seed), [], len(values)
    step = max(1, 2**22 // count)
    for left in range(RESAMPLES, 0, -step):
        times = rng.multinomial(count, np.full(count, 1 / count), size=min(step, left)).astype(np.float64)
        below = times @ reference
        drawn = below > 0
        ratios.append((times @ values)[drawn] / below[drawn])
    low, high = np.quantile(np.concatenate(ratios), [(1 - level) / 2, (1 + level) / 2])
    return Share(float(values.sum() / reference.sum()), float(low), float(high))
