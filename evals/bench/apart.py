"""Engines that are slow to build and get the first 100,000 documents: Seismic, which is approximate, and Lucene's impacts.

Lucene runs through Anserini, as Pyserini runs it (`IndexCollection -impact -pretokenized`, `SimpleImpactSearcher`), and must
return our ranking, ties too: its ids are rows with leading zeros.
"""

from __future__ import annotations

import json
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from evals.bench import peers
from evals.bench.peers import ALL, CORES, Figures
from rarityir.indexes.postings import SparseIndex


def bench(documents: sp.csr_matrix, queries: dict[int, sp.csr_matrix]) -> Figures:
    index = SparseIndex.build(documents)
    found = seismic(index, documents, queries) | lucene(index, documents, queries)
    return {f"{documents.shape[0]} {name}": value for name, value in found.items()}


def seismic(index: SparseIndex, documents: sp.csr_matrix, asked: dict[int, sp.csr_matrix]) -> Figures:
    """Queries a second beside ours, and the share of our best rows that it finds."""
    if not find_spec("seismic"):
        return {"seismic": "not installed"}
    import seismic

    dataset, string = seismic.SeismicDataset(), seismic.get_seismic_string()
    ids = [str(row) for row in range(documents.shape[0])]
    started = time.perf_counter()
    dataset.add_documents_by_id(ids, documents.indices.astype(np.int64), documents.data, documents.indptr.astype(np.int64))
    theirs = seismic.SeismicIndex.build_from_dataset(dataset)
    figures: Figures = {"seismic build s, all cores": time.perf_counter() - started}

    def search(queries: sp.csr_matrix, cutoff: int) -> Any:
        tokens, weights = peers.split(queries)
        names, words = np.arange(len(tokens)).astype(string), [part.astype(string) for part in tokens]
        return theirs.batch_search(names, words, weights, cutoff, query_cut=10, heap_factor=0.9, num_threads=1)

    for length, queries in asked.items():
        for cutoff in (10, 1000):
            best = index.search(queries, cutoff, threads=1).rows
            found = [len({int(row) for _, _, row in one} & set(best[int(one[0][0])])) for one in search(queries, cutoff)]
            figures[f"{length}@{cutoff} seismic recall"] = sum(found) / best.size
            rates = peers.timed({"seismic": search, "ours": peers.ours(index, 1)}, queries, cutoff)
            figures[f"{length}@{cutoff} seismic q/s"] = rates["seismic"]
            figures[f"{length}@{cutoff} ours / seismic"] = rates["ours"] / rates["seismic"]
    return figures


def lucene(index: SparseIndex, documents: sp.csr_matrix, asked: dict[int, sp.csr_matrix]) -> Figures:
    """Queries a second beside ours, on one thread and on all cores; stops where its ranking is not ours."""
    if not (find_spec("pyserini") and find_spec("jnius")):
        return {"pyserini": "not installed"}
    from rarityir.indexes import java

    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "documents").mkdir()
        write(documents, Path(place) / "documents" / "vectors.jsonl")
        folder, started = Path(place) / "index", time.perf_counter()
        kind = ["-collection", "JsonVectorCollection", "-generator", "DefaultLuceneDocumentGenerator", "-impact", "-pretokenized"]
        places = ["-input", f"{place}/documents", "-index", str(folder), "-threads", str(CORES), "-quiet"]
        java.classes()("io.anserini.index.IndexCollection").main([*kind, *places])
        figures: Figures = {"pyserini build s, all cores": time.perf_counter() - started}
        searcher = java.classes()("io.anserini.search.SimpleImpactSearcher")(str(folder))
        for length, queries in asked.items():
            terms, names = maps(queries)
            for cutoff in (10, 1000):
                found = searcher.batch_search(terms, names, cutoff, 1)
                rows = [[int(hit.docid) for hit in found.get(str(number))] for number in range(queries.shape[0])]
                if rows != index.search(queries, cutoff).rows.tolist():
                    raise SystemExit(f"Lucene returns another ranking than ours at {length}@{cutoff}")
                rates = timed(searcher, terms, names, cutoff, queries.shape[0])
                rates |= peers.timed({"ours": peers.ours(index, 1), f"ours{ALL}": peers.ours(index, CORES)}, queries, cutoff)
                figures |= {f"{length}@{cutoff} {name} q/s": rates[name] for name in ("pyserini", f"pyserini{ALL}")}
                figures[f"{length}@{cutoff} ours / pyserini"] = rates["ours"] / rates["pyserini"]
                figures[f"{length}@{cutoff} ours / pyserini{ALL}"] = rates[f"ours{ALL}"] / rates[f"pyserini{ALL}"]
    return figures | {"pyserini recall": 1.0}


def write(documents: sp.csr_matrix, path: Path) -> None:
    """Writes JSON vectors of whole weights, whose terms are token ids."""
    with path.open("w") as file:
        for row, (tokens, weights) in enumerate(zip(*peers.split(documents), strict=True)):
            vector = dict(zip(map(str, tokens.tolist()), weights.astype(int).tolist(), strict=True))
            file.write(json.dumps({"id": f"{row:08d}", "contents": "", "vector": vector}) + "\n")


def maps(queries: sp.csr_matrix) -> tuple[Any, Any]:
    """Queries as Java's maps of terms and weights, and their names."""
    from rarityir.indexes import java

    autoclass = java.classes()
    kind, integer, lists = (autoclass(f"java.{name}") for name in ("util.HashMap", "lang.Integer", "util.ArrayList"))
    asked, called = lists(), lists()
    for number, (tokens, weights) in enumerate(zip(*peers.split(queries), strict=True)):
        one = kind()
        for token, weight in zip(tokens.tolist(), weights.tolist(), strict=True):
            one.put(str(token), integer(int(weight)))
        asked.add(one)
        called.add(str(number))
    return asked, called


def timed(searcher: Any, terms: Any, names: Any, cutoff: int, count: int) -> dict[str, float]:
    """Queries a second, hits left in Java."""
    rates = {}
    for name, threads in (("pyserini", 1), (f"pyserini{ALL}", CORES)):
        rates[name] = 0.0
        for _ in range(peers.ROUNDS):
            started = time.perf_counter()
            searcher.batch_search(terms, names, cutoff, threads)
            rates[name] = max(rates[name], count / (time.perf_counter() - started))
    return rates
