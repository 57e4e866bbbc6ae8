"""The first study's whole table on models and collections at hand, with what it left out: `python -m evals.rarity --help`.

Targets × rows × documents, queries and both, with and without principal components: each R² over types beside R² over
occurrences. Writes `table.json` and `table.md`; what is there of other models, datasets and pools stays.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rarityir.datasets import load_dataset
from rarityir.rarity.probe import RarityProbe
from rarityir.rarity.rows import rows
from rarityir.rarity.sample import Sample
from rarityir.rarity.stats import TokenStats
from rarityir.rarity.study import Asked, Study, study
from rarityir.rarity.tables import interval
from rarityir.types import Dataset, Doc, RarityError

FOLDER = Path(__file__).parent
REAL = ("mp_idf", "mp_icf", "inverse_frequency", "inverse_occurrences")
LABELS = ("stop_word", "punctuation", "coin")
NAMES = {
    "mp_idf": "log-IDF", "mp_icf": "log-ICF", "inverse_frequency": "1/df", "inverse_occurrences": "1/cf", "noise": "noise",
    "stop_word": "stop word", "punctuation": "punctuation", "coin": "coin flip",
}  # fmt: skip
DATASETS = ("cranfield", "beir/nfcorpus/test", "beir/scifact/test")
POOLS = ("documents", "queries", "collection")
KEYS = ("model", "dataset", "of", "rows", "target")
REPLICATES = 500
DRAWS = 50  # of noise, whose mean R² is held against the closed form
REGRESSIONS = (
    "of", "rows", "target", "types", "ridge by type", "by occurrence", "least squares, random folds", "PCA, all", "PCA, share",
    "surface", "increment", "head repaired",
)  # fmt: skip
RANKINGS = (
    "of", "rows", "label", "positives", "AUROC by type", "by occurrence", "AP by type", "by occurrence", "share", "hard-label R²",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["demo"], help="short names, hub ids or folders  [default: demo]")
    parser.add_argument("--datasets", nargs="+", default=list(DATASETS), help=f"[default: {' '.join(DATASETS)}]")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder to write")
    parser.add_argument("--pools", nargs="+", default=list(POOLS), choices=POOLS, help=f"[default: {' '.join(POOLS)}]")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    file = given.out / "table.json"
    before = json.loads(file.read_text()) if file.exists() else []
    found = [cell for model in given.models for name in given.datasets for cell in of_dataset(model, name, given.pools)]
    cells = list({tuple(cell[key] for key in KEYS): cell for cell in [*before, *found]}.values())
    file.write_text("[\n" + ",\n".join(json.dumps(cell, allow_nan=False) for cell in cells) + "\n]\n")
    (given.out / "table.md").write_text(page(cells))


def of_dataset(model: str, name: str, wanted: Sequence[str]) -> list[dict[str, Any]]:
    """Every cell of a model and a dataset; a model without a first attention of a known form has no query and key rows."""
    matrices = {}
    for kind in ("input", "q", "k", "output"):
        with contextlib.suppress(RarityError):
            matrices[kind] = rows(model, kind)
    if matrices["input"].tied:
        del matrices["output"]
    dataset, size = load_dataset(name), matrices["input"].shape[0]
    documents = TokenStats.from_dataset(dataset, model, vocabulary=size)
    queries = TokenStats.from_dataset(as_documents(dataset), model, vocabulary=size)
    pools = dict(zip(POOLS, (documents, queries, documents.merge(queries)), strict=True))
    cells = []
    for pool in wanted:
        for kind, matrix in matrices.items():
            print(f"{Path(model).name} {name} {pool} {kind}", flush=True)
            cells += of_rows(model, Sample.of(model, pools[pool], matrix), {"dataset": name, "of": pool, "rows": kind})
    return cells


def as_documents(dataset: Dataset) -> Dataset:
    """A dataset's queries as documents of their own."""

    def docs():
        return (Doc(query_id, query) for query_id, query in dataset.topics.items())

    corpus = f"{dataset.name}/queries"
    return replace(dataset, corpus=corpus, identity={"queries": dataset.name}, docs=docs, docs_count=len(dataset.topics))


def of_rows(model: str, sample: Sample, where: dict[str, str]) -> list[dict[str, Any]]:
    """Every target's cell of one matrix."""
    repair = "balanced" if where["of"] == POOLS[0] else "none"  # which costs more than all the rest
    labels = tuple(name for name in LABELS if np.ptp(sample.target(name)) > 0)
    found = study(model, sample, Asked((*REAL, *labels), replicates=REPLICATES, repair=repair))
    parted = RarityProbe(found.asked.named, test=0.0, bands=1, replicates=2, leakage=False)
    parted.fit(sample.x, sample.targets(found.asked.named), counts=sample.counts)
    drawn = draws(sample)
    some = max(1, round(sample.x.shape[1] * 400 / 4096))
    cells = []
    for place, target in enumerate(found.result.targets):
        cell: dict[str, Any] = {"model": Path(model).name, **where, "target": target.name, "types": sample.rows}
        cell |= {"width": sample.x.shape[1], "left_out": dict(sample.left_out)}
        for fit in ("ridge", "ols", "surface"):
            cell[fit] = [list(map(number, part)) for part in target.fits[fit].r2]
        if target.head is not None:
            cell["repaired"] = [list(map(number, part)) for part in target.head.r2]
        if target.increment is not None:
            cell["increment"] = [list(map(number, part)) for part in target.increment]
        for k in (found.components, some):
            cell[f"pca-{k}"] = [number(target.curve.type[k - 1]), number(target.curve.occurrence[k - 1])]
        random = parted.result.targets[place].fits["ols"]
        cell["random folds, ols"] = [number(random.r2.type.value), number(random.r2.occurrence.value)]
        cell["train, ols"] = number(random.train)
        if target.name == "noise":
            cell["draws"] = drawn
            cell["expected"] = {"random folds, ols": drawn["expected"], f"pca-{found.components}": number(found.chance)}
        if target.ranking is not None:
            cell |= told(found, sample, place)
        cell["head"] = head(found, place)
        cells.append(cell)
    return cells


