"""IDFs side by side as pictures and one page: what each adds to none, how much of the gap it recovers, every figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rarityir import store
from rarityir.report import rarity_page
from rarityir.report.rarity import Part, Scatter
from rarityir.report.rarity_picture import pictures
from rarityir.report.rarity_tokens import Forest, Listing
from rarityir.report.weighing import ALPHA, Agreement, Line, Weighing

_SURE = 0.975  # of resamples in which there is a gap


def write(found: Weighing, folder: Path) -> list[Path]:
    """Writes a comparison into a folder: JSON, Markdown, pictures as SVG and PNG, and one page, `idf.html`; returns the files."""
    drawn, files = parts(found), [folder / f"idf.{kind}" for kind in ("json", "md", "html")]
    encoder = found.tables[0].encoder
    notes = [f"Tokens of {encoder}. Source of transfer and probes: {found.tables[0].source}."]
    inside = [table.dataset for table in found.tables if table.in_domain]
    notes += [f"In-domain, as the source holds documents of the corpus: {', '.join(inside)}."] if inside else []
    page = rarity_page.render(drawn, "BM25 by the IDF of every source", notes, [*tables(found), *_supposed(found)])
    for file, text in zip(files, (found.dumps(), found.markdown(), page), strict=True):
        store.write_text(file, text)
    return [*files, *pictures(drawn, folder)]


def parts(found: Weighing) -> list[Part]:
    """Returns the pictures: the first measure above that of uniform IDF, or as it is where that was not asked for; the gaps."""
    lines = [line for line in found.tables[0].lines if found.tables[0].measures[0] in line.gaps]
    first = gains(found) if any(line.uniform for line in found.tables[0].lines) else means(found)
    return [first, *([gaps(found)] if lines else []), *(_agreement(one, i) for i, one in enumerate(found.agreements, 1))]


def gains(found: Weighing) -> Forest:
    """Returns the difference of the first measure from uniform IDF at the same level, by collection."""
    measure = found.tables[0].measures[0]
    rows = [line for line in found.tables[0].lines if measure in line.uniform]
    pairs = [[_line(found, p, row).uniform[measure] for row in rows] for p in range(len(found.tables))]
    values = np.array([[pair.difference for pair in row] for row in pairs])
    sure = np.array([[bool(pair.p < ALPHA) for pair in row] for row in pairs])
    best = int(np.argmax(values.mean(axis=0)))
    sentence = (
        f"The IDF {rows[best].idf} at {rows[best].level} gains most over uniform IDF: {values[:, best].mean():+.3f} {measure} "
        f"on {_collections(found)}."
    )
    axis, told = f"{measure} less that of uniform IDF", f"p ≥ {ALPHA:g} by Fisher's test, Holm-corrected"
    names, title = _named(rows), f"{measure} above uniform IDF"
    return Forest(_panels(found), names, values, sure, axis, told, sentence, lines=(0.0,), name="gains", title=title)


def means(found: Weighing) -> Forest:
    """Returns the first measure itself, by collection."""
    measure = found.tables[0].measures[0]
    rows = list(found.tables[0].lines)
    values = np.array([[_line(found, p, row).measures[measure] for row in rows] for p in range(len(found.tables))])
    best = int(np.argmax(values.mean(axis=0)))
    where = f"{values[:, best].mean():.3f} on {_collections(found)}"
    sentence = f"The IDF {rows[best].idf} at {rows[best].level} is best: {where}."
    sure = np.ones(values.shape, bool)
    title = f"{measure} by IDF"
    return Forest(_panels(found), _named(rows), values, sure, measure, "", sentence, name="means", title=title)


def gaps(found: Weighing) -> Forest:
    """Returns the gap recovered with its interval, by collection; none where there is no gap beyond doubt."""
    measure = found.tables[0].measures[0]
    rows = [line for line in found.tables[0].lines if measure in line.gaps]
    ratios = [[_line(found, p, row).gaps[measure] for row in rows] for p in range(len(found.tables))]
    known = np.array([[ratio.steady >= _SURE for ratio in row] for row in ratios])
    ends = [
        np.where(known, np.array([[getattr(ratio, end) for ratio in row] for row in ratios], np.float64), np.nan)
        for end in ("value", "low", "high")
    ]
    none = [table.dataset for p, table in enumerate(found.tables) if not known[p].any()]
    sentence = f"0 is uniform IDF and 1 the corpus's own, which is no ceiling. {measure}, 95 % of resampled topics."
    sentence += f" No gap beyond doubt on {', '.join(none)}." if none else ""
    axis = "gap recovered: 0 as uniform, 1 as the corpus's own IDF"
    sure = np.ones(known.shape, bool)
    panels, names, title = _panels(found), _named(rows), "Share of the gap that each recovers"
    return Forest(panels, names, ends[0], sure, axis, "", sentence, ends[1], ends[2], (0.0, 1.0), "gaps", title)


def _agreement(one: Agreement, number: int) -> Scatter:
    title = f"Rarity by {one.idf} against {one.dataset}'s own, −ln P(a document has the token)"
    return Scatter(one.own, one.told, name=f"agreement-{number}", title=title)


def tables(found: Weighing) -> list[Listing]:
    """Returns every figure, a table a collection."""
    return [
        Listing(
            table.dataset,
            [*table.heads[:2], *(f"#{head}" for head in table.heads[2:])],
            [[cell.replace("-0.", "−0.") for cell in cells] for cells in table.cells()],
            f"{table.topics} topics",
            found.marks.replace("`", ""),
        )
        for table in found.tables
    ]


def _supposed(found: Weighing) -> list[Listing]:
    rows = [line.replace("`", "").split(": ", 1) for line in found.told()]
    return [Listing("What was supposed", ["it", "what"], rows, "Before anything was measured")] if rows else []


def _line(found: Weighing, panel: int, like: Line) -> Line:
    return next(line for line in found.tables[panel].lines if (line.idf, line.level) == (like.idf, like.level))


def _panels(found: Weighing) -> tuple[str, ...]:
    return tuple(table.dataset for table in found.tables)


def _named(rows: Sequence[Line]) -> tuple[tuple[str, str], ...]:
    return tuple((line.idf, line.level) for line in rows)


def _collections(found: Weighing) -> str:
    return f"the mean of {len(found.tables)} collections" if len(found.tables) > 1 else found.tables[0].dataset
