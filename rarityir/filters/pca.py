"""`pca:k` keeps the documents' k strongest principal components, their mean taken off."""

from __future__ import annotations

import numpy as np

from rarityir.filters.band import warn_of_degenerate_cuts
from rarityir.filters.gram import axes
from rarityir.filters.source import Affine, Fit, Source
from rarityir.filters.width import at_most, width_of


def pca(arg: str) -> Fit:
    """Keeps (x − μ) U_k."""
    k, _ = width_of("pca", arg)

    def fit(source: Source) -> Affine:
        moments = source.moments
        variances, directions = axes(moments.covariance, source.device)
        at_most("pca", k, len(directions))
        warn_of_degenerate_cuts(f"pca:{k}", variances, np.arange(k))
        return Affine(directions[:k], moments.mean, source.read_documents())

    return fit
