"""What a cosine is made of: with rows of unit length on K axes it is the sum of the axes' products, axis by axis.

Source: Yamagiwa et al., COLING 2025 (arXiv 2406.10984). Were directions isotropic, a coordinate would be about N(0, 1/K) and the
product of two have the density K₀(K |x|) K / π: the tail beyond a product is its p-value, corrected by Bonferroni for K axes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rarityir.ica.axes import Axes, unit
from rarityir.types import RarityError

Vectors = NDArray[np.float64]
_STEP, _FAR = 0.04, 6.5  # of the integral over t, whose integrand falls as exp(−x cosh t)


class AxisHit(NamedTuple):
    """One axis's part in a cosine: its number, names of what stands at its positive end, the product, its p-value.

    `p` is one-sided and not corrected; `significant` says whether it is below alpha / K.
    """

    axis: int
    label: str
    contribution: float
    p: float
    significant: bool


def tail(x: NDArray[Any] | float, width: int) -> Vectors:
    """Returns P(product ≥ x) of two coordinates from N(0, 1/width): half the tail of K₀ beyond |x|, one minus it below 0.

    K₀(y) = ∫ exp(−y cosh t) dt over t > 0, so the tail is (1/π) ∫ exp(−width |x| cosh t) / cosh t dt, by the trapezoid rule.
    """
    values = np.asarray(x, np.float64)
    flat = np.abs(values).ravel() * width
    t = np.arange(0.0, 40.0, _STEP)
    weights = np.full(len(t), _STEP)
    weights[0] /= 2
    cosh = np.cosh(np.minimum(t, 700.0))
    beyond = np.array([np.sum(weights * np.exp(-np.minimum(y * cosh, 745.0)) / cosh) for y in flat]) / np.pi
    beyond = np.minimum(beyond, 0.5).reshape(values.shape)
    return np.where(values >= 0, beyond, 1 - beyond)


def products(axes: Axes, q_D: NDArray[Any], d_D: NDArray[Any]) -> Vectors:
    """Returns the axes' products (K,); they sum to the cosine of the two rows' coordinates."""
    pair = axes.transform(np.stack([np.asarray(q_D), np.asarray(d_D)]), normalize=True)
    return np.asarray(pair[0] * pair[1])


def explain(axes: Axes, q_D: NDArray[Any], d_D: NDArray[Any], *, alpha: float = 0.05) -> list[AxisHit]:
    """Returns every axis's part in the cosine of two rows, the largest first: all of them sum to it."""
    if not 0 < alpha < 1:
        raise RarityError(f"alpha is between 0 and 1, not {alpha}")
    parts = products(axes, q_D, d_D)
    p = tail(parts, len(axes))
    order = np.argsort(-parts, kind="stable")
    return [AxisHit(int(i), axes.label(int(i)), float(parts[i]), float(p[i]), bool(p[i] < alpha / len(axes))) for i in order]


def ideal(axes: Axes, chosen: Sequence[int]) -> Vectors:
    """Returns the coordinates (K,) of what stands on some axes alike and on no other: the indicator, of unit length."""
    wanted = axes.chosen(chosen)
    if not len(wanted):
        raise RarityError("an ideal embedding needs an axis or more")
    found = np.zeros(len(axes))
    found[wanted] = 1.0
    return unit(found)


def ideal_row(axes: Axes, chosen: Sequence[int]) -> Vectors:
    """Returns the same as a row (D,) of the space, which `transform` takes back to the indicator."""
    return np.asarray(axes.inverse_transform(ideal(axes, chosen)[None])[0])
