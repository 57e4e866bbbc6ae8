"""Puts the figures of papers beside those measured here: same model, pooling, system, measure and collections."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rarityir import checkpoints, parsing, registry
from rarityir.datasets import ALIASES
from rarityir.types import BadInput, Json, UnknownName

FOLDER = Path("evals")


@dataclass(frozen=True)
class Figure:
    """One published value and ours, None where it was not reproduced; `why` says what it would take."""

    table: str
    encoder: str
    pooling: str
    system: str
    datasets: tuple[str, ...]
    published: float
    ours: float | None
    why: str


@dataclass(frozen=True)
class Comparison:
    """A paper's figures beside ours, with its source and what is to be known when comparing."""

    title: str
    source: str
    measure: str
    remarks: tuple[str, ...]
    figures: tuple[Figure, ...]

    def json(self) -> dict[str, Json]:
        """Returns the comparison as JSON values."""
        figures = [{**vars(f), "datasets": list(f.datasets)} for f in self.figures]
        return {**vars(self), "remarks": list(self.remarks), "figures": figures}

    def __str__(self) -> str:
        """Returns the comparison as plain text."""
        heads = ("encoder", "pooling", "system", "collections", "published", "ours", "")
        rows = [
            (
                f.encoder or "–",
                f.pooling or "–",
                f.system,
                f.datasets[0] if len(f.datasets) == 1 else f"mean of {len(f.datasets)}",
                f"{f.published:.4f}",
                "–" if f.ours is None else f"{f.ours:.4f}",
                f.why,
            )
            for f in self.figures
        ]
        widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in [heads, *rows]]
        head = f"{self.title}: {self.measure} ({self.source})"
        return "\n".join([head, "", *lines, "", *self.remarks])


def compare(name: str, folder: Path = FOLDER) -> Comparison:
    """Returns a paper's figures (`embedfilter`, or a JSON file of that form) beside those of the reports under a folder."""
    paper = _paper(name, folder)
    measured = dict(_measured(folder, paper["measure"]))
    models = {key[0] for key in measured}
    figures = []
    for row in paper["rows"]:
        datasets = (
            tuple(row["datasets"]) if "datasets" in row else (row["dataset"],) if "dataset" in row else tuple(paper["datasets"])
        )
        keys = [(row["encoder"], row["pooling"], row["system"], ALIASES.get(d, d)) for d in datasets]
        found = [measured[key] for key in keys if key in measured]
        whole = len(found) == len(keys)
        if whole:
            why = ""
        elif row["encoder"] and row["encoder"] not in models:
            why = "not reproduced: the model has not been evaluated here"
        else:
            why = f"not reproduced: {len(found)} of {len(keys)} collections evaluated here"
        ours = sum(found) / len(found) if whole else None
        figures.append(Figure(row["table"], row["encoder"], row["pooling"], row["system"], datasets, row["value"], ours, why))
    return Comparison(paper["title"], paper["source"], paper["measure"], tuple(paper["remarks"]), tuple(figures))


def _paper(name: str, folder: Path) -> Json:
    path = Path(name) if name.endswith(".json") else folder / "published" / f"{name}.json"
    if not path.exists():
        known = [found.stem for found in sorted((folder / "published").glob("*.json"))]
        if not known:
            raise UnknownName(
                f"there are no published figures in {folder / 'published'}; run this where they are, or name a file"
            )
        raise UnknownName(registry.unknown("paper", name, known))
    try:
        found = parsing.value(path)
        needed = {"title", "source", "measure", "remarks", "rows"} - set(found)
        if needed:
            raise ValueError(f"no {', '.join(sorted(needed))}")
    except parsing.BROKEN as error:
        raise BadInput(f"{path} holds no published figures ({error})") from None
    return found


def _measured(folder: Path, measure: str) -> Iterator[tuple[tuple[str, str, str, str], float]]:
    """(encoder, pooling, system, dataset) → our value, of every report under a folder; text systems have no encoder."""
    for path in sorted(folder.glob("*/report.json")):
        report = parsing.value(path)
        made = path.with_name("provenance.json")
        provenance = parsing.value(made) if made.exists() else {}
        encoder = checkpoints.located(provenance.get("experiment", {}).get("encoder", report["encoder"]))
        pooling = (provenance.get("encoder") or {}).get("pooling", "")
        for system in report["systems"]:
            if measure in system["measures"]:
                text = not any(part in system["name"] for part in ("dense", "sparse"))
                key = ("" if text else encoder, "" if text else pooling, system["name"], report["dataset"])
                yield key, system["measures"][measure]
