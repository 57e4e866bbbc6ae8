"""`random:τ` drops directions at random and keeps D/τ of them: the control at equal width."""

from __future__ import annotations

import numpy as np

from rarityir import registry
from rarityir.filters.band import kept_width
from rarityir.types import Ints


def random(width: int, arg: str) -> Ints:
    """Returns k positions of the spectrum drawn without replacement; `random:2,seed=7` draws others than seed 0."""
    given = registry.options(arg, {"ratio": str, "seed": int}, "random")
    k = kept_width("random", given.get("ratio", ""), width)
    return np.sort(np.random.default_rng(given.get("seed", 0)).permutation(width)[:k])
