"""A score of a model from its place on the map, for models that neither the fit nor its centring has seen.

Ridge regression on row-centred values; column means, the clip threshold and the penalty come from the training models alone.
The published scripts centre training and test models together (arXiv 2502.16173); `centre="all"` does so, to show what it gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from rarityir.modelmap.agreement import pearson, spearman
from rarityir.modelmap.distances import Matrix, centred, floor, matrix
from rarityir.types import Ints, RarityError

PENALTIES = tuple(10.0**power for power in range(-5, 4))  # times the training models' mean squared norm


@dataclass(frozen=True)
class Prediction:
    """Each model's score as foretold by the other folds, and its correlation with the true one.

    `likelihood` is Pearson's r of the score and the mean log-likelihood, which needs no map: the baseline to beat.
    """

    predicted: Matrix = field(repr=False)
    folds: Ints = field(repr=False)
    penalties: tuple[float, ...]
    pearson: float
    spearman: float
    likelihood: float


def folded(count: int, groups: Sequence[str] | None, cv: int, seed: int = 0) -> Ints:
    """Returns each row's fold: shuffled rows, or whole groups, the largest first into the smallest fold."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    if len(labels) != count:
        raise RarityError(f"{len(labels)} groups for {count} models; one a model is needed")
    sizes = np.bincount(labels)
    if not 2 <= cv <= len(sizes):
        raise RarityError(f"{cv} folds of {len(sizes)} {'models' if groups is None else 'groups'}; take from 2 to {len(sizes)}")
    shuffled = rng.permutation(len(sizes))
    filled, place = np.zeros(cv, np.int64), np.zeros(len(sizes), np.int64)
    for group in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:
        place[group] = filled.argmin()
        filled[place[group]] += sizes[group]
    return np.asarray(place[labels])


def predict(
    l_KN: ArrayLike,
    y: ArrayLike,
    groups: Sequence[str] | None = None,
    *,
    cv: int = 5,
    seed: int = 0,
    centre: str = "train",
    clip: float = 0.02,
    factors_N: Matrix | None = None,
) -> Prediction:
    """Returns every model's score foretold from models of other folds (of other groups, where groups are given)."""
    values, wanted = matrix(l_KN), np.asarray(y, np.float64)
    if wanted.shape != (len(values),) or not np.isfinite(wanted).all():
        raise RarityError(f"{wanted.size} scores for {len(values)} models; one finite score a model is needed")
    if centre not in ("train", "all"):
        raise RarityError(f"unknown centring {centre!r}; known: all, train")
    folds = folded(len(values), groups, cv, seed)
    predicted, penalties = np.empty(len(values)), []
    for fold in range(cv):
        train = folds != fold
        seen = train if centre == "train" else np.ones(len(values), bool)
        x_KN = centred(np.maximum(values, floor(values[seen], clip)), factors_N)
        x_KN = x_KN - x_KN[seen].mean(axis=0)
        predicted[~train], penalty = _ridge(x_KN[train], wanted[train], x_KN[~train])
        penalties.append(penalty)
    weights = np.ones(values.shape[1]) if factors_N is None else factors_N**2
    means = values @ weights / weights.sum()
    r, rho = pearson(predicted, wanted), spearman(predicted, wanted)
    return Prediction(predicted, folds, tuple(penalties), r, rho, pearson(means, wanted))


def _ridge(x_MN: Matrix, y_M: Matrix, new_LN: Matrix) -> tuple[Matrix, float]:
    """Foretells from M training rows by ridge with a free intercept; the penalty has the least leave-one-out error."""
    shift, mean = x_MN.mean(axis=0), y_M.mean()
    x_MN = x_MN - shift
    values, vectors = np.linalg.eigh(x_MN @ x_MN.T)
    values = np.maximum(values, 0)
    scale = float(values.sum()) / len(x_MN) or 1.0
    turned = vectors.T @ (y_M - mean)
    best, chosen, dual = np.inf, PENALTIES[-1], np.zeros(len(y_M))
    for penalty in PENALTIES:
        shrunk = values / (values + penalty * scale)
        # Leaving a row out of a linear smoother: its residual over one minus its own weight, the intercept's share included.
        own = 1 / len(y_M) + (vectors**2) @ shrunk
        left = (y_M - mean - vectors @ (shrunk * turned)) / np.maximum(1 - own, 1e-12)
        error = float(left @ left)
        if error < best:
            best, chosen, dual = error, penalty, vectors @ (turned / (values + penalty * scale))
    return mean + (new_LN - shift) @ (x_MN.T @ dual), chosen
