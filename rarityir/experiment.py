"""Performs every system of an experiment on a dataset: `rarityir eval --experiment evals/cranfield.toml`."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import platform
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from rarityir import __version__, machine, overview, registry, results, store, subcollection
from rarityir.corpus import check_judged
from rarityir.datasets import load_dataset
from rarityir.datasets.reading import check_measurable, qrels_sha256, topics_sha256
from rarityir.encoders import load_encoder
from rarityir.measures import DEFAULT, Measure, compare, evaluate
from rarityir.measures.shares import share
from rarityir.measures.significance import ALPHA
from rarityir.overview import Bounds
from rarityir.report import Report, Row
from rarityir.report.matching import visible
from rarityir.retrieval import CUTOFF, INDEXES, Retriever, check
from rarityir.systems import System, expand, slug
from rarityir.types import BadInput, Dataset, Encoder, Json, RarityError, Scores, UnknownName

_ENGINES = {
    "milvus:": ("pymilvus", "milvus-lite"),
    "qdrant:": ("qdrant-client", "qdrant-edge-py"),
    "seismic:": ("pyseismic-lsr",),
}
SYSTEMS = (
    "bm25", "dense", "dense+edge:2", "dense+tail:2", "dense+random:2", "sparse:64", "sparse:64+edge:2", "sparse:64+auto",
    "rrf(bm25,dense+edge:2)",
)  # fmt: skip
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Experiment:
    """What is compared on what: the arguments of `rarityir eval`, and the keys of an experiment file."""

    dataset: str = "cranfield"
    encoder: str = "demo"
    pooling: str | None = None
    instruction: str = ""
    max_length: int | None = None
    device: str = "auto"
    dtype: str = "auto"
    batch_tokens: int = 0
    workers: int = 0
    attention: str = "auto"
    compile: bool = False
    store_dtype: str = "float32"
    systems: Sequence[str] = SYSTEMS
    measures: Sequence[str] = DEFAULT
    baseline: str = "bm25"
    share_of: str = ""  # a system whose effectiveness the others' are given as a share of
    cutoff: int = CUTOFF
    seed: int = 0
    indexes: str = str(INDEXES)
    out: str = ""  # default: evals/<dataset>-<encoder>
    pool: str = ""  # bm25:100 keeps BM25's best 100 documents of any topic and the judged ones
    sample: str = ""  # 1000 keeps so many random documents and the judged ones

    @classmethod
    def load(cls, path: str | Path) -> Experiment:
        """Reads an experiment file (TOML); a key that is none of the above is an error."""
        path = Path(path)
        try:
            found = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise BadInput(f"no experiment file {path}") from None
        except (ValueError, RecursionError) as error:
            raise BadInput(f"{path} is not TOML ({error})") from None
        return cls().replace(str(path), **found)

    def replace(self, where: str, **values: Any) -> Experiment:
        """Returns the experiment with some values changed; `where` names their source in an error."""
        kinds = {field.name: type(getattr(Experiment(), field.name)) for field in dataclasses.fields(self)}
        kinds |= {"pooling": str, "max_length": int}  # whose default is None
        if type(values.get("sample")) is int:
            values["sample"] = str(values["sample"])
        for key, value in values.items():
            if key not in kinds:
                raise UnknownName(f"{where}: {registry.unknown('key', key, kinds)}")
            if kinds[key] is tuple and (not isinstance(value, list | tuple) or not all(isinstance(v, str) for v in value)):
                raise BadInput(f"{where}: {key} must be a list of names")
            if kinds[key] in (bool, int, str) and type(value) is not kinds[key]:  # to isinstance a truth value is a number
                raise BadInput(f"{where}: {key} must be {kinds[key].__name__}, not {type(value).__name__}")
        return dataclasses.replace(self, **values)

    def reader(self) -> Encoder:
        """Returns the encoder, the same one each time; its weights are read when something is first encoded."""
        return self._encoder

    @cached_property
    def _encoder(self) -> Encoder:
        return load_encoder(
            self.encoder,
            pooling=self.pooling,
            instruction=self.instruction,
            max_length=self.max_length,
            device=self.device,
            dtype=self.dtype,
            batch_tokens=self.batch_tokens,
            workers=self.workers,
            attention=self.attention,
            compile=self.compile,
            store_dtype=self.store_dtype,
        )

    def check(self) -> list[System]:
        """Returns the systems, baseline among them, after checking every name before any work is done."""
        names = list(dict.fromkeys(str(System.parse(name)) for names in self.systems for name in expand(names)))
        if not names:
            raise RarityError("an experiment needs at least one system, such as bm25")
        if str(System.parse(self.baseline)) not in names:
            raise RarityError(f"the baseline {self.baseline!r} is not among the systems; {registry.hint(self.baseline, names)}")
        if self.share_of and str(System.parse(self.share_of)) not in names:
            raise RarityError(f"share_of {self.share_of!r} is not among the systems; {registry.hint(self.share_of, names)}")
        for name in self.measures:
            Measure.parse(name)
        if not self.measures:
            raise RarityError("an experiment needs at least one measure, such as nDCG@10")
        if self.cutoff < 1:
            raise RarityError(f"cutoff is {self.cutoff}; at least one document of a ranking must be kept")
        if self.seed < 0:
            raise RarityError(f"seed is {self.seed}; give 0 or a whole number above")
        systems = [System.parse(name) for name in names]
        for system in systems:
            check(system)
        subcollection.check(self.pool, self.sample)
        return systems


def perform(experiment: Experiment) -> Report:
    """Returns the report of an experiment, having written runs, tables and provenance to its folder.

    What is already indexed is reused. The folder gets `runs/<system>.trec` with a JSON sidecar each, `report.md`,
    `.tex`, `.csv`, `.json`, `.html`, `topics.json` (every measure of every topic) and `provenance.json`.
    """
    systems = experiment.check()
    for name in sorted({leaf.index.name for system in systems for leaf in leaves(system) if leaf.index}):
        registry.resolve("indexes", name).version()  # a package that is missing is told of now, not after hours
    dataset = load_dataset(experiment.dataset)
    check_measurable(dataset)
    encoder = experiment.reader()
    if experiment.out:  # else the folder is known only when a sub-collection was chosen
        results.check_free(Path(experiment.out), runs=[system.slug for system in systems])
    whole = Retriever(dataset, encoder, Path(experiment.indexes), timed=True)
    retriever = subcollection.narrow(whole, experiment.pool, experiment.sample)
    dataset = retriever.dataset
    folder = Path(experiment.out or default_folder(dataset, encoder.name, experiment.instruction))
    results.check_free(folder, runs=[system.slug for system in systems])
    results.warn_of_another(folder, dataset.name, encoder.name, [str(system) for system in systems])
    check_judged(dataset, retriever.corpus)
    identity = encoder.identity() if any(takes_model(system) for system in systems) else None
    common = _sidecar(experiment, dataset, identity)
    scores, costs, ranked = [], {}, []
    for system in systems:
        run, name = retriever.run(system, experiment.cutoff), str(system)
        cost = {**retriever.search(system, experiment.cutoff).cost, "recall": retriever.recall(system, experiment.cutoff)}
        costs[name] = cost
        facts = {"system": name, "order": systems.index(system), "encoder": encoder.name, "cost": cost}
        run.save(folder / "runs" / f"{system.slug}.trec", {**facts, **common})
        run = dataclasses.replace(run, name=name)
        ranked.append(overview.ranked(run, dataset))
        scores.append(evaluate(run, dataset.qrels, experiment.measures, list(dataset.topics)))
        log.info("%s: %s %.4f", name, experiment.measures[0], scores[-1].mean(experiment.measures[0]))
    baseline = str(System.parse(experiment.baseline))
    report = tabulate(
        scores,
        costs,
        dataset,
        encoder.name,
        baseline,
        experiment.measures,
        experiment.cutoff,
        experiment.seed,
        str(System.parse(experiment.share_of)) if experiment.share_of else "",
    )
    results.write(report, scores, folder)
    store.write_json(folder / "provenance.json", provenance(experiment, dataset, identity))
    spectrum = overview.read_spectrum(retriever, report, folder)
    return dataclasses.replace(report, page=overview.write(report, scores, ranked, dataset, folder, spectrum))


def _warn_of(others: Sequence[str], home: Path) -> None:
    if others:
        named = ", ".join(map(visible, others))
        log.warning("left out of another evaluation in %s: %s; to show all, remove report.json", home, named)


def default_folder(dataset: Dataset, encoder: str, instruction: str) -> Path:
    """Returns `evals/<dataset>-<encoder>`; folders of one name and instructions are told apart by a digest."""
    told = f"-{hashlib.sha256(instruction.encode()).hexdigest()[:8]}" if instruction else ""
    name = dataset.name if "@" not in dataset.corpus else f"{dataset.name}@{dataset.corpus.partition('@')[2]}"
    if dataset.subset:
        name = dataset.corpus  # says split, digest and choice
    return Path("evals") / f"{slug(name)}-{slug(encoder)}{told}"


def rebuild(
    folder: Path,
    dataset: str = "",
    baseline: str = "",
    measures: Sequence[str] = (),
    seed: int | None = None,
    *,
    page: Path | None = None,
    bounds: Bounds | None = None,
) -> Report:
    """Returns a report made again from the runs in a folder (or its `runs/`), and rewrites its tables.

    Which runs and in which order is said by the folder's `report.json`, where there is one: another evaluation's are named and
    left out, a run of another tool joins. Costs and dataset come from the runs' sidecars where there are any; a run of other
    origin needs `dataset`. The HTML page is written where `page` says, and anew where the folder holds one.
    """
    runs = folder / "runs" if (folder / "runs").is_dir() else folder
    home = runs.parent if runs.name == "runs" else folder
    found, others = results.runs_in(runs, results.systems_told(home))
    if not found:
        raise BadInput(f"{folder} holds no runs (*.trec)")
    results.check_free(home, results.TABLES)
    _warn_of(others, home)
    first = next((facts for _, facts in found if facts), {})
    name = dataset or first.get("dataset", "")
    if not name:
        raise RarityError(f"the runs in {runs} do not say of which dataset they are; give --dataset")
    source = subcollection.relabelled(load_dataset(name), first.get("subset", {}))
    check_measurable(source)
    results.check_source(found, source)
    wanted = list(measures) or first.get("measures") or list(DEFAULT)
    scores = [evaluate(run, source.qrels, wanted, list(source.topics)) for run, _ in found]
    names = [s.system for s in scores]
    base = baseline or first.get("baseline") or names[0]
    if base not in names:
        raise RarityError(f"the baseline {base!r} is not among the runs; {registry.hint(base, names)}")
    costs = {run.name: facts.get("cost", {}) for run, facts in found}
    cutoff = first.get("cutoff", max(len(run.rows) // max(1, len(run)) for run, _ in found))
    report = tabulate(
        scores, costs, source, first.get("encoder", "unknown"), base, wanted, cutoff,
        first.get("seed", 0) if seed is None else seed, shared if (shared := first.get("share_of", "")) in names else "",
    )  # fmt: skip
    report = dataclasses.replace(report, notes=[*report.notes, *(facts["changed"] for _, facts in found if "changed" in facts)])
    results.write(report, scores, home)
    if page is None and not (home / overview.PAGE).exists():
        return report
    depth = (bounds or Bounds()).depth
    ranked = [overview.ranked(run, source, depth) for run, _ in found]
    shown = overview.stored_spectrum(report, home)
    return dataclasses.replace(report, page=overview.write(report, scores, ranked, source, home, shown, bounds=bounds, path=page))


def tabulate(
    scores: Sequence[Scores],
    costs: dict[str, dict[str, Json]],
    dataset: Dataset,
    encoder: str,
    baseline: str,
    measures: Sequence[str],
    cutoff: int,
    seed: int,
    share_of: str = "",
) -> Report:
    """Returns the report of scored systems, each compared with the baseline on every measure."""
    tests = {m: {c.system: c for c in compare(scores, baseline, m, seed)} for m in measures}
    reference = next((s for s in scores if s.system == share_of), None)
    rows = []
    for s in scores:
        kept = share(s.values[measures[0]], reference.values[measures[0]], seed) if reference and s is not reference else None
        compared = {m: tests[m][s.system] for m in measures if s.system in tests[m]}
        rows.append(
            Row(
                name=s.system,
                measures={m: s.mean(m) for m in measures},
                tests={m: _p_values(c) for m, c in compared.items()},
                marks={m: c.mark() for m, c in compared.items()},
                cost=costs.get(s.system, {}),
                share=(kept.value, kept.low, kept.high) if kept else None,
            )
        )
    deeper = [m for m in measures if m.partition("@")[2].isdecimal() and int(m.partition("@")[2]) > cutoff]
    notes = [f"{', '.join(deeper)} count only the {cutoff} documents that were retrieved."] if deeper else []
    notes += [subcollection.note(dataset.subset)] if dataset.subset else []
    for name, cost in costs.items():
        if found := cost.get("prebuilt"):
            notes.append(f"{name} searched Pyserini's prebuilt index {found['name']} (MD5 {found['md5']}).")
        if cost.get("in_domain"):
            notes.append(f"{name} is in-domain: the source of its IDF holds documents of this corpus.")
    return Report(
        dataset.name, encoder, baseline, tuple(measures), len(dataset.topics), cutoff, seed, ALPHA, tuple(rows), notes, share_of,
        dataset.subset, by_topic=tuple(scores),
    )  # fmt: skip


def provenance(experiment: Experiment, dataset: Dataset, encoder: dict[str, Json] | None) -> dict[str, Json]:
    """Returns what made the figures: the experiment, the documents, the encoder, package versions and the machine."""
    subset = {"subset": dict(dataset.subset)} if dataset.subset else {}
    told = {"topics_sha256": topics_sha256(dataset), "qrels_sha256": qrels_sha256(dataset)}
    packages = ("torch", "transformers", "pyserini", "faiss-cpu", "ranx", "ir_datasets", "numpy")
    more = (package for name, needed in _ENGINES.items() for package in needed if any(name in s for s in experiment.systems))
    releases = {name: machine.installed(name) for name in (*packages, *more)}
    return {
        "experiment": dataclasses.asdict(experiment),
        "dataset": {"name": dataset.name, "corpus": dataset.corpus, **dataset.identity, **told, **subset},
        "encoder": encoder,
        "versions": {"python": platform.python_version(), "rarityir": __version__, **releases},
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {"system": platform.system(), "processor": platform.machine()},
    }


def leaves(system: System) -> list[System]:
    """Returns the systems that a system fuses, itself if it fuses none."""
    return [leaf for part in system.parts for leaf in leaves(part)] if system.fusion else [system]


def takes_model(system: System) -> bool:
    """Returns whether any part of the system reads embeddings."""
    return any(registry.resolve("indexes", leaf.index.name).takes != "text" for leaf in leaves(system) if leaf.index)


def _sidecar(experiment: Experiment, dataset: Dataset, encoder: dict[str, Json] | None) -> dict[str, Json]:
    return {
        "dataset": experiment.dataset,
        "baseline": str(System.parse(experiment.baseline)),
        "share_of": str(System.parse(experiment.share_of)) if experiment.share_of else "",
        "instruction": experiment.instruction,
        "measures": list(experiment.measures),
        "cutoff": experiment.cutoff,
        "seed": experiment.seed,
        "encoder_identity": encoder,
        "documents": dict(dataset.identity),
        "topics_sha256": topics_sha256(dataset),
        "subset": dict(dataset.subset),
    }


def _p_values(c: Any) -> dict[str, float]:
    return {"difference": c.difference, "t": c.t, "fisher": c.fisher, "t_holm": c.t_holm, "fisher_holm": c.fisher_holm}
