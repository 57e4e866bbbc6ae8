"""From Gram matrices of folds to all a probe reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rarityir.rarity import crossfit, scores
from rarityir.rarity.crossfit import Design, Fold, Linear, Permutations
from rarityir.rarity.folds import TEST
from rarityir.rarity.grams import FoldGrams, Moments, Source, Vectors
from rarityir.rarity.result import Bands, Chance, Curve, Fit, Penalties, ProbeResult, Target
from rarityir.rarity.scores import NOTHING, Pair
from rarityir.types import Ints

_LEAST_TEST = 10  # test rows to say anything of


@dataclass(frozen=True)
class Settings:
    """How a probe judges, whatever it is given."""

    seed: int
    replicates: int
    precision: str
    block: int


@dataclass(frozen=True)
class Material:
    """What a probe was given; `groups` are numbers from 0."""

    rows: Source
    y: Vectors
    names: tuple[str, ...]
    counts: Vectors | None
    surface: Vectors | None
    groups: Ints
    folds: Ints
    design: Design

    @property
    def weights(self) -> list[Vectors]:
        """The weights of rows: by type, and by occurrence where there are counts."""
        return [np.ones(len(self.y)), *([] if self.counts is None else [self.counts])]


def judged(given: Material, sums: Sequence[FoldGrams], permutations: Permutations | None, settings: Settings) -> ProbeResult:
    """Fits every fold and the whole, predicts what each has not seen, and scores it."""
    count, design = len(sums[0].folds), given.design
    fits = [crossfit.fitted(sums[0].without(k), sums[0], design, [weighing.folds[k] for weighing in sums]) for k in range(count)]
    final = crossfit.fitted(sums[0].without().first(design.targets + design.surface), sums[0], design)
    predicted, errors = crossfit.predictions(
        given.rows,
        given.folds,
        [fold.fits for fold in fits],
        final.fits,
        sums[0].x_mean,
        permutations,
        given.surface,
        settings.block,
    )
    used = given.folds != TEST
    intervals = _pairs(given, predicted, used, settings)
    tested = given.folds == TEST
    tests = _pairs(given, {"ridge": predicted["ridge"]}, tested, settings) if tested.sum() >= _LEAST_TEST else None
    totals = np.stack([_total(given.y[used], w[used]) for w in given.weights])
    targets = tuple(
        Target(
            name=name,
            fits={fit: _fit(given, fits, predicted, intervals, fit, t) for fit in predicted},
            type=scores.describe(given.y[used, t], predicted["ridge"][used, t]),
            occurrence=_weighted(given, predicted["ridge"], used, t),
            test=None if tests is None else tests["ridge"][t],
            curve=_curve(fits, totals[:, t], t, given.rows.shape[1]),
            alphas=_penalties(fits, totals[:, t], t),
            bands=_bands(fits, totals[:, t], t, design, given.rows.shape[1]),
            table=_table(given, predicted["ridge"], used, t),
            chance=None if permutations is None else _chance(intervals["ridge"][t], errors, totals[:, t], t, given.y.shape[1]),
            increment=intervals["increment"][t] if "increment" in intervals else None,
            direction=final.fits["ridge"].slopes[:, t],
            intercept=_intercept(final.fits["ridge"], sums[0].x_mean, t),
        )
        for t, name in enumerate(given.names)
    )
    return ProbeResult(
        rows=len(given.y),
        width=given.rows.shape[1],
        groups=int(given.groups.max()) + 1,
        test_rows=int(tested.sum()),
        seed=settings.seed,
        precision=settings.precision,
        standardised=design.standardise,
        spectrum=_spectrum(fits, sums[0].folds, given.rows.shape[1]),
        targets=targets,
        folds=given.folds,
        predicted=predicted["ridge"],
    )


def _pairs(given: Material, predicted: dict[str, Vectors], used: NDArray[np.bool_], settings: Settings) -> dict[str, list[Pair]]:
    """R² of every fit and target with intervals, all from the same resamples of groups."""
    names, targets = list(predicted), given.y.shape[1]
    y = given.y[used] - given.y[used].mean(axis=0)
    errors = [(given.y[used] - predicted[name][used]) ** 2 for name in names]
    columns = []
    for weights in given.weights:
        w = weights[used, None]
        columns.append(np.concatenate([w, w * y, w * y**2, *(w * e for e in errors)], axis=1))
    sums = _by_group(np.concatenate(columns, axis=1), given.groups[used])
    width = 1 + targets * (2 + len(names))

    def statistics(total: Vectors) -> Vectors:
        found = []
        for k in range(len(given.weights)):
            part = total[..., k * width : (k + 1) * width]
            mass, mean, square = part[..., :1], part[..., 1 : 1 + targets], part[..., 1 + targets : 1 + 2 * targets]
            with np.errstate(invalid="ignore", divide="ignore"):
                spread = np.tile(square - mean**2 / mass, len(names))
                values = 1 - part[..., 1 + 2 * targets :] / np.where(spread > 0, spread, np.nan)
            found.append(values)
            if "both" in names:
                found.append(_of(values, names, "both", targets) - _of(values, names, "surface", targets))
        return np.concatenate(found, axis=-1)

    found = scores.intervals(sums, statistics, replicates=settings.replicates, seed=settings.seed)
    told = [*names, "increment"] if "both" in names else names
    half = targets * len(told)
    return {
        name: [
            Pair(found[i * targets + t], found[half + i * targets + t] if len(found) > half else NOTHING) for t in range(targets)
        ]
        for i, name in enumerate(told)
    }


def _of(values: Vectors, names: Sequence[str], name: str, targets: int) -> Vectors:
    at = names.index(name) * targets
    return values[..., at : at + targets]


def _by_group(rows_VC: Vectors, group_V: Ints) -> Vectors:
    """Sums over groups (G, C), in the order in which their numbers rise."""
    _, group = np.unique(group_V, return_inverse=True)
    order = np.argsort(group, kind="stable")
    return np.asarray(np.add.reduceat(rows_VC[order], np.flatnonzero(np.diff(group[order], prepend=-1)), axis=0))


def _total(y: Vectors, weights: Vectors) -> Vectors:
    """Σw(y − ȳ)² of each target."""
    return np.asarray(weights @ (y - weights @ y / weights.sum()) ** 2)


def _fit(
    given: Material, fits: Sequence[Fold], predicted: dict[str, Vectors], pairs: dict[str, list[Pair]], name: str, t: int
) -> Fit:
    by_fold = []
    for k in range(len(fits)):
        inside = given.folds == k
        by_fold.append(scores.r2(given.y[inside, t], predicted[name][inside, t]))
    train = float(np.mean([fold.fits[name].train[t] for fold in fits]))
    return Fit(pairs[name][t], train, tuple(float(fold.fits[name].chosen[t]) for fold in fits), tuple(by_fold))


def _weighted(given: Material, predicted: Vectors, used: NDArray[np.bool_], t: int) -> scores.Scores | None:
    if given.counts is None:
        return None
    return scores.describe(given.y[used, t], predicted[used, t], given.counts[used])


def _table(given: Material, predicted: Vectors, used: NDArray[np.bool_], t: int) -> tuple[scores.Band, ...]:
    if given.counts is None:
        return ()
    rows = np.flatnonzero(used)
    return tuple(scores.frequency_bands(given.y[used, t], predicted[used, t], given.counts[used], rows))


def _r2(fits: Sequence[Fold], kind: str, totals: Vectors, t: int, length: int | None = None) -> list[Vectors]:
    """R² of errors summed over folds, over types and over occurrences; a path of errors that ends early goes on as it ends."""
    found = []
    for k, total in enumerate(totals):
        errors = [fold.errors[k][kind][:, t] for fold in fits]
        size = length or len(errors[0])
        errors = [np.concatenate([e, np.full(size - len(e), e[-1])]) for e in errors]
        found.append(np.asarray(1 - np.sum(errors, axis=0) / total))
    return found if len(found) == 2 else [*found, np.full(len(found[0]), np.nan)]


def _curve(fits: Sequence[Fold], totals: Vectors, t: int, width: int) -> Curve:
    return Curve(np.arange(1, width + 1), *_r2(fits, "curve", totals, t, width))


def _penalties(fits: Sequence[Fold], totals: Vectors, t: int) -> Penalties:
    return Penalties(np.mean([fold.alphas for fold in fits], axis=0), *_r2(fits, "alphas", totals, t))


def _bands(fits: Sequence[Fold], totals: Vectors, t: int, design: Design, width: int) -> Bands:
    first = np.array([band.min() + 1 for band in design.bands], np.int64)
    last = np.array([band.max() + 1 for band in design.bands], np.int64)
    shares = np.zeros(len(design.bands))
    for fold in fits:
        padded = np.concatenate([fold.squares, np.zeros(width - len(fold.squares))]) / fold.squares.sum()
        shares += [padded[band].sum() / len(fits) for band in design.bands]
    return Bands(first, last, shares, *_r2(fits, "bands", totals, t))


def _chance(observed: Pair, errors: Vectors, totals: Vectors, t: int, targets: int) -> Chance:
    r2 = 1 - errors[:, t::targets] / totals[:, None]
    count = r2.shape[1]
    p = [float((1 + (row >= value.value).sum()) / (1 + count)) for row, value in zip(r2, observed, strict=False)]
    nothing = np.full(0, np.nan)
    return Chance(count, p[0], p[1] if len(p) == 2 else float("nan"), r2[0], r2[1] if len(r2) == 2 else nothing)


def _intercept(final: Linear, x_mean: Vectors, t: int) -> float:
    return float(final.offsets[t] - x_mean @ final.slopes[:, t])


def _spectrum(fits: Sequence[Fold], held: Sequence[Moments], width: int) -> Vectors:
    """The mean λ/n of the folds' components."""
    mass = sum(fold.mass for fold in held)
    found = np.zeros(width)
    for fold, out in zip(fits, held, strict=True):
        found[: len(fold.squares)] += fold.squares / (mass - out.mass) / len(fits)
    return found
