"""`saved:FOLDER` applies a filter that was saved before, if it was fitted on this model."""

from __future__ import annotations

import numpy as np

from rarityir.filters.embed_filter import EmbedFilter
from rarityir.filters.source import Affine, Fit, Source
from rarityir.types import RarityError


def saved(arg: str) -> Fit:
    """Loads the filter of a folder; a filter of another model is an error that names both."""
    if not arg:
        raise RarityError("saved: needs the folder of a filter, such as saved:filters/edge")

    def fit(source: Source) -> Affine:
        found = EmbedFilter.load(arg)
        if source.unembedding is not None and source.before is None:
            found.check_model(source.matrix.model or "this model", source.matrix.digest)
        width = None if source.before is None else len(source.before.basis)
        if source.unembedding is not None:
            width = source.matrix.width
        if width not in (None, found.basis.shape[1]):
            raise RarityError(f"saved:{arg} was fitted on width {found.basis.shape[1]}, here it would be given {width}")
        mean = None if found.mean is None else found.mean.astype(np.float64)
        return Affine(found.basis.astype(np.float64), mean, found.fitted_on)

    return fit
