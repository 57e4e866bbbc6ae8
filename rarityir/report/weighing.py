"""IDFs side by side: a table a dataset, and what was supposed before any was measured."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rarityir.report.render import code, words
from rarityir.types import Json

ALPHA = 0.05


@dataclass(frozen=True)
class Against:
    """A difference of means from another system, and the p-value of the randomisation test, corrected by Holm."""

    difference: float
    p: float

    @property
    def mark(self) -> str:
        """+ or − where the difference is significant, else nothing."""
        return "" if not self.p < ALPHA else "+" if self.difference > 0 else "−"


@dataclass(frozen=True)
class Ratio:
    """A gap recovered: value, interval, and the share of resamples in which there is a gap at all; below .975 it says nothing."""

    value: float
    low: float
    high: float
    steady: float

    def __str__(self) -> str:
        if self.steady < 0.975:
            return "no gap"
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


@dataclass(frozen=True)
class Line:
    """An IDF at a level on a dataset: means, differences by measure from `uniform` and `transfer`, gaps, and by stratum."""

    system: str
    idf: str
    level: str
    in_domain: bool
    measures: Mapping[str, float]
    uniform: Mapping[str, Against]
    transfer: Mapping[str, Against]
    gaps: Mapping[str, Ratio]
    strata: Mapping[str, float]  # stratum → mean of the first measure
    strata_transfer: Mapping[str, Against]


@dataclass(frozen=True)
class Table:
    """A dataset's IDFs. `strata` says how many topics each has."""

    dataset: str
    encoder: str
    topics: int
    source: str
    in_domain: bool
    measures: Sequence[str]
    strata: Mapping[str, int]
    lines: Sequence[Line]

    @property
    def heads(self) -> list[str]:
        """What stands over the columns: two of words, and figures."""
        strata = [f"{self.measures[0]} {name} ({count})" for name, count in self.strata.items() if count]
        return ["IDF", "level", *self.measures, "gap recovered", *strata]

    def markdown(self) -> str:
        """Returns the table in Markdown; u and t behind a figure mark its difference from uniform and from transfer."""
        cells = ([code(name), *map(words, rest)] for name, *rest in self.cells())
        rows = [[*map(words, self.heads)], ["---", "---", *["---:"] * (len(self.heads) - 2)], *cells]
        domain = " **In-domain: the source holds documents of this corpus.**" if self.in_domain else ""
        about = words(f"{self.dataset}, tokens of {self.encoder}, {self.topics} topics. Source: {self.source}.") + domain
        return "\n".join([about, "", *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"

    def cells(self) -> Iterator[list[str]]:
        """Yields the rows."""
        for line in self.lines:
            first = self.measures[0]
            figures = [_figure(line.measures[m], line.uniform.get(m), line.transfer.get(m)) for m in self.measures]
            strata = [
                _figure(line.strata[name], None, line.strata_transfer.get(name)) for name, count in self.strata.items() if count
            ]
            gap = str(line.gaps[first]) if first in line.gaps else "–"
            yield [line.idf, line.level, *figures, gap, *strata]


@dataclass(frozen=True)
class Supposition:
    """What was supposed before it was measured, what came out, and whether it held; None where it could not be told."""

    text: str
    found: str
    held: bool | None


@dataclass(frozen=True, eq=False)
class Agreement:
    """How rare an IDF tells a dataset's tokens to be, `told` (V,), and how rare they are, `own` (V,): −ln P, of those it has."""

    dataset: str
    idf: str
    own: NDArray[np.float64] = field(repr=False)
    told: NDArray[np.float64] = field(repr=False)


@dataclass(frozen=True)
class Weighing:
    """The tables of all datasets, what was supposed of their mean, and how a probe agrees with each, which is drawn alone."""

    tables: Sequence[Table]
    suppositions: Sequence[Supposition]
    seed: int
    shuffles: int
    agreements: Sequence[Agreement] = ()

    def json(self) -> dict[str, Json]:
        """Returns everything as JSON values; what is not a number is null."""
        return {
            "seed": self.seed,
            "shuffles": self.shuffles,
            "suppositions": [asdict(one) for one in self.suppositions],
            "tables": [_plain(asdict(table)) for table in self.tables],
        }

    def dumps(self) -> str:
        """Returns everything as one JSON object."""
        return json.dumps(self.json(), indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"

    def told(self) -> list[str]:
        """Returns what was supposed, and what came of it."""
        return [
            f"{'Held' if one.held else 'Failed' if one.held is False else 'Undecided'}: {one.text}. {one.found}."
            for one in self.suppositions
        ]

    @property
    def marks(self) -> str:
        """What the marks of a table mean, and its columns."""
        return (
            "u and t: the difference from `uniform` and from `transfer` at the same level by Fisher's randomisation test, "
            f"Holm-corrected over a level's IDFs, p < {ALPHA:g}. Gap recovered: (M − M_uniform) / (M_oracle − M_uniform), "
            f"95% bootstrap interval over topics. `shuffled` is the mean of {self.shuffles} permutations."
        )

    def markdown(self) -> str:
        """Returns the tables, what their marks mean, and what was supposed."""
        told = ["- " + re.sub(r"\\`([-a-z]+)\\`", r"`\1`", words(line)) for line in self.told()]  # the names of IDFs stay code
        supposed = ["Supposed before anything was measured:", "", *told, ""] if told else []
        return "\n".join([*(table.markdown() for table in self.tables), self.marks, "", *supposed]).rstrip() + "\n"

    def __str__(self) -> str:
        return self.markdown()


def _figure(value: float, uniform: Against | None, transfer: Against | None) -> str:
    marks = [f"{letter}{one.mark}" for letter, one in (("u", uniform), ("t", transfer)) if one and one.mark]
    return f"{value:.4f}{f' {chr(32).join(marks)}' if marks else ''}"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
