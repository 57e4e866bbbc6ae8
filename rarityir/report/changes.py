"""What changed from one experiment to another: systems, means, tests over the topics both have, costs and settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rarityir.report.matching import escaped, visible
from rarityir.report.model import COSTS
from rarityir.report.render import HEADS, code, cost, words
from rarityir.types import Json

SAME = 1e-6  # means that differ by less are one: a topic's score is kept to six digits


@dataclass(frozen=True)
class Paired:
    """A paired test over common topics: mean difference, two-sided p-values, raw and Holm-corrected, and topics won and lost."""

    difference: float
    t: float
    fisher: float
    t_holm: float
    fisher_holm: float
    better: int
    worse: int
    mark: str  # "+", "-" or ""


@dataclass(frozen=True)
class Change:
    """A system's mean by one measure on both sides; `test` is None where topics are not known, and a note says why."""

    system: str
    a: float
    b: float
    test: Paired | None

    @property
    def difference(self) -> float:
        """The mean of B less the mean of A, each over all its topics."""
        return self.b - self.a


@dataclass(frozen=True)
class Side:
    """One of the two experiments, as its report says it."""

    path: str
    dataset: str
    encoder: str
    topics: int
    cutoff: int


@dataclass(frozen=True)
class Changes:
    """Everything that changed from A to B. `values[measure]` has a change for every system that both have."""

    a: Side
    b: Side
    topics: int  # that both have, 0 where they are not known
    seed: int
    alpha: float
    values: Mapping[str, Sequence[Change]]
    only_a: Sequence[str]
    only_b: Sequence[str]
    costs: Mapping[str, Mapping[str, tuple[Json, Json]]]  # system → cost → (A, B)
    settings: Sequence[tuple[str, Json, Json]]  # what differs: name, A, B
    notes: Sequence[str]

    @property
    def losses(self) -> list[str]:
        """The systems that are significantly worse in B, each with its measure: `dense by AP`."""
        return [f"{c.system} by {m}" for m, found in self.values.items() for c in found if c.test and c.test.mark == "-"]

    @property
    def untested(self) -> list[str]:
        """The systems that nothing is known of by topic."""
        return list(dict.fromkeys(c.system for found in self.values.values() for c in found if c.test is None))

    @property
    def none(self) -> bool:
        """Whether nothing changed: both have the same systems and topics, every topic's score, cost and setting is the same."""
        found = [c for changes in self.values.values() for c in changes]
        scores = all(c.test is not None and not c.test.better and not c.test.worse and abs(c.difference) < SAME for c in found)
        scores = scores and self.a.topics == self.b.topics == self.topics
        costs = all(a == b for found in self.costs.values() for a, b in found.values())
        return scores and costs and not (self.only_a or self.only_b or self.settings)

    def json(self) -> dict[str, Json]:
        """Returns the changes as JSON values; what was not tested or is not known is null."""
        systems = {c.system: None for found in self.values.values() for c in found}
        return {
            "a": vars(self.a), "b": vars(self.b), "topics": self.topics, "seed": self.seed, "alpha": self.alpha,
            "measures": list(self.values), "losses": self.losses,
            "systems": [
                {"name": name,
                 "measures": {m: _json(c) for m, found in self.values.items() for c in found if c.system == name},
                 "costs": {what: {"a": a, "b": b} for what, (a, b) in self.costs.get(name, {}).items()}}
                for name in systems
            ],
            "only_a": list(self.only_a), "only_b": list(self.only_b),
            "settings": [{"name": name, "a": a, "b": b} for name, a, b in self.settings], "notes": list(self.notes),
        }  # fmt: skip

    def markdown(self) -> str:
        """Returns the changes in Markdown."""
        parts = [f"A is {code(self.a.path)}, B is {code(self.b.path)}."]
        if self.none:
            return "\n\n".join([*parts, _nothing(self), *map(words, self.notes)])
        for title, rows in self._tables():
            head, *lines = rows
            table = [f"| {' | '.join(map(words, head))} |", f"|---|{'---:|' * (len(head) - 1)}"]
            table += [f"| {' | '.join([code(name), *map(words, cells)])} |" for name, *cells in lines]
            parts.append("\n".join([f"### {title}", "", *table]))
        return "\n\n".join([*parts, *map(words, self._foot())])

    def __str__(self) -> str:
        """Returns the changes as plain text."""
        if self.none:
            sides = f"{self.a.path} and {self.b.path}" if self.a.path != self.b.path else self.a.path
            return "\n".join(map(visible, [f"{sides}: {_nothing(self)}", *self.notes]))
        parts = [f"A  {visible(_side(self.a))}\nB  {visible(_side(self.b))}"]
        for title, found in self._tables():
            rows = [list(map(escaped, row)) for row in found]
            widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
            lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows]
            parts.append("\n".join([title, *lines]))
        return "\n\n".join([*parts, "\n".join(map(visible, self._foot()))])

    def _tables(self) -> Iterator[tuple[str, list[list[str]]]]:
        """Every table's title and rows, the first its head and each row's first cell a name."""
        for measure, found in self.values.items():
            yield measure, [["system", "A", "B", "B − A", "p", "better", "worse"], *map(_row, found)]
        changed = [c for c in COSTS if any(c in found for found in self.costs.values())]
        if changed:
            rows = [[name, *(_pair(c, found.get(c, (None, None))) for c in changed)] for name, found in self.costs.items()]
            yield "costs", [["system", *(HEADS[c] for c in changed)], *rows]
        if self.settings:
            yield "settings that differ", [["", "A", "B"], *([name, _short(a), _short(b)] for name, a, b in self.settings)]

    def _foot(self) -> list[str]:
        tested = any(c.test for found in self.values.values() for c in found)
        lines = [
            f"+ and − : B differs from A on {self.topics} common topics (paired randomisation test, Holm-corrected over the "
            f"systems, p < {self.alpha:g}); better and worse count topics."
        ] * tested
        lines += [f"Only in {side}: {', '.join(names)}." for side, names in (("A", self.only_a), ("B", self.only_b)) if names]
        return [*lines, *self.notes]


def _nothing(found: Changes) -> str:
    systems = len({c.system for changes in found.values.values() for c in changes})
    what = f"{systems} system{'s' * (systems != 1)} by {', '.join(found.values)} on {found.topics} topics"
    return f"nothing changed: {what}, their costs and settings are the same."


def _row(c: Change) -> list[str]:
    sign = f"{c.difference:+.4f}".replace("-", "−")
    shown = [c.system, f"{c.a:.4f}", f"{c.b:.4f}"]
    if c.test is None:
        return [*shown, f"{sign} ", "–", "–", "–"]
    marked = f"{sign}{c.test.mark.replace('-', '−') or ' '}"
    return [*shown, marked, f"{c.test.fisher_holm:.4f}", str(c.test.better), str(c.test.worse)]


def _pair(name: str, values: tuple[Json, Json]) -> str:
    a, b = (cost(name, value) for value in values)
    return a if a == b else f"{a} → {b}"


def _json(c: Change) -> dict[str, Json]:
    return {"a": c.a, "b": c.b, "difference": c.difference, "test": vars(c.test) if c.test else None}


def _side(side: Side) -> str:
    return f"{side.path}: {side.dataset}, encoder {side.encoder}, {side.topics} topics, cutoff {side.cutoff}"


def _short(value: Json) -> str:
    text = "–" if value is None else value if isinstance(value, str) else str(value)
    return text[:12] + "…" if len(text) == 64 and " " not in text else text[:80] or "''"
