"""What a probe of rarity found as one HTML page that needs nothing else: its pictures inline, a sentence and numbers to each."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Sequence
from html import escape
from itertools import pairwise
from pathlib import Path

import numpy as np

from rarityir.report import colours
from rarityir.report.matching import visible
from rarityir.report.page import document, grid
from rarityir.report.rarity import Bands, Curve, Grid, Layers, Part, Scatter, Vector, said
from rarityir.report.rarity_ink import GROUND, INK, INKS, LINE, OCCURRENCES, QUIET, TYPES
from rarityir.report.rarity_picture import picture
from rarityir.report.rarity_tokens import Bursts, Forest, Listing, Ranks, Suspicion

_MOST_ROWS = 40  # of a table of a curve
_STYLE = """
main{max-width:60rem}figure{margin:.5rem 0}figure svg{width:100%;height:auto;max-width:48rem}
:root{--types:#0072b2;--occurrences:#d55e00}
@media (prefers-color-scheme:dark){:root{--types:#56b4e9;--occurrences:#ff8a3c}}
"""
# What follows the reader's light or dark.
_NAMED = {INK: "ink", QUIET: "quiet", LINE: "line", GROUND: "ground", TYPES: "types", OCCURRENCES: "occurrences"}

_TABLE = [colours.hexed(c) for c in colours.table("rarity")]
_DARK = dict(zip(_TABLE, reversed(_TABLE))) | {shown: colours.hexed(dark) for (_, dark), shown in INKS.items()}


def render(parts: Sequence[Part], title: str, notes: Iterable[str] = (), tables: Iterable[Listing] = ()) -> str:
    """Returns a page of pictures, each drawn inline with a sentence that says what it shows and its numbers, and of tables."""
    lines = "".join(f"<p>{escape(visible(note))}</p>\n" for note in notes)
    sections = [_section(part, i) for i, part in enumerate(parts)]
    listed = [_listed(table) for table in tables]
    return document(title, [f"<h1>{escape(visible(title))}</h1>\n{lines}", *sections, *listed], _STYLE)


def _section(part: Part, number: int) -> str:
    sentence = escape(visible(said(part)))
    heads, rows = _numbers(part)
    table = grid(part.title, heads, [_row(row) for row in rows])
    return (
        f"<section>\n<h2>{escape(visible(part.title))}</h2>\n<figure>{inline(part, f'p{number}')}\n"
        f"<figcaption>{sentence}</figcaption></figure>\n<details><summary>The numbers</summary>\n{table}\n</details>\n</section>"
    )


def _listed(table: Listing) -> str:
    numbers = [head[:1] == "#" for head in table.heads]
    rows = ["".join(map(_cell, row, numbers, [True, *[False] * (len(row) - 1)])) for row in table.rows]
    body = grid(table.note, table.heads, [f"<tr>{row}</tr>" for row in rows])
    legend = f'\n<p class="quiet">{escape(visible(table.legend))}</p>' if table.legend else ""
    return f"<section>\n<h2>{escape(visible(table.title))}</h2>\n{body}{legend}\n</section>"


def _cell(text: str, number: bool, first: bool) -> str:  # noqa: FBT001
    """A cell; a token may be of letters that are read from the right, and turns nothing round but itself."""
    shown = escape(visible(text))
    if number:
        return f'<td class="number">{shown}</td>'
    return f'<th scope="row"><bdi>{shown}</bdi></th>' if first else f"<td><bdi>{shown}</bdi></td>"


def inline(part: Part, prefix: str) -> str:
    """Returns a part's picture as SVG to stand in a page: names apart from other pictures', colours that follow the page's."""
    with tempfile.TemporaryDirectory(prefix="rarityir-") as folder:
        drawn = picture(part, Path(folder) / "part.svg", titled=False).read_text(encoding="utf-8")
    drawn = drawn[drawn.index("<svg") :]
    drawn = re.sub(r"\s*<metadata>.*?</metadata>|\s*<defs>\s*<style.*?</style>\s*</defs>", "", drawn, flags=re.DOTALL)
    drawn = re.sub(r'\b(id="|href="#|url\(#)', rf"\g<1>{prefix}-", drawn)
    drawn = re.sub(r"(fill|stroke): (#[0-9a-f]{6})", lambda found: f"{found[1]}: {_themed(found[1], found[2])}", drawn)
    label = escape(visible(f"{part.title}. {said(part)}"))
    return drawn.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1).strip()


def _themed(what: str, colour: str) -> str:
    """A colour as the page has it: by name, or a table's, which is read from its other end on a dark ground."""
    if colour in _NAMED:
        return f"var(--{_NAMED[colour]})"
    if colour in _DARK:
        return f"{colour}; {what}: light-dark({colour},{_DARK[colour]})"
    return colour


def _row(cells: Sequence[str]) -> str:
    numbers = "".join(f'<td class="number">{escape(cell)}</td>' for cell in cells[1:])
    return f'<tr><th scope="row">{escape(visible(cells[0]))}</th>{numbers}</tr>'


def _numbers(part: Part) -> tuple[list[str], list[list[str]]]:
    """A part's heads and rows; a head that begins with `#` stands over numbers."""
    match part:
        case Curve():
            k = part.components
            at = np.unique(np.linspace(0, len(k) - 1, min(len(k), _MOST_ROWS)).astype(int))
            columns = {"types": part.types, "low": part.low, "high": part.high, "occurrences": part.occurrences}
            columns |= {"noise": part.null, "permuted, low": part.null_low, "permuted, high": part.null_high}
            return _table("components", [str(int(k[i])) for i in at], columns, at)
        case Bands():
            names = [f"{a + 1} to {b}" for a, b in pairwise(part.edges)]
            return _table("components", names, {"types": part.types, "occurrences": part.occurrences})
        case Layers():
            columns = {"types": part.types, "low": part.low, "high": part.high, "occurrences": part.occurrences}
            columns |= {"low, occurrences": part.least, "high, occurrences": part.most, "control task": part.control}
            return _table("layer", list(part.labels), columns)
        case Scatter():
            edges, by_type, by_occurrence, share = part.bias()
            names = [f"{a:.2f} to {b:.2f}" for a, b in pairwise(edges)]
            columns = {"mean error, types": by_type, "mean error, occurrences": by_occurrence, "share of occurrences": share}
            return _table("actual", names, columns)
        case Grid():
            columns = {f"{target}, types": part.types[:, j] for j, target in enumerate(part.targets)}
            if part.occurrences is not None:
                columns |= {f"{target}, occurrences": part.occurrences[:, j] for j, target in enumerate(part.targets)}
            return _table("model", list(part.models), columns)
        case Ranks() | Bursts() | Suspicion() | Forest():
            return part.table()


def _table(
    first: str, names: Sequence[str], columns: dict[str, Vector | None], at: Sequence[int] | Vector | None = None
) -> tuple[list[str], list[list[str]]]:
    known = {name: values for name, values in columns.items() if values is not None}
    places = range(len(names)) if at is None else [int(i) for i in at]
    rows = [[name, *(_number(values[i]) for values in known.values())] for name, i in zip(names, places)]
    return [first, *(f"#{name}" for name in known)], rows


def _number(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.3f}".replace("-", "−")
