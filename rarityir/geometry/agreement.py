"""Whether the tokens nearest to a direction belong together, scored in three ways and tested against chance.

`cross`  their mean pairwise cosine in another matrix (input for output embeddings, or any other): nothing there was looked at
         when they were chosen, so only a real likeness can show. The channel's rows are taken less their mean.
`self`   in the same space, where neighbours of any direction are alike for being near to it: their cosines with it leave a
         likeness of about t², which is taken off, u_i·u_j − c_i c_j. For isotropic rows nothing is left.
`beyond` in the same space, where the rows' covariance Σ makes neighbours of a direction share Σv as well: rows are taken less
         what their cosine with v foretells by linear regression. For normal rows of any covariance nothing is left, so what is
         left is structure that second moments do not tell. It is the one test of the three for a model with one matrix.

Each direction's value is compared with sets of as many tokens of like frequency, scored in the same way.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rarityir.geometry.families import seeded
from rarityir.geometry.nearest import Neighbours
from rarityir.geometry.nulls import LEVEL, Bands, Fraction, discoveries, wilson
from rarityir.geometry.rows import Vectors, matrix, moments, unit_rows
from rarityir.types import Floats, Ints, Json, RarityError

Kind = Literal["cross", "self", "beyond"]
_AT_ONCE = 64  # directions whose cosines with all rows are held together


@dataclass(frozen=True, eq=False)
class Coherence:
    """How much each direction's k tokens belong together: (n,) values, what matched random sets have, p and q.

    `pairs` is the mean pairwise cosine before anything is taken off, `shared` the part t² that any direction's neighbours share
    (0 in a channel of its own). `p` is one-sided; `q` are Benjamini and Hochberg's over the n directions.
    """

    kind: Kind
    values: Vectors
    pairs: Vectors
    shared: Vectors
    null_mean: Vectors
    null_sd: Vectors
    p: Vectors
    q: Vectors = field(repr=False)

    @property
    def fraction(self) -> Fraction:
        """The share of directions that are coherent at a false discovery rate of 5%."""
        return wilson(int((self.q < LEVEL).sum()), len(self.q))

    @property
    def nominal(self) -> Fraction:
        """The share of directions with p < .05: one in twenty where there is nothing."""
        return wilson(int((self.p < LEVEL).sum()), len(self.p))

    @property
    def scores(self) -> Vectors:
        """Each value's distance from the random sets' mean in their standard deviations, (n,)."""
        return np.asarray((self.values - self.null_mean) / np.maximum(self.null_sd, np.finfo(float).tiny))

    def json(self) -> dict[str, Json]:
        """Returns means over directions, the quartiles of the values, and the two shares."""
        return {
            "mean": float(self.values.mean()),
            "quantiles": np.quantile(self.values, [0.05, 0.25, 0.5, 0.75, 0.95]).round(5).tolist(),
            "pairs": float(self.pairs.mean()),
            "shared": float(self.shared.mean()),
            "random": float(self.null_mean.mean()),
            "random_sd": float(self.null_sd.mean()),
            "coherent": list(self.fraction),
            "nominal": list(self.nominal),
        }


def coherence(
    found: Neighbours,
    channel: NDArray[Any] | Literal["self", "beyond"] = "self",
    *,
    counts: NDArray[Any] | None = None,
    null: Literal["freq_matched", "uniform"] = "freq_matched",
    n_null: int = 1000,
    seed: int = 0,
) -> Coherence:
    """Returns how much each direction's neighbours belong together, tested against random sets of tokens.

    Args:
        channel: (V, D') rows of the same tokens in another space, for the test `cross`; `self` or `beyond` for the same space.
        counts: (V,) occurrences; without them all tokens count as equally frequent.
        null: `freq_matched` draws sets of like frequency, `uniform` any sets.
        n_null: random sets for each direction; p is at least 1 / (n_null + 1).

    Raises:
        RarityError: if k is 1, counts or channel are of other tokens, or there are too few tokens to draw from.
    """
    if found.k < 2:
        raise RarityError("one neighbour has no other to belong to; ask for two or more")
    if counts is not None and np.shape(counts) != (len(found.rows),):
        raise RarityError(f"counts are of {np.size(counts)} tokens, the rows of {len(found.rows)}; they must be of one vocabulary")
    if null not in ("freq_matched", "uniform") or n_null < 1:
        raise RarityError("random sets are freq_matched or uniform, one or more of them for each direction")
    bands = Bands.of(len(found.rows), found.k, counts if null == "freq_matched" else None, _findable(found))
    test = _Test.same(found, channel) if isinstance(channel, str) else _Test.other(found, channel)
    rng, results = seeded(seed, test.kind), []
    for start in range(0, len(found.ids), _AT_ONCE):
        test.turn_to(found.directions[start : start + _AT_ONCE])
        for j, ids_k in enumerate(found.ids[start : start + _AT_ONCE]):
            sets = np.concatenate([ids_k[None], bands.draw(ids_k, n_null, rng)])
            values, pairs, shared = test.score(j, sets)
            beaten = 1 + int((values[1:] >= values[0]).sum())
            mean, sd = values[1:].mean(), values[1:].std()
            results.append((values[0], pairs[0], shared[0], mean, sd, beaten / (1 + n_null)))
    columns = np.array(results).T
    return Coherence(test.kind, *columns, discoveries(columns[5]))


def _findable(found: Neighbours) -> NDArray[np.bool_]:
    """Which rows could have been found: allowed ones of some length."""
    some = np.zeros(len(found.rows), bool)
    for start in range(0, len(some), 4096):
        block = found.rows[start : start + 4096]
        some[start : start + 4096] = (block if found.centre is None else block != found.centre).any(axis=1)
    return some if found.allowed is None else some & found.allowed


class _Test:
    """Scores sets of tokens: the mean pairwise product of their rows less offset and less slope times their cosine's surplus.

    With Σr = Σ(u − m) − β Σc, only the sum of each set's rows takes time; the rest are numbers kept for each token. Divided by
    the residuals' mean squared length the product is a cosine.
    """

    def __init__(self, kind: Kind, rows_VD: Floats, offset_D: Vectors, covariance_DD: Vectors | None) -> None:
        self.kind, self.rows, self.offset, self.covariance = kind, rows_VD, offset_D, covariance_DD
        self.squares_V = _squares(rows_VD, offset_D)

    @classmethod
    def same(cls, found: Neighbours, kind: str) -> _Test:
        """A test in the space that was searched."""
        unit_VD = unit_rows(found.rows, found.allowed, found.centre)
        if kind == "self":
            return cls("self", unit_VD, np.zeros(unit_VD.shape[1]), None)
        if kind != "beyond":
            raise RarityError(f"a channel is an array of rows, 'self' or 'beyond', not {kind!r}")
        of = moments(unit_VD, _findable(found))
        return cls("beyond", unit_VD, of.mean, of.covariance)

    @classmethod
    def other(cls, found: Neighbours, channel: NDArray[Any]) -> _Test:
        """A test in another space."""
        rows = matrix(channel, "the channel's rows")
        if len(rows) != len(found.rows):
            raise RarityError(f"the channel has {len(rows)} rows, the searched matrix {len(found.rows)}; both must be of one vocabulary")
        mean = moments(rows, found.allowed).mean
        unit_VD = unit_rows(rows, found.allowed, mean)
        return cls("cross", unit_VD, np.zeros(unit_VD.shape[1]), None)

    def turn_to(self, v_nD: Vectors) -> None:
        """Takes the directions that sets are scored for next."""
        if self.kind == "cross":
            return
        slopes = v_nD
        if self.covariance is not None:
            slopes = v_nD @ self.covariance
            spread = (slopes * v_nD).sum(axis=1, keepdims=True)
            slopes = np.divide(slopes, spread, out=np.zeros_like(slopes), where=spread > 0)
        self.surplus = (self.rows @ v_nD.T - self.offset @ v_nD.T).T  # (n, V)
        self.along = (self.rows @ slopes.T - self.offset @ slopes.T).T
        self.steep = (slopes**2).sum(axis=1)

    def score(self, j: int, ids_Sk: Ints) -> tuple[Vectors, Vectors, Vectors]:
        """Returns each set's value for direction j, its mean pairwise cosine, and the t² that its cosines with j explain."""
        k = ids_Sk.shape[1]
        sums_SD = self._sums(ids_Sk) - k * self.offset
        whole, parts = (sums_SD**2).sum(axis=1), self.squares_V[ids_Sk].sum(axis=1)
        pairs = (whole - parts) / (k * (k - 1))
        if self.kind == "cross":
            return pairs, pairs, np.zeros(len(pairs))
        c_Sk, b_Sk, steep = self.surplus[j][ids_Sk], self.along[j][ids_Sk], self.steep[j]
        c_S = c_Sk.sum(axis=1)
        whole = whole - 2 * c_S * b_Sk.sum(axis=1) + c_S**2 * steep
        parts = np.maximum(parts - 2 * (c_Sk * b_Sk).sum(axis=1) + (c_Sk**2).sum(axis=1) * steep, 1e-12)
        shared = (c_S**2 - (c_Sk**2).sum(axis=1)) / (k * (k - 1))
        return (whole - parts) / ((k - 1) * parts), pairs, shared

    def _sums(self, ids_Sk: Ints) -> Vectors:
        """Each set's sum of rows, (S, D)."""
        from scipy.sparse import csr_array

        sets, k = ids_Sk.shape
        ones = np.ones(ids_Sk.size, self.rows.dtype)
        members = csr_array((ones, ids_Sk.ravel(), np.arange(sets + 1) * k), shape=(sets, len(self.rows)))
        return np.asarray(members @ self.rows, np.float64)


def _squares(rows_VD: Floats, offset_D: Vectors) -> Vectors:
    """Each row's squared distance from the offset, (V,)."""
    parts = [rows_VD[start : start + 4096].astype(np.float64) - offset_D for start in range(0, len(rows_VD), 4096)]
    return np.concatenate([(part**2).sum(axis=1) for part in parts])
