"""What chance gives: random sets of tokens as frequent as those of a set, shares with intervals, false discoveries.

Frequent tokens lie together in most models, and so do rare ones. A set of neighbours that only belong together by being
equally rare is no find; so it is compared with sets drawn from the same bands of frequency.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rarityir.geometry.rows import Mask, Vectors
from rarityir.types import Ints, RarityError

BAND, LEAST = 128, 16  # tokens of a band, but for fewer than so many bands; at least four times the set
LEVEL = 0.05
_TRIES = 64
_Z = 1.959963984540054  # the normal quantile of a two-sided interval of 95%


class Fraction(NamedTuple):
    """A share of directions, with Wilson's interval of 95%."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Bands:
    """Tokens in bands of like frequency: `order` (A,) the allowed ids by rising count, cut at `starts`; `band_of` (V,)."""

    order: Ints = field(repr=False)
    starts: Ints
    band_of: Ints = field(repr=False)

    @classmethod
    def of(cls, tokens: int, k: int, counts: NDArray[Any] | None = None, allowed: Mask | None = None, size: int = BAND) -> Bands:
        """Returns the bands of `tokens` ids, of equally many tokens each; without counts there is one band.

        Tokens of one count follow each other by falling id, which most tokenizers give out by falling frequency.

        Raises:
            RarityError: if there are fewer than 4k allowed tokens, too few to draw other sets of k from.
        """
        ids = np.arange(tokens) if allowed is None else np.flatnonzero(allowed)
        if len(ids) < 4 * k:
            raise RarityError(f"{len(ids)} tokens are too few to draw random sets of {k} from; ask for fewer neighbours")
        many = 1 if counts is None else max(1, len(ids) // max(4 * k, min(size, len(ids) // LEAST)))
        if counts is not None:
            ids = ids[np.lexsort((-ids, np.asarray(counts)[ids]))]
        starts = np.linspace(0, len(ids), many + 1).astype(np.int64)
        band_of = np.full(tokens, -1, np.int64)
        band_of[ids] = np.repeat(np.arange(many), np.diff(starts))
        return cls(ids, starts, band_of)

    def draw(self, set_k: Ints, times: int, rng: np.random.Generator) -> Ints:
        """Returns (times, k) sets of k different tokens, place by place of the band of the set's own token, all as likely."""
        bands = self.band_of[set_k]
        low, high = self.starts[bands], self.starts[bands + 1]
        found = np.empty((times, len(set_k)), np.int64)
        left = np.arange(times)
        for _ in range(_TRIES):
            found[left] = rng.integers(low, high, (len(left), len(set_k)))
            ordered = np.sort(found[left], axis=1)
            left = left[(ordered[:, 1:] == ordered[:, :-1]).any(axis=1)]
            if not len(left):
                break
        for row in left:  # sets so large that tokens of one band nearly always meet
            for band in np.unique(bands):
                places = bands == band
                size = self.starts[band + 1] - self.starts[band]
                found[row, places] = self.starts[band] + rng.choice(size, places.sum(), replace=False)
        return np.asarray(self.order[found])


def wilson(hits: int, of: int) -> Fraction:
    """Returns a share with its score interval (Wilson, JASA 22, 1927), which holds near 0 and 1 too."""
    if of < 1:
        raise RarityError("a share of no directions has no value; ask for one or more")
    share, square = hits / of, _Z**2 / of
    middle = (share + square / 2) / (1 + square)
    half = _Z * np.sqrt(share * (1 - share) / of + square / (4 * of)) / (1 + square)
    return Fraction(share, min(max(0.0, float(middle - half)), share), max(min(1.0, float(middle + half)), share))


def discoveries(p_n: Vectors) -> Vectors:
    """Returns q values: the least false discovery rate at which each p counts (Benjamini & Hochberg, JRSS B 57, 1995)."""
    count = len(p_n)
    order = np.argsort(-p_n, kind="stable")
    stepped = np.minimum.accumulate(p_n[order] * count / np.arange(count, 0, -1))
    found = np.empty(count)
    found[order] = np.minimum(stepped, 1.0)
    return found
