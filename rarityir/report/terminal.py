"""Readings and matches as text: tables for a terminal, with colour where it has some, and the same marks without."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from rarityir.report.matching import Column, Instructed, Match, Pair, Reading, Score, Term, Word, escaped, visible

_OWN, _MOVED = "bold color(33)", "color(166)"  # a blue and an orange that are told apart by all, on dark and on light
_LONGEST = 300  # characters of a text that are shown
_FOLDED = 12  # columns below which no word is folded
_WIDE = 10_000  # columns of what is no terminal: nothing is wrapped there


def readings(found: Sequence[Reading], title: str, *, width: int = _WIDE, colour: bool) -> str:
    """Returns each text's best tokens, ways of reading side by side, or one below the other where logits are split."""
    parts: list[Any] = [title]
    for reading in found:
        parts += ["", _line("", reading.text)]
        if any(word.logit is not None for column in reading.columns for word in column.words):
            parts += [_words([column]) for column in reading.columns]
        else:
            parts.append(_words(reading.columns))
        parts.append(counted(reading))
    marks = "* in the text itself"
    if any(len(reading.columns) > 1 for reading in found):
        marks += "   - not in the next reading   + not in the one before"
    return _printed([*parts, "", marks], width=width, colour=colour)


def match(found: Match, *, width: int = _WIDE, colour: bool) -> str:
    """Returns a match: the score token by token, both texts' tokens, another encoder's, and what an instruction changes."""
    parts: list[Any] = [heading(found), _line("query     ", found.query), _line("document  ", found.document)]
    if found.score:
        parts += ["", *_score(found.score)]
    parts += ["", *_pair(found.pair, found.k)]
    if found.against:
        parts += ["", *_against(found, found.against)]
    if found.instructed:
        parts += ["", *_instructed(found, found.instructed)]
    return _printed(parts, width=width, colour=colour)


def heading(found: Match) -> str:
    """Returns the line that says what is explained and which rank the document has."""
    where = f"{found.system}, {found.pair.encoder}"
    if not found.dataset:
        return where
    place = f"rank {found.rank}" if found.rank else f"not among the best {found.cutoff}"
    ids = f"query {visible(found.query_id)}, document {visible(found.doc_id)} of {found.dataset}"
    return f"{where}: {ids}, {place} of {found.documents}"


def counted(reading: Reading) -> str:
    """Returns how many tokens of each reading are in the text itself."""
    shares = [f"{sum(w.own for w in column.words)} of {len(column.words)} {column.label}" for column in reading.columns]
    return f"in the text itself: {', '.join(shares)}"


def places(term: Term) -> str:
    """Returns which of the two texts has a token itself."""
    return {(True, True): "both", (True, False): "query", (False, True): "document"}.get(
        (term.in_query, term.in_document), "neither"
    )


def absent(terms: Sequence[Term]) -> list[tuple[str, str, str]]:
    """Returns token, mark and weight of terms that add nothing; marked is what the document's text has."""
    return [(t.token, "*" * t.in_document, f"{t.weight or t.impact:.3g}") for t in terms]


def written(column: Column) -> list[tuple[str, str, str]]:
    """Returns token, mark and weight of words; marked is what the text itself has."""
    return [(word.token, "*" * word.own, f"{word.weight:.3g}") for word in column.words]


def mark(word: Word) -> str:
    """Returns a word's marks: `*` its text has it, `-` the next column lacks it, `+` the one before does."""
    return "*" * word.own + "-" * word.gone + "+" * word.new


def _score(score: Score) -> list[Any]:
    from rich.text import Text

    table = _table(
        ("token", "left"), ("in the text of", "left"), ("query weight", "right"), ("impact", "right"), ("product", "right")
    )
    for t in score.terms:
        style = _OWN if t.in_query and t.in_document else ""
        row = f"{t.weight:.4f}", f"{t.impact:.4f}", f"{t.product:.4f}"
        table.add_row(Text(visible(t.token), style), places(t), *row)
    parts: list[Any] = [f"sparse score {score.total:.4f}, the sum of {len(score.terms)} tokens' query weight times stored impact"]
    parts += [table] * bool(score.terms)
    parts.append(_list("the query's tokens that the document does not store", absent(score.missing)))
    parts.append(_list("the document's heaviest that the query lacks", absent(score.unasked)))
    return [*parts, "* in the document's text"]


def _pair(pair: Pair, k: int) -> list[Any]:
    from rich.text import Text

    table = _table(("", "right"), ("query", "left"), ("weight", "right"), ("document", "left"), ("weight", "right"))
    columns, shared = (pair.query.columns[-1].words, pair.document.columns[-1].words), set(pair.shared)
    for i in range(max(map(len, columns))):
        cells: list[Any] = [str(i + 1)]
        for words in columns:
            cells += (
                _cells(words[i], f"{'*' * words[i].own}{'=' * (words[i].token in shared)}") if i < len(words) else (Text(), "")
            )
        table.add_row(*cells)
    how = f"cosine {pair.cosine_raw:.4f} raw" + (f", {pair.cosine:.4f} with {pair.filter}" if pair.filter else "")
    jaccard = f"Jaccard@{k} {pair.jaccard_raw:.2f} raw" + (f", {pair.jaccard:.2f} with {pair.filter}" if pair.filter else "")
    read = f"tokens as {pair.filter or 'raw embeddings'} read{'s' if pair.filter else ''} them"
    return [f"{pair.encoder}: {how}; {jaccard}", f"{read}:", table, "* in the text itself   = written by both"]


