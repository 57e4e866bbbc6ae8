"""Gathers what the page of an experiment shows: pairs of systems tested, sweeps of width, rankings, the model's spectrum.

rarityir report evals/cranfield --html
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from rarityir import parsing, store
from rarityir.measures.significance import PERMUTATIONS, holm, randomisation
from rarityir.overview.rankings import Bounds, Ranked, bounded, ranked
from rarityir.overview.spectra import read_spectrum, stored_spectrum
from rarityir.report.model import Report
from rarityir.report.overview import Overview, Pair, Spectrum, Sweep, at_least
from rarityir.report.overview_page import render
from rarityir.systems import System
from rarityir.types import Dataset, Json, RarityError, Scores

__all__ = ["PAGE", "Bounds", "Ranked", "ranked", "read_spectrum", "stored_spectrum", "write"]
PAGE = "report.html"
LEAST = 1 / (PERMUTATIONS + 1)  # no sign pattern tried was as extreme as the systems are


def write(
    report: Report,
    scores: Sequence[Scores],
    found: Sequence[Ranked],
    dataset: Dataset,
    folder: Path,
    spectrum: tuple[Spectrum | None, str] = (None, ""),
    *,
    bounds: Bounds | None = None,
    path: Path | None = None,
) -> Path:
    """Writes the page of an experiment, `report.html` in its folder unless another path is given, and returns its path.

    Args:
        found: what `ranked` returned for each of the scores.
        spectrum: what `read_spectrum` or `stored_spectrum` returned.
    """
    limits = bounds or Bounds()
    compared, tested = pairs(report, scores, limits.systems)
    shown = Overview(
        report,
        list(dataset.topics),
        list(dataset.topics.values()),
        {m: [s.values[m].tolist() for s in scores] for m in report.measures},
        compared,
        tested,
        sweeps(report),
        bounded(scores, found, dataset, report.measures[0], limits),
        *spectrum,
        provenance(folder),
        LEAST,
    )
    path = path or folder / PAGE
    store.write_text(path, render(shown))
    return path


def pairs(report: Report, scores: Sequence[Scores], most: int = Bounds.systems) -> tuple[list[str], list[Pair]]:
    """Returns systems by falling first measure, and every two of them tested: Fisher's randomisation, Holm over all pairs.

    Of more systems than `most`, the best ones and the baseline.
    """
    measure = report.measures[0]
    order = sorted(report.rows, key=lambda row: -row.measures[measure])
    best = {row.name for row in order[:most]}
    if report.baseline not in best:
        best = {row.name for row in order[: most - 1]} | {report.baseline}
    names = [row.name for row in order if row.name in best]
    values = {s.system: s.values[measure].astype(np.float64) for s in scores}
    both = list(combinations(names, 2))
    differences = [values[one] - values[other] for one, other in both]
    raw = [randomisation(d, seed=report.seed) for d in differences]
    found = zip(both, differences, holm(raw), raw, strict=True)
    return names, [Pair(*two, float(d.mean()), p, at_least(one, LEAST)) for two, d, p, one in found]


def sweeps(report: Report) -> list[Sweep]:
    """Returns the families of at least three systems whose names differ by one width alone.

    A width is the number that a part's argument begins with, as in `edge:2`, `whiten:64,…` or `sparse:64`; the systems must
    differ in the width that they store.
    """
    widths = {row.name: row.cost.get("dim") for row in report.rows}
    families: dict[str, list[str]] = {}
    without: dict[str, str] = {}
    for name in widths:
        for family, rest in _families(name):
            families.setdefault(family, []).append(name)
            without[family] = rest
    found = []
    for family, names in families.items():
        points = {name: width for name in names if isinstance(width := widths[name], int)}
        if len(points) >= 3 and len(set(points.values())) == len(points):
            reference = without[family] if without[family] in widths else ""
            found.append(Sweep(family, tuple(sorted(points.items(), key=lambda point: point[1])), reference))
    return found


def _families(name: str) -> list[tuple[str, str]]:
    """A system's name with each of its widths left open, and its name without that part where it is a filter."""
    try:
        system = System.parse(name)
    except RarityError:  # a run of another tool
        return []
    if system.index is None:
        return []
    parts, found = [str(part) for part in (system.index, *system.filters)], []
    for i, part in enumerate((system.index, *system.filters)):
        match = re.match(r"\d+(?:\.\d+)?(?=,|$)", part.arg)
        if match:
            opened = f"{part.name}:*{part.arg[match.end() :]}"
            found.append(("+".join([*parts[:i], opened, *parts[i + 1 :]]), "+".join(parts[:i] + parts[i + 1 :]) if i else ""))
    return found


def provenance(folder: Path) -> dict[str, Json]:
    """Returns what `rarityir eval` wrote of an experiment's making, nothing where it did not."""
    try:
        found = parsing.value(folder / "provenance.json")
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
