"""One system on one dataset gives one run: encode, filter, read as tokens, index, search, each done once per corpus."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from rarityir import filters, impacts, registry, store
from rarityir.corpus import Corpus, prepare
from rarityir.counts import TokenCounts
from rarityir.embeddings import Embeddings, embed, identify
from rarityir.filters import EmbedFilter, Source, Unembedding
from rarityir.indexes.subword import counted
from rarityir.indexes.topk import without_own
from rarityir.indexes.warming import fits, warm
from rarityir.rarity import idf
from rarityir.rarity.sources import Rarities
from rarityir.runs import Run
from rarityir.settings import FOREIGN, IdfSettings, ImpactSettings
from rarityir.systems import Part, System, slug
from rarityir.tokens import TokenLens, Vocabulary, ask
from rarityir.tokens.queries import NAMED, inverse_document_frequencies
from rarityir.types import Approximates, Dataset, Encoder, Filter, Floats, Hits, Index, Ints, Json, Prepared, RarityError, Refuses
from rarityir.weights import TokenWeights

INDEXES = Path("indexes")
CUTOFF = 1000
DEPTH = 100  # exact neighbours that an approximate index is measured by
READ = "read"  # what is kept of a long reading until its index is built
PROBES = 32  # documents that an index made elsewhere must find
TEXTS = 4096  # documents a block that text indexes are built from
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Retrieved:
    """What a system found, and what it cost: width, bytes a document, index bytes, seconds to build and to answer."""

    system: System
    hits: Hits
    seconds: float  # answering all queries, encoding them left out
    embedded: bool  # whether documents were encoded for it
    asked: bool  # whether queries were
    own: dict[str, Json]  # the cost without what systems share
    cost: dict[str, Json]


def retrieve(
    system: str | System, dataset: Dataset, encoder: Encoder, *, cutoff: int = CUTOFF, indexes: str | Path = INDEXES
) -> Run:
    """Returns a system's run over a dataset's topics.

    Builds under `indexes` what is not there yet and reuses what is; a stored part that was built from something else
    is a `StaleArtefact` that names the difference.
    """
    return Retriever(dataset, encoder, Path(indexes)).run(System.parse(str(system)), cutoff)


def check(system: System) -> None:
    """Raises what is wrong with any part's argument, before anything is read or encoded."""
    for part in system.parts:
        check(part)
    if system.fusion:
        nothing = Hits(np.empty((0, 0), np.int64), np.empty((0, 0), np.float32))
        registry.resolve("fusions", system.fusion.name)(system.fusion.arg, [nothing] * len(system.parts), 1)
    if system.index:
        index = registry.resolve("indexes", system.index.name)
        index.key(system.index.arg)
        if index.takes == "impacts":
            impacts.check(index.settings(system.index.arg))
    filters.check(system.filters)


