"""A probe of rarity repaired at its head: the few hundred types that are half of all text count for more than their number.

Rows of the most frequent tokens do not lie on the line that fits the others, and a ridge over types, of which they are one in
a hundred, gives them up. Here a type weighs by the root of its occurrences, and a row's norm and its angle to the mean row,
by which those tokens stand out, are columns of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rarityir.rarity import folds, grams, ridge
from rarityir.rarity.grams import Source, Vectors
from rarityir.rarity.rows import rows
from rarityir.rarity.sample import Sample
from rarityir.rarity.stats import TokenStats
from rarityir.types import Ints

POWER = 0.5  # of a type's occurrences, by which it weighs
ALPHAS = np.geomspace(1e-6, 1e5, 34)  # penalties in units of the mean eigenvalue


@dataclass(frozen=True)
class Measured:
    """Rows (N, D) with three more columns: norm, squared norm, cosine to a mean row."""

    x: Source
    mean: Vectors

    @property
    def shape(self) -> tuple[int, int]:
        """N and D + 3."""
        return (self.x.shape[0], self.x.shape[1] + 3)

    def blocks(self, rows: int) -> Iterator[NDArray[np.float64]]:
        """Yields so many rows at a time."""
        length = max(float(np.linalg.norm(self.mean)), 1e-30)
        for part in self.x.blocks(rows):
            x_BD = part.astype(np.float64)
            squares = (x_BD**2).sum(axis=1)
            cosines = x_BD @ self.mean / (np.maximum(np.sqrt(squares), 1e-30) * length)
            yield np.column_stack([x_BD, np.sqrt(squares), squares, cosines])


def repaired(
    model: str, stats: TokenStats, target: str, matrix: str, *, count: int = 5, seed: int = 0, power: float = POWER
) -> Vectors:
    """Returns a target's prediction (V,) for every row of a model's matrix, as `predictions.predict` does.

    A token that the statistics have seen is predicted by a ridge fitted without it and all forms of the same word.
    """
    whole = rows(model, matrix)
    sample = Sample.of(model, stats, whole)
    folds_N = folds.grouped(sample.groups, count, seed)
    y_N = sample.target(target)
    found_V, found_N = _fitted(sample.x, y_N, sample.counts**power, folds_N, whole)
    found_V[sample.types] = found_N
    return found_V


def _fitted(x: Source, y_N: Vectors, weights_N: Vectors, folds_N: Ints, whole: Source) -> tuple[Vectors, Vectors]:
    """Predictions of all rows by the ridge of all folds, and of the sampled ones by the ridge of the other folds."""
    weights_N = weights_N / weights_N.mean()
    measured = Measured(x, grams.centre(x, np.ones(len(y_N), bool)))
    mean = grams.centre(measured, np.ones(len(y_N), bool))
    weighing = grams.Weighing(weights_N, lambda which: y_N[which, None], 1, 0)
    (sums,) = grams.fold_grams(measured, folds_N, [weighing], mean, [np.array([y_N.mean()])])
    fits = [_ridge(sums, fold) for fold in range(int(folds_N.max()) + 1)]
    found_N = np.empty(len(y_N))
    for at, part in grams.reading(measured):
        inside = folds_N[at : at + len(part)]
        for fold, (slopes_D, offset) in enumerate(fits):
            found_N[at : at + len(part)][inside == fold] = part[inside == fold] @ slopes_D + offset
    slopes_D, offset = _ridge(sums)
    everything = Measured(whole, measured.mean)
    return np.concatenate([part @ slopes_D + offset for _, part in grams.reading(everything)]), found_N


def _ridge(sums: grams.FoldGrams, *left_out: int) -> tuple[Vectors, float]:
    """The slopes on raw columns and the offset of the ridge without some folds, its penalty by generalised cross-validation."""
    rotation = ridge.rotate(sums.without(*left_out), sums.x_mean)
    alphas = ALPHAS * rotation.scale
    chosen = alphas[ridge.best(ridge.generalised(rotation, alphas))]
    slopes_D = rotation.turn @ rotation.ridge(chosen)[:, 0]
    offset = float(sums.y_mean[0] + rotation.y_mean[0] - (sums.x_mean + rotation.x_mean) @ slopes_D)
    return slopes_D, offset
