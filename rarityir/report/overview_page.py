"""An experiment as one HTML page: it needs no network, and its one script sorts, filters, and shows what is chosen."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rarityir.report import overview_pictures as pictures
from rarityir.report import overview_tables as tables
from rarityir.report.overview import Overview
from rarityir.report.overview_data import data, embedded
from rarityir.report.overview_tables import name, text
from rarityir.report.page import document
from rarityir.report.render import caption
from rarityir.types import Json

_HERE = Path(__file__).parent
UNNAMED = "model"  # what the folder of the demo encoder's model is called, which says nothing


def render(found: Overview) -> str:
    """Returns the page; the same overview gives the same bytes."""
    report = found.report
    sections = [
        ("systems", "Systems", _systems(found)),
        ("cost", "Effectiveness against cost", _costs(found)),
        ("topics", "Two systems, topic by topic" if len(report.rows) > 1 else "Topic by topic", _topics(found)),
        ("pairs", "All pairs", _pairs(found)),
        ("widths", "Width", _widths(found)),
        ("spectrum", "What the filters cut", _spectrum(found)),
        ("made", "How this was made", _made(found)),
    ]
    shown = [(key, title, body) for key, title, body in sections if body]
    links = "".join(f'<li><a href="#{key}">{title}</a></li>' for key, title, _ in shown)
    parts = [
        f"<header>\n<h1>{text(report.dataset)}</h1>\n{_lead(found)}\n</header>",
        f'<nav aria-label="Sections"><ul>{links}</ul></nav>',
    ]
    parts += [f'<section id="{key}">\n<h2>{title}</h2>\n{body}\n</section>' for key, title, body in shown]
    parts.append(f'<div id="tip" hidden></div>\n<script type="application/json" id="data">{embedded(data(found))}</script>')
    style, script = ((_HERE / f"overview.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    return document(f"{report.dataset}, {report.encoder}", parts, style, script)


def _lead(found: Overview) -> str:
    """What the table says, in a sentence or two."""
    report, measure = found.report, found.report.measures[0]
    facts = (
        f"encoder {report.encoder} · {_count(len(report.rows), 'system')} · {report.topics:,} topics · cutoff {report.cutoff:,}"
    )
    best = max(report.rows, key=lambda row: row.measures[measure])
    marks = [row.marks.get(measure, "") for row in report.rows if row.name != report.baseline]
    what = f"the best {text(measure)}," if len(report.rows) > 1 else f"a mean {text(measure)} of"
    told = f"{name(best.name)} has {what} <b>{best.measures[measure]:.4f}</b>."
    if marks:
        up, down = marks.count("+"), marks.count("-")
        told += (
            f" Against {name(report.baseline)}, {_count(up, 'system')} {'is' if up == 1 else 'are'} significantly better,"
            f" {down} worse, {len(marks) - up - down} not told apart."
        )
    return f'<p class="quiet">{text(facts)}</p>\n<p class="lead">{told}</p>'


def _systems(found: Overview) -> str:
    report = found.report
    tests = tables.tests(report, found.least)
    notes = "".join(f'<p class="quiet">{text(line)}</p>\n' for line in (caption(report), *report.notes))
    more = f"<details><summary>Every test</summary>\n{tests}\n</details>" if tests else ""
    return (
        '<div class="tools needs-script"><label>Filter <input type="search" id="filter" autocomplete="off" spellcheck="false"'
        ' placeholder="sparse auto" aria-controls="t-systems"></label> <output id="count" for="filter"></output></div>\n'
        f"{tables.systems(report)}\n{notes}{more}"
    )


def _costs(found: Overview) -> str:
    report = found.report
    shown = {
        "bytes per document": pictures.costs(report, "bytes_per_doc", "bytes per document, less is better"),
        "queries per second": pictures.costs(report, "qps", "queries per second, more is better", more=True),
    }
    drawn = "\n".join(
        f"<figure><figcaption>{text(report.measures[0])} over {what}</figcaption>\n{picture}</figure>"
        for what, picture in shown.items()
        if picture
    )
    if not drawn:
        return ""
    note = (
        '<p class="quiet">The line is the Pareto front: no other system is as cheap and better, or as good and cheaper than those'
        " on it. Each mark leads to its row of the table; a number is a system's place by the measure.</p>"
    )
    return f'<div class="pictures">\n{drawn}\n</div>\n{pictures.legend(report)}\n{note}'


def _topics(found: Overview) -> str:
    options = "".join(f'<option value="{i}">{text(row.name)}</option>' for i, row in enumerate(found.report.rows))
    measures = "".join(f'<option value="{i}">{text(m)}</option>' for i, m in enumerate(found.report.measures))
    notes = "".join(f'<p class="quiet">{text(note)}</p>\n' for note in found.rankings.notes)
    both = (
        f'<label>A <select id="a">{options}</select></label> <button type="button" id="swap" aria-label="Swap A and B">⇄</button>'
        f' <label>B <select id="b">{options}</select></label> '
    )
    other = '<p class="quiet">“B: rank 4” says where the other system has a document.</p>\n'
    several = len(found.report.rows) > 1
    return (
        '<noscript><p class="quiet">To choose systems and topics, let this page run its script.</p></noscript>\n'
        f'<div class="needs-script">\n<div class="tools">{both * several}'
        f'<label>measure <select id="m">{measures}</select></label></div>\n'
        '<p id="tally" aria-live="polite"></p>\n<div id="bars"></div>\n'
        '<details id="all"><summary>Every topic as a table</summary>\n'
        '<div class="tools"><label>Filter <input type="search" id="topics-filter" autocomplete="off" spellcheck="false"'
        ' aria-controls="all-topics"></label> <output id="topics-count" for="topics-filter"></output></div>\n'
        '<div id="all-topics"></div></details>\n'
        '<div class="tools"><label>Topic <select id="topic"></select></label></div>\n'
        f'<div id="rankings"></div>\n{other * several}'
        f"{notes}</div>"
    )


def _pairs(found: Overview) -> str:
    report = found.report
    if len(found.compared) < 2:
        return ""
    some = len(found.compared) < len(report.rows)
    which = f"The {len(found.compared)} best systems, the baseline among them" if some else "Systems"
    note = (
        f"{which}, by {report.measures[0]}: the row's mean minus the column's. + and − differ significantly: paired"
        " randomisation test, Holm-corrected over all"
        f" {len(found.pairs):,} pairs, p < {report.alpha:g}; a stricter test than the one against the baseline alone."
        " Each cell leads to the two systems, topic by topic."
    )
    return f'{tables.matrix(found)}\n<p class="quiet">{text(note)}</p>'


def _widths(found: Overview) -> str:
    if not found.sweeps:
        return ""
    report, measure = found.report, found.report.measures[0]
    widths = [width for family in found.sweeps for _, width in family.points]
    names = {name for family in found.sweeps for name, _ in family.points} | {f.reference for f in found.sweeps if f.reference}
    top = max(report[name].measures[measure] for name in names)
    ends = min(widths), max(widths)
    drawn = "\n".join(
        f"<figure><figcaption>{name(f.name)}</figcaption>\n{pictures.sweep(report, f, top, ends)}</figure>" for f in found.sweeps
    )
    broken = " The broken line is the system without that filter." if any(family.reference for family in found.sweeps) else ""
    return (
        f'<div class="pictures small">\n{drawn}\n</div>\n<p class="quiet">{text(measure)} over the width that is stored, on one'
        f" scale.{broken}</p>\n<details><summary>The figures</summary>\n{tables.widths(report, found.sweeps)}\n</details>"
    )


def _spectrum(found: Overview) -> str:
    shown = found.spectrum
    if shown is None:
        return f'<p class="quiet">{text(found.without)}</p>' if found.without else ""
    drawn = "\n".join(
        f"<figure><figcaption>{name(cut.filter)} keeps {sum(cut.kept):.0f} of {len(cut.kept)} directions</figcaption>\n"
        f"{pictures.spectrum(shown, cut)}</figure>"
        for cut in shown.cuts
    )
    some = f" {len(shown.cuts)} of the experiment's {shown.filters} filters." if shown.filters > len(shown.cuts) else ""
    note = (
        f"Singular values of the unembedding of {shown.model}, {shown.vocabulary:,} × {len(shown.values):,}. Shaded: directions"
        f" that a filter drops, as high as the share of them that it drops.{some}"
    )
    read = (
        f"<h3>Topics read as tokens, before and after</h3>\n{tables.tokens(shown)}\n"
        '<p class="quiet">Underlined: also among the tokens of the raw embedding.</p>'
        if shown.written
        else ""
    )
    return (
        f'<div class="pictures">\n{drawn}\n</div>\n<p class="quiet">{text(note)}</p>\n'
        f"<details><summary>What is kept and dropped</summary>\n{tables.zones(shown)}\n</details>\n{read}"
    )


def _made(found: Overview) -> str:
    """Provenance, as far as the folder says it, and what the tests were made with."""
    report, made = found.report, found.provenance
    facts: list[tuple[str, str]] = [("collection", report.dataset)]
    facts += [("documents", _flat(_part(made, "dataset"), ("name", "corpus")))]
    encoder = _part(made, "encoder")
    unnamed = ("model",) if encoder.get("model") == UNNAMED else ()
    facts += [("encoder", ", ".join(filter(None, [report.encoder, _flat(encoder, unnamed)])))]
    tests = f"paired randomisation (seed {report.seed}) and t-test against {report.baseline}"
    facts += [("tests", f"{tests}, Holm-corrected, p < {report.alpha:g}" if len(report.rows) > 1 else "")]
    facts += [("versions", _flat(_part(made, "versions"), ())), ("machine", _flat(_part(made, "machine"), ()))]
    facts += [("date", str(made.get("date", "")))]
    rows = "".join(f"<dt>{key}</dt><dd>{text(value)}</dd>" for key, value in facts if value)
    return f'<dl class="made">{rows}</dl>'


def _part(made: Mapping[str, Json], key: str) -> Mapping[str, Json]:
    found = made.get(key)
    return found if isinstance(found, dict) else {}


def _flat(found: Mapping[str, Json], without: tuple[str, ...]) -> str:
    shown = []
    for key, value in found.items():
        if key not in without and isinstance(value, str | int | float) and value != "":
            shown.append(f"{key} {value[:12] + '…' if isinstance(value, str) and len(value) == 64 else value}")
    return ", ".join(shown)


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"
