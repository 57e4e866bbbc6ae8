"""Reads two experiments and says what changed between them, and whether it is significant: `rarityir compare A B`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rarityir import parsing, registry, subcollection
from rarityir.datasets import load_dataset
from rarityir.measures import Comparison, evaluate
from rarityir.measures.significance import ALPHA, holm, paired_t, randomisation
from rarityir.report.changes import Change, Changes, Paired, Side
from rarityir.report.model import COSTS
from rarityir.results import runs_in
from rarityir.types import BadInput, Json, RarityError, UnknownName

DIGITS = 6  # of a topic's score as topics.json keeps it
SLACK = 1e-6  # by which a mean of such scores may differ from the mean that a report tells
_KEPT_WHERE = (
    "experiment.out",
    "experiment.indexes",
    "experiment.systems",
    "experiment.measures",
)  # changes no figure, or is told
_HEADS = ("dataset", "encoder", "topics", "cutoff", "baseline", "seed")
_LATER = ("dataset.topics_sha256", "dataset.qrels_sha256")  # which earlier releases did not keep
Topics = Mapping[tuple[str, str], Mapping[str, float]]  # (system, measure) → query_id → score


@dataclass(frozen=True)
class Performed:
    """An experiment's report.json, and the folder that its topics, runs and provenance lie in."""

    path: Path
    folder: Path
    report: Mapping[str, Json]

    @classmethod
    def read(cls, path: Path) -> Performed:
        """Reads a report.json, or the one in a folder; raises `BadInput` for what is no report."""
        file = path if path.suffix == ".json" and not path.is_dir() else path / "report.json"
        if not file.is_file():
            raise BadInput(f"no report at {file}; evaluate first: rarityir eval --out {file.parent}")
        try:
            found = parsing.value(file)
            figures = [float(value) for row in found["systems"] for value in row["measures"].values()]
            names = [found["dataset"], found["encoder"], *found["measures"], *(row["name"] for row in found["systems"])]
            whole = [{*row["measures"]} >= {*found["measures"]} for row in found["systems"]]
            numbers = [found["topics"], found["cutoff"]]
        except parsing.BROKEN:
            raise BadInput(f"{file} is not a report; remove it and make it again: rarityir report {file.parent}") from None
        if not (all(whole) and all(map(math.isfinite, figures)) and all(isinstance(name, str) for name in names)):
            raise BadInput(f"{file} is not a whole report; make it again: rarityir report {file.parent}")
        if not all(type(number) is int for number in numbers):
            raise BadInput(
                f"{file} does not say how many topics and documents it counts; make it again: rarityir report {file.parent}"
            )
        return cls(path, file.parent, found)

    @property
    def systems(self) -> dict[str, Mapping[str, Json]]:
        """Every system's line, by name."""
        return {row["name"]: row for row in self.report["systems"]}

    @property
    def collection(self) -> str:
        """The collection's name, without what says which part of it was kept."""
        return str(self.report["dataset"]).removesuffix(f"@{self.report.get('subset', {}).get('tag', '')}")

    @property
    def side(self) -> Side:
        """What heads the comparison."""
        found = self.report
        return Side(str(self.path), found["dataset"], found["encoder"], found["topics"], found["cutoff"])

    @cached_property
    def provenance(self) -> dict[str, Json]:
        """Everything that made the figures, by dotted name; nothing where it was not kept."""
        try:
            found = parsing.value(self.folder / "provenance.json")
        except parsing.BROKEN:
            return {}
        return {name: value for name, value in _flat(found) if name not in _KEPT_WHERE}

    def mean(self, system: str, measure: str) -> float:
        """Returns the mean that the report tells."""
        return float(self.systems[system]["measures"][measure])


