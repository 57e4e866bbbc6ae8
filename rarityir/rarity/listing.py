"""Tables of tokens as text: columns in line, tokens as one sees them."""

from __future__ import annotations

from collections.abc import Sequence

from rarityir.report.matching import escaped


def columns(heads: Sequence[str], rows: Sequence[Sequence[str]], *, words: Sequence[int] = (0,)) -> list[str]:
    """Returns lines of a table; the columns in `words` stand to the left, numbers to the right."""
    table = [list(heads), *map(list, rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(heads))]
    lines = []
    for row in table:
        cells = [cell.ljust(w) if i in words else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))]
        lines.append("  ".join(cells).rstrip())
    return lines


def shown(text: str | None, piece: str | None) -> str:
    """Returns how a token is shown: its text with a mark for each space at its ends, or its own spelling where it has none."""
    if text is None:
        return escaped(piece or "no token")
    inner = text.strip(" ")
    before = len(text) - len(text.lstrip(" "))
    return "␣" * before + escaped(inner) + "␣" * (len(text) - before - len(inner) if inner else 0)


def share(value: float) -> str:
    """Returns a share of one as a percentage with the figures that count."""
    return f"{100 * value:.2f} %" if value >= 1e-3 or value == 0 else f"{100 * value:.2g} %"
