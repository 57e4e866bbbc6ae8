"""`tail:τ` drops the small end of the spectrum and keeps its D/τ largest directions."""

from __future__ import annotations

import numpy as np

from rarityir.filters.band import Band, by_share


def tail(arg: str) -> Band:
    """Keeps positions [0, k) of the falling spectrum (EmbedFilter, ablation "secondary removed")."""
    return by_share("tail", arg, lambda width, k: np.arange(k))
