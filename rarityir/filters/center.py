"""`center` takes the documents' mean off and keeps every direction."""

from __future__ import annotations

import numpy as np

from rarityir import registry
from rarityir.filters.source import Affine, Fit


def center(arg: str) -> Fit:
    """Keeps x − μ, μ over the documents."""
    registry.options(arg, {}, "center")
    return lambda source: Affine(np.eye(len(source.moments.mean)), source.moments.mean, source.read_documents())
