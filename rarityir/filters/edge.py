"""`edge:τ` drops both ends of the unembedding's spectrum and keeps its middle D/τ directions."""

from __future__ import annotations

import numpy as np

from rarityir.filters.band import Band, by_share


def edge(arg: str) -> Band:
    """Keeps positions [⌊(D−k)/2⌋, ⌊(D−k)/2⌋ + k) of the falling spectrum (EmbedFilter, the "bulk")."""
    return by_share("edge", arg, lambda width, k: np.arange((width - k) // 2, (width - k) // 2 + k))
