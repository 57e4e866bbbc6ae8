"""The offset from a query to its documents, learned on judged topics: v = mean(d+ - q), of all or of each cluster of topics.

Learned on the unit vectors that a dense system compares, behind its filters, so that it can be added to its queries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rarityir import measures
from rarityir.analogy.named import Named
from rarityir.analogy.relation import LeaveOut, Relation
from rarityir.doc_ids import rows_of
from rarityir.embeddings import identify
from rarityir.indexes.dense import EXACT
from rarityir.indexes.offset import Offset, moved
from rarityir.indexes.topk import pad, topk
from rarityir.retrieval import Retriever, normalised
from rarityir.runs import Run
from rarityir.systems import System
from rarityir.types import Floats, Ints, Json, RarityError, Scores

CONTROLS = ("none", "random", "shuffled", "unjudged")
ROUNDS = 50  # of k-means at most
DEPTH = 100  # documents by which a scale is chosen, where the measure has no cutoff


@dataclass(frozen=True, eq=False)
class Judged:
    """Topics with their relevant documents as a dense system has them: unit vectors, pairs, and all that they came from."""

    queries: Named
    documents: Named  # those that are judged relevant
    pairs: tuple[tuple[str, str], ...] = field(repr=False)
    mean: NDArray[np.float64] = field(repr=False)  # (K,), of all documents
    facts: dict[str, Json]

    @classmethod
    def of(cls, retriever: Retriever, system: System) -> Judged:
        """Reads a dataset's judged topics as a dense system without an offset does; nothing is searched."""
        index = system.index
        if index is None or index.name != "dense" or moved(index.arg)[0] not in EXACT or moved(index.arg)[1]:
            raise RarityError(f"an offset is learned for dense, alone or with filters such as dense+edge:2, not for {system}")
        dataset, corpus = retriever.dataset, retriever.corpus
        judged = [(q, d) for q, found in dataset.qrels.items() if q in dataset.topics for d, grade in found.items() if grade > 0]
        rows = rows_of(corpus.doc_ids, (d for _, d in judged))
        pairs = tuple((q, d) for q, d in judged if d in rows)
        if not pairs:
            raise RarityError(f"{dataset.name} has no topic with a relevant document to learn from")
        filter = retriever.filter(system.filters)
        wanted = sorted((row, d) for d, row in rows.items())
        start, total, kept = 0, 0.0, []
        at = np.array([row for row, _ in wanted])
        for x_ND in retriever.embeddings:
            unit = normalised(filter(x_ND) if filter else x_ND)
            here = at[(at >= start) & (at < start + len(unit))] - start
            kept.append(unit[here])
            total, start = total + unit.sum(axis=0, dtype=np.float64), start + len(unit)
        asked = tuple(dict.fromkeys(q for q, _ in pairs))
        x_QD = retriever.encoder.encode_query([dataset.topics[q] for q in asked])
        queries = Named(asked, normalised(filter(x_QD) if filter else x_QD))
        vectors = {**identify(corpus, retriever.encoder), "filter": filter.digest if filter else None}
        facts = {"system": str(system), "dataset": dataset.name, "topics": len(asked), "pairs": len(pairs), "vectors": vectors}
        return cls(queries, Named(tuple(d for _, d in wanted), np.concatenate(kept)), pairs, np.asarray(total) / start, facts)


def learn(
    judged: Judged, *, clusters: int = 1, scale: float = 1.0, control: str = "none", scheme: str = "pair-mean", seed: int = 0
) -> Offset:
    """Returns the offset of judged topics, times `scale`.

    Args:
        clusters: of topics, by k-means on the sphere; each has its own vector.
        control: "random" a random direction of the same length, "shuffled" documents dealt anew to topics, "unjudged" the mean
            of all documents minus the topics' mean, which takes no judgement.
    """
    if control not in CONTROLS:
        raise RarityError(f"unknown control {control!r}; known: {', '.join(CONTROLS)}")
    q_QK = judged.queries.vectors
    centroids_CK = cluster(q_QK, clusters, seed)
    relation, names = related(judged, centroids_CK, control=control, scheme=scheme, seed=seed)
    vectors_CK = np.stack([relation.vector(name) for name in names])
    if control == "random":
        drawn = np.random.default_rng(seed).standard_normal(vectors_CK.shape)
        vectors_CK = drawn * (np.linalg.norm(vectors_CK, axis=1) / np.linalg.norm(drawn, axis=1))[:, None]
    elif control == "unjudged":
        groups = nearest(q_QK, centroids_CK)
        vectors_CK = judged.mean - np.stack([q_QK[groups == c].mean(axis=0) for c in range(len(names))])
    how = {"clusters": len(names), "scale": scale, "control": control, "scheme": scheme, "seed": seed}
    facts = {**judged.facts, **how, "norms": [round(float(n), 4) for n in np.linalg.norm(vectors_CK, axis=1)]}
    return Offset((scale * vectors_CK).astype(np.float32), centroids_CK, facts)


