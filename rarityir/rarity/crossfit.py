"""Fits every fold's regressions on the other folds, and applies each to the rows it has not seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rarityir.rarity import increment
from rarityir.rarity.folds import TEST
from rarityir.rarity.grams import FoldGrams, Moments, Source, Vectors, reading
from rarityir.rarity.ridge import Rotation, best, generalised, generalised_components, judge, rotate, standard
from rarityir.types import Ints

GRID = 10.0 ** np.linspace(-6, 5, 34)  # penalties in units of the mean λ


@dataclass(frozen=True)
class Design:
    """What is fitted in every fold, besides the rows.

    `alphas` are as they stand; None is a grid in units of the mean λ. `bands` are places of components, `subspaces` bases (D, K)
    of orthonormal columns. Of the columns, `targets` are targets, then come surface features, then permuted targets.
    """

    targets: int
    surface: int
    alphas: Vectors | None
    bands: Sequence[NDArray[np.int64]]
    subspaces: Mapping[str, Vectors]
    standardise: bool

    def grid(self, rotation: Rotation) -> Vectors:
        """Returns the penalties (A,) of a fold."""
        return GRID * rotation.scale if self.alphas is None else self.alphas


@dataclass(frozen=True)
class Linear:
    """Predictions `(x − x_mean) @ slopes + offsets`, x_mean the centre of the Grams; and what was chosen for each column."""

    slopes: Vectors
    offsets: Vectors
    chosen: Vectors
    train: Vectors  # R² on the rows it was fitted on
    features: Vectors | None = None  # slopes (F, T) on surface features about the centre of the Grams

    @classmethod
    def of(cls, rotation: Rotation, coefficients: Vectors, y_mean: Vectors, chosen: Vectors) -> Linear:
        """Makes raw slopes of coefficients in components (R, C)."""
        slopes = rotation.turn @ coefficients
        fitted = 2 * (coefficients * rotation.cross).sum(axis=0) - (rotation.squares @ coefficients**2)
        with np.errstate(invalid="ignore", divide="ignore"):
            train = fitted / rotation.total
        return cls(slopes, y_mean + rotation.y_mean - rotation.x_mean @ slopes, chosen, train)

    def __call__(self, x_BD: Vectors) -> Vectors:
        """Returns predictions (B, C) of centred rows."""
        return np.asarray(x_BD @ self.slopes + self.offsets)


@dataclass
class Fold:
    """What one set of training rows gives: linear predictors by name, and errors on the fold held out, by weighting.

    `errors` are sums of squared errors: `curve` (R, T) by number of components, `alphas` (A, T), `bands` (B, T). `squares` are λ.
    """

    fits: dict[str, Linear]
    squares: Vectors
    alphas: Vectors
    errors: list[dict[str, Vectors]] = field(default_factory=list)


def fitted(train: Moments, grams: FoldGrams, design: Design, held: Sequence[Moments] = ()) -> Fold:
    """Returns all fits of training rows, and their errors on held-out rows under each weighting; `train.gram` is written over."""
    t = design.targets
    y_mean = grams.y_mean
    inner = {name: train.within(basis) for name, basis in design.subspaces.items()}
    rotation = rotate(train, grams.x_mean, standardise=design.standardise)
    alphas = design.grid(rotation)
    some = rotation.columns(0, t)
    at = alphas[best(generalised(some, alphas))]
    steps = best(generalised_components(some)) + 1
    kept = np.arange(rotation.rank)[:, None] < steps
    fits = {
        "ridge": Linear.of(some, some.ridge(at), y_mean[:t], at),
        "ols": Linear.of(some, some.least, y_mean[:t], np.zeros(t)),
        "pcr": Linear.of(some, some.least * kept, y_mean[:t], steps.astype(np.float64)),
    }
    permuted = rotation.columns(t + design.surface, len(rotation.total))
    if len(permuted.total):
        penalties = alphas[best(generalised(permuted, alphas))]
        fits["permuted"] = Linear.of(permuted, permuted.ridge(penalties), y_mean[t + design.surface :], penalties)
    if design.surface:
        fits |= _with_surface(train, rotation, grams, design)
    for name, moments in inner.items():
        fits[name] = _within(moments.first(t), design, grams, design.subspaces[name])
    fold = Fold(fits, rotation.squares, alphas)
    fold.errors = [_errors(some, moments.first(t), design, alphas) for moments in held]
    return fold


def _with_surface(train: Moments, rotation: Rotation, grams: FoldGrams, design: Design) -> dict[str, Linear]:
    """Ridge on surface features alone, and on them and the rows together."""
    t, f = design.targets, design.surface
    surface = increment.surface_rotation(train, t, f, grams.y_mean)
    some = rotation.columns(0, t)
    alone = increment.alone(surface, design.grid(surface))
    mixed = rotation.columns(t, t + f).cross @ surface.turn
    both = increment.joint(some, surface, mixed, alone.chosen, design.grid(rotation))
    middle = grams.y_mean[:t] + some.y_mean
    slopes = rotation.turn @ both.components
    away = surface.x_mean
    return {
        "surface": Linear(np.zeros_like(slopes), middle - away @ alone.features, alone.chosen, alone.train, alone.features),
        "both": Linear(slopes, middle - rotation.x_mean @ slopes - away @ both.features, both.chosen, both.train, both.features),
    }


def _within(moments: Moments, design: Design, grams: FoldGrams, basis_DK: Vectors) -> Linear:
    """Ridge on the coordinates in a subspace, as they are: an orthonormal basis of it turned makes no difference."""
    t = design.targets
    rotation = rotate(moments, grams.x_mean @ basis_DK, standardise=False)
    alphas = design.grid(rotation)
    at = alphas[best(generalised(rotation, alphas))]
    found = Linear.of(rotation, rotation.ridge(at), grams.y_mean[:t], at)
    return Linear(basis_DK @ found.slopes, found.offsets, at, found.train)


def solved(train: Moments, grams: FoldGrams, alphas_T: Vectors, *, standardise: bool, relative: bool = False) -> Linear:
    """Returns ridge for penalties that are chosen already, without components: a Cholesky factor for each penalty.

    `relative` penalties are in units of the mean λ. `train.gram` is written over.
    """
    from scipy.linalg import cho_factor, cho_solve

    mean, y_mean = train.sums / train.mass, train.y_sums / train.mass
    inverse = standard(train, grams.x_mean, standardise=standardise)
    cross = (train.cross - np.outer(train.sums, y_mean)) * inverse[:, None]
    scale = float(np.diagonal(train.gram).mean())
    least = 1e-9 * scale  # below it a matrix without full rank has no factor
    alphas_T = alphas_T * scale if relative else alphas_T
    slopes = np.empty_like(cross)
    diagonal = np.arange(len(mean))
    for alpha in (each := np.unique(alphas_T)):
        penalised = train.gram if alpha == each[-1] else train.gram.copy(order="F")
        penalised[diagonal, diagonal] += max(alpha, least)
        factor = cho_factor(penalised, lower=True, overwrite_a=True, check_finite=False)
        slopes[:, alphas_T == alpha] = cho_solve(factor, cross[:, alphas_T == alpha], check_finite=False)
    slopes *= inverse[:, None]
    return Linear(slopes, grams.y_mean[: len(y_mean)] + y_mean - mean @ slopes, alphas_T, np.full(len(y_mean), np.nan))


def _errors(rotation: Rotation, held: Moments, design: Design, alphas: Vectors) -> dict[str, Vectors]:
    t = design.targets
    sets = [rotation.ridge(np.full(t, alpha)) for alpha in alphas]
    for band in design.bands:
        inside = np.zeros((rotation.rank, 1))
        inside[band[band < rotation.rank]] = 1.0
        sets.append(rotation.least * inside)
    judged = judge(rotation, held, np.concatenate(sets, axis=1), np.tile(np.arange(t), len(sets)), t)
    errors = judged.errors.reshape(-1, t)
    return {"alphas": errors[: len(alphas)], "bands": errors[len(alphas) :], "curve": judged.path}


@dataclass(frozen=True)
class Permutations:
    """Permuted targets: which row each row takes its target and weight from (V, P), the targets and the weights of rows."""

    orders: NDArray[np.int32]
    y: Vectors
    counts: Vectors | None

    def targets(self, rows: Ints) -> Vectors:
        """Returns the permuted targets (B, P·T) of rows: the first permutation of all targets, then the second."""
        return np.asarray(self.y[self.orders[rows]].reshape(len(rows), -1))

    def errors(self, rows: Ints, predicted: Vectors) -> Vectors:
        """Returns the summed squared errors (weightings, P·T) of predictions of permuted targets."""
        squared = (self.targets(rows) - predicted) ** 2
        by_type = squared.sum(axis=0)
        if self.counts is None:
            return np.asarray(by_type[None])
        weights = np.repeat(self.counts[self.orders[rows]], self.y.shape[1], axis=1)
        return np.stack([by_type, (weights * squared).sum(axis=0)])


def predictions(
    rows: Source,
    folds_V: Ints,
    fits: Sequence[Mapping[str, Linear]],
    final: Mapping[str, Linear],
    x_mean: Vectors,
    permutations: Permutations | None = None,
    features_VF: Vectors | None = None,
    block: int = 0,
) -> tuple[dict[str, Vectors], Vectors]:
    """Returns each fit's predictions (V, T) of rows it has not seen, and the summed errors of permuted targets.

    Rows of a fold are predicted by the fits without it, test rows by the final fits. `features_VF` are about their centre.
    """
    names = [name for name in final if name != "permuted"]
    width = {name: len(final[name].offsets) for name in names}
    found = {name: np.full((rows.shape[0], width[name]), np.nan) for name in names}
    errors: Vectors = np.zeros((0, 0))
    for at, part in reading(rows, block):
        for fold in (TEST, *range(len(fits))):
            inside = np.flatnonzero(folds_V[at : at + len(part)] == fold)
            if not len(inside):
                continue
            x_BD = part[inside].astype(np.float64)
            x_BD -= x_mean
            here = final if fold == TEST else fits[fold]
            for name in names:
                found[name][at + inside] = here[name](x_BD)
                if (more := here[name].features) is not None and features_VF is not None:
                    found[name][at + inside] += features_VF[at + inside] @ more
            if permutations is not None and fold != TEST:
                here_errors = permutations.errors(at + inside, here["permuted"](x_BD))
                errors = here_errors if not errors.size else errors + here_errors
    return found, errors
