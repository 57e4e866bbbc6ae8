"""Pictures of tokens, in the colours of all pictures of rarity."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rarityir.report import colours
from rarityir.report.rarity_ink import INK, LINE, OCCURRENCES, QUIET, TYPES, labelled, names
from rarityir.report.rarity_tokens import Bursts, Forest, Ranks, Suspicion, TokenPart

_POINTS = 300  # of a line
_MARKED = 2000  # tokens with a mark of their own
_UNSEEN = 0.3  # where tokens that are never written stand among counts
_ASIDE = 0.7  # of that, reference rows
_ACROSS = 3  # panels side by side
_SHAPES = "os^Dv"
_COUNTS = "{x:,.0f}"


def size(part: TokenPart) -> tuple[float, float]:
    """Returns a picture's width and height in inches."""
    match part:
        case Ranks():
            return 7, 4
        case Bursts():
            return 7, 6
        case Suspicion():
            return 7, 4.6
        case Forest():
            down = math.ceil(len(part.panels) / _ACROSS)
            return 7, 0.8 + down * (0.7 + 0.21 * len(part.rows))


def draw(figure: Any, part: TokenPart) -> Any:
    """Draws a part and returns the axis that a title stands over."""
    match part:
        case Ranks():
            return _ranks(figure, part)
        case Bursts():
            return _bursts(figure, part)
        case Suspicion():
            return _suspicion(figure, part)
        case Forest():
            return _forest(figure, part)


def _ranks(figure: Any, part: Ranks) -> Any:
    axis = figure.subplots()
    counts, documents = part.sorted
    at = np.unique(np.geomspace(1, max(part.seen, 1), _POINTS).round().astype(int))
    axis.plot(at, part.zipf[at - 1], color=QUIET, linestyle=(0, (4, 2)), linewidth=1, label="Zipf: cf falls as 1 / rank")
    axis.plot(at, counts[at - 1], color=OCCURRENCES, linewidth=1.5, label="occurrences, cf")
    if documents is not None:
        axis.plot(at, documents[at - 1], color=TYPES, linewidth=1.5, label="documents, df")
    vocabulary = len(part.cf)
    if part.seen < vocabulary:
        label = f"never seen: {vocabulary - part.seen:,} tokens"
        axis.axvspan(part.seen + 0.5, vocabulary + 0.5, color=QUIET, alpha=0.25, linewidth=0, label=label)
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlim(0.9, vocabulary + 0.5)
    axis.set_ylim(bottom=0.7)
    _counted(axis.xaxis)
    _counted(axis.yaxis)
    axis.set_xlabel("rank of the token, by each count")
    axis.set_ylabel("count")
    labelled(axis)
    return axis


def _bursts(figure: Any, part: Bursts) -> Any:
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    seen = part.df > 0
    df, cf = part.df[seen], part.cf[seen]
    hexagons(figure, above, df, cf, xscale="log", yscale="log")
    ends = np.geomspace(1, max(int(df.max()), 2), _POINTS)
    above.plot(ends, ends, color=INK, linewidth=0.8, linestyle=(0, (4, 2)), label="once in each document")
    inside = ends < part.documents
    above.plot(ends[inside], part.poisson(ends[inside]), color=OCCURRENCES, linewidth=1.5, label="fallen at random")
    above.set_ylim(0.8, float(cf.max()) * 1.5)
    _counted(above.yaxis)
    above.set_ylabel("occurrences, cf")
    above.legend(frameon=False, loc="upper left", fontsize=8)
    edges, _, found, chance = part.bands()
    middle = np.sqrt(edges[:-1] * np.minimum(edges[1:] - 1, part.documents))
    below.vlines(middle, found[:, 0], found[:, 2], color=TYPES, linewidth=1.2, label="a tenth to nine tenths")
    below.plot(middle, found[:, 1], "o", color=TYPES, markersize=4, label="median")
    below.plot(middle, chance, color=OCCURRENCES, linewidth=1.5, label="fallen at random")
    below.set_yscale("log")
    most = float(np.nanmax(found))
    below.set_yticks([y for n in range(6) for y in (10**n, 2 * 10**n, 5 * 10**n) if y <= most * 1.5])
    below.yaxis.set_major_formatter("{x:g}")
    below.yaxis.set_minor_formatter("")
    below.set_ylim(0.9, most * 1.3)
    below.set_ylabel("times in a document\nthat has it, cf / df")
    _counted(below.xaxis)
    below.set_xlabel(f"documents that have the token, df, of {part.documents:,}")
    below.grid(axis="y", color=LINE, linewidth=0.5)
    below.set_axisbelow(True)
    below.legend(frameon=False, loc="upper left", fontsize=8)
    return above


