"""Whether the tokens nearest to a direction belong together, scored in several ways and tested against chance.

`cross`  their mean pairwise cosine in another matrix (input for output embeddings, or any other): nothing there was looked at
         when they were chosen, so only a real likeness can show. The channel's rows are taken less their mean.
`distinct`  the same of the nearest spelling of each word alone: ` run`, `Run` and `runs` are alike in any matrix, and no find.
`self`   in the same space, where neighbours of any direction are alike for being near to it: their cosines with it leave a
         likeness of about t², which is taken off, u_i·u_j − c_i c_j. For isotropic rows nothing is left.
`beyond` the same values against those of neighbours among normal rows of the same mean and covariance. Where directions of
         large variance pull neighbours together, those are pulled as well; what is more is structure that second moments do not
         tell. For a model with one matrix it is the test to read.

For all but `beyond` each direction's value is compared with sets of as many tokens of like frequency, scored in the same way;
for that with its neighbours in several drawn matrices, the standardised values of all directions together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rarityir.geometry.families import seeded
from rarityir.geometry.nearest import Neighbours, findable, neighbours
from rarityir.geometry.nulls import LEVEL, Bands, Fraction, discoveries, wilson
from rarityir.geometry.rows import Vectors, matrix, moments, unit_rows
from rarityir.geometry.variants import variant
from rarityir.types import Floats, Ints, Json, RarityError

Kind = Literal["cross", "distinct", "self", "beyond"]
MATRICES = 20  # of normal rows
_AT_ONCE = 64  # directions whose cosines with all rows are held together
_LOST = 1e-4  # mean squared length off the direction below which float32 rows leave nothing but rounding


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
    groups: NDArray[Any] | None = None,
    null: Literal["freq_matched", "uniform"] = "freq_matched",
    n_null: int = 1000,
    seed: int = 0,
) -> Coherence:
    """Returns how much each direction's neighbours belong together, tested against random sets of tokens.

    Args:
        channel: (V, D') rows of the same tokens in another space, for the test `cross`; `self` or `beyond` for the same space.
        counts: (V,) occurrences; without them all tokens count as equally frequent.
        groups: (V,) numbers, one for the spellings of each word, of which then only the nearest counts; for a channel of rows.
        null: `freq_matched` draws sets of like frequency, `uniform` any sets.
        n_null: random sets for each direction. `beyond` draws matrices, not sets.

    Raises:
        RarityError: if k is 1, counts or channel are of other tokens, or there are too few tokens to draw from.
    """
    if found.k < 2:
        raise RarityError("one neighbour has no other to belong to; ask for two or more")
    if counts is not None and np.shape(counts) != (len(found.rows),):
        raise RarityError(
            f"counts are of {np.size(counts)} tokens, the rows of {len(found.rows)}; they must be of one vocabulary"
        )
    if null not in ("freq_matched", "uniform") or n_null < 1:
        raise RarityError("random sets are freq_matched or uniform, one or more of them for each direction")
    if groups is not None and (isinstance(channel, str) or np.shape(groups) != (len(found.rows),)):
        raise RarityError("groups are one number for each token, and count in a channel of rows alone; leave them out elsewhere")
    if isinstance(channel, str) and channel == "beyond":
        return beyond([found], seed)[0]
    bands = Bands.of(len(found.rows), found.k, counts if null == "freq_matched" else None, findable(found))
    if not isinstance(channel, str):
        kind: Kind = "cross" if groups is None else "distinct"
        return _against_sets(found, kind, _channel(found, channel), bands, n_null, seed, groups)
    if channel != "self":
        raise RarityError(f"a channel is an array of rows, 'self' or 'beyond', not {channel!r}")
    return _against_sets(found, "self", unit_rows(found.rows, found.allowed, found.centre), bands, n_null, seed)


def _against_sets(
    found: Neighbours,
    kind: Kind,
    unit_VD: Floats,
    bands: Bands,
    n_null: int,
    seed: int,
    groups: NDArray[Any] | None = None,
) -> Coherence:
    """The test against random sets of tokens, in a space of unit rows."""
    square_V = (unit_VD != 0).any(axis=1).astype(np.float64)
    rng, results, drawn = seeded(seed, kind), [], []
    for start in range(0, len(found.ids), _AT_ONCE):
        along_nV = found.directions[start : start + _AT_ONCE] @ unit_VD.T if kind == "self" else None
        for j, ids_k in enumerate(found.ids[start : start + _AT_ONCE]):
            sets = _with_random(ids_k, bands, n_null, rng, groups)
            pairs = _pairs(_sums(unit_VD, sets), square_V[sets].sum(axis=1), sets.shape[1])
            values, shared = (pairs, np.zeros(len(sets))) if along_nV is None else _less(pairs, along_nV[j][sets])
            results.append((values[0], pairs[0], shared[0]))
            drawn.append(values[1:])
    value_n, pairs_n, shared_n = np.array(results).T
    return _judged(kind, value_n, pairs_n, shared_n, drawn)


def _judged(kind: Kind, value_n: Vectors, pairs_n: Vectors, shared_n: Vectors, drawn: list[Vectors]) -> Coherence:
    """p is a value's place among its own random sets; where it beats them all, among those of all directions, standardised.

    A thousand sets cannot tell p = 10⁻⁶ from p = 10⁻³, and with p no smaller false discoveries could not be told from a few
    per cent of coherent directions.
    """
    mean_n = np.array([sets.mean() if len(sets) else value for sets, value in zip(drawn, value_n, strict=True)])
    sd_n = np.array([sets.std() if len(sets) else 0.0 for sets in drawn])
    p_n = np.array([(1 + (sets >= value).sum()) / (1 + len(sets)) for sets, value in zip(drawn, value_n, strict=True)])
    spread_n = np.maximum(sd_n, 1e-12)
    pooled = np.sort(np.concatenate([(s - m) / d for s, m, d in zip(drawn, mean_n, spread_n, strict=True)]))
    reached_n = len(pooled) - np.searchsorted(pooled, (value_n - mean_n) / spread_n, side="left")
    first = p_n <= 1 / (1 + np.array([max(len(sets), 1) for sets in drawn]))
    p_n = np.where(first, np.minimum(p_n, (1 + reached_n) / (1 + len(pooled))), p_n)
    return Coherence(kind, value_n, pairs_n, shared_n, mean_n, sd_n, p_n, discoveries(p_n))


def beyond(searches: Sequence[Neighbours], seed: int = 0) -> list[Coherence]:
    """Returns the test against normal rows for several searches of one matrix, which share the drawn ones.

    Each value is standardised by its direction's values in the drawn matrices; p is its place among the standardised values of
    drawn matrices, each by the others, over all directions of the search.
    """
    first, sizes = searches[0], np.cumsum([len(found.ids) for found in searches])[:-1]
    v_nD = np.concatenate([found.directions for found in searches])
    open_V, drawn = findable(first), []
    for time in range(MATRICES):
        # Seeds far from those with which anyone would draw the rows that are tested.
        rows = variant(first.rows, "gaussian", allowed=first.allowed, seed=2**40 + seed * MATRICES + time).rows
        drawn.append(_own(neighbours(rows, v_nD, first.k, centre=first.centre, allowed=open_V))[0])
    return [_against(found, null_nM) for found, null_nM in zip(searches, np.split(np.array(drawn).T, sizes), strict=True)]


def _against(found: Neighbours, null_nM: Vectors) -> Coherence:
    value_n, pairs_n, shared_n = _own(found)
    t_null_nM = np.stack([_t(null_nM[:, i], np.delete(null_nM, i, axis=1)) for i in range(MATRICES)], axis=1)
    ordered = np.sort(t_null_nM.ravel())
    reached = len(ordered) - np.searchsorted(ordered, _t(value_n, null_nM[:, 1:]), side="left")
    p_n = (1 + reached) / (1 + len(ordered))
    return Coherence(
        "beyond", value_n, pairs_n, shared_n, null_nM.mean(axis=1), null_nM.std(axis=1, ddof=1), p_n, discoveries(p_n)
    )


def _t(value_n: Vectors, others_nM: Vectors) -> Vectors:
    spread = np.maximum(others_nM.std(axis=1, ddof=1), np.finfo(float).tiny)
    return np.asarray((value_n - others_nM.mean(axis=1)) / spread)


def _own(found: Neighbours) -> tuple[Vectors, Vectors, Vectors]:
    """Values, mean pairwise cosines and t² of each direction's neighbours in their own space, (n,) each."""
    parts = []
    for start in range(0, len(found.ids), _AT_ONCE):
        ids_nk = found.ids[start : start + _AT_ONCE]
        rows_nkD = found.rows[ids_nk].astype(np.float64) - (0.0 if found.centre is None else found.centre)
        rows_nkD /= np.sqrt((rows_nkD**2).sum(axis=2, keepdims=True))
        pairs = _pairs(rows_nkD.sum(axis=1), float(found.k), found.k)
        parts.append((*_less(pairs, found.cosines[start : start + _AT_ONCE]), pairs))
    values, shared, pairs = (np.concatenate(part) for part in zip(*parts, strict=True))
    return values, pairs, shared


def _with_random(ids_k: Ints, bands: Bands, n_null: int, rng: np.random.Generator, groups: NDArray[Any] | None) -> Ints:
    """The set and random ones like it, one a row; with groups only the nearest token of each, and random sets without repeats."""
    if groups is None:
        return np.concatenate([ids_k[None], bands.draw(ids_k, n_null, rng)])
    ids_k = ids_k[np.sort(np.unique(groups[ids_k], return_index=True)[1])]
    sets = bands.draw(ids_k, n_null, rng)
    ordered = np.sort(groups[sets], axis=1)
    return np.concatenate([ids_k[None], sets[(ordered[:, 1:] != ordered[:, :-1]).all(axis=1)]])


def _pairs(sums_SD: Vectors, squares_S: Vectors | float, k: int) -> Vectors:
    """Mean pairwise product of k vectors from the length of their sum and the sum of their squared lengths."""
    if k < 2:
        return np.zeros(len(sums_SD))
    return np.asarray(((sums_SD**2).sum(axis=1) - squares_S) / (k * (k - 1)))


def _less(pairs_S: Vectors, cosines_Sk: Vectors) -> tuple[Vectors, Vectors]:
    """What is left of mean pairwise cosines, by the mean squared length of what is left of each row; and the t² taken off.

    Rows that all point along the direction, as equal rows do, have nothing left in which they could be alike: 0.
    """
    k, squares = cosines_Sk.shape[1], (cosines_Sk**2).sum(axis=1)
    shared = (cosines_Sk.sum(axis=1) ** 2 - squares) / (k * (k - 1))
    left = 1 - squares / k
    return np.where(left > _LOST, (pairs_S - shared) / np.maximum(left, _LOST), 0.0), shared


def _sums(unit_VD: Floats, ids_Sk: Ints) -> Vectors:
    """Each set's sum of rows, (S, D)."""
    from scipy.sparse import csr_array

    sets, k = ids_Sk.shape
    ones = np.ones(ids_Sk.size, unit_VD.dtype)
    members = csr_array((ones, ids_Sk.ravel(), np.arange(sets + 1) * k), shape=(sets, len(unit_VD)))
    return np.asarray(members @ unit_VD, np.float64)


def _channel(found: Neighbours, channel: NDArray[Any]) -> Floats:
    """The channel's rows less their mean, at unit length."""
    rows = matrix(channel, "the channel's rows")
    if len(rows) != len(found.rows):
        raise RarityError(
            f"the channel has {len(rows)} rows, the searched matrix {len(found.rows)}; both must be of one vocabulary"
        )
    return unit_rows(rows, found.allowed, moments(rows, found.allowed).mean)
