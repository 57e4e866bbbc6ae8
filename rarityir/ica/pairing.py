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

    `chance` (M,) is the control: correlations that matching finds where no row of one belongs to the row of the other.
    """

    pairs: NDArray[np.int64]
    r: Vectors
    table: Vectors
    chance: Vectors

    def json(self) -> dict[str, Json]:
        """Returns pairs, correlations and the control as JSON values."""
        rows = [{"a": int(a), "b": int(b), "r": float(r)} for (a, b), r in zip(self.pairs, self.r, strict=True)]
        return {"pairs": rows, "chance_max": float(self.chance.max()), "chance_mean": float(self.chance.mean())}


def match(
    a: Axes,
    b: Axes,
    paired_X: tuple[NDArray[Any], NDArray[Any]],
    method: str = "greedy",
    weights: Any = None,
    seed: int = 0,
) -> Match:
    """Returns which axes correspond over paired rows (N, Da) and (N, Db), weighted or not."""
    xa, xb = paired_X
    if method not in METHODS:
        raise RarityError(f"unknown method {method!r}; known: {', '.join(METHODS)}")
    if len(xa) != len(xb) or len(xa) < 3:
        raise RarityError(f"{len(xa)} and {len(xb)} rows are no pairs; give the same three texts or more to both encoders")
    w = np.full(len(xa), 1 / len(xa)) if weights is None else np.asarray(weights, np.float64)
    if w.shape != (len(xa),) or (w < 0).any() or not w.sum() > 0:
        raise RarityError(f"weights are one number from 0 on for each of the {len(xa)} pairs")
    sa, sb = (_standard(axes.transform(x), w / w.sum()) for axes, x in ((a, xa), (b, xb)))
    table = sa.T @ sb
    pairs, r = _paired(table, method)
    shuffled = np.random.default_rng(seed).permutation(len(xa))
    b_moved = _standard(b.transform(np.asarray(xb)[shuffled]), w / w.sum())
    return Match(pairs, r, table, _paired(sa.T @ b_moved, method)[1])


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
