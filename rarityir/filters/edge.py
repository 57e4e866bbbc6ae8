"""`edge:τ` drops both ends of the unembedding's spectrum and keeps its middle D/τ directions."""

from __future__ import annotations

import numpy as np

from rarityir.filters.band import kept_width
from rarityir.types import Ints


def edge(width: int, arg: str) -> Ints:
    """Returns the kept positions [⌊(D−k)/2⌋, ⌊(D−k)/2⌋ + k) of the falling spectrum (EmbedFilter, the "bulk")."""
    k = kept_width("edge", arg, width)
    start = (width - k) // 2
    return np.arange(start, start + k)
