"""Pictures of a study: cosines beside theory, coherence by family, variance between and within clusters. Owns its matplotlib."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from rarityir.geometry.cosines import BINS, isotropic_quantiles

if TYPE_CHECKING:
    from rarityir.geometry.study import Study

# Okabe and Ito's colours, told apart by all.
_INK, _GREY, _LINES = (
    "#1b1b1b",
    "#bdbdbd",
    ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#8c6d1f", "#666666"),
)
_STYLES = ("-", "--", "-.", ":")
_MOST = 8  # families of a picture


def picture(study: Study) -> str:
    """Returns the three panels as one SVG, for the study's first variant."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    style: Any = {
        "svg.hashsalt": "rarityir", "svg.fonttype": "none", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False,
        "text.parse_math": False,  # a token or a file's name may hold a dollar sign
    }  # fmt: skip
    with matplotlib.rc_context(style):
        figure, axes = pyplot.subplots(1, 3, figsize=(11, 3.2), layout="constrained")
        _ecdf(axes[0], study)
        _coherence(axes[1], study)
        _variances(axes[2], study)
        held = io.StringIO()
        figure.savefig(held, format="svg", metadata={"Date": None})
        pyplot.close(figure)
    return held.getvalue()


def _ecdf(axis: Any, study: Study) -> None:
    first = study.cells[0].variant
    edges = np.linspace(-1, 1, BINS + 1)[1:]
    cells = [cell for cell in study.cells if cell.variant == first][:_MOST]
    for i, cell in enumerate(cells):
        cumulated = np.cumsum(cell.cosines.histogram) / cell.cosines.histogram.sum()
        shown = (cumulated > 1e-5) & (cumulated < 1 - 1e-5)
        style = {"color": _LINES[i % len(_LINES)], "linestyle": _STYLES[i % len(_STYLES)]}
        axis.plot(edges[shown], cumulated[shown], linewidth=1, label=cell.family, **style)
    shares = np.linspace(0.0005, 0.9995, 200)
    axis.plot(isotropic_quantiles(shares, study.width), shares, color=_INK, linewidth=2, alpha=0.5, label="isotropic, exact")
    reach = min(1.0, 8 * study.width**-0.5)
    axis.set_xlim(-reach, reach)
    axis.set_xlabel("cosine of a token with a direction")
    axis.set_ylabel("share of tokens below")
    axis.set_title(f"Cosines, {first} rows", loc="left")
    axis.legend(frameon=False, fontsize=7)


def _coherence(axis: Any, study: Study) -> None:
    first = study.cells[0].variant
    cells = [cell for cell in study.cells if cell.variant == first][:_MOST][::-1]
    for place, cell in enumerate(cells):
        test = next(iter(cell.tests.values()))
        spread = 1.96 * float(test.null_sd.mean())
        middle = float(test.null_mean.mean())
        axis.fill_betweenx([place - 0.4, place + 0.4], middle - spread, middle + spread, color=_GREY, linewidth=0)
        if len(test.values) > 4:
            body = axis.violinplot(
                test.values, [place], orientation="horizontal", widths=0.7, showextrema=False, showmedians=True
            )
            for part in body["bodies"]:
                part.set(facecolor=_LINES[0], alpha=0.6)
            body["cmedians"].set(color=_INK, linewidth=1)
        else:
            axis.plot(test.values, [place] * len(test.values), "o", color=_LINES[0], markersize=3)
    axis.set_yticks(range(len(cells)), [cell.family for cell in cells])
    kind = next(iter(cells[0].tests))
    where = f"in {study.channel or 'the other matrix'}" if kind == "cross" else "less t²"
    axis.set_xlabel(f"mean pairwise cosine {where}")
    axis.set_title("Neighbours' coherence; random sets in grey", loc="left")


def _variances(axis: Any, study: Study) -> None:
    tables = next((tables for tables in study.correlations.values() if tables), {})
    names = list(tables)[::-1]
    for place, name in enumerate(names):
        table = tables[name]
        axis.barh(place, table.value, color=_LINES[0], height=0.5)
        axis.plot([table.low, table.high], [place, place], color=_INK, linewidth=1.5)
        axis.plot([table.expected] * 2, [place - 0.35, place + 0.35], color=_LINES[1], linewidth=1.5)
    axis.set_yticks(range(len(names)), names)
    axis.set_xlim(left=0)
    axis.locator_params(axis="x", nbins=4)
    axis.set_xlabel("between clusters, share of a cosine's variance")
    axis.set_title("Closed form; drawn ± 95%; random labels in orange", loc="left", fontsize=8)
