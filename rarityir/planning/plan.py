"""What a command will take before it is begun: documents, tokens, bytes, time, and what is there already."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from rarityir import impacts, parsing, registry, store, subcollection
from rarityir.corpus import Corpus
from rarityir.corpus import identify as identify_documents
from rarityir.datasets.outline import outline
from rarityir.doc_ids import DocIds
from rarityir.embeddings import BLOCK, WINDOW, identify
from rarityir.encoders.batching import Execution
from rarityir.encoders.hf import HFEncoder
from rarityir.experiment import Experiment, leaves
from rarityir.indexes import prebuilt
from rarityir.planning import calibration, outlay, sizes
from rarityir.planning.rates import Rates
from rarityir.report.plan import Plan, Step, duration, size
from rarityir.systems import Part, System, slug
from rarityir.types import Approximates, Dataset, Encoder, Prepared, RarityError

DOC_ID = 32  # bytes of a doc_id on disk: its line, where that ends, and where it is found
HIT, LINE = 12, 60  # bytes of a hit, row and score, and of its line in a run
RUNS = "runs, measures"  # the last step of an evaluation
LONG = 10.0  # seconds from which a command says what it will take
SUB, SHORT = 100_000, 128  # what cheaper plans are made of: a sub-collection's documents, and fewer tokens of each
GPU = 1e14  # floating-point operations a second that encoding on a GPU is assumed to reach
NARROW, LARGE = "edge:4", 1 << 30  # a narrower filter, and bytes of vectors from which it is told of
FASTEST = 1e6  # tokens a second that a small model is assumed to reach there
MACHINES = 8  # of a cluster


@dataclass(frozen=True)
class Job:
    """What is to be done over a dataset: `until` is how far it goes, `encode`, `index`, `search` or `eval`."""

    dataset: Dataset
    encoder: Encoder
    systems: Sequence[System]
    cutoff: int
    indexes: Path
    pool: str = ""
    sample: str = ""
    until: str = "eval"
    measures: Sequence[str] = ()

    @classmethod
    def of(cls, experiment: Experiment) -> Job:
        """Returns what `rarityir eval` will do; nothing is downloaded for it."""
        systems = experiment.check()
        return cls(
            outline(experiment.dataset), experiment.reader(), systems, experiment.cutoff, Path(experiment.indexes),
            experiment.pool, experiment.sample, measures=experiment.measures,
        )  # fmt: skip


def plan(job: Job) -> Plan:
    """Returns what a job will take here; writes nothing under its `indexes`.

    Times are measured: the encoder reads real documents for up to 20 s, and small indexes are built in a folder that is
    removed again. Raises `StaleArtefact` where the job itself would.
    """
    rates = Rates(job.dataset, job.encoder)
    if not rates.sample.texts:
        raise RarityError(f"{job.dataset.name}: the corpus has no documents")
    return _Planning(job, rates).plan()


def begin(job: Job, *, force: bool = False) -> str:
    """Returns the line that a long job begins with; nothing where it takes seconds, or all is there already.

    Few documents are read for it and encoding is watched for a second; what else takes time is assumed. Raises `RarityError` if
    what the job will write, or hold in memory, does not fit, unless it is forced. A collection that does not say how many
    documents it has is not read for this, and passes.
    """
    if not job.dataset.docs_count:
        return ""
    rates = Rates(job.dataset, job.encoder, brief=True)
    found = _Planning(job, rates, timed=False).plan()
    if not force and (lacking := found.lacking()):
        raise RarityError(lacking)
    if not any(step.disk for step in found.steps if step.name != RUNS):
        return ""
    found = _Planning(job, rates).plan()
    return found.first_line() if (found.seconds or 0.0) > LONG else ""


@dataclass
class _Planning:
    job: Job
    rates: Rates
    timed: bool = True
    ways: bool = True

    def plan(self) -> Plan:
        reading = [leaf for leaf in self._leaves if self._kind(leaf).takes not in ("text", "tokens")]
        encodes = bool(reading) or self.job.until == "encode"
        tokens, cut = None, 0.0
        if self.timed and encodes:
            tokens, cut = round(self._count * self.rates.lengths.mean), self.rates.lengths.cut
        steps = tuple(self._steps(reading, encodes=encodes))
        dataset, topics = self.job.dataset, len(self.job.dataset.topics)
        hits = HIT * topics * self.job.cutoff * len({*map(str, self._leaves), *map(str, self.job.systems)})
        name, read = dataset.name, self.rates.sample.basis if self.timed else "times are not measured"
        if self._chosen:
            name, read = f"{name}@{subcollection.tagged(self._chosen)}", f"{self._kept_of}; {read}"
        return Plan(
            name, self.job.encoder.name, self._count, topics, tokens, cut, read, steps,
            hits + sizes.held(), sizes.disk_free(self.job.indexes), sizes.memory_free(),
            tuple(self._cheaper(steps)) if self.ways and self.timed and not self.rates.brief else (),
        )  # fmt: skip

    def _steps(self, reading: Sequence[System], *, encodes: bool) -> Iterator[Step]:
        asked = self.job.until in ("search", "eval")
        yield self._documents()
        if self._chosen:
            yield self._choosing(self._chosen)
        if encodes:
            yield self._embeddings()
        if asked and any(self._asks(leaf) for leaf in reading):
            yield self._queries()
        spectra: set[str] = set()
        for name in sorted({"+".join(map(str, leaf.filters)) for leaf in reading if leaf.filters}):
            yield self._filter(name, spectra)
        built: set[str] = set()
        for leaf in self._leaves:
            yield self._index(leaf, built)
        if self.job.until == "eval":
            yield self._runs()

    @cached_property
    def _leaves(self) -> list[System]:
        """The systems that are searched, those that approximate ones are measured by among them."""
        found = {str(leaf): leaf for system in self.job.systems for leaf in leaves(system)}
        for leaf in list(found.values()) if self.job.until == "eval" else ():
            kind = self._kind(leaf)
            name = kind.exact(leaf.index.arg) if leaf.index and isinstance(kind, Approximates) else None
            if name and not any(leaf in system.parts for system in self.job.systems):
                system = System(Part.parse(name), leaf.filters)
                found.setdefault(str(system), system)
        return list(found.values())

    @cached_property
    def _whole(self) -> Corpus | None:
        """The documents if they were read before: only then can anything made of them be there."""
        root = self.job.indexes / slug(self.job.dataset.corpus)
        found = store.manifest(root / "documents", identify_documents(self.job.dataset))
        if found:
            store.check(root / "documents")
        return Corpus(root, DocIds(root / "documents"), str(found["facts"]["sha256"])) if found else None

    @cached_property
    def _total(self) -> int:
        """The documents of the whole collection."""
        if self._whole:
            return int(_read(self._whole.folder / "documents")["facts"]["documents"])
        known = self.job.dataset.docs_count
        return self.rates.sample.total or 0 if self.timed or known is None else known

    @cached_property
    def _chosen(self) -> subcollection.Pool | subcollection.Sample | None:
        return subcollection.check(self.job.pool, self.job.sample)

    @cached_property
    def _judged(self) -> int:
        return len({doc_id for relevance in self.job.dataset.qrels.values() for doc_id in relevance})

    @cached_property
    def _count(self) -> int:
        """The documents that are indexed."""
        if self._chosen is None:
            return self._total
        if self._corpus:
            return int(_read(self._corpus.folder / "documents")["facts"]["documents"])
        return subcollection.expected(self._chosen, self._total, len(self.job.dataset.topics), self._judged)

    @property
    def _kept_of(self) -> str:
        about = "" if self._corpus or isinstance(self._chosen, subcollection.Sample) else "at most about "
        return f"{about}{self._count:,} of {self._total:,} documents"

    @cached_property
    def _corpus(self) -> Corpus | None:
        """The documents that are indexed, if they were chosen and read before."""
        if self._chosen is None or self._whole is None:
            return self._whole if self._chosen is None else None
        root = self.job.indexes / slug(subcollection.named(self.job.dataset, self._chosen))
        found = _read(root / "documents")
        of = {**self.job.dataset.identity, "digest": self._whole.digest}
        if not found or found["identity"].get("of") != json.loads(json.dumps(of)):
            return None
        store.check(root / "documents")
        return Corpus(root, DocIds(root / "documents"), str(found["facts"]["sha256"]))

    def _complete(self, folder: Path, corpus: Corpus) -> bool:
        """Whether a folder of these documents is complete; whether it is of this encoder, the job itself checks."""
        return bool(_read(folder).get("identity", {}).get("documents") == corpus.digest)

    @cached_property
    def _there(self) -> int:
        """The documents that are encoded already."""
        if not self._corpus:
            return 0
        folder, identity = self._home / "embeddings", identify(self._corpus, self.job.encoder)
        if store.manifest(folder, identity):
            return self._count
        store.check_begun(folder, identity)
        return min(self._count, BLOCK * len(list(folder.glob("[0-9]*.npy"))))

    @property
    def _reading(self) -> float:
        """Seconds in which the whole collection is read once."""
        return self._total / self.rates.sample.rate

    @cached_property
    def _outlay(self) -> outlay.Outlay:
        topics, reading = len(self.job.dataset.topics), self._reading if self.timed else 0.0
        return outlay.Outlay(self.rates, self.job.encoder, self._count, topics, self.job.cutoff, self.timed, reading)

    def _documents(self) -> Step:
        if self._whole:
            return Step("documents", 0.0 if self.timed else None, 0, 0, "manifest", "all")
        told = f"read at the sample's rate; {DOC_ID} bytes a doc_id"
        return Step("documents", self._reading if self.timed else None, DOC_ID * self._total, 0, told)

    def _choosing(self, chosen: subcollection.Pool | subcollection.Sample) -> Step:
        """Choosing documents, a pool's by its own index over the whole, and reading the whole again for those."""
        name, seconds, disk, memory, told = subcollection.tagged(chosen), 0.0, DOC_ID * self._count, 0, self._kept_of
        if self._corpus:
            disk = 0
        if isinstance(chosen, subcollection.Pool):
            found = self._lucene()
            there = self._whole and self._complete(self._whole.folder / "bm25", self._whole)
            seconds = found.search + (0.0 if there else found.build)
            disk, memory, told = disk + (0 if there else found.disk), found.memory, f"{told}; {found.basis}"
        seconds += self._reading if self.timed else 0.0
        return Step(name, seconds if self.timed else None, disk, memory, told, "documents" if self._corpus else "")

    def _embeddings(self) -> Step:
        there, execution = self._there, getattr(self.job.encoder, "execution", Execution())
        each = self.job.encoder.dim * (4 if execution.store_dtype == "float32" else 2)
        left, told = self._count - there, f"{each // self.job.encoder.dim} bytes x {self.job.encoder.dim} dimensions"
        seconds = None
        if self.timed:
            seconds = 0.0
            if left:
                rate = self.rates.encoding(left)
                seconds = rate.before + left * (self.rates.lengths.mean / rate.each + each / self.rates.writing)
                told += f"; {rate.basis}, after {duration(rate.before)}"
        reused = "all" if there == self._count else f"{there:,} of {self._count:,}" if there else ""
        return Step("embeddings", seconds, each * left, 3 * each * BLOCK * WINDOW, told, reused)

    def _asks(self, leaf: System) -> bool:
        """Whether the leaf's queries are encoded."""
        kind = self._kind(leaf)
        return kind.takes == "embeddings" or impacts.asking(kind.settings(leaf.index.arg if leaf.index else "")).needs_model

    def _queries(self) -> Step:
        topics, memory = list(self.job.dataset.topics.values()), 4 * self.job.encoder.dim * len(self.job.dataset.topics)
        if not self.timed:
            return Step("queries", None, 0, memory, "one vector a topic")
        known = [text for text in topics if text][: calibration.SAMPLE]
        mean = calibration.lengths(self.job.encoder, known).mean if known else float(outlay.QUERY)
        # Where queries alone are left to encode, the rate need not be watched as long.
        left = self._count - self._there
        rate = self.rates.encoding(left or len(topics), None if left else calibration.BUDGET / 8)
        seconds = len(topics) * mean / rate.each + (0.0 if left else rate.before)
        return Step("queries", seconds, 0, memory, f"{mean:.0f} tokens a query{'' if known else ', assumed'}")

    def _filter(self, name: str, spectra: set[str]) -> Step:
        width, vocabulary = self.job.encoder.dim, len(self.job.encoder.tokens())
        if self._corpus and self._complete(self._home / "filters" / slug(name), self._corpus):
            return Step(f"+{name}", 0.0 if self.timed else None, 0, 0, "manifest", "all")
        parts = [Part.parse(part) for part in name.split("+")]
        kept, known = sizes.width(parts, width)
        on = {"documents" if sizes.on_documents(part) else "unembedding" for part in parts} - spectra
        on -= {"unembedding"} if all(part.name in sizes.FREE for part in parts) else set()
        spectra |= on
        work = float(sum(({"documents": self._count}.get(one, vocabulary)) * width**2 + 25 * width**3 for one in on))
        work += sum(sizes.searching(p, self._count if sizes.on_documents(p) else vocabulary, width) for p in parts)
        told = (
            f"{'' if known else 'at most '}{kept} of {width} dimensions; spectrum of the {' and the '.join(sorted(on)) or 'same'}"
        )
        seconds = work / self.rates.multiplying if self.timed else None
        return Step(f"+{name}", seconds, 4 * kept * width, 4 * width * vocabulary, told)

    @property
    def _home(self) -> Path:
        assert self._corpus is not None
        return self._corpus.folder / slug(self.job.encoder.name)

    @staticmethod
    def _kind(leaf: System) -> Any:
        assert leaf.index is not None
        return registry.resolve("indexes", leaf.index.name)

    def _index(self, leaf: System, built: set[str]) -> Step:
        assert leaf.index is not None
        kind = self._kind(leaf)
        kept, known = sizes.width(leaf.filters, self.job.encoder.dim)
        if kind.takes == "text":
            made = self._lucene() if isinstance(kind, Prepared) and not self._chosen else self._outlay.text(self._count)
        elif kind.takes == "tokens":
            made = self._outlay.tokens(leaf.index, kind)
        elif kind.takes == "impacts":
            made = self._outlay.impacts(leaf.index, kind)
        else:
            made = self._outlay.vectors(leaf.index, kind, kept, known=known)
        name = "+".join((kind.key(leaf.index.arg), *map(str, leaf.filters)))
        home = self._corpus and (self._corpus.folder if kind.takes == "text" else self._home)
        there = "index" if home and self._corpus and self._complete(home / slug(name), self._corpus) else ""
        if name in built:
            there = "index, shared"
        built.add(name)
        search = made.search if self.job.until in ("search", "eval") else 0.0
        if there:
            return Step(str(leaf), search if self.timed else None, 0, made.memory, f"search alone; {made.basis}", there)
        return Step(str(leaf), made.build + search if self.timed else None, made.disk, made.memory, made.basis)

    def _lucene(self) -> outlay.Made:
        """Lucene's index of the whole collection: copied from Pyserini's cache where it is there, else built."""
        made, choices = self._outlay.text(self._total), prebuilt.known(self.job.dataset.corpus)
        for one in choices:
            if (prebuilt.cache() / one.folder).is_dir():
                disk = sum(path.stat().st_size for path in (prebuilt.cache() / one.folder).iterdir())
                told = f"Pyserini's prebuilt index {one.name}, from its cache"
                return made._replace(build=disk / self.rates.writing, disk=disk, basis=told)
        more = "; Pyserini's prebuilt index instead, where it can be fetched" if choices else ""
        return made._replace(basis=made.basis + more)

    def _runs(self) -> Step:
        """Runs are written and measured, system by system."""
        hits = len(self.job.dataset.topics) * min(self.job.cutoff, self._count)
        systems, seconds = len(self.job.systems), None
        if self.timed:
            before, each = self.rates.answering(self.job.measures)
            seconds = before + systems * hits * each
        return Step(RUNS, seconds, systems * hits * LINE, 0, f"at most {hits:,} documents a system")

    def _cheaper(self, steps: Sequence[Step]) -> Iterator[str]:
        """Other ways to do it, each with what it would take."""
        total = sum(step.seconds or 0.0 for step in steps)
        encode = next((step.seconds or 0.0 for step in steps if step.name == "embeddings"), 0.0)
        for job in (replace(self.job, pool="bm25:100"), replace(self.job, sample=str(SUB))):
            if self._total > 2 * SUB and not self._chosen and self._judged:
                found = _Planning(job, self.rates, ways=False).plan()
                took = f"about {duration(found.seconds)} and {size(found.disk)} for {found.documents:,} documents"
                yield f"{f'--pool {job.pool}' if job.pool else f'--sample {job.sample}'}: {took}, a judged sub-collection"
        if encode > 60 and self.rates.lengths.mean > SHORT:
            most = duration(total - encode * (1 - SHORT / self.rates.lengths.mean))
            yield f"--max-length {SHORT}: at most {most}, and other embeddings"
        wide = [leaf for leaf in self._leaves if leaf.index and leaf.index.name == "dense" and not leaf.filters]
        if wide and 4 * self.job.encoder.dim * self._count > LARGE:
            narrow = sizes.width([Part.parse(NARROW)], self.job.encoder.dim)[0]
            was, now = (size(4 * dim * self._count) for dim in (self.job.encoder.dim, narrow))
            yield f"a narrower filter, {wide[0]}+{NARROW}: {now} of vectors instead of {was}, as much faster to search"
        if encode > 600:
            if isinstance(self.job.encoder, HFEncoder) and self.job.encoder.torch_device == "cpu":
                each = max(self.job.encoder.operations() / GPU, 1 / FASTEST)
                least = duration(self._count * self.rates.lengths.mean * each)
                yield f"a GPU (--device cuda): about {least} of encoding, at {1 / each:,.0f} tokens a second, assumed"
            took = duration(encode / MACHINES)
            yield f"rarityir encode --cluster, then --encoded: about {took} of encoding on {MACHINES} machines like this one"


def _read(folder: Path) -> dict[str, Any]:
    """A folder's manifest; empty where there is none."""
    try:
        found: dict[str, Any] = parsing.value(folder / store.MANIFEST)
    except parsing.BROKEN:
        return {}
    return found
