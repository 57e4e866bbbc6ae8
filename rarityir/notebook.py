"""What a notebook shows of an object: one small table, every text escaped, no script, the reader's own colours; and DataFrames.

Owns pandas.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

ROWS, COLUMNS, LETTERS = 30, 12, 80  # that are shown of a table and of a cell
_LINE = "white-space:nowrap;border-bottom:1px solid rgba(128,128,128,.4);padding:.15em .6em"


def table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]], foot: Sequence[str] = ()) -> str:
    """Returns an HTML table: a row's first cell is its name; columns of figures stand to the right; `**x**` is bold.

    More than `ROWS` rows and `COLUMNS` columns are cut off and counted below.
    """
    sides = [
        "right" if i and _figures([cell for row in rows[:ROWS] for cell in row[i : i + 1]]) else "left"
        for i in range(len(heads[:COLUMNS]))
    ]
    return _table(title, heads, rows, foot, sides)


def facts(title: str, values: Mapping[str, object], foot: Sequence[str] = ()) -> str:
    """Returns an HTML table of names and values, all of them on the left."""
    return _table(title, ("", ""), [(name, str(value)) for name, value in values.items()], foot, ("left", "left"))


def _table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]], foot: Sequence[str], sides: Sequence[str]) -> str:
    shown = [_row(heads, sides, "th"), *(_row(row, sides, "td") for row in rows[:ROWS])]
    cut = [(len(rows) - ROWS, "rows"), (len(heads) - COLUMNS, "columns")]
    left = [f"… and {count:,} {what} more" for count, what in cut if count > 0]
    below = "".join(f'<div style="opacity:.75">{text(line, 400)}</div>' for line in [*left, *foot[:ROWS]])
    head, *body = shown
    return (
        f'<div style="overflow-x:auto"><div><b>{text(title, 200)}</b></div><table style="border-collapse:collapse">'
        f"<thead>{head}</thead><tbody>{''.join(body)}</tbody></table>{below}</div>"
    )


def text(words: str, letters: int = LETTERS) -> str:
    """Returns a text as HTML: no longer than so many letters, markup escaped, and what is not printed written as an escape."""
    cut = words[:letters] + "…" * (len(words) > letters)
    return escape("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut))


def frame(columns: Mapping[str, Any], index: str = "") -> pd.DataFrame:
    """Returns a DataFrame of columns of one length, indexed by the one named `index` where one is."""
    import pandas as pd

    found = pd.DataFrame(dict(columns))
    return found.set_index(index) if index else found


def _figures(cells: Sequence[str]) -> bool:
    """Whether none of a column's cells begins with a letter, as the digits of a digest or an id may."""
    return not any(cell.lstrip("*")[:1].isalpha() for cell in cells)


def _row(cells: Sequence[str], sides: Sequence[str], tag: str) -> str:
    return "<tr>" + "".join(_cell(cell, tag, side) for cell, side in zip(cells, sides, strict=False)) + "</tr>"


def _cell(words: str, tag: str, side: str) -> str:
    bold = words.startswith("**") and words.endswith("**") and len(words) > 4
    inner = f"<b>{text(words[2:-2])}</b>" if bold else text(words)
    return f'<{tag} style="text-align:{side};{_LINE}">{inner}</{tag}>'
