"""What the page of an experiment shows: report, topics' measures, pairs of systems, rankings, and the model's spectrum."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rarityir.report.model import Report, Row
from rarityir.types import Json


@dataclass(frozen=True)
class Pair:
    """Two systems on the first measure: the mean of one minus that of the other, and p corrected over all pairs shown.

    Where p is the `least` that the permutations can give, it is a bound and no more.
    """

    one: str
    other: str
    difference: float
    p: float
    least: bool = False


@dataclass(frozen=True)
class Sweep:
    """Systems whose names differ by one width alone, narrowest first, and the system without that part where there is one."""

    name: str  # `dense+edge:*`
    points: tuple[tuple[str, int], ...]  # system, width
    reference: str = ""


@dataclass(frozen=True)
class Rankings:
    """The best documents of every system for some topics; documents are positions in `documents`.

    `best[s][t]` are system s's documents for `topics[t]`, best first; `grades[t]` the judged ones among all that are shown;
    `relevant[t]` relevant documents, those that some system finds first; `ranks[s][t]` where s has them, 0 where it lacks them.
    """

    depth: int
    topics: tuple[int, ...]  # positions among the report's topics
    documents: tuple[tuple[str, str], ...]  # doc_id, the beginning of its text or nothing
    best: tuple[tuple[tuple[int, ...], ...], ...]
    grades: tuple[Mapping[int, int], ...]
    relevant: tuple[tuple[int, ...], ...]
    ranks: tuple[tuple[tuple[int, ...], ...], ...]
    judged_relevant: tuple[int, ...]  # how many relevant documents a topic has, shown or not
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cut:
    """What a filter keeps of each direction of the unembedding, by falling singular value, and what its parts write."""

    filter: str
    kept: tuple[float, ...]
    zones: tuple[tuple[str, float, float, tuple[str, ...]], ...]  # ranks, share kept, share of energy, words written


@dataclass(frozen=True)
class Written:
    """A topic's best aligned tokens: raw, and through each filter in the order of `Spectrum.cuts`."""

    query_id: str
    text: str
    raw: tuple[str, ...]
    filtered: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Spectrum:
    """The unembedding's singular values, falling, what filters cut of them, and some topics read before and after."""

    model: str
    vocabulary: int
    values: tuple[float, ...]
    cuts: tuple[Cut, ...]
    written: tuple[Written, ...]
    filters: int  # how many filters the experiment has, of which `cuts` are the first


@dataclass(frozen=True)
class Overview:
    """All that the page of an experiment is made of; `values[measure][s]` are system s's by topic, in the report's order."""

    report: Report
    query_ids: Sequence[str]
    topics: Sequence[str]
    values: Mapping[str, Sequence[Sequence[float]]]
    compared: Sequence[str]  # the systems that `pairs` are of, best first
    pairs: Sequence[Pair]
    sweeps: Sequence[Sweep]
    rankings: Rankings
    spectrum: Spectrum | None = None
    without: str = ""  # why there is no spectrum
    provenance: Mapping[str, Json] = field(default_factory=dict)
    least: float = 0.0  # the smallest p, uncorrected, that random permutations can give


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Returns the positions of the points (cost, value) that no other beats: worth more at no more cost, or as much at less."""
    order = sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1]))
    found: list[int] = []
    for i in order:
        if not found or points[i][1] > points[found[-1]][1] or points[i] == points[found[-1]]:
            found.append(i)
    return found


def at_least(p: float, least: float) -> bool:
    """Returns whether an uncorrected p is the smallest that random permutations can give, as it is stored."""
    return p <= least * (1 + 1e-9)


def priced(report: Report, cost: str) -> list[Row]:
    """Returns the systems whose cost of a kind is known and above zero, so that it stands on a logarithmic axis."""
    return [row for row in report.rows if isinstance(row.cost.get(cost), int | float) and 0 < row.cost[cost] < math.inf]
