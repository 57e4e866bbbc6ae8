"""A judged sub-collection: fewer documents to encode, and a label on everything, because its figures are not the whole's.

`pool` keeps what a text system ranks high for any topic, `sample` keeps random documents; both keep every judged one.
Rows stand in the order of the whole corpus. Indexes are built over the kept documents alone, so that document
frequencies and means are theirs too.
"""

from __future__ import annotations

import hashlib
import heapq
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import compress

import numpy as np

from rarityir import registry, retrieval
from rarityir.retrieval import Retriever
from rarityir.systems import System
from rarityir.types import Dataset, Json, RarityError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pool:
    """The best `depth` documents of a text system for any topic. `Pool.parse(str(p)) == p`."""

    system: System
    depth: int

    @classmethod
    def parse(cls, text: str) -> Pool:
        """Reads `bm25:100` or `bm25:k1=1.2,b=0.75:100`; a system that reads embeddings is an error."""
        name, colon, depth = text.rpartition(":")
        if not colon or not (depth.isascii() and depth.isdigit()) or int(depth) < 1:
            raise RarityError(f"pool {text!r} does not say how deep; write a system, a colon and a depth, such as bm25:100")
        system = System.parse(name)
        if system.index is None or registry.resolve("indexes", system.index.name).takes != "text":
            raise RarityError(
                f"pool {text!r}: {system} would need every document encoded; pool with a text system, such as bm25:{int(depth)}"
            )
        retrieval.check(system)
        return cls(system, int(depth))

    def __str__(self) -> str:
        return f"{self.system}:{self.depth}"

    def rows(self, whole: Retriever) -> set[int]:
        """Returns the rows found; a topic that finds fewer than `depth` documents gives those."""
        found = whole.search(self.system, self.depth).hits.rows
        return {int(row) for row in np.unique(found) if row >= 0}


@dataclass(frozen=True)
class Sample:
    """A number of random documents that nobody judged. `Sample.parse(str(s)) == s`."""

    documents: int
    seed: int = 0

    @classmethod
    def parse(cls, text: str) -> Sample:
        """Reads `1000` or `1000,seed=7`."""
        values = registry.options(text, {"documents": int, "seed": int}, "sample")
        if values.get("documents", -1) < 0:
            raise RarityError(f"sample {text!r} is no number of documents; write 1000, or 1000,seed=7")
        return cls(**values)

    def __str__(self) -> str:
        return f"{self.documents},seed={self.seed}"

    def rows(self, whole: Retriever, judged: set[int]) -> set[int]:
        """Returns the rows whose SHA-256 of seed and doc_id is smallest: a larger sample of a seed holds the smaller ones."""
        ids = whole.corpus.doc_ids
        keys = (
            (hashlib.sha256(f"{self.seed}\t{ids[row]}".encode()).digest(), row) for row in range(len(ids)) if row not in judged
        )
        return {row for _, row in heapq.nsmallest(self.documents, keys)}


def check(pool: str, sample: str) -> Pool | Sample | None:
    """Returns how documents are to be chosen, None where all are kept; raises what is wrong with it."""
    if pool and sample:
        raise RarityError("pool and sample are two ways to choose documents; give one of them")
    return Pool.parse(pool) if pool else Sample.parse(sample) if sample else None


def narrow(whole: Retriever, pool: str = "", sample: str = "") -> Retriever:
    """Returns what answers the same topics over a judged sub-collection; `whole` itself where neither is asked for.

    A pool's text index is built over the whole corpus and kept with it. Name, corpus and identity say what was chosen
    from what, so a sub-collection has folders of its own and one that would hold other documents is a `StaleArtefact`.
    """
    chosen = check(pool, sample)
    if chosen is None:
        return whole
    dataset, ids = whole.dataset, whole.corpus.doc_ids
    wanted = {doc_id for relevance in dataset.qrels.values() for doc_id in relevance}
    judged = set(ids.rows(wanted).values())
    rows = judged | (chosen.rows(whole) if isinstance(chosen, Pool) else chosen.rows(whole, judged))
    tag = tagged(chosen)
    if not rows:
        raise RarityError(f"{tag} keeps no document of {dataset.name}; nothing is judged or found there")
    kept_N = np.zeros(len(ids), dtype=bool)
    kept_N[list(rows)] = True
    digest = hashlib.sha256("\n".join(compress(ids, kept_N)).encode()).hexdigest()
    made = replace(
        dataset,
        name=f"{dataset.name}@{tag}",
        corpus=named(dataset, chosen),
        identity={"of": {**dataset.identity, "digest": whole.corpus.digest}, "subset": tag, "doc_ids": digest},
        docs=lambda: compress(dataset.docs(), kept_N),
        docs_count=len(rows),
        subset={"tag": tag, "documents": len(rows), "of": len(ids), "judged": len(judged)},
    )
    log.info("%s", note(made.subset))
    return Retriever(made, whole.encoder, whole.indexes, timed=whole.timed)


def tagged(chosen: Pool | Sample) -> str:
    """Returns what says how documents were chosen: `pool=bm25:100`, `sample=1000,seed=0`."""
    return f"{type(chosen).__name__.lower()}={chosen}"


def named(dataset: Dataset, chosen: Pool | Sample) -> str:
    """Returns the sub-collection's corpus; topics and judgments choose the documents, so it is named for the split too."""
    home = dataset.name if "@" not in dataset.corpus else f"{dataset.name}@{dataset.corpus.partition('@')[2]}"
    return f"{home}@{tagged(chosen)}"


def expected(chosen: Pool | Sample, documents: int, topics: int, judged: int) -> int:
    """Returns how many of a collection's documents a sub-collection keeps: exactly for a sample, about and at most for a pool.

    A pool's topics are taken to find documents independently of each other; they find the same ones more often than that.
    """
    judged = min(judged, documents)
    if isinstance(chosen, Sample):
        return min(documents, judged + chosen.documents)
    missed = (1 - min(chosen.depth, documents) / documents) ** topics if documents else 0.0
    return judged + round((documents - judged) * (1 - missed))


def relabelled(dataset: Dataset, subset: Mapping[str, Json]) -> Dataset:
    """Returns the dataset under a sub-collection's label, with its topics and qrels: what runs over it are scored by."""
    return replace(dataset, name=f"{dataset.name}@{subset['tag']}", subset=subset) if subset else dataset


def note(subset: Mapping[str, Json]) -> str:
    """Returns the line that says what a sub-collection holds, and how its figures are to be read."""
    return (
        f"Judged sub-collection {subset['tag']}: {subset['documents']:,} of {subset['of']:,} documents, "
        f"{subset['judged']:,} of them judged. Figures do not compare with those of the whole collection."
    )
