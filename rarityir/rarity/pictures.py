"""A study of rows as pictures: the curve, the bands, the errors; and several studies side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rarityir import store
from rarityir.rarity.folds import orders
from rarityir.rarity.heat import units
from rarityir.rarity.probe import RarityProbe
from rarityir.rarity.sample import CONTROLS
from rarityir.rarity.study import Study
from rarityir.report import rarity_page
from rarityir.report.rarity import Bands, Curve, Grid, Layers, Part, Scatter, Vector
from rarityir.report.rarity_picture import pictures

_POINTS = 80  # of a curve
_PERMUTED = 39  # curves that the ribbon of permuted targets is of, at most
_NORMAL = 1.959964  # 97.5 % of a normal distribution lie below


def parts(study: Study, *, bands: bool = False) -> list[Part]:
    """Returns the pictures of a study's first target: curve, bands, errors, errors with the head repaired where it was.

    With `bands` it is the bands of the unembedding's spectrum alone.
    """
    if bands:
        return [_spectroscopy(study)]
    repaired = [scatter(study, repaired=True)] if study.result.repaired is not None else []
    return [curve(study), _bands(study), scatter(study), *repaired]


def write(study: Study, folder: Path, *, bands: bool = False) -> list[Path]:
    """Draws a study into a folder as SVG and PNG, and all of it as one page, `bands.html` or `probe.html`; returns the files."""
    drawn = parts(study, bands=bands)
    target, page = study.result.targets[0].name, folder / f"{'bands' if bands else 'probe'}.html"
    title = f"What {study.sample.x.name} rows of {study.model} know of {target}"
    notes = [f"{study.result.rows:,} tokens; {study.sample.stats.source}", "R² out of fold: forms of one word are never parted"]
    store.write_text(page, rarity_page.render(drawn, title, notes))
    return [*pictures(drawn, folder), page]


def write_layers(studies: Sequence[Study], folder: Path) -> list[Path]:
    """Draws several matrices of a model side by side: R² of the first target by layer, of all targets as a grid; and a page."""
    targets = [target.name for target in studies[0].result.targets]
    drawn: list[Part] = [layers(studies), grid(studies)]
    first, page = studies[0], folder / "layers.html"
    notes = [f"{first.result.rows:,} tokens; {first.sample.stats.source}", "R² out of fold: forms of one word are never parted"]
    title = f"What each layer of {first.model} knows of {', '.join(targets)}"
    store.write_text(page, rarity_page.render(drawn, title, notes))
    return [*pictures(drawn, folder), page]


def curve(study: Study) -> Curve:
    """Returns R² against components of the first target.

    The ribbon is ±1.96 · 2√R²(1 − R²)/√n, the large-sample error of R² (Olkin and Finn 1995), n the groups of word forms;
    the ridge's interval is the bootstrap's. With permutations asked for, up to 39 of them are fitted on components too.
    """
    result, target = study.result, study.result.targets[0]
    found = target.curve
    at = np.unique(np.geomspace(1, len(found.components), _POINTS).round().astype(int)) - 1
    types, occurrences = _straight(study, found.type[at], found.occurrence[at])
    groups = max(result.groups, 1)
    known = np.clip(types, 0, 1)
    half = _NORMAL * 2 * np.sqrt(known) * (1 - known) / np.sqrt(groups)
    low, high = _permuted(study, at) if study.asked.permutations else (None, None)
    pair = study.pair(target)
    ridge = tuple((float(r.value), float(r.low), float(r.high)) for r in pair if np.isfinite(r.value))
    rows = round((result.rows - result.test_rows) * (study.asked.folds - 1) / study.asked.folds)
    bounds = {"low": types - half, "high": types + half, "null_low": low, "null_high": high}
    title = f"R² of {target.name} against components of {study.sample.x.name} rows"
    return Curve(found.components[at], types, rows, **bounds, occurrences=occurrences, ridge=ridge, title=title)


def scatter(study: Study, *, repaired: bool = False) -> Scatter:
    """Returns predictions out of fold against actual values of the first target, of the ridge or with its head repaired."""
    result, name = study.result, study.result.targets[0].name
    used, found = result.folds >= 0, result.repaired if repaired else None
    predicted = result.predicted if found is None else found.predicted
    y = study.sample.target(name, study.asked.seed)[used]
    counts = None if study.sample.x.contextual else study.sample.counts[used].astype(np.int64)
    title = f"Predicted against actual {name}{', head repaired' * (found is not None)}"
    kind = "scatter" if found is None else "scatter-repaired"
    return Scatter(y, predicted[used, 0], counts, units(name), kind, title)


def layers(studies: Sequence[Study], target: int = 0) -> Layers:
    """Returns R² of one target in several matrices or layers, with the uniform control where it is among the targets."""
    pairs = [study.pair(study.result.targets[target]) for study in studies]
    names = [target.name for target in studies[0].result.targets]
    control: Vector | None = None
    if CONTROLS[0] in names:
        place = names.index(CONTROLS[0])
        control = np.array([study.pair(study.result.targets[place]).type.value for study in studies])
    labels = tuple(study.sample.x.name for study in studies)
    ends = [np.array([getattr(pair[i], end) for pair in pairs]) for i in (0, 1) for end in ("low", "high")]
    types, occurrences = (np.array([pair[i].value for pair in pairs]) for i in (0, 1))
    title = f"R² of {names[target]} by layer"
    return Layers(labels, types, ends[0], ends[1], occurrences, control, ends[2], ends[3], title=title)


def grid(studies: Sequence[Study]) -> Grid:
    """Returns R² of every target in several studies, which have the same targets."""
    pairs = [[study.pair(target) for target in study.result.targets] for study in studies]
    types, occurrences = (np.array([[pair[i].value for pair in row] for row in pairs]) for i in (0, 1))
    names = tuple(f"{study.model}, {study.sample.x.name}" for study in studies)
    return Grid(names, tuple(target.name for target in studies[0].result.targets), types, occurrences)


def _bands(study: Study) -> Bands:
    found = study.result.targets[0].bands
    types, occurrences = _straight(study, found.type, found.occurrence)
    edges = np.concatenate([found.first - 1, found.last[-1:]]).astype(np.int64)
    spread = np.sqrt(np.maximum(study.result.spectrum, 0))
    title = "R² of each band of the rows' components alone"
    return Bands(edges, types, spread, occurrences, of="standard deviation", name="component-bands", title=title)


def _spectroscopy(study: Study) -> Bands:
    nothing = float("nan")
    pairs = [band.part.r2 for band in study.spectrum]
    types, occurrences = (np.array([nothing if pair is None else pair[i].value for pair in pairs]) for i in (0, 1))
    edges = np.array([*(band.first for band in study.spectrum), study.spectrum[-1].last], np.int64)
    places = np.array([place for band in study.spectrum for place in (band.first + 1, band.last)], np.int64)
    values = np.array([value for band in study.spectrum for value in band.values], np.float64)
    title = "R² of each band of the unembedding's spectrum alone"
    return Bands(edges, types, values, occurrences, places, title=title)


def _straight(study: Study, types: Vector, occurrences: Vector) -> tuple[Vector, Vector | None]:
    """R² over types and over occurrences as they are meant; None where there are no counts."""
    one, other = (occurrences, types) if study.sample.x.contextual else (types, occurrences)
    return one, None if np.isnan(other).all() else other


def _permuted(study: Study, at: NDArray[np.int64]) -> tuple[Vector, Vector]:
    """The range that 95 % of permuted targets' R² lie in, by components; groups of word forms are permuted whole."""
    sample, result, asked = study.sample, study.result, study.asked
    count = min(asked.permutations, _PERMUTED)
    y = sample.target(result.targets[0].name, asked.seed)
    order = orders(sample.groups, result.folds, count, asked.seed)
    names = tuple(f"permuted {i + 1}" for i in range(count))
    probe = RarityProbe(names, asked.folds, asked.seed, bands=1, replicates=2)
    probe.fit(sample.x, y[order], groups=sample.groups, counts=sample.counts)
    curves = np.stack([_straight(study, t.curve.type[at], t.curve.occurrence[at])[0] for t in probe.result.targets])
    low, high = np.quantile(curves, (0.025, 0.975), axis=0)
    return low, high
