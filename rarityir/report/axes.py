"""Independent axes as pictures: rankings by few coordinates, what taking axes out does, and how far from Gaussian axes are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rarityir.report.drawing import INK, drawn
from rarityir.types import RarityError

_QUIET = "#999999"
_LINES = {"ica": "#0072b2", "pca": "#d55e00", "random": "#999999"}  # Okabe and Ito's colours, told apart by all
TAILS = ("skewness", "excess kurtosis")
APART = 1.4  # times as many coordinates at least, so that two labels do not touch
SHOWN = 40  # effects in one picture


@dataclass(frozen=True)
class Change:
    """What taking some axes out changes: its name, Δ, the ends of its interval, Δ of other axes; whether it is beyond chance."""

    name: str
    difference: float
    low: float
    high: float
    others: Sequence[float]
    beyond: bool


def few(title: str, p: Sequence[int], panels: Mapping[str, Mapping[str, Sequence[float]]], path: Path) -> Path:
    """Draws each measure, a panel, over the p coordinates kept, a line for each kind of axes."""
    with drawn(path, (3.4 * len(panels), 3.2), (1, len(panels))) as (_, axes):
        for axis, (measure, kinds) in zip(axes.flat, panels.items(), strict=True):
            for kind, values in kinds.items():
                axis.plot(p, values, color=_LINES.get(kind, INK), marker="o", markersize=3, linewidth=1.2, label=kind)
            axis.set_xscale("log")
            apart = [one for one, after in zip(p, [*p[1:], None], strict=True) if after is None or after > APART * one]
            axis.set_xticks(apart, [str(value) for value in apart])
            axis.minorticks_off()
            axis.set_xlabel("coordinates kept")
            axis.set_ylabel(measure)
            axis.set_ylim(bottom=0)
        axes[0, 0].set_title(title, loc="left")
        axes[0, 0].legend(frameon=False)
    return path


def effects(title: str, measure: str, changes: Sequence[Change], directions: Sequence[float], path: Path) -> Path:
    """Draws the largest changes from below with their intervals, other axes' as rings, the reach of random directions shaded."""
    if not changes:
        raise RarityError("no axis was taken out, so there is nothing to draw")
    shown = sorted(changes, key=lambda one: abs(one.difference))[-SHOWN:]
    shown.sort(key=lambda one: one.difference)
    with drawn(path, (5.6, 1.0 + 0.2 * len(shown)), (1, 1)) as (_, axes):
        axis = axes[0, 0]
        if directions:
            axis.axvspan(min(directions), max(directions), color=_QUIET, alpha=0.25, linewidth=0, label="random directions")
        axis.axvline(0.0, color=INK, linewidth=0.6)
        for row, one in enumerate(shown):
            axis.plot([one.low, one.high], [row, row], color=_LINES["ica"], linewidth=1, alpha=0.6)
            axis.plot(one.others, [row] * len(one.others), "o", color=_LINES["pca"], markersize=2.5, markerfacecolor="none")
            face = _LINES["ica"] if one.beyond else "white"
            axis.plot([one.difference], [row], "o", color=_LINES["ica"], markersize=4.5, markerfacecolor=face)
        axis.plot([], [], "o", color=_LINES["ica"], label="beyond chance (Holm)")
        axis.plot([], [], "o", color=_LINES["ica"], markerfacecolor="white", label="not")
        axis.plot([], [], "o", color=_LINES["pca"], markersize=2.5, markerfacecolor="none", label="other axes")
        axis.set_yticks(range(len(shown)), [one.name for one in shown], fontsize=7)
        axis.set_ylim(-1, len(shown))
        axis.set_xlabel(f"change of {measure}")
        axis.locator_params(axis="x", nbins=6)
        axis.set_title(title, loc="left")
        axis.legend(frameon=False, fontsize=7, loc="upper left")
    return path


def tails(title: str, skew: Sequence[float], kurtosis: Sequence[float], reach: Mapping[str, float], path: Path) -> Path:
    """Draws skewness and excess kurtosis of axes by rank; `reach` is how far Gaussian rows come, by the panel's name."""
    with drawn(path, (6.8, 3.0), (1, 2)) as (_, axes):
        for axis, (name, values) in zip(axes.flat, zip(TAILS, (skew, kurtosis), strict=True), strict=True):
            axis.plot(range(1, len(values) + 1), values, ".", color=_LINES["ica"], markersize=4)
            axis.axhspan(-reach[name], reach[name], color=_QUIET, alpha=0.25, linewidth=0)
            axis.set_xlabel("axis (shaded: within chance of Gaussian rows)")
            axis.set_ylabel(name)
        axes[0, 0].set_title(title, loc="left")
    return path
