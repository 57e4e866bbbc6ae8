"""Colours of pictures of rarity, which a page replaces by those of its reader's light or dark, and what all pictures share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rarityir.report.letters import drawable
from rarityir.report.matching import visible

# Okabe and Ito's blue and vermilion, told apart by all: of types, and of occurrences. The other greys are of what is no result.
INK, QUIET, LINE, GROUND, TYPES, OCCURRENCES = "#1b1b1b", "#595959", "#d4d4d4", "#ffffff", "#0072b2", "#d55e00"
# What is written on a colour of a table, in a light and in a dark place, in colours that are told apart when they are replaced.
_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)
INKS = {
    (_BLACK, _BLACK): "#000001",
    (_BLACK, _WHITE): "#000002",
    (_WHITE, _BLACK): "#fffffd",
    (_WHITE, _WHITE): "#fffffe",
}


def short(value: float) -> str:
    """R² in two digits, zero without a sign."""
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "−")


def names(found: Sequence[str]) -> list[str]:
    """Returns names as a picture may hold them: on one line, what is not printed as an escape."""
    return [drawable(visible(name)) for name in found]


def labelled(axis: Any) -> None:
    """Gives an axis quiet lines behind what is drawn, and a legend."""
    axis.grid(axis="y", color=LINE, linewidth=0.5)
    axis.set_axisbelow(True)
    axis.legend(frameon=False, ncols=2, fontsize=8)
