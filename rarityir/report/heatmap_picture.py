"""Heat maps as one picture, SVG, PNG or PDF: the text in lines, bars of colour below it, numbers where they fit.

Letters are drawn in the font that matplotlib brings, so that a picture is the same bytes everywhere; a character that the font
lacks is drawn as its escape. Cells stand from left to right in the order of the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rarityir.report import colours
from rarityir.report.heatmap import HeatMap, Row
from rarityir.report.letters import FONT, drawable, width
from rarityir.report.lines import Fragment, lines
from rarityir.report.matching import visible
from rarityir.report.variation import check_picture

_INK, _QUIET, _GROUND = "#1b1b1b", "#595959", "#ffffff"
_WIDTH, _MARGIN, _GUTTER = 540.0, 12.0, 52.0  # points
_TEXT, _LABEL, _FIGURE = 11.5, 7.5, 6.5  # sizes of letters, in points
_LANE, _GAP = 10.0, 1.5
_STRIP, _STEPS = 110.0, 64


def picture(found: Sequence[HeatMap], path: Path, notes: Sequence[str] = ()) -> Path:
    """Draws maps one below the other, then the key to their colours and notes; the same maps give the same bytes."""
    check_picture(path)
    import matplotlib
    from matplotlib.figure import Figure

    room = _WIDTH - 2 * _MARGIN - _GUTTER
    broken = [lines(one, room, lambda text: width(text, _TEXT), _shown) for one in found]
    rows = [(one, _heading(one), len(b), _step(one)) for one, b in zip(found, broken)]
    height = (
        2 * _MARGIN
        + sum(h + n * step + 6 for _, h, n, step in rows)
        + 14 * len(_kinds(found))
        + 14 * (_noted(found) + len(notes))
    )
    with matplotlib.rc_context(
        {"svg.hashsalt": "rarityir", "font.family": FONT, "hatch.linewidth": 0.8, "text.parse_math": False}
    ):
        figure = Figure(figsize=(_WIDTH / 72, height / 72), facecolor=_GROUND)
        axis: Any = figure.add_axes((0, 0, 1, 1))
        axis.set_axis_off()
        axis.set_xlim(0, _WIDTH)
        axis.set_ylim(height, 0)
        top = _MARGIN
        for i, (one, cut) in enumerate(zip(found, broken)):
            top = _map(axis, one, cut, top, f"map{i + 1}") + 6
        _key(axis, found, top, notes)
        path.parent.mkdir(parents=True, exist_ok=True)
        metadata = {"Date": None} if path.suffix == ".svg" else {"CreationDate": None} if path.suffix == ".pdf" else None
        figure.savefig(path, dpi=150, metadata=metadata)
    return path


def _shown(character: str) -> str:
    return "↵" if character == "\n" else drawable(character)


def _step(found: HeatMap) -> float:
    """How far apart a map's lines are."""
    return 1.45 * _TEXT + len(found.rows) * (_LANE + _GAP) + 8


def _heading(found: HeatMap) -> float:
    return 18.0 if found.title else 0.0


def _map(axis: Any, found: HeatMap, broken: Sequence[Sequence[Fragment]], top: float, name: str) -> float:
    """Draws a map's title and lines from `top` on and returns where they end."""
    if found.title:
        axis.text(_MARGIN, top + 9, drawable(visible(found.title)), fontsize=9, color=_QUIET)
        top += _heading(found)
    for line in broken:
        for fragment in line:
            left = _MARGIN + _GUTTER + fragment.left
            axis.text(left, top + _TEXT, fragment.shown, fontsize=_TEXT, color=_INK)
        below = top + 1.45 * _TEXT
        for i, row in enumerate(found.rows):
            _lane(axis, found, line, i, below, name)
            axis.text(_MARGIN, below + 0.75 * _LANE, row.label, fontsize=_LABEL, color=_QUIET)
            below += _LANE + _GAP
        top += _step(found)
    return top


