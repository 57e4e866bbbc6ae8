"""`dense`: documents' normalised vectors by inner product, exact unless the argument names an approximate kind of FAISS.

`offset=FOLDER`, last in the argument, moves queries by a saved offset first; what is stored does not depend on it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rarityir.indexes.approximate import FaissIndex, Kind
from rarityir.indexes.flat import FlatIndex
from rarityir.indexes.offset import OFFSET, Offset, moved
from rarityir.types import Floats, Hits, Json, Takes

EXACT = ("", "flat")


class DenseIndex:
    """A `FlatIndex` or a `FaissIndex`, as systems name it."""

    takes: Takes = "embeddings"

    def __init__(self, index: FlatIndex | FaissIndex, offset: Offset | None = None) -> None:
        self._index: Any = index
        self._offset = offset

    @classmethod
    def key(cls, arg: str) -> str:
        """Returns the part of the argument that what is stored depends on; an offset that cannot be read is an error here."""
        kind, offset = moved(arg)
        if offset:
            Offset.load(offset)
        return "dense" if kind in EXACT else f"dense:{Kind.parse(kind).stored}"

    @classmethod
    def version(cls) -> str:
        """Returns what else the stored form depends on."""
        return "inner product, unit length, form 2"

    @classmethod
    def exact(cls, arg: str) -> str | None:
        """Returns the index whose results those of an approximate one are measured against; None if it is exact itself."""
        kind, offset = moved(arg)
        if kind in EXACT:
            return None
        return f"dense:{OFFSET}{offset}" if offset else "dense"

    @classmethod
    def refuse(cls, arg: str, documents: int, width: int) -> None:
        """Raises what `build` would raise of so many documents of this width, before they are encoded."""
        kind, _ = moved(arg)
        if kind not in EXACT:
            Kind.parse(kind).refuse(documents, width)

    @classmethod
    def build(cls, arg: str, blocks: Iterable[Floats], folder: Path) -> dict[str, Json]:
        """Writes the index of (n, K) blocks and returns its facts."""
        kind, _ = moved(arg)
        return FlatIndex.build(blocks, folder) if kind in EXACT else FaissIndex.build(Kind.parse(kind), blocks, folder)

    @classmethod
    def open(cls, arg: str, folder: Path) -> DenseIndex:
        """Opens a built index: an exact one memory-mapped, an approximate one in memory.

        Raises `StaleArtefact` for an offset that was learned on other vectors than the folder's manifest says it holds.
        """
        kind, where = moved(arg)
        index = FlatIndex.open(folder) if kind in EXACT else FaissIndex.open(Kind.parse(kind), folder)
        return cls(index, Offset.opened(where, folder))

    def search(self, queries: Floats, cutoff: int) -> Hits:
        """Returns the best `cutoff` rows of each (Q, K) query, moved where there is an offset, by inner product."""
        found: Hits = self._index.search(self._offset(queries) if self._offset else queries, cutoff)
        return found
