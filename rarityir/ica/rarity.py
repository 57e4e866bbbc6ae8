"""Which axes carry rarity: rank correlation of rows' coordinates with how rare their tokens are."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rarityir.ica.axes import Axes
from rarityir.types import RarityError

Vectors = NDArray[np.float64]
NORMAL = 1.959963984540054  # a normal's quantile at 97.5 %


class Correlation(NamedTuple):
    """Spearman's ρ of each axis with rarity, and its 95 % interval, (K,) each (Bonett & Wright, Psychometrika 2000)."""

    rho: Vectors
    low: Vectors
    high: Vectors

    @property
    def order(self) -> NDArray[np.int64]:
        """The axes from the most to the least correlated, whatever the sign."""
        return np.argsort(-np.abs(self.rho), kind="stable")


def rarity_correlation(axes: Axes, x_VD: NDArray[Any], rarity_V: NDArray[Any]) -> Correlation:
    """Returns each axis's rank correlation with the rarity (IDF, or minus log frequency) of the tokens that rows belong to.

    Rows (V, D) whose rarity (V,) is not finite are left out.
    """
    if len(x_VD) != len(rarity_V):
        raise RarityError(f"{len(x_VD)} rows have {len(rarity_V)} values of rarity; give one for each")
    return of_values(axes.transform(x_VD), np.asarray(rarity_V, np.float64))


def of_values(values_VK: Vectors, rarity_V: Vectors) -> Correlation:
    """Returns the rank correlation of each column (V, K) with rarity (V,), rows of unknown rarity left out.

    It is 0 for a column that does not vary; `RarityError` where rarity is finite for fewer than five rows, or does not vary.
    """
    from scipy.stats import rankdata

    known = np.isfinite(rarity_V)
    values_VK, rarity_V = values_VK[known], rarity_V[known]
    if len(rarity_V) < 5 or not np.ptp(rarity_V):
        raise RarityError("rarity must be known of five rows or more, and differ among them; give finite values")
    ranks_VK, ranks_V = rankdata(values_VK, axis=0), rankdata(rarity_V)
    ranks_VK -= ranks_VK.mean(axis=0)
    ranks_V -= ranks_V.mean()
    norms = np.linalg.norm(ranks_VK, axis=0) * np.linalg.norm(ranks_V)
    rho = np.where(norms > 0, ranks_V @ ranks_VK / np.where(norms > 0, norms, 1.0), 0.0)
    centre = np.arctanh(np.clip(rho, -1 + 1e-15, 1 - 1e-15))
    reach = NORMAL * np.sqrt((1 + rho**2 / 2) / (len(rarity_V) - 3))
    return Correlation(rho, np.tanh(centre - reach), np.tanh(centre + reach))
