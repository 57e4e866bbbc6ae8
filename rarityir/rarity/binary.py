"""Area under the ROC curve and average precision of predictions of a yes or no, with intervals.

R² of labels that one row in a hundred has says nothing: its chance level depends on the share of them, and a hard 0/1
prediction throws away the order, which is what a probe gives.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rarityir.rarity.scores import LEVEL, Interval, Pair, Vectors, multiplicities
from rarityir.types import Ints

_WORK = 60_000_000  # rows times resamples, from which large inputs get fewer resamples
_FEWEST = 400


class Ranking(NamedTuple):
    """How rows of the label stand among the others in the order of predictions, over types and over occurrences.

    `positives` have the label; `share` (over types) is the average precision of a coin.
    """

    positives: int
    share: float
    auroc: Pair
    precision: Pair


def ranking(
    labels: NDArray[np.bool_], predicted: Vectors, weightings: list[Vectors], groups: Ints, *, replicates: int, seed: int
) -> Ranking | None:
    """Returns both areas with percentile intervals of a bootstrap over groups; None where one class is missing.

    Resamples are fewer for many rows, but at least 400.
    """
    if labels.all() or not labels.any():
        return None
    order = np.argsort(-predicted, kind="stable")
    ends = np.flatnonzero(np.diff(predicted[order], append=np.nan) != 0)  # ties stand or fall together
    wanted = labels[order]
    _, group = np.unique(groups, return_inverse=True)
    weights = [w[order] for w in weightings]
    count = min(replicates, max(_FEWEST, _WORK // len(labels)))
    values = np.concatenate([np.stack(areas(w[None], wanted, ends), axis=1)[0] for w in weights])
    drawn = []
    for chunk in multiplicities(int(group.max()) + 1, count, seed):
        rows = chunk[:, group[order]]
        drawn.append(np.concatenate([np.stack(areas(rows * w, wanted, ends), axis=1) for w in weights], axis=1))
    bounds = np.nanquantile(np.concatenate(drawn), ((1 - LEVEL) / 2, (1 + LEVEL) / 2), axis=0)
    found = [Interval(float(v), float(low), float(high)) for v, low, high in zip(values, *bounds, strict=True)]
    found += [Interval(np.nan, np.nan, np.nan)] * (4 - len(found))
    return Ranking(int(labels.sum()), float(labels.mean()), Pair(found[0], found[2]), Pair(found[1], found[3]))


def areas(weights_BV: Vectors, labels_V: NDArray[np.bool_], ends: Ints) -> tuple[Vectors, Vectors]:
    """Returns the area under the ROC curve and the average precision (B,) of rows in falling order of prediction.

    `ends` are the last places of runs of equal predictions. NaN where weights leave one class empty.
    """
    hits = np.cumsum(weights_BV * labels_V, axis=1)[:, ends]
    misses = np.cumsum(weights_BV * ~labels_V, axis=1)[:, ends]
    gained = np.diff(hits, axis=1, prepend=0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        roc = (np.diff(misses, axis=1, prepend=0.0) * (hits - gained / 2)).sum(axis=1) / (hits[:, -1] * misses[:, -1])
        shares = np.divide(hits, hits + misses, out=np.zeros_like(hits), where=hits + misses > 0)
        precision = (gained * shares).sum(axis=1) / hits[:, -1]
    return roc, precision
