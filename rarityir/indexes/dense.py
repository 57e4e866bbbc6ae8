"""`dense`: documents' normalised vectors by inner product, exact unless the argument names an approximate kind of FAISS."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rarityir.indexes.approximate import FaissIndex, Kind
from rarityir.indexes.flat import FlatIndex
from rarityir.types import Floats, Hits, Json, Takes

EXACT = ("", "flat")


class DenseIndex:
    """A `FlatIndex` or a `FaissIndex`, as systems name it."""

    takes: Takes = "embeddings"

    def __init__(self, index: FlatIndex | FaissIndex) -> None:
        self._index: Any = index

    @classmethod
    def key(cls, arg: str) -> str:
        """Returns the part of the argument that what is stored depends on."""
        return "dense" if arg in EXACT else f"dense:{Kind.parse(arg).stored}"

    @classmethod
    def version(cls) -> str:
        """Returns what else the stored form depends on."""
        return "inner product, unit length, form 2"

    @classmethod
    def exact(cls, arg: str) -> str | None:
        """Returns the index whose results those of an approximate one are measured against; None if it is exact itself."""
        return None if arg in EXACT else "dense"

    @classmethod
    def build(cls, arg: str, blocks: Iterable[Floats], folder: Path) -> dict[str, Json]:
        """Writes the index of (n, K) blocks and returns its facts."""
        return FlatIndex.build(blocks, folder) if arg in EXACT else FaissIndex.build(Kind.parse(arg), blocks, folder)

    @classmethod
    def open(cls, arg: str, folder: Path) -> DenseIndex:
        """Opens a built index: an exact one memory-mapped, an approximate one in memory."""
        return cls(FlatIndex.open(folder) if arg in EXACT else FaissIndex.open(Kind.parse(arg), folder))

    def search(self, queries: Floats, cutoff: int) -> Hits:
        """Returns the best `cutoff` rows of each (Q, K) query by inner product."""
        found: Hits = self._index.search(queries, cutoff)
        return found
