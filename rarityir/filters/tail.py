"""`tail:τ` drops the small end of the spectrum and keeps its D/τ largest directions."""

from __future__ import annotations

import numpy as np

from rarityir.filters.band import kept_width
from rarityir.types import Ints


def tail(width: int, arg: str) -> Ints:
    """Returns the kept positions [0, k) of the falling spectrum (EmbedFilter, ablation "secondary removed")."""
    return np.arange(kept_width("tail", arg, width))
