"""What a probe found, as values and as JSON."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rarityir import notebook
from rarityir.rarity.binary import Ranking
from rarityir.rarity.leakage import Leakage
from rarityir.rarity.repair import Repaired
from rarityir.rarity.scores import Band, Pair, Scores
from rarityir.types import Ints, Json

if TYPE_CHECKING:
    import pandas as pd

Vectors = NDArray[np.float64]


_BY_ROW = ("folds", "predicted", "repaired", "targets")


class Curve(NamedTuple):
    """R² out of fold on the first k components, k = 1 … D, over types and over occurrences (NaN without counts)."""

    components: Ints
    type: Vectors
    occurrence: Vectors


class Bands(NamedTuple):
    """R² out of fold on the components `first` … `last` alone (counted from 1), beside their share of the rows' variance."""

    first: Ints
    last: Ints
    variance: Vectors
    type: Vectors
    occurrence: Vectors


class Penalties(NamedTuple):
    """R² out of fold by penalty; `alphas` are means over folds where they follow the rows' scale."""

    alphas: Vectors
    type: Vectors
    occurrence: Vectors


@dataclass(frozen=True)
class Fit:
    """One kind of regression: R² out of fold, mean R² on the rows fitted, and what each fold chose (α, or k for `pcr`)."""

    r2: Pair
    train: float
    chosen: tuple[float, ...]
    folds: tuple[float, ...]  # R² over types of each fold


@dataclass(frozen=True)
class Chance:
    """Permuted targets fitted in the same way: how often they do as well, (1 + times)/(1 + permutations), and their R²."""

    permutations: int
    p_type: float
    p_occurrence: float
    type: Vectors
    occurrence: Vectors


@dataclass(frozen=True)
class Head:
    """The probe with its head repaired: R² out of fold, how much it is above the plain ridge's, and what each fold chose.

    `remedies` are R² over types and over occurrences of each remedy by itself, at its best penalty.
    """

    r2: Pair
    lift: Pair
    test: Pair | None
    type: Scores
    occurrence: Scores
    chosen: tuple[str, ...]
    final: str
    remedies: dict[str, tuple[float, float]]
    table: tuple[Band, ...]


@dataclass(frozen=True, eq=False)
class Target:
    """What was found of one target. `fits` has `ridge` (the probe itself), `ols`, `pcr`, each subspace by its name; with surface
    features, `surface` (them alone) and `both` (them and the rows). `increment` is R² of `both` − R² of `surface`.

    `leakage` is there where groups have more than one row, `ranking` where a target has two values, `head` where it is repaired.
    `test` is of the test rows, which the final ridge has not seen; None where there are fewer than ten. `direction` and
    `intercept` are of that ridge on raw rows: a prediction is `x @ direction + intercept`.
    """

    name: str
    fits: dict[str, Fit]
    type: Scores
    occurrence: Scores | None
    test: Pair | None
    curve: Curve
    alphas: Penalties
    bands: Bands
    table: tuple[Band, ...]
    chance: Chance | None
    increment: Pair | None
    leakage: Leakage | None
    ranking: Ranking | None
    head: Head | None
    direction: Vectors
    intercept: float

    @property
    def worst(self) -> str:
        """The band of frequency with most of the squared error of running text."""
        return max(self.table, key=lambda band: band.error).name if self.table else ""


@dataclass(frozen=True, eq=False)
class ProbeResult:
    """All of it. `folds` (V,) are the rows' folds, −1 for test rows.

    `predicted` (V, T) are predictions by ridges that have not seen a row's group; `repaired` are those with the head repaired.
    """

    rows: int
    width: int
    groups: int
    test_rows: int
    seed: int
    precision: str
    standardised: bool
    spectrum: Vectors  # mean λ/n of the components over the folds
    targets: tuple[Target, ...]
    folds: Ints
    predicted: Vectors
    repaired: Repaired | None

    def to_frame(self) -> pd.DataFrame:
        """Returns a DataFrame of a row for each target and kind of regression: R² out of fold over types and occurrences.

        Columns: `target`, `fit`, `type`, `type_low`, `type_high`, `occurrence`, `occurrence_low`, `occurrence_high`, `train`;
        low and high bound the 95 % intervals.
        """
        rows = [
            (target.name, name, *fit.r2.type, *fit.r2.occurrence, fit.train)
            for target in self.targets
            for name, fit in target.fits.items()
        ]
        names = ("target", "fit", "type", "type_low", "type_high", "occurrence", "occurrence_low", "occurrence_high", "train")
        return notebook.frame({name: [row[i] for row in rows] for i, name in enumerate(names)})

    def curve_frame(self) -> pd.DataFrame:
        """Returns a DataFrame of every target's R² on the first `components`: `target`, `components`, `type`, `occurrence`."""
        return self._long({target.name: target.curve for target in self.targets})

    def bands_frame(self) -> pd.DataFrame:
        """Returns a DataFrame of every target's R² on bands: `target`, `first`, `last`, `variance`, `type`, `occurrence`."""
        return self._long({target.name: target.bands for target in self.targets})

    def _long(self, found: dict[str, Any]) -> pd.DataFrame:
        columns: dict[str, list[Any]] = {"target": [name for name, part in found.items() for _ in part[0]]}
        for field in next(iter(found.values()))._fields:
            columns[field] = [value for part in found.values() for value in getattr(part, field).tolist()]
        return notebook.frame(columns)

    def __repr__(self) -> str:
        """One line: the R² of the first targets."""
        told = [f"{t.name!r} {t.fits['ridge'].r2.type.value:.3f}" for t in self.targets[:3]]
        more = f" and {len(self.targets) - 3:,} more" * (len(self.targets) > 3)
        return f"<ProbeResult of {self.rows:,} rows of width {self.width:,}: R² over types {', '.join(told)}{more}>"

    def _repr_html_(self) -> str:
        """Every target's R² by the ridge, for a notebook."""
        rows = []
        for target in self.targets:
            r2 = target.fits["ridge"].r2
            cells = ["–" if math.isnan(i.value) else f"{i.value:.3f} ({i.low:.3f}–{i.high:.3f})" for i in r2]
            rows.append([target.name, *cells, f"{target.fits['ridge'].train:.3f}", target.worst or "–"])
        title = f"probe of {self.rows:,} rows of width {self.width:,}"
        foot = ["R² out of fold with 95 % intervals; worst: the band of frequency with most of the error of running text."]
        return notebook.table(title, ("target", "R² types", "R² occurrences", "R² fitted", "worst"), rows, foot)

    def json(self) -> dict[str, Json]:
        """Returns all but what has a value for each row, as JSON values: ten digits, null for NaN."""
        found = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name not in _BY_ROW}
        found["folds"] = int(self.folds.max()) + 1
        found["targets"] = {target.name: plain(target) | {"worst": target.worst} for target in self.targets}
        return {name: plain(value) for name, value in found.items()}


def plain(value: Json) -> Json:
    """Returns a value of dataclasses, tuples and arrays as JSON values."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return {name: plain(part) for name, part in zip(value._fields, value, strict=True)}
    if isinstance(value, dict):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, np.ndarray):
        return [plain(part) for part in value.tolist()]
    if isinstance(value, float | np.floating):
        return float(f"{float(value):.10g}") if math.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value
