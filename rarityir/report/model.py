"""The report of an experiment as a value: one row a system, with measures, tests and costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rarityir import notebook
from rarityir.types import Json, RarityError, Scores

if TYPE_CHECKING:
    import pandas as pd

COSTS = ("dim", "bytes_per_doc", "index_bytes", "build_seconds", "qps", "recall")
TOLD = (*COSTS, "search_qps")  # what JSON holds of a cost; tables have no room for all


@dataclass(frozen=True)
class Row:
    """A system's line: mean measures, tests against the baseline by measure, and what it cost."""

    name: str
    measures: Mapping[str, float]
    tests: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # measure → difference, p-values
    marks: Mapping[str, str] = field(default_factory=dict)  # measure → "+", "-" or ""
    cost: Mapping[str, Json] = field(default_factory=dict)
    share: tuple[float, float, float] | None = None  # of the system `Report.share_of`: value, low, high


@dataclass(frozen=True)
class Report:
    """A comparison table. `print(report)` shows it; `report.markdown()`, `.latex()`, `.csv()`, `.json()` write it."""

    dataset: str
    encoder: str
    baseline: str
    measures: Sequence[str]
    topics: int
    cutoff: int
    seed: int
    alpha: float
    rows: Sequence[Row]
    notes: Sequence[str] = ()
    share_of: str = ""
    subset: Mapping[str, Json] = field(default_factory=dict)  # of a judged sub-collection: tag, documents, of, judged
    page: Path | None = field(default=None, compare=False, repr=False)  # its HTML page, where one was written
    by_topic: Sequence[Scores] = field(default=(), repr=False, compare=False)  # every topic's scores, of each row

    def __getitem__(self, system: str) -> Row:
        """Returns a system's row."""
        for row in self.rows:
            if row.name == system:
                return row
        raise KeyError(system)

    def best(self, measure: str) -> float:
        """Returns the measure's highest mean as it is printed, to four decimals."""
        return max(round(row.measures[measure], 4) for row in self.rows)

    @property
    def costs(self) -> list[str]:
        """The costs that are shown: recall against exact search only where a system has one."""
        return [c for c in COSTS if c != "recall" or any(row.cost.get(c) is not None for row in self.rows)]

    def to_dict(self) -> dict[str, Any]:
        """Returns the report as JSON's types; `systems[i]["measures"]` holds full precision."""
        systems = [
            {"name": row.name, "measures": dict(row.measures), **{c: row.cost.get(c) for c in TOLD},
             "tests": {m: dict(t) for m, t in row.tests.items()},
             **({"share": dict(zip(("value", "low", "high"), row.share, strict=True))} if row.share else {})}
            for row in self.rows
        ]  # fmt: skip
        return {
            "dataset": self.dataset, "encoder": self.encoder, "baseline": self.baseline,
            "measures": list(self.measures), "topics": self.topics, "cutoff": self.cutoff, "seed": self.seed,
            "alpha": self.alpha, "notes": list(self.notes), **({"share_of": self.share_of} if self.share_of else {}),
            **({"subset": dict(self.subset)} if self.subset else {}),
            "systems": systems,
        }  # fmt: skip

    def to_frame(self) -> pd.DataFrame:
        """Returns a DataFrame of a row a system: mean measures in full precision, p-values (`nDCG@10 p`, corrected), costs."""
        columns: dict[str, list[Any]] = {"system": [row.name for row in self.rows]}
        for m in self.measures:
            columns[m] = [row.measures[m] for row in self.rows]
            columns[f"{m} p"] = [row.tests.get(m, {}).get("fisher_holm") for row in self.rows]
        return notebook.frame(columns | {c: [row.cost.get(c) for row in self.rows] for c in self.costs}, "system")

    def to_topics_frame(self) -> pd.DataFrame:
        """Returns a DataFrame of a row for each system and topic: `system`, `query_id` and every measure.

        Raises `RarityError` where the report does not hold them: one read from its JSON keeps means alone.
        """
        if not self.by_topic:
            raise RarityError(
                "this report holds no scores by topic; make it with rarityir.perform or rarityir.experiment.rebuild"
            )
        columns: dict[str, list[Any]] = {
            "system": [s.system for s in self.by_topic for _ in s.query_ids],
            "query_id": [query_id for s in self.by_topic for query_id in s.query_ids],
        }
        return notebook.frame(columns | {m: [v for s in self.by_topic for v in s.values[m].tolist()] for m in self.measures})

    def __repr__(self) -> str:
        """One line; `print` gives the table."""
        told = f"{len(self.rows):,} systems on {self.topics:,} topics of {self.dataset!r}, encoder {self.encoder!r}"
        if self.rows and self.measures:
            best = max(self.rows, key=lambda row: row.measures[self.measures[0]])
            told += f"; best {self.measures[0]}: {best.name!r}, {best.measures[self.measures[0]]:.4f}"
        return f"<Report: {told}>"

    def _repr_html_(self) -> str:
        """The table for a notebook."""
        from rarityir.report.render import for_notebook

        return for_notebook(self)

    def markdown(self) -> str:
        """Returns the table in Markdown."""
        return self._as("markdown")

    def latex(self) -> str:
        """Returns the table in LaTeX (booktabs), best values in bold, significance as superscripts."""
        return self._as("latex")

    def csv(self) -> str:
        """Returns the table as CSV with full precision and all p-values."""
        return self._as("csv")

    def json(self) -> str:
        """Returns the report as one JSON object."""
        return self._as("json")

    def __str__(self) -> str:
        return self._as("text")

    def _as(self, form: str) -> str:
        from rarityir.report.render import render

        return render(self, form)
