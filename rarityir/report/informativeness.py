"""What tokens tell as a picture: against how often they occur, with the curve of their bins, and against the IDF."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rarityir.types import Ints, RarityError

Doubles = NDArray[np.float64]
_INK, _LINES = "#1b1b1b", ("#0072b2", "#d55e00", "#009e73")  # Okabe and Ito's colours, told apart by all


@dataclass(frozen=True, eq=False)
class Scatter:
    """Of U tokens that occur: how often, raw and corrected values, the low quantile of their bin, and an IDF if there is one."""

    title: str
    n: Ints = field(repr=False)
    raw: Doubles = field(repr=False)
    values: Doubles = field(repr=False)
    low: Doubles = field(repr=False)
    other: Doubles | None = field(default=None, repr=False)
    other_name: str = "IDF"


def picture(found: Scatter, path: Path) -> Path:
    """Draws values against n, and against the IDF, coloured by log n, as SVG, PNG or PDF."""
    if path.suffix not in (".svg", ".png", ".pdf"):
        raise RarityError(f"{path}: a picture is .svg, .png or .pdf")
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    panels = 1 + (found.other is not None)
    with matplotlib.rc_context(
        {"svg.hashsalt": "rarityir", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    ):
        figure, axes = pyplot.subplots(1, panels, figsize=(3.6 * panels, 3.2), layout="constrained", squeeze=False)
        order = np.argsort(found.n, kind="stable")
        left = axes[0, 0]
        corrected = not np.array_equal(found.raw, found.values)
        shown = (("raw", found.raw), ("corrected", found.values)) if corrected else (("value", found.raw),)
        for colour, (name, values) in zip(_LINES, shown, strict=False):
            left.plot(found.n, values, ".", color=colour, markersize=1.5, alpha=0.4, label=name, rasterized=True)
        left.plot(found.n[order], found.low[order], color=_INK, linewidth=1, label="3 % quantile")
        left.set_xscale("log")
        left.set_xlabel("occurrences")
        left.set_title(found.title, loc="left")
        left.legend(frameon=False, markerscale=6)
        if found.other is not None:
            points = axes[0, 1].scatter(found.other, found.values, c=np.log10(found.n), s=2, cmap="cividis", rasterized=True)
            axes[0, 1].set_xlabel(found.other_name)
            figure.colorbar(points, label="log₁₀ occurrences")
        path.parent.mkdir(parents=True, exist_ok=True)
        metadata = {"Date": None} if path.suffix == ".svg" else {"CreationDate": None} if path.suffix == ".pdf" else None
        figure.savefig(path, dpi=150, metadata=metadata)
        pyplot.close(figure)
    return path
