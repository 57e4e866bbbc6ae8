"""`dense`: exact inner product over normalised vectors (FAISS's flat index; this module owns faiss)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from rarityir.indexes.topk import pad
from rarityir.types import Floats, Hits, Ints, Json, RarityError, Takes

_FILE = "vectors.faiss"
_QUERIES = 256  # searched in one call, so that FAISS multiplies matrices


class DenseIndex:
    """A FAISS `IndexFlatIP` on disk; equal scores rank the earlier row first, also across the cutoff."""

    takes: Takes = "embeddings"

    def __init__(self, index: Any) -> None:
        self._index = index

    @classmethod
    def key(cls, arg: str) -> str:
        """Returns the part of the argument that what is stored depends on."""
        if arg:
            raise RarityError(f"dense:{arg}: dense takes no argument; it is exact")
        return "dense"

    @classmethod
    def version(cls) -> str:
        """Returns what else the stored form depends on."""
        return "flat inner product, unit length"

    @classmethod
    def build(cls, arg: str, blocks: Iterable[Floats], folder: Path) -> dict[str, Json]:
        """Writes the index of (n, K) blocks and returns its facts."""
        import faiss

        index = None
        for block in blocks:
            if index is None:
                index = faiss.IndexFlatIP(block.shape[1])
            index.add(np.ascontiguousarray(block, dtype=np.float32))
        assert index is not None  # a corpus has documents
        faiss.write_index(index, str(folder / _FILE))
        return {"dim": index.d, "bytes_per_doc": 4 * index.d}

    @classmethod
    def open(cls, arg: str, folder: Path) -> DenseIndex:
        """Opens a built index."""
        import faiss

        try:
            return cls(faiss.read_index(str(folder / _FILE)))
        except RuntimeError:
            raise RarityError(f"{folder / _FILE} is not a FAISS index; remove the folder: rm -r {folder}") from None

    def search(self, queries: Floats, cutoff: int) -> Hits:
        """Returns the best `cutoff` rows of each (Q, K) query by inner product."""
        wanted = min(cutoff, self._index.ntotal)
        found = []
        for start in range(0, len(queries), _QUERIES):
            block = np.ascontiguousarray(queries[start : start + _QUERIES], dtype=np.float32)
            # One more than asked for shows whether the last place is shared; if so, that query is searched deeper.
            scores, rows = self._index.search(block, min(wanted + 1, self._index.ntotal))
            for query, s, r in zip(block, scores, rows, strict=True):
                if len(s) > wanted and s[wanted] == s[wanted - 1]:
                    s, r = self._past_ties(query, wanted)
                order = np.lexsort((r, -s))[:wanted]
                found.append((r[order], s[order]))
        return pad(found, cutoff)

    def _past_ties(self, query: Floats, wanted: int) -> tuple[Floats, Ints]:
        """FAISS's own scores, deep enough to hold all that tie with the last place.

        Not a matrix product of ours: BLAS rounds the scores of equal vectors differently at a matrix's edge.
        """
        depth = wanted
        while True:
            depth = min(4 * depth, self._index.ntotal)
            (scores,), (rows,) = self._index.search(query[None], depth)
            if depth == self._index.ntotal or scores[-1] < scores[wanted - 1]:
                return scores, rows
