"""What there is to doubt about axes: whether the search ended, ends alike from elsewhere, and found what no chance gives.

Gaussian rows have no axes: every rotation is as good. FastICA gives some all the same, and only these figures say so.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rarityir.types import Json, RarityError

Vectors = NDArray[np.float64]
_ROWS = 256
STABLE = 0.9  # mean agreement of two searches below which axes are not to be read
SIGMAS = 3.0  # of a Gaussian's sampling error, and √K more for a search among K directions: moments within are no axis's
LOG_COSH, NEG_EXP = 0.3745672, -0.7071068  # E log cosh ν and E −exp(−ν²/2) of a standard normal ν


@dataclass(frozen=True, eq=False)
class Diagnostics:
    """How a fit went. `stability` (K,) is each axis's mean |correlation| with its partner of other
    seeds; None of one seed.

    `skew`, `kurtosis` (excess), `log_cosh` and `neg_exp` (squared distances from a Gaussian's) are of each axis, (K,), over the
    `fitted_rows` that the rotation was searched on: with `sample` fewer than the `rows` that made the coordinates white.
    """

    rows: int
    fitted_rows: int
    n_iter: int
    converged: bool
    orth_error: float
    seed: int
    seeds: int
    variance_kept: float
    skew: Vectors = field(repr=False)
    kurtosis: Vectors = field(repr=False)
    log_cosh: Vectors = field(repr=False)
    neg_exp: Vectors = field(repr=False)
    stability: Vectors | None = field(default=None, repr=False)

    def of(self, axes: NDArray[np.int64]) -> Diagnostics:
        """Returns the same fit's diagnostics of some axes alone; `reach` is then that of a search for so many."""
        return replace(
            self,
            skew=self.skew[axes],
            kurtosis=self.kurtosis[axes],
            log_cosh=self.log_cosh[axes],
            neg_exp=self.neg_exp[axes],
            stability=None if self.stability is None else self.stability[axes],
        )

    @property
    def reach(self) -> tuple[float, float]:
        """How far skewness and excess kurtosis of Gaussian rows come where axes are searched for."""
        one = (SIGMAS + np.sqrt(len(self.skew))) / np.sqrt(self.fitted_rows)
        return float(one * np.sqrt(6)), float(one * np.sqrt(24))

    @property
    def gaussian(self) -> NDArray[np.bool_]:
        """Which axes (K,) are, by skewness and kurtosis, no further from a Gaussian than a search takes Gaussian rows."""
        skew, kurtosis = self.reach
        return np.asarray((np.abs(self.skew) < skew) & (np.abs(self.kurtosis) < kurtosis))

    @property
    def flags(self) -> tuple[str, ...]:
        """What a reader must know before reading an axis; empty where nothing speaks against it."""
        found = []
        if not self.converged:
            found.append(f"not converged after {self.n_iter} iterations: the axes are not those of a fixed point")
        if self.stability is not None and self.stability.mean() < STABLE:
            found.append(f"unstable: searches from {self.seeds} seeds agree by {self.stability.mean():.2f} on the mean")
        if (count := int(self.gaussian.sum())) > len(self.skew) / 2:
            found.append(f"Gaussian: {count} of {len(self.skew)} axes are no further from a Gaussian than chance")
        return tuple(found)

    def json(self) -> dict[str, Json]:
        """Returns everything as JSON values, with the flags."""
        plain = {key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in asdict(self).items()}
        return {**plain, "flags": list(self.flags)}

    @classmethod
    def read(cls, stored: dict[str, Json]) -> Diagnostics:
        """Reads what `json` wrote."""
        arrays = ("skew", "kurtosis", "log_cosh", "neg_exp", "stability")
        known: dict[str, Any] = {key: value for key, value in stored.items() if key != "flags"}
        known |= {key: np.array(known[key]) for key in arrays if known[key] is not None}
        return cls(**known)


def moments(s_NK: Vectors, weights_N: Vectors | None = None) -> tuple[Vectors, Vectors, Vectors, Vectors]:
    """Returns skewness, excess kurtosis and the two negentropies of columns of mean 0 and variance 1, (K,) each."""
    weights = np.ones(len(s_NK)) if weights_N is None else weights_N
    total = np.zeros((4, s_NK.shape[1]))
    for start in range(0, len(s_NK), _ROWS):  # so few at a time that they stay in a core's cache
        s, w = s_NK[start : start + _ROWS], weights[start : start + _ROWS]
        squares, large = s * s, np.abs(s)
        cosh = large + np.log1p(np.exp(-2 * large)) - np.log(2)  # log cosh without overflow
        total += [w @ (squares * s), w @ (squares * squares), w @ cosh, w @ -np.exp(-squares / 2)]
    skew, fourth, cosh, exp = total / weights.sum()
    return skew, fourth - 3, (cosh - LOG_COSH) ** 2, (exp - NEG_EXP) ** 2


def agreement(one_KK: Vectors, other_KK: Vectors) -> Vectors:
    """Returns |correlation| (K,) of each axis of one rotation with its partner in another, by the best one-to-one pairing."""
    from scipy.optimize import linear_sum_assignment

    if one_KK.shape != other_KK.shape:
        raise RarityError(f"rotations of {one_KK.shape} and {other_KK.shape} cannot be compared")
    cosines = np.abs(one_KK @ other_KK.T)
    rows, columns = linear_sum_assignment(cosines, maximize=True)
    return np.asarray(cosines[rows, columns])
