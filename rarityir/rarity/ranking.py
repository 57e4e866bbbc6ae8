"""How well scores tell some tokens from the others: AUROC and average precision, by type and by occurrence.

A hard label's R² says nothing where positives are few: its chance level is −1, not 0. AUROC is the chance that a positive
scores above a negative, ties counting half (½ is chance); average precision is Σ (recall gained · precision) over falling
scores, ties as one step, and its chance level is the share of positives.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rarityir.rarity.scores import Interval
from rarityir.types import Ints, RarityError

RESAMPLES = 1000


class Told(NamedTuple):
    """How well scores tell positives: AUROC and average precision, and the share of positives, the latter's chance level."""

    auroc: Interval
    precision: Interval
    share: float
    positives: int


def tell(
    scores_N: NDArray[Any],
    labels_N: NDArray[np.bool_],
    *,
    weights: NDArray[Any] | None = None,
    groups: Ints | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Told:
    """Returns AUROC and average precision of (N,) scores against (N,) labels.

    Args:
        weights: what each row counts, such as its occurrences; 1 where nothing is said.
        groups: rows that are drawn together; each row alone where nothing is said.
        seed: of the resamples of groups, whose 2.5th and 97.5th percentiles are the interval.

    Raises:
        RarityError: if there are no positives or no negatives.
    """
    labels = np.asarray(labels_N, bool)
    weight = np.ones(len(labels)) if weights is None else np.asarray(weights, np.float64)
    steps = _Steps(np.asarray(scores_N, np.float64), labels)
    value = steps.measures(weight)
    if not np.isfinite(value).all():
        raise RarityError("all rows that count are of one kind, so there is nothing to tell apart; take more rows")
    share = float(weight[labels].sum() / weight.sum())
    member = np.arange(len(labels)) if groups is None else np.unique(groups, return_inverse=True)[1]
    rng, drawn = np.random.default_rng(seed), np.empty((resamples, 2))
    count = int(member.max()) + 1
    for i in range(resamples):
        drawn[i] = steps.measures(weight * np.bincount(rng.integers(count, size=count), minlength=count)[member])
    low, high = np.nanquantile(drawn, (0.025, 0.975), axis=0) if resamples else (value, value)
    auroc, precision = (Interval(float(value[i]), float(low[i]), float(high[i])) for i in (0, 1))
    return Told(auroc, precision, share, int(labels.sum()))


class _Steps:
    """Scores sorted once, so that each weighing of the rows costs a pass."""

    def __init__(self, scores_N: NDArray[np.float64], labels_N: NDArray[np.bool_]) -> None:
        if len(scores_N) != len(labels_N) or not np.isfinite(scores_N).all():
            raise RarityError(f"{len(labels_N)} labels need as many finite scores, not {len(scores_N)}")
        self.order = np.argsort(-scores_N, kind="stable")
        falling = scores_N[self.order]
        self.starts = np.flatnonzero(np.r_[True, falling[1:] != falling[:-1]])[: len(falling)]
        self.labels = labels_N[self.order]

    def measures(self, weight_N: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns AUROC and average precision, NaN where all rows that count are of one kind."""
        weight = weight_N[self.order]
        good = np.add.reduceat(np.where(self.labels, weight, 0.0), self.starts)
        bad = np.add.reduceat(np.where(self.labels, 0.0, weight), self.starts)
        goods, bads = good.sum(), bad.sum()
        if not (goods > 0 and bads > 0):
            return np.full(2, np.nan)
        found, passed = np.cumsum(good), np.cumsum(bad)
        auroc = float((good * (bads - passed + bad / 2)).sum() / (goods * bads))
        seen = found + passed
        precision = np.divide(found, seen, out=np.zeros_like(seen), where=seen > 0)
        return np.array([auroc, float((good * precision).sum() / goods)])
