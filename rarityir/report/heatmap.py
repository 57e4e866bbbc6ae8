"""A text as its tokens with a value or more for each, laid out once: pages, terminals and pictures draw the same map.

A map's cells are the text itself, cut and put side by side: nothing is left out and nothing is there twice, so that what no
token covers is a cell without values. Tokens that share a character are one cell, and so are those that share a glyph.
"""

from __future__ import annotations

import dataclasses
import math
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise

from rarityir.types import Json, RarityError

ACTUAL, PREDICTED, ERROR = "actual", "predicted", "error"
_JOINED = "\u200d"  # zero width joiner: what stands on both sides of it is one glyph


@dataclass(frozen=True)
class Scale:
    """Values from `low` to `high` in equal steps; a value outside is drawn as the end next to it."""

    low: float
    high: float
    units: str = "nats"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise RarityError(f"a scale from {self.low:g} to {self.high:g} has no values; its ends must rise and be finite")

    def level(self, value: float, levels: int) -> int:
        """Returns the number, from 0, of the level among so many that a value is drawn as."""
        share = (value - self.low) / (self.high - self.low)
        return round(min(max(share, 0.0), 1.0) * (levels - 1))

    def value(self, level: int, levels: int) -> float:
        """Returns the value that a level stands for."""
        return self.low + level / (levels - 1) * (self.high - self.low)

    def beyond(self, value: float) -> bool:
        """Says whether a value is drawn as one of the ends because it lies outside."""
        return not self.low <= value <= self.high


@dataclass(frozen=True)
class Row:
    """A line of colour below the text: what it shows, the table its colours are of, and its scale."""

    label: str
    palette: str
    scale: Scale


@dataclass(frozen=True)
class Piece:
    """A token as the vocabulary writes it, its values, one a row and None where there is none, and whether a fit saw it.

    `note` is what else there is to say of it.
    """

    form: str
    values: tuple[float | None, ...]
    seen: bool = False
    note: str = ""


@dataclass(frozen=True)
class Cell:
    """A part of the text, from character `start`, and the tokens that cover it; none do where a tokenizer left it out."""

    text: str
    start: int
    pieces: tuple[Piece, ...]

    @cached_property
    def shown(self) -> Piece | None:
        """The token whose values are drawn: the rarest by the first row, since a glyph is as rare as its rarest piece."""
        best = max(self.pieces, key=lambda piece: [-math.inf if v is None else v for v in piece.values], default=None)
        return best if best is None or any(v is not None for v in best.values) else None

    @property
    def values(self) -> tuple[float | None, ...]:
        """The values that are drawn, () where there are none."""
        return self.shown.values if self.shown else ()

    @property
    def seen(self) -> bool:
        """Whether a fit saw the token that is drawn."""
        return self.shown is not None and self.shown.seen


@dataclass(frozen=True)
class HeatMap:
    """A text's cells in order, the rows they have values for, and a line that says what is shown."""

    text: str
    cells: tuple[Cell, ...]
    rows: tuple[Row, ...]
    title: str = ""

    @cached_property
    def seen(self) -> bool:
        """Whether a fit saw any token that is drawn."""
        return any(cell.seen for cell in self.cells)

    @property
    def beyond(self) -> int:
        """How many drawn values lie outside their scale."""
        values = [(row, value) for cell in self.cells for row, value in zip(self.rows, cell.values)]
        return sum(value is not None and row.scale.beyond(value) for row, value in values)

    def json(self) -> dict[str, Json]:
        """Returns the whole as JSON values."""
        return {
            "text": self.text,
            "title": self.title,
            "rows": [dataclasses.asdict(row) for row in self.rows],
            "cells": [{**dataclasses.asdict(cell), "values": list(cell.values), "seen": cell.seen} for cell in self.cells],
        }


