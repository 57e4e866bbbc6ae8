"""Every regression of a fold from one eigendecomposition of its Gram matrix.

With Z = (X − mean)/sd and ZᵀZ = UΛUᵀ, ridge is U(Λ+α)⁻¹Uᵀc for all α at once, regression on the first k principal
components keeps the first k terms of UΛ⁻¹Uᵀc, and one on any of the components keeps theirs. Directions whose λ is lost in
rounding (λ < D·ε·λ_max) are dropped: what remains of α = 0 is the least squares solution of least norm.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rarityir.rarity.grams import Moments, Vectors
from rarityir.types import RarityError

_AT_ONCE = 512  # columns of a rotated Gram matrix


@dataclass(frozen=True)
class Rotation:
    """The training rows of a fold in the coordinates of their components, in falling order of `squares` (λ).

    `turn` (D, R): raw coefficients are `turn @ g` for g in components. `cross` (R, C) is of components and centred columns,
    `total` (C,) the columns' squares about their means. All means are relative to the centres of the Grams.
    """

    rows: float
    turn: Vectors
    squares: Vectors
    cross: Vectors
    total: Vectors
    x_mean: Vectors
    y_mean: Vectors

    @property
    def rank(self) -> int:
        """R: how many directions the rows have."""
        return len(self.squares)

    @property
    def scale(self) -> float:
        """The mean λ over all D directions: the number of rows where columns are standardised. Penalties are told in it."""
        return float(self.squares.sum() / len(self.x_mean))

    def columns(self, start: int, stop: int) -> Rotation:
        """The same rotation with some of the columns."""
        part = slice(start, stop)
        return replace(self, cross=self.cross[:, part], total=self.total[part], y_mean=self.y_mean[part])

    @property
    def least(self) -> Vectors:
        """The (R, C) coefficients of least squares."""
        return np.asarray(self.cross / self.squares[:, None])

    def ridge(self, alphas_C: Vectors) -> Vectors:
        """Returns the (R, C) coefficients of ridge, with a penalty for each column."""
        return np.asarray(self.cross / (self.squares[:, None] + alphas_C))


def rotate(train: Moments, x_mean_D: Vectors, *, standardise: bool = True) -> Rotation:
    """Returns the components of training rows; `train.gram` is written over, and three times its size is in use.

    Weights are brought to a mean of 1 where the rows have some: see `Moments.mass`.
    """
    from scipy.linalg import eigh

    mean = train.sums / train.mass
    y_mean = train.y_sums / train.mass
    cross = train.cross - np.outer(train.sums, y_mean)
    inverse = standard(train, x_mean_D, standardise=standardise)
    squares, turn = eigh(train.gram, lower=True, overwrite_a=True, check_finite=False, driver="evd")
    first = int(np.searchsorted(squares, max(len(squares) * np.finfo(np.float64).eps * squares[-1], 0.0), side="right"))
    if first == len(squares):
        raise RarityError("all rows of a training fold are the same; there is nothing to regress on")
    turn *= inverse[:, None]
    _reverse(turn)
    turn = turn[:, : len(squares) - first]
    total = np.maximum(train.y_squares - train.y_sums * y_mean, 0.0)
    return Rotation(train.mass, turn, squares[first:][::-1].copy(), turn.T @ cross, total, mean, y_mean)


def standard(train: Moments, x_mean_D: Vectors, *, standardise: bool) -> Vectors:
    """Centres and standardises a Gram matrix in place; returns 1/sd (D,), 0 for constant columns, else 1 where not wanted."""
    mean = train.sums / train.mass
    _less(train.gram, train.sums, mean)
    inverse = _inverse_scales(np.diagonal(train.gram) / train.mass, mean, x_mean_D, train.mass)
    if not standardise:
        inverse = (inverse > 0).astype(np.float64)
    np.multiply(train.gram, inverse[:, None], out=train.gram)
    np.multiply(train.gram, inverse, out=train.gram)
    return inverse


def _reverse(turn_DD: Vectors) -> None:
    """Turns the order of columns about in place: products with a view that runs backwards would copy all of it."""
    width = turn_DD.shape[1]
    for at in range(0, width // 2, _AT_ONCE):
        end = min(at + _AT_ONCE, width // 2)
        left = turn_DD[:, at:end].copy()
        turn_DD[:, at:end] = turn_DD[:, width - end : width - at][:, ::-1]
        turn_DD[:, width - end : width - at] = left[:, ::-1]


def _less(gram_DD: Vectors, sums_D: Vectors, mean_D: Vectors) -> None:
    """Takes the mean's part from a Gram matrix, some columns at a time: no second matrix."""
    for at in range(0, len(gram_DD), _AT_ONCE):
        gram_DD[:, at : at + _AT_ONCE] -= sums_D[:, None] * mean_D[at : at + _AT_ONCE]


