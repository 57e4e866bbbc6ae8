"""Token weights of every source, made once for a corpus and kept in folders."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

import rarityir as ri
from rarityir.informativeness import TokenInformation, from_corpus, from_model
from rarityir.retrieval import Retriever
from rarityir.systems import System

SOURCES = (
    "idf", "document", "document quantile", "window", "model-exact", "model-exact quantile", "model-quadratic", "norm",
)  # fmt: skip


class Weights:
    """Folders of weights by corpus and source, each made once."""

    def __init__(self, encoder: ri.Encoder, home: Path, texts: int, runs: int) -> None:
        self.encoder, self.home, self.texts, self.runs = encoder, home, texts, runs
        self.told: dict[tuple[str, str], dict[str, Any]] = {}
        self._made: dict[tuple[str, str], TokenInformation] = {}

    def folder(self, retriever: Retriever, source: str, permuted: int | None = None) -> Path:
        """The folder of a source's weights, or of one of their permutations."""
        corpus = retriever.dataset.corpus.replace("/", "--")
        name = f"{source}{'' if permuted is None else f'-permuted-{permuted}'}".replace(" ", "-")
        return self.of(retriever, source, permuted).save(self.home / corpus / name)

    def of(self, retriever: Retriever, source: str, permuted: int | None = None) -> TokenInformation:
        """A source's weights of a corpus, or one of their permutations within bins of frequency."""
        key = (retriever.dataset.corpus, source)
        if key not in self._made:
            print("weights", *key, flush=True)
            found = self._made[key] = self._make(retriever, source)
            told = found.compare(self._idf(retriever))._asdict()
            self.told[key] = {**told, **found.facts, "method": found.method, "correction": found.correction}
        found = self._made[key]
        return found if permuted is None else found.permuted(permuted)

    def _idf(self, retriever: Retriever) -> np.ndarray:
        return np.asarray(retriever._ready(System.parse("bm25-idf"))[0].idf, np.float64)

    def _make(self, retriever: Retriever, source: str) -> TokenInformation:
        dataset, encoder = retriever.dataset, self.encoder
        if source.endswith(" quantile"):
            return self.of(retriever, source.removesuffix(" quantile")).correct("quantile")
        if source == "idf":
            own = self.of(retriever, "document")
            return own.replaced(self._idf(retriever), "the corpus's own IDF, of BM25 in Lucene's form")
        if source == "document":
            return from_corpus(dataset, encoder)
        if source == "window":
            return from_corpus(dataset, encoder, "window:10", "shuffle", runs=self.runs)
        texts = [doc.text for doc in islice(dataset.docs(), self.texts)]
        if source == "norm":
            return from_model(encoder, texts, "norm").correct("quantile")
        return from_model(encoder, texts, source.removeprefix("model-"))