def heat_map(
    text: str,
    spans: Sequence[tuple[int, int]],
    forms: Sequence[str],
    actual: Sequence[float],
    predicted: Sequence[float] | None = None,
    *,
    layers: Mapping[str, Sequence[float]] | None = None,
    seen: Sequence[bool] | None = None,
    notes: Sequence[str] | None = None,
    scale: Scale | None = None,
    error: float | None = None,
    classic: bool = False,
    title: str = "",
) -> HeatMap:
    """Lays T tokens of a text out.

    Args:
        text: any string.
        spans: where each token begins and ends, in characters of the text; they may touch, overlap and leave gaps.
        forms: the tokens as the vocabulary writes them.
        actual: what each token is worth; NaN where nothing is known.
        predicted: what was predicted of each, with the signed error predicted − actual as a third row; None for no such rows.
        layers: further predictions under their labels, a row each.
        seen: which tokens the fit behind `predicted` saw.
        notes: what else there is to say of each token, "" where there is nothing.
        scale: of all rows but the error; from 0, or the least value, to the greatest where nothing is said.
        error: the end of the error's scale on both sides; that of the greatest error where nothing is said.
        classic: a red and a blue row, black for the scale's low end, and no error.
        title: one line that says what is shown.
    """
    more = layers or {}
    columns = [_known(actual), *([] if predicted is None else [_known(predicted)]), *map(_known, more.values())]
    said = [""] * len(spans) if notes is None else list(notes)
    flags = [False] * len(spans) if seen is None else [bool(flag) for flag in seen]
    if any(len(column) != len(spans) for column in (forms, said, flags, *columns)):
        raise RarityError(f"{len(spans)} tokens need so many forms and values of each row")
    scale = scale or _fitting(columns)
    rows = [Row(ACTUAL, "red" if classic else "rarity", scale)]
    if predicted is not None:
        rows.append(Row(PREDICTED, "blue" if classic else "rarity", scale))
        if not classic:
            found = [None if a is None or p is None else p - a for a, p in zip(columns[0], columns[1])]
            rows.append(Row(ERROR, "error", _balanced(found, error, scale.units)))
            columns.insert(2, found)
    rows += [Row(label, "blue" if classic else "rarity", scale) for label in more]
    pieces = [Piece(*facts) for facts in zip(forms, zip(*columns), flags, said)]
    return HeatMap(text, _cells(text, spans, pieces), tuple(rows), title)


def _cells(text: str, spans: Sequence[tuple[int, int]], pieces: Sequence[Piece]) -> tuple[Cell, ...]:
    """Cuts a text where tokens begin and end, except within another token or a glyph."""
    size = len(text)
    clipped = [(min(max(start, 0), size), min(max(stop, 0), size)) for start, stop in spans]
    edges, inside = {0, size}, [0] * (size + 2)
    for start, stop in clipped:
        if start < stop:
            edges |= {start, stop}
            inside[start + 1] += 1
            inside[stop] -= 1
    within = list(accumulate(inside))
    cuts = [cut for cut in sorted(edges) if cut in (0, size) or not (within[cut] or one_glyph(text[cut - 1], text[cut]))]
    bounds = list(pairwise(cuts))
    number = [i for i, (start, stop) in enumerate(bounds) for _ in range(stop - start)]
    held: list[list[Piece]] = [[] for _ in bounds]
    for (start, _), piece in zip(clipped, pieces):
        if bounds:
            held[number[min(start, size - 1)]].append(piece)  # one that covers nothing goes to what comes next
    return tuple(Cell(text[start:stop], start, tuple(inner)) for (start, stop), inner in zip(bounds, held))


def one_glyph(before: str, after: str) -> bool:
    """Says whether two characters are drawn as one: an accent, a selector, a skin tone, a joined emoji, a flag, a line's end."""
    if unicodedata.category(after) in ("Mn", "Mc", "Me") or "\U0001f3fb" <= after <= "\U0001f3ff":
        return not before.isspace()
    flags = all("\U0001f1e6" <= c <= "\U0001f1ff" for c in (before, after))
    return _JOINED in (before, after) or (before, after) == ("\r", "\n") or flags


def _known(values: Iterable[float]) -> list[float | None]:
    found = [float(value) for value in values]
    if any(map(math.isinf, found)):
        raise RarityError("a value of a heat map is infinite; smooth the target, or give NaN where nothing is known")
    return [None if math.isnan(value) else value for value in found]


def _fitting(columns: Sequence[Sequence[float | None]]) -> Scale:
    values = [value for column in columns for value in column if value is not None]
    low, high = min(0.0, math.floor(min(values, default=0.0))), float(math.ceil(max(values, default=1.0)))
    return Scale(low, high if high > low else low + 1)


def _balanced(found: Sequence[float | None], end: float | None, units: str) -> Scale:
    end = max(1.0, math.ceil(max((abs(v) for v in found if v is not None), default=1.0))) if end is None else abs(end)
    return Scale(-end, end, units)