def _inverse_scales(variance_D: Vectors, mean_D: Vectors, centre_D: Vectors, rows: float) -> Vectors:
    """1/sd, and 0 for a column whose variance is no more than rounding leaves of a constant (Chan et al., 1983).

    Means are those of the rows trained on, and of all, which the sums were centred by.
    """
    eps = np.finfo(np.float64).eps
    varies = variance_D > rows * eps * (variance_D + mean_D**2) + (rows * (mean_D + centre_D) * eps) ** 2
    return np.asarray(np.divide(1.0, np.sqrt(np.maximum(variance_D, 0.0)), out=np.zeros_like(variance_D), where=varies))


def generalised(rotation: Rotation, alphas_A: Vectors) -> Vectors:
    """Returns generalised cross-validation's error (A, C) of ridge: RSS/n over (1 − df/n)² (Golub, Heath and Wahba, 1979)."""
    squares = rotation.squares[:, None]
    least = np.maximum(rotation.total - (rotation.cross**2 / squares).sum(axis=0), 0.0)
    found = np.empty((len(alphas_A), len(rotation.total)))
    weighed = rotation.cross**2 / squares
    for i, alpha in enumerate(alphas_A):
        residual = least + ((alpha / (squares + alpha)) ** 2 * weighed).sum(axis=0)
        found[i] = _inflated(residual / rotation.rows, (squares / (squares + alpha)).sum() + 1, rotation.rows)
    return found


def generalised_components(rotation: Rotation) -> Vectors:
    """Returns generalised cross-validation's error (R, C) of regression on the first k components, k = 1 … R."""
    residual = np.maximum(rotation.total - np.cumsum(rotation.cross**2 / rotation.squares[:, None], axis=0), 0.0)
    found = [_inflated(left / rotation.rows, k + 2, rotation.rows) for k, left in enumerate(residual)]
    return np.stack(found)


def _inflated(error_C: Vectors, freedom: float, rows: float) -> Vectors:
    """Errors of so many degrees of freedom; infinite where none is left, and no error says anything."""
    left = 1 - freedom / rows
    return np.asarray(error_C / left**2 if left > 1e-9 else np.full_like(error_C, np.inf))


def best(errors_AC: Vectors) -> NDArray[np.int64]:
    """Returns the place of each column's least error; the last of equals, and the last where none is finite."""
    return np.asarray(len(errors_AC) - 1 - np.argmin(errors_AC[::-1], axis=0), np.int64)


class Judged(NamedTuple):
    """Sums of squared errors on rows held out: of each set of coefficients (M,), and along the components (R, T)."""

    errors: Vectors
    path: Vectors


def judge(rotation: Rotation, held: Moments, coefficients_RM: Vectors, target_M: NDArray[np.int64], targets: int) -> Judged:
    """Returns the squared errors on held-out rows of coefficients in components, and of every number of components.

    The held-out Gram matrix is rotated some columns at a time; neither it nor the rotation is copied. Coefficients m
    predict the column `target_M[m]`, along with the training mean; the path is that of least squares for the first T columns.
    """
    from scipy.linalg import blas

    away, y_away = rotation.x_mean, rotation.y_mean
    p, q = rotation.turn.T @ held.sums, rotation.turn.T @ away
    cross = held.cross - np.outer(away, held.y_sums) - np.outer(held.sums, y_away) + held.mass * np.outer(away, y_away)
    cross = rotation.turn.T @ cross
    total = held.y_squares - 2 * y_away * held.y_sums + held.mass * y_away**2
    path = rotation.least[:, :targets]
    quadratic, along = np.zeros(coefficients_RM.shape[1]), np.empty_like(path)
    for at in range(0, rotation.rank, _AT_ONCE):
        turned = np.asfortranarray(rotation.turn[:, at : at + _AT_ONCE])
        gram = rotation.turn.T @ blas.dsymm(1.0, held.gram, turned, lower=1)  # (R, block) of the rotated matrix
        width = gram.shape[1]
        quadratic += np.einsum("bm,bm->m", gram.T @ coefficients_RM, coefficients_RM[at : at + width])
        before = gram[:at].T @ path[:at] + np.triu(gram[at : at + width], 1).T @ path[at : at + width]
        along[at : at + width] = path[at : at + width] * (2 * before + np.diagonal(gram[at:])[:, None] * path[at : at + width])
    linear = np.einsum("rm,rm->m", coefficients_RM, cross[:, target_M])
    shift = (p @ coefficients_RM, q @ coefficients_RM)
    errors = total[target_M] - 2 * linear + quadratic - 2 * shift[0] * shift[1] + held.mass * shift[1] ** 2
    steps = (np.cumsum(p[:, None] * path, axis=0), np.cumsum(q[:, None] * path, axis=0))
    mixed = np.cumsum(along, axis=0) - 2 * steps[0] * steps[1] + held.mass * steps[1] ** 2
    on_path = total[:targets] - 2 * np.cumsum(path * cross[:, :targets], axis=0) + mixed
    return Judged(np.maximum(errors, 0.0), np.maximum(on_path, 0.0))