def related(
    judged: Judged, centroids_CK: Floats, *, control: str = "none", scheme: str = "pair-mean", seed: int = 0
) -> tuple[Relation, list[str]]:
    """Returns the relation whose groups are clusters of topics, and the groups' names in the clusters' order."""
    names = [str(c) for c in range(len(centroids_CK))]
    of = dict(zip(judged.queries.ids, nearest(judged.queries.vectors, centroids_CK).tolist(), strict=True))
    pairs: Sequence[tuple[str, str]] = judged.pairs
    if control == "shuffled":
        order = np.random.default_rng(seed).permutation(len(pairs))
        pairs = [(q, pairs[at][1]) for (q, _), at in zip(pairs, order.tolist(), strict=True)]
    groups = [names[of[q]] for q, _ in pairs]
    return Relation.fit(judged.queries, judged.documents, pairs, groups, scheme=scheme, centre=False), names


def tune(
    retriever: Retriever,
    system: System,
    judged: Judged,
    scales: Sequence[float],
    *,
    clusters: int = 1,
    measure: str,
    leave_out: LeaveOut = "query",
    seed: int = 0,
) -> dict[float, Scores]:
    """Returns each scale's scores on the topics learned from, every topic moved by what is learned without its judgements.

    Clusters are those of all topics, whose judgements they do not depend on. `leave_out` "shared" also leaves out every topic
    that has a relevant document of the topic's own: then nothing of where its documents are has been learned.
    """
    q_QK = judged.queries.vectors
    centroids_CK = cluster(q_QK, clusters, seed)
    relation, names = related(judged, centroids_CK, seed=seed)
    groups = [names[c] for c in nearest(q_QK, centroids_CK)]
    left_QK = relation.moves(judged.queries.ids, groups, leave_out).vectors
    filter = retriever.filter(system.filters)
    x_NK = np.concatenate([normalised(filter(x) if filter else x) for x in retriever.embeddings])
    doc_ids, depth = retriever.corpus.doc_ids, measures.Measure.parse(measure).cutoff or DEPTH
    own = rows_of(doc_ids, judged.queries.ids) if retriever.dataset.drops_query_document else {}
    asked = [judged.queries.rows[name] for name in own]
    found = {}
    for scale in scales:
        scores_QN = normalised((q_QK + scale * left_QK).astype(np.float32)) @ x_NK.T
        scores_QN[asked, list(own.values())] = -np.inf  # a topic that is a document does not find itself in a search either
        hits = pad([topk(scores_N, depth, floor=-np.inf) for scores_N in scores_QN], depth)
        run = Run.from_hits(f"scale {scale:g}", judged.queries.ids, doc_ids, hits)
        found[scale] = measures.evaluate(run, retriever.dataset.qrels, [measure], judged.queries.ids)
    return found


def nearest(q_QK: Floats, centroids_CK: Floats) -> Ints:
    """Returns each row's centroid by inner product."""
    return np.asarray(np.argmax(q_QK @ centroids_CK.T, axis=1), np.int64)


def cluster(q_QK: Floats, count: int, seed: int) -> Floats:
    """Returns at most `count` unit centroids (C, K) of k-means on the sphere, none of them empty.

    Source: Dhillon & Modha, Machine Learning 42 (2001). The first centroids are rows, each drawn by its squared distance from
    those before it.
    """
    if not 1 <= count <= len(q_QK):
        raise RarityError(f"{count} clusters of {len(q_QK)} topics; choose from 1 to {len(q_QK)}")
    rng, x_QK = np.random.default_rng(seed), q_QK.astype(np.float64)
    if count == 1:
        return normalised(x_QK.mean(axis=0, keepdims=True).astype(np.float32))
    chosen = [int(rng.integers(len(x_QK)))]
    while len(chosen) < count:
        far = np.clip(1 - (x_QK @ x_QK[chosen].T).max(axis=1), 0, None) + 1e-12
        far[chosen] = 0.0
        chosen.append(int(rng.choice(len(x_QK), p=far / far.sum())))
    centroids_CK, before = normalised(x_QK[chosen].astype(np.float32)), np.empty(0, np.int64)
    for _ in range(ROUNDS):
        at = nearest(q_QK, centroids_CK)
        if np.array_equal(at, before):
            break
        centroids_CK = normalised(np.stack([x_QK[at == c].sum(axis=0) for c in np.unique(at)]).astype(np.float32))
        before = at
    return centroids_CK[np.unique(nearest(q_QK, centroids_CK))]
