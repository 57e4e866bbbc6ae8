"""`sparse:K`: postings of the K best token impacts of each document, searched exactly."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rarityir.indexes.postings import SparseIndex, write
from rarityir.types import Hits, Impacts, Json, RarityError, Takes

KEEP = 64


class AlignedIndex:
    """A `SparseIndex` of aligned tokens, as systems name it."""

    takes: Takes = "impacts"

    def __init__(self, postings: SparseIndex) -> None:
        self.postings = postings

    @classmethod
    def key(cls, arg: str) -> str:
        """Returns `sparse:K`, K tokens a document being what is stored."""
        return f"sparse:{cls.keep(arg)}"

    @classmethod
    def version(cls) -> str:
        """Returns what else the stored form depends on: how impacts are made."""
        return "canonical tokens, minus next, unit length, 8 bits"

    @staticmethod
    def keep(arg: str) -> int:
        """Returns K, the tokens kept of each document (64 if nothing is said)."""
        if not (arg or str(KEEP)).isdecimal() or int(arg or KEEP) < 1:
            raise RarityError(f"sparse:{arg}: how many tokens of each document to keep is a whole number, such as sparse:64")
        return int(arg or KEEP)

    @classmethod
    def build(cls, arg: str, blocks: Iterable[Impacts], folder: Path) -> dict[str, Json]:
        """Writes the postings of document impacts, which come in row order, and returns their facts."""
        write(blocks, folder)
        found = SparseIndex.load(folder)
        return {
            "dim": cls.keep(arg),
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
