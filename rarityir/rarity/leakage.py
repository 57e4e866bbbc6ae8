"""What folds that part near-duplicates pretend: the same ridge judged in folds dealt row by row."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rarityir.rarity.crossfit import Linear, predictions, solved
from rarityir.rarity.folds import TEST, parted
from rarityir.rarity.grams import FoldGrams, Source, Vectors, Weighing, fold_grams
from rarityir.rarity.scores import Pair
from rarityir.types import Ints


class Leakage(NamedTuple):
    """R² in folds dealt row by row, and how much it is above R² in folds that hold groups whole."""

    random: Pair
    difference: Pair


def predicted(
    rows: Source, y_VT: Vectors, folds_V: Ints, sums: FoldGrams, final: Linear, *, standardise: bool, seed: int, block: int = 0
) -> Vectors:
    """Returns predictions (V, T) of ridges fitted in folds dealt row by row; the penalties are those of the final ridge.

    The Gram matrix of one fold at a time is taken from that of all rows, so two more are held. Where folds fall is chance, and
    the head is few rows: a difference over occurrences has that noise too.
    """
    count, targets = len(sums.folds), y_VT.shape[1]
    folds = parted(folds_V, count, seed)
    total = sums.without().first(targets)
    fits = []
    for k in range(count):
        only = np.where(folds == k, 0, TEST)
        weighing = Weighing(None, lambda which: y_VT[which], targets, 0)
        held = fold_grams(rows, only, [weighing], sums.x_mean, [sums.y_mean[:targets]], block=block)[0].folds[0]
        for whole, part in zip(total[1:6], held[1:6], strict=True):
            np.subtract(whole, part, out=part)  # in place: the held-out sums become those of the others
        train = held._replace(mass=total.mass - held.mass)
        share = train.mass / total.mass
        fits.append({"random": solved(train, sums, final.chosen * share, standardise=standardise)})
    return predictions(rows, folds, fits, {"random": final}, sums.x_mean, block=block)[0]["random"]
