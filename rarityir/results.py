"""What an evaluation leaves in its folder: runs with their provenance, tables, every topic's scores; written, and read back."""

from __future__ import annotations

import dataclasses
import json
import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rarityir import overview, parsing, store, subcollection
from rarityir.datasets import ALIASES
from rarityir.datasets.reading import topics_sha256, warn_count
from rarityir.overview import spectra
from rarityir.report import RENDERERS, Report, render
from rarityir.report.matching import visible
from rarityir.report.model import TOLD
from rarityir.report.page import BEGINNING
from rarityir.runs import Run, check_place, read_run
from rarityir.types import BadInput, Dataset, Json, RarityError, Scores

_FILES = {"markdown": "report.md", "latex": "report.tex", "csv": "report.csv", "json": "report.json"}
# What a run's provenance holds, where it holds it.
_SIDECAR: dict[str, type] = {
    **dict.fromkeys(("system", "dataset", "baseline", "share_of", "instruction", "encoder"), str),
    **dict.fromkeys(("cutoff", "seed", "order"), int),
    **dict.fromkeys(("cost", "subset"), dict),
    "measures": list,
}
# How each file that is written begins, or what its object holds: by this it is told from somebody else's of the same name.
_BEGINNINGS = {
    "report.md": "| system |",
    "report.tex": "\\begin{table}\n\\centering\n\\caption{",
    "report.csv": "system,",
    overview.PAGE: BEGINNING,
}
_KEYS = {
    "report.json": {"dataset", "encoder", "measures", "systems"},
    "topics.json": {"query_ids", "systems"},
    "provenance.json": {"experiment", "versions"},
    spectra.FILE: {"of", "cuts"},
}
TABLES = (*_FILES.values(), "topics.json", overview.PAGE)
log = logging.getLogger(__name__)


def check_free(folder: Path, names: Iterable[str] = (*_BEGINNINGS, *_KEYS), runs: Iterable[str] = ()) -> None:
    """Raises `RarityError` where one of the files, or a run, would be written over what is no evaluation's, or has no folder."""
    store.check_folder(folder / "runs")
    for path in (folder / name for name in names):
        if path.exists() and not _ours(path):
            raise RarityError(f"{path} is there and is no file of rarityir eval; choose another folder, or move it away")
    for name in runs:
        check_place(folder / "runs" / f"{name}.trec")


def told(folder: Path) -> dict[str, Json]:
    """Returns what a folder's report.json says, nothing where there is none."""
    try:
        found = parsing.mapping(folder / "report.json")
        parsing.need(all(isinstance(row["name"], str) for row in found["systems"]), "systems have no names")
    except parsing.BROKEN:
        return {}
    return found


def systems_told(folder: Path) -> list[str]:
    """Returns the systems of a folder's report.json, in its order."""
    return [row["name"] for row in told(folder).get("systems", ())]


def warn_of_another(folder: Path, dataset: str, encoder: str, systems: Sequence[str]) -> None:
    """Says in one line that a folder holds another evaluation, whose tables are about to be replaced."""
    found, names = told(folder), systems_told(folder)
    if found and (not {*names} <= {*systems} or (found.get("dataset"), found.get("encoder")) != (dataset, encoder)):
        held = f"{found.get('dataset')}, encoder {found.get('encoder')}: {', '.join(names)}"
        log.warning(
            "%s holds another evaluation (%s); its tables are replaced, its runs of other systems stay", folder, visible(held)
        )


def write(report: Report, scores: Sequence[Scores], folder: Path) -> None:
    """Writes the report's tables, and every topic's measures, into a folder."""
    for form, name in _FILES.items():
        assert form in RENDERERS
        store.write_text(folder / name, render(report, form))
    by_system = {s.system: {m: [round(float(v), 6) for v in values] for m, values in s.values.items()} for s in scores}
    store.write_json(folder / "topics.json", {"query_ids": list(scores[0].query_ids), "systems": by_system})


def runs_in(runs: Path, wanted: Sequence[str] = ()) -> tuple[list[tuple[Run, dict[str, Json]]], list[str]]:
    """Returns a folder's runs with their sidecars, in order, named for their systems; those of one name by their files.

    Where some are `wanted`, those stand first in that order, and what an evaluation of others left there is only named, second.
    """
    sidecars = {path: _facts(path) for path in sorted(runs.glob("*.trec"))}
    place = {name: i for i, name in enumerate(wanted)}
    others = _others(sidecars, place)
    found = []
    for path, facts in sidecars.items():
        if path not in others:
            run = read_run(path, facts.get("system", ""))
            run = dataclasses.replace(run, name=run.name.removesuffix(_label(facts)))
            found.append((path.stem, run, {**facts, **_changed(path, facts)}))
    where = {stem: place.get(run.name, place.get(stem, math.inf)) for stem, run, _ in found}
    _check_alike(runs, [facts for _, _, facts in found])
    found = sorted(found, key=lambda each: (where[each[0]], each[2].get("order", math.inf)))
    names = [run.name for _, run, _ in found]
    shown = [(dataclasses.replace(run, name=stem) if names.count(run.name) > 1 else run, facts) for stem, run, facts in found]
    return shown, list(others.values())