def compare(a: Path, b: Path, measures: Sequence[str] = (), dataset: str = "", seed: int = 0) -> Changes:
    """Returns what changed from one experiment to another, each a report.json or its folder.

    Topics' scores come from `topics.json`, else from the runs, scored on `dataset` or on the collection they name; where
    there are neither, or they are not those of the report, nothing is tested and a note says so. Raises `RarityError`
    where the two share no system or no measure.
    """
    one, other = Performed.read(a), Performed.read(b)
    names = [name for name in one.systems if name in other.systems]
    if not names:
        raise RarityError(f"{a} and {b} share no system; the first has {_few(one.systems)}, the second {_few(other.systems)}")
    chosen = _measures(one, other, measures)
    pairs = [(name, m) for name in names for m in chosen]
    topics, notes = {}, []
    asked = {side.provenance.get("dataset.topics_sha256") for side in (one, other)} - {None}
    if len(asked) > 1:
        notes.append("A and B are of other topics, whatever their collections are called: nothing is tested.")
    elif one.collection == other.collection:
        found = [_topics(side, pairs, dataset) for side in (one, other)]
        topics, notes = _common(found[0][0], found[1][0]), [*found[0][1], *found[1][1]]
        if not topics and not notes:
            notes.append("A and B have no topic in common, so nothing is tested.")
    else:
        notes.append(f"A is of {one.collection}, B of {other.collection}: their means do not compare, and nothing is tested.")
    settings, told = _settings(one, other)
    return Changes(
        one.side, other.side, max((len(ids) for ids, _ in topics.values()), default=0), seed, ALPHA,
        {m: _changes(one, other, names, m, topics, seed) for m in chosen},
        [name for name in one.systems if name not in names], [name for name in other.systems if name not in names],
        {name: _costs(one.systems[name], other.systems[name]) for name in names}, settings, [*notes, *told],
    )  # fmt: skip


def _measures(one: Performed, other: Performed, measures: Sequence[str]) -> list[str]:
    shared = [m for m in one.report["measures"] if m in other.report["measures"]]
    if not shared:
        raise RarityError(f"{one.path} and {other.path} share no measure; make one again: rarityir report FOLDER --measures …")
    for name in measures:
        if name not in shared:
            raise UnknownName(registry.unknown("measure of both reports", name, shared))
    return list(measures) or shared


def _changes(
    one: Performed,
    other: Performed,
    names: Sequence[str],
    measure: str,
    topics: Mapping[tuple[str, str], tuple[list[str], NDArray[np.float64]]],
    seed: int,
) -> list[Change]:
    """Every system's change by a measure; Holm's correction is over the systems that could be tested."""
    differences = {name: topics[name, measure][1] for name in names if (name, measure) in topics}
    t = {name: paired_t(d) for name, d in differences.items()}
    fisher = {name: randomisation(d, seed=seed) for name, d in differences.items()}
    corrected = zip(differences, holm(list(t.values())), holm(list(fisher.values())), strict=True)
    tests = {}
    for name, t_holm, fisher_holm in corrected:
        d = differences[name]
        c = Comparison(name, measure, float(d.mean()), t[name], fisher[name], t_holm, fisher_holm)
        won, lost = int((d > 0).sum()), int((d < 0).sum())
        tests[name] = Paired(c.difference, c.t, c.fisher, c.t_holm, c.fisher_holm, won, lost, c.mark())
    return [Change(name, one.mean(name, measure), other.mean(name, measure), tests.get(name)) for name in names]


def _common(a: Topics, b: Topics) -> dict[tuple[str, str], tuple[list[str], NDArray[np.float64]]]:
    """The topics that both sides scored, and by how much B is above A on each."""
    found = {}
    for pair in a.keys() & b.keys():
        ids = [query_id for query_id in a[pair] if query_id in b[pair]]
        # Both sides as they are kept: one read from runs in full precision would differ from the other in its last digits.
        if ids:
            found[pair] = (ids, np.array([round(round(b[pair][i], DIGITS) - round(a[pair][i], DIGITS), DIGITS) for i in ids]))
    return found


def _topics(side: Performed, pairs: Sequence[tuple[str, str]], dataset: str) -> tuple[Topics, list[str]]:
    """Scores by topic of those (system, measure) that are known, and notes on those that are not."""
    kept = {} if dataset else _whole(side, _stored(side), pairs)
    lacking = [pair for pair in pairs if pair not in kept]
    if not lacking:
        return kept, []
    if not any((side.folder / "runs").glob("*.trec")):
        return kept, [f"{side.path} keeps no scores by topic of {_few(dict.fromkeys(s for s, _ in lacking))}, and no runs to "
                      "make them from, so nothing is tested of these; evaluate again for them."]  # fmt: skip
    try:
        made = _whole(side, _scored(side, lacking, dataset), lacking)
    except RarityError as error:
        return kept, [f"The runs of {side.path} could not be scored, so nothing is tested of them: {error}"]
    lost = dict.fromkeys(s for s, m in lacking if (s, m) not in made)
    notes = [f"The runs of {side.path} are not those of its report for {_few(lost)}, so nothing is tested of these; make it "
             f"again: rarityir report {side.folder}"] * bool(lost)  # fmt: skip
    return {**kept, **made}, notes


