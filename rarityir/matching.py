"""Why a system scores a document for a query as it does, token by token; and what two encoders, or an instruction, make of both.

A sparse score is the sum of its tokens' query weights times their stored impacts. Source of the comparisons: "A Text is Worth
Several Tokens" (arXiv 2406.17378), its analysis of instructions and of relatedness against similarity.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from rarityir import registry
from rarityir.filters import EmbedFilter, Source, Unembedding
from rarityir.reading import INSTRUCTED, Reader, compared, instructed
from rarityir.report.matching import Instructed, Match, Pair, Reading, Score, Term, escaped
from rarityir.retrieval import CUTOFF, Retriever, check
from rarityir.settings import FOREIGN, ImpactSettings
from rarityir.systems import System
from rarityir.types import Dataset, Encoder, Floats, Impacts, RarityError, UnknownName

EXACT = 1e-5  # of a score: what adding up in float32 may differ by
NEAR = 5000  # ids that near misses are looked for among


def match(
    query: str,
    document: str,
    encoder: Encoder,
    system: str | System = "sparse:64+auto",
    *,
    against: Encoder | None = None,
    instruction: str = "",
    k: int = 10,
) -> Match:
    """Returns why a system scores a document as it does for a query, both given as texts: an index of that document alone.

    Args:
        system: one index that reads embeddings, with its filters; a fusion's parts are explained one at a time.
        against: another encoder, whose filter of the same name is fitted on its own unembedding.
        instruction: put before the query, whose reading and scores are then given without it and with it.
        k: the tokens read of each text.
    """
    parsed, settings = _explained(system)
    if settings and settings.weights in ("idf", *FOREIGN):
        what = "counts documents" if settings.weights == "idf" else "needs a collection"
        raise RarityError(
            f"{parsed}: weights={settings.weights} {what}; explain a query_id and a doc_id of a dataset (--dataset)"
        )
    reader = Reader(encoder, _fitted(parsed, encoder), settings or ImpactSettings())
    other = Reader(against, _fitted(parsed, against), reader.settings) if against else None
    x_1D = encoder.encode_document([document])
    with TemporaryDirectory(prefix="rarityir-") as folder:
        stored = None
        if settings and parsed.index:
            kind = registry.resolve("indexes", parsed.index.name)
            kind.build(parsed.index.arg, [reader.impacts(document, x_1D)], Path(folder))
            stored = _Stored(kind.open(parsed.index.arg, Path(folder)), 0, 1, lambda _: np.empty(0, np.float32))
        return _match(query, document, x_1D, parsed, reader, stored, other, instruction, k)


def match_stored(
    retriever: Retriever,
    query_id: str,
    doc_id: str,
    system: str | System = "sparse:64+auto",
    *,
    against: Encoder | None = None,
    instruction: str = "",
    k: int = 10,
) -> Match:
    """Returns the same for a topic and a document of a dataset, and the document's rank: from the index over all documents.

    What is not built yet is built. Raises `UnknownName` with near misses for an id that the dataset lacks.
    """
    parsed, settings = _explained(system)
    dataset = retriever.dataset
    if query_id not in dataset.topics:
        raise _unknown("query_id", query_id, list(dataset.topics), dataset)
    query = dataset.topics[query_id]
    alone = Retriever(replace(dataset, topics={query_id: query}), retriever.encoder, retriever.indexes)
    doc_ids = alone.corpus.doc_ids
    if doc_id not in doc_ids:
        raise _unknown("doc_id", doc_id, doc_ids, dataset)
    row = doc_ids.index(doc_id)
    rows = alone.search(parsed, CUTOFF).hits.rows[0]
    reader = Reader(retriever.encoder, alone.filter(parsed.filters), settings or ImpactSettings())
    other = None
    if against:
        theirs = Retriever(dataset, against, retriever.indexes).filter(parsed.filters)
        other = Reader(against, theirs, reader.settings)
    stored = None
    if settings and parsed.index:
        (folder,) = alone.index(parsed)
        index = registry.resolve("indexes", parsed.index.name).open(parsed.index.arg, folder)
        stored = _Stored(index, row, len(doc_ids), lambda index: alone.rarity(parsed, index))
    document = next(islice(dataset.docs(), row, None)).text
    x_1D = retriever.encoder.encode_document([document])
    found = _match(query, document, x_1D, parsed, reader, stored, other, instruction, k)
    places = np.flatnonzero(rows == row)
    return replace(
        found,
        dataset=dataset.name,
        query_id=query_id,
        doc_id=doc_id,
        rank=int(places[0]) + 1 if len(places) else None,
        cutoff=CUTOFF,
        documents=len(doc_ids),
    )


@dataclass(frozen=True)
class _Stored:
    """A document in a built index: its row, among how many."""

    index: Any
    row: int
    documents: int
    weigh: Callable[[Any], Floats]

    def score(self, query: Impacts) -> float:
        """Returns the engine's score of the document for one query."""
        hits = self.index.search(query, self.documents)
        return float(hits.scores[0][hits.rows[0] == self.row].sum())

    def impact(self, token: int, vocabulary: int) -> float:
        """Returns a token's impact in the document: what the engine gives for that token alone."""
        return self.score(Impacts(np.array([0, 1]), np.array([token]), np.ones(1, np.float32), vocabulary))

    def rarity(self) -> Floats:
        """Returns the inverse document frequencies of canonical tokens, (C,)."""
        return self.weigh(self.index)


