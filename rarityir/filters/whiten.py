"""`whiten:k` keeps the documents' k strongest principal components, each scaled to variance one (Su et al., arXiv 2103.15316)."""

from __future__ import annotations

import numpy as np

from rarityir.filters.band import warn_of_degenerate_cuts
from rarityir.filters.gram import axes
from rarityir.filters.source import Affine, Fit, Source
from rarityir.filters.width import at_most, width_of
from rarityir.types import RarityError


def whiten(arg: str) -> Fit:
    """Keeps (x − μ) U_k Λ_k^(−1/2)."""
    k, _ = width_of("whiten", arg)

    def fit(source: Source) -> Affine:
        moments = source.moments
        variances, directions = axes(moments.covariance, source.device)
        kept = variances[: at_most("whiten", k, len(variances))]
        if kept[-1] <= 1e-12 * kept[0]:
            rank = int((variances > 1e-12 * variances[0]).sum())
            raise RarityError(f"whiten:{k}: {moments.count} documents vary in {rank} directions only; keep at most {rank}")
        warn_of_degenerate_cuts(f"whiten:{k}", variances, np.arange(k))
        basis = directions[:k] / np.sqrt(kept)[:, None]
        return Affine(basis, moments.mean, source.read_documents())

    return fit
