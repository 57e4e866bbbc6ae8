"""Readings and matches as one HTML page that needs nothing else: no script, no request, every text escaped."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from html import escape

from rarityir.report.matching import Column, Instructed, Match, Pair, Reading, Score, Word, visible
from rarityir.report.terminal import absent, changes, compared, counted, heading, places, written

BEGINNING = "<!doctype html>\n<!-- a page of rarityir -->\n"
_LONGEST = 400  # characters of a text that are shown before it must be opened
_MARKS = (("own", "*", "in the text itself"), ("gone", "−", "not in the next reading"), ("new", "+", "not in the one before"))
_SHARED = ("shared", "=", "written by both")
# Blue and orange are told apart by all; what they say, the marks say too.
_STYLE = """
:root{color-scheme:light dark;--ground:#fff;--ink:#1b1b1b;--quiet:#595959;--line:#d4d4d4}
:root{--blue:#00579c;--orange:#9a4600;--bar:#00579c26}
@media (prefers-color-scheme:dark){
:root{--ground:#15171a;--ink:#e9e9e9;--quiet:#a8a8a8;--line:#3b3f45;--blue:#7fc1ff;--orange:#ffb26b;--bar:#7fc1ff33}
}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:1rem/1.5 system-ui,sans-serif}
main{max-width:52rem;margin:0 auto;padding:1rem;overflow-wrap:anywhere}
h1{font-size:1.35rem;margin:.5rem 0}h2{font-size:1.1rem;margin:2rem 0 .5rem}
p{margin:.4rem 0}.quiet,caption,small{color:var(--quiet)}
dt{color:var(--quiet);margin-top:.5rem}dd{margin:0;padding-left:.75rem;border-left:3px solid var(--line)}
.scroll{overflow-x:auto;position:relative}.beside{display:flex;flex-wrap:wrap;gap:0 1.5rem}.beside>*{flex:1 1 auto;max-width:100%}
table{border-collapse:collapse;width:100%;font-size:.95rem;overflow-wrap:normal}
caption{text-align:left;padding:.3rem 0}
th,td{padding:.25rem .5rem;text-align:left;border-bottom:1px solid var(--line);vertical-align:top}
thead th,thead td{border-bottom:2px solid var(--ink);font-weight:600;vertical-align:bottom}
tbody th,tbody td{white-space:nowrap}tbody th{font-weight:400}
tfoot th,tfoot td{border-bottom:0;border-top:2px solid var(--ink);font-weight:600}
tr>.number:first-child{width:2.2rem}
.number{text-align:right;font-variant-numeric:tabular-nums}
.bar{background:linear-gradient(var(--bar),var(--bar)) right/var(--share) 100% no-repeat}
.own{color:var(--blue);font-weight:600}.moved{color:var(--orange)}
.mark{font-weight:600;padding-left:.2rem}
.tokens{list-style:none;padding:0;margin:.3rem 0;display:flex;flex-wrap:wrap;gap:.3rem}
.tokens li{border:1px solid var(--line);border-radius:.3rem;padding:0 .4rem}
.said{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
summary{cursor:pointer}
@media (max-width:30rem){main{padding:.6rem}table{font-size:.8rem}th,td{padding:.2rem}tr>.number:first-child{width:1.4rem}}
"""
_HEAD = """<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:%s">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">"""


def readings(found: Sequence[Reading], title: str) -> str:
    """Returns the page of texts read as tokens, each with the ways it was read side by side."""
    parts = [f"<h1>Texts read as tokens</h1>\n<p>{_text(title)}</p>"]
    for reading in found:
        parts.append(f"<section>\n<h2>{_long(reading.text)}</h2>")
        parts.append(_words(reading.columns))
        parts.append(f'<p class="quiet">{_text(counted(reading))}</p>\n</section>')
    kinds = _MARKS if any(len(reading.columns) > 1 for reading in found) else _MARKS[:1]
    return document("Texts read as tokens", [*parts, _legend(kinds)])


def match(found: Match) -> str:
    """Returns the page of a match: score, tokens of both texts, another encoder's, and what an instruction changes."""
    texts = f"<dl>\n<dt>Query</dt><dd>{_long(found.query)}</dd>\n<dt>Document</dt><dd>{_long(found.document)}</dd>\n</dl>"
    parts = [f"<h1>Why this document, for this query?</h1>\n<p>{_text(heading(found))}</p>\n{texts}"]
    if found.score:
        parts.append(_score(found.score))
    parts.append(_pair(found.pair, found.k))
    if found.against:
        parts.append(_against(found, found.against))
    if found.instructed:
        parts.append(_instructed(found, found.instructed))
    return document(f"{found.query[:60]} – {found.doc_id or found.document[:60]}", parts)


def document(title: str, parts: Iterable[str], style: str = "", script: str = "") -> str:
    """Returns a whole page of parts that are HTML already, with this page's rules and further ones, and its script.

    A browser runs that script alone: the page's policy names it by its SHA-256, and no other, no handler and no address.
    """
    allowed, tail = "", ""
    if script:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        allowed, tail = f"; script-src 'sha256-{digest}'", f"<script>{script}</script>\n"
    body, head = "\n".join(parts), f"{_HEAD % allowed}\n<title>{_text(title)}</title>\n<style>{_STYLE}{style}</style>"
    return f'{BEGINNING}<html lang="en">\n<head>\n{head}\n</head>\n<body>\n<main>\n{body}\n</main>\n{tail}</body>\n</html>\n'


def _score(score: Score) -> str:
    largest = max((t.product for t in score.terms), default=0.0) or 1.0
    rows = []
    for t in score.terms:
        own = ' class="own"' if t.in_query and t.in_document else ""
        share = f'<td class="number bar" style="--share:{100 * t.product / largest:.1f}%">{t.product:.4f}</td>'
        cells = f'<td>{places(t)}</td><td class="number">{t.weight:.4f}</td><td class="number">{t.impact:.4f}</td>{share}'
        rows.append(f'<tr><th scope="row"{own}><bdi>{_text(t.token)}</bdi></th>{cells}</tr>')
    foot = f'<tr><th scope="row" colspan="4">score</th><td class="number">{score.total:.4f}</td></tr>'
    table = grid(
        f"{len(score.terms)} tokens, each adding its query weight times its stored impact",
        ("token", "in the text of", "#query weight", "#impact", "#product"),
        rows,
        foot,
    )
    missing = _list("Tokens of the query that the document does not store", absent(score.missing))
    unasked = _list("Heaviest tokens of the document that the query lacks", absent(score.unasked))
    legend = '<p class="quiet">* in the document\'s text</p>'
    return f"<section>\n<h2>Sparse score {score.total:.4f}</h2>\n{table}\n{missing}\n{unasked}\n{legend}\n</section>"


def _pair(pair: Pair, k: int) -> str:
    columns, shared, rows = (pair.query.columns[-1].words, pair.document.columns[-1].words), set(pair.shared), []
    for i in range(max(map(len, columns))):
        cells = ""
        for words in columns:
            word = words[i] if i < len(words) else None
            kinds = [_MARKS[0]] * bool(word and word.own) + [_SHARED] * bool(word and word.token in shared)
            cells += _cells(word, kinds)
        rows.append(f'<tr><th scope="row" class="number">{i + 1}</th>{cells}</tr>')
    read = f"read through {pair.filter}" if pair.filter else "read raw"
    heads = ("", "query", "#weight", "document", "#weight")
    table = grid(f"The {k} best tokens of each, {read}", heads, rows)
    raw = f"cosine {pair.cosine_raw:.4f}, Jaccard@{k} {pair.jaccard_raw:.2f}"
    through = f"; with {pair.filter} cosine {pair.cosine:.4f}, Jaccard@{k} {pair.jaccard:.2f}" if pair.filter else ""
    return (
        f"<section>\n<h2>As {_text(pair.encoder)} reads both</h2>\n<p>Raw {_text(raw + through)}</p>\n{table}\n"
        f"{_legend((_MARKS[0], _SHARED))}\n</section>"
    )


def _against(found: Match, other: Pair) -> str:
    rows = [_row(row) for row in compared(found.pair, other, found.k)]
    table = grid(
        "Relatedness or similarity: what two encoders make of the pair", ("", f"#{found.pair.encoder}", f"#{other.encoder}"), rows
    )
    both, ours, theirs = found.only
    lists = (("both encoders", both), (f"{found.pair.encoder} alone", ours), (f"{other.encoder} alone", theirs))
    shared = "\n".join(
        _list(f"Query and document share, by {who}", [(token, "", "") for token in tokens]) for who, tokens in lists
    )
    read = "\n".join(
        _list(f"{other.encoder} reads the {what} as", written(reading.columns[-1]))
        for what, reading in (("query", other.query), ("document", other.document))
    )
    return f"<section>\n<h2>Against {_text(other.encoder)}</h2>\n{table}\n{shared}\n{read}\n</section>"


def _instructed(found: Match, changed: Instructed) -> str:
    rows = [_row(row) for row in changes(found, changed)]
    table = grid(
        f"The query with the instruction has cosine {changed.same:.4f} with the query without",
        ("", "#without", "#with", "#change"),
        rows,
    )
    read = f"{_words(changed.query.columns)}\n{_legend(_MARKS)}"
    return f"<section>\n<h2>With an instruction</h2>\n<p>{_long(changed.instruction)}</p>\n{table}\n{read}\n</section>"


def _words(columns: Sequence[Column]) -> str:
    """A table for each way of reading: side by side where there is room, one below the other where there is not."""
    tables = []
    for column in columns:
        split = any(word.logit is not None for word in column.words)
        heads = ["", "token", "#weight", *(["#logit", "#from u₁", "#the rest"] if split else [])]
        rows = []
        for i, word in enumerate(column.words):
            cells = _cells(word, [kind for kind in _MARKS if getattr(word, kind[0])])
            cells += "".join(_number(v) for v in (word.logit, word.first, word.rest) if v is not None)
            rows.append(f'<tr><th scope="row" class="number">{i + 1}</th>{cells}</tr>')
        tables.append(grid(column.label, heads, rows))
    return '<div class="beside">\n' + "\n".join(tables) + "\n</div>"


def _cells(word: Word | None, kinds: Sequence[tuple[str, str, str]]) -> str:
    if word is None:
        return "<td></td><td></td>"
    colour = "own" if word.own else "moved" if kinds else ""
    marks = "".join(_mark(sign, said) for _, sign, said in kinds)
    name = f'<bdi class="{colour}">{_text(word.token)}</bdi>' if colour else f"<bdi>{_text(word.token)}</bdi>"
    return f"<td>{name}{marks}</td>{_number(word.weight)}"


def _mark(sign: str, said: str) -> str:
    """A mark for the eye, and the words it stands for to who listens."""
    return f'<span class="mark" aria-hidden="true">{sign}</span><span class="said"> ({said})</span>'


def grid(caption: str, heads: Sequence[str], rows: Sequence[str], foot: str = "") -> str:
    """A table with a caption; a head that begins with `#` stands over numbers, an empty one over rows' names."""
    cells = "".join(
        f'<th scope="col" class="number">{_text(head[1:])}</th>' if head[:1] == "#" else f'<th scope="col">{_text(head)}</th>'
        for head in heads[1:]
    )
    first = f'<th scope="col">{_text(heads[0])}</th>' if heads[0] else "<td></td>"
    tail = f"\n<tfoot>{foot}</tfoot>" if foot else ""
    body = "\n".join(rows)
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{_text(caption)}">\n'
        f"<table>\n<caption>{_text(caption)}</caption>\n"
        f"<thead><tr>{first}{cells}</tr></thead>\n<tbody>\n{body}\n</tbody>{tail}\n</table>\n</div>"
    )


def _row(cells: Sequence[str]) -> str:
    numbers = "".join(f'<td class="number">{_text(cell)}</td>' for cell in cells[1:])
    return f'<tr><th scope="row">{_text(cells[0])}</th>{numbers}</tr>'


def _list(title: str, items: Iterable[tuple[str, str, str]]) -> str:
    entries = []
    for token, mark, value in items:
        own = f'<bdi class="own">{_text(token)}</bdi>{_mark(mark, "in its text")}' if mark else f"<bdi>{_text(token)}</bdi>"
        entries.append(f"<li>{own}{f' <small>{_text(value)}</small>' if value else ''}</li>")
    shown = f'<ul class="tokens">{"".join(entries)}</ul>' if entries else "<p>none</p>"
    return f'<p class="quiet">{_text(title)}</p>\n{shown}'


def _legend(kinds: Iterable[tuple[str, str, str]]) -> str:
    return f'<p class="quiet">{" · ".join(f"{sign} {said}" for _, sign, said in kinds)}</p>'


def _long(text: str) -> str:
    """A text, the rest of a long one behind a click."""
    shown = visible(text)
    if len(shown) <= _LONGEST:
        return f"<bdi>{escape(shown)}</bdi>"
    start, rest = escape(shown[:_LONGEST]), escape(shown[_LONGEST:])
    return f"<details><summary><bdi>{start}…</bdi></summary><bdi>…{rest}</bdi></details>"


def _text(text: str) -> str:
    return escape(visible(text))


def _number(value: float) -> str:
    shown = f"{value:.3f}".replace("-", "−")
    return f'<td class="number">{shown}</td>'
