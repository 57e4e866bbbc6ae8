"""The tokens nearest to each direction: exact, for all directions together, a block of rows at a time.

A product of two matrices may round one row's cosine differently in another block. So the product, in float32, only says which
rows can be among the nearest, within twice its rounding; what decides is each pair's own product in float64, summed in one
order. Equal rows have equal cosines then, and the smaller id comes first whatever the blocks.
CSLS (Conneau et al., "Word translation without parallel data", ICLR 2018, §2.3) takes from a token's cosine how near
directions are to it on the average: hubs, near to everything, lose their place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rarityir.geometry.rows import ENTRIES, Mask, Vectors, matrix, moments, unit_blocks
from rarityir.types import Ints, RarityError

Method = Literal["cosine", "csls"]


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Each of n directions' k nearest tokens, best first: ids and cosines (n, k), and the rows they were sought among."""

    ids: Ints
    cosines: Vectors
    directions: Vectors = field(repr=False)
    rows: NDArray[Any] = field(repr=False)
    centre: Vectors | None = field(default=None, repr=False)
    allowed: Mask | None = field(default=None, repr=False)

    @property
    def k(self) -> int:
        """How many tokens each direction has."""
        return int(self.ids.shape[1])


@dataclass(frozen=True)
class Hubness:
    """How unevenly tokens are among the k nearest: the skew of their occurrences N_k, the share never found, the most found."""

    skew: float
    never: float
    hubs: tuple[tuple[int, int], ...]  # (token id, occurrences), most first


