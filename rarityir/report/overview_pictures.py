"""Pictures of an experiment as SVG that follows the page's light or dark: costs, sweeps of width, the spectrum.

Their letters keep their size on a narrow screen because the pictures themselves are small, and stand side by side on a wide one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from itertools import pairwise
from typing import NamedTuple

from rarityir.report.matching import visible
from rarityir.report.model import Report, Row
from rarityir.report.overview import Cut, Spectrum, Sweep, front, priced
from rarityir.report.overview_tables import name as code
from rarityir.report.render import cost as shown_cost

WIDE, HIGH = 380, 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 38, 12, 12, 38
_LETTER = 6.4  # how wide a letter of a label is, about
Point = tuple[float, float]
Box = tuple[float, float, float, float]  # left, top, right, bottom
At = Callable[[float], float]
Ticks = list[tuple[float, str]]
_MOST_NAMES = 24  # marks of a picture; of more, the front's alone have names
_MOST_BINS = 256  # of a spectrum's width
SHAPES = {"dense": "circle", "sparse": "triangle", "bm25": "square", "fused": "diamond", "other": "cross"}


class Named(NamedTuple):
    """A mark, its system, and the system's place by the measure."""

    at: Point
    name: str
    number: int


def kind(name: str) -> str:
    """Returns what a system is drawn as, by its name: an engine's, as `milvus:sparse:64`, by what it holds."""
    index = name.partition("+")[0]
    return "fused" if name.endswith(")") else next((k for k in ("dense", "sparse", "bm25") if k in index), "other")


def costs(report: Report, name: str, title: str, *, more: bool = False) -> str:
    """Returns the first measure of every system over one of its costs; `more` where a larger cost is the better one.

    Marks that have no room for their names have numbers, the systems' places by the measure, and names in a key below.
    """
    rows, measure = priced(report, name), report.measures[0]
    if len(rows) < 2:
        return ""
    xs, ys = [float(row.cost[name]) for row in rows], [row.measures[measure] for row in rows]
    best = front([(-x if more else x, y) for x, y in zip(xs, ys, strict=True)])
    x_at, x_ticks = _logarithmic(xs, _LEFT, WIDE - _RIGHT)
    y_at, y_ticks = _linear(max(ys), HIGH - _BOTTOM, _TOP)
    points = [(x_at(x), y_at(y)) for x, y in zip(xs, ys, strict=True)]
    stairs = _stairs([points[i] for i in best])
    drawn = " ".join(f"{_n(x)},{_n(y)}" for x, y in stairs)
    marks = [_mark(report, row, points[i], name, on=i in best) for i, row in enumerate(rows)]
    order = sorted(range(len(rows)), key=lambda i: (i not in best, -ys[i]))
    ranks = {row.name: i for i, row in enumerate(sorted(report.rows, key=lambda row: -row.measures[measure]), start=1)}
    wanted = [Named(points[i], rows[i].name, ranks[rows[i].name]) for i in order]
    labels, numbered = _labels(wanted, len(rows) if len(rows) <= _MOST_NAMES else len(best), points, stairs)
    axes = _axes(x_ticks, y_ticks, title)
    told = f"{measure} over {title}: {len(rows)} systems, {len(best)} of them on the Pareto front"
    picture = _svg("cost", WIDE, HIGH, told, [axes, f'<polyline class="front" points="{drawn}"/>', *marks, labels])
    return picture + _key(numbered)


