"""Tables of an experiment's page: systems, their tests, pairs, sweeps, tokens before and after a filter."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from rarityir.report.matching import visible
from rarityir.report.model import Report, Row
from rarityir.report.overview import Overview, Pair, Spectrum, Sweep, at_least
from rarityir.report.render import HEADS, cost

MOST_FIGURES = 12  # systems whose pairs are shown as figures; of more, as signs
_SIGNS = {"+": ("up", "+", "significantly better"), "-": ("down", "−", "significantly worse")}


def systems(report: Report) -> str:
    """Returns the comparison table: a row a system, the best of a column in bold, marks of what differs from the baseline."""
    heads = [head("system"), *(head(m, number=True) for m in report.measures)]
    heads += [head(f"of {report.share_of}", number=True)] if report.share_of else []
    heads += [head(HEADS[c], number=True) for c in report.costs]
    rows = []
    for i, row in enumerate(report.rows):
        base = ' <small class="quiet">baseline</small>' if row.name == report.baseline else ""
        cells = [f'<th scope="row" data-v="{text(row.name)}">{name(row.name)}{base}</th>']
        cells += [_measure(report, row, m) for m in report.measures]
        cells += [_share(row)] if report.share_of else []
        cells += [number(cost(c, row.cost.get(c)), row.cost.get(c)) for c in report.costs]
        rows.append(f'<tr id="s{i}" tabindex="-1">{"".join(cells)}</tr>')
    return table("Systems", heads, rows, "systems", told=False)


def tests(report: Report, least: float) -> str:
    """Returns every test against the baseline: the difference and p-values as they are, and corrected.

    Those of the randomisation test that are the `least` it can give are bounds.
    """
    heads = [head("system"), head("measure"), head("difference", number=True)]
    heads += [head(h, number=True) for h in ("p, t-test", "Holm", "p, randomisation", "Holm")]
    rows = []
    for row in report.rows:
        for measure, found in row.tests.items():
            cells = [f'<th scope="row" data-v="{text(row.name)}">{name(row.name)}</th><td>{text(measure)}</td>']
            cells.append(number(signed(found["difference"]), found["difference"]))
            bound = at_least(found["fisher"], least)
            cells += [number(p_value(found[p]), found[p]) for p in ("t", "t_holm")]
            cells += [number(p_value(found[p], bound=bound), found[p]) for p in ("fisher", "fisher_holm")]
            rows.append(f"<tr>{''.join(cells)}</tr>")
    if not rows:
        return ""
    bounds = any(at_least(found["fisher"], least) for row in report.rows for found in row.tests.values())
    shown = table(f"Against {report.baseline}", heads, rows, "tests")
    if bounds:
        shown += f'\n<p class="quiet">≤: none of {1 / least - 1:,.0f} permutations was as extreme; p may be smaller.</p>'
    return shown


def matrix(found: Overview) -> str:
    """Returns all pairs of systems: the row's mean minus the column's, marked where it is significant."""
    report, names = found.report, list(found.compared)
    known = {(p.one, p.other): p for p in found.pairs}
    known |= {(p.other, p.one): Pair(p.other, p.one, -p.difference, p.p, p.least) for p in found.pairs}
    at = {row.name: i for i, row in enumerate(report.rows)}
    columns = "".join(f'<th scope="col"><abbr title="{text(n)}">{i + 1}</abbr></th>' for i, n in enumerate(names))
    rows = []
    for i, one in enumerate(names):
        cells = "".join(
            '<td class="self"></td>' if one == other else _pair(report, known[one, other], at, figures=len(names) <= MOST_FIGURES)
            for other in names
        )
        rows.append(f'<tr><th scope="row"><span class="place">{i + 1}</span> {name(one)}</th>{cells}</tr>')
    body = "\n".join(rows)
    label = f"{report.measures[0]}: the row's mean minus the column's"
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="All pairs">\n<table class="matrix">\n'
        f'<caption class="said">{text(label)}</caption>\n<thead><tr><td></td>{columns}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody>\n</table>\n</div>"
    )


def widths(report: Report, families: Sequence[Sweep]) -> str:
    """Returns the figures of all sweeps."""
    heads = [head("family"), head("system"), head("width", number=True), head(report.measures[0], number=True)]
    rows = []
    for family in families:
        for system, width in family.points:
            cells = f'<td data-v="{text(family.name)}">{name(family.name)}</td>'
            cells += f'<th scope="row" data-v="{text(system)}">{name(system)}</th>'
            cells += number(f"{width:,}", width) + _measure(report, report[system], report.measures[0])
            rows.append(f"<tr>{cells}</tr>")
    return table("Sweeps of width", heads, rows, "widths")


def tokens(found: Spectrum) -> str:
    """Returns some topics' best aligned tokens, raw and through each filter; those that are among the raw ones are marked."""
    parts = []
    for one in found.written:
        rows = [_tokens("raw", one.raw, ())]
        rows += [_tokens(cut.filter, words, one.raw) for cut, words in zip(found.cuts, one.filtered, strict=True)]
        label = f"Topic {one.query_id}: {one.text}"
        parts.append(table(label, [head("read"), head("best aligned tokens")], rows, "", sortable=False, kind="read"))
    return "\n".join(parts)


