"""How directions of a model's space lie to each other: what predictions turn on, what filters remove, rarity, independent axes.

To second order a state's divergence is ½ (h − h₀)ᵀ G (h − h₀): G's leading eigenvectors are the directions that move the next
token's distribution most. Angles are those of Björck and Golub; a share is the mean squared cosine of the principal angles.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rarityir.informativeness.divergence import covariance
from rarityir.informativeness.model import mean_prediction
from rarityir.rarity.subspaces import orthonormal, principal_angles
from rarityir.types import Encoder, Json, RarityError

Doubles = NDArray[np.float64]
DRAWS = 99


class Overlap(NamedTuple):
    """Two subspaces: their principal angles in degrees, the mean squared cosine, and both of spaces drawn by chance.

    `expected` is that share's mean where one of the two is turned at random, `smallest` the mean smallest angle then, `p` how
    often as large a share is drawn.
    """

    one: str
    other: str
    widths: tuple[int, int]
    angles: Doubles
    share: float
    expected: float
    smallest: float
    p: float

    def json(self) -> dict[str, Json]:
        """Returns everything as JSON values."""
        return {**self._asdict(), "widths": list(self.widths), "angles": self.angles.round(4).tolist()}


def sensitive(encoder: Encoder, texts: Iterable[str], count: int) -> tuple[Doubles, Doubles]:
    """Returns G's leading eigenvectors (count, D) under the mean prediction of some texts, and all eigenvalues (D,), falling."""
    rows = encoder.unembedding()
    if not 1 <= count <= rows.shape[1]:
        raise RarityError(f"{count} directions of a space {rows.shape[1]} wide; ask for 1 to {rows.shape[1]}")
    values, turned = np.linalg.eigh(covariance(rows, mean_prediction(encoder, texts)))
    return np.ascontiguousarray(turned.T[::-1][:count]), values[::-1]


def overlaps(spaces: Mapping[str, NDArray[np.floating]], draws: int = DRAWS, seed: int = 0) -> list[Overlap]:
    """Returns every pair of the spans of some rows (M, D); the same draws are held against all pairs of equal widths.

    Raises:
        RarityError: where rows are not of one width, or span nothing.
    """
    bases = {name: orthonormal(rows) for name, rows in spaces.items()}
    widths = {basis.shape[1] for basis in bases.values()}
    empty = [name for name, basis in bases.items() if not len(basis)]
    if empty or len(widths) > 1:
        raise RarityError(f"{empty[0]} spans nothing" if empty else f"directions are {sorted(widths)} wide; take one model's")
    found, drawn = [], dict[tuple[int, int], tuple[Doubles, Doubles]]()
    for (one, a), (other, b) in combinations(bases.items(), 2):
        key = min(len(a), len(b)), max(len(a), len(b))
        if key not in drawn:
            drawn[key] = _drawn(*key, a.shape[1], draws, seed)
        angles = principal_angles(a, b)
        share = float((np.cos(angles) ** 2).mean())
        smallest, shares = drawn[key]
        p = (1 + int((shares >= share - 1e-12).sum())) / (1 + draws)
        expected = key[1] / a.shape[1]
        found.append(Overlap(one, other, (len(a), len(b)), np.degrees(angles), share, expected, float(smallest.mean()), p))
    return found


def _drawn(few: int, many: int, width: int, draws: int, seed: int) -> tuple[Doubles, Doubles]:
    """Smallest angles in degrees and shares (draws,) of a random span of few directions with a span of many."""
    rng, smallest, shares = np.random.default_rng([seed, few, many]), np.empty(draws), np.empty(draws)
    fixed = np.eye(width)[:many]
    for i in range(draws):
        angles = principal_angles(rng.standard_normal((few, width)), fixed)
        smallest[i], shares[i] = np.degrees(angles[0]), (np.cos(angles) ** 2).mean()
    return smallest, shares
