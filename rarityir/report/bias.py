"""What a judged sub-collection does to figures: each system's beside the whole collection's, and the order of the systems."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from rarityir import parsing
from rarityir.report.render import code, words
from rarityir.types import BadInput, Json, RarityError


@dataclass(frozen=True)
class Order:
    """How far two collections order the same systems alike by a measure: Kendall's tau-b, and the pairs they order apart."""

    tau: float
    pairs: int
    swapped: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, here: dict[str, float], whole: dict[str, float]) -> Order:
        """Reads both as system → value. A tie on either side is no swap; tau is nan where one side ties throughout.

        Kendall, Biometrika 33 (1945), as scipy computes it.
        """
        from scipy.stats import kendalltau

        pairs = list(combinations(here, 2))
        up = [(here[a] > here[b], whole[a] > whole[b]) for a, b in pairs]
        down = [(here[a] < here[b], whole[a] < whole[b]) for a, b in pairs]
        swapped = tuple(pair for pair, (u, v), (x, y) in zip(pairs, up, down, strict=True) if (u and y) or (x and v))
        tau = float(kendalltau(list(here.values()), [whole[name] for name in here]).statistic) if pairs else math.nan
        return cls(tau, len(pairs), swapped)


@dataclass(frozen=True)
class Bias:
    """The systems of two reports on the same topics: `values[measure][system]` is (whole, here)."""

    here: str
    whole: str
    encoder: str
    topics: int
    note: str
    values: dict[str, dict[str, tuple[float, float]]]

    @property
    def orders(self) -> dict[str, Order]:
        """How alike the systems stand, by measure."""
        return {
            m: Order.of({s: here for s, (_, here) in v.items()}, {s: whole for s, (whole, _) in v.items()})
            for m, v in self.values.items()
        }

    def json(self) -> dict[str, Json]:
        """Returns the comparison as JSON values; a tau that is not defined is null."""
        return {
            "dataset": self.here, "against": self.whole, "encoder": self.encoder, "topics": self.topics, "note": self.note,
            "orders": {
                m: {"tau": None if math.isnan(o.tau) else o.tau, "pairs": o.pairs, "swapped": [list(pair) for pair in o.swapped]}
                for m, o in self.orders.items()
            },
            "systems": [
                {"name": name, "measures": {m: {"whole": v[name][0], "here": v[name][1]} for m, v in self.values.items()}}
                for name in next(iter(self.values.values()))
            ],
        }  # fmt: skip

    def _cells(self) -> list[list[str]]:
        heads = ["system", *(f"{m} {what}" for m in self.values for what in ("whole", "here", "change"))]
        rows = [heads]
        for name in next(iter(self.values.values())):
            pairs = [v[name] for v in self.values.values()]
            rows.append([name, *(c for whole, here in pairs for c in (f"{whole:.4f}", f"{here:.4f}", _signed(here - whole)))])
        return rows

    def _foot(self) -> list[str]:
        lines = [f"{self.here} (here) against {self.whole} (whole), encoder {self.encoder}, {self.topics} topics."]
        for m, o in self.orders.items():
            apart = f": {', '.join(f'{a} and {b}' for a, b in o.swapped)}" if o.swapped else ""
            lines.append(
                f"{m}: Kendall's tau {o.tau:.3f}, {len(o.swapped)} of {o.pairs} pairs of systems in another order{apart}."
            )
        return [*lines, self.note] if self.note else lines

    def markdown(self) -> str:
        """Returns the comparison in Markdown."""
        heads, *rows = self._cells()
        table = [f"| {' | '.join(map(words, heads))} |", f"|---|{'---:|' * (len(heads) - 1)}"]
        table += [f"| {' | '.join([code(name), *cells])} |" for name, *cells in rows]
        return "\n".join([*table, "", *map(words, self._foot())])

    def __str__(self) -> str:
        """Returns the comparison as plain text."""
        rows = self._cells()
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = [
            "  ".join([name.ljust(widths[0]), *(c.rjust(w) for c, w in zip(cells, widths[1:], strict=True))])
            for name, *cells in rows
        ]
        return "\n".join([*lines, "", *self._foot()])


def compare(here: Path, whole: Path, measures: Sequence[str] = ()) -> Bias:
    """Returns the figures of a folder's `report.json` beside those of another's, for the systems both have.

    Raises `RarityError` unless both are of one collection, its topics and one encoder, share two systems, and hold the
    measures asked for (all they share where none is).
    """
    a, b = _report(here), _report(whole)
    roots = [report["dataset"].removesuffix(f"@{report.get('subset', {}).get('tag', '')}") for report in (a, b)]
    for what, one, other in (
        ("collection", *roots),
        ("encoder", a["encoder"], b["encoder"]),
        ("number of topics", a["topics"], b["topics"]),
    ):
        if one != other:
            raise RarityError(
                f"{here} and {whole} differ in {what} ({one}, {other}); compare two evaluations of the same systems"
            )
    shared = [m for m in a["measures"] if m in b["measures"]]
    absent = [m for m in measures if m not in shared]
    if absent or not shared:
        raise RarityError(
            f"{here} and {whole} do not both hold {absent[0] if absent else 'a measure'}; both hold: {', '.join(shared)}"
        )
    figures = [{row["name"]: row["measures"] for row in report["systems"]} for report in (a, b)]
    names = [name for name in figures[0] if name in figures[1]]
    if len(names) < 2:
        raise RarityError(f"{here} and {whole} share fewer than two systems; evaluate the same ones on both")
    values = {m: {name: (figures[1][name][m], figures[0][name][m]) for name in names} for m in measures or shared}
    notes = " ".join(n for n in a["notes"] if n.startswith("Judged sub-collection"))
    return Bias(a["dataset"], b["dataset"], a["encoder"], a["topics"], notes, values)


def _report(folder: Path) -> Json:
    path = folder / "report.json"
    if not path.is_file():
        raise BadInput(f"{folder} holds no report.json; evaluate first: rarityir eval --out {folder}")
    try:
        found = parsing.value(path)
        found["dataset"], found["encoder"], found["topics"], found["measures"], found["notes"], found["systems"]
    except parsing.BROKEN:
        raise BadInput(f"{path} is not a report; make it again: rarityir report {folder}") from None
    return found


def _signed(value: float) -> str:
    return f"{value:+.4f}".replace("-", "−")
