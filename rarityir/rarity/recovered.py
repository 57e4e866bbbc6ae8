"""The gap recovered: how much of what a corpus's own IDF adds to none at all another IDF adds, with its interval."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
RESAMPLES = 10_000
LEVEL = 0.95


class Gap(NamedTuple):
    """(M − M_uniform) / (M_oracle − M_uniform): the value and its interval.

    `low` and `high` are a percentile bootstrap's over topics. `steady` is the share of resamples in which the oracle is the
    better of the two; where that is below .975 there is no gap to speak of, and the ratio says nothing.
    """

    value: float
    low: float
    high: float
    steady: float

    @property
    def sound(self) -> bool:
        """Whether the oracle is better than nothing beyond doubt."""
        return self.steady >= 0.5 + LEVEL / 2


def recovered(found_Q: Doubles, uniform_Q: Doubles, oracle_Q: Doubles, *, resamples: int = RESAMPLES, seed: int = 0) -> Gap:
    """Returns the gap that a system recovers, from its measures by topic (Q,) and those of the two it lies between."""
    gains_2Q = np.stack([found_Q - uniform_Q, oracle_Q - uniform_Q]).astype(np.float64)
    topics, rng = gains_2Q.shape[1], np.random.default_rng(seed)
    drawn = [
        rng.multinomial(topics, np.full(topics, 1 / topics), size=min(1000, resamples - start)) @ gains_2Q.T
        for start in range(0, resamples, 1000)
    ]
    gain_B, most_B = np.concatenate(drawn).T
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios_B = gain_B / most_B
        value = float(np.divide(*gains_2Q.sum(axis=1)))
    kept_B = ratios_B[np.isfinite(ratios_B)]
    low, high = np.quantile(kept_B, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) if len(kept_B) else (np.nan, np.nan)
    return Gap(value, float(low), float(high), float((most_B > 0).mean()))
