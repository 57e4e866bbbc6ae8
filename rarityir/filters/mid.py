"""`mid:τ` drops the middle of the spectrum and keeps D/τ directions at its two ends: the inverse control of `edge`."""

from __future__ import annotations

import numpy as np

from rarityir.filters.band import kept_width
from rarityir.types import Ints


def mid(width: int, arg: str) -> Ints:
    """Returns k positions at the ends, ⌊(D−k)/2⌋ … dropped between; for τ = 2 and even D the complement of `edge:2`."""
    k = kept_width("mid", arg, width)
    top = k // 2
    return np.concatenate([np.arange(top), np.arange(width - k + top, width)])
