"""`random:τ` drops directions at random and keeps D/τ of them: the control at equal width."""

from __future__ import annotations

import numpy as np

from rarityir.filters.band import Band, kept_width, share
from rarityir.filters.unembedding import reading
from rarityir.filters.width import whole
from rarityir.types import Ints


def random(arg: str) -> Band:
    """Keeps k positions of the spectrum drawn without replacement; `random:2,seed=7` draws others than seed 0."""
    ratio, given = share("random", arg, {"seed": whole(0)})

    def positions(width: int) -> Ints:
        drawn = np.random.default_rng(given.get("seed", 0)).permutation(width)
        return np.sort(drawn[: kept_width("random", ratio, width)])

    return Band(f"random:{arg}", positions, reading(given))