def _whole(side: Performed, found: Topics, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Mapping[str, float]]:
    """Those scores that are the report's own: as many topics, and the same mean."""
    return {
        pair: found[pair]
        for pair in pairs
        if len(found.get(pair, ())) == side.report["topics"]
        and abs(math.fsum(found[pair].values()) / len(found[pair]) - side.mean(*pair)) <= SLACK
    }


def _stored(side: Performed) -> Topics:
    try:
        found = parsing.value(side.folder / "topics.json")
        return {
            (system, measure): {query_id: float(value) for query_id, value in zip(found["query_ids"], values, strict=True)}
            for system, by_measure in found["systems"].items()
            for measure, values in by_measure.items()
        }
    except parsing.BROKEN:
        return {}


def _scored(side: Performed, pairs: Sequence[tuple[str, str]], dataset: str) -> Topics:
    """Scores the runs beside a report."""
    systems, measures = (list(dict.fromkeys(column)) for column in zip(*pairs, strict=True))
    runs = [(run, facts) for run, facts in runs_in(side.folder / "runs", list(side.systems))[0] if run.name in systems]
    name = dataset or next((facts["dataset"] for _, facts in runs if facts.get("dataset")), "")
    if runs and not name:
        raise RarityError(f"the runs in {side.folder / 'runs'} do not say of which dataset they are; give --dataset")
    source = load_dataset(name) if runs else None
    found = {}
    for run, facts in runs:
        assert source is not None
        labelled = subcollection.relabelled(source, facts.get("subset", {}))
        scores = evaluate(run, labelled.qrels, measures, list(labelled.topics))
        for m in measures:
            found[run.name, m] = dict(zip(scores.query_ids, scores.values[m].tolist(), strict=True))
    return found


def _costs(a: Mapping[str, Json], b: Mapping[str, Json]) -> dict[str, tuple[Json, Json]]:
    return {c: (a.get(c), b.get(c)) for c in COSTS if a.get(c) is not None or b.get(c) is not None}


def _settings(one: Performed, other: Performed) -> tuple[list[tuple[str, Json, Json]], list[str]]:
    """What differs of what made the figures, and notes where that was not kept."""
    a, b = one.provenance, other.provenance
    notes = [f"{side.path} has no provenance.json, so settings and versions are not known; only what the reports say is compared."
             for side, found in ((one, a), (other, b)) if not found]  # fmt: skip
    if notes:
        a, b = {}, {}
    for label, here, there in (("A", one, other), ("B", other, one)):
        alone = [m for m in here.report["measures"] if m not in there.report["measures"]]
        notes += [f"Measured only in {label}: {', '.join(alone)}."] * bool(alone)
    notes += [f"{label}: {note}" for label, side in (("A", one), ("B", other)) for note in side.report.get("notes", ())]
    found = [
        (name, a.get(name), b.get(name))
        for name in dict.fromkeys([*a, *b])
        if a.get(name) != b.get(name) and not (name in _LATER and (name not in a or name not in b))
    ]
    told = {name.rpartition(".")[2] for name, *_ in found}  # a report may have been made again, otherwise than its runs
    heads = [(name, one.report.get(name), other.report.get(name)) for name in _HEADS if name not in told]
    return [*((name, here, there) for name, here, there in heads if here != there), *found], notes


def _flat(value: Json, name: str = "") -> Iterator[tuple[str, Json]]:
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _flat(part, f"{name}.{key}" if name else str(key))
    else:
        yield name, value


def _few(names: Mapping[str, object]) -> str:
    shown = list(names)
    return ", ".join(shown[:4]) + (f" and {len(shown) - 4} more" if len(shown) > 4 else "")
