"""`sparse:K`: postings of the K best token impacts of each document, searched exactly."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from rarityir.indexes.postings import SparseIndex, write
from rarityir.settings import ImpactSettings
from rarityir.types import Hits, Impacts, Ints, Json, Takes


class AlignedIndex:
    """A `SparseIndex` of aligned tokens, as systems name it."""

    takes: Takes = "impacts"

    def __init__(self, postings: SparseIndex) -> None:
        self.postings = postings

    @classmethod
    def key(cls, arg: str) -> str:
        """Returns `sparse:K` and what else is stored otherwise than by default."""
        return f"sparse:{cls.settings(arg).stored}"

    @classmethod
    def version(cls) -> str:
        """Returns what else the stored form depends on: how impacts are made, and the postings' form."""
        return "canonical tokens, 8 bits, form 2"

    @staticmethod
    def settings(arg: str) -> ImpactSettings:
        """Returns how documents and queries become impacts."""
        return ImpactSettings.parse(arg)

    @classmethod
    def build(cls, arg: str, blocks: Iterable[Impacts], folder: Path) -> dict[str, Json]:
        """Writes the postings of document impacts, which come in row order, and returns their facts."""
        write(map(positive, blocks), folder)
        found = SparseIndex.load(folder)
        return {
            "dim": cls.settings(arg).keep,
            "bytes_per_doc": round(found.bytes / found.documents, 1),
            **{name: value for name, value in found.statistics().items() if name not in ("documents", "bytes")},
        }

    @classmethod
    def open(cls, arg: str, folder: Path) -> AlignedIndex:
        """Opens built postings, memory-mapped."""
        return cls(SparseIndex.load(folder))

    @property
    def document_frequencies(self) -> Ints:
        """In how many documents each token is (C,)."""
        return self.postings.document_frequencies

    def search(self, queries: Impacts, cutoff: int) -> Hits:
        """Returns the best `cutoff` rows of each query; a document that shares no token is no hit."""
        return self.postings.search(queries, cutoff)


def positive(impacts: Impacts) -> Impacts:
    """Returns the impacts above zero: a posting adds to a score."""
    kept = impacts.values > 0
    indptr = np.concatenate([[0], np.cumsum(kept)])[impacts.indptr]
    return Impacts(indptr.astype(np.int64), impacts.token_ids[kept], impacts.values[kept], impacts.vocabulary)
