"""A filter against its model's spectrum: what an explanation says."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rarityir import notebook
from rarityir.types import Json

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Zone:
    """Directions that are mostly kept or mostly dropped, by position from 0, and what the unembedding writes in them.

    `kept` is the mean share of them that the filter keeps; `written` are frequent words whose rows lie most in them; `energy`
    is the share of the unembedding's squared norm; `frequency` the share of the log frequencies' variance, of what the
    unembedding explains of it.
    """

    positions: tuple[int, ...]
    kept: float
    energy: float
    frequency: float
    written: tuple[str, ...]

    @property
    def label(self) -> str:
        """Their ranks from 1, `1-15`, or how many they are where they are scattered."""
        first, last = self.positions[0] + 1, self.positions[-1] + 1
        if len(self.positions) == 1:
            return str(first)
        return f"{first}-{last}" if last - first + 1 == len(self.positions) else f"{len(self.positions)} of {first}-{last}"


@dataclass(frozen=True)
class Aligned:
    """One text's best aligned tokens before and after the filter, and the share of its squared norm in the kept subspace.

    A filter's mean is left out of that share: it says what the directions hold.
    """

    text: str
    kept: float
    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Explanation:
    """A filter against its model's spectrum; arrays are over the D directions, by falling singular value.

    `kept` is the share of each direction that the filter keeps; `shift` is Δπ of these directions, free of gauge;
    `frequency` each direction's share of log-frequency variance, of what all explain; `energy` the texts' mean share of squared
    norm by direction, None without texts.
    """

    model: str
    filter: str
    width: int
    vocabulary: int
    counts: str
    values: NDArray[np.float64]
    kept: NDArray[np.float64]
    shift: NDArray[np.float64]
    frequency: NDArray[np.float64]
    energy: NDArray[np.float64] | None
    zones: tuple[Zone, ...]
    texts: tuple[Aligned, ...]
    fitted_on: dict[str, Json]

    def to_frame(self) -> pd.DataFrame:
        """Returns a DataFrame of a row a direction, by `rank` from 1: `value`, `energy` to it, `frequency`, `shift`, `kept`.

        Energy is the cumulated share of the squared values; with texts also `texts`, their mean share of squared norm.
        """
        squares = self.values**2
        columns = {"rank": np.arange(1, len(self.values) + 1), "value": self.values, "energy": np.cumsum(squares) / squares.sum()}
        columns |= {"frequency": self.frequency, "shift": self.shift}
        columns |= {"texts": self.energy} if self.energy is not None else {}
        return notebook.frame({**columns, "kept": self.kept}, "rank")

    def __repr__(self) -> str:
        """One line."""
        kept = f"{self.filter!r} keeps {self.kept.sum():.0f} of {self.width:,} directions" if self.filter else "no filter"
        return f"<Explanation of {self.model!r}, {self.vocabulary:,} × {self.width:,}: {kept}>"

    def json(self) -> dict[str, Json]:
        """Returns the whole as JSON values."""
        return {
            key: [round(float(v), 8) for v in value] if isinstance(value, np.ndarray) else value
            for key, value in dataclasses.asdict(self).items()
        }
