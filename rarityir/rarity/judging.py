"""From Gram matrices of folds to all a probe reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rarityir.rarity import crossfit, leakage, repair, scores
from rarityir.rarity.binary import Ranking, ranking
from rarityir.rarity.crossfit import Design, Fold, Permutations
from rarityir.rarity.folds import TEST
from rarityir.rarity.grams import FoldGrams, Moments, Source, Vectors
from rarityir.rarity.leakage import Leakage
from rarityir.rarity.repair import Repaired
from rarityir.rarity.result import Bands, Chance, Curve, Fit, Head, Penalties, ProbeResult, Target
from rarityir.rarity.scores import NOTHING, Pair
from rarityir.types import Ints

_LEAST_TEST = 10  # test rows to say anything of
_GAINS = (
    ("increment", "both", "surface"),
    ("leakage", "random", "ridge"),
    ("lift", "repaired", "ridge"),
)  # R² of one fit above another's


@dataclass(frozen=True)
class Settings:
    """How a probe judges, whatever it is given."""

    seed: int
    replicates: int
    precision: str
    leakage: bool
    repair: str
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


@dataclass(frozen=True)
class _Seen:
    """All fits, what they predict, and R² of it; `used` rows are in folds, `tests` are of the others."""

    fits: Sequence[Fold]
    final: Fold
    predicted: dict[str, Vectors]
    permuted: Vectors
    used: NDArray[np.bool_]
    pairs: dict[str, list[Pair]]
    tests: dict[str, list[Pair]] | None
    totals: Vectors  # (weightings, T)
    mended: Repaired | None


def judged(given: Material, sums: Sequence[FoldGrams], permutations: Permutations | None, settings: Settings) -> ProbeResult:
    """Fits every fold and the whole, predicts what each has not seen, and scores it."""
    seen = _see(given, sums, permutations, settings)
    return ProbeResult(
        rows=len(given.y),
        width=given.rows.shape[1],
        groups=int(given.groups.max()) + 1,
        test_rows=int((~seen.used).sum()),
        seed=settings.seed,
        precision=settings.precision,
        standardised=given.design.standardise,
        spectrum=_spectrum(seen.fits, sums[0].folds, given.rows.shape[1]),
        targets=tuple(_target(given, seen, settings, sums[0].x_mean, t) for t in range(len(given.names))),
        folds=given.folds,
        predicted=seen.predicted["ridge"],
        repaired=seen.mended,
    )


def _see(given: Material, sums: Sequence[FoldGrams], permutations: Permutations | None, settings: Settings) -> _Seen:
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
    if settings.leakage and len(np.unique(given.groups[used])) < used.sum():
        predicted["random"] = _random(given, sums[0], final, settings)
    mended = _mended(given, sums[0], settings) if settings.repair != "none" and given.counts is not None else None
    if mended is not None:
        predicted["repaired"] = mended.predicted
    pairs = r2_pairs(given, predicted, used, settings)
    of_all = {name: found for name, found in predicted.items() if name in ("ridge", "repaired")}
    tests = r2_pairs(given, of_all, ~used, settings) if (~used).sum() >= _LEAST_TEST else None
    totals = np.stack([_total(given.y[used], w[used]) for w in given.weights])
    return _Seen(fits, final, predicted, errors, used, pairs, tests, totals, mended)


def _target(given: Material, seen: _Seen, settings: Settings, x_mean: Vectors, t: int) -> Target:
    fits, used, pairs, totals, width = seen.fits, seen.used, seen.pairs, seen.totals[:, t], given.rows.shape[1]
    ridge = seen.predicted["ridge"]
    final = seen.final.fits["ridge"]
    return Target(
        name=given.names[t],
        fits={name: _fit(given, fits, seen.predicted, pairs, name, t) for name in seen.final.fits},
        type=scores.describe(given.y[used, t], ridge[used, t]),
        occurrence=_weighted(given, ridge, used, t),
        test=None if seen.tests is None else seen.tests["ridge"][t],
        curve=_curve(fits, totals, t, width),
        alphas=_penalties(fits, totals, t),
        bands=_bands(fits, totals, t, given.design, width),
        table=_table(given, ridge, used, t),
        chance=_chance(pairs["ridge"][t], seen.permuted, totals, t, given.y.shape[1]) if seen.permuted.size else None,
        leakage=Leakage(pairs["random"][t], pairs["leakage"][t]) if "random" in pairs else None,
        ranking=_ranking(given, ridge, used, settings, t),
        head=None if seen.mended is None else _head(given, seen, seen.mended, t),
        increment=pairs["increment"][t] if "increment" in pairs else None,
        direction=final.slopes[:, t],
        intercept=float(final.offsets[t] - x_mean @ final.slopes[:, t]),
    )


def r2_pairs(
    given: Material, predicted: dict[str, Vectors], used: NDArray[np.bool_], settings: Settings
) -> dict[str, list[Pair]]:
    """R² of every fit and target with intervals, all from the same resamples of groups."""
    names, targets = list(predicted), given.y.shape[1]
    gains = [gain for gain in _GAINS if gain[1] in names]
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
            found += [_of(values, names, a, targets) - _of(values, names, b, targets) for _, a, b in gains]
        return np.concatenate(found, axis=-1)

    found = scores.intervals(sums, statistics, replicates=settings.replicates, seed=settings.seed)
    told = [*names, *(name for name, *_ in gains)]
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


def _ranking(given: Material, predicted: Vectors, used: NDArray[np.bool_], settings: Settings, t: int) -> Ranking | None:
    """The order is that of predictions less what their fits know of the label's mean.

    A fold with more of the label leaves fewer of it to its own fit, whose predictions are lower for it: ranked together as
    they are, a coin's come out the wrong way round.
    """
    y = given.y[used, t]
    if len(np.unique(y)) != 2:
        return None
    weights = [w[used] for w in given.weights]
    above = predicted[used, t] - _known(y, given.folds[used])
    return ranking(y == y.max(), above, weights, given.groups[used], replicates=settings.replicates, seed=settings.seed)


def _known(y: Vectors, fold: Ints) -> Vectors:
    """The mean (V,) of each row's label over the other folds."""
    counts, sums = np.bincount(fold), np.bincount(fold, weights=y)
    return np.asarray(((sums.sum() - sums) / (len(y) - counts))[fold])


