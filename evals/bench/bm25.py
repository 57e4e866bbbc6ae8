"""BM25 beside Pyserini's own searcher and bm25s on the texts of Cranfield, NFCorpus and SciFact, with their topics.

Pyserini's searcher reads the index that ours built, on as many threads: what differs is how hits come to Python, and its ranking
must be ours. bm25s (Lucene's variant, Snowball stems, its stop words, numba, as many threads) indexes the same texts itself.
The fewest seconds of three rounds, in turn.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from evals.bench.turns import fewest

DATASETS, CUTOFFS, ROUNDS = ("cranfield", "beir/nfcorpus/test", "beir/scifact/test"), (10, 1000), 3


def bench() -> dict[str, float | str]:
    from rarityir.datasets import load_dataset
    from rarityir.indexes.bm25 import BM25Index

    datasets = [load_dataset(name) for name in DATASETS]
    texts = [doc.text for dataset in datasets for doc in dataset.docs()]
    queries = [query for dataset in datasets for query in dataset.topics.values()]
    found: dict[str, float | str] = {"documents": len(texts), "queries": len(queries)}
    with tempfile.TemporaryDirectory() as place:
        warm, folder = Path(place) / "warm", Path(place) / "index"
        warm.mkdir(), folder.mkdir()
        BM25Index.build("", [texts[:100]], warm)  # Java is started before the clock
        started = time.perf_counter()
        BM25Index.build("", [texts], folder)
        found["build s"] = time.perf_counter() - started
        ours = BM25Index.open("", folder)
        started = time.perf_counter()
        bm25s = _bm25s(texts)
        found["bm25s: build s"] = time.perf_counter() - started
        pyserini = _pyserini(folder / "lucene")
        for cutoff in CUTOFFS:
            found |= _searched(ours, pyserini, bm25s, queries, cutoff)
    return found


def _searched(ours: Any, pyserini: Any, bm25s: Any, queries: list[str], cutoff: int) -> dict[str, float | str]:
    sides: dict[str, Callable[[], Any]] = {
        "ours": lambda: ours.search(queries, cutoff),
        "Pyserini": lambda: pyserini(queries, cutoff),
        "bm25s": lambda: bm25s(queries, cutoff),
    }
    answers = {name: side() for name, side in sides.items()}
    _same(answers["ours"], answers["Pyserini"])
    best = dict(zip(sides, fewest(*sides.values(), repeats=ROUNDS), strict=True))
    rates: dict[str, float | str] = {f"{cutoff} best, {name}: queries a second": len(queries) / s for name, s in best.items()}
    return rates | {f"{cutoff} best: ours / {name}": best[name] / best["ours"] for name in ("Pyserini", "bm25s")}


def _same(ours: Any, theirs: list[list[tuple[int, float]]]) -> None:
    for rows, hits in zip(ours.rows, theirs, strict=True):
        assert rows[rows >= 0].tolist() == [row for row, _ in hits], "Pyserini ranks otherwise"


def _pyserini(index: Path) -> Callable[[list[str], int], list[list[tuple[int, float]]]]:
    os.environ.setdefault("OPENAI_API_KEY", "none")  # its module fails without one, which nothing here uses
    from pyserini.search.lucene import LuceneSearcher

    searcher = LuceneSearcher(str(index))
    searcher.set_bm25(0.9, 0.4)

    def search(queries: list[str], cutoff: int) -> list[list[tuple[int, float]]]:
        names = [str(i) for i in range(len(queries))]
        hits = searcher.batch_search(queries, names, k=cutoff, threads=os.cpu_count() or 1)
        return [[(int(hit.docid), hit.score) for hit in hits.get(name, [])] for name in names]

    return search


def _bm25s(texts: list[str]) -> Callable[[list[str], int], Any]:
    import bm25s
    import Stemmer

    stemmer = Stemmer.Stemmer("english")
    index = bm25s.BM25(k1=0.9, b=0.4, method="lucene", backend="numba")
    index.index(bm25s.tokenize(texts, stopwords="en", stemmer=stemmer, show_progress=False), show_progress=False)
    threads = os.cpu_count() or 1

    def search(queries: list[str], cutoff: int) -> Any:
        asked = bm25s.tokenize(queries, stopwords="en", stemmer=stemmer, show_progress=False)
        found = index.retrieve(asked, k=cutoff, n_threads=threads, show_progress=False)
        return np.asarray(found.documents)

    return search
