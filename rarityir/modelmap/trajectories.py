"""How far a model moves from layer to layer, and from checkpoint to checkpoint (arXiv 2505.15353)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rarityir.modelmap.distances import Matrix, matrix, per_unit
from rarityir.types import RarityError

# Medians in bits a byte of 10,000 English texts by other models: third-party figures (arXiv 2505.15353), for scale alone.
REFERENCES = {
    "neighbouring checkpoints, late": 0.011,
    "neighbouring checkpoints, early": 0.067,
    "seeds": 0.12,
    "fine-tuning": 0.40,
    "8 bits": 0.44,
    "sizes": 0.48,
    "same family": 0.95,
    "other families": 2.2,
    "neighbouring layers": 3.0,
}


def adjacent_kl(l_SN: ArrayLike, mean_bytes: float | None = None, unit: str = "bits/byte") -> Matrix:
    """Returns half the variance of each row's difference from the next (S − 1,): of equal rows exactly 0."""
    return half_variance(np.diff(matrix(l_SN), axis=0)) / per_unit(unit, mean_bytes)


def from_row(l_SN: ArrayLike, row: int, mean_bytes: float | None = None, unit: str = "bits/byte") -> Matrix:
    """Returns half the variance of every row's difference from one of them (S,), such as the last layer, −1."""
    values = matrix(l_SN)
    return half_variance(values - values[row]) / per_unit(unit, mean_bytes)


def half_variance(differences_SN: Matrix) -> Matrix:
    """Returns half the population variance of every row."""
    return np.asarray(differences_SN.var(axis=1) / 2)


def diffusion_exponent(
    l_SN: ArrayLike, start: int, lags: Sequence[int] = range(1, 11), steps: Sequence[float] | None = None
) -> tuple[float, float]:
    """Returns the slope of log KL(start, start + lag) on log lag, and R².

    1 is a random walk, 2 a straight line, less than 1 a walk that is held back: KL is a squared distance. `start` and `lags`
    count rows, each lag once; `steps` are the rows' times, rising from `start` on, where they are not evenly spaced.
    """
    values = matrix(l_SN)
    lags = sorted(lags)
    if len(lags) < 2 or min(lags) < 1 or not 0 <= start < start + max(lags) < len(values):
        raise RarityError(
            f"start {start} and lags {lags} leave the {len(values)} checkpoints; two lags or more within them are needed"
        )
    if len(set(lags)) < len(lags):
        raise RarityError(f"lags {lags} name one twice; give each once")
    rows = [start + lag for lag in lags]
    moved = half_variance(values[rows] - values[start])
    if not moved.min() > 0:
        raise RarityError(f"checkpoint {rows[int(moved.argmin())]} is equal to checkpoint {start}: log 0")
    times = np.array(lags if steps is None else [steps[row] - steps[start] for row in rows], float)
    if not (np.diff(times, prepend=0) > 0).all():
        raise RarityError("checkpoints are not in the order of their steps; give them from the first to the last")
    return slope(np.log(times), np.log(moved))


def slope(x: Matrix, y: Matrix) -> tuple[float, float]:
    """Returns the slope of the least-squares line and R²."""
    x, y = x - x.mean(), y - y.mean()
    found = float(x @ y / (x @ x))
    total = float(y @ y)
    return found, 1 - float(((y - found * x) ** 2).sum()) / total if total > 0 else 1.0


def steady(runs: Sequence[ArrayLike], drop: float = 0.03) -> NDArray[np.bool_]:
    """Returns which texts to keep: all but the share with the largest jump between neighbouring checkpoints of any run."""
    jumps = np.max([np.abs(np.diff(matrix(l_SN), axis=0)).max(axis=0) for l_SN in runs], axis=0)
    keep = np.ones(len(jumps), bool)
    keep[np.argsort(-jumps, kind="stable")[: int(drop * len(jumps))]] = False
    return keep
