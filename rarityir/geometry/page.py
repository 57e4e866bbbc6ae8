"""A study as one HTML page that needs nothing else: no script, no request, every text escaped."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from rarityir.geometry.cosines import isotropic
from rarityir.geometry.pictures import picture
from rarityir.geometry.tables import TESTS, fifths, percent, shown
from rarityir.report.matching import visible

if TYPE_CHECKING:
    from rarityir.geometry.study import Cell, Example, Study

_STYLE = """
:root{color-scheme:light;--ink:#1b1b1b;--quiet:#595959;--line:#d4d4d4}
*{box-sizing:border-box}body{margin:0;background:#fff;color:var(--ink);font:1rem/1.5 system-ui,sans-serif}
main{max-width:80rem;margin:0 auto;padding:1rem}h1{font-size:1.35rem}h2{font-size:1.1rem;margin:2rem 0 .5rem}
p{max-width:52rem}.quiet,caption{color:var(--quiet)}.scroll{overflow-x:auto}
table{border-collapse:collapse;font-size:.9rem}caption{text-align:left;padding:.3rem 0}
th,td{padding:.2rem .5rem;text-align:left;border-bottom:1px solid var(--line);white-space:nowrap;font-weight:400}
thead th{border-bottom:2px solid var(--ink);font-weight:600}.number{text-align:right;font-variant-numeric:tabular-nums}
bdi{padding:0 .2rem;border-radius:.2rem;margin-right:.2rem;white-space:pre}
.f0{background:#cfe3f2}.f1{background:#e5eff7}.f2{background:#f3f3f3}.f3{background:#fbe5d2}.f4{background:#f5c69d}
figure{margin:0}figure img{max-width:100%;height:auto}summary{cursor:pointer}
"""
_HEAD = """<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<link rel="icon" href="data:,">"""


def page(study: Study) -> str:
    """Returns the page: what was asked, fractions, picture, correlations, neighbours coloured by rarity."""
    body = "\n".join([_summary(study), _fractions(study), _figure(study), _correlations(study), _neighbours(study)])
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n{_HEAD}\n<title>{escape(visible(study.name))}: geometry</title>\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _summary(study: Study) -> str:
    plain = isotropic(study.tokens, study.width, study.k)
    name = escape(visible(study.name))
    return (
        f"<h1>Do the tokens nearest to a direction belong together?</h1>\n<p>{name}: {study.tokens} tokens, "
        f"{study.width} wide, {study.k} nearest to each direction. Isotropic rows of this size would have cosines of standard "
        f"deviation {plain.sd:.4f}, the nearest at {plain.top:.4f}, and {plain.pairs:.4f} between two of the nearest.</p>"
    )


def _fractions(study: Study) -> str:
    kinds = [kind for kind in TESTS if any(kind in cell.tests for cell in study.cells)]
    heads = ["variant", "family", "#directions"]
    for kind in kinds:
        where = f" ({study.channel})" if kind == "cross" and study.channel else ""
        heads += [f"#{TESTS[kind]}{where}", "#p < .05"]
    rows = []
    for cell in study.cells:
        cells = [cell.variant, cell.family, str(cell.directions)]
        for kind in kinds:
            test = cell.tests.get(kind)
            cells += [percent(test.fraction), f"{100 * test.nominal.value:.1f}"] if test else ["", ""]
        rows.append(cells)
    note = (
        '<p class="quiet">Percent of directions with 95% intervals, tested against random sets of tokens as frequent. The other '
        "matrix had no part in choosing the neighbours. One a word: only the nearest spelling of each word counts. Less t²: in "
        "the same space, less what nearness to the direction gives. Beyond moments: the same against neighbours among normal "
        "rows of the same mean and covariance.</p>"
    )
    return f"<h2>Coherent directions</h2>\n{note}\n{_table(heads, rows)}"


def _figure(study: Study) -> str:
    coded = base64.b64encode(picture(study).encode()).decode()
    words = "Cosines with directions beside theory; coherence by family; variance of cosines between clusters"
    return f'<h2>Pictures</h2>\n<figure><img alt="{words}" src="data:image/svg+xml;base64,{coded}"></figure>'


def _correlations(study: Study) -> str:
    rows = [
        [
            name, label, str(len(t.clusters)), f"{t.value:.4f}", f"{t.drawn:.4f} ± {t.error:.4f}", f"{t.adjusted:.4f}",
            f"{t.expected:.4f}", f"{t.p:.3f}", f"{t.between:.2e}", f"{t.within:.2e}",
        ]
        for name, tables in study.correlations.items()
        for label, t in tables.items()
    ]  # fmt: skip
    if not rows:
        return ""
    heads = ["variant", "labels", "#clusters", "#ICC", "#drawn", "#adjusted", "#random labels", "#p", "#between", "#within"]
    return f"<h2>Intra-class correlation of cosines with random directions</h2>\n{_table(heads, rows)}"


def _neighbours(study: Study) -> str:
    fifth = fifths(study)
    parts = ["<h2>Nearest tokens</h2>"]
    if fifth is not None:
        names = ("most frequent fifth of tokens", "second", "third", "fourth", "rarest")
        parts.append("<p>" + " ".join(f'<bdi class="f{i}">{name}</bdi>' for i, name in enumerate(names)) + "</p>")
    for place, cell in enumerate(study.cells):
        state = " open" if not place else ""
        parts.append(f"<details{state}><summary>{escape(cell.variant)} / {escape(cell.family)}</summary>")
        parts += [_block(study, cell, fifth, chosen=False), _block(study, cell, fifth, chosen=True), "</details>"]
    return "\n".join(parts)


def _block(study: Study, cell: Cell, fifth: list[int] | None, *, chosen: bool) -> str:
    caption = "The most coherent ones" if chosen else "As drawn, not chosen"
    lines = [_line(study, example, fifth) for example in cell.examples if example.chosen == chosen]
    head = (
        '<thead><tr><th class="number">#</th><th class="number">z</th><th class="number">cosine</th><th>tokens</th></tr></thead>'
    )
    return f'<div class="scroll"><table><caption>{caption}</caption>{head}<tbody>{"".join(lines)}</tbody></table></div>'


def _line(study: Study, example: Example, fifth: list[int] | None) -> str:
    words = []
    for token_id in example.ids:
        colour = f' class="f{fifth[token_id]}"' if fifth is not None else ""
        words.append(f"<bdi{colour}>{escape(shown(study.token(token_id))[1:-1])}</bdi>")
    numbers = (str(example.number), f"{example.score:.1f}", f"{example.cosines[0]:.2f}")
    cells = "".join(f'<td class="number">{value}</td>' for value in numbers)
    return f"<tr>{cells}<td>{''.join(words)}</td></tr>"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; a head that begins with `#` stands over numbers."""
    kinds = [' class="number"' if head[:1] == "#" else "" for head in heads]
    top = "".join(f"<th{kind}>{escape(head.removeprefix('#'))}</th>" for kind, head in zip(kinds, heads, strict=True))
    body = "\n".join(
        "<tr>" + "".join(f"<td{kind}>{escape(cell)}</td>" for kind, cell in zip(kinds, row, strict=True)) + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'
