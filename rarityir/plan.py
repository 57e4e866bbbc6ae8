"""What an evaluation will take before it is begun: documents, tokens, bytes, time, and what is there already."""

from __future__ import annotations

import json
import os
import resource
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rarityir import calibration, registry, store
from rarityir.corpus import Corpus
from rarityir.corpus import identify as identify_documents
from rarityir.datasets.outline import outline
from rarityir.doc_ids import DocIds
from rarityir.embeddings import BLOCK, identify
from rarityir.experiment import Experiment, leaves
from rarityir.report.plan import Plan, Step, duration, size
from rarityir.settings import ImpactSettings
from rarityir.systems import Part, System, slug
from rarityir.tokens import TokenLens, Vocabulary
from rarityir.types import Dataset, Encoder, Floats, RarityError

DOC_ID = 16  # bytes of a doc_id in a file, its end of line included
ROW = 200  # bytes of a doc_id in memory, as text and as a key
HIT = 12  # bytes of a hit: row and score
POSTING = 4  # bytes of a posting, about; 2.8 to 4.2 measured on Cranfield, three of them its row and impact
POSTINGS_BLOCK = 65_536  # documents whose postings are made at once
LUCENE = 5e-9  # seconds a query and document; assumed, 44 ms a query over MS MARCO's passages
JAVA = 512 << 20  # bytes that Lucene's heap may grow to
QUERY = 10  # tokens that a query is assumed to have where its text is not here
SUB, SHORT = 100_000, 128  # what cheaper plans are made of: a sub-collection's documents, and fewer tokens of each


def of_experiment(experiment: Experiment) -> Plan:
    """Returns the plan of an experiment; nothing is downloaded for it."""
    systems = experiment.check()
    return plan(outline(experiment.dataset), experiment.reader(), systems, experiment.cutoff, Path(experiment.indexes))


def check_experiment(experiment: Experiment) -> None:
    """Raises `RarityError` if an experiment cannot fit the disk or the memory; what is not known here passes."""
    systems = experiment.check()
    try:
        dataset = outline(experiment.dataset)
    except RarityError:
        return  # it may still be downloaded, and says better what it lacks
    check_room(dataset, experiment.reader(), systems, Path(experiment.indexes))


def plan(dataset: Dataset, encoder: Encoder, systems: Sequence[System], cutoff: int, indexes: Path) -> Plan:
    """Returns what evaluating systems will take here; writes nothing under `indexes`.

    Times are measured: the encoder reads real documents for up to 20 s, and small indexes are built in a folder that is
    removed again. Raises `StaleArtefact` where the evaluation itself would.
    """
    return _Planning(dataset, encoder, systems, cutoff, indexes).plan()


def check_room(dataset: Dataset, encoder: Encoder, systems: Sequence[System], indexes: Path) -> None:
    """Raises `RarityError` if what the systems will write, or hold in memory, does not fit; measures no times.

    A collection that does not say how many documents it has is not read for this, and passes.
    """
    if dataset.docs_count is None:
        return
    planning = _Planning(dataset, encoder, systems, 0, indexes, timed=False)
    planning.count = dataset.docs_count
    lacking = planning.plan().lacking()
    if lacking:
        raise RarityError(lacking)