def draws(sample: Sample) -> dict[str, float | None]:
    """The mean R² by type of least squares on many draws of noise, its standard error, and what the closed form says."""
    names = tuple(f"noise {i}" for i in range(DRAWS))
    noise = np.random.default_rng(0).random((sample.rows, DRAWS))
    probe = RarityProbe(names, test=0.0, bands=1, replicates=2, leakage=False).fit(sample.x, noise)
    r2 = np.array([target.fits["ols"].r2.type.value for target in probe.result.targets])
    rank, fitted = int((probe.result.spectrum > 0).sum()), 0.8 * sample.rows
    expected = -rank / (fitted - rank - 1) if fitted > rank + 1 else math.nan
    error = r2.std(ddof=1) / np.sqrt(DRAWS)
    return {"mean": number(float(r2.mean())), "standard_error": number(float(error)), "expected": number(expected)}


def told(found: Study, sample: Sample, place: int) -> dict[str, Any]:
    """AUROC and average precision, and the R² of hard labels that says so little."""
    target = found.result.targets[place]
    used = found.result.folds >= 0
    labels = sample.target(target.name)[used] > 0.5
    wrong = (found.result.predicted[used, place] > 0.5) != labels
    hard = 1 - wrong.sum() / (len(labels) * labels.mean() * (1 - labels.mean()))
    ranking = {name: [list(map(number, way)) for way in getattr(target.ranking, name)] for name in ("auroc", "precision")}
    shares = list(map(number, found.shares(target)))
    return {"positives": int(labels.sum()), **ranking, "share": shares, "hard_label_r2": number(hard)}


def head(found: Study, place: int) -> dict[str, float | None]:
    """What the head of frequency is and what is predicted of it: the most frequent types that are half of all text."""
    band = found.table(place)[0]
    return {
        "types": band.rows, "of_text": number(band.share), "actual": number(band.actual), "predicted": number(band.predicted),
        "bias_in_text": number(band.bias_occurrence), "of_error": number(band.error),
    }  # fmt: skip


def number(value: float) -> float | None:
    return float(f"{value:.4g}") if math.isfinite(value) else None


def page(cells: list[dict[str, Any]]) -> str:
    """The table as Markdown: a section for each model and dataset."""
    lines = [
        "# Rarity in rows: every target, every matrix, every R² beside its twin",
        "",
        "Written by `python -m evals.rarity`. R² is out of fold, by type and by occurrence (type / occurrence in one column),",
        "with 95 % intervals of a bootstrap over groups of word forms. *ridge*: the probe; its folds keep forms of a word",
        "together. *random folds*: least squares judged as the first study did, forms of a word parted. *PCA*: least squares",
        "on all components there are (at most 400), and on the first study's share of the width (400 of 4,096). *expected*:",
        "−p / (n − p − 1), what least squares gets by type of nothing. *surface*: what the token's name tells alone.",
        "*head repaired*: for both kinds of R², of documents alone.",
    ]
    for model, dataset in dict.fromkeys((cell["model"], cell["dataset"]) for cell in cells):
        own = [cell for cell in cells if (cell["model"], cell["dataset"]) == (model, dataset)]
        lines += ["", f"## {model}, {dataset}", ""]
        lines.append(heads(REGRESSIONS))
        lines += [regression(cell) for cell in own if cell["target"] not in LABELS]
        lines += ["", heads(RANKINGS)]
        lines += [label(cell) for cell in own if "auroc" in cell]
    return "\n".join(lines) + "\n"


def heads(names: Sequence[str]) -> str:
    return f"| {' | '.join(names)} |\n|{'---|' * len(names)}"


def regression(cell: dict[str, Any]) -> str:
    arms = [key for key in cell if key.startswith("pca-")]
    arms = arms if len(arms) == 2 else arms * 2
    expected = {key: f" (expected {shown(value)})" for key, value in cell.get("expected", {}).items()}
    parts = [
        cell["of"], cell["rows"], NAMES[cell["target"]], f"{cell['types']:,}", *map(spanned, cell["ridge"]),
        *(both(cell[arm]) + expected.get(arm, "") for arm in ("random folds, ols", *arms)),
        both([part[0] for part in cell["surface"]]), both([part[0] for part in cell["increment"]]),
        both([part[0] for part in cell["repaired"]]) if "repaired" in cell else "",
    ]  # fmt: skip
    return f"| {' | '.join(parts)} |"


def label(cell: dict[str, Any]) -> str:
    parts = [cell["of"], cell["rows"], NAMES[cell["target"]], str(cell["positives"])]
    parts += [spanned(way) for kind in ("auroc", "precision") for way in cell[kind]]
    parts += [both(cell["share"]), shown(cell["hard_label_r2"])]
    return f"| {' | '.join(parts)} |"


def spanned(part: list[float | None]) -> str:
    from rarityir.rarity.scores import Interval

    return interval(Interval(*(math.nan if value is None else value for value in part)))


def both(pair: list[float | None]) -> str:
    return f"{shown(pair[0])} / {shown(pair[1])}"


def shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    main()
