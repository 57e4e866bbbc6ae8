"""`mid:τ` drops the middle of the spectrum and keeps D/τ directions at its two ends: the inverse control of `edge`."""

from __future__ import annotations

import numpy as np

from rarityir.filters.band import Band, by_share


def mid(arg: str) -> Band:
    """Keeps k positions at the ends, ⌊(D−k)/2⌋ … dropped between; for τ = 2 and even D the complement of `edge:2`."""
    return by_share("mid", arg, lambda width, k: np.r_[np.arange(k // 2), np.arange(width - k + k // 2, width)])
