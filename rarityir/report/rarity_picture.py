"""Pictures of what a probe of rarity found, as SVG, PNG or PDF; in colours that a page may replace."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from rarityir.report import colours
from rarityir.report.letters import FONT, drawable
from rarityir.report.matching import visible
from rarityir.report.rarity import Bands, Curve, Grid, Layers, Part, Scatter, Vector
from rarityir.report.rarity_ink import GROUND, INK, INKS, OCCURRENCES, QUIET, TYPES, labelled, names, short
from rarityir.report.rarity_tokens import Bursts, Forest, Ranks, Suspicion
from rarityir.report.rarity_tokens_picture import draw, hexagons, size
from rarityir.report.variation import check_picture
from rarityir.types import RarityError

_LEAST = -1.0  # R² that is shown


def picture(part: Part, path: Path, *, titled: bool = True) -> Path:
    """Draws one part as SVG, PNG or PDF, under its title or without; the same part gives the same bytes."""
    check_picture(path)
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(
        {
            "svg.hashsalt": f"rarityir {part.name}",
            "font.family": FONT,
            "text.parse_math": False,
            "font.size": 9,
            "axes.spines.top": False,
            "axes.spines.right": False,
            **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK),
        }
    ):
        figure = Figure(figsize=_size(part), layout="constrained", facecolor=GROUND)
        axis = _draw(figure, part)
        title = drawable(visible(part.title)) if titled else ""
        if title and isinstance(part, Forest):  # whose panels have titles of their own
            figure.suptitle(title, x=0.01, ha="left", fontsize=10)
        elif title:
            axis.set_title(title, loc="left", fontsize=10)
        path.parent.mkdir(parents=True, exist_ok=True)
        metadata = {"Date": None} if path.suffix == ".svg" else {"CreationDate": None} if path.suffix == ".pdf" else None
        figure.savefig(path, dpi=150, metadata=metadata)
    return path


def pictures(parts: Sequence[Part], folder: Path, kinds: Sequence[str] = (".svg", ".png")) -> list[Path]:
    """Draws every part into a folder, under its name; two parts of one name are a `RarityError`."""
    given = [part.name for part in parts]
    if len(set(given)) < len(given):
        raise RarityError(f"two of the pictures {', '.join(given)} have one name, and would be one file; name them apart")
    return [picture(part, folder / f"{part.name}{kind}") for part in parts for kind in kinds]


def _size(part: Part) -> tuple[float, float]:
    match part:
        case Bands():
            return 7, 4
        case Scatter():
            return 7, 6
        case Grid():
            return max(5.0, 2.2 + 1.1 * len(part.targets)), 1.1 + 0.34 * len(part.models)
        case Ranks() | Bursts() | Suspicion() | Forest():
            return size(part)
        case _:
            return 7, 3.6


def _draw(figure: Any, part: Part) -> Any:
    """Draws a part and returns the axis that a title stands over."""
    match part:
        case Curve():
            return _curve(figure, part)
        case Bands():
            return _bands(figure, part)
        case Layers():
            return _layers(figure, part)
        case Scatter():
            return _scatter(figure, part)
        case Grid():
            return _grid(figure, part)
        case Ranks() | Bursts() | Suspicion() | Forest():
            return draw(figure, part)


def _curve(figure: Any, part: Curve) -> Any:
    axis = figure.subplots()
    k = part.components
    if part.null_low is not None and part.null_high is not None:
        axis.fill_between(k, part.null_low, part.null_high, color=QUIET, alpha=0.25, linewidth=0, label="permuted targets, 95 %")
    axis.plot(k, part.null, color=QUIET, linestyle=(0, (4, 2)), linewidth=1, label="noise: −k / (n − k − 1)")
    if part.low is not None and part.high is not None:
        axis.fill_between(k, part.low, part.high, color=TYPES, alpha=0.2, linewidth=0)
    axis.plot(k, part.types, color=TYPES, linewidth=1.5, label="types")
    if part.occurrences is not None:
        axis.plot(k, part.occurrences, color=OCCURRENCES, linewidth=1.5, label="occurrences")
    axis.axhline(0, color=INK, linewidth=0.5)
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_formatter("")
    axis.set_xlim(k.min() * 0.9, k.max() * 1.7)
    ends = [
        (k.max(), values[-1:], c) for values, c in ((part.types, TYPES), (part.occurrences, OCCURRENCES)) if values is not None
    ]
    for (value, low, high), colour in zip(part.ridge, (TYPES, OCCURRENCES)):
        axis.vlines(k.max() * 1.15, low, high, color=colour, linewidth=1.5)
        label = "ridge, all components, 95 %" if colour == TYPES else None
        axis.plot([k.max() * 1.15], [value], "D", color=colour, markersize=4, label=label, linestyle="")
    last = [(float(pair[0]), e[2]) for pair, e in zip(part.ridge, ends)] or [(float(e[1][0]), e[2]) for e in ends]
    for (value, colour), at in zip(last, _apart([value for value, _ in last])):
        if value > _LEAST:
            place = k.max() * (1.22 if part.ridge else 1.06)
            axis.text(place, at, short(value), color=colour, va="center", fontsize=8)
    _bounded(axis, [part.types, part.occurrences, part.null_low])
    axis.set_xlabel(f"principal components, of {part.rows} training rows")
    labelled(axis)
    return axis


def _bands(figure: Any, part: Bands) -> Any:
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1, 2))
    ranks = np.arange(1, len(part.values) + 1) if part.places is None else part.places
    above.plot(ranks, np.maximum(part.values, part.values[part.values > 0].min(initial=1e-12)), color=INK, linewidth=1)
    above.set_yscale("log")
    above.yaxis.set_major_formatter("{x:g}")
    above.yaxis.set_minor_formatter("")
    above.set_ylabel(part.of)
    left, wide = part.edges[:-1] + 0.5, np.diff(part.edges)
    below.bar(left + 0.05 * wide, part.types, 0.9 * wide, align="edge", color=TYPES, label="types")
    _bounded(below, [part.types, part.occurrences])
    if part.occurrences is not None:
        floor, middle = below.get_ylim()[0], left + wide / 2
        lost = part.occurrences < floor
        below.plot(middle[~lost], part.occurrences[~lost], "o", color=OCCURRENCES, markersize=5, label="occurrences")
        if lost.any():
            label = f"occurrences, below {floor:.2g}".replace("-", "−")
            at = np.full(int(lost.sum()), floor + 0.04)
            below.plot(middle[lost], at, "v", color=OCCURRENCES, markersize=5, label=label)
    below.axhline(0, color=INK, linewidth=0.5)
    below.set_xlim(0.5, part.edges[-1] + 0.5)
    below.set_xlabel(f"component, by falling {part.of}")
    labelled(below)
    return above


def _layers(figure: Any, part: Layers) -> Any:
    axis = figure.subplots()
    at = np.arange(len(part.labels))
    for low, high, colour, aside in ((part.low, part.high, TYPES, -0.03), (part.least, part.most, OCCURRENCES, 0.03)):
        if low is not None and high is not None:
            axis.vlines(at + aside, low, high, color=colour, linewidth=1)
    axis.plot(at, part.types, "o-", color=TYPES, markersize=4, linewidth=1.2, label="types")
    if part.occurrences is not None:
        axis.plot(at, part.occurrences, "s-", color=OCCURRENCES, markersize=4, linewidth=1.2, label="occurrences")
    if part.control is not None:
        axis.plot(at, part.control, "^--", color=QUIET, markersize=4, linewidth=1, label="control task")
    axis.axhline(0, color=INK, linewidth=0.5)
    axis.set_xticks(at, names(part.labels), rotation=0 if sum(map(len, part.labels)) < 70 else 45)
    axis.margins(x=0.04)
    _bounded(axis, [part.types, part.occurrences, part.control, part.low, part.least])
    labelled(axis)
    return axis


def _scatter(figure: Any, part: Scatter) -> Any:
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    both = np.concatenate([part.actual, part.predicted])
    low, high = float(both.min()), float(both.max())
    hexagons(figure, above, part.actual, part.predicted, of="types")
    above.plot([low, high], [low, high], color=INK, linewidth=0.8, linestyle=(0, (4, 2)))
    edges, by_type, by_occurrence, share = part.bias()
    middle, wide = (edges[:-1] + edges[1:]) / 2, np.diff(edges)
    if part.counts is not None:
        size = 400 * share + 4
        label = "occurrences: mean error, size by share"
        above.scatter(middle, middle + by_occurrence, s=size, facecolor="none", edgecolor=OCCURRENCES, linewidth=1.6, label=label)
        above.legend(frameon=False, loc="upper left")
    above.set_ylabel(f"predicted{part.units and f', {part.units}'}")
    thin = 0.42 if part.counts is not None else 0.9
    below.bar(edges[:-1] + 0.05 * wide, by_type, thin * wide, align="edge", color=TYPES, label="types")
    if part.counts is not None:
        below.bar(edges[:-1] + 0.5 * wide, by_occurrence, thin * wide, align="edge", color=OCCURRENCES, label="occurrences")
    below.axhline(0, color=INK, linewidth=0.5)
    below.set_ylabel("mean error")
    below.legend(frameon=False, ncols=2)
    below.set_xlabel(f"actual{part.units and f', {part.units}'}")
    return above


def _grid(figure: Any, part: Grid) -> Any:
    from matplotlib.patches import Rectangle

    axis = figure.subplots()
    light, dark = colours.table("rarity"), colours.table("rarity", dark=True)
    for i, j in np.argwhere(np.isfinite(part.types)):
        value = float(part.types[i, j])
        level = round((len(light) - 1) * min(max(value, 0.0), 1.0))
        axis.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, facecolor=colours.hexed(light[level]), edgecolor=GROUND))
        shown = " | ".join(short(float(v[i, j])) for v in (part.types, part.occurrences) if v is not None)
        ink = INKS[colours.ink(light[level]), colours.ink(dark[level])]
        axis.text(j, i, shown, ha="center", va="center", fontsize=8, color=ink)
    axis.set_xlim(-0.5, len(part.targets) - 0.5)
    axis.set_ylim(len(part.models) - 0.5, -0.5)
    axis.set_xticks(range(len(part.targets)), names(part.targets))
    axis.set_yticks(range(len(part.models)), names(part.models))
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    if part.occurrences is not None:
        axis.set_xlabel("types | occurrences; colour of types", fontsize=8)
    return axis


def _bounded(axis: Any, shown: Sequence[Vector | None]) -> None:
    """Shows R² up to 1 and down to what there is, but no lower than −1: below that only how bad it is differs."""
    least = min((float(np.nanmin(v)) for v in shown if v is not None and np.isfinite(v).any()), default=0.0)
    axis.set_ylim(max(_LEAST, min(-0.05, 1.1 * least)), 1.02)
    axis.set_ylabel("R², cut at −1" if least < _LEAST else "R²")


def _apart(values: Sequence[float], room: float = 0.07) -> list[float]:
    """Places for labels at values: no two nearer than there is room for."""
    places = list(values)
    order = sorted(range(len(values)), key=lambda i: values[i])
    for one, other in pairwise(order):
        places[other] = max(places[other], places[one] + room)
    return places
