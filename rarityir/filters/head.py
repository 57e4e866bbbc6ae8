"""`head:τ` drops the large end of the spectrum and keeps its D/τ smallest directions."""

from __future__ import annotations

import numpy as np

from rarityir.filters.band import Band, by_share


def head(arg: str) -> Band:
    """Keeps positions [D − k, D) of the falling spectrum (EmbedFilter, ablation "dominant removed")."""
    return by_share("head", arg, lambda width, k: np.arange(width - k, width))
