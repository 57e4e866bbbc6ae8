"""The head repaired: what makes a probe right about the words that running text consists of, chosen inside cross-validation.

The rows of the few hundred most frequent types do not lie on the line of all others, and they are too few to bend it. Three
remedies are tried together: rows weighted by occurrences to the power τ, or half by types and half by occurrences (`mixed`);
the row's norm, its cosine with the mean and the squares of its largest components as further columns (nothing linear sees a
row that shrinks toward the origin); and an isotonic map of the predictions. For each outer fold the remedy and penalty that do
best in its inner folds are taken; the outer fold has no say.

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
    totals: Vectors  # (2, T): squares about the mean, over types and over occurrences
    purpose: str
    alphas: Vectors | None
    standardise: bool
    targets: int

    @property
    def shares(self) -> Vectors:
        """What (2, T) a squared error of types and one of occurrences count for."""
        return np.asarray(np.array([[float(self.purpose == "balanced")], [1.0]]) / self.totals)

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

    def fit(self, choice: Ints, left_out: tuple[int, ...]) -> Linear:
        """The fit of what was chosen for each target (T, 2: remedy, penalty), without some folds."""
        width = self.sums[0].folds[0].sums.shape[0]
        grid = GRID if self.alphas is None else self.alphas
        slopes, offsets = np.zeros((width, self.targets)), np.zeros(self.targets)
        for place in np.unique(choice[:, 0]).tolist():
            remedy = self.remedies[place]
            narrow = FoldGrams((), self.sums[0].x_mean[: remedy.width], self.sums[0].y_mean)
            found = solved(
                self.train(remedy, left_out),
                narrow,
                grid[choice[:, 1]],
                standardise=self.standardise,
                relative=self.alphas is None,
            )
            mine = choice[:, 0] == place
            slopes[: remedy.width, mine], offsets[mine] = found.slopes[:, mine], found.offsets[mine]
        return Linear(slopes, offsets, grid[choice[:, 1]], np.full(self.targets, np.nan))


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
    bench = _Bench(sums, _remedies(rows.shape[1], wide.shape[1]), _totals(sums), purpose, alphas, standardise, targets)
    choices, best = _choose(bench)
    count = bench.folds
    fits = []
    for j in range(count):
        outer = bench.fit(choices[j], (j,))
        inner = {f"in{k}": bench.fit(choices[k], (k, j)) if k != j else outer for k in range(count)}
        fits.append({"out": outer, **inner})
    final = bench.fit(choices[count], ())
    same = dict.fromkeys(fits[0], final)
    found, _ = predictions(wide, folds_V, fits, same, x_mean, block=block)
    weights = bench.shares[0] + bench.shares[1] * (counts_V / counts_V[used].mean())[:, None]
    predicted, maps = _mapped(found, y_VT, weights, folds_V, count)
    chosen = tuple(
        tuple(bench.remedies[choice[t, 0]].name + ("+isotonic" if maps[i][t] is not IDENTITY else "") for t in range(targets))
        for i, choice in enumerate(choices)
    )
    return Repaired(predicted, chosen, best, final, tuple(maps[count]), x_mean, wide)


def _remedies(plain: int, wide: int) -> tuple[Remedy, ...]:
    ways = {f"tau={power:g}": (i,) for i, power in enumerate(POWERS)} | {"mixed": (0, POWERS.index(1.0))}
    return tuple(Remedy(at, w, name + more) for w, more in ((plain, ""), (wide, "+features")) for name, at in ways.items())


def _totals(sums: list[FoldGrams]) -> Vectors:
    found = []
    for place in (0, POWERS.index(1.0)):
        parts = sums[place].folds
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


def _choose(bench: _Bench) -> tuple[list[Ints], dict[str, Vectors]]:
    """Returns each outer fold's choice and, last, that of all rows (T, 2); and every remedy's errors out of fold."""
    count = bench.folds
    inner: list[list[Vectors]] = [[] for _ in range(count + 1)]
    by_name = {}
    for remedy in bench.remedies:
        total: list[Any] = [0.0] * (count + 1)
        for j in range(count):
            total[count] = total[count] + bench.errors(remedy, (j,), (j,))[0]
            for k in range(j + 1, count):
                for_k, for_j = bench.errors(remedy, (j, k), (j, k))
                total[k], total[j] = total[k] + for_k, total[j] + for_j
        for k, errors in enumerate(total):
            inner[k].append(np.einsum("wat,wt->at", errors, bench.shares))
        place = np.argmin(inner[count][-1], axis=0)
        by_name[remedy.name] = total[count][:, place, np.arange(bench.targets)] / bench.totals
    choices = []
    for errors in inner:
        stacked = np.stack(errors)  # (remedies, A, T)
        flat = np.argmin(stacked.reshape(-1, bench.targets), axis=0)
        choices.append(np.stack(np.divmod(flat, stacked.shape[1]), axis=1))
    return choices, by_name


def _mapped(
    found: dict[str, Vectors], y_VT: Vectors, weights_VT: Vectors, folds_V: Ints, count: int
) -> tuple[Vectors, list[list[Isotonic]]]:
    """Predictions after an isotonic map where one pays in the inner folds; and the maps of each fold and, last, of all rows."""
    predicted = found["out"].copy()
    maps: list[list[Isotonic]] = []
    for k in range(count + 1):
        others = np.flatnonzero((folds_V >= 0) & (folds_V != k))
        source = found[f"in{k}" if k < count else "out"]
        maps.append(
            [_map(source[others, t], y_VT[others, t], weights_VT[others, t], folds_V[others]) for t in range(y_VT.shape[1])]
        )
        mine = folds_V == (k if k < count else -1)
        for t, remap in enumerate(maps[k]):
            predicted[mine, t] = remap(found["out"][mine, t])
    return predicted, maps


def _map(predicted: Vectors, y: Vectors, weights: Vectors, folds: Ints) -> Isotonic:
    """The isotonic map of inner predictions, or the identity where it does no better on a fold it has not seen."""
    mapped = predicted.copy()
    for j in np.unique(folds).tolist():
        rest, held = folds != j, folds == j
        mapped[held] = Isotonic.fit(predicted[rest], y[rest], weights[rest])(predicted[held])
    better = weights @ (y - mapped) ** 2 < weights @ (y - predicted) ** 2
    return Isotonic.fit(predicted, y, weights) if better else IDENTITY
