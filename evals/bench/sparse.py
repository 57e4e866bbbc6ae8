"""The sparse engine beside its peers: 1 M documents of 64 impacts (Zipf over 32,000 tokens), and real ones with jitter.

Every engine runs in this process, in turn, the best of three rounds; ours single-threaded unless said. Exact peers must return
our scores before any is timed. `RARITYIR_BENCH_DOCUMENTS` sets another size. Scipy answers queries as one product; bm25s
knows no query weights and gets weights of one; Seismic is approximate, slow to build, and gets the first 300,000 documents.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numba
import numpy as np
import scipy.sparse as sp

from rarityir.indexes.postings import SparseIndex, quantised
from rarityir.types import Impacts

DOCUMENTS = int(os.environ.get("RARITYIR_BENCH_DOCUMENTS", "1000000"))
FEWER = min(DOCUMENTS, 300_000)  # for what is slow to build
TOKENS, EACH, BLOCK = 32_000, 64, 50_000
LENGTHS, CUTOFFS, QUERIES, ROUNDS = (8, 40, 100), (10, 1000), 40, 3
REAL = Path(__file__).parents[2] / "indexes" / "cranfield" / "demo" / "sparse_64+auto"
COPIES = 357  # of Cranfield's 1,400 documents

Figures = dict[str, float | str]
Engine = Callable[[sp.csr_matrix, int], Any]

_BUILD = """
import resource, sys, tempfile
from evals.bench.sparse import blocks, draw
from rarityir.indexes.postings import SparseIndex
from rarityir.types import Impacts
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
stream = (Impacts(m.indptr, m.indices, m.data, m.shape[1]) for m in blocks(int(sys.argv[1])))
draw(10, 8, 0), SparseIndex.build([next(iter(stream))])  # one block: libraries, compiled code and what a block costs
before = peak()
with tempfile.TemporaryDirectory() as place:
    SparseIndex.build(stream, place)
    print(before, peak())
