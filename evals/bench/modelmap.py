"""Distances between 1,000 models over 10,000 texts, from log-likelihoods that are already there: `ModelMap.kl` and its parts.

The peer is scipy's `cdist` (squared Euclidean) on the same coordinates, on the first 200 models, scaled to all pairs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist

from evals.bench.goals import at_most
from rarityir.modelmap import ModelMap, ResamplePlan

MODELS, TEXTS, FEW = 1_000, 10_000, 200
GOALS = {"distances s": at_most(5)}


def timed(what: Callable[[], Any], runs: int = 3) -> tuple[float, Any]:
    """The least seconds of some runs, and what the last gave."""
    seconds, found = [], None
    for _ in range(runs):
        started = time.perf_counter()
        found = what()
        seconds.append(time.perf_counter() - started)
    return min(seconds), found


def bench() -> dict[str, float | str]:
    rng = np.random.default_rng(0)
    values = 40 * rng.standard_normal((MODELS, TEXTS)) * np.exp(rng.standard_normal(TEXTS)) - 700
    build, found = timed(lambda: ModelMap.from_matrix([str(i) for i in range(MODELS)], values, 950.0), 1)
    seconds, apart = timed(lambda: found.kl("nats/text"))
    few = found.values[:FEW] - found.values[:FEW].mean(axis=1, keepdims=True)
    peer, theirs = timed(lambda: cdist(few, few, "sqeuclidean") / (2 * TEXTS), 1)
    plan, _ = timed(lambda: ResamplePlan.fit(values, "kl"), 1)
    return {
        "models": str(MODELS),
        "texts": str(TEXTS),
        "clip s": build,
        "distances s": seconds,
        "cdist s, scaled": peer * (MODELS / FEW) ** 2,
        "largest relative difference": float(np.abs(apart[:FEW, :FEW] - theirs).max() / theirs.max()),
        "plan kl s": plan,
    }
