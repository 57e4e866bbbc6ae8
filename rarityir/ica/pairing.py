"""Which axis of one encoder is which of another, from texts that both have read.

Source: Yamagiwa et al., EMNLP 2023 (arXiv 2305.13175): Pearson correlation over pairs, greedy one to one. Without pairs, from the
axes' distributions alone, matching was found to fail between sentence encoders: there is none here.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rarityir.ica.axes import Axes
from rarityir.types import Json, RarityError

Vectors = NDArray[np.float64]
METHODS = ("greedy", "hungarian")


class Match(NamedTuple):
    """Pairs of axes (M, 2) by falling correlation (M,), all correlations (Ka, Kb), and the same of shuffled pairs, matched alike.

    `chance` (P, M) is the control: correlations that matching finds in P shuffles, where no row of one belongs to the row of the
    other. `p` (M,) is how often the best pair of a shuffle is as good as this one: right for all pairs together.
    """

    pairs: NDArray[np.int64]
    r: Vectors
    table: Vectors
    chance: Vectors

    def json(self) -> dict[str, Json]:
        """Returns pairs, correlations and the control as JSON values."""
        rows = [
            {"a": int(a), "b": int(b), "r": float(r), "p": float(p)}
            for (a, b), r, p in zip(self.pairs, self.r, self.p, strict=True)
        ]
        control = {"chance_max": float(self.chance.max()), "chance_mean": float(self.chance.mean())}
        return {"pairs": rows, "permutations": len(self.chance), **control}

    @property
    def p(self) -> Vectors:
        """Each pair's p-value (M,) against the best pair of every shuffle."""
        best = self.chance.max(axis=1)
        return np.asarray((1 + (best[None] >= self.r[:, None]).sum(axis=1)) / (1 + len(best)))


def match(
    a: Axes,
    b: Axes,
    paired_X: tuple[NDArray[Any], NDArray[Any]],
    method: str = "greedy",
    weights: Any = None,
    seed: int = 0,
    permutations: int = 1,
) -> Match:
    """Returns which axes correspond over paired rows (N, Da) and (N, Db), weighted or not; rows are shuffled so many times."""
    xa, xb = paired_X
    if method not in METHODS:
        raise RarityError(f"unknown method {method!r}; known: {', '.join(METHODS)}")
    if len(xa) != len(xb) or len(xa) < 3:
        raise RarityError(f"{len(xa)} and {len(xb)} rows are no pairs; give the same three texts or more to both encoders")
    w = np.full(len(xa), 1 / len(xa)) if weights is None else np.asarray(weights, np.float64)
    if w.shape != (len(xa),) or (w < 0).any() or not w.sum() > 0:
        raise RarityError(f"weights are one number from 0 on for each of the {len(xa)} pairs")
    if permutations < 1:
        raise RarityError("a match needs a shuffle or more beside it; give permutations of at least 1")
    rng, share, moved = np.random.default_rng(seed), w / w.sum(), b.transform(np.asarray(xb))
    sa = _standard(a.transform(xa), share)
    table = sa.T @ _standard(moved, share)
    pairs, r = _paired(table, method)
    shuffles = (_standard(moved[rng.permutation(len(xa))], share) for _ in range(permutations))
    return Match(pairs, r, table, np.stack([_paired(sa.T @ other, method)[1] for other in shuffles]))


def _standard(s_NK: Vectors, share_N: Vectors) -> Vectors:
    """Columns whose products sum to correlations."""
    centred = (s_NK - share_N @ s_NK) * np.sqrt(share_N)[:, None]
    norms = np.linalg.norm(centred, axis=0)
    return np.asarray(centred / np.where(norms > 0, norms, 1.0))


def _paired(table: Vectors, method: str) -> tuple[NDArray[np.int64], Vectors]:
    """One-to-one pairs by falling correlation."""
    if method == "hungarian":
        from scipy.optimize import linear_sum_assignment

        rows, columns = linear_sum_assignment(table, maximize=True)
    else:
        left, chosen = table.copy(), []
        for _ in range(min(table.shape)):
            i, j = divmod(int(left.argmax()), table.shape[1])
            chosen.append((i, j))
            left[i], left[:, j] = -np.inf, -np.inf
        rows, columns = np.array(chosen).T
    r = table[rows, columns]
    order = np.argsort(-r, kind="stable")
    return np.stack([rows, columns], axis=1)[order].astype(np.int64), r[order]
