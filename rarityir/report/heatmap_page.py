"""Heat maps as one HTML page that needs nothing else: bars of colour under the text, numbers where one points or tabs.

The text flows as text does: a browser breaks it at words, joins its letters and turns what runs from right to left. Each token is
an element that carries its part of the text and its values as data attributes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from html import escape

from rarityir.report import colours
from rarityir.report.heatmap import ERROR, Cell, HeatMap, Row
from rarityir.report.matching import escaped, visible
from rarityir.report.page import document, grid

_STOPS = 17  # places of a scale's colours
_LANE, _GAP = 0.8125, 0.1875  # rem, together 1 and whole pixels: how high a bar is, and what is between two
_MOST_LINES = 300  # lines that are given the rows' names
_PLAIN = "\n\t\u200c\u200d"  # not printed by themselves, and harmless: white space, and what joins or parts letters
_MARKS = {"\n": "↵", "\t": "⇥"}
_STYLE = """
main{max-width:60rem}
.map{position:relative;overflow:hidden;padding-left:5.2rem;margin:.6rem 0}
.text{white-space:pre-wrap;font-size:1.2rem;overflow-wrap:anywhere;unicode-bidi:plaintext}
.names{position:absolute;inset:0 auto 0 0;width:5rem;overflow:hidden;color:var(--quiet);user-select:none;font-size:1.2rem}
.names i{position:relative;font-style:normal;display:inline}
.names b{position:absolute;left:0;white-space:pre;font-weight:400;font-size:.72rem}
.t{outline-offset:1px}.w{background-repeat:no-repeat;box-decoration-break:clone;-webkit-box-decoration-break:clone}
.w,.strip,.sample{print-color-adjust:exact;-webkit-print-color-adjust:exact;forced-color-adjust:none}
.nl::before,.tab::before{content:"↵";color:var(--quiet);font-size:.8em;line-height:0}.tab::before{content:"⇥"}
.code::before{content:attr(data-code);font:.7em/0 ui-monospace,monospace;border:1px solid var(--line);border-radius:.2rem}
.code>span{display:none}
.t:focus{outline:2px solid var(--blue);border-radius:2px}
.t[data-said]:hover::after,.t[data-said]:focus::after{content:attr(data-said);position:fixed;left:.5rem;right:.5rem;bottom:.5rem;
z-index:1;white-space:pre-line;overflow-wrap:anywhere;direction:ltr;padding:.4rem .7rem;font:.9rem/1.45 system-ui,sans-serif;
font-variant-numeric:tabular-nums;background:var(--ink);color:var(--ground);border-radius:.3rem;pointer-events:none}
.text:has(.t:hover) .t:focus:not(:hover)::after{content:none}
@supports (position-area:bottom){
.t:focus{anchor-name:--focused}.t:hover{anchor-name:--pointed}
.t[data-said]:focus::after{position-anchor:--focused}.t[data-said]:hover::after{position-anchor:--pointed}
.t[data-said]:hover::after,.t[data-said]:focus::after{inset:auto;position-area:top;position-try-fallbacks:flip-block;
margin:.3rem .5rem;width:max-content;max-width:min(22rem,calc(100vw - 1rem))}
}
.key{display:grid;grid-template-columns:auto 1fr;gap:.25rem .8rem;align-items:center;font-size:.9rem;margin:.8rem 0}
.key{max-width:36rem}
.key p{margin:0;display:flex;gap:.5rem;align-items:center;font-variant-numeric:tabular-nums}
.key em{font-style:normal;min-width:1.8rem;text-align:right}
.strip{flex:1;min-width:4rem;height:.8rem;background:var(--light)}.sample{display:inline-block;width:2.4rem;height:.8rem}
@media (prefers-color-scheme:dark){.strip{background:var(--dark)}}
.narrow{display:none!important}
@media (max-width:30rem){
.map{padding-left:0}.names{display:none}.key{grid-template-columns:1fr;gap:.1rem}.key p{margin-bottom:.5rem;white-space:nowrap}
.narrow{display:revert!important}.key .narrow{white-space:normal}
}
"""


def render(found: Sequence[HeatMap], title: str, notes: Iterable[str] = ()) -> str:
    """Returns the page of maps that have the same rows: a title, lines of notes, the key to the colours, and the maps."""
    said = "".join(f"<p>{escape(visible(note))}</p>\n" for note in notes)
    parts = [f"<h1>{escape(visible(title))}</h1>\n{said}", _key(found)]
    parts += [_section(one, i) for i, one in enumerate(found)]
    return document(title, parts, _STYLE + _lanes(found[0].rows))


def attribute(label: str) -> str:
    """Returns the name of the data attribute that holds a row's values."""
    return "data-" + re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")


