"""Which axes fire together: energy correlations, H = E[s_i² s_j²], 1 where two axes are independent.

Source: Oyama et al., EMNLP 2024 (arXiv 2409.19919). Axes are uncorrelated by construction; what is left between them is of higher
order. H is taken of coordinates of variance one that are not normalised row by row. Heavy tails make its estimate slow.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rarityir.types import RarityError

Vectors = NDArray[np.float64]
WHITE = 0.05  # how far from 1 a column's mean square may be
SLACK = 1e-12  # how far, relatively, rounding takes equal sums apart: permuted ones add up in another order


@dataclass(frozen=True, eq=False)
class Structure:
    """Energy correlations (K, K) of coordinates (N, K); the diagonal is each axis's fourth moment.

    `p` (K, K) is the one-sided p-value of each pair against columns permuted independently, `p_family` the same against the
    largest correlation of squares that any pair of permuted columns has. Both None where nothing was permuted.
    """

    values: Vectors
    coordinates: Vectors = field(repr=False)
    null: Vectors | None = field(default=None, repr=False)  # the mean of H over permutations
    p: Vectors | None = field(default=None, repr=False)
    p_family: Vectors | None = field(default=None, repr=False)

    def witnesses(self, i: int, j: int, k: int = 6) -> NDArray[np.int64]:
        """Returns the k rows that say most that two axes go together: of largest s_i² s_j²."""
        if not 0 <= min(i, j) <= max(i, j) < len(self.values):
            raise RarityError(f"axes {i} and {j} are not both of 0 to {len(self.values) - 1}")
        return np.argsort(-(self.coordinates[:, i] ** 2 * self.coordinates[:, j] ** 2), kind="stable")[:k]


def higher_order(s_NK: NDArray[Any], *, permutations: int = 0, seed: int = 0) -> Structure:
    """Returns the energy correlations of white coordinates; with permutations, p-values too.

    Raises:
        RarityError: where columns are not of variance one, as normalised rows are not.
    """
    s = np.asarray(s_NK, np.float64)
    if s.ndim != 2 or len(s) < 2:
        raise RarityError(f"coordinates are (N, K) with two rows or more, not of shape {s.shape}")
    squares = s**2
    if np.abs(squares.mean(axis=0) - 1).max() > WHITE:
        raise RarityError("energy correlations are of coordinates of variance one; transform the rows of the fit, not normalised")
    values = squares.T @ squares / len(s)
    if not permutations:
        return Structure(values, s)
    rng, width = np.random.default_rng(seed), s.shape[1]
    spread = squares.std(axis=0)
    scale = np.outer(spread, spread)
    scale[scale == 0] = np.inf  # squares that do not vary correlate with nothing
    total, as_large, largest = np.zeros_like(values), np.ones_like(values), np.ones_like(values)
    means = np.outer(squares.mean(axis=0), squares.mean(axis=0))
    above = (values * (1 - SLACK) - means) / scale
    pairs = ~np.eye(width, dtype=bool)
    for _ in range(permutations):
        moved = np.stack([rng.permutation(column) for column in squares.T], axis=1)
        drawn = moved.T @ moved / len(s)
        total += drawn
        as_large += drawn >= values * (1 - SLACK)
        top = ((drawn - means) / scale)[pairs].max(initial=-np.inf)
        largest += top >= above
    return Structure(values, s, total / permutations, as_large / (permutations + 1), largest / (permutations + 1))
