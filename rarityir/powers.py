"""What the power γ of token weights is worth: a system's measure at every γ, beside none of the weights, which is γ = 0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rarityir.corpus import check_judged
from rarityir.datasets.reading import check_measurable
from rarityir.measures import evaluate
from rarityir.measures.significance import holm, randomisation
from rarityir.retrieval import CUTOFF, Retriever
from rarityir.systems import System
from rarityir.types import Json, RarityError

Doubles = NDArray[np.float64]
REPLICATES = 2000
BM25, SPARSE = "bm25-idf", "sparse"


class Power(NamedTuple):
    """A measure's mean at one γ, what it is above γ = 0, that change's 95 % interval over topics, p and p by Holm."""

    gamma: float
    mean: float
    change: float
    low: float
    high: float
    p: float
    p_holm: float

    def json(self) -> dict[str, Json]:
        """Returns the row as JSON values."""
        return dict(self._asdict())


def powers(values: Mapping[float, Doubles], seed: int = 0) -> list[Power]:
    """Returns a row for each γ, in rising order, from the measure of each topic (Q,) at it; γ = 0 must be among them.

    Intervals are of bootstrapped topics, the same draws at every γ; p is Fisher's randomisation test, Holm over all γ but 0.
    """
    if 0.0 not in values:
        raise RarityError("powers are held against γ = 0, no weights at all; give 0 among them")
    base = np.asarray(values[0.0], np.float64)
    picks = np.random.default_rng(seed).integers(0, len(base), (REPLICATES, len(base)))
    gammas = sorted(values)
    changes = [np.asarray(values[gamma], np.float64) - base for gamma in gammas]
    spans = [np.quantile(d[picks].mean(axis=1), [0.025, 0.975]) for d in changes]
    tested = [i for i, gamma in enumerate(gammas) if gamma]
    p = dict.fromkeys(range(len(gammas)), 1.0) | {i: randomisation(changes[i], seed=seed) for i in tested}
    corrected = p | dict(zip(tested, holm([p[i] for i in tested]), strict=True))
    return [
        Power(gamma, float(base.mean() + d.mean()), float(d.mean()), float(low), float(high), p[i], corrected[i])
        for i, (gamma, d, (low, high)) in enumerate(zip(gammas, changes, spans, strict=True))
    ]


def weighed(system: str, weights: str | Path, gamma: float) -> System:
    """Returns `sparse:64`, any system of its kind, or `bm25-idf` with a power of weights."""
    own, plus, filters = system.partition("+")
    given = f"weights={weights},gamma={gamma:g}"
    if system == BM25:
        return System.parse(f"{BM25}:{given.removeprefix('weights=')}")
    if own.partition(":")[0] != SPARSE or ":" not in own or "weights=" in own or "gamma=" in own:
        raise RarityError(f"system {system!r}: weights go with {BM25}, or with {SPARSE}:K that has none yet")
    return System.parse(f"{own},{given}{plus}{filters}")


def measured(
    retriever: Retriever, system: str, weights: str | Path, gammas: Sequence[float], measure: str, cutoff: int = CUTOFF
) -> dict[float, Doubles]:
    """Returns the measure of each judged topic (Q,) at each γ."""
    dataset = retriever.dataset
    check_measurable(dataset)
    check_judged(dataset, retriever.corpus)
    asked = [query_id for query_id in dataset.topics if query_id in dataset.qrels]
    found: dict[float, Doubles] = {}
    for gamma in gammas:
        run = retriever.run(weighed(system, weights, gamma), cutoff)
        found[gamma] = np.asarray(evaluate(run, dataset.qrels, [measure], asked).values[measure], np.float64)
    return found
