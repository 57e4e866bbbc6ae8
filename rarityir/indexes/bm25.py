"""`bm25`: Lucene through Pyserini's Anserini, with its default English analyser; built here, or prebuilt by Pyserini."""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rarityir import registry
from rarityir.indexes import java, prebuilt
from rarityir.indexes.prebuilt import PrebuiltIndex
from rarityir.indexes.topk import pad
from rarityir.types import Hits, Json, RarityError, Takes

_THREADS = 1  # documents in row order, so that equal scores rank the earlier row first
_QUERIES = 128
_BLANK = "".join(map(chr, range(33)))  # what Java trims: a text of nothing else is no document to Anserini


class BM25Index:
    """A Lucene index whose document ids are rows; k1 and b act when searching, so every setting shares it."""

    takes: Takes = "text"

    def __init__(self, searcher: Any, prebuilt: PrebuiltIndex | None = None) -> None:
        self._searcher, self._prebuilt = searcher, prebuilt
        # Java knows nothing of Python's references: files would stay open, and mapped, until the process ends.
        weakref.finalize(self, searcher.close).atexit = False

    @classmethod
    def key(cls, arg: str) -> str:
        """Returns `bm25`: what is stored depends on no argument."""
        cls.settings(arg)
        return "bm25"

    @classmethod
    def version(cls) -> str:
        """Returns what else the stored form depends on: Anserini's release and how rows are written."""
        return f"{java.jar().stem}, rows of ten digits"

    @staticmethod
    def settings(arg: str) -> dict[str, float]:
        """Returns k1 and b, 0.9 and 0.4, Anserini's, where the argument says nothing."""
        given = {"k1": 0.9, "b": 0.4, **registry.options(arg, {"k1": float, "b": float}, "bm25")}
        if not 0 <= given["k1"] < float("inf") or not 0 <= given["b"] <= 1:
            raise RarityError(f"bm25:{arg}: k1 must be at least 0, and b between 0 and 1")
        return given

    @classmethod
    def build(cls, arg: str, blocks: Iterable[Sequence[str]], folder: Path) -> dict[str, Json]:
        """Writes the Lucene index of blocks of texts and returns its facts."""
        source, count, filled = folder / "source", 0, 0
        source.mkdir(exist_ok=True)
        with (source / "documents.jsonl").open("w", encoding="utf-8") as file:
            for block in blocks:
                for text in block:
                    file.write(json.dumps({"id": f"{count:010d}", "contents": text}) + "\n")
                    count += 1
                    filled += bool(text.strip(_BLANK))
        java.index(source, folder / "lucene", _THREADS, filled)
        (source / "documents.jsonl").unlink()
        source.rmdir()
        size = sum(path.stat().st_size for path in (folder / "lucene").iterdir())
        return {"dim": None, "bytes_per_doc": round(size / max(1, count), 1)}

    @classmethod
    def ready(
        cls, corpus: str, doc_ids: Sequence[str], probes: Callable[[], Mapping[int, str]], folder: Path
    ) -> dict[str, Json] | None:
        """Puts a prebuilt index of a corpus into the folder and returns its facts, None where there is none."""
        return prebuilt.take(corpus, doc_ids, probes, folder)

    @classmethod
    def open(cls, arg: str, folder: Path) -> BM25Index:
        """Opens a built index with the argument's k1 and b (0.9 and 0.4, Anserini's, where it says nothing)."""
        settings = cls.settings(arg)
        if (folder / prebuilt.FACTS).is_file():
            lucene = java.Lucene(folder / "lucene", **settings)
            return cls(lucene.searcher, PrebuiltIndex(lucene))
        return cls(java.searcher(folder / "lucene", **settings))

    def search(self, queries: Sequence[str], cutoff: int) -> Hits:
        """Returns the best `cutoff` rows of each query text; a query without known terms finds nothing."""
        found: list[tuple[Any, Any]] = []
        for start in range(0, len(queries), _QUERIES):
            some = queries[start : start + _QUERIES]
            found += map(
                _ordered, self._prebuilt.best(some, cutoff) if self._prebuilt else java.batch(self._searcher, some, cutoff)
            )
        return pad(found, cutoff)


def _ordered(hits: Sequence[tuple[int, float]]) -> tuple[Any, Any]:
    rows = np.array([row for row, _ in hits], np.int64)
    scores = np.array([score for _, score in hits], np.float32)
    # Anserini orders equal scores by the id as text (hence its leading zeros) and spaces them 1e-6 apart.
    order = np.argsort(-scores, kind="stable")
    return rows[order], scores[order]