def neighbours(
    rows_VD: NDArray[Any],
    directions_nD: NDArray[Any],
    k: int = 10,
    *,
    centre: Vectors | Literal["mean"] | None = None,
    block: int = 0,
    allowed: Mask | None = None,
    method: Method = "cosine",
) -> Neighbours:
    """Returns each direction's k rows of largest cosine, of equal ones the smaller id; memory does not grow with n times V.

    Args:
        centre: what is taken off every row first: a (D,) vector, or `mean` for the mean of the allowed rows.
        block: rows in a block (default: as many as 32 MB hold); changes no result.
        allowed: (V,) which rows may be found (default: all). Rows of no length are never found.
        method: `csls` ranks by 2 cos(v, w) − r(w), r(w) the mean cosine of w with the k directions nearest to it.

    Raises:
        RarityError: if fewer than k rows can be found, or a direction is zero or of another width.
    """
    x_VD, v_nD = matrix(rows_VD), _unit(directions_nD)
    if v_nD.shape[1] != x_VD.shape[1]:
        raise RarityError(f"directions are {v_nD.shape[1]} wide, the rows {x_VD.shape[1]}; both must be of one space")
    if method not in ("cosine", "csls"):
        raise RarityError(f"neighbours are ranked by cosine or csls, not {method!r}")
    mean = moments(x_VD, allowed).mean if isinstance(centre, str) else centre
    offset_V = np.zeros(len(x_VD))
    block = block or max(1, min(ENTRIES // x_VD.shape[1], ENTRIES // len(v_nD)))
    if method == "csls":
        for ids, u_BD in unit_blocks(x_VD, allowed, mean, block):
            offset_V[ids] = np.round(_nearness(u_BD, v_nD, k) / 2, 12)  # the same for equal rows of two blocks
    best = _Best(len(v_nD), k)
    for ids, u_BD in unit_blocks(x_VD, allowed, mean, block):
        best.meet(ids, u_BD, v_nD, offset_V)
    if len(best.ids) < len(v_nD) * k:
        found = len(best.ids) // len(v_nD)
        raise RarityError(
            f"only {found} rows have a direction and are allowed; ask for no more than that many neighbours, not {k}"
        )
    return Neighbours(best.ids.reshape(-1, k), best.cosines.reshape(-1, k), v_nD, x_VD, mean, allowed)


def hubness(found: Neighbours, top: int = 10) -> Hubness:
    """Returns how unevenly the tokens that may be found occur among the nearest ones of all directions."""
    times = np.bincount(found.ids.ravel(), minlength=len(found.rows))
    mine = times[findable(found)]
    spread = mine.std()
    skew = float(((mine - mine.mean()) ** 3).mean() / spread**3) if spread > 0 else 0.0
    order = np.lexsort((np.arange(len(times)), -times))[:top]
    return Hubness(skew, float((mine == 0).mean()), tuple((int(i), int(times[i])) for i in order if times[i]))


def findable(found: Neighbours) -> Mask:
    """Returns which rows (V,) could have been found: allowed ones of some length."""
    some = np.zeros(len(found.rows), bool)
    for start in range(0, len(some), 4096):
        block = found.rows[start : start + 4096]
        some[start : start + 4096] = (block if found.centre is None else block != found.centre).any(axis=1)
    return some if found.allowed is None else some & found.allowed


class _Best:
    """The k best pairs of every direction so far, sorted by direction, falling key and rising id."""

    def __init__(self, n: int, k: int) -> None:
        self.n, self.k = n, k
        self.who, self.ids = np.zeros(0, np.int64), np.zeros(0, np.int64)
        self.keys, self.cosines = np.zeros(0), np.zeros(0)

    def meet(self, ids: Ints, u_BD: Vectors, v_nD: Vectors, offset_V: Vectors) -> None:
        """Lets a block's rows compete for their places."""
        if not len(ids):
            return
        keys_nB = v_nD.astype(np.float32) @ u_BD.T.astype(np.float32) - offset_V[ids].astype(np.float32)
        margin = 4 * (len(u_BD.T) + 2) * np.finfo(np.float32).eps / 2  # two keys, each within D + 2 roundings of unit vectors
        floor = np.full(self.n, -np.inf)
        if len(self.who) == self.n * self.k:
            floor = self.keys.reshape(self.n, self.k)[:, -1]
        if len(ids) > self.k:
            last = len(ids) - self.k
            floor = np.maximum(floor, np.partition(keys_nB, last, axis=1)[:, last])
        who, where = np.nonzero(keys_nB >= (floor - margin)[:, None].astype(np.float32))
        step = max(1, ENTRIES // u_BD.shape[1])
        for start in range(0, len(who), step):
            part = slice(start, start + step)
            cosines = (u_BD[where[part]] * v_nD[who[part]]).sum(axis=1)
            self._keep(who[part], ids[where[part]], cosines, cosines - offset_V[ids[where[part]]])

    def _keep(self, who: Ints, ids: Ints, cosines: Vectors, keys: Vectors) -> None:
        who, ids = np.concatenate([self.who, who]), np.concatenate([self.ids, ids])
        cosines, keys = np.concatenate([self.cosines, cosines]), np.concatenate([self.keys, keys])
        order = np.lexsort((ids, -keys, who))
        firsts = np.searchsorted(who[order], who[order])
        order = order[np.arange(len(order)) - firsts < self.k]
        self.who, self.ids, self.cosines, self.keys = who[order], ids[order], cosines[order], keys[order]


def _nearness(u_BD: Vectors, v_nD: Vectors, k: int) -> Vectors:
    """Each row's mean cosine with the k directions nearest to it."""
    cosines = u_BD @ v_nD.T
    k = min(k, len(v_nD))
    return np.asarray(np.partition(cosines, len(v_nD) - k, axis=1)[:, len(v_nD) - k :].mean(axis=1))


def _unit(directions_nD: NDArray[Any] | Sequence[Any]) -> Vectors:
    found = matrix(np.asarray(directions_nD), "directions").astype(np.float64)
    long = np.sqrt((found * found).sum(axis=1))
    if not (long > 0).all():
        raise RarityError("a direction is zero, so no token is nearer to it than another; leave it out")
    return np.ascontiguousarray(found / long[:, None])
