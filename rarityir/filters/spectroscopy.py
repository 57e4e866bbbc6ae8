"""`spectroscopy:k` drops the directions that move the most frequent tokens' logits most, and keeps k of the others.

Source: logit spectroscopy in EmbedFilter (arXiv 2606.07502, §4). There Δπ(i) is defined by taking direction i out of the
"average token" h = log p̂ · W⁺; its singular value cancels, which leaves |⟨log p̂, u_i⟩| Σ_{j frequent} |U_ji| up to a
constant, with u_i = W v_i / s_i. As published, the constant that a softmax ignores shifts ⟨log p̂, u_i⟩ and with it the
ranking of directions; with centred rows (gauge=free) it drops out exactly.
"""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from rarityir.counts import TokenCounts
from rarityir.filters.source import Affine, Fit, Source
from rarityir.filters.unembedding import READING, Reading, reading
from rarityir.filters.width import at_most, whole, width_of
from rarityir.types import RarityError

FREQUENT = 100  # tokens whose logits are watched, as published
log = logging.getLogger(__name__)


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
        return Affine(found.directions[kept], None, {**source.read_unembedding(), **source.read_counts(counts)})

    return fit


def shift(source: Source, counts: TokenCounts, how: Reading, top: int = FREQUENT) -> NDArray[np.float64]:
    """Returns Δπ (D,) of every direction of the spectrum, relative to the frequent tokens' logits of the average token.

    Free of gauge where the reading centres the rows; without, as published. Needs two passes over the unembedding and
    holds no U: ⟨log p̂, u_i⟩ = v_i · Wᵀ log p̂ / s_i.
    """
    found, matrix = source.spectrum(how), source.matrix
    used = matrix.used(how)
    profile = np.where(used, counts.log_probability(), 0.0)
    if how.center:
        profile = np.where(used, profile - profile[used].mean(), 0.0)
    frequent = np.flatnonzero(used)[np.argsort(-counts.counts[used], kind="stable")[:top]]
    rows = matrix.gather(frequent, how)
    if how.center:
        rows = rows - matrix.weighted(used / used.sum(), how)
    along_D = found.directions @ matrix.weighted(profile, how) / found.divisors  # ⟨log p̂, u_i⟩
    written = rows @ found.directions.T / found.divisors  # U of the frequent tokens
    total = np.abs(written @ along_D).sum()
    return np.asarray(np.abs(along_D) * np.abs(written).sum(axis=0) / total)