def _section(found: HeatMap, number: int) -> str:
    cells = "".join(_cell(found, cell) for cell in found.cells)
    names = "\n".join(row.label for row in found.rows)
    room = found.text.count("\n") + found.text.count("\r") + len(found.text) // 8 + 2
    lines = f'<div><i class="w">\u200b<b>{escape(names)}</b></i></div>' * min(room, _MOST_LINES)
    return (
        f"<section>\n<h2>{escape(visible(found.title)) or f'Text {number + 1}'}</h2>\n"
        f'<div class="map"><div class="names" aria-hidden="true">{lines}</div><div class="text" dir="auto">{cells}</div></div>\n'
        f'<p class="quiet">{escape(summary(found))}</p>\n{_table(found)}\n</section>'
    )


def summary(found: HeatMap) -> str:
    """Returns how many tokens have values, and how far predictions are off over the text."""
    shown = [cell for cell in found.cells if cell.values]
    parts = [f"{len(shown)} token{'s' * (len(shown) != 1)}"]
    place = next((i for i, row in enumerate(found.rows) if row.label == ERROR), None)
    errors = [] if place is None else [(e, cell) for cell in shown if (e := cell.values[place]) is not None]
    if errors:
        size, mean = sum(abs(e) for e, _ in errors) / len(errors), sum(e for e, _ in errors) / len(errors)
        worst, cell = max(errors, key=lambda pair: abs(pair[0]))
        parts.append(f"mean error {_signed(mean)}, mean absolute error {size:.2f} {found.rows[0].scale.units}")
        parts.append(f"furthest off {escaped(cell.text).strip()!r} by {_signed(worst)}")
    if found.beyond:
        parts.append(f"values beyond their scale, drawn as its end: {found.beyond}")
    return "; ".join(parts)


def _cell(found: HeatMap, cell: Cell) -> str:
    text = cell.text
    core = text.strip() or text
    start = text.index(core)
    before, after = text[:start], text[start + len(core) :]
    facts = {"data-start": str(cell.start), "data-text": _as_json(text)}
    style = []
    if cell.values:
        for i, (row, value) in enumerate(zip(found.rows, cell.values)):
            if value is not None:
                facts[attribute(row.label)] = repr(value)
            light, dark = _colour(row, value, dark=False), _colour(row, value, dark=True)
            style.append(f"--l{i}:{light};--d{i}:{dark}")
        facts["data-said"] = _said(found, cell)
        facts |= {"style": ";".join(style), "tabindex": "0"}
    kind = "t seen" if cell.seen else "t"
    marks = " nl" * (core == "\n") + " tab" * (core == "\t")
    attributes = "".join(f' {name}="{_quoted(value)}"' for name, value in facts.items())
    return f'<span class="{kind}"{attributes}>{_html(before)}<span class="w{marks}">{_html(core)}</span>{_html(after)}</span>'


def _colour(row: Row, value: float | None, *, dark: bool) -> str:
    if value is None:
        return "transparent"
    table = colours.table(row.palette, dark=dark)
    return colours.hexed(table[row.scale.level(value, len(table))])


def _said(found: HeatMap, cell: Cell) -> str:
    """What is said of a cell where one points at it: the token's values, and those of each piece where it has several."""
    lines = [f"“{''.join(_MARKS.get(c, escaped(c)) for c in cell.text)}”", *_numbers(found.rows, cell.values)]
    lines += ["seen by the fit"] * cell.seen
    lines += [escaped(cell.shown.note)] if cell.shown and cell.shown.note else []
    if len(cell.pieces) > 1:
        lines.append(f"{len(cell.pieces)} tokens, of which the rarest is drawn:")
        for piece in cell.pieces:
            lines.append(f"{escaped(piece.form)}  {', '.join(_numbers(found.rows, piece.values))}")
    return "\n".join(lines)


def _numbers(rows: Sequence[Row], values: Sequence[float | None]) -> list[str]:
    return [
        f"{row.label} {'–' if v is None else _number(row, v)}{f' {row.scale.units}' * (i == 0)}"
        for i, (row, v) in enumerate(zip(rows, values))
    ]


def _number(row: Row, value: float) -> str:
    return _signed(value) if row.palette == "error" else f"{value:.2f}".replace("-", "−")


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


def _key(found: Sequence[HeatMap]) -> str:
    """The scales, each with the rows it is of, and what the hatching says."""
    kinds: dict[tuple[str, float, float], list[Row]] = {}
    for one in found:
        for row in one.rows:
            rows = kinds.setdefault((row.palette, row.scale.low, row.scale.high), [])
            rows += [row] * (row.label not in [other.label for other in rows])
    order = ", ".join(escape(row.label) for row in found[0].rows)
    parts = [f'<span class="narrow">bars, from the top</span><p class="narrow">{order}</p>']
    for rows in kinds.values():
        row, names = rows[0], [row.label for row in rows]
        shown = ", ".join(names) if len(names) < 5 else f"{', '.join(names[:3])} … {names[-1]}"
        ramps = [_ramp(row.palette, dark=dark) for dark in (False, True)]
        style = ";".join(f"--{name}:linear-gradient(to right,{ramp})" for name, ramp in zip(("light", "dark"), ramps))
        error = row.palette == "error"
        low, high = (f"{end:{'+' if error else ''}g}".replace("-", "−") for end in (row.scale.low, row.scale.high))
        ends = f'<em>{low}</em><span class="strip" style="{style}"></span>{high} {escape(row.scale.units)}'
        parts.append(f"<span>{escape(shown)}{', predicted − actual' * error}</span><p>{ends}</p>")
    if any(one.seen for one in found):
        parts.append('<span>hatched</span><p><span class="sample"></span>a token that the fit saw</p>')
    return f'<div class="key">{"".join(parts)}</div>'


