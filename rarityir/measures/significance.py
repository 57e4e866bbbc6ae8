"""Paired tests against a baseline, seeded and corrected: ranx's randomisation test ignores its seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rarityir.types import Scores

PERMUTATIONS = 10_000
ALPHA = 0.05


@dataclass(frozen=True)
class Comparison:
    """A system against the baseline on one measure: mean difference and two-sided p-values, raw and Holm-corrected."""

    system: str
    measure: str
    difference: float
    t: float
    fisher: float
    t_holm: float
    fisher_holm: float

    def mark(self, alpha: float = ALPHA) -> str:
        """Returns + or − where the randomisation test, corrected, finds the system better or worse; else nothing."""
        return "" if self.fisher_holm >= alpha else "+" if self.difference > 0 else "-"


def compare(scores: Sequence[Scores], baseline: str, measure: str, seed: int = 0) -> list[Comparison]:
    """Returns every other system's comparison with the baseline; Holm's correction is over these systems."""
    base = next(s for s in scores if s.system == baseline).values[measure].astype(np.float64)
    others = [s for s in scores if s.system != baseline]
    differences = [s.values[measure].astype(np.float64) - base for s in others]
    t, fisher = [paired_t(d) for d in differences], [randomisation(d, seed=seed) for d in differences]
    return [
        Comparison(s.system, measure, float(d.mean()), *p)
        for s, d, p in zip(others, differences, zip(t, fisher, holm(t), holm(fisher), strict=True), strict=True)
    ]


def paired_t(differences: NDArray[np.float64]) -> float:
    """Returns the two-sided p-value of Student's paired t-test; 1 where no topic differs or there is one topic."""
    from scipy.stats import ttest_1samp

    if len(differences) < 2 or not differences.any():
        return 1.0
    if np.ptp(differences) <= 1e-12 * np.abs(differences).max():
        return 0.0
    return float(ttest_1samp(differences, 0.0).pvalue)


def randomisation(differences: NDArray[np.float64], permutations: int = PERMUTATIONS, seed: int = 0) -> float:
    """Returns the two-sided p-value of Fisher's paired randomisation test (Smucker et al., CIKM 2007).

    The signs of the differences are flipped at random `permutations` times and p = (b + 1) / (B + 1); where all sign
    patterns are no more than that, each is tried once and p is exact.
    """
    d = differences[differences != 0]
    if not len(d):
        return 1.0
    observed = abs(d.sum()) - 1e-12 * np.abs(d).sum()  # a pattern that differs by rounding alone is as extreme
    if 2 ** len(d) <= permutations:
        signs = 1 - 2 * ((np.arange(2 ** len(d))[:, None] >> np.arange(len(d))) & 1)
        return float((np.abs(signs @ d) >= observed).mean())
    rng, extreme, left = np.random.default_rng(seed), 0, permutations
    while left:
        count = min(left, max(1, 2**22 // len(d)))
        signs = rng.integers(0, 2, size=(count, len(d)), dtype=np.int8) * 2 - 1
        extreme += int((np.abs(signs @ d) >= observed).sum())
        left -= count
    return (extreme + 1) / (permutations + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Returns p-values under Holm's step-down correction (Scandinavian Journal of Statistics, 1979)."""
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)) if len(p) else p
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(stepped, 1.0)
    return [float(value) for value in corrected]
