"""`center` takes the documents' mean off and keeps every direction."""

from __future__ import annotations

import numpy as np

from rarityir.filters.source import Affine, Fit
from rarityir.types import RarityError


def center(arg: str) -> Fit:
    """Keeps x − μ, μ over the documents."""
    if arg:
        raise RarityError(f"center takes no argument, not {arg!r}")
    return lambda source: Affine(np.eye(len(source.moments.mean)), source.moments.mean, source.read_documents())
