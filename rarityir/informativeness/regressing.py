"""Weights of tokens beside the linear probe of rarity: what each has of the IDF, and what a model's rows tell of each.

How often a token occurs is in all of them. So each figure stands beside the one that is left when log n is partialled out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rarityir.informativeness.comparing import Comparison, compare
from rarityir.rarity.probe import RarityProbe
from rarityir.rarity.sample import Sample
from rarityir.types import Json, RarityError

Doubles = NDArray[np.float64]
TARGET = "log_idf"
REPLICATES = 200


class Regression(NamedTuple):
    """Of one weight: how it goes with the IDF, how a ridge of the rows goes with it out of fold, and that ridge's R²."""

    name: str
    with_idf: Comparison
    with_probe: Comparison
    r2: float

    def json(self) -> dict[str, Json]:
        """Returns everything as JSON values; what is not defined is None."""

        def shown(found: Comparison) -> dict[str, Json]:
            return {key: value if np.isfinite(value) else None for key, value in found._asdict().items()}

        return {"name": self.name, "r2": self.r2, "with_idf": shown(self.with_idf), "with_probe": shown(self.with_probe)}


def regress(sample: Sample, weights: Mapping[str, NDArray[Any]], folds: int = 5, seed: int = 0) -> list[Regression]:
    """Returns the IDF itself, and then each weight (V,), over the sample's rows that have a value.

    The ridge is `RarityProbe`'s: groups of one written form are never parted, penalties are chosen inside the training rows.

    Raises:
        RarityError: where rows are occurrences in context, or a weight is not of the sample's vocabulary.
    """
    if sample.x.contextual:
        raise RarityError(f"{sample.x.name} rows are occurrences, and weights are of types; take input or output rows")
    idf_N, n_N = sample.target(TARGET), sample.stats.cf[sample.types]
    found = []
    for name, value_V in {TARGET: sample.stats.target(TARGET), **weights}.items():
        if len(value_V) < int(sample.types.max()) + 1:
            raise RarityError(f"{name} has {len(value_V)} weights, the rows' tokens go up to {int(sample.types.max())}")
        y_N = np.asarray(value_V, np.float64)[sample.types]
        some = np.flatnonzero(np.isfinite(y_N))
        if len(some) <= sample.x.shape[1]:
            raise RarityError(f"{name} has a value for {len(some)} rows of width {sample.x.shape[1]}; read more documents")
        probe = RarityProbe(name, folds, seed, bands=1, replicates=REPLICATES, leakage=False)
        probe.fit(sample.x.take(some), y_N[some], groups=sample.groups[some], counts=sample.counts[some])
        judged = probe.result.folds >= 0
        told = compare(probe.result.predicted[judged, 0], y_N[some][judged], n_N[some][judged])
        own = compare(y_N[some], idf_N[some], n_N[some])
        found.append(Regression(name, own, told, float(probe.r2_type.value)))
    return found
