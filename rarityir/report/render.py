"""Writes a report in the forms people paste: rich text, Markdown, LaTeX, CSV, JSON."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

from rarityir import notebook, registry
from rarityir.report.matching import visible
from rarityir.report.model import Report, Row
from rarityir.types import UnknownName

if TYPE_CHECKING:
    from rich.text import Text

    Column = tuple[str, Sequence[Text]]  # a head, and a cell for each row

HEADS = {
    "dim": "width",
    "bytes_per_doc": "bytes/doc",
    "index_bytes": "index",
    "build_seconds": "build s",
    "qps": "queries/s",
    "recall": "recall",
}
_WIDE = 10**9  # columns of what is no terminal: nothing is wrapped there


def render(report: Report, form: str) -> str:
    """Returns the report as `text`, `markdown`, `latex`, `csv` or `json`."""
    if form not in RENDERERS:
        raise UnknownName(registry.unknown("form", form, RENDERERS))
    return RENDERERS[form](report)


def caption(report: Report, without: Collection[str] = ()) -> str:
    """Returns the line that says what the table shows, without some costs, and how it was tested."""
    return (
        f"{report.dataset}, encoder {report.encoder}, {report.topics} topics, cutoff {report.cutoff}. "
        + (
            f"+ and − differ from {report.baseline} (paired randomisation test, Holm-corrected, p < {report.alpha:g})."
            if len(report.rows) > 1
            else f"{report.baseline} alone, so nothing is compared."
        )
        + (" Recall: of the exact best 100 for the same vectors." if "recall" in {*report.costs} - {*without} else "")
        + (f" Share of {report.share_of}: of its {report.measures[0]}, 95% bootstrap interval." if report.share_of else "")
    )


def cost(name: str, value: Any) -> str:
    """Returns a cost as it is shown: sizes in binary units, an absent one as a dash."""
    if value is None:
        return "–"
    if name == "index_bytes":
        for unit in ("B", "KiB", "MiB"):
            if value < 1024:
                return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
            value /= 1024
        return f"{value:.1f} GiB"
    if name == "recall":
        return f"{value:.3f}"
    return f"{value:,.1f}" if name == "build_seconds" else f"{value:,.0f}"


def _heads(report: Report) -> list[str]:
    return [*report.measures, *([f"of {report.share_of}"] if report.share_of else []), *(HEADS[c] for c in report.costs)]


def _rest(report: Report, row: Row) -> list[str]:
    """What stands after a row's measures: its share of a system, where that is shown, and its costs."""
    share = "–" if row.share is None else f"{row.share[0]:.2f} ({row.share[1]:.2f}–{row.share[2]:.2f})"
    return [*([share] if report.share_of else []), *(cost(c, row.cost.get(c)) for c in report.costs)]


def _value(report: Report, row: Row, measure: str) -> tuple[str, str, bool]:
    """A cell's figure, its mark and whether it is the column's best."""
    value = row.measures[measure]
    return f"{value:.4f}", row.marks.get(measure, "").replace("-", "−"), round(value, 4) == report.best(measure)


def text(report: Report) -> str:
    """Returns the table as plain text, columns aligned, at any width."""
    return on_terminal(report)


def on_terminal(report: Report, *, width: int = _WIDE, colour: bool = False) -> str:
    """Returns the table with its caption and notes as a terminal of this width shows them; no name or figure is shortened.

    Measures that do not fit go on in a further table. Costs that do not fit are left out and named below. Where a system's name
    leaves no room for a single column, lines are wider than the terminal.
    """
    from rich.text import Text

    kept, costs = _columns(report)
    parts: list[list[Column]] = [[]]
    for column in kept:
        if parts[-1] and _width(_table(report, [*parts[-1], column])) > width:
            parts.append([])
        parts[-1].append(column)
    while costs and _width(_table(report, [*parts[-1], *costs.values()])) > width:
        # From the right, but recall last: what an approximate index misses is no price.
        del costs[next((name for name in reversed(costs) if name != "recall"), "recall")]
    parts[-1] += costs.values()
    left = [name for name in report.costs if name not in costs]
    foot = _foot(report, without=left).splitlines()
    if left:
        foot.append(f"No room here for {', '.join(HEADS[name] for name in left)}: report.md has them, and a wider terminal.")
    tables = [_printed(_table(report, columns), colour=colour) for columns in parts]
    return "".join(tables) + _printed(Text("\n".join(foot)), width=width)


def _columns(report: Report) -> tuple[list[Column], dict[str, Column]]:
    """A head and cells for each measure and the share, and for each cost by its name."""
    from rich.text import Text

    kept: list[Column] = []
    for m in report.measures:
        cells = [_value(report, row, m) for row in report.rows]
        shown = [Text().append(figure, "bold" if best else "").append(mark or " ") for figure, mark, best in cells]
        kept.append((m, shown))
    rest = [_rest(report, row) for row in report.rows]
    columns = [(head, [Text(row[i]) for row in rest]) for i, head in enumerate(_heads(report)[len(kept) :])]
    shares = len(columns) - len(report.costs)
    return [*kept, *columns[:shares]], dict(zip(report.costs, columns[shares:], strict=True))


