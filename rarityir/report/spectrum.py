"""A filter against its model's spectrum, as a table and as a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rarityir.report.explanation import Explanation
from rarityir.report.letters import drawable
from rarityir.types import RarityError

_INK, _CUT, _LINES = "#1b1b1b", "#d9d9d9", ("#0072b2", "#d55e00", "#009e73")  # Okabe and Ito's colours, told apart by all


def text(found: Explanation, rows: int) -> str:
    """Returns the explanation as plain text: some directions of each end, the zones, the texts."""
    values = found.values
    condition = values[0] / max(values[-1], 1e-300)
    lines = [f"{found.model}: {found.vocabulary} x {found.width}, condition {condition:.3g}; token counts: {found.counts}"]
    if found.filter:
        lines.append(f"{found.filter} keeps {found.kept.sum():.0f} of {found.width} directions")
    lines += ["", f"{'rank':>6} {'value':>10} {'energy to it':>13} {'log freq':>9} {'shift':>8} {'texts':>7} {'kept':>6}"]
    cumulated = np.cumsum(values**2) / np.sum(values**2)
    width = found.width
    for i in range(width) if width <= 2 * rows else [*range(rows), -1, *range(width - rows, width)]:
        if i < 0:
            lines.append("     …")
            continue
        texts = f"{found.energy[i]:>7.4f}" if found.energy is not None else f"{'–':>7}"
        lines.append(
            f"{i + 1:>6} {values[i]:>10.4g} {cumulated[i]:>13.4f} {found.frequency[i]:>9.4f} {found.shift[i]:>8.4f} {texts}"
            f" {found.kept[i]:>6.2f}"
        )
    for zone in found.zones:
        state = "kept" if zone.kept > 0.5 else "dropped"
        state += f" ({zone.kept:.0%} of them)" if 0.01 < zone.kept < 0.99 else ""
        lines.append(
            f"\n{state} {zone.label}: {zone.energy:.1%} of the unembedding's energy,"
            f" {zone.frequency:.1%} of what it says of frequency\n  writes {'  '.join(map(repr, zone.written))}"
        )
    for reading in found.texts:
        lines.append(f"\n{reading.text[:100]!r}: {reading.kept:.1%} of its energy is kept")
        lines.append(f"  before  {'  '.join(reading.before)}")
        lines.append(f"  after   {'  '.join(reading.after)}")
    return "\n".join(lines) + "\n"


def picture(found: Explanation, path: Path) -> Path:
    """Draws spectrum, frequency and texts' energy by direction, what is dropped shaded, as SVG, PNG or PDF."""
    if path.suffix not in (".svg", ".png", ".pdf"):
        raise RarityError(f"{path}: a picture is .svg, .png or .pdf")
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    panels = [("singular value", found.values), ("share of log frequency", found.frequency), ("Δπ", found.shift)]
    if found.energy is not None:
        panels.append(("texts' energy", found.energy))
    with matplotlib.rc_context(
        {"svg.hashsalt": "rarityir", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    ):
        figure, axes = pyplot.subplots(len(panels), 1, figsize=(7, 1.7 * len(panels)), sharex=True, layout="constrained")
        ranks = np.arange(1, found.width + 1)
        for axis, (name, values) in zip(axes, panels, strict=True):
            axis.plot(ranks, np.maximum(values, values[values > 0].min(initial=1e-12)), color=_LINES[0], linewidth=1)
            axis.set_yscale("log")
            axis.set_ylabel(name, color=_INK)
            for zone in found.zones:
                if zone.kept <= 0.5:
                    for run in np.split(positions := np.array(zone.positions), np.flatnonzero(np.diff(positions) > 1) + 1):
                        axis.axvspan(run[0] + 0.5, run[-1] + 1.5, color=_CUT, linewidth=0)
        title = f"{found.model}{f', {found.filter}: dropped directions in grey' if found.filter else ''}"
        axes[0].set_title(drawable(title), loc="left", parse_math=False)
        axes[-1].set_xlabel("direction, by falling singular value")
        path.parent.mkdir(parents=True, exist_ok=True)
        metadata = {"Date": None} if path.suffix == ".svg" else {"CreationDate": None} if path.suffix == ".pdf" else None
        figure.savefig(path, dpi=150, metadata=metadata)
        pyplot.close(figure)
    return path
