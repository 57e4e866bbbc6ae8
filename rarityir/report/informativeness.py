"""What tokens tell as pictures: against how often they occur, exact against second order, what powers are worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rarityir.report.drawing import INK, drawn
from rarityir.types import Ints, RarityError

Doubles = NDArray[np.float64]
# Okabe and Ito's colours, told apart by all
_LINES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#999999", "#1b1b1b")


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


@dataclass(frozen=True, eq=False)
class Orders:
    """Of S states: the exact divergence, the form to second order, how often their tokens occur; the line's slope and R²."""

    title: str
    exact: Doubles = field(repr=False)
    second: Doubles = field(repr=False)
    n: Ints = field(repr=False)
    slope: float
    r2: float


@dataclass(frozen=True)
class Curve:
    """A panel: of each weight, by name, its powers, what each changes, and the low and high end of its interval."""

    title: str
    lines: Mapping[str, Sequence[Sequence[float]]]


def picture(found: Scatter, path: Path) -> Path:
    """Draws values against n, and against the IDF, coloured by log n, as SVG, PNG or PDF."""
    panels = 1 + (found.other is not None)
    with drawn(path, (3.6 * panels, 3.2), (1, panels)) as (figure, axes):
        order = np.argsort(found.n, kind="stable")
        left = axes[0, 0]
        corrected = not np.array_equal(found.raw, found.values)
        shown = (("raw", found.raw), ("corrected", found.values)) if corrected else (("value", found.raw),)
        for colour, (name, values) in zip(_LINES, shown, strict=False):
            left.plot(found.n, values, ".", color=colour, markersize=1.5, alpha=0.4, label=name, rasterized=True)
        left.plot(found.n[order], found.low[order], color=INK, linewidth=1, label="3 % quantile")
        left.set_xscale("log")
        left.set_xlabel("occurrences")
        left.set_ylabel("nats")
        left.set_title(found.title, loc="left")
        left.legend(frameon=False, markerscale=6)
        if found.other is not None:
            points = axes[0, 1].scatter(found.other, found.values, c=np.log10(found.n), s=2, cmap="cividis", rasterized=True)
            axes[0, 1].set_xlabel(found.other_name)
            figure.colorbar(points, label="log₁₀ occurrences")
    return path


def orders(found: Orders, path: Path) -> Path:
    """Draws the second order against the exact divergence, coloured by log n, with y = x and the fitted line."""
    with drawn(path, (4.4, 3.7), (1, 1)) as (figure, axes):
        panel = axes[0, 0]
        points = panel.scatter(found.exact, found.second, c=np.log10(found.n), s=2, cmap="cividis", rasterized=True)
        ends = np.array([0.0, float(found.exact.max())])
        start = float(found.second.mean() - found.slope * found.exact.mean())
        panel.plot(ends, ends, color=INK, linewidth=0.8, linestyle="--", label="y = x")
        fitted = f"slope {found.slope:.2f}, R² {found.r2:.2f}"
        panel.plot(ends, start + found.slope * ends, color=_LINES[1], linewidth=1.2, label=fitted)
        panel.set_xlabel("KL, exact (nats)")
        panel.set_ylabel("½ (h − h₀)ᵀ G (h − h₀)")
        panel.set_title(found.title, loc="left")
        figure.legend(loc="outside lower center", ncols=2, frameon=False)
        figure.colorbar(points, label="log₁₀ occurrences")
    return path


def curves(panels: Sequence[Curve], path: Path, *, columns: int, ylabel: str) -> Path:
    """Draws each panel's lines over the power γ, with their intervals, and one legend below; 0 is no change."""
    rows = -(-len(panels) // columns)
    names = list(dict.fromkeys(name for panel in panels for name in panel.lines))
    if len(names) > len(_LINES):
        raise RarityError(f"{len(names)} weights in one picture cannot be told apart; draw {len(_LINES)} at most")
    with drawn(path, (3.2 * columns, 2.6 * rows + 0.6), (rows, columns)) as (figure, axes):
        handles: dict[str, Any] = {}
        for panel, axis in zip(panels, axes.flat, strict=False):
            axis.axhline(0.0, color=INK, linewidth=0.6)
            for name, (gamma, change, low, high) in panel.lines.items():
                colour = _LINES[names.index(name)]
                axis.fill_between(gamma, low, high, color=colour, alpha=0.12, linewidth=0)
                (handles[name],) = axis.plot(gamma, change, color=colour, marker="o", markersize=3, linewidth=1.2)
            axis.set_title(panel.title, loc="left")
            axis.set_xlabel("γ")
        for axis in axes.flat[len(panels) :]:
            axis.set_visible(False)
        for row in axes:
            row[0].set_ylabel(ylabel)
        labels = [name for name in names if name in handles]
        figure.legend([handles[name] for name in labels], labels, loc="outside lower center", ncols=4, frameon=False)
    return path