def _match(
    query: str,
    document: str,
    x_1D: Floats,
    system: System,
    reader: Reader,
    stored: _Stored | None,
    other: Reader | None,
    instruction: str,
    k: int,
) -> Match:
    q_1D = reader.encoder.encode_query([query])
    return Match(
        query,
        document,
        str(system),
        k,
        _pair(reader, query, q_1D, document, x_1D, k),
        _score(reader, stored, query, q_1D, document, x_1D, k) if stored else None,
        _pair(other, query, other.encoder.encode_query([query]), document, other.encoder.encode_document([document]), k)
        if other
        else None,
        _changed(reader, stored, query, q_1D, x_1D, instruction, k) if instruction else None,
    )


def _pair(reader: Reader, query: str, q_1D: Floats, document: str, x_1D: Floats, k: int) -> Pair:
    filter = reader.filter
    readings = [
        Reading(text, compared([reader.columns([text], x, way, label, k)[0] for way, label in reader.ways]))
        for text, x in ((query, q_1D), (document, x_1D))
    ]
    return Pair(
        reader.encoder.name,
        filter.name if filter else "",
        reader.cosine(q_1D, x_1D, None),
        reader.cosine(q_1D, x_1D, filter),
        *readings,
    )


def _score(reader: Reader, stored: _Stored, query: str, q_1D: Floats, document: str, x_1D: Floats, k: int) -> Score:
    names, in_query, in_document = reader.vocabulary.names, reader.own(query), reader.own(document)
    asked, found = reader.asked(query, q_1D, stored.rarity), reader.impacts(document, x_1D)

    def term(token: int, weight: float) -> Term:
        return Term(names[token], weight, stored.impact(token, len(names)), token in in_query, token in in_document)

    terms = [term(token, weight) for token, weight in zip(asked.token_ids.tolist(), asked.values.tolist(), strict=True)]
    order = np.argsort(-found.values, kind="stable")
    heaviest = [token for token in found.token_ids[order].tolist() if token not in set(asked.token_ids.tolist())]
    total, summed = stored.score(asked), sum(t.product for t in terms)
    if abs(total - summed) > EXACT * max(1.0, total):
        raise RarityError(
            f"the index scores {total:.6g} where its impacts sum to {summed:.6g}: it is approximate; explain sparse:K instead"
        )
    return Score(
        total,
        tuple(sorted((t for t in terms if t.impact > 0), key=lambda t: -t.product)),
        tuple(sorted((t for t in terms if not t.impact > 0), key=lambda t: -t.weight)),
        tuple(t for t in (term(token, 0.0) for token in heaviest[:k]) if t.impact > 0),
    )


def _changed(
    reader: Reader, stored: _Stored | None, query: str, q_1D: Floats, x_1D: Floats, instruction: str, k: int
) -> Instructed:
    with_1D, filter = reader.encoder.encode_query(instructed(instruction, [query])), reader.filter
    label = reader.ways[-1][1]
    ways = [(q_1D, label), (with_1D, f"{label}, {INSTRUCTED}")]
    return Instructed(
        instruction,
        reader.cosine(q_1D, with_1D, filter),
        reader.cosine(with_1D, x_1D, None),
        reader.cosine(with_1D, x_1D, filter),
        stored.score(reader.asked(query, with_1D, stored.rarity)) if stored else None,
        Reading(query, compared([reader.columns([query], x, filter, name, k)[0] for x, name in ways])),
    )


def _explained(system: str | System) -> tuple[System, ImpactSettings | None]:
    """A checked system, and the settings of its impacts where it has some; raises for one that reads no embeddings."""
    parsed = System.parse(str(system))
    check(parsed)
    if parsed.index is None:
        raise RarityError(f"{parsed} is a fusion; explain one part of it, such as sparse:64+edge:2 or dense+edge:2")
    kind = registry.resolve("indexes", parsed.index.name)
    if kind.takes in ("text", "tokens"):
        raise RarityError(f"{parsed} reads no embeddings; explain a sparse or a dense system, such as sparse:64+edge:2")
    return parsed, kind.settings(parsed.index.arg) if kind.takes == "impacts" else None


def _fitted(system: System, encoder: Encoder) -> EmbedFilter | None:
    if not system.filters:
        return None
    source = Source(Unembedding.of(encoder.unembedding(), encoder.model))
    return EmbedFilter.fit(source, "+".join(map(str, system.filters)))


def _unknown(what: str, name: str, known: Sequence[str], dataset: Dataset) -> UnknownName:
    """An error that names the ids nearest to an unknown one; of very many only those that begin alike are compared."""
    among = known if len(known) <= NEAR else [i for i in known if i[: len(name) // 2] == name[: len(name) // 2]][:NEAR]
    near = registry.near(name, among)
    hint = f"did you mean {' or '.join(near)}?" if near else f"the first are {', '.join(known[:5])}"
    return UnknownName(escaped(f"unknown {what} {name!r} in {dataset.name}; {hint}"))