def sweep(report: Report, family: Sweep, top: float, widths: tuple[float, float]) -> str:
    """Returns the first measure over the width of one family, the system without that part as a broken line."""
    measure, wide, high = report.measures[0], 240, 170
    x_at, x_ticks = _logarithmic([*widths], _LEFT, wide - _RIGHT, base=2)
    y_at, y_ticks = _linear(top, high - _BOTTOM, _TOP)
    rows = [(report[name], width) for name, width in family.points]
    points = [(x_at(width), y_at(row.measures[measure])) for row, width in rows]
    parts = [_axes(x_ticks, y_ticks, "width", wide, high)]
    if family.reference:
        value = report[family.reference].measures[measure]
        y = _n(y_at(value))
        parts.append(f'<line class="without" x1="{_LEFT}" x2="{wide - _RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(_label((wide - _RIGHT, y_at(value) - 4), family.reference, "end", "quiet"))
    parts.append(f'<polyline class="line" points="{" ".join(f"{_n(x)},{_n(y)}" for x, y in points)}"/>')
    for (row, width), at in zip(rows, points, strict=True):
        said = f"{row.name}\nwidth {width:,}\n{measure} {row.measures[measure]:.4f}{_signed(row.marks.get(measure, ''))}"
        parts.append(_link(report, row, said, _shape("circle", at), on=True))
    told = f"{measure} of {family.name} at {len(rows)} widths"
    return _svg("sweep", wide, high, told, parts)


def spectrum(found: Spectrum, cut: Cut) -> str:
    """Returns the singular values by rank, shaded where a filter drops directions, as high as the share it drops."""
    wide, high = WIDE, 190
    count = len(found.values)
    low = min((v for v in found.values if v > 0), default=1.0)
    y_at, y_ticks = _logarithmic([low, max(found.values)], high - _BOTTOM, _TOP)

    def x_at(rank: float) -> float:
        return _LEFT + rank / count * (wide - _RIGHT - _LEFT)

    edges = [round(i * count / min(count, _MOST_BINS)) for i in range(min(count, _MOST_BINS) + 1)]
    line = " ".join(f"{_n(x_at(i + 0.5))},{_n(y_at(max(found.values[i], low)))}" for i in sorted({*edges[:-1], count - 1}))
    x_ticks = [(x_at(rank), f"{rank:,}") for rank in (0, count // 4, count // 2, 3 * count // 4, count)]
    parts = [_axes(x_ticks, y_ticks, "direction, by falling singular value", wide, high)]
    path = _shaded(cut.kept, edges, x_at, high)
    parts += [f'<path class="cut" d="{path}"/>'] if path else []
    parts.append(f'<polyline class="line" points="{line}"/>')
    kept = sum(cut.kept)
    return _svg("spectrum", wide, high, f"{cut.filter} keeps {kept:.0f} of {count} directions of {found.model}", parts)


def _shaded(kept: Sequence[float], edges: Sequence[int], x_at: At, high: int) -> str:
    """The bands of directions that are dropped, each as high as the share of them; bands of one height are one."""
    base, path = high - _BOTTOM, ""
    bands: list[tuple[int, int, float]] = []
    for start, stop in pairwise(edges):
        dropped = round(1 - sum(kept[start:stop]) / (stop - start), 2)
        if bands and bands[-1][2] == dropped:
            bands[-1] = (bands[-1][0], stop, dropped)
        else:
            bands.append((start, stop, dropped))
    for start, stop, dropped in bands:
        if dropped > 0:
            path += f"M{_n(x_at(start))} {base}V{_n(base - dropped * (base - _TOP))}H{_n(x_at(stop))}V{base}z"
    return path


def legend(report: Report) -> str:
    """Returns what the shapes stand for, of those that are drawn."""
    used = [k for k in SHAPES if k in {kind(row.name) for row in report.rows}]
    shapes = "".join(f'<li><svg viewBox="0 0 14 14" aria-hidden="true">{_shape(SHAPES[k], (7, 7))}</svg>{k}</li>' for k in used)
    filled = f'<svg viewBox="0 0 14 14" aria-hidden="true">{_shape("circle", (7, 7))}</svg>'
    return f'<ul class="legend">{shapes}<li class="on">{filled}filled: on the Pareto front</li></ul>'


def _mark(report: Report, row: Row, at: Point, cost: str, *, on: bool) -> str:
    measure = report.measures[0]
    unit = {"bytes_per_doc": "bytes a document", "qps": "queries a second"}[cost]
    said = f"{row.name}\n{measure} {row.measures[measure]:.4f}{_signed(row.marks.get(measure, ''))}"
    said += f"\n{shown_cost(cost, row.cost[cost])} {unit}" + "\non the Pareto front" * on
    return _link(report, row, said, _shape(SHAPES[kind(row.name)], at), on=on)


def _link(report: Report, row: Row, said: str, shape: str, *, on: bool) -> str:
    """A mark that says what it is where one points or tabs, and leads to its row of the table."""
    place = list(report.rows).index(row)
    told = escape("\n".join(visible(line) for line in said.split("\n"))).replace("\n", "&#10;")
    name = escape(", ".join(visible(line) for line in said.split("\n")))
    return f'<a href="#s{place}" class="mark{" on" * on}" data-said="{told}" aria-label="{name}">{shape}</a>'


def _shape(shape: str, at: Point) -> str:
    x, y = at
    if shape == "circle":
        return f'<circle cx="{_n(x)}" cy="{_n(y)}" r="4.5"/>'
    paths = {"square": "M-4-4h8v8h-8z", "diamond": "M0-5.8 5.8 0 0 5.8-5.8 0z", "triangle": "M0-5.4 5.2 3.8h-10.4z"}
    paths["cross"] = "M-4-4 4 4M4-4-4 4"
    return f'<path d="{paths[shape]}" transform="translate({_n(x)} {_n(y)})"/>'


def _stairs(front: Sequence[Point]) -> list[Point]:
    """What the front's systems reach at every cost: level until the next one is paid for."""
    return [front[0], *(at for (_, y), (x, up) in pairwise(front) for at in ((x, y), (x, up)))]


def _labels(wanted: Sequence[Named], named: int, points: Sequence[Point], line: Sequence[Point]) -> tuple[str, list[Named]]:
    """Names beside their marks, of the first so many, where they meet nothing; the others have numbers, and are returned."""
    taken = [_around(at, 7, 7) for at in points]
    edges = [(min(x, to) - 1, min(y, down) - 1, max(x, to) + 1, max(y, down) + 1) for (x, y), (to, down) in pairwise(line)]
    found, left = [], list(wanted[named:])
    for one in wanted[:named]:
        (x, y), shown = one.at, visible(one.name)
        places = [(x + 9, y + 4, "start"), (x - 9, y + 4, "end"), (x, y - 11, "middle"), (x, y + 17, "middle")]
        places += [(x + side, y + by, anchor) for by in (-11, 17) for side, anchor in ((4, "start"), (-4, "end"))]
        others = [_around(at, 13, 8) for at in points if at != one.at]  # so that a name is beside no other mark
        for place in places:
            box = _box(place, shown)
            if _inside(box) and not any(_meet(box, other) for other in (*taken, *edges, *others)):
                taken.append(box)
                found.append(_label(place[:2], one.name, place[2], "name"))
                break
        else:
            left.append(one)
    found += [_number(one, taken, edges) for one in left]
    return "".join(found), sorted(left, key=lambda one: one.number)


def _number(one: Named, taken: list[Box], edges: Sequence[Box]) -> str:
    """A mark's number, as near to it as there is room, with a line to it from further off; over what is there where none is."""
    (x, y), shown = one.at, str(one.number)
    far = [(r, math.radians(turn)) for r in (13, 19, 26, 35, 44, 55, 70, 86, 105, 127) for turn in range(0, 360, 15)]
    centres = [(x + r * math.cos(turn), y - r * math.sin(turn)) for r, turn in far]
    chosen = centres[0]
    for centre in centres:
        box = _box((centre[0], centre[1] + 4, "middle"), shown)
        way = [(x + share * (centre[0] - x), y + share * (centre[1] - y)) for share in (0.5, 0.65, 0.8)]
        others = [other for other in taken if not (other[0] < x < other[2] and other[1] < y < other[3])]
        free = not any(_meet(box, other) for other in (*taken, *edges))
        if _inside(box) and free and not any(_meet((*at, *at), other) for at in way for other in (*others, *edges)):
            chosen = centre
            break
    taken.append(_box((chosen[0], chosen[1] + 4, "middle"), shown))
    away = math.dist(chosen, one.at)
    start, stop = ((x + (chosen[0] - x) * part, y + (chosen[1] - y) * part) for part in (6 / away, 1 - 7 / away))
    lead = f'<line class="leader" x1="{_n(start[0])}" y1="{_n(start[1])}" x2="{_n(stop[0])}" y2="{_n(stop[1])}"/>'
    return lead * (away > 14) + _label((chosen[0], chosen[1] + 4), shown, "middle", "name")


def _key(numbered: Sequence[Named]) -> str:
    """The names that stand for the numbers of a picture."""
    items = "".join(f"<li><b>{one.number}</b> {code(one.name)}</li>" for one in numbered)
    return f'\n<ol class="key">{items}</ol>' if items else ""


def _box(place: tuple[float, float, str], shown: str) -> Box:
    """What a label takes of a picture."""
    left, base, anchor = place
    wide = len(shown) * _LETTER
    start = left - {"start": 0.0, "middle": wide / 2, "end": wide}[anchor]
    return start, base - 9, start + wide, base + 3


def _around(at: Point, wide: float, high: float) -> Box:
    return at[0] - wide, at[1] - high, at[0] + wide, at[1] + high


def _inside(box: Box) -> bool:
    return box[0] > _LEFT and box[2] < WIDE and box[1] > 0 and box[3] < HIGH - _BOTTOM


def _meet(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _label(at: Point, text: str, anchor: str, style: str) -> str:
    return f'<text class="{style}" x="{_n(at[0])}" y="{_n(at[1])}" text-anchor="{anchor}">{escape(visible(text))}</text>'


def _axes(
    x_ticks: Sequence[tuple[float, str]],
    y_ticks: Sequence[tuple[float, str]],
    below: str,
    wide: int = WIDE,
    high: int = HIGH,
) -> str:
    base, parts = high - _BOTTOM, []
    for y, text in y_ticks:
        parts.append(f'<line class="rule" x1="{_LEFT}" x2="{wide - _RIGHT}" y1="{_n(y)}" y2="{_n(y)}"/>')
        parts.append(_label((_LEFT - 6, y + 4), text, "end", "tick"))
    parts.append(f'<line class="axis" x1="{_LEFT}" x2="{wide - _RIGHT}" y1="{base}" y2="{base}"/>')
    for x, text in x_ticks:
        parts.append(f'<line class="axis" x1="{_n(x)}" x2="{_n(x)}" y1="{base}" y2="{base + 4}"/>')
        parts.append(_label((x, base + 16), text, "middle", "tick"))
    parts.append(_label(((wide - _RIGHT + _LEFT) / 2, high - 4), below, "middle", "axis-name"))
    return "".join(parts)


def _logarithmic(values: Sequence[float], start: float, stop: float, base: int = 10) -> tuple[At, Ticks]:
    """Where values stand on a logarithmic axis with room at both ends, and its ticks."""
    low, high = math.log10(min(values)), math.log10(max(values))
    room = max(high - low, 0.3) * 0.08
    low, high = low - room, high + room

    def at(value: float) -> float:
        return start + (math.log10(value) - low) / (high - low) * (stop - start)

    if base == 2:
        exact = sorted(2**e for e in range(40) if low <= math.log10(2**e) <= high)
    else:
        steps = (1, 2, 5) if high - low < 2 else (1, 3) if high - low < 3 else (1,)
        close = (1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9)
        for some in (steps, close, [i / 10 for i in range(10, 100)]):
            exact = [s * 10**e for e in range(-3, 13) for s in some if low <= math.log10(s * 10**e) <= high]
            if len(exact) > 1:
                break
    return at, [(at(v), _thousands(v)) for v in exact]


def _linear(top: float, start: float, stop: float) -> tuple[At, Ticks]:
    """Where values from 0 stand on a linear axis, and its ticks: at most five steps of 1, 2 or 5 times a power of ten."""
    step = next(s for e in range(-2, 307) for s in (2 * 10.0**e, 5 * 10.0**e, 10.0 ** (e + 1)) if top / s <= 5)
    end = max(step, math.ceil(top / step - 1e-9) * step)
    count = round(end / step)

    def at(value: float) -> float:
        return start + value / end * (stop - start)

    return at, [(at(i * step), _thousands(i * step)) for i in range(count + 1)]


def _thousands(value: float) -> str:
    for size, sign in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if value >= size and value % (size / 1000) == 0 and value >= 10_000:
            return f"{value / size:g}{sign}"
    return f"{value:,g}"


def _signed(mark: str) -> str:
    return {"+": " (significantly better)", "-": " (significantly worse)"}.get(mark, "")


def _svg(name: str, wide: int, high: int, told: str, parts: Sequence[str]) -> str:
    body = "\n".join(part for part in parts if part)
    label = escape(visible(told))
    return f'<svg class="{name}" viewBox="0 0 {wide} {high}" role="group" aria-label="{label}">\n{body}\n</svg>'


def _n(value: float) -> str:
    """A coordinate, to a tenth."""
    return f"{value:.1f}".removesuffix(".0")