def _ramp(palette: str, *, dark: bool) -> str:
    """A table's colours as the stops of a gradient, each exactly where it belongs: between them a browser draws the table."""
    table = colours.table(palette, dark=dark)
    last = len(table) - 1
    levels = [round(i * last / (_STOPS - 1)) for i in range(_STOPS)]
    return ",".join(f"{colours.hexed(table[at])} {100 * at / last:.3f}%" for at in levels)


def _lanes(rows: Sequence[Row]) -> str:
    """Rules that draw the rows below each word, the first highest, and hatch the second where a fit saw the token."""
    count = len(rows)
    depth = count * (_LANE + _GAP)
    below = [(count - 1 - i) * (_LANE + _GAP) for i in range(count)]
    ramps = [f"linear-gradient(var(--c{i}),var(--c{i}))" for i in range(count)]
    hatch = "repeating-linear-gradient(135deg,var(--ground) 0 1.5px,transparent 1.5px 5px)"
    drawn = [f"left 0 bottom {bottom:.2f}rem" for bottom in below]
    second = min(1, count - 1)
    edge = "linear-gradient(to right,var(--ground) 1px,transparent 1px)"  # parts the tokens of a word, and leaves letters alone
    layers = {"t": [edge, *ramps], "seen": [edge, hatch, *ramps]}
    at = {"t": ["left bottom", *drawn], "seen": ["left bottom", drawn[second], *drawn]}
    light, dark = (";".join(f"--c{i}:var(--{name}{i},transparent)" for i in range(count)) for name in "ld")
    rules = [
        f".t{{{light}}}@media (prefers-color-scheme:dark){{.t{{{dark}}}}}",
        f".text,.names{{line-height:{depth + 2.1:.2f}rem;margin-top:-{depth / 2:.2f}rem}}",
        f".text{{padding-bottom:{depth / 2 + 0.3:.2f}rem}}",
        f".w{{padding-bottom:{depth + 0.1:.2f}rem}}",
        f".sample{{background:{hatch},var(--quiet)}}.names b{{bottom:0;line-height:{_LANE + _GAP:.2f}rem}}",
    ]
    for kind, drawing in layers.items():
        size = ",".join([f"100% {depth:.2f}rem", *[f"100% {_LANE}rem"] * (len(drawing) - 1)])
        rules.append(
            f".{kind}>.w{{background-image:{','.join(drawing)};background-position:{','.join(at[kind])};background-size:{size}}}"
        )
    return "\n".join(rules) + "\n"


def _table(found: HeatMap) -> str:
    """The numbers as a table, behind a click."""
    heads = ["token", "of the vocabulary", *(f"#{row.label}" for row in found.rows)]
    heads += ["seen"] * found.seen
    noted = any(piece.note for cell in found.cells for piece in cell.pieces)
    heads += ["note"] * noted
    rows = []
    for cell in found.cells:
        if not cell.values:
            continue
        forms = " ".join(escaped(piece.form) for piece in cell.pieces)
        numbers = ["–" if v is None else _number(row, v) for row, v in zip(found.rows, cell.values)]
        cells = f"<td>{escape(forms)}</td>" + "".join(f'<td class="number">{n}</td>' for n in numbers)
        cells += f"<td>{'seen' if cell.seen else ''}</td>" * found.seen
        cells += f"<td>{escape(escaped(cell.shown.note)) if cell.shown else ''}</td>" * noted
        rows.append(f'<tr><th scope="row"><bdi>{escape(escaped(cell.text)).strip()}</bdi></th>{cells}</tr>')
    return f"<details><summary>The numbers</summary>\n{grid('Each token, in the order of the text', heads, rows)}\n</details>"


def _html(text: str) -> str:
    """A text in which what could act, such as a mark of direction, is shown as its escape and kept where it is not drawn."""
    return "".join(_coded(c) if not c.isprintable() and c not in _PLAIN else escape(c) for c in text)


def _coded(character: str) -> str:
    """A character behind its escape; a page can hold no NUL and no half of a surrogate pair."""
    kept = (
        "\ufffd" if character == "\0" or not _encodes(character) else f"&#{ord(character)};" if character == "\r" else character
    )
    return f'<span class="code" data-code="{escaped(character)}"><span>{kept}</span></span>'


def _as_json(text: str) -> str:
    """A text as a JSON string in which what is not printed is an escape: it reads back as exactly that text."""
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in json.dumps(text, ensure_ascii=False))


def _encodes(text: str) -> bool:
    return not any("\ud800" <= c <= "\udfff" for c in text)


def _quoted(text: str) -> str:
    return escape(text).replace("\n", "&#10;")
