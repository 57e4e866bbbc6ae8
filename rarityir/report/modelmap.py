"""Maps of models and systems as pictures: places, distances in the order of a dendrogram, curves by layer and by lag."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rarityir.report.drawing import pictured

_INK, _LINES = "#1b1b1b", ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#f0e442", "#444444")


def places(
    path: Path,
    names: Sequence[str],
    xy_K2: NDArray[np.float64],
    held: str,
    *,
    jitter_RK2: NDArray[np.float64] | None = None,
    apart_KK: NDArray[np.float64] | None = None,
    references: Mapping[str, float] | None = None,
    bar: Callable[[float], float] | None = None,
    unit: str = "",
) -> Path:
    """Draws models as points with their names, one colour a family.

    Args:
        jitter_RK2: places on maps of texts drawn anew, each model's drawn as the ellipse that holds 95% of a normal cloud.
        apart_KK: distances in `unit`, for a ruler below: a stroke for every pair, and the marks of `references`.
        bar: how long a distance in `unit` is on the picture, for a bar of a round distance.
    """
    families = [name.partition("+")[0].rstrip("0123456789").rstrip("-") for name in names]
    colours = {family: _LINES[i % len(_LINES)] for i, family in enumerate(dict.fromkeys(families))}
    shape: dict[str, Any] = {"figsize": (7, 5)}
    if apart_KK is not None:
        shape = {"figsize": (7, 6.8), "nrows": 2, "ncols": 1, "gridspec_kw": {"height_ratios": [5, 1.7]}}
    with pictured(path, **shape) as (_, axes):
        axis, below = (axes, None) if apart_KK is None else axes
        if jitter_RK2 is not None:
            for family, xy_R2 in zip(families, np.moveaxis(jitter_RK2, 1, 0), strict=True):
                axis.add_patch(_ellipse(xy_R2, colours[family]))
        axis.scatter(xy_K2[:, 0], xy_K2[:, 1], c=[colours[family] for family in families], s=22)
        axis.set_xlabel(held)
        axis.set_aspect("equal", adjustable="datalim")
        if bar is not None:
            _bar(axis, xy_K2, bar, unit)
        if apart_KK is not None:
            _ruler(below, apart_KK[np.triu_indices(len(names), 1)], references or {}, unit)
        _named(axis, names, xy_K2)
    return path


def _named(axis: Any, names: Sequence[str], xy_K2: NDArray[np.float64]) -> None:
    """Writes names beside their points, each where the first of a few places is free of the names before it."""
    axis.figure.canvas.draw()  # which places the axes
    points = axis.transData.transform(xy_K2) * 72 / axis.figure.dpi
    taken: list[tuple[float, float, float]] = []  # left, right and middle of what is written, in points
    for name, at, (x, y) in zip(names, xy_K2, points, strict=True):
        width = 3.9 * len(name)
        spots = [(4, 3), (4, -9), (-4 - width, 3), (-4 - width, -9), (4, 11), (4, -17), (-4 - width, 11), (-4 - width, -17)]
        free = [
            (dx, dy)
            for dx, dy in spots
            if all(x + dx > right or x + dx + width < left or abs(y + dy - middle) > 8 for left, right, middle in taken)
        ]
        dx, dy = (free or spots)[0]
        taken.append((x + dx, x + dx + width, y + dy))
        axis.annotate(name, at, xytext=(dx, dy), textcoords="offset points", fontsize=7, color=_INK)


def _ellipse(xy_R2: NDArray[np.float64], colour: str) -> Any:
    from matplotlib.patches import Ellipse

    values, vectors = np.linalg.eigh(np.cov(xy_R2.T))
    width, height = 2 * np.sqrt(5.991 * np.maximum(values, 0))  # chi-squared of 2, 95%
    angle = float(np.degrees(np.arctan2(vectors[1, 0], vectors[0, 0])))
    return Ellipse(xy_R2.mean(axis=0), width, height, angle=angle, facecolor=colour, alpha=0.2, linewidth=0)


def _bar(axis: Any, xy_K2: NDArray[np.float64], length: Callable[[float], float], unit: str) -> None:
    """A bar of the largest round distance that is no longer than a quarter of the picture."""
    width = float(np.ptp(xy_K2[:, 0]))
    rounds = [m * 10.0**e for e in range(-9, 9) for m in (1, 2, 5)]
    value = max((d for d in rounds if length(d) <= width / 4), default=rounds[0])
    left, low = float(xy_K2[:, 0].min()), float(xy_K2[:, 1].min()) - 0.12 * width
    axis.plot([left, left + length(value)], [low, low], color=_INK, linewidth=2, solid_capstyle="butt")
    axis.annotate(f"{value:g} {unit}", (left, low), xytext=(0, -10), textcoords="offset points", fontsize=7, color=_INK)


def _ruler(axis: Any, apart: NDArray[np.float64], references: Mapping[str, float], unit: str) -> None:
    apart = apart[apart > 0]
    axis.set_xscale("log")
    axis.vlines(apart, 0, 0.35, color=_LINES[0], linewidth=0.8, alpha=0.7)
    for i, (name, value) in enumerate(references.items()):
        axis.plot([value], [0.5 + 0.2 * (i % 6)], "|", color=_LINES[1], markersize=8)
        axis.annotate(
            name, (value, 0.5 + 0.2 * (i % 6)), xytext=(4, 0), textcoords="offset points", va="center", fontsize=6, color=_INK
        )
    axis.set_ylim(0, 1.75 if references else 0.5)
    axis.set_yticks([])
    axis.spines["left"].set_visible(False)
    marks = "; above: reference medians, third-party figures of other texts and models" if references else ""
    axis.set_xlabel(f"{unit}, a stroke for every pair{marks}", fontsize=8)


def heatmap(path: Path, names: Sequence[str], d_KK: NDArray[np.float64], unit: str) -> Path:
    """Draws distances, models in the order of a dendrogram (average linkage of their roots), which stands above them."""
    from scipy.cluster.hierarchy import dendrogram, linkage, optimal_leaf_ordering

    apart = np.sqrt(d_KK[np.triu_indices(len(names), 1)])
    tree = optimal_leaf_ordering(linkage(apart, "average"), apart)
    shape = dendrogram(tree, no_plot=True)
    order = shape["leaves"]
    side = max(5.0, 0.28 * len(names))
    grid = {"height_ratios": [1, 5]}
    with pictured(path, nrows=2, ncols=1, figsize=(side + 1.5, 1.2 * side), gridspec_kw=grid) as (_, (above, axis)):
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
    path: Path,
    to_last: NDArray[np.float64],
    adjacent: NDArray[np.float64],
    unit: str,
    scores: Mapping[str, Sequence[float]] | None = None,
    measure: str = "nDCG@10",
) -> Path:
    """Draws each layer's distance to the last and to the next, and retrieval by layer on a second axis where it is given.

    `scores` has a line of values by layer for each form of states.
    """
    with pictured(path, figsize=(6.4, 3.6)) as (_, axis):
        drawn = axis.plot(range(len(to_last) - 1), to_last[:-1], "o-", color=_LINES[0], label="to the last layer")
        drawn += axis.plot(range(len(adjacent)), adjacent, "s--", color=_LINES[1], label="to the next layer")
        axis.set_yscale("log")
        axis.set_xticks(range(len(to_last)))
        axis.set_xlabel("layer")
        axis.set_ylabel(unit)
        if scores:
            other = axis.twinx()
            for i, (name, values) in enumerate(scores.items()):
                drawn += other.plot(
                    range(len(values)), values, "^v"[i % 2] + ":", color=_LINES[2 + i], label=f"{measure}, {name}"
                )
            other.set_ylabel(measure)
            other.set_ylim(bottom=0)
            other.spines["right"].set_visible(True)
        axis.legend(handles=drawn, frameon=False, fontsize=7)
    return path


def lags(path: Path, times: NDArray[np.float64], moved: NDArray[np.float64], slope: float, fit: float, unit: str) -> Path:
    """Draws the distance from a checkpoint by lag, both as logarithms, with the fitted line."""
    with pictured(path, figsize=(5, 3.4)) as (_, axis):
        axis.loglog(times, moved, "o", color=_LINES[0])
        line = np.exp(np.log(moved).mean() + slope * (np.log(times) - np.log(times).mean()))
        axis.loglog(times, line, color=_LINES[1], label=f"exponent {slope:.2f}, R² {fit:.2f}")
        axis.set_xlabel("steps later")
        axis.set_ylabel(unit)
        axis.legend(frameon=False)
    return path
