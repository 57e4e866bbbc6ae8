"""Whether what stands at an axis's end belongs together: how much further an intruder is from it than they are from each other.

Source: Oyama et al., EMNLP 2024 (arXiv 2409.19919): an intruder stands in the lower half of this axis and among the highest tenth
of some other.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rarityir.types import RarityError

Vectors = NDArray[np.float64]
TOP, INTRUDERS, HIGH = 5, 100, 0.1


class Coherence(NamedTuple):
    """Each axis's ratio (K,): mean distance of its top rows to intruders over their mean distance to each other; 1 is chance."""

    values: Vectors

    def top(self, count: int) -> NDArray[np.int64]:
        """Returns the most coherent axes, in rising order of their number."""
        return np.sort(np.argsort(-self.values, kind="stable")[:count])


def coherence(s_NK: NDArray[Any], x_ND: NDArray[Any], *, seed: int = 0, intruders: int = INTRUDERS) -> Coherence:
    """Returns how coherent axes are: coordinates (rows normalised here) say what stands high, rows x how far apart that is."""
    s, x = np.asarray(s_NK, np.float64), np.asarray(x_ND, np.float64)
    if len(s) != len(x) or len(s) < 2 * TOP or s.shape[1] < 2:
        raise RarityError(
            f"coherence needs {2 * TOP} rows or more on two axes or more, the same in both; got {s.shape}, {x.shape}"
        )
    norms = np.linalg.norm(s, axis=1, keepdims=True)
    s = s / np.where(norms > 0, norms, 1.0)
    x = x - x.mean(axis=0)
    rng = np.random.default_rng(seed)
    high = s >= np.quantile(s, 1 - HIGH, axis=0)
    often = high.sum(axis=1)
    found = np.full(s.shape[1], np.nan)
    for axis in range(s.shape[1]):
        own = np.argsort(-s[:, axis], kind="stable")[:TOP]
        strange = np.flatnonzero((s[:, axis] <= np.median(s[:, axis])) & (often - high[:, axis] > 0))
        if len(strange):
            drawn = rng.choice(strange, intruders)
            apart = np.linalg.norm(x[own][:, None] - x[drawn][None], axis=2).mean()
            within = np.linalg.norm(x[own][:, None] - x[own][None], axis=2).sum() / (TOP * (TOP - 1))
            found[axis] = apart / within if within > 0 else np.inf
    return Coherence(np.nan_to_num(found, nan=0.0, posinf=np.inf))