def _suspicion(figure: Any, part: Suspicion) -> Any:
    axis = figure.subplots()
    scale, at = ("linear", np.arange(len(part.score))) if part.cf is None else ("log", np.maximum(part.cf, _UNSEEN))
    usual = part.groups["usual"]
    if usual.any():
        hexagons(figure, axis, at[usual], part.score[usual], xscale=scale)
    # Most reference rows and most flagged tokens are never seen: beside each other there, not above.
    aside = np.ones(len(at)) if part.cf is None else np.where(part.unused & (part.cf == 0), _ASIDE, 1.0)
    at = at * aside
    for inside, mark, colour, label in (
        (part.flagged, "v", OCCURRENCES, "flagged as under-trained"),
        (part.unused, "x", INK, "reference rows, which no text trains"),
    ):
        ids = np.flatnonzero(inside)
        ids = ids[np.argsort(-part.score[ids], kind="stable")][:_MARKED]
        some = "" if len(ids) == inside.sum() else f", the first {_MARKED:,}"
        style = {"linestyle": "", "markersize": 4, "markerfacecolor": "none", "markeredgewidth": 1}
        axis.plot(at[ids], part.score[ids], mark, color=colour, label=f"{label}{some}: {int(inside.sum()):,}", **style)
    axis.axhline(part.threshold, color=OCCURRENCES, linestyle=(0, (4, 2)), linewidth=1, label=f"threshold {part.threshold:.2f}")
    axis.set_ylabel("score, spreads from the usual")
    if part.cf is None:
        axis.set_xlabel("token's number")
    else:
        most = int(part.cf.max(initial=1))
        powers = [10**n for n in range(len(str(most)))]
        axis.set_xlim(_UNSEEN * 0.5, most * 1.5)
        axis.set_xticks([_UNSEEN, *powers], ["unseen", *(f"{power:,}" for power in powers)])
        axis.xaxis.set_minor_formatter("")
        axis.set_xlabel("occurrences, cf")
    axis.grid(axis="y", color=LINE, linewidth=0.5)
    axis.set_axisbelow(True)
    # Below the picture: no corner is sure to be free.
    figure.legend(loc="outside lower left", frameon=False, fontsize=8, ncols=2)
    return axis


def hexagons(
    figure: Any, axis: Any, x: Any, y: Any, *, xscale: str = "linear", yscale: str = "linear", of: str = "tokens"
) -> None:
    """Draws how many points fall into each hexagon, by steps of the logarithm, and a bar that says how many."""
    from matplotlib.colors import ListedColormap

    steps = ListedColormap([colours.hexed(c) for c in colours.table("rarity")[24::8]])
    how = {"gridsize": 44, "bins": "log", "mincnt": 1, "cmap": steps, "linewidths": 0.1}
    drawn = axis.hexbin(x, y, xscale=xscale, yscale=yscale, **how)
    bar = figure.colorbar(drawn, ax=axis, label=of, pad=0.01)
    _counted(bar.ax.yaxis)


def _counted(axis: Any) -> None:
    """Writes plain counts at the powers of ten of a logarithmic axis: a formula would stand there as its source."""
    axis.set_major_formatter(_COUNTS)
    axis.set_minor_formatter("")


def _forest(figure: Any, part: Forest) -> Any:
    across = min(_ACROSS, len(part.panels))
    down = math.ceil(len(part.panels) / across)
    axes = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
    kinds = list(dict.fromkeys(kind for _, kind in part.rows))
    place = np.arange(len(part.rows))
    for p, axis in enumerate(axes.flat):
        if p >= len(part.panels):
            axis.set_visible(False)
            continue
        for line in part.lines:
            axis.axvline(line, color=INK, linewidth=0.5)
        if part.low is not None and part.high is not None:
            axis.hlines(place, part.low[p], part.high[p], color=TYPES, linewidth=1.2)
        for r, (_, kind) in enumerate(part.rows):
            fill = TYPES if part.sure[p, r] else "none"
            shape = _SHAPES[kinds.index(kind) % len(_SHAPES)]
            axis.plot(part.values[p, r], r, shape, color=TYPES, markersize=5, markerfacecolor=fill)
        axis.set_title(names([part.panels[p]])[0], fontsize=9, loc="left")
        axis.set_ylim(len(part.rows) - 0.5, -0.5)
        axis.locator_params(axis="x", nbins=4)
        axis.grid(axis="x", color=LINE, linewidth=0.5)
        axis.set_axisbelow(True)
        axis.tick_params(axis="x", labelbottom=True)
        axis.tick_params(axis="y", length=0)
    axes[0, 0].set_yticks(place, names([" ".join(filter(None, row)) for row in part.rows]))
    figure.supxlabel(names([f"{part.axis}; hollow: {part.told}" if part.told else part.axis])[0], fontsize=9, color=INK)
    return axes[0, 0]
