"""The gap recovered: how much of what a corpus's own IDF adds to none at all another IDF adds, with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
RESAMPLES = 10_000
LEVEL = 0.95
_STEP = 500  # resamples drawn at a time


class Gap(NamedTuple):
    """(M − M_uniform) / (M_oracle − M_uniform), and the ends of its interval: percentiles of a bootstrap over topics.

    `steady` is the share of resamples in which the oracle is better than uniform. Where that is below .975 there is no gap to
    speak of, and the ratio says nothing.
    """

    value: float
    low: float
    high: float
    steady: float

    @property
    def sound(self) -> bool:
        """Whether there is a gap beyond doubt."""
        return self.steady >= 0.5 + LEVEL / 2


def recovered(datasets: Sequence[tuple[Doubles, Doubles, Doubles]], *, resamples: int = RESAMPLES, seed: int = 0) -> Gap:
    """Returns the gap that a system recovers on one dataset or on the mean of several.

    Args:
        datasets: of each the measure by topic (Q,) of the system, of uniform IDF and of the oracle. Topics are drawn with
            replacement within their dataset, all three values together.
    """
    gains = [np.stack([found_Q - uniform_Q, oracle_Q - uniform_Q]) for found_Q, uniform_Q, oracle_Q in datasets]
    mean_2 = np.mean([gain_2Q.mean(axis=1) for gain_2Q in gains], axis=0)
    rng, drawn_2B = np.random.default_rng(seed), np.zeros((2, resamples))
    for gain_2Q in gains:
        count = gain_2Q.shape[1]
        for start in range(0, resamples, _STEP):
            size = min(_STEP, resamples - start)
            times = rng.multinomial(count, np.full(count, 1 / count), size=size)
            drawn_2B[:, start : start + size] += gain_2Q @ times.T / count
    with np.errstate(divide="ignore", invalid="ignore"):
        value, ratios_B = float(mean_2[0] / mean_2[1]), drawn_2B[0] / drawn_2B[1]
    kept_B = ratios_B[np.isfinite(ratios_B)]
    low, high = np.quantile(kept_B, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) if len(kept_B) else (np.nan, np.nan)
    return Gap(value, float(low), float(high), float((drawn_2B[1] > 0).mean()))