class Retriever:
    """Answers a dataset's topics with any number of systems, which share documents, embeddings and query vectors.

    Where it is `timed`, each index that fits in memory is warmed before its clock starts, so that costs can be compared.
    """

    def __init__(self, dataset: Dataset, encoder: Encoder, indexes: Path = INDEXES, *, timed: bool = False) -> None:
        self.dataset, self.encoder, self.indexes, self.timed = dataset, encoder, indexes, timed
        self._done: dict[tuple[str, int], Retrieved] = {}
        self._vocabularies: dict[str, Vocabulary] = {}
        self.rarities = Rarities(encoder, indexes)

    def run(self, system: System, cutoff: int = CUTOFF) -> Run:
        """Returns the system's run, ties broken and named after the system, and after the sub-collection where it is of one."""
        found = self.search(system, cutoff)
        return Run.from_hits(tagged(str(system), self.dataset), tuple(self.dataset.topics), self.corpus.doc_ids, found.hits)

    def search(self, system: System, cutoff: int = CUTOFF) -> Retrieved:
        """Returns the system's hits and costs; what was already searched here is not searched again."""
        check(system)
        if cutoff < 1:
            raise RarityError(f"cutoff is {cutoff}; at least one document must be retrieved")
        key = (str(system), cutoff)
        if key not in self._done:
            self._done[key] = self._fuse(system, cutoff) if system.fusion else self._leaf(system, cutoff)
        return self._done[key]

    def recall(self, system: System, cutoff: int = CUTOFF) -> float | None:
        """Returns the share of the exact best documents that an approximate index found; None for one that is exact.

        Of each topic the best `DEPTH` are looked for, or `cutoff` where that is less, by the exact index of the same vectors,
        which is built and searched once for all.
        """
        if system.index is None:
            return None
        kind = registry.resolve("indexes", system.index.name)
        name = kind.exact(system.index.arg) if isinstance(kind, Approximates) else None
        if name is None:
            return None
        found, exact = (self.search(s, cutoff).hits.rows for s in (system, System(Part.parse(name), system.filters)))
        return recall(found[:, :DEPTH], exact[:, :DEPTH])

    def index(self, system: System) -> list[Path]:
        """Builds everything the system needs and returns its folders."""
        check(system)
        if system.fusion:
            return [folder for part in system.parts for folder in self.index(part)]
        return [self._ready(system)[1]]

    def queries(self, system: System) -> Any:
        """Returns the topics in the form that the index of a system without parts takes: texts, (Q, K) vectors or impacts."""
        check(system)
        index, _, filter, _ = self._ready(system)
        if index.takes == "tokens":
            index, _ = self._weighed(index)
        return self._asked(system, index, filter)

    @cached_property
    def corpus(self) -> Corpus:
        """The documents as rows."""
        return prepare(self.dataset, self.indexes)

    @cached_property
    def embeddings(self) -> Embeddings:
        """The documents' raw embeddings."""
        return embed(self.dataset, self.corpus, self.encoder)

    @cached_property
    def _queries(self) -> tuple[Floats, float]:
        texts = list(self.dataset.topics.values())
        self.encoder.encode_query(texts[:1])  # the model is loaded before the clock starts
        started = time.monotonic()
        x_QD = self.encoder.encode_query(texts)
        return x_QD, time.monotonic() - started

    @cached_property
    def _unembedding(self) -> Floats:
        return self.encoder.unembedding()

    @cached_property
    def source(self) -> Source:
        """What filters are fitted on here: the encoder's unembedding, its tokens' counts, the documents' embeddings."""
        return Source(
            Unembedding(lambda: Unembedding.of(self._unembedding).read(), self.encoder.model),
            self._counts,
            lambda: iter(self.embeddings),
            {"sha256": self.corpus.digest, "encoder": self.encoder.name, "pooling": self.encoder.identity().get("pooling")},
        )

    def _counts(self, table: str) -> TokenCounts:
        vocabulary = len(self._unembedding)
        if table == "english":
            return TokenCounts.english(self.encoder.model, vocabulary)
        ids = (ids for block in self._texts() for ids in self.encoder.tokenize(block))
        return TokenCounts.of(ids, vocabulary, f"the {len(self.corpus.doc_ids)} documents of {self.dataset.corpus}")

    def filter(self, parts: Sequence[Part]) -> EmbedFilter | None:
        """Returns the filter of a system's `+` parts, fitted once for an encoder and a corpus; None where there are none."""
        if not parts:
            return None
        name = "+".join(map(str, parts))
        folder = self._home / "filters" / slug(name)
        with store.building(folder, {**identify(self.corpus, self.encoder), **filters.identity(parts)}, {}) as needed:
            if needed:
                log.info("fitting %s", name)
                EmbedFilter.fit(self.source, name).save(folder)
        store.check(folder)
        return EmbedFilter.load(folder)

    def _leaf(self, system: System, cutoff: int) -> Retrieved:
        index, folder, filter, facts = self._ready(system)
        told: dict[str, Json] = {}
        if index.takes == "tokens":
            index, told = self._weighed(index)
        queries = self._asked(system, index, filter)
        own = self.dataset.drops_query_document
        if self.timed and fits(store.size(folder)):
            warm(index, queries, len(self.dataset.topics), cutoff + own)
        started = time.monotonic()
        hits = index.search(queries, cutoff + own)
        seconds = time.monotonic() - started
        if own:
            hits = without_own(hits, list(self.dataset.topics), self.corpus.doc_ids, cutoff)
        cost: dict[str, Json] = {
            "dim": facts.get("dim"),
            "bytes_per_doc": facts["bytes_per_doc"],
            "index_bytes": store.size(folder),
            "build_seconds": facts["build_seconds"],
        }
        if "prebuilt" in facts:
            cost["prebuilt"] = facts["prebuilt"]
        cost |= told
        embedded = asked = index.takes == "embeddings"
        if index.takes == "impacts":
            settings = self._settings(system)
            embedded, asked = settings.style != "lightretriever", impacts.asking(settings).needs_model
            if settings.weights in FOREIGN:
                foreign = IdfSettings.foreign(settings)
                cost |= self.rarities.told(foreign, self.dataset.corpus, self.corpus.digest)
            if settings.weights not in NAMED and Path(settings.weights).is_dir():
                cost |= TokenWeights.read(settings.weights).told(self.dataset.corpus, self.corpus.digest)
            cost["impacts_per_query"] = round(len(queries.values) / max(1, len(self.dataset.topics)), 2)
        return Retrieved(
            system, hits, seconds, embedded, asked, cost, self._priced(cost, seconds, embedded=embedded, asked=asked)
        )

    def _fuse(self, system: System, cutoff: int) -> Retrieved:
        assert system.fusion is not None
        parts = [self.search(part, cutoff) for part in system.parts]
        started = time.monotonic()
        hits = registry.resolve("fusions", system.fusion.name)(system.fusion.arg, [part.hits for part in parts], cutoff)
        seconds = time.monotonic() - started + sum(part.seconds for part in parts)
        # What the parts share, the documents' and the queries' embeddings, is paid for once.
        embedded, asked = any(part.embedded for part in parts), any(part.asked for part in parts)
        cost: dict[str, Json] = {"dim": None}
        for name in ("bytes_per_doc", "index_bytes", "build_seconds"):
            cost[name] = round(sum(part.own[name] for part in parts), 3)
        if any(part.own.get("in_domain") for part in parts):
            cost["in_domain"] = True
        return Retrieved(
            system, hits, seconds, embedded, asked, cost, self._priced(cost, seconds, embedded=embedded, asked=asked)
        )

    def _priced(self, cost: dict[str, Json], seconds: float, *, embedded: bool, asked: bool) -> dict[str, Json]:
        """The cost with the seconds of what is shared: encoding the documents, and the queries; and searching by itself."""
        build = cost["build_seconds"] + (self.embeddings.seconds if embedded else 0.0)
        answering = seconds + (self._queries[1] if asked else 0.0)
        qps = len(self.dataset.topics) / max(answering, 1e-9)
        searching = len(self.dataset.topics) / max(seconds, 1e-9)
        return {**cost, "build_seconds": round(build, 3), "qps": round(qps, 1), "search_qps": round(searching, 1)}

    def _ready(self, system: System) -> tuple[Index, Path, Filter | None, dict[str, Json]]:
        """Builds the system's index if it is not there, and opens it."""
        assert system.index is not None
        kind = registry.resolve("indexes", system.index.name)
        filter = self.filter(system.filters)
        name = "+".join((kind.key(system.index.arg), *map(str, system.filters)))
        identity: dict[str, Json] = {"index": name, "form": kind.version(), "documents": self.corpus.digest}
        home = self.corpus.folder
        if kind.takes == "tokens":
            home = self._home
            reader = self.encoder.identity()  # of which tokens depend on the model alone
            identity |= {"encoder": self.encoder.name, **{key: reader.get(key) for key in ("model", "revision")}}
        elif kind.takes != "text":
            home = self._home
            identity |= {**identify(self.corpus, self.encoder), "filter": filter.digest if filter else None}
            if isinstance(kind, Refuses):
                kind.refuse(system.index.arg, len(self.corpus.doc_ids), len(filter.basis) if filter else self.encoder.dim)
            if kind.takes == "embeddings" or self._settings(system).style != "lightretriever":
                _ = self.embeddings  # encoded before the index's own clock starts
        folder, facts = home / slug(name), {"documents": len(self.corpus.doc_ids)}
        with store.building(folder, identity, facts) as needed:
            if needed:
                log.info("building %s", folder)
                if isinstance(kind, Prepared):
                    facts.update(kind.ready(self.dataset.corpus, self.corpus.doc_ids, self._first, folder) or {})
                if "prebuilt" not in facts:
                    facts.update(kind.build(system.index.arg, self._documents(system, kind.takes, filter, folder), folder))
                shutil.rmtree(folder / READ, ignore_errors=True)
        found = store.opened(folder, identity)
        return kind.open(system.index.arg, folder), folder, filter, found["facts"]

    @property
    def _home(self) -> Path:
        """The folder of all that the encoder has made of the documents."""
        return self.corpus.folder / slug(self.encoder.name)

    def _documents(self, system: System, takes: str, filter: Filter | None, folder: Path) -> Iterator[Any]:
        """The documents in the form an index takes, block by block in row order."""
        if takes == "text":
            yield from self._texts()
        elif takes == "tokens":
            for block in self._texts():
                yield counted(self.encoder.tokenize(block), self.rarities.vocabulary)
        elif takes == "impacts":
            settings, lens = self._settings(system), self._lens(system, filter)
            texts = (doc.text for doc in self.dataset.docs())
            if settings.style == "lightretriever":
                count = len(self.corpus.doc_ids)
                yield from impacts.strongest(lens, settings, self.encoder, texts, count, folder / READ)
            elif settings.style.startswith("promptreps"):
                yield from impacts.own(lens, settings, self.encoder, self.embeddings, texts)
            else:
                yield from impacts.aligned(lens, settings, self.embeddings)
        else:
            for x_ND in self.embeddings:
                yield normalised(filter(x_ND) if filter else x_ND)

    def _texts(self) -> Iterator[list[str]]:
        docs = self.dataset.docs()
        while block := [doc.text for doc in islice(docs, TEXTS)]:
            yield block

    def _first(self) -> dict[int, str]:
        """Some rows' texts, by which an index made elsewhere is known."""
        return dict(enumerate(doc.text for doc in islice(self.dataset.docs(), PROBES)))

    def _settings(self, system: System) -> ImpactSettings:
        assert system.index is not None
        found: ImpactSettings = registry.resolve("indexes", system.index.name).settings(system.index.arg)
        return found

    def _lens(self, system: System, filter: Filter | None) -> TokenLens:
        settings = self._settings(system)
        if settings.stem not in self._vocabularies:
            self._vocabularies[settings.stem] = Vocabulary.of(self.encoder.tokens(), settings.stem)
        return TokenLens(
            self._unembedding,
            filter,
            vocabulary=self._vocabularies[settings.stem],
            bias=self.encoder.unembedding_bias(),
            weighting=settings.weighting,
            unit=settings.scale == "unit",
        )

    def rarity(self, system: System, index: Any) -> Floats:
        """Returns what canonical tokens weigh (C,) in the queries of a system of impacts: by its index, or without a corpus."""
        settings = self._settings(system)
        if settings.weights not in FOREIGN:
            return inverse_document_frequencies(index.document_frequencies, len(self.corpus.doc_ids))
        vocabulary = self._lens(system, None).vocabulary
        idf_C = self.rarities.canonical(IdfSettings.foreign(settings), vocabulary.class_of, len(vocabulary.names))
        return np.asarray(idf_C, np.float32)

    def _weighed(self, index: Any) -> tuple[Any, dict[str, Json]]:
        """An index of token frequencies with the IDF that its settings name, and what is to be said of that."""
        settings: IdfSettings = index.settings
        rarities, documents = self.rarities, index.documents
        if settings.weights:
            given = TokenWeights.read(settings.weights)
            told: dict[str, Json] = {"level": settings.level, **given.told(self.dataset.corpus, self.corpus.digest)}
            return index.weighed(given.of_ids(self.encoder.tokens(), settings.gamma)), told
        found = idf.idf(settings, rarities.vocabulary, rarities.surprise, documents, index.first_frequencies)
        told = rarities.told(settings, self.dataset.corpus, self.corpus.digest, index.document_frequencies)
        return index.weighed(found), told

    def _asked(self, system: System, index: Any, filter: Filter | None) -> Any:
        """The topics in the form an index takes."""
        texts = list(self.dataset.topics.values())
        if index.takes == "text":
            return texts
        if index.takes == "tokens":
            asked = idf.pieces(texts, self.encoder.tokenize, index.idf, index.settings.pieces)
            return counted(asked, self.rarities.vocabulary)
        if index.takes == "impacts":
            asking = impacts.asking(self._settings(system))
            return ask(
                asking,
                self._lens(system, filter),
                self.encoder.tokenize(texts),
                self._queries[0] if asking.needs_model else None,
                lambda: self.rarity(system, index),
            )
        x_QD = self._queries[0]
        return normalised(filter(x_QD) if filter else x_QD)


def tagged(system: str, dataset: Dataset) -> str:
    """Returns the name of a system's run: `bm25`, or `bm25@pool=bm25:100` over a judged sub-collection."""
    return f"{system}@{dataset.subset['tag']}" if dataset.subset else system


def normalised(x_BK: Floats) -> Floats:
    """Returns rows of unit length; a row of zeros stays one."""
    norms = np.linalg.norm(np.asarray(x_BK, np.float32), axis=1, keepdims=True)
    return np.asarray(x_BK / np.where(norms > 0, norms, 1.0), dtype=np.float32)


def recall(found_QK: Ints, exact_QK: Ints) -> float:
    """Returns the share of the exact rows that were found, over all queries; row -1 pads."""
    wanted, both = 0, 0
    for found, exact in zip(found_QK, exact_QK, strict=True):
        wanted += int((exact >= 0).sum())
        both += len(np.intersect1d(found, exact[exact >= 0]))
    return both / wanted if wanted else 1.0
