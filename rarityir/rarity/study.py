"""Probes of a model's rows against all that makes their R² readable: controls, baselines, intervals, filters.

Every R² stands beside its twin: over types, which a regression is fitted on, and over occurrences, which a reader meets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rarityir.filters import EmbedFilter, Source, Spectrum, Unembedding
from rarityir.rarity import scores
from rarityir.rarity.probe import RarityProbe
from rarityir.rarity.result import ProbeResult, Target, plain
from rarityir.rarity.rows import Matrix
from rarityir.rarity.sample import CONTROLS, Sample
from rarityir.rarity.scores import Interval, Pair
from rarityir.rarity.ties import Band, Second, Tie, between, spectroscopy, ties
from rarityir.types import Json, RarityError

REPLICATES = 500  # of the bootstrap where many probes are judged


@dataclass(frozen=True)
class Asked:
    """How rows are probed: the targets, the folds, and what goes with them."""

    targets: tuple[str, ...] = ("log_idf",)
    folds: int = 5
    seed: int = 0
    permutations: int = 0
    components: int = 400  # of the arm on principal components, or as many as there are
    filters: tuple[str, ...] = ()
    bands: int = 20
    draws: int = 3  # random filters beside each
    replicates: int = scores.REPLICATES
    repair: str = "none"

    @property
    def named(self) -> tuple[str, ...]:
        """The targets with the uniform control."""
        return self.targets if CONTROLS[0] in self.targets else (*self.targets, CONTROLS[0])


@dataclass(frozen=True, eq=False)
class Study:
    """What was found, as pairs over types and over occurrences."""

    model: str
    sample: Sample
    asked: Asked
    result: ProbeResult = field(repr=False)
    ties: tuple[Tie, ...] = ()
    spectrum: tuple[Band, ...] = ()
    angles: Mapping[str, Json] = field(default_factory=dict)

    @property
    def components(self) -> int:
        """The number of components of the arm on them."""
        return min(self.asked.components, self.result.width)

    @property
    def chance(self) -> float:
        """The R² over types that least squares is expected to have where there is nothing: −p / (n − p − 1).

        p counts the directions that the rows have, n the rows of a training fold; NaN where there are no more rows than that, and
        in context, where rows of one type share their target.
        """
        if self.sample.x.contextual:
            return float("nan")
        rank = int((self.result.spectrum > 0).sum())
        rows = (self.result.rows - self.result.test_rows) * (self.asked.folds - 1) / self.asked.folds
        return -rank / (rows - rank - 1) if rows > rank + 1 else float("nan")

    def pair(self, target: Target, fit: str = "ridge") -> Pair:
        """Returns R² over types and over occurrences of one kind of regression."""
        return self.straight(target.fits[fit].r2)

    def components_pair(self, target: Target) -> Pair:
        """Returns R² on the first components, which have no interval."""
        at = self.components - 1
        nothing = float("nan")
        values = float(target.curve.type[at]), float(target.curve.occurrence[at])
        return self.straight(Pair(*(Interval(value, nothing, nothing) for value in values)))

    def straight(self, pair: Pair) -> Pair:
        """Returns a pair as it is meant: each row in context is an occurrence, so that there the two change places."""
        return Pair(pair.occurrence, pair.type) if self.sample.x.contextual else pair

    def p_values(self, target: Target) -> tuple[float, float] | None:
        """Returns the chance of as good an R² over types and over occurrences; None without permutations."""
        if target.chance is None:
            return None
        found = target.chance.p_type, target.chance.p_occurrence
        return (found[1], found[0]) if self.sample.x.contextual else found

    def shares(self, target: Target) -> tuple[float, float]:
        """Returns the share of a label's positives by type and by occurrence: the average precision of what tells nothing."""
        used = self.result.folds >= 0
        labels, counts = self.sample.target(target.name, self.asked.seed)[used] > 0.5, self.sample.counts[used]
        shares = float(labels.mean()), float(counts[labels].sum() / counts.sum())
        return (shares[1], shares[0]) if self.sample.x.contextual else shares

    def table(self, target: int = 0) -> tuple[scores.Band, ...]:
        """Returns the table of bias by frequency; in context of each type's mean prediction. `first` are token ids."""
        if not self.sample.x.contextual:
            of = self.sample.types
            found = self.result.targets[target].table
            return tuple(band._replace(first=tuple(int(of[row]) for row in band.first)) for band in found)
        used = self.result.folds >= 0
        types, place = np.unique(self.sample.types[used], return_inverse=True)
        size = np.bincount(place)
        y = self.sample.target(self.result.targets[target].name, self.asked.seed)[used]
        actual, predicted = (np.bincount(place, v) / size for v in (y, self.result.predicted[used, target]))
        return tuple(scores.frequency_bands(actual, predicted, self.sample.stats.cf[types].astype(np.float64), types))

    def _ranked(self, target: Target) -> dict[str, Json]:
        if target.ranking is None:
            return {}
        auroc, precision = self.straight(target.ranking.auroc), self.straight(target.ranking.precision)
        share = dict(zip(("type", "occurrence"), self.shares(target), strict=True))
        found = {"positives": target.ranking.positives, "auroc": auroc, "average_precision": precision, "share": share}
        return {name: plain(value) for name, value in found.items()}

    def json(self) -> dict[str, Json]:
        """Returns all of it as JSON values; pairs over types and over occurrences as they are meant."""
        x, found = self.sample.x, self.result
        pairs: dict[str, Json] = {}
        for target in found.targets:
            kinds = {name: self.pair(target, name) for name in target.fits}
            if target.increment is not None:
                kinds["increment"] = self.straight(target.increment)
            if target.head is not None:
                kinds["repaired"] = self.straight(target.head.r2)
            if target.leakage is not None:
                kinds["folds that part forms"] = self.straight(target.leakage.random)
            kinds[f"pca:{self.components}"] = self.components_pair(target)
            pairs[target.name] = {name: plain(pair) for name, pair in kinds.items()}
        return {
            "model": self.model,
            "matrix": x.name,
            "tied": x.tied,
            "width": x.shape[1],
            "rows": self.sample.rows,
            "rows_are": "occurrences" if x.contextual else "types",
            "left_out": dict(self.sample.left_out),
            "statistics": {"source": self.sample.stats.source, "sha256": self.sample.stats.digest},
            "noise_least_squares_expected": None if np.isnan(self.chance) else round(self.chance, 6),
            "r2": pairs,
            "labels": {t.name: self._ranked(t) for t in found.targets if t.ranking is not None},
            "bands_by_frequency": {t.name: plain(self.table(i)) for i, t in enumerate(found.targets)},
            "filters": [tie.json() for tie in self.ties],
            "spectroscopy": [band.json() for band in self.spectrum],
            "angles": dict(self.angles),
            "probe": found.json(),
        }