@dataclass
class _Planning:
    dataset: Dataset
    encoder: Encoder
    systems: Sequence[System]
    cutoff: int
    indexes: Path
    timed: bool = True
    count: int = 0

    def plan(self) -> Plan:
        parts = {str(leaf): leaf for system in self.systems for leaf in leaves(system)}
        reading = [leaf for leaf in parts.values() if self._kind(leaf).takes != "text"]
        tokens, cut, read = None, 0.0, "times are not measured"
        if self.timed:
            self.count = self._sample.total or 0
            read = self._sample.basis
        if self.timed and reading:
            tokens, cut = round(self.count * self._lengths[0]), self._lengths[1]
        steps = [self._documents()]
        if reading:
            steps += [self._embeddings(), self._queries()]
            names = {"+".join(map(str, leaf.filters)) for leaf in reading if leaf.filters}
            steps += [self._filter(name) for name in sorted(names)]
        steps += [self._index(leaf) for leaf in parts.values()]
        topics = len(self.dataset.topics)
        hits = HIT * topics * self.cutoff * len({*parts, *map(str, self.systems)})
        return Plan(
            self.dataset.name, self.encoder.name, self.count, topics, tokens, cut, read, tuple(steps),
            ROW * self.count + hits + self._process(), _disk_free(self.indexes), _memory_free(),
            self._cheaper(steps) if self.timed else (),
        )  # fmt: skip

    @cached_property
    def _sample(self) -> calibration.Sample:
        return calibration.sample(self.dataset)

    @cached_property
    def _lengths(self) -> tuple[float, float]:
        return calibration.lengths(self.encoder, self._sample.texts)

    @cached_property
    def _encoded(self) -> tuple[calibration.Rate, Floats]:
        # Where queries alone are left to encode, the rate need not be watched as long.
        budget = calibration.BUDGET if self._there < self.count else calibration.BUDGET / 8
        return calibration.encoding(self.encoder, self._sample.texts, self._lengths[0], BLOCK, budget)

    @cached_property
    def _multiplying(self) -> float:
        return calibration.multiplying()

    @cached_property
    def _lucene(self) -> calibration.Tried:
        topics = [text for text in self.dataset.topics.values() if text][:64]
        return calibration.lucene(self._sample.texts, topics or [" ".join(text.split()[:6]) for text in self._sample.texts[:64]])

    @cached_property
    def _corpus(self) -> Corpus | None:
        """The documents if they were read before: only then can anything made of them be there."""
        root = self.indexes / slug(self.dataset.corpus)
        found = store.manifest(root / "documents", identify_documents(self.dataset))
        return Corpus(root, DocIds(root / "documents"), str(found["facts"]["sha256"])) if found else None

    def _complete(self, folder: Path) -> bool:
        """Whether a folder of these documents is complete; whether it is of this encoder, the evaluation itself checks."""
        try:
            found = json.loads((folder / store.MANIFEST).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return self._corpus is not None and found["identity"].get("documents") == self._corpus.digest

    @cached_property
    def _there(self) -> int:
        """The documents that are encoded already."""
        if not self._corpus:
            return 0
        folder = self._home / "embeddings"
        if store.manifest(folder, identify(self._corpus, self.encoder)):
            return self.count
        return min(self.count, BLOCK * len(list(folder.glob("[0-9]*.npy"))))

    def _documents(self) -> Step:
        if self._corpus:
            return Step("documents", 0.0 if self.timed else None, 0, 0, "manifest", "all")
        seconds = self.count / self._sample.rate if self.timed else None
        return Step("documents", seconds, DOC_ID * self.count, 0, f"read at the sample's rate; {DOC_ID} bytes a doc_id")

    def _embeddings(self) -> Step:
        there = self._there
        left, told = self.count - there, f"4 bytes x {self.encoder.dim} dimensions"
        seconds = None
        if self.timed:
            rate = self._encoded[0]
            seconds = rate.before + left * self._lengths[0] / rate.each if left else 0.0
            told += f"; {rate.basis}"
        reused = "all" if there == self.count else f"{there:,} of {self.count:,}" if there else ""
        return Step("embeddings", seconds, 4 * self.encoder.dim * left, 4 * self.encoder.dim * BLOCK, told, reused)

    def _queries(self) -> Step:
        topics, memory = list(self.dataset.topics.values()), 4 * self.encoder.dim * len(self.dataset.topics)
        if not self.timed:
            return Step("queries", None, 0, memory, "one vector a topic")
        known = [text for text in topics if text][: calibration.SAMPLE]
        mean = calibration.lengths(self.encoder, known)[0] if known else float(QUERY)
        seconds = len(topics) * mean / self._encoded[0].each
        return Step("queries", seconds, 0, memory, f"{mean:.0f} tokens a query{'' if known else ', assumed'}")

    def _filter(self, name: str) -> Step:
        width, vocabulary = self.encoder.dim, len(self.encoder.tokens())
        if self._corpus and self._complete(self._home / "filters" / slug(name)):
            return Step(f"+{name}", 0.0 if self.timed else None, 0, 0, "manifest", "all")
        seconds = (vocabulary * width**2 + 25 * width**3) / self._multiplying if self.timed else None
        return Step(f"+{name}", seconds, 4 * width**2, 4 * width * vocabulary, "spectrum of the unembedding: V D^2 + 25 D^3")

    @property
    def _home(self) -> Path:
        assert self._corpus is not None
        return self._corpus.folder / slug(self.encoder.name)

    @staticmethod
    def _kind(leaf: System) -> Any:
        assert leaf.index is not None
        return registry.resolve("indexes", leaf.index.name)

    def _index(self, leaf: System) -> Step:
        assert leaf.index is not None
        kind = self._kind(leaf)
        made = {"text": self._text, "embeddings": self._vectors, "impacts": self._impacts}[kind.takes](leaf.index, kind)
        name = "+".join((kind.key(leaf.index.arg), *map(str, leaf.filters)))
        home = self._corpus and (self._corpus.folder if kind.takes == "text" else self._home)
        build, search, disk, memory, basis = made
        if home and self._complete(home / slug(name)):
            return Step(str(leaf), search if self.timed else None, 0, memory, f"search alone; {basis}", "index")
        return Step(str(leaf), build + search if self.timed else None, disk, memory, basis)

    def _text(self, part: Part, kind: Any) -> tuple[float, float, int, int, str]:
        """Lucene: its index, and the texts it is built from, which are there meanwhile."""
        if not self.timed:
            return 0.0, 0.0, 0, JAVA, "not sized without a sample"
        tried, topics = self._lucene, len(self.dataset.topics)
        search = topics * (tried.query + LUCENE * self.count)
        basis = f"{tried.bytes_each:,.0f} bytes and {1e3 * tried.each:.2f} ms a document, {tried.basis}"
        source = sum(len(text.encode()) for text in self._sample.texts) / len(self._sample.texts)
        disk = round((tried.bytes_each + source) * self.count)
        return tried.before + tried.each * self.count, search, disk, JAVA, f"{basis}; with the texts meanwhile"

    def _vectors(self, part: Part, kind: Any) -> tuple[float, float, int, int, str]:
        """A dense index, of the encoder's whole width: how much narrower a filter makes it is known when it is fitted."""
        flat = 4 * self.encoder.dim * self.count
        if not self.timed:
            return 0.0, 0.0, flat, 2 * flat, "4 bytes a dimension at most"
        tried, topics = self._tried(part, kind), len(self.dataset.topics)
        disk = round(tried.bytes_each * self.count)
        told = f"{tried.bytes_each:,.0f} bytes a document at most, {tried.basis}; twice in memory while it grows"
        return tried.each * self.count, tried.query * self.count * topics, disk, 2 * disk, told

    def _tried(self, part: Part, kind: Any) -> calibration.Tried:
        found: dict[str, calibration.Tried] = self.__dict__.setdefault("_trials", {})
        key = kind.key(part.arg)
        if key not in found:
            found[key] = calibration.flat(self.encoder.dim, kind, part.arg)
        return found[key]

    def _impacts(self, part: Part, kind: Any) -> tuple[float, float, int, int, str]:
        """Postings: at most `keep` a document, and what every block has of every token."""
        settings: ImpactSettings = kind.settings(part.arg)
        vocabulary = len(self.encoder.tokens())
        blocks = -(-self.count // POSTINGS_BLOCK)
        disk = POSTING * settings.keep * self.count + 5 * vocabulary * blocks + 4 * self.count
        whole = part.name != "sparse"  # an engine that keeps all in memory
        held = 2 * disk if whole else 16 * settings.keep * min(self.count, POSTINGS_BLOCK)
        memory = held + 8 * vocabulary * self.encoder.dim
        basis = f"at most {settings.keep} postings of about {POSTING} bytes a document"
        if not self.timed:
            return 0.0, 0.0, disk, memory, basis
        each = self._lens(settings)
        if settings.style == "lightretriever":
            macs = self._lengths[0] * vocabulary * self.encoder.dim
            each = self._lengths[0] / self._encoded[0].each + macs / self._multiplying
        build = each * self.count
        return build, 0.0, disk, memory, f"{basis}; {1e3 * each:.2f} ms a document, measured; search under a second"

    def _lens(self, settings: ImpactSettings) -> float:
        """Seconds in which an embedding is read as tokens."""
        return calibration.reading(self._encoded[1], self._reader(settings.stem), settings.keep)

    def _reader(self, stem: str) -> TokenLens:
        found: dict[str, TokenLens] = self.__dict__.setdefault("_readers", {})
        if stem not in found:
            vocabulary = Vocabulary.of(self.encoder.tokens(), stem)
            found[stem] = TokenLens(self.encoder.unembedding(), vocabulary=vocabulary, bias=self.encoder.unembedding_bias())
        return found[stem]

    def _process(self) -> int:
        """The most bytes this process has held: Python, its libraries, and the model where it was loaded."""
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most << 10

    def _cheaper(self, steps: Sequence[Step]) -> tuple[str, ...]:
        total = sum(step.seconds or 0.0 for step in steps)
        written = sum(step.disk for step in steps)
        lines = []
        if self.count > 2 * SUB:
            share = SUB / self.count
            lines.append(f"{SUB:,} of the documents: about {duration(share * total)} and {size(share * written)}")
        encode = next((step.seconds or 0.0 for step in steps if step.name == "embeddings"), 0.0)
        if encode > 60 and self._lengths[0] > SHORT:
            most = duration(total - encode * (1 - SHORT / self._lengths[0]))
            lines.append(f"--max-length {SHORT}: at most {most}, and other embeddings")
        if encode > 600 and self.encoder.identity().get("dtype") == "float32":
            lines.append(f"a GPU (--device cuda) takes most of the {duration(encode)} of encoding away; not measured here")
        return tuple(lines)


def _disk_free(folder: Path) -> int | None:
    """The bytes free where a folder is or will be."""
    for place in (folder.absolute(), *folder.absolute().parents):
        if place.exists():
            return shutil.disk_usage(place).free
    return None


def _memory_free() -> int | None:
    """The bytes this process may have, those it has included; None where the system does not say."""
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    try:
        facts = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        return own + (int(facts["MemAvailable"].split()[0]) << 10)
    except (OSError, KeyError, ValueError):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return None
