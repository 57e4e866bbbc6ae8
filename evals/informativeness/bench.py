"""One measure for every form that token weights are used in: BM25, sparse queries, pooled embeddings."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

import rarityir as ri
from evals.informativeness.pooling import Reading
from evals.informativeness.sources import Weights
from rarityir.filters import EmbedFilter
from rarityir.powers import measured
from rarityir.retrieval import Retriever

CHOOSING = ("beir/nfcorpus/dev", "beir/scifact/train")
JUDGED = ("cranfield", "beir/nfcorpus/test", "beir/scifact/test")
MEASURE, CUTOFF = "nDCG@10", 100
SYSTEMS = {"bm25": "bm25-idf", "sparse": "sparse:64"}
POOLED = {"pooling": None, "pooling, edge:2": "edge:2"}
FORMS = (*SYSTEMS, *POOLED)


class Bench:
    """Collections, read as often as a form needs them."""

    def __init__(self, encoder: ri.Encoder, indexes: Path, weights: Weights) -> None:
        self.encoder, self.weights = encoder, weights
        self.retrievers = {name: Retriever(ri.load_dataset(name), encoder, indexes) for name in (*CHOOSING, *JUDGED)}
        self.filter = cache(lambda name: None if name is None else EmbedFilter.fit(encoder.model, name))
        self._readings: dict[str, Reading] = {}
        self._known: dict[tuple[object, ...], np.ndarray] = {}
        self._last: tuple[tuple[object, ...], np.ndarray] | None = None

    def values(self, form: str, name: str, source: str, gamma: float, permuted: int | None = None) -> np.ndarray:
        """The measure of each judged topic (Q,); γ = 0 is no weights."""
        key = (form, name, source if gamma else "", gamma, permuted if gamma else None)
        if key not in self._known:
            retriever = self.retrievers[name]
            if form in SYSTEMS:
                folder = self.weights.folder(retriever, source, permuted)
                self._known[key] = measured(retriever, SYSTEMS[form], folder, [gamma], MEASURE, CUTOFF)[gamma]
            else:
                self._known[key] = self._pooled(form, name, source, gamma, permuted)
        return self._known[key]

    def _pooled(self, form: str, name: str, source: str, gamma: float, permuted: int | None) -> np.ndarray:
        retriever = self.retrievers[name]
        corpus = retriever.dataset.corpus
        if corpus not in self._readings:
            print("reading every state of", corpus, flush=True)
            some = [one.dataset for one in self.retrievers.values() if one.dataset.corpus == corpus]
            self._readings[corpus] = Reading(self.encoder, some, self.weights.home / corpus.replace("/", "--"))
        weight_V = self.weights.of(retriever, source, permuted).weights() ** gamma if gamma else None
        key = (corpus, source, gamma, permuted)
        if self._last is None or self._last[0] != key:  # the filter's rows are pooled as those without one
            self._last = (key, self._readings[corpus].documents.pooled(weight_V))
        return self._readings[corpus].scored(name, self._last[1], weight_V, self.filter(POOLED[form]), MEASURE)
