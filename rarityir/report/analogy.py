"""Relations as pictures: pairs as arrows, scores by group and by year, what an offset gains by cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rarityir.report.drawing import pictured

_INK, _LINES = "#1b1b1b", ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#444444", "#b8a000")
_MARKS = "osD^vP"
FEWEST = 8  # topics of a cluster whose gain or loss is coloured


def arrows(
    path: Path, queries_P2: NDArray[np.float64], answers_P2: NDArray[np.float64], groups: Sequence[str], share: float
) -> Path:
    """Draws every pair as a thin arrow from query to answer, and each group's mean as a thick one."""
    names = list(dict.fromkeys(groups))
    with pictured(path, figsize=(7, 5.4)) as (_, axis):
        of = np.array([names.index(group) for group in groups])
        for number, name in enumerate(names):
            colour, own = _LINES[number % len(_LINES)], of == number
            start, away = queries_P2[own], (answers_P2 - queries_P2)[own]
            width = {"angles": "xy", "scale_units": "xy", "scale": 1, "color": colour}
            axis.quiver(*start.T, *away.T, width=0.0012, alpha=0.35, **width)
            axis.quiver(*start.mean(axis=0), *away.mean(axis=0), width=0.006, **width)
            if name:
                at = (start + away).mean(axis=0)
                axis.annotate(name, at, xytext=(3, 3), textcoords="offset points", fontsize=7, color=_INK)
        both = np.concatenate([queries_P2, answers_P2])
        axis.set_xlim(both[:, 0].min(), both[:, 0].max())
        axis.set_ylim(both[:, 1].min(), both[:, 1].max())
        axis.set_xlabel(f"first two principal axes, {share:.0%} of the variance; thick: the mean of a group")
    return path


def groups(path: Path, sizes: Mapping[str, int], scores: Mapping[str, Mapping[str, float]], measure: str) -> Path:
    """Draws every group's score by its size, a mark for each row of the evaluation; the first row's groups are named."""
    with pictured(path, figsize=(7, 4.4)) as (_, axis):
        for number, (row, of) in enumerate(scores.items()):
            xy = np.array([[sizes.get(group, 0), value] for group, value in of.items()])
            form = {"color": _LINES[number % len(_LINES)], "marker": _MARKS[number % len(_MARKS)], "label": row}
            axis.scatter(*xy.T, s=36 if number == 0 else 14, alpha=0.85 if number == 0 else 0.5, **form)
            for group, at in zip(of, xy, strict=True) if number == 0 else ():
                axis.annotate(group, at, xytext=(4, 2), textcoords="offset points", fontsize=6, color=_INK)
        axis.set_xscale("log")
        rounds = [m * 10**e for e in range(7) for m in (1, 2, 5)]
        axis.set_xticks(rounds, [str(n) for n in rounds])
        axis.minorticks_off()
        axis.set_xlim(0.8 * min(sizes.values()), 1.4 * max(sizes.values()))
        axis.set_xlabel("pairs of the group")
        axis.set_ylabel(measure)
        axis.set_ylim(bottom=-0.02)
        axis.legend(frameon=False, fontsize=7)
    return path


def years(
    path: Path,
    cuts: Sequence[float],
    known: Sequence[int],
    later: Sequence[int],
    scores: Mapping[str, Sequence[float]],
    measure: str,
) -> Path:
    """Draws the score of later pairs by the year of the cut, and below how many pairs were known and how many came later."""
    with pictured(path, figsize=(6.4, 4.6), nrows=2, ncols=1, sharex=True, gridspec_kw={"height_ratios": [3, 1.3]}) as (_, axes):
        for number, (row, values) in enumerate(scores.items()):
            mark = _MARKS[number % len(_MARKS)] + ("-" if number == 0 else "--")
            axes[0].plot(cuts, values, mark, color=_LINES[number % len(_LINES)], label=row, linewidth=1.6 if number == 0 else 0.9)
        axes[0].set_ylabel(measure)
        axes[0].set_ylim(bottom=-0.02)
        axes[0].legend(frameon=False, fontsize=7)
        axes[1].plot(cuts, known, "o-", color=_LINES[0], label="known by then")
        axes[1].plot(cuts, later, "s--", color=_LINES[1], label="later")
        axes[1].set_yscale("log")
        axes[1].set_ylabel("pairs")
        axes[1].set_xlabel("fitted on what was known by")
        axes[1].legend(frameon=False, fontsize=7)
    return path


def gains(path: Path, found: Sequence[tuple[int, int, float, float, float]], measure: str) -> Path:
    """Draws each cluster's mean difference with its interval, the best first; a point's area is its topics."""
    ordered = sorted(found, key=lambda gain: -gain[2])
    with pictured(path, figsize=(max(4.5, 0.32 * len(ordered) + 1.5), 3.6)) as (_, axis):
        axis.axhline(0, color=_INK, linewidth=0.6)
        for x, (_, topics, mean, low, high) in enumerate(ordered):
            sure = topics >= FEWEST  # of fewer, an interval by the bootstrap is too narrow
            colour = _LINES[2] if sure and low > 0 else _LINES[1] if sure and high < 0 else _LINES[6]
            axis.plot([x, x], [low, high], color=colour, linewidth=1.2)
            axis.scatter([x], [mean], s=8 + 4 * topics, color=colour, alpha=0.7)
        axis.set_xticks(range(len(ordered)), [f"{gain[0]}\n{gain[1]}" for gain in ordered], fontsize=7)
        axis.set_xlabel("cluster, and its topics")
        axis.set_ylabel(f"difference in {measure}")
    return path
