"""Whether two sets of distances say the same: ranks, ratios, Mantel's test and Procrustes' fit, with permutations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from rarityir.modelmap.distances import Matrix, kl
from rarityir.types import RarityError

LOW, HIGH, LEAST = 0.75, 4 / 3, 0.9  # of ratio and rank correlation: what a matched text set keeps to


@dataclass(frozen=True)
class Mismatch:
    """The same models' distances on the chosen texts and on texts of their own: median ratio, and rank correlation."""

    ratio: float
    spearman: float
    pairs: int

    @property
    def warning(self) -> str:
        """What is wrong with the text set, in one line; empty where nothing is."""
        if LOW <= self.ratio <= HIGH and self.spearman >= LEAST:
            return ""
        return (
            f"text-set mismatch: distances on these texts are {self.ratio:.2f} times those on texts that the models write, rank "
            f"correlation {self.spearman:.2f}; read them as relative to the text set, not as KL"
        )


def pairs(d_KK: ArrayLike) -> Matrix:
    """Returns the K(K − 1)/2 values above the diagonal."""
    found = np.asarray(d_KK, np.float64)
    return found[np.triu_indices(len(found), k=1)]


def mismatch(chosen_KN: ArrayLike, own_KM: ArrayLike, bytes_chosen: float = 1.0, bytes_own: float = 1.0) -> Mismatch:
    """Compares distances on the chosen texts with those on texts sampled from the models, in equal parts, by byte."""
    chosen, own = (pairs(kl(v, b)) for v, b in ((chosen_KN, bytes_chosen), (own_KM, bytes_own)))
    if len(chosen) != len(own) or len(chosen) < 3:
        raise RarityError(f"{len(chosen)} and {len(own)} pairs of models; the same three models or more are needed on both")
    if not own.min() > 0:
        raise RarityError("two models are equal on the texts that they write, so there is no ratio; leave one out")
    return Mismatch(float(np.median(chosen / own)), spearman(chosen, own), len(own))


def ranks(values: ArrayLike) -> Matrix:
    """Returns ranks from 1; equal values get their mean rank."""
    _, place, counts = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray(((ends - counts + 1 + ends) / 2)[place], np.float64)


def pearson(a: ArrayLike, b: ArrayLike) -> float:
    """Returns the correlation of two lists; 0 where one of them does not vary."""
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if np.ptp(x) == 0 or np.ptp(y) == 0:  # less its mean, which is rounded, it would vary
        return 0.0
    x, y = x - x.mean(), y - y.mean()
    scale = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y / scale) if scale > 0 else 0.0


def spearman(a: ArrayLike, b: ArrayLike) -> float:
    """Returns the rank correlation of two lists."""
    return pearson(ranks(a), ranks(b))


def mantel(a_KK: ArrayLike, b_KK: ArrayLike, runs: int = 9999, seed: int = 0) -> tuple[float, float]:
    """Returns the rank correlation of two distance matrices and its one-sided p, models permuted (Mantel 1967)."""
    a, b = np.asarray(a_KK, np.float64), np.asarray(b_KK, np.float64)
    _same(a, b)
    upper = np.triu_indices(len(a), k=1)
    x = ranks(a[upper])
    b = _filled(ranks(b[upper]), len(a))
    found = pearson(x, b[upper])
    rng = np.random.default_rng(seed)
    shuffled = (rng.permutation(len(a)) for _ in range(runs))
    least = found - 1e-12
    return found, (1 + sum(pearson(x, b[np.ix_(order, order)][upper]) >= least for order in shuffled)) / (runs + 1)


def procrustes(a_KD: ArrayLike, b_KD: ArrayLike, runs: int = 9999, seed: int = 0) -> tuple[float, float]:
    """Returns what the best turn, scale and shift of one picture leaves of the other, 0 to 1, and its permutation p."""
    a, b = (_standard(np.asarray(v, np.float64)) for v in (a_KD, b_KD))
    _same(a, b)
    rng = np.random.default_rng(seed)
    found = _left(a, b)
    best = sum(_left(a, b[rng.permutation(len(b))]) <= found + 1e-12 for _ in range(runs))
    return found, (1 + best) / (runs + 1)


def onto(a_KD: Matrix, b_KD: Matrix) -> Matrix:
    """Returns a turned, mirrored and shifted, but not scaled, so that its squared distances to b's rows sum to the least."""
    a, mean = a_KD - a_KD.mean(axis=0), b_KD.mean(axis=0)
    left, _, right = np.linalg.svd(a.T @ (b_KD - mean))
    return np.asarray(a @ left @ right + mean)


def _left(a: Matrix, b: Matrix) -> float:
    return float(1 - np.linalg.svd(a.T @ b, compute_uv=False).sum() ** 2)


def _standard(x_KD: Matrix) -> Matrix:
    x_KD = x_KD - x_KD.mean(axis=0)
    norm = float(np.linalg.norm(x_KD))
    if norm == 0:
        raise RarityError("all models stand on one place, so there is nothing to fit")
    return x_KD / norm


def _same(a: Matrix, b: Matrix) -> None:
    if len(a) != len(b) or len(a) < 3:
        raise RarityError(f"{len(a)} and {len(b)} models; the same three or more are needed on both, in one order")


def _filled(upper: Matrix, count: int) -> Matrix:
    whole = np.zeros((count, count))
    whole[np.triu_indices(count, k=1)] = upper
    return whole + whole.T
