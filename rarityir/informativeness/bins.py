"""Bins of frequency: tokens that occur about as often as each other, which corrections and controls are made within."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rarityir.types import Ints, RarityError

Doubles = NDArray[np.float64]
BINS, LEAST, QUANTILE = 200, 50, 0.03  # arXiv 2212.09663


def frequency_bins(n_V: Ints, bins: int = BINS, least: int = LEAST) -> Ints:
    """Returns each token's bin (V,), 0 the rarest; −1 for tokens that never occur.

    Bins have equal width in log n between 1 and the largest n. From the most frequent down they are joined until each has at
    least so many tokens; what is left over at the rare end joins the last.
    """
    if bins < 1 or least < 1:
        raise RarityError(f"{bins} bins of at least {least} tokens: both are 1 or more")
    n = np.asarray(n_V)
    seen = np.flatnonzero(n > 0)
    found = np.full(len(n), -1, np.int64)
    if not len(seen):
        return found
    top = max(np.log(n[seen].max()), np.finfo(float).tiny)
    place = np.minimum((np.log(n[seen]) / top * bins).astype(np.int64), bins - 1)
    sizes = np.bincount(place, minlength=bins)
    joined, held, number = np.empty(bins, np.int64), 0, 0
    for b in range(bins - 1, -1, -1):
        joined[b] = number
        held += sizes[b]
        if held >= least:
            held, number = 0, number + 1
    if held > 0 and number:  # too few are left: they join the bin above
        joined[joined == number] = number - 1
    found[seen] = joined[place]
    found[seen] = found[seen].max() - found[seen]
    return found


def quantile_curve(values_V: Doubles, bin_V: Ints, q: float = QUANTILE) -> Doubles:
    """Returns the q quantile of the values in each token's bin (V,); NaN for tokens in no bin."""
    if not 0 <= q <= 1:
        raise RarityError(f"a quantile of {q} is none; give one between 0 and 1")
    curve = np.full(len(values_V), np.nan)
    for b in np.unique(bin_V[bin_V >= 0]):
        inside = bin_V == b
        curve[inside] = np.quantile(values_V[inside], q)
    return curve


def permuted_within(values_V: Doubles, bin_V: Ints, seed: int) -> Doubles:
    """Returns the values (V,) dealt anew among the tokens of each bin: all that is left of them is their frequency."""
    rng, found = np.random.default_rng(seed), np.array(values_V, np.float64)
    for b in np.unique(bin_V[bin_V >= 0]):
        inside = np.flatnonzero(bin_V == b)
        found[inside] = found[rng.permutation(inside)]
    return found
