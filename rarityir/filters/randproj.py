"""`randproj:k` projects onto k Gaussian directions, which keeps distances on average (Johnson & Lindenstrauss)."""

from __future__ import annotations

import numpy as np

from rarityir.filters.source import Affine, Fit, Source
from rarityir.filters.width import at_most, whole, width_of


def randproj(arg: str) -> Fit:
    """Keeps x R with entries of R drawn from N(0, 1/k); option `seed=0`."""
    k, given = width_of("randproj", arg, {"seed": whole(0)})

    def fit(source: Source) -> Affine:
        width = source.width
        rng = np.random.default_rng(given.get("seed", 0))
        return Affine(rng.standard_normal((at_most("randproj", k, width), width)) / np.sqrt(k), None, {})

    return fit