def _label(facts: dict[str, Json]) -> str:
    """What the name of a run of a sub-collection ends in."""
    return f"@{tag}" if (tag := facts.get("subset", {}).get("tag")) else ""


def _others(sidecars: dict[Path, dict[str, Json]], place: Mapping[str, int]) -> dict[Path, str]:
    """The runs, with their systems, that an evaluation of others than those wanted has left, none where nothing else is there.

    Only eval's own say their order: a run of `rarityir search` or of another tool was put there to be shown.
    """
    own = {path: facts.get("system", "").removesuffix(_label(facts)) for path, facts in sidecars.items() if "order" in facts}
    left = {path: name for path, name in own.items() if name not in place and path.stem not in place}
    return left if len(left) < len(own) else {}  # else the report is of none of them


def check_source(found: Iterable[tuple[Run, dict[str, Json]]], dataset: Dataset) -> None:
    """Says where runs are of other topics or documents than a dataset's; raises `BadInput` where a run has none of its topics."""
    told = {"topics_sha256": topics_sha256(dataset), "documents": dict(dataset.identity)}
    names = {"topics_sha256": "topics", "documents": "documents"}
    for run, facts in found:
        for key, now in told.items():
            if facts.get(key) is not None and facts[key] != now and not facts.get("subset"):
                log.warning("the run %s was made for other %s than those of %s now", visible(run.name), names[key], dataset.name)
        unknown = sum(query_id not in dataset.topics for query_id in run)
        if unknown and unknown == len(run):
            raise BadInput(f"the run {visible(run.name)} has no topic of {dataset.name}; is it of another collection?")
        warn_count(unknown, f"topic of the run {visible(run.name)} unjudged in {dataset.name}", "left out")


def _ours(path: Path) -> bool:
    """Whether a file is as this package writes it, or empty."""
    try:
        if path.stat().st_size == 0:
            return True
        if path.name in _KEYS:
            return _KEYS[path.name] <= parsing.mapping(path).keys()
        beginning = _BEGINNINGS[path.name].encode()
        with path.open("rb") as file:
            return file.read(len(beginning)) == beginning
    except parsing.BROKEN:
        return False


def _check_alike(runs: Path, sidecars: Sequence[dict[str, Json]]) -> None:
    for key in ("dataset", "subset", "cutoff", "instruction", "encoder_identity"):
        told = {_plain(key, facts[key]) for facts in sidecars if facts.get(key) is not None}
        if len(told) > 1:
            raise RarityError(f"the runs in {runs} differ in {key}; keep the runs of one evaluation in a folder")


def _plain(key: str, value: Json) -> str:
    """What is compared of a fact: a dataset has an alias and an id, a folder several paths."""
    if key == "dataset":
        return str(Path(value).resolve()) if Path(value).is_dir() else str(ALIASES.get(value, value))
    return json.dumps(value, sort_keys=True)


def _facts(run: Path) -> dict[str, Json]:
    path = run.with_suffix(".json")
    if not path.exists():
        return {}
    try:
        stored = parsing.mapping(path)
        facts: dict[str, Json] = {"subset": {}, "measures": [], "cost": {}, "seed": 0, **stored}
        for key, kind in _SIDECAR.items():
            parsing.need(key not in facts or isinstance(facts[key], kind), f"{key} is no {kind.__name__}")
        parsing.need(all(isinstance(name, str) for name in facts["measures"]), "measures are no names")
        numbers = [cost for name in TOLD if (cost := facts["cost"].get(name)) is not None]
        parsing.need(facts["seed"] >= 0 and all(abs(number) < math.inf for number in numbers), "a cost or seed is no number")
        if facts["subset"]:
            parsing.need(isinstance(facts["subset"]["tag"], str) and subcollection.note(facts["subset"]), "no sub-collection")
        if prebuilt := facts["cost"].get("prebuilt"):
            parsing.need(prebuilt["name"] and prebuilt["md5"], "no prebuilt index")
        whole = store.unbroken(stored)
    except parsing.BROKEN as error:
        raise BadInput(f"{path} is no run's provenance ({error}); remove it, and give --dataset and --baseline") from None
    if not whole:
        raise BadInput(f"{path} was changed after it was written; remove it, and give --dataset and --baseline")
    return facts


def _changed(run: Path, facts: dict[str, Json]) -> dict[str, Json]:
    """A note where a run is not the one its sidecar was written for."""
    if not facts or facts.get("run_sha256") == store.digest_file(run):
        return {}
    log.warning("%s was changed after it was written: its costs are kept, its scores are those of the file", run)
    return {"changed": f"{run.name} was changed after it was written."}