"""


def bench() -> Figures:
    figures: Figures = {"documents": DOCUMENTS, "impacts": DOCUMENTS * EACH, "queries": QUERIES}
    documents = sp.vstack(list(blocks(DOCUMENTS)), format="csr")
    index, engines = built(documents, figures)
    bandwidth = copying()
    figures["memory GB/s, read + written"] = bandwidth
    lengths = np.diff(documents.tocsc().indptr)
    for length in LENGTHS:
        queries = matrix(draw(QUERIES, length, 10**6 + length), QUERIES, length, 7)
        read = float(lengths[queries.indices].sum()) / QUERIES
        figures[f"{length} tokens, postings a query"] = read
        for cutoff in CUTOFFS:
            name = f"{length}@{cutoff}"
            rates = compared(engines, queries, cutoff)
            figures |= {f"{name} {engine} q/s": rate for engine, rate in rates.items()}
            best = max(rate for engine, rate in rates.items() if engine != "ours")
            figures[f"{name} ours / best exact peer"] = rates["ours"] / best
            two = timed({"ours": lambda q, k: index.search(q, k, threads=2)}, queries, cutoff)["ours"]
            figures[f"{name} ours 2 threads q/s"] = two
            figures[f"{name} G postings/s"] = rates["ours"] * read / 1e9
            figures[f"{name} share of memory"] = 3 * rates["ours"] * read / 1e9 / bandwidth
    del engines, index
    return figures | approximate(documents[:FEWER]) | real()


def built(documents: sp.csr_matrix, figures: Figures) -> tuple[SparseIndex, dict[str, Engine]]:
    """Builds ours, timed, and the exact peers."""
    SparseIndex.build(documents[:100])  # compiles
    started = time.perf_counter()
    index = SparseIndex.build(documents)
    figures["build s"] = time.perf_counter() - started
    figures["build M postings/s"] = index.postings / 1e6 / float(figures["build s"])
    figures["bytes a posting"] = index.bytes / index.postings
    command = [sys.executable, "-c", _BUILD, str(DOCUMENTS)]
    out = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2]).stdout
    figures["streamed build, after one block MiB"], figures["streamed build, peak MiB"] = map(float, out.split())
    engines: dict[str, Engine] = {"ours": lambda q, k: index.search(q, k, threads=1).scores}
    started = time.perf_counter()
    columns = documents.tocsc()
    figures["scipy CSC s"] = time.perf_counter() - started
    engines |= {"scipy": by_product(columns), "numba": by_term(columns)}
    for name, find in (("splade-index", splade_index), ("bm25s", bm25s)):
        try:
            engines[name] = find(columns)
        except ImportError:
            figures[name] = "not installed"
    return index, engines


def compared(engines: dict[str, Engine], queries: sp.csr_matrix, cutoff: int) -> dict[str, float]:
    """Checks that all return our scores, then times them in turn: queries a second."""
    plain = queries.copy()
    plain.data = np.ones_like(plain.data)
    for name, engine in engines.items():
        asked = plain if name == "bm25s" else queries
        ours, theirs = engines["ours"](asked, cutoff), np.asarray(engine(asked, cutoff))
        if not np.array_equal(ours, theirs[:, : ours.shape[1]]):
            raise SystemExit(f"{name} returns other scores than ours at cutoff {cutoff}")
    return timed(engines, queries, cutoff)


def timed(engines: dict[str, Engine], queries: sp.csr_matrix, cutoff: int) -> dict[str, float]:
    seconds = {name: np.inf for name in engines}
    for _ in range(ROUNDS):
        for name, engine in engines.items():
            started = time.perf_counter()
            engine(queries, cutoff)
            seconds[name] = min(seconds[name], time.perf_counter() - started)
    return {name: queries.shape[0] / took for name, took in seconds.items()}


def copying() -> float:
    """Returns the GB a second that copying 1 GB reads and writes."""
    source, target = np.ones(10**9, np.uint8), np.zeros(10**9, np.uint8)
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        np.copyto(target, source)
        seconds.append(time.perf_counter() - started)
    return 2 / min(seconds)


# The documents.


def blocks(documents: int) -> Iterator[sp.csr_matrix]:
    for start in range(0, documents, BLOCK):
        rows = min(BLOCK, documents - start)
        yield matrix(draw(rows, EACH, start), rows, EACH, start)


def matrix(tokens: Any, rows: int, each: int, seed: int) -> sp.csr_matrix:
    """Rows of `each` tokens with whole weights of 1 to 255: so all sums here are exact in float32, in any order."""
    weights = np.clip(np.rint(np.random.default_rng(seed).gamma(2, 30, rows * each)), 1, 255).astype(np.float32)
    return sp.csr_matrix((weights, tokens, np.arange(0, rows * each + 1, each)), (rows, TOKENS))


def draw(rows: int, each: int, seed: int) -> Any:
    share = np.arange(1, TOKENS + 1) ** -0.9
    return _draw(np.cumsum(share / share.sum()), rows, each, seed)


@numba.njit(cache=True)
def _draw(cumulative: Any, rows: int, each: int, seed: int) -> Any:
    """Tokens of Zipf's frequencies, different ones within a row."""
    np.random.seed(seed)  # noqa: NPY002 — numba's own generator
    tokens, seen = np.empty((rows, each), np.int32), np.full(len(cumulative), -1)
    for row in range(rows):
        count = 0
        while count < each:
            token = min(np.searchsorted(cumulative, np.random.random()), len(cumulative) - 1)  # noqa: NPY002
            if seen[token] != row:
                seen[token] = row
                tokens[row, count] = token
                count += 1
        tokens[row] = np.sort(tokens[row])
    return tokens.ravel()


# The peers: documents as a CSC matrix in, a function of queries and a cutoff out that returns sorted scores.


def by_product(columns: sp.csc_matrix) -> Engine:
    transposed = columns.T  # a view, CSR

    def search(queries: sp.csr_matrix, cutoff: int) -> Any:
        product = (queries @ transposed).tocsr()
        found = np.zeros((queries.shape[0], cutoff), np.float32)
        for i in range(queries.shape[0]):
            scores = product.data[product.indptr[i] : product.indptr[i + 1]]
            best = np.argpartition(scores, max(0, len(scores) - cutoff))[-cutoff:]
            found[i, : len(best)] = np.sort(scores[best])[::-1]
        return found

    return search


def by_term(columns: sp.csc_matrix) -> Engine:
    arrays = columns.indptr, columns.indices, columns.data.astype(np.uint8)

    def search(queries: sp.csr_matrix, cutoff: int) -> Any:
        sums = np.empty(columns.shape[0], np.float32)
        return [_by_term(*arrays, q.indices, q.data, cutoff, sums) for q in queries]

    return search