def _against(found: Match, other: Pair) -> list[Any]:
    table = _table(("", "left"), (found.pair.encoder, "right"), (other.encoder, "right"))
    for name, one, two in compared(found.pair, other, found.k):
        table.add_row(name, one, two)
    lists = zip(("both encoders", f"{found.pair.encoder} alone", f"{other.encoder} alone"), found.only, strict=True)
    return [
        f"against {other.encoder}",
        table,
        *(_list(f"shared by {who}", [(token, "", "") for token in tokens]) for who, tokens in lists),
        _list(f"{other.encoder} reads the query as", written(other.query.columns[-1])),
        _list(f"{other.encoder} reads the document as", written(other.document.columns[-1])),
    ]


def compared(one: Pair, other: Pair, k: int) -> list[tuple[str, str, str]]:
    """Returns rows of what is compared of two encoders."""
    rows = [("cosine, raw", one.cosine_raw, other.cosine_raw), (f"Jaccard@{k}, raw", one.jaccard_raw, other.jaccard_raw)]
    if one.filter:
        rows.insert(1, (f"cosine, {one.filter}", one.cosine, other.cosine))
        rows.append((f"Jaccard@{k}, {one.filter}", one.jaccard, other.jaccard))
    return [(name, f"{here:.4f}", f"{there:.4f}") for name, here, there in rows]


def _instructed(found: Match, changed: Instructed) -> list[Any]:
    table = _table(("", "left"), ("without", "right"), ("with", "right"), ("change", "right"))
    for row in changes(found, changed):
        table.add_row(*row)
    return [
        _line("instruction  ", changed.instruction),
        f"the query with it has cosine {changed.same:.4f} with the query without",
        table,
        _words(changed.query.columns),
        "* in the text itself   - not in the next reading   + not in the one before",
    ]


def changes(found: Match, changed: Instructed) -> list[tuple[str, str, str, str]]:
    """Returns rows of what an instruction changes."""
    rows = [("cosine, raw", found.pair.cosine_raw, changed.cosine_raw)]
    if found.pair.filter:
        rows.append((f"cosine, {found.pair.filter}", found.pair.cosine, changed.cosine))
    if found.score and changed.score is not None:
        rows.append(("sparse score", found.score.total, changed.score))
    return [(name, f"{a:.4f}", f"{b:.4f}", f"{b - a:+.4f}".replace("-", "−")) for name, a, b in rows]


def _words(columns: Sequence[Column]) -> Any:
    heads: list[tuple[str, Any]] = [("", "right")]
    splits = [any(word.logit is not None for word in column.words) for column in columns]
    for column, parts in zip(columns, splits, strict=True):
        heads += [(column.label, "left"), ("weight", "right")]
        heads += [("logit", "right"), ("from u_1", "right"), ("the rest", "right")] * parts
    table = _table(*heads)
    for i in range(max((len(column.words) for column in columns), default=0)):
        cells: list[Any] = [str(i + 1)]
        for column, parts in zip(columns, splits, strict=True):
            word = column.words[i] if i < len(column.words) else None
            cells += _cells(word, mark(word)) if word else ("", "")
            if parts:
                values = (word.logit, word.first, word.rest) if word else ()
                cells += [f"{v:.3f}" for v in values if v is not None] or ["", "", ""]
        table.add_row(*cells)
    return table


def _cells(word: Word, marks: str) -> tuple[Any, str]:
    from rich.text import Text

    style = _OWN if word.own else _MOVED if marks else ""
    return Text(f"{visible(word.token)} {marks}".rstrip(), style), f"{word.weight:.3f}"


def _list(title: str, items: Sequence[tuple[str, str, str]]) -> str:
    shown = [" ".join(filter(None, (visible(token) + sign, value))) for token, sign, value in items]
    return f"{title}: {', '.join(shown) if shown else 'none'}"


def _line(name: str, text: str) -> str:
    shown = visible(text)
    return f"{name}{shown[:_LONGEST]}{'…' if len(shown) > _LONGEST else ''}"


def _table(*heads: tuple[str, Any]) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name, side in heads:
        table.add_column(Text(visible(name)), justify=side, no_wrap=side == "right", overflow="fold")
    return table


def _least(table: Any) -> int:
    """Returns the columns a table takes where words are folded and no figure shortened; a narrower terminal breaks lines."""
    from rich.cells import cell_len

    widths = []
    for column in table.columns:
        longest = max(cell_len(str(cell)) for cell in (column.header, *column.cells))
        widths.append(longest if column.no_wrap else min(longest, _FOLDED))
    return sum(widths) + 3 * len(widths) + 1


def _printed(parts: Sequence[Any], *, width: int, colour: bool) -> str:
    from rich.console import Console
    from rich.text import Text

    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=colour, color_system="256" if colour else None, highlight=False)
    for part in parts:
        console.width = width if isinstance(part, str) else max(width, _least(part))
        console.print(Text(escaped(part)) if isinstance(part, str) else part)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"
