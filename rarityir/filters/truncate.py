"""`truncate:k` keeps the first k coordinates, as Matryoshka-trained models allow (Kusupati et al., arXiv 2205.13147)."""

from __future__ import annotations

import numpy as np

from rarityir.filters.source import Affine, Fit, Source
from rarityir.filters.width import at_most, width_of


def truncate(arg: str) -> Fit:
    """Keeps x[:k]; for a model not trained for it, a control: coordinates as good as any others."""
    k, _ = width_of("truncate", arg)

    def fit(source: Source) -> Affine:
        width = source.width
        return Affine(np.eye(at_most("truncate", k, width), width), None, {})

    return fit