def study(model: str, sample: Sample, asked: Asked, *, bands: bool = False) -> Study:
    """Probes the rows of a sample for all targets at once; filters and bands are judged on the first one.

    `bands` adds what each band of the unembedding's spectrum says by itself.
    """
    if not asked.targets:
        raise RarityError("no target is named, so there is nothing to probe for; name one, such as log_idf")
    if asked.repair != "none" and sample.x.contextual:
        raise RarityError(f"{sample.x.name} rows are as many as their types are frequent already; leave repair out")
    names, y = asked.named, sample.targets(asked.named, asked.seed)
    probe = RarityProbe(
        names, asked.folds, asked.seed, permutations=asked.permutations, bands=min(asked.bands, sample.x.shape[1]),
        replicates=asked.replicates, repair=asked.repair,
    )  # fmt: skip
    surface = sample.surface()[0]
    known = surface if surface.shape[1] else None  # of so few rows that no feature tells any apart
    probe.fit(sample.x, y, groups=sample.groups, counts=sample.counts, surface=known)
    found = Study(model, sample, asked, probe.result)
    if not asked.filters and not bands:
        return found
    source = Source(Unembedding.of(model))
    spectrum = source.spectrum()
    filters = [EmbedFilter.fit(source, name) for name in asked.filters]
    weights = probe.result.targets[0].direction
    moments = Second.of(sample.x, y[:, 0])
    judge = partial(_judged, found, y[:, 0])
    return Study(
        model, sample, asked, probe.result,
        tuple(ties(sample.x, moments, weights, filters, spectrum, judge, draws=asked.draws, seed=asked.seed)),
        tuple(spectroscopy(sample.x, moments, weights, filters, spectrum, judge, bands=asked.bands)) if bands else (),
        _angles(probe.result, filters, spectrum, moments),
    )  # fmt: skip


def _judged(study: Study, y_N: NDArray[Any], x: Matrix) -> Pair:
    """The R² pair of a ridge on part of the rows' space; turned directions of it would make no difference."""
    asked, sample = study.asked, study.sample
    probe = RarityProbe(folds=asked.folds, seed=asked.seed, bands=1, standardise=False, replicates=REPLICATES, leakage=False)
    probe.fit(x, y_N, groups=sample.groups, counts=sample.counts)
    return study.straight(Pair(probe.r2_type, probe.r2_occurrence))


def _angles(result: ProbeResult, filters: Sequence[EmbedFilter], spectrum: Spectrum, moments: Second) -> dict[str, Json]:
    from rarityir.rarity.subspaces import split

    directions = {t.name: t.direction for t in result.targets if t.name not in CONTROLS}
    if not directions:
        return {}
    removed = {chosen.name: split(chosen.basis).removed for chosen in filters}
    return between(directions, {**removed, "first singular direction": spectrum.directions[:1]}, moments.mean)
