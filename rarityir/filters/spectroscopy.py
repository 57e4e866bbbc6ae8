"""`spectroscopy:k` drops the directions that move the most frequent tokens' logits most, and keeps k of the others.

Source: logit spectroscopy in EmbedFilter (arXiv 2606.07502, §4). There Δπ(i) is defined by taking direction i out of the
"average token" h = log p̂ · W⁺; its singular value cancels, which leaves |⟨log p̂, u_i⟩| Σ_{j frequent} |U_ji| up to a
constant, with u_i = W v_i / s_i. As published, the constant that a softmax ignores shifts ⟨log p̂, u_i⟩ and with it the
ranking of directions; with centred rows (gauge=free) it drops out exactly.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rarityir.counts import TokenCounts
from rarityir.filters.band import warn_of_degenerate_cuts
from rarityir.filters.source import Affine, Fit, Source
from rarityir.filters.unembedding import READING, Reading, reading
from rarityir.filters.width import at_most, whole, width_of
from rarityir.types import RarityError

FREQUENT = 100  # tokens whose logits are watched, as published


def _gauge(text: str) -> str:
    if text not in ("free", "paper"):
        raise ValueError(text)
    return text


_gauge.__name__ = "choice of free and paper"


def spectroscopy(arg: str) -> Fit:
    """Keeps the k directions of smallest Δπ; options `gauge=free|paper`, `top=100`, `counts=english|corpus|FILE`."""
    k, given = width_of("spectroscopy", arg, {"gauge": _gauge, "top": whole(1), "counts": str, **READING})
    free = given.get("gauge", "free") == "free"
    if given.setdefault("center", free) != free:
        raise RarityError("spectroscopy: gauge=free centres the rows and gauge=paper does not; leave center out")
    how = reading(given)

    def fit(source: Source) -> Affine:
        counts = source.frequencies(given.get("counts", "english"))
        found = source.spectrum(how)
        moved = shift(source, counts, how, given.get("top", FREQUENT))
        kept = np.sort(np.argsort(moved, kind="stable")[: at_most("spectroscopy", k, len(moved))])
        warn_of_degenerate_cuts(f"spectroscopy:{arg}", found.values, kept)
        return Affine(found.directions[kept], None, {**source.read_unembedding(), **source.read_counts(counts)})

    return fit


def shift(
    source: Source,
    counts: TokenCounts,
    how: Reading,
    top: int = FREQUENT,
    directions: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Returns Δπ of every direction of the spectrum (or of other unit vectors, one a row), by definition.

    The average token is h = (WᵀW)⁺ Wᵀ log p̂; direction v moves the logit of token j by |h·v| |w_j·v|, summed over the frequent
    tokens and divided by the sum of their logits' sizes. Free of gauge where the reading centres the rows; without, as
    published. Two passes over the unembedding; no U is held.
    """
    found, matrix = source.spectrum(how), source.matrix
    used = matrix.used(how)
    profile = counts.profile(used) if how.center else np.where(used, counts.log_probability(), 0.0)
    frequent = np.flatnonzero(used)[np.argsort(-counts.counts[used], kind="stable")[:top]]
    rows = matrix.gather(frequent, how)
    if how.center:
        rows = rows - matrix.weighted(used / used.sum(), how)
    average_D = (found.directions @ matrix.weighted(profile, how) / found.divisors**2) @ found.directions
    asked = found.directions if directions is None else directions
    total = np.abs(rows @ average_D).sum()
    return np.asarray(np.abs(asked @ average_D) * np.abs(rows @ asked.T).sum(axis=0) / total)
