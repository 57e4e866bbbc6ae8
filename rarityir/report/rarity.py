"""What a probe of rarity found, as pictures: how R² grows with components, where in the spectrum it is, layers, errors, models.

Each part is plain arrays. R² comes in pairs: of types, each token counting once, and of occurrences, each counting as often as it
is written. A curve without its null, or one of the two without the other, says less than it seems to.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rarityir.report.rarity_tokens import Bursts, Forest, Ranks, Suspicion, TokenPart

Vector = NDArray[np.float64]

_BIAS_BANDS = 10


@dataclass(frozen=True, eq=False)
class Curve:
    """Out-of-fold R² (K,) of regressions on the first `components` (K,) principal components of `rows` training rows.

    `low` and `high` bound it, `null_low` and `null_high` the R² of permuted targets; `occurrences` weighs tokens by how often
    they are written. Each is (K,), None where it was not computed. `ridge` is the tuned ridge on all components, of types and of
    occurrences: value, lower and upper bound.
    """

    components: NDArray[np.int64]
    types: Vector
    rows: int
    low: Vector | None = None
    high: Vector | None = None
    null_low: Vector | None = None
    null_high: Vector | None = None
    occurrences: Vector | None = None
    ridge: tuple[tuple[float, float, float], ...] = ()
    name: str = "curve"
    title: str = "R² against components"

    @property
    def null(self) -> Vector:
        """What least squares reach on targets that are noise, −k / (n − k − 1), NaN where there are no more rows than that."""
        k = self.components.astype(np.float64)
        room = self.rows - k - 1
        return np.asarray(np.where(room > 0, -k / np.where(room > 0, room, 1.0), np.nan))


@dataclass(frozen=True, eq=False)
class Bands:
    """R² (B,) of regressions on one band of components alone, `edges` (B + 1,) from 0, beside the singular values (D,).

    Where only the values at both ends of each band are known, `values` are these (2B,), at `places`, ranks from 1.
    """

    edges: NDArray[np.int64]
    types: Vector
    values: Vector
    occurrences: Vector | None = None
    places: NDArray[np.int64] | None = None
    of: str = "singular value"
    name: str = "bands"
    title: str = "R² of each band of the spectrum alone"


@dataclass(frozen=True, eq=False)
class Layers:
    """R² (L,) of each matrix or layer by its label, with bounds, and that of a control task where one was run.

    `low` and `high` bound R² of types, `least` and `most` that of occurrences.
    """

    labels: tuple[str, ...]
    types: Vector
    low: Vector | None = None
    high: Vector | None = None
    occurrences: Vector | None = None
    control: Vector | None = None
    least: Vector | None = None
    most: Vector | None = None
    name: str = "layers"
    title: str = "R² by layer"


@dataclass(frozen=True, eq=False)
class Scatter:
    """Actual and predicted values (V,) of tokens the fit had not seen, and how often each is written."""

    actual: Vector
    predicted: Vector
    counts: NDArray[np.int64] | None = None
    units: str = "nats"
    name: str = "scatter"
    title: str = "Predicted against actual"

    def bias(self) -> tuple[Vector, Vector, Vector, Vector]:
        """Returns bands of the actual value: edges (B + 1,), mean error of types and of occurrences (B,), share of occurrences.

        A band without tokens has NaN. Without counts each token counts once.
        """
        edges = np.linspace(self.actual.min(), self.actual.max(), _BIAS_BANDS + 1)
        band = np.clip(np.searchsorted(edges, self.actual, "right") - 1, 0, _BIAS_BANDS - 1)
        weights = np.ones(len(self.actual)) if self.counts is None else self.counts.astype(np.float64)
        error = self.predicted - self.actual
        types, mass = (np.bincount(band, w, _BIAS_BANDS) for w in (np.ones(len(error)), weights))
        with np.errstate(invalid="ignore", divide="ignore"):
            by_type = np.bincount(band, error, _BIAS_BANDS) / types
            by_occurrence = np.bincount(band, error * weights, _BIAS_BANDS) / mass
        return edges, by_type, by_occurrence, mass / max(mass.sum(), 1.0)


@dataclass(frozen=True, eq=False)
class Grid:
    """R² of M models or matrices by T targets, (M, T), of types and of occurrences; NaN where there is none."""

    models: tuple[str, ...]
    targets: tuple[str, ...]
    types: Vector
    occurrences: Vector | None = None
    name: str = "models"
    title: str = "R² by model and target"


Part = Curve | Bands | Layers | Scatter | Grid | TokenPart


def said(part: Part) -> str:
    """Returns what a picture shows in a sentence or two."""
    match part:
        case Curve():
            where = f"{int(part.components[-1])} components"
            return f"With {where} R² is {_pair(part, -1)}; least squares on noise would have {_r2(part.null[-1])}."
        case Bands():
            i = int(np.nanargmax(part.types))
            where = f"components {part.edges[i] + 1} to {part.edges[i + 1]}"
            return f"The best band, {where}, has R² {_pair(part, i)}. Bands are fitted alone, so their R² need not add up."
        case Layers():
            i = int(np.nanargmax(part.types))
            control = "" if part.control is None else f" A control task has {_r2(part.control[i])} there."
            return f"The best is {part.labels[i]} with R² {_pair(part, i)}.{control}"
        case Scatter():
            return _said_of_errors(part)
        case Grid():
            return "R² below 0 has the colour of 0: predictions that are worse than the mean."
        case Ranks() | Bursts() | Suspicion() | Forest():
            return part.said


def _said_of_errors(part: Scatter) -> str:
    edges, _, errors, share = part.bias()
    i = int(np.nanargmax(np.abs(errors) * share))
    of = "tokens" if part.counts is None else "what is written"
    ends = f"{edges[i]:.1f} to {edges[i + 1]:.1f} {part.units}"
    wrong = f"{abs(errors[i]):.1f} {part.units} too {'rare' if errors[i] > 0 else 'common'}"
    return f"Most is lost on tokens of {ends}, {share[i]:.0%} of {of}: they are predicted {wrong} on the mean."


def _pair(part: Curve | Bands | Layers, i: int) -> str:
    if part.occurrences is None:
        return _r2(part.types[i])
    return f"{_r2(part.types[i])} by types and {_r2(part.occurrences[i])} by occurrences"


def _r2(value: float) -> str:
    return f"{value:.3f}".replace("-", "−")