def _random(given: Material, sums: FoldGrams, final: Fold, settings: Settings) -> Vectors:
    return leakage.predicted(
        given.rows,
        given.y,
        given.folds,
        sums,
        final.fits["ridge"],
        standardise=given.design.standardise,
        seed=settings.seed,
        block=settings.block,
    )


def _mended(given: Material, sums: FoldGrams, settings: Settings) -> Repaired:
    assert given.counts is not None
    return repair.repaired(
        given.rows,
        given.y,
        given.counts,
        given.folds,
        sums,
        purpose=settings.repair,
        alphas=given.design.alphas,
        standardise=given.design.standardise,
        block=settings.block,
    )


def _head(given: Material, seen: _Seen, mended: Repaired, t: int) -> Head:
    used = seen.used
    assert given.counts is not None
    y, predicted, counts = given.y[used, t], mended.predicted[used, t], given.counts[used]
    return Head(
        r2=seen.pairs["repaired"][t],
        lift=seen.pairs["lift"][t],
        test=None if seen.tests is None else seen.tests["repaired"][t],
        type=scores.describe(y, predicted),
        occurrence=scores.describe(y, predicted, counts),
        chosen=tuple(names[t] for names in mended.chosen[:-1]),
        final=mended.chosen[-1][t],
        remedies={name: (float(1 - errors[0, t]), float(1 - errors[1, t])) for name, errors in mended.errors.items()},
        table=_table(given, mended.predicted, used, t),
    )


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


def _spectrum(fits: Sequence[Fold], held: Sequence[Moments], width: int) -> Vectors:
    """The mean λ/n of the folds' components."""
    mass = sum(fold.mass for fold in held)
    found = np.zeros(width)
    for fold, out in zip(fits, held, strict=True):
        found[: len(fold.squares)] += fold.squares / (mass - out.mass) / len(fits)
    return found