@numba.njit(cache=True)
def _by_term(
    indptr: Any, rows: Any, values: Any, tokens: Any, weights: Any, cutoff: int, sums: Any
) -> Any:  # fmt: skip
    sums[:] = 0
    for j in range(len(tokens)):
        for p in range(indptr[tokens[j]], indptr[tokens[j] + 1]):
            sums[rows[p]] += weights[j] * values[p]
    held, ids = np.zeros(4 * cutoff + 256, np.float32), np.empty(4 * cutoff + 256, np.int64)
    count, threshold = 0, np.float32(0)
    for row in range(len(sums)):
        if sums[row] > threshold:
            held[count], ids[count] = sums[row], row
            count += 1
            if count == len(held):
                best = np.argsort(held)[-cutoff:]
                held[:cutoff], ids[:cutoff], count, threshold = held[best], ids[best], cutoff, held[best[0]]
    best = np.argsort(held[:count])[::-1][:cutoff]
    found = np.zeros(cutoff, np.float32)
    found[: len(best)] = held[best]
    return found


def splade_index(columns: sp.csc_matrix) -> Engine:
    from splade_index.numba.retrieve_utils import _retrieve_numba_functional

    scores = {"data": columns.data, "indptr": columns.indptr, "indices": columns.indices, "num_docs": columns.shape[0]}

    def search(queries: sp.csr_matrix, cutoff: int) -> Any:
        ids, weights = (np.split(part, queries.indptr[1:-1]) for part in (queries.indices, queries.data))
        return _retrieve_numba_functional(ids, weights, scores, k=cutoff, n_threads=1)[1]

    return search


def bm25s(columns: sp.csc_matrix) -> Engine:
    from bm25s.numba.retrieve_utils import _retrieve_numba_functional

    scores = {"data": columns.data, "indptr": columns.indptr, "indices": columns.indices, "num_docs": columns.shape[0]}

    def search(queries: sp.csr_matrix, cutoff: int) -> Any:
        ids = np.split(queries.indices, queries.indptr[1:-1])
        return _retrieve_numba_functional(ids, scores, k=cutoff, n_threads=1)[1]

    return search


def approximate(documents: sp.csr_matrix) -> Figures:
    """Seismic on fewer documents, and ours on the same: queries a second and the share of our ten best rows it finds."""
    try:
        import seismic
    except ImportError:
        return {"seismic": "not installed"}
    dataset = seismic.SeismicDataset()
    ids = [str(row) for row in range(documents.shape[0])]
    started = time.perf_counter()
    indptr, indices = documents.indptr.astype(np.int64), documents.indices.astype(np.int64)
    dataset.add_documents_by_id(ids, indices, documents.data, indptr)
    theirs = seismic.SeismicIndex.build_from_dataset(dataset)
    figures: Figures = {"seismic documents": len(ids), "seismic build s, all cores": time.perf_counter() - started}
    index = SparseIndex.build(documents)
    for length in LENGTHS:
        queries = matrix(draw(QUERIES, length, 10**6 + length), QUERIES, length, 7)
        words = [q.indices.astype(seismic.get_seismic_string()) for q in queries]
        values = [q.data for q in queries]
        names = np.arange(QUERIES).astype(seismic.get_seismic_string())
        hits = index.search(queries, 10, threads=1)

        def search(_: Any, cutoff: int) -> Any:
            return theirs.batch_search(names, words, values, cutoff, query_cut=10, heap_factor=0.9, num_threads=1)

        found = [{int(row) for _, _, row in one} for one in sorted(search(None, 10), key=lambda one: int(one[0][0]))]
        recall = np.mean([len(rows & set(best)) / 10 for rows, best in zip(found, hits.rows.tolist(), strict=True)])
        rates = timed({"seismic": search, "ours": lambda q, k: index.search(q, k, threads=1)}, queries, 10)
        figures |= {f"{length}@10, {FEWER} documents, {engine} q/s": rate for engine, rate in rates.items()}
        figures[f"{length}@10 seismic recall"] = float(recall)
    return figures


def real() -> Figures:
    """The demo model's impacts on Cranfield, copied with jitter; queries are the heaviest tokens of some documents."""
    if not REAL.exists():
        return {"real": "no indexes/cranfield/demo/sparse_64+auto"}
    return {}
