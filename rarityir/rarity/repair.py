"""The head repaired: what makes a probe right about the words that running text consists of, chosen inside cross-validation.

The rows of the few hundred most frequent types do not lie on the line of all others, and they are too few to bend it. Three
remedies are tried together: rows weighted by occurrences to the power τ, or half by types and half by occurrences (`mixed`);
the row's norm, its cosine with the mean and the squares of its largest components as further columns (nothing linear sees a
row that shrinks toward the origin); and an isotonic map of the predictions. For each outer fold the remedy, with its penalty and
with or without a map, that does best in the outer fold's inner folds is taken; the outer fold has no say.

What is best is a matter of purpose. By `occurrence` it is the squared error of running text alone, which may cost all that was
right about types; by `balanced` it is the sum of both errors, each as a share of its variance: the mean of both R².
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rarityir.rarity.crossfit import GRID, Linear, predictions, solved
from rarityir.rarity.grams import FoldGrams, Moments, Source, Vectors, Weighing, centre, fold_grams
from rarityir.rarity.ridge import judge, rotate
from rarityir.types import Ints, RarityError

POWERS = (0.0, 0.5, 1.0)
PURPOSES = ("balanced", "occurrence")
SQUARES = 32


@dataclass(frozen=True)
class Widened:
    """Rows with their norm, their cosine with the mean, and the squares of their coordinates along `turn` (D, M) behind them."""

    rows: Source
    mean: Vectors
    turn: Vectors

    @property
    def shape(self) -> tuple[int, int]:
        """V and D + 2 + M."""
        return (self.rows.shape[0], self.rows.shape[1] + 2 + self.turn.shape[1])

    def blocks(self, rows: int) -> Iterator[NDArray[Any]]:
        """Yields so many rows at a time, in float64."""
        for block in self.rows.blocks(rows):
            x = block.astype(np.float64)
            norms = np.sqrt(np.einsum("bd,bd->b", x, x))
            along = np.divide(x @ self.mean, norms * np.linalg.norm(self.mean), out=np.zeros_like(norms), where=norms > 0)
            yield np.concatenate([x, norms[:, None], along[:, None], ((x - self.mean) @ self.turn) ** 2], axis=1)


class Remedy(NamedTuple):
    """A candidate: the powers of occurrences that rows are weighted by, and how many columns it sees."""

    powers: tuple[int, ...]  # places in POWERS; the weights are added up
    width: int
    name: str


@dataclass(frozen=True)
class Isotonic:
    """A rising map of predictions, straight between its corners and level beyond them; the identity where it has none."""

    x: Vectors
    y: Vectors

    @classmethod
    def fit(cls, predicted: Vectors, y: Vectors, weights: Vectors) -> Isotonic:
        """Returns the rising map of least weighted squared error (Barlow et al., 1972)."""
        from scipy.optimize import isotonic_regression

        kept = np.flatnonzero(weights > 0)
        places, which = np.unique(predicted[kept], return_inverse=True)
        mass = np.bincount(which, weights[kept])
        found = isotonic_regression(np.bincount(which, weights[kept] * y[kept]) / mass, weights=mass).x
        corner = np.ones(len(found), bool)
        corner[1:-1] = (np.diff(found)[:-1] != 0) | (np.diff(found)[1:] != 0)
        return cls(places[corner], found[corner])

    def __call__(self, predicted: Vectors) -> Vectors:
        """Returns predictions mapped."""
        return np.asarray(np.interp(predicted, self.x, self.y)) if len(self.x) else predicted


IDENTITY = Isotonic(np.zeros(0), np.zeros(0))


@dataclass(frozen=True, eq=False)
class Repaired:
    """The repaired probe: `predicted` (V, T) of rows not seen, what was chosen for each target by each fold and, last, by all.

    `errors[name]` (2, T) are a remedy's squared errors out of fold at its best penalty, over types and over occurrences, as
    shares of what a constant leaves.
    """

    predicted: Vectors
    chosen: tuple[tuple[str, ...], ...]
    errors: dict[str, Vectors]
    final: Linear
    maps: tuple[Isotonic, ...]
    x_mean: Vectors
    widened: Widened

    def predict(self, rows: Source, block: int = 0) -> Vectors:
        """Returns predictions (V, T) of any rows."""
        wide = Widened(rows, self.widened.mean, self.widened.turn)
        none = np.full(rows.shape[0], -1, np.int64)
        found = predictions(wide, none, [], {"out": self.final}, self.x_mean, block=block)[0]["out"]
        return np.stack([remap(found[:, t]) for t, remap in enumerate(self.maps)], axis=1)


@dataclass(frozen=True)
class _Bench:
    """All that remedies are tried on: sums by power, the grid of penalties."""

    sums: list[FoldGrams]
    remedies: tuple[Remedy, ...]
    totals: tuple[Vectors, ...]  # (2, T): squares about the mean, by types and by occurrences, without each fold; last, of all
    purpose: str
    alphas: Vectors | None
    standardise: bool
    targets: int

    def shares(self, k: int) -> Vectors:
        """What (2, T) a squared error of types and one of occurrences count for where fold k has no say."""
        return np.asarray(np.array([[float(self.purpose == "balanced")], [1.0]]) / self.totals[k])

    @property
    def folds(self) -> int:
        return len(self.sums[0].folds)

    def train(self, remedy: Remedy, left_out: tuple[int, ...]) -> Moments:
        """The sums a remedy is fitted on, without some folds."""
        parts = [self.sums[power].without(*left_out).narrow(remedy.width) for power in remedy.powers]
        total = parts[0]
        for part in parts[1:]:
            total = total.joined(part)
        return total

    def errors(self, remedy: Remedy, left_out: tuple[int, ...], held: tuple[int, ...]) -> list[Vectors]:
        """Squared errors (2, A, T), over types and occurrences, on each held-out fold of the remedy fitted without some folds."""
        x_mean = self.sums[0].x_mean[: remedy.width]
        rotation = rotate(self.train(remedy, left_out), x_mean, standardise=self.standardise)
        alphas = GRID * rotation.scale if self.alphas is None else self.alphas
        sets = np.concatenate([rotation.ridge(np.full(self.targets, alpha)) for alpha in alphas], axis=1)
        target = np.tile(np.arange(self.targets), len(alphas))
        found = []
        for fold in held:
            parts = [self.sums[place].folds[fold].narrow(remedy.width) for place in (0, POWERS.index(1.0))]
            errors = [judge(rotation, part, sets, target, self.targets).errors for part in parts]
            found.append(np.stack(errors).reshape(2, len(alphas), self.targets))
        return found

    def fit(self, remedy: Remedy, place_T: Ints, left_out: tuple[int, ...]) -> Linear:
        """The fit of a remedy without some folds, with the place of a penalty for each target; unseen columns have slope 0."""
        alphas = (GRID if self.alphas is None else self.alphas)[place_T]
        narrow = FoldGrams((), self.sums[0].x_mean[: remedy.width], self.sums[0].y_mean)
        train = self.train(remedy, left_out)
        found = solved(train, narrow, alphas, standardise=self.standardise, relative=self.alphas is None)
        slopes = np.zeros((len(self.sums[0].x_mean), self.targets))
        slopes[: remedy.width] = found.slopes
        return Linear(slopes, found.offsets, alphas, found.train)


def repaired(
    rows: Source,
    y_VT: Vectors,
    counts_V: Vectors,
    folds_V: Ints,
    plain: FoldGrams,
    *,
    purpose: str = "balanced",
    alphas: Vectors | None = None,
    standardise: bool = True,
    block: int = 0,
) -> Repaired:
    """Returns predictions with the head repaired, all choices made in inner folds: of the folds but one, each held out in turn.

    With K folds it takes K(K + 1)/2 eigendecompositions for each remedy; `plain` are the sums of plain rows, unweighted.
    """
    if purpose not in PURPOSES:
        raise RarityError(f"repair for {purpose!r} is none of {', '.join(PURPOSES)}")
    used = folds_V >= 0
    wide = Widened(rows, plain.x_mean, _largest(plain))
    x_mean = centre(wide, used, block)
    targets = y_VT.shape[1]
    y_mean = plain.y_mean[:targets]
    weighings = [Weighing(_weights(counts_V, used, power), lambda which: y_VT[which], targets, 0) for power in POWERS]
    sums = fold_grams(wide, folds_V, weighings, x_mean, [y_mean] * len(POWERS), block=block)
    bench = _Bench(
        sums,
        _remedies(rows.shape[1], wide.shape[1]),
        tuple(_totals(sums, k) for k in range(len(sums[0].folds) + 1)),
        purpose,
        alphas,
        standardise,
        targets,
    )
    places, best = _penalties(bench)
    count = bench.folds
    fits, of_all = _fits(bench, places)
    final = {name: of_all[int(name.removeprefix("out").removeprefix("in").partition("-")[0])] for name in fits[0]}
    found, _ = predictions(wide, folds_V, fits, final, x_mean, block=block)
    predicted, choices, maps = _chosen(found, y_VT, counts_V / counts_V[used].mean(), folds_V, bench)
    names = [[bench.remedies[r].name for r in choice] for choice in choices]
    chosen = tuple(
        tuple(name + ("" if remap is IDENTITY else "+isotonic") for name, remap in zip(row, remaps, strict=True))
        for row, remaps in zip(names, maps, strict=True)
    )
    whole = [of_all[r] for r in choices[count]]
    slopes = np.stack([fit.slopes[:, t] for t, fit in enumerate(whole)], axis=1)
    offsets, penalties = (np.array([getattr(fit, name)[t] for t, fit in enumerate(whole)]) for name in ("offsets", "chosen"))
    kept = Linear(slopes, offsets, penalties, np.full(targets, np.nan))
    return Repaired(predicted, chosen, best, kept, tuple(maps[count]), x_mean, wide)


def _remedies(plain: int, wide: int) -> tuple[Remedy, ...]:
    ways = {f"tau={power:g}": (i,) for i, power in enumerate(POWERS)} | {"mixed": (0, POWERS.index(1.0))}
    return tuple(Remedy(at, w, name + more) for w, more in ((plain, ""), (wide, "+features")) for name, at in ways.items())


def _totals(sums: list[FoldGrams], left_out: int) -> Vectors:
    found = []
    for place in (0, POWERS.index(1.0)):
        parts = [part for k, part in enumerate(sums[place].folds) if k != left_out]
        y_sums = np.sum([part.y_sums for part in parts], axis=0)
        found.append(np.sum([part.y_squares for part in parts], axis=0) - y_sums**2 / sum(part.mass for part in parts))
    return np.stack(found)


def _weights(counts_V: Vectors, used: NDArray[np.bool_], power: float) -> Vectors | None:
    """Counts to a power, with a mean of 1; a row that never occurs counts as half of the least that does."""
    if power == 0:
        return None
    found = np.maximum(counts_V, counts_V[counts_V > 0].min() / 2) ** power
    return np.asarray(found / found[used].mean())


def _largest(plain: FoldGrams) -> Vectors:
    """The directions (D, M) of most variance of all rows that are fitted on."""
    from scipy.linalg import eigh

    total = plain.without()
    gram = total.gram - np.outer(total.sums, total.sums / total.mass)
    width = len(gram)
    _, turn = eigh(gram, lower=True, subset_by_index=(max(0, width - SQUARES), width - 1), overwrite_a=True, check_finite=False)
    return np.ascontiguousarray(turn[:, ::-1])


def _penalties(bench: _Bench) -> tuple[list[list[Ints]], dict[str, Vectors]]:
    """Returns each remedy's best penalties (T,) for each outer fold and, last, for all rows; and its errors out of fold."""
    count = bench.folds
    found, by_name = [], {}
    for remedy in bench.remedies:
        total: list[Any] = [0.0] * (count + 1)
        for j in range(count):
            total[count] = total[count] + bench.errors(remedy, (j,), (j,))[0]
            for k in range(j + 1, count):
                for_k, for_j = bench.errors(remedy, (j, k), (j, k))
                total[k], total[j] = total[k] + for_k, total[j] + for_j
        found.append([np.argmin(np.einsum("wat,wt->at", errors, bench.shares(k)), axis=0) for k, errors in enumerate(total)])
        by_name[remedy.name] = total[count][:, found[-1][count], np.arange(bench.targets)] / bench.totals[count]
    return found, by_name


