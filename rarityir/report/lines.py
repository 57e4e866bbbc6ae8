"""A heat map's text broken into lines no wider than a page: at white space, else where it must."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, replace

from rarityir.report.heatmap import HeatMap, one_glyph


@dataclass(frozen=True)
class Fragment:
    """What one line has of a cell: its number, the characters as they are shown, and where they begin and end on the line.

    `blank` is how much of the beginning is white space, which has no colour: words stand apart. Where all of a cell is white
    space, it has its colour.
    """

    cell: int
    shown: str
    left: float
    right: float
    blank: float


@dataclass(frozen=True)
class _Glyph:
    """A character as it is shown, its cell and width, and whether it is white space or may begin a line."""

    cell: int
    shown: str
    width: float
    space: bool
    ends: bool
    wide: bool


def lines(found: HeatMap, width: float, measure: Callable[[str], float], shown: Callable[[str], str]) -> list[list[Fragment]]:
    """Returns the lines of a map, each its fragments from the left.

    Args:
        found: the map.
        width: what a line has room for; a single character wider than that has a line of its own.
        measure: the width of characters as they are shown.
        shown: a character as it is shown, which may be an escape of several.
    """
    broken: list[list[_Glyph]] = [[]]
    at, rest = 0.0, -1  # where the line ends, and the last place on it where the next may begin
    for glyph in _glyphs(found, measure, shown):
        line = broken[-1]
        if line and (line[-1].space or line[-1].wide or glyph.wide) and not glyph.space:
            rest = len(line)
        if line and at + glyph.width > width:
            keep = rest if rest > 0 else len(line)
            broken[-1], moved = line[:keep], line[keep:]
            broken.append(moved)
            at, rest = sum(g.width for g in moved), -1
        broken[-1].append(glyph)
        at += glyph.width
        if glyph.ends:
            broken.append([])
            at, rest = 0.0, -1
    if not broken[-1] and len(broken) > 1:
        broken.pop()
    return [_fragments(found, line) for line in broken]


def _glyphs(found: HeatMap, measure: Callable[[str], float], shown: Callable[[str], str]) -> list[_Glyph]:
    widths: dict[str, tuple[str, float]] = {}
    glyphs: list[_Glyph] = []
    for number, cell in enumerate(found.cells):
        for i, character in enumerate(cell.text):
            if character not in widths:
                written = shown(character)
                widths[character] = written, measure(written)
            written, width = widths[character]
            ends = character == "\n" or (character == "\r" and cell.text[i + 1 : i + 2] != "\n")
            wide = unicodedata.east_asian_width(character) in "WF"
            glyph = _Glyph(number, written, width, character.isspace(), ends, wide)
            if i and one_glyph(cell.text[i - 1], character):
                before = glyphs.pop()
                glyph = replace(glyph, shown=before.shown + written, width=before.width + width, wide=before.wide)
            glyphs.append(glyph)
    return glyphs


def _fragments(found: HeatMap, line: list[_Glyph]) -> list[Fragment]:
    """A line's glyphs by cell; white space before a cell's word is blank."""
    groups: list[list[_Glyph]] = []
    for glyph in line:
        if groups and groups[-1][0].cell == glyph.cell:
            groups[-1].append(glyph)
        else:
            groups.append([glyph])
    fragments, left = [], 0.0
    for group in groups:
        width, blank = sum(g.width for g in group), 0.0
        if not found.cells[group[0].cell].text.isspace():
            for glyph in group:
                if not glyph.space:
                    break
                blank += glyph.width
        fragments.append(Fragment(group[0].cell, "".join(g.shown for g in group), left, left + width, blank))
        left += width
    return fragments
