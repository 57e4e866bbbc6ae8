"""A heat map for a terminal: in its colours where it has some, as bars or plain characters where it has none."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Literal

from rarityir.report import colours
from rarityir.report.heatmap import HeatMap, Row
from rarityir.report.lines import Fragment, lines
from rarityir.report.matching import escaped

Depth = Literal["true", "256", "none"]

_BARS, _ARROWS = "▁▂▃▄▅▆▇█", "▼▽·△▲"  # from low to high
_ASCII, _ASCII_ARROWS = ".:-=+*#%@", "Vv.^A"
_LEGEND = 24  # columns of a scale's colours
_TRAINING = "training"


def render(found: HeatMap, *, width: int = 100, depth: Depth = "none", ascii: bool = False) -> str:
    """Returns the map as lines of text, each of the text's with its rows below it, and the scales at the end.

    Nothing of the text acts on the terminal: what is not printed is an escape. Numbers stand on colours where they fit.

    Args:
        found: the map.
        width: columns of the terminal.
        depth: which colours it has: `true` 24 bits, `256`, or `none`.
        ascii: whether only ASCII is printed, other characters of the text as escapes; without colours.
    """
    depth = "none" if ascii else depth
    labels = [row.label for row in found.rows] + [_TRAINING] * found.seen
    gutter = max(len(label) for label in labels) + 2
    room = max(width - gutter, 12)
    broken = lines(found, room, columns, _ascii if ascii else escaped)
    parts = [_printed(found.title, ascii=ascii)] if found.title else []
    for line in broken:
        parts += ["", " " * gutter + "".join(fragment.shown for fragment in line)]
        for i, row in enumerate(found.rows):
            parts.append(f"{row.label:<{gutter}}" + _bars(found, line, i, depth, ascii=ascii))
        if found.seen:
            marks = [_padded(f, "/" if found.cells[f.cell].seen else " ") for f in line]
            parts.append(f"{_TRAINING:<{gutter}}" + "".join(marks).rstrip())
    return "\n".join([*parts, "", *_legend(found, width, depth, ascii=ascii)]) + "\n"


def columns(text: str) -> int:
    """Returns how many columns a terminal needs for characters that are printed."""
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(unicodedata.category(c) in ("Mn", "Me") for c in text)


def level(row: Row, value: float, count: int) -> int:
    """Returns the level, of so many, that a row's value is drawn as."""
    return row.scale.level(value, count)


def _bars(found: HeatMap, line: Iterable[Fragment], number: int, depth: Depth, *, ascii: bool) -> str:
    row, parts = found.rows[number], []
    for fragment in line:
        values = found.cells[fragment.cell].values
        value = values[number] if values else None
        if value is None or not _size(fragment):
            parts.append(_padded(fragment, " "))
        elif depth == "none":
            ramp = _ramp(row, ascii=ascii)
            parts.append(_padded(fragment, ramp[level(row, value, len(ramp))]))
        else:
            size = _size(fragment)
            figure = _figure(value, size, signed=row.palette == "error")
            parts.append(" " * round(fragment.blank) + _coloured(row, value, f"{figure:^{size}}", depth))
    return "".join(parts).rstrip(" ")


def _size(fragment: Fragment) -> int:
    return round(fragment.right - fragment.left - fragment.blank)


def _padded(fragment: Fragment, fill: str) -> str:
    return " " * round(fragment.blank) + fill * _size(fragment)


def _figure(value: float, room: int, *, signed: bool) -> str:
    """A number of as many digits as there is room for, nothing where there is none."""
    sign = "+" if signed else ""
    for digits in (1, 0):
        shown = f"{value:{sign}.{digits}f}".replace("-", "−")
        shown = shown.lstrip("+−") if float(shown.replace("−", "-")) == 0 else shown
        if len(shown) <= room:
            return shown
    return ""


def _coloured(row: Row, value: float, text: str, depth: Depth) -> str:
    if depth == "true":
        table = colours.table(row.palette, dark=True)
        ground = table[level(row, value, len(table))]
        back = "48;2;{};{};{}".format(*ground)
    else:
        numbers = colours.terminal(row.palette)
        number = numbers[level(row, value, len(numbers))]
        ground, back = colours.of_terminal(number), f"48;5;{number}"
    front = "38;5;16" if colours.ink(ground) == (0, 0, 0) else "38;5;231"
    return f"\x1b[{back};{front}m{text}\x1b[0m"


def _ramp(row: Row, *, ascii: bool) -> str:
    if row.palette == "error":
        return _ASCII_ARROWS if ascii else _ARROWS
    return _ASCII if ascii else _BARS


def _legend(found: HeatMap, width: int, depth: Depth, *, ascii: bool) -> list[str]:
    """A line for each scale: the rows it is of, and its colours between its ends."""
    kinds: dict[tuple[str, float, float], list[Row]] = {}
    for row in found.rows:
        kinds.setdefault((row.palette, row.scale.low, row.scale.high), []).append(row)
    names = [_names(rows) for rows in kinds.values()]
    gutter = max(map(len, names)) + 2
    parts = []
    for name, (row, *_) in zip(names, kinds.values()):
        scale = row.scale
        if depth == "none":
            strip = _ramp(row, ascii=ascii)
        else:
            places = [scale.value(i, _LEGEND) for i in range(_LEGEND)]
            strip = "".join(_coloured(row, place, " ", depth) for place in places)
        error = row.palette == "error"
        low, high = (f"{end:{'+' if error else ''}g}" for end in (scale.low, scale.high))
        low = low if ascii else low.replace("-", "−")
        parts.append(_printed(f"{name:<{gutter}}", ascii=ascii) + f"{low} {strip} {high} {scale.units}")
        if error:
            short = gutter + len(low + high + scale.units) + (_LEGEND if depth != "none" else len(strip)) + 3
            more = "predicted less actual"
            parts[-1:] = [f"{parts[-1]}, {more}"] if short + len(more) + 2 <= width else [parts[-1], f"{'':<{gutter}}{more}"]
    if found.beyond:
        parts.append(f"values beyond their scale, drawn as its end: {found.beyond}")
    if found.seen:
        parts.append(f"{_TRAINING}: / below tokens that the fit saw")
    return parts


def _names(rows: list[Row]) -> str:
    """Rows by name, a long series by its ends."""
    names = [row.label for row in rows]
    return ", ".join(names) if len(names) < 5 else f"{', '.join(names[:3])} … {names[-1]}"


def _printed(text: str, *, ascii: bool) -> str:
    return "".join(map(_ascii, text)) if ascii else escaped(text)


def _ascii(text: str) -> str:
    return "".join(c if c.isascii() and c.isprintable() else c.encode("unicode_escape").decode() for c in text)