def _table(report: Report, columns: Sequence[Column]) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    found = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    found.add_column("system", no_wrap=True)
    for head, _ in columns:
        found.add_column(Text(visible(head)), justify="right", no_wrap=True)
    for i, row in enumerate(report.rows):
        found.add_row(Text(visible(row.name)), *(cells[i] for _, cells in columns))
    return found


def _width(table: Any) -> int:
    from rich.console import Console

    console = Console(width=_WIDE)
    return int(console.measure(table).maximum)


def _printed(shown: Any, *, width: int = 0, colour: bool = False) -> str:
    """Text of rich, at least as wide as it needs where no width is given."""
    from rich.console import Console

    out = io.StringIO()
    console = Console(
        file=out, width=width or _width(shown), force_terminal=colour, color_system="256" if colour else None, highlight=False
    )
    console.print(shown)
    return "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())


def markdown(report: Report) -> str:
    """Returns a Markdown table with its caption below."""
    heads = ["system", *map(words, _heads(report))]
    lines = [f"| {' | '.join(heads)} |", f"|---|{'---:|' * (len(heads) - 1)}"]
    for row in report.rows:
        cells = [_value(report, row, m) for m in report.measures]
        shown = [(f"**{figure}**" if best else figure) + mark for figure, mark, best in cells]
        lines.append(f"| {' | '.join([code(row.name), *shown, *_rest(report, row)])} |")
    return "\n".join(lines) + f"\n\n{_foot(report, words)}"


def latex(report: Report) -> str:
    """Returns a booktabs table; + and − are superscripts."""
    lines = [
        r"\begin{table}", r"\centering", rf"\caption{{{_tex(caption(report))}}}",
        rf"\begin{{tabular}}{{l{'r' * len(_heads(report))}}}", r"\toprule",
        " & ".join(map(_tex, ["system", *_heads(report)])) + r" \\", r"\midrule",
    ]  # fmt: skip
    for row in report.rows:
        cells = [_value(report, row, m) for m in report.measures]
        shown = [
            (rf"\textbf{{{figure}}}" if best else figure) + (f"$^{{{mark.replace('−', '-')}}}$" if mark else "")
            for figure, mark, best in cells
        ]
        costs = [cell.replace("–", "--") for cell in _rest(report, row)]
        lines.append(" & ".join([rf"\texttt{{{_tex(row.name)}}}", *shown, *costs]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}"]) + "\n"


def for_notebook(report: Report) -> str:
    """Returns the small HTML table that a notebook shows."""
    rows = []
    for row in report.rows:
        cells = [_value(report, row, m) for m in report.measures]
        shown = [f"**{figure}{mark}**" if best else f"{figure}{mark}" for figure, mark, best in cells]
        rows.append([row.name, *shown, *_rest(report, row)])
    return notebook.table(report.dataset, ["system", *_heads(report)], rows, [caption(report), *report.notes])


def as_csv(report: Report) -> str:
    """Returns CSV: full precision, and every test beside its measure."""
    out = io.StringIO()
    tests = ("difference", "t", "fisher", "t_holm", "fisher_holm")
    shares = [f"share of {report.share_of}", "share low", "share high"] if report.share_of else []
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["system", *(c for m in report.measures for c in (m, *(f"{m} {t}" for t in tests))), *shares, *report.costs])
    for row in report.rows:
        cells = [c for m in report.measures for c in (row.measures[m], *(row.tests.get(m, {}).get(t, "") for t in tests))]
        share = (row.share or ("", "", "")) if report.share_of else ()
        writer.writerow([cell(row.name), *cells, *share, *(row.cost.get(c, "") for c in report.costs)])
    return out.getvalue()


def as_json(report: Report) -> str:
    """Returns one JSON object."""
    return json.dumps(report.to_dict(), indent=1, ensure_ascii=False) + "\n"


RENDERERS: dict[str, Callable[[Report], str]] = {
    "text": text,
    "markdown": markdown,
    "latex": latex,
    "csv": as_csv,
    "json": as_json,
}


def _foot(report: Report, shown: Callable[[str], str] = visible, without: Collection[str] = ()) -> str:
    return "\n".join(map(shown, [caption(report, without), *report.notes])) + "\n"


def words(text: str) -> str:
    """Returns words of Markdown that are neither HTML nor a link, a cell's end or code, whatever a folder's name holds."""
    return re.sub(r"<(?=[\w/!?])|[`|\[\]\\]", lambda m: {"<": "&lt;"}.get(m[0], f"\\{m[0]}"), visible(text))


def code(name: str) -> str:
    """Returns a name as code in a cell of a Markdown table."""
    marks = "`" * (1 + max(map(len, re.findall("`+", name)), default=0))
    room = " " if "`" in name else ""
    # In code a backslash escapes nothing but a bar, so one that stands before a bar is written as an escape.
    shown = re.sub(r"\\(?=\|)", r"\\x5c", visible(name)).replace("|", "\\|")
    return f"{marks}{room}{shown}{room}{marks}"


def cell(text: str) -> str:
    """Returns a text of a CSV cell that no spreadsheet takes for a formula: one that begins as such has an apostrophe before."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _tex(words: str) -> str:
    special = {letter: f"\\{letter}" for letter in "&%_#${}"}
    special |= {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "−": "$-$",
        "<": "$<$",
        ">": "$>$",
    }
    return "".join(special.get(letter, letter) for letter in visible(words))
