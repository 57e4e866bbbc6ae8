"""Log-likelihoods into distances: clipped, centred, and half the variance of every pair's difference.

Rows are models, columns are texts: L_KN. With columns drawn unevenly, each carries a factor a_s, and means are taken with
weights proportional to a_s² (arXiv 2505.15428); factors of one are the plain map (arXiv 2502.16173).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rarityir.types import BadInput, RarityError

Matrix = NDArray[np.float64]
UNITS = ("nats/text", "bits/text", "bits/byte")
TIE = 1e-9  # values nearer than this share of the larger count as equal where the largest gives an axis its sign
CLOSE = 1e-8  # pairs nearer than this share of their norms are measured anew, difference by difference


def matrix(values: ArrayLike, what: str = "log-likelihoods") -> Matrix:
    """Returns a (K, N) float64 matrix; raises `BadInput` for another shape, nothing in it, or a value that is not finite."""
    found = np.asarray(values, np.float64)
    if found.ndim != 2 or found.size == 0:
        raise BadInput(f"{what} have shape {found.shape}; one row a model and one column a text is needed")
    if not np.isfinite(found).all():
        row, column = np.argwhere(~np.isfinite(found))[0]
        raise BadInput(f"{what}: row {row}, column {column} is {found[row, column]}; leave that text or that model out")
    return found


def floor(l_KN: Matrix, clip: float) -> float:
    """Returns the quantile of all values below which they are raised to it; minus infinity for a clip of 0."""
    if not 0 <= clip < 1:
        raise RarityError(f"clip is {clip}; it is a share of the values, at least 0 and below 1")
    return float(np.quantile(l_KN, clip)) if clip else -math.inf


def per_unit(unit: str, mean_bytes: float | None) -> float:
    """Returns what nats of a text are divided by to be in `unit`."""
    if unit not in UNITS:
        raise RarityError(f"unknown unit {unit!r}; known: {', '.join(UNITS)}")
    if unit != "bits/byte":
        return 1.0 if unit == "nats/text" else math.log(2)
    if not mean_bytes or not mean_bytes > 0:
        raise RarityError(f"bits/byte needs the texts' mean length in bytes, not {mean_bytes}; or ask for nats/text")
    return mean_bytes * math.log(2)


def centred(l_KN: Matrix, factors_N: Matrix | None = None) -> Matrix:
    """Returns each model's values less their mean over texts, times the columns' factors."""
    if factors_N is None:
        return np.asarray(l_KN - l_KN.mean(axis=1, keepdims=True))
    weights_N = factors_N**2 / (factors_N**2).sum()
    return np.asarray((l_KN - (l_KN @ weights_N)[:, None]) * factors_N)


def squared(x_KN: Matrix, reference: int | None = None) -> Matrix:
    """Returns the (K, K) squared Euclidean distances between rows: of equal rows exactly 0.

    Rows are shifted by the mean of the first `reference`, which changes no distance and leaves less to cancel.
    """
    x_KN = x_KN - x_KN[:reference].mean(axis=0)
    gram_KK = x_KN @ x_KN.T
    norms_K = np.diag(gram_KK)
    found = np.maximum(norms_K[:, None] + norms_K - gram_KK - gram_KK.T, 0)
    near = np.argwhere(np.triu(found <= CLOSE * (norms_K[:, None] + norms_K), k=1))
    for i, j in near:
        found[i, j] = found[j, i] = ((x_KN[i] - x_KN[j]) ** 2).sum()
    np.fill_diagonal(found, 0)
    return np.asarray(found)


def kl(l_KN: ArrayLike, mean_bytes: float | None = None, unit: str = "bits/byte") -> Matrix:
    """Returns Var(ℓ_i − ℓ_j) / 2 over texts (K, K), in nats or bits of a text or bits of a byte.

    The variance divides by N. It estimates KL(p_i ‖ p_j) for models near the distribution of the texts (arXiv 2502.16173,
    §3) and is a divergence relative to these texts for others. Nothing is clipped here.
    """
    divisor = per_unit(unit, mean_bytes)
    values = matrix(l_KN)
    return np.asarray(squared(centred(values)) / (2 * values.shape[1] * divisor))


def embedded(x_KN: Matrix, method: str = "pca", dims: int = 2, reference: int | None = None) -> tuple[Matrix, Matrix]:
    """Returns places (K, dims) and what they hold: for `pca` each axis's share of the variance, for `mds` the stress.

    `pca` is of the first `reference` rows and places the others among them. `mds` begins there and moves all rows until
    their distances on the picture are as near the real ones as they go (SMACOF, de Leeuw 1977); its stress is the root of
    Σ(d − δ)² / Σδ². An axis of `pca` has the sign that makes the largest value of those rows on it positive (of equally
    large ones the first row's), so that one more row mirrors nothing. `mds` begins with these signs and need not keep them.
    """
    if method not in ("pca", "mds"):
        raise RarityError(f"unknown embedding {method!r}; known: mds, pca")
    known = x_KN[: reference or len(x_KN)]
    if not 1 <= dims < len(known):
        raise RarityError(f"{dims} dimensions of {len(known)} models; ask for at least 1 and fewer than there are models")
    mean_N = known.mean(axis=0)
    known = known - mean_N
    values, vectors = np.linalg.eigh(known @ known.T)
    values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1]
    total = float(values.sum())
    if total <= 0:
        raise RarityError("all models are the same here, so there is nothing to place")
    spread = np.sqrt(values[:dims])
    usable = spread > np.sqrt(total) * 1e-9
    axes_ND = known.T @ vectors[:, :dims] / np.where(usable, spread, 1)
    places = (x_KN - mean_N) @ np.where(usable, axes_ND, 0)
    first = places[: len(known)]
    size = np.abs(first)
    largest = (size >= (1 - TIE) * size.max(axis=0)).argmax(axis=0)  # the first such row: two at ±a differ by rounding alone
    places = places * np.where(first[largest, range(dims)] < 0, -1, 1)
    return (places, values[:dims] / total) if method == "pca" else _smacof(places, np.sqrt(squared(x_KN)))


def _smacof(places: Matrix, wanted_KK: Matrix, steps: int = 300) -> tuple[Matrix, Matrix]:
    total = float((wanted_KK**2).sum())
    before = math.inf
    for _ in range(steps):
        shown_KK = np.sqrt(squared(places))
        stress = float(((shown_KK - wanted_KK) ** 2).sum()) / total
        if before - stress < 1e-9:
            break
        before = stress
        ratio_KK = np.divide(wanted_KK, shown_KK, out=np.zeros_like(wanted_KK), where=shown_KK > 0)
        turn_KK = -ratio_KK
        np.fill_diagonal(turn_KK, ratio_KK.sum(axis=1))
        places = turn_KK @ places / len(places)
    return places, np.array([math.sqrt(((np.sqrt(squared(places)) - wanted_KK) ** 2).sum() / total)])
