"""`axes:p`: each document's p largest coordinates and nothing else, searched exactly by inner product.

Whether coordinates are few depends on the axes, so a filter says which: `axes:10+ica:256` beside `axes:10+whiten:256`, two sets
of axes of one space. What is cut is not scaled again; at p = K this is `dense`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from rarityir import parsing, registry, store
from rarityir.indexes.arrays import Growing
from rarityir.indexes.topk import pad, topk
from rarityir.types import Floats, Hits, Ints, Json, RarityError, Takes

ENTRIES = 10  # kept of a document where the name does not say
_FACTS, _AXES, _VALUES = "index.json", "axes.npy", "values.npy"
_AT_ONCE = 256  # queries


def _entries(text: str) -> int:
    if int(text) < 1:
        raise ValueError(text)
    return int(text)


def _asking(text: str) -> str:
    if text not in ("cut", "all"):
        raise ValueError(text)
    return text


_entries.__name__, _asking.__name__ = "whole number from 1 on", "choice of cut and all"


def largest(x_BK: Any, p: int) -> Ints:
    """Returns the axes (B, p) of the p largest absolute coordinates in rising order; of equal ones the earlier axis."""
    order = np.argsort(-np.abs(x_BK), axis=1, kind="stable")[:, :p]
    return np.sort(order, axis=1)


def cut(x_BK: Any, p: int) -> Any:
    """Returns rows with all but the p largest absolute coordinates at 0."""
    x = np.asarray(x_BK)
    kept = largest(x, p)
    found = np.zeros_like(x)
    np.put_along_axis(found, kept, np.take_along_axis(x, kept, axis=1), axis=1)
    return found


class AxesIndex:
    """Documents' largest coordinates: `axes.npy` (N, p) and `values.npy` (N, p)."""

    takes: Takes = "embeddings"

    def __init__(self, axes_NP: Any, values_NP: Any, width: int, asked: dict[str, Any]) -> None:
        from scipy.sparse import csr_array

        documents, p = axes_NP.shape
        starts = np.arange(documents + 1, dtype=np.int64) * p
        self._matrix = csr_array((values_NP.reshape(-1), axes_NP.reshape(-1).astype(np.int32), starts), (documents, width))
        self._p, self._whole = p, asked.get("query", "cut") == "all"

    @classmethod
    def key(cls, arg: str) -> str:
        """Returns the part of the argument that what is stored depends on."""
        return f"axes:{_read(arg)['p']}"

    @classmethod
    def version(cls) -> str:
        """Returns what else the stored form depends on."""
        return "largest coordinates, form 1"

    @classmethod
    def build(cls, arg: str, blocks: Iterable[Floats], folder: Path) -> dict[str, Json]:
        """Writes the largest coordinates of (n, K) blocks and returns the index's facts."""
        p, width, documents = _read(arg)["p"], 0, 0
        folder.mkdir(parents=True, exist_ok=True)
        axes, values = Growing(folder / _AXES), Growing(folder / _VALUES)
        try:
            for x_BK in blocks:
                width, documents = x_BK.shape[1], documents + len(x_BK)
                kept = largest(x_BK, p)
                axes.append(kept.astype(np.uint16 if width <= 1 << 16 else np.uint32))
                values.append(np.take_along_axis(np.asarray(x_BK, np.float32), kept, axis=1))
            shapes = [list(axes.close()), list(values.close())]
        finally:
            axes.discard()
            values.discard()
        store.write_json(folder / _FACTS, {"documents": documents, "width": width, "shapes": shapes})
        kept_entries = min(p, width)
        return {"dim": width, "bytes_per_doc": kept_entries * (6 if width <= 1 << 16 else 8)}

    @classmethod
    def open(cls, arg: str, folder: Path) -> AxesIndex:
        """Opens a built index, memory-mapped."""
        try:
            facts = parsing.value(folder / _FACTS)
            axes_NP, values_NP = (parsing.array(folder / name, mapped=True) for name in (_AXES, _VALUES))
            sizes = [list(axes_NP.shape), list(values_NP.shape)]
            whole = sizes == facts["shapes"] and sizes[0] == sizes[1] and (not axes_NP.size or axes_NP.max() < facts["width"])
            whole = whole and type(facts["width"]) is int and 0 < facts["width"] < 2**31
            whole = whole and axes_NP.dtype.kind == "u" and axes_NP.ndim == 2 and values_NP.dtype == np.float32
        except parsing.BROKEN:
            whole = False
        if not whole:
            raise RarityError(f"{folder} holds no whole index of axes; remove the folder: rm -r {folder}")
        return cls(axes_NP, values_NP, facts["width"], _read(arg))

    def search(self, queries: Floats, cutoff: int) -> Hits:
        """Returns the best `cutoff` rows of each (Q, K) query, cut to as many coordinates unless the name says `query=all`."""
        q_QK = np.asarray(queries, np.float32)
        q_QK = q_QK if self._whole else cut(q_QK, self._p)
        found = []
        for start in range(0, len(q_QK), _AT_ONCE):
            scores_NQ = self._matrix @ q_QK[start : start + _AT_ONCE].T
            found += [topk(scores, cutoff) for scores in np.ascontiguousarray(scores_NQ.T)]
        return pad(found, cutoff)


def _read(arg: str) -> dict[str, Any]:
    return {"p": ENTRIES, **registry.options(arg, {"p": _entries, "query": _asking}, "axes")}
