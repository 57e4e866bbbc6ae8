"""`sparse:K`: postings of the K best token impacts of each document, searched exactly."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from rarityir import registry
from rarityir.indexes.postings import SparseIndex, write
from rarityir.types import Hits, Impacts, Json, RarityError, Takes

KEEP, WEIGHTING = 64, "minus-next"


class AlignedIndex:
    """A `SparseIndex` of aligned tokens, as systems name it."""

    takes: Takes = "impacts"

    def __init__(self, postings: SparseIndex) -> None:
        self.postings = postings

    @classmethod
    def key(cls, arg: str) -> str:
        """Returns `sparse:K` and, where it is not the default, the weighting: what is stored depends on both."""
        keep, weighting = cls.settings(arg)
        return f"sparse:{keep}{f',weighting={weighting}' if weighting != WEIGHTING else ''}"

    @classmethod
    def version(cls) -> str:
        """Returns what else the stored form depends on: how impacts are made."""
        return "canonical tokens, unit length, 8 bits"

    @staticmethod
    def settings(arg: str) -> tuple[int, str]:
        """Returns K, the tokens kept of each document, and how their logits are weighed."""
        given = registry.options(arg, {"keep": str, "weighting": str}, "sparse")
        keep = given.get("keep", str(KEEP))
        if not keep.isdecimal() or int(keep) < 1:
            raise RarityError(f"sparse:{arg}: how many tokens of each document to keep is a whole number, such as sparse:64")
        return int(keep), given.get("weighting", WEIGHTING)

    @classmethod
    def build(cls, arg: str, blocks: Iterable[Impacts], folder: Path) -> dict[str, Json]:
        """Writes the postings of document impacts, which come in row order, and returns their facts."""
        write(map(_positive, blocks), folder)
        found = SparseIndex.load(folder)
        return {
            "dim": cls.settings(arg)[0],
            "bytes_per_doc": round(found.bytes / found.documents, 1),
            **{name: value for name, value in found.statistics().items() if name not in ("documents", "bytes")},
        }

    @classmethod
    def open(cls, arg: str, folder: Path) -> AlignedIndex:
        """Opens built postings, memory-mapped."""
        return cls(SparseIndex.load(folder))

    def search(self, queries: Impacts, cutoff: int) -> Hits:
        """Returns the best `cutoff` rows of each query; a document that shares no token is no hit."""
        return self.postings.search(queries, cutoff)


def _positive(impacts: Impacts) -> Impacts:
    """The impacts above zero: a posting adds to a score."""
    kept = impacts.values > 0
    indptr = np.concatenate([[0], np.cumsum(kept)])[impacts.indptr]
    return Impacts(indptr.astype(np.int64), impacts.token_ids[kept], impacts.values[kept], impacts.vocabulary)
