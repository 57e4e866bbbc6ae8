"""`abtt:d`, "all but the top": takes the documents' mean and their d strongest principal components off.

Source: Mu & Viswanath, "All-but-the-Top", ICLR 2018. The D − d other components are kept as coordinates, which compare as
the vectors with the components taken out do.
"""

from __future__ import annotations

import numpy as np

from rarityir.filters.band import warn_of_degenerate_cuts
from rarityir.filters.gram import axes
from rarityir.filters.source import Affine, Fit, Source
from rarityir.filters.width import width_of
from rarityir.types import RarityError


def abtt(arg: str) -> Fit:
    """Drops the mean and d components."""
    d, _ = width_of("abtt", arg, verb="drop")

    def fit(source: Source) -> Affine:
        moments = source.moments
        if d >= len(moments.mean):
            raise RarityError(f"abtt:{d} drops all {len(moments.mean)} directions there are")
        variances, directions = axes(moments.covariance, source.device)
        warn_of_degenerate_cuts(f"abtt:{d}", variances, np.arange(d, len(variances)))
        return Affine(np.ascontiguousarray(directions[d:]), moments.mean, source.read_documents())

    return fit
