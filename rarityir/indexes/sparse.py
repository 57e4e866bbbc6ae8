"""`sparse:K`: postings of token impacts, searched exactly by adding them up term at a time."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from rarityir import store
from rarityir.indexes.topk import pad, topk
from rarityir.types import Floats, Hits, Impacts, Ints, Json, RarityError, Takes

KEEP = 64
_ARRAYS = ("indptr", "rows", "impacts")


class SparseIndex:
    """Three plain arrays in CSC form: token t's postings are `rows[indptr[t]:indptr[t+1]]` with their `impacts`."""

    takes: Takes = "impacts"

    def __init__(self, indptr: Ints, rows: Ints, impacts: Floats, documents: int) -> None:
        self._indptr, self._rows, self._impacts, self._documents = indptr, rows, impacts, documents

    @classmethod
    def key(cls, arg: str) -> str:
        """Returns `sparse:K`, K tokens a document being what is stored."""
        return f"sparse:{cls.keep(arg)}"

    @classmethod
    def version(cls) -> str:
        """Returns what else the stored form depends on: how impacts are made."""
        return "canonical tokens, minus next, unit length"

    @staticmethod
    def keep(arg: str) -> int:
        """Returns K, the tokens kept of each document (64 if nothing is said)."""
        if not (arg or str(KEEP)).isdecimal() or int(arg or KEEP) < 1:
            raise RarityError(f"sparse:{arg}: how many tokens of each document to keep is a whole number, such as sparse:64")
        return int(arg or KEEP)

    @classmethod
    def build(cls, arg: str, blocks: Iterable[Impacts], folder: Path) -> dict[str, Json]:
        """Writes the postings of document impacts, which come in row order, and returns their facts."""
        tokens, rows, values, documents, vocabulary = [], [], [], 0, 0
        for block in blocks:
            lengths = np.diff(block.indptr)
            tokens.append(block.token_ids)
            values.append(block.values)
            rows.append(np.repeat(np.arange(documents, documents + len(lengths)), lengths))
            documents, vocabulary = documents + len(lengths), block.vocabulary
        token, row, value = (np.concatenate(part) for part in (tokens, rows, values))
        order = np.argsort(token, kind="stable")  # within a token rows stay in order
        indptr = np.searchsorted(token[order], np.arange(vocabulary + 1)).astype(np.int64)
        arrays: tuple[Any, ...] = (indptr, row[order].astype(np.int32), value[order].astype(np.float32))
        for name, array in zip(_ARRAYS, arrays, strict=True):
            with store.replacing(folder / f"{name}.npy") as temporary, temporary.open("wb") as file:
                np.save(file, array)
        store.write_json(folder / "index.json", {"documents": documents, "vocabulary": vocabulary})
        return {"dim": cls.keep(arg), "bytes_per_doc": round(8 * len(row) / documents, 1), "postings": len(row)}

    @classmethod
    def open(cls, arg: str, folder: Path) -> SparseIndex:
        """Opens built postings, memory-mapped."""
        indptr, rows, impacts = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in _ARRAYS)
        documents = json.loads((folder / "index.json").read_text(encoding="utf-8"))["documents"]
        return cls(indptr, rows, impacts, documents)

    def search(self, queries: Impacts, cutoff: int) -> Hits:
        """Returns the best `cutoff` rows of each query; a document that shares no token is no hit."""
        found = []
        for i in range(len(queries.indptr) - 1):
            scores = np.zeros(self._documents, np.float32)
            part = slice(queries.indptr[i], queries.indptr[i + 1])
            for token, weight in zip(queries.token_ids[part], queries.values[part], strict=True):
                postings = slice(self._indptr[token], self._indptr[token + 1])
                scores[self._rows[postings]] += weight * self._impacts[postings]
            found.append(topk(scores, cutoff, floor=0.0))
        return pad(found, cutoff)