def _fits(bench: _Bench, places: list[list[Ints]]) -> tuple[list[dict[str, Linear]], list[Linear]]:
    """Returns, for the rows of each fold j, every remedy's fit without j (`out`), without j and k (`in`); and those of all."""
    count, last = bench.folds, len(bench.remedies)
    fits = []
    for j in range(count):
        outer = [bench.fit(bench.remedies[r], places[r][j], (j,)) for r in range(last)]
        here = {f"out{r}": fit for r, fit in enumerate(outer)}
        for k, r in ((k, r) for k in range(count) for r in range(last)):
            here[f"in{r}-{k}"] = bench.fit(bench.remedies[r], places[r][k], (k, j)) if k != j else outer[r]
        fits.append(here)
    return fits, [bench.fit(bench.remedies[r], places[r][count], ()) for r in range(last)]


def _chosen(
    found: dict[str, Vectors], y_VT: Vectors, counts_V: Vectors, folds_V: Ints, bench: _Bench
) -> tuple[Vectors, list[list[int]], list[list[Isotonic]]]:
    """Returns the predictions of what is best in inner folds, and for each outer fold and, last, for all rows what that is."""
    predicted, count = np.empty_like(y_VT), bench.folds
    choices: list[list[int]] = []
    maps: list[list[Isotonic]] = []
    for k in range(count + 1):
        others, mine = np.flatnonzero((folds_V >= 0) & (folds_V != k)), folds_V == (k if k < count else -1)
        shares = bench.shares(k)
        choices.append([])
        maps.append([])
        for t in range(bench.targets):
            y, weights = y_VT[others, t], shares[0, t] + shares[1, t] * counts_V[others]
            sources = [found[f"in{r}-{k}" if k < count else f"out{r}"][others, t] for r in range(len(bench.remedies))]
            errors = [tried(source, y, weights, folds_V[others]) for source in sources]
            best = int(np.argmin([error for error, _ in errors]))
            remap = Isotonic.fit(sources[best], y, weights) if errors[best][1] else IDENTITY
            predicted[mine, t] = remap(found[f"out{best}"][mine, t])
            choices[k].append(best)
            maps[k].append(remap)
    return predicted, choices, maps


def tried(predicted: Vectors, y: Vectors, weights: Vectors, folds: Ints) -> tuple[float, bool]:
    """Returns the weighted squared error of inner predictions, and whether that is with an isotonic map of them.

    A map must do better on most folds it was not fitted on, and in all: a few rows carry most of the weight, and one bent to
    them may win the sum by luck.
    """
    plain, mapped = [], []
    for j in np.unique(folds).tolist():
        rest, held = folds != j, folds == j
        remap = Isotonic.fit(predicted[rest], y[rest], weights[rest])
        plain.append(float(weights[held] @ (y[held] - predicted[held]) ** 2))
        mapped.append(float(weights[held] @ (y[held] - remap(predicted[held])) ** 2))
    better = sum(mapped) < sum(plain) and np.mean(np.less(mapped, plain)) >= 0.75
    return (sum(mapped) if better else sum(plain)), bool(better)