def zones(found: Spectrum) -> str:
    """Returns what each filter keeps and drops: ranks, the share of the unembedding's energy, words written there."""
    heads = [head("filter"), head("ranks"), head("kept", number=True), head("energy", number=True), head("words written there")]
    rows = []
    for cut in found.cuts:
        for ranks, kept, energy, written in cut.zones:
            words = " ".join(f'<bdi class="token">{text(word.strip() or repr(word))}</bdi>' for word in written)
            cells = f'<th scope="row">{name(cut.filter)}</th><td>{text(ranks.replace("-", "–"))}</td>'
            cells += number(f"{kept:.0%}", kept) + number(f"{energy:.1%}", energy) + f'<td class="wrap">{words}</td>'
            rows.append(f"<tr>{cells}</tr>")
    return table("Directions kept and dropped", heads, rows, "zones")


def table(
    caption: str, heads: Sequence[str], rows: Iterable[str], key: str, *, kind: str = "", sortable: bool = True, told: bool = True
) -> str:
    """Returns a table in a frame that scrolls sideways where there is no room; the page's script sorts it where it may.

    A caption that is not `told` is for those who listen: who looks has just read it as a heading.
    """
    body = "\n".join(rows)
    facts = f' id="t-{key}"' * bool(key) + f' class="{kind}"' * bool(kind) + " data-sortable" * sortable
    heard = "" if told else ' class="said"'
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{text(caption)}">\n<table{facts}>\n'
        f"<caption{heard}>{text(caption)}</caption>\n<thead><tr>{''.join(heads)}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n</div>"
    )


def head(title: str, *, number: bool = False) -> str:
    """Returns a column's head."""
    kind = ' class="number"' if number else ""
    return f'<th scope="col"{kind}>{text(title)}</th>'


def number(shown: str, value: Any) -> str:
    """Returns a cell of a figure, with the value that it is sorted by; an absent one has none."""
    held = f' data-v="{value!r}"' if isinstance(value, int | float) else ""
    return f'<td class="number"{held}>{text(shown)}</td>'


def name(system: str) -> str:
    """Returns a system's name as it is written; it may break after what joins its parts."""
    shown = text(system)
    for letter in "+(,":
        shown = shown.replace(letter, f"{letter}<wbr>")
    return f"<code><bdi>{shown}</bdi></code>"


def signed(value: float) -> str:
    """Returns a difference with its sign."""
    return f"{value:+.4f}".replace("-", "−")


def brief(value: float) -> str:
    """Returns a difference in three decimals for a cell that has little room: +.123, and +1.235 where it is above 1."""
    shown = f"{value:+.3f}".replace("-", "−")
    return shown[0] + shown[1:].removeprefix("0")


def p_value(value: float, *, bound: bool = False) -> str:
    """Returns a p-value in four digits; one below them, and one that is a bound, as such."""
    return f"{'≤ ' * bound}{value:.4f}" if value >= 0.0001 else "< 0.0001"


def text(shown: str) -> str:
    """Returns a text as HTML, with nothing in it that acts."""
    return escape(visible(shown))


def _measure(report: Report, row: Row, measure: str) -> str:
    """A mean with its mark; the mark has a place of its own, so that figures stand below each other."""
    value = row.measures[measure]
    shown = f"<b>{value:.4f}</b>" if round(value, 4) == report.best(measure) else f"{value:.4f}"
    if (mark := row.marks.get(measure, "")) in _SIGNS:
        style, sign, said = _SIGNS[mark]
        shown += f'<span class="sign {style}" aria-hidden="true">{sign}</span><span class="said"> ({said})</span>'
    else:
        shown += '<span class="sign" aria-hidden="true"></span>'
    return f'<td class="number" data-v="{value!r}">{shown}</td>'


def _share(row: Row) -> str:
    if row.share is None:
        return number("–", None)
    value, low, high = row.share
    return f'<td class="number" data-v="{value!r}">{value:.2f} <small class="quiet">{low:.2f}–{high:.2f}</small></td>'


def _pair(report: Report, pair: Pair, at: dict[str, int], *, figures: bool) -> str:
    mark = ("+" if pair.difference > 0 else "-") if pair.p < report.alpha else ""
    style, sign, said = _SIGNS.get(mark, ("", "·", "not told apart"))
    told = f"{pair.one} − {pair.other}\n{signed(pair.difference)}, p {p_value(pair.p, bound=pair.least)}\n{said}"
    shown = brief(pair.difference) if figures else sign
    shown += sign if figures and mark else ""
    link = f"#a={at[pair.one]}&amp;b={at[pair.other]}"
    tip = "&#10;".join(text(line) for line in told.split("\n"))
    label = text(told.replace("\n", ", "))
    return f'<td class="{style}" data-p="{pair.p!r}"><a href="{link}" data-said="{tip}" aria-label="{label}">{shown}</a></td>'


def _tokens(way: str, words: Sequence[str], raw: Sequence[str]) -> str:
    shown = []
    for word in words:
        same, heard = (' class="same"', '<span class="said"> (as raw)</span>') if word in raw else ("", "")
        shown.append(f"<li{same}><bdi>{text(word)}</bdi>{heard}</li>")
    return f'<tr><th scope="row">{name(way)}</th><td class="wrap"><ul class="tokens">{"".join(shown)}</ul></td></tr>'