def _lane(axis: Any, found: HeatMap, line: Sequence[Fragment], number: int, top: float, name: str) -> None:
    from matplotlib.patches import Rectangle

    row = found.rows[number]
    for fragment in line:
        cell = found.cells[fragment.cell]
        value = cell.values[number] if cell.values else None
        left, wide = _MARGIN + _GUTTER + fragment.left + fragment.blank, fragment.right - fragment.left - fragment.blank
        if value is None or wide <= 0:
            continue
        ground = _colour(row, value)
        bar = Rectangle((left, top), wide, _LANE, facecolor=colours.hexed(ground), edgecolor=_GROUND, linewidth=0.6)
        bar.set_gid(f"{name}-cell{fragment.cell}-{row.label.replace(' ', '-')}")
        if number == 1 and cell.seen:
            bar.set_hatch("////")
        axis.add_patch(bar)
        shown = _figure(row, value, wide - 3)
        if shown:
            middle, base = left + wide / 2, top + 0.5 * _LANE + 0.36 * _FIGURE
            ink = colours.hexed(colours.ink(ground))
            behind = {"facecolor": colours.hexed(ground), "edgecolor": "none", "pad": 0.4} if bar.get_hatch() else None
            axis.text(middle, base, shown, fontsize=_FIGURE, color=ink, ha="center", bbox=behind)


def _figure(row: Row, value: float, room: float) -> str:
    sign = "+" if row.palette == "error" else ""
    for digits in (1, 0):
        shown = f"{value:{sign}.{digits}f}".replace("-", "−")
        shown = shown.lstrip("+−") if float(shown.replace("−", "-")) == 0 else shown
        if width(shown, _FIGURE) <= room:
            return shown
    return ""


def _colour(row: Row, value: float) -> colours.Colour:
    table = colours.table(row.palette)
    return table[row.scale.level(value, len(table))]


def _kinds(found: Sequence[HeatMap]) -> list[list[Row]]:
    """The rows of all maps by scale, each label once."""
    kinds: dict[tuple[str, float, float], list[Row]] = {}
    for row in (row for one in found for row in one.rows):
        rows = kinds.setdefault((row.palette, row.scale.low, row.scale.high), [])
        rows += [row] * (row.label not in [other.label for other in rows])
    return list(kinds.values())


def _noted(found: Sequence[HeatMap]) -> bool:
    return any(one.seen or one.beyond for one in found)


def _key(axis: Any, found: Sequence[HeatMap], top: float, more: Sequence[str]) -> None:
    """Draws each scale's colours between its ends, and says what hatching and ends stand for."""
    from matplotlib.patches import Rectangle

    left = _MARGIN + _GUTTER
    for rows in _kinds(found):
        row, names = rows[0], [row.label for row in rows]
        scale, error = row.scale, row.palette == "error"
        low, high = (f"{end:{'+' if error else ''}g}".replace("-", "−") for end in (scale.low, scale.high))
        start = left + width(low, _LABEL) + 4
        for i in range(_STEPS):
            shade = colours.hexed(_colour(row, scale.value(i, _STEPS)))
            at = start + i * _STRIP / _STEPS
            axis.add_patch(Rectangle((at, top + 1), _STRIP / _STEPS + 0.2, 7, facecolor=shade, edgecolor="none"))
        said = ", ".join(names) if len(names) < 5 else f"{', '.join(names[:3])} … {names[-1]}"
        said = f"{high} {scale.units}   {said}{', predicted − actual' * error}"
        axis.text(left, top + 7, low, fontsize=_LABEL, color=_QUIET)
        axis.text(start + _STRIP + 4, top + 7, said, fontsize=_LABEL, color=_QUIET)
        top += 14
    beyond = sum(one.beyond for one in found)
    notes = ["hatched: the fit saw the token"] * any(one.seen for one in found)
    notes += [f"values beyond their scale, drawn as its end: {beyond}"] * bool(beyond)
    for note in ["; ".join(notes)] * bool(notes) + list(more):
        axis.text(left, top + 7, drawable(visible(note)), fontsize=_LABEL, color=_QUIET)
        top += 14
