"""`head:τ` drops the large end of the spectrum and keeps its D/τ smallest directions."""

from __future__ import annotations

import numpy as np

from rarityir.filters.band import kept_width
from rarityir.types import Ints


def head(width: int, arg: str) -> Ints:
    """Returns the kept positions [D − k, D) of the falling spectrum (EmbedFilter, ablation "dominant removed")."""
    return np.arange(width - kept_width("head", arg, width), width)
