"""Maps of models and systems as pictures: places, distances in the order of a dendrogram, curves by layer and by lag."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rarityir.report.variation import check_picture

_INK, _LINES = "#1b1b1b", ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#f0e442", "#444444")


@contextmanager
def _drawn(path: Path, **options: Any) -> Iterator[Any]:
    """Gives a figure and axes; when the block ends well, they are written as SVG, PNG or PDF."""
    check_picture(path)
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    with matplotlib.rc_context(
        {"svg.hashsalt": "rarityir", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    ):
        figure, axes = pyplot.subplots(layout="constrained", **options)
        yield axes
        path.parent.mkdir(parents=True, exist_ok=True)
        metadata = {"Date": None} if path.suffix == ".svg" else {"CreationDate": None} if path.suffix == ".pdf" else None
        figure.savefig(path, dpi=150, metadata=metadata)
        pyplot.close(figure)


def places(
    path: Path, names: Sequence[str], xy_K2: NDArray[np.float64], held: str, families: Sequence[str] = (), title: str = ""
) -> Path:
    """Draws models as points with their names, one colour a family."""
    families = families or [name.partition("+")[0] for name in names]
    colours = {family: _LINES[i % len(_LINES)] for i, family in enumerate(dict.fromkeys(families))}
    with _drawn(path, figsize=(7, 5)) as axis:
        axis.scatter(xy_K2[:, 0], xy_K2[:, 1], c=[colours[family] for family in families], s=22)
        for name, (x, y) in zip(names, xy_K2, strict=True):
            axis.annotate(name, (x, y), xytext=(4, 3), textcoords="offset points", fontsize=7, color=_INK)
        axis.set_xlabel(held)
        axis.set_aspect("equal", adjustable="datalim")
        axis.set_title(title, loc="left")
    return path


def heatmap(path: Path, names: Sequence[str], d_KK: NDArray[np.float64], unit: str) -> Path:
    """Draws distances, models in the order of a dendrogram (average linkage of their roots), which stands above them."""
    from scipy.cluster.hierarchy import dendrogram, linkage, optimal_leaf_ordering

    apart = np.sqrt(d_KK[np.triu_indices(len(names), 1)])
    tree = optimal_leaf_ordering(linkage(apart, "average"), apart)
    shape = dendrogram(tree, no_plot=True)
    order = shape["leaves"]
    side = max(5.0, 0.28 * len(names))
    grid = {"height_ratios": [1, 5]}
    with _drawn(path, nrows=2, ncols=1, figsize=(side + 1.5, 1.2 * side), gridspec_kw=grid) as (above, axis):
        for xs, ys in zip(shape["icoord"], shape["dcoord"], strict=True):
            above.plot((np.array(xs) - 5) / 10, ys, color=_INK, linewidth=0.8)
        above.set_xlim(-0.5, len(names) - 0.5)
        above.set_xticks([])
        above.set_ylabel("√distance")
        image = axis.imshow(d_KK[np.ix_(order, order)], cmap="cividis", aspect="auto")
        axis.set_xticks(range(len(names)), [names[i] for i in order], rotation=90, fontsize=7)
        axis.set_yticks(range(len(names)), [names[i] for i in order], fontsize=7)
        axis.figure.colorbar(image, ax=axis, label=unit, shrink=0.7)
    return path


def layers(
    path: Path, to_last: NDArray[np.float64], adjacent: NDArray[np.float64], unit: str, scores: Sequence[float] = ()
) -> Path:
    """Draws each layer's distance to the last and to the next, and retrieval by layer on a second axis where it is given."""
    with _drawn(path, figsize=(6, 3.4)) as axis:
        axis.plot(range(len(to_last) - 1), to_last[:-1], "o-", color=_LINES[0], label="to the last layer")
        axis.plot(range(len(adjacent)), adjacent, "s--", color=_LINES[1], label="to the next layer")
        axis.set_yscale("log")
        axis.set_xticks(range(len(to_last)))
        axis.set_xlabel("layer")
        axis.set_ylabel(unit)
        axis.legend(frameon=False)
        if scores:
            other = axis.twinx()
            other.plot(range(len(scores)), scores, "^:", color=_LINES[2])
            other.set_ylabel("nDCG@10", color=_LINES[2])
    return path


def lags(path: Path, times: NDArray[np.float64], moved: NDArray[np.float64], slope: float, fit: float, unit: str) -> Path:
    """Draws the distance from a checkpoint by lag, both as logarithms, with the fitted line."""
    with _drawn(path, figsize=(5, 3.4)) as axis:
        axis.loglog(times, moved, "o", color=_LINES[0])
        line = np.exp(np.log(moved).mean() + slope * (np.log(times) - np.log(times).mean()))
        axis.loglog(times, line, color=_LINES[1], label=f"exponent {slope:.2f}, R² {fit:.2f}")
        axis.set_xlabel("steps later")
        axis.set_ylabel(unit)
        axis.legend(frameon=False)
    return path
