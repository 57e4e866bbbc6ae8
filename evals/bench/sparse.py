"""The sparse engine beside its peers: 1 M documents of 64 impacts (Zipf over 32,000 tokens), and real ones with jitter.

Every engine runs in this process, in turn, the best of three rounds; ours single-threaded unless said. Exact peers must return
our scores before any is timed. `RARITYIR_BENCH_DOCUMENTS` sets another size. Scipy answers queries as one product; bm25s
knows no query weights and gets weights of one; Seismic is approximate, slow to build, and gets the first 100,000 documents.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numba
import numpy as np
import scipy.sparse as sp

from rarityir.indexes.postings import SparseIndex, quantised
from rarityir.types import Impacts

DOCUMENTS = int(os.environ.get("RARITYIR_BENCH_DOCUMENTS", "1000000"))
FEWER = min(DOCUMENTS, 100_000)  # for what is slow to build
TOKENS, EACH, BLOCK = 32_000, 64, 50_000
LENGTHS, CUTOFFS, QUERIES, ROUNDS = (8, 40, 100), (10, 1000), 40, 3
REAL = Path(__file__).parents[2] / "indexes" / "cranfield" / "demo" / "sparse_64+auto"
COPIES = 357  # of Cranfield's 1,400 documents

Figures = dict[str, float | str]
Engine = Callable[[sp.csr_matrix, int], Any]

_BUILD = """
import sys, tempfile
from evals.bench.sparse import blocks
from rarityir.indexes.postings import SparseIndex
from rarityir.types import Impacts
def stream(documents):
    return (Impacts(m.indptr, m.indices, m.data, m.shape[1]) for m in blocks(documents))
def peak():  # getrusage would give the parent's, where that is larger
    return int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) / 2**10
SparseIndex.build(stream(100))  # loads libraries, compiles
before = peak()
with tempfile.TemporaryDirectory() as place:
    SparseIndex.build(stream(int(sys.argv[1])), place)
print(before, peak())
"""


def bench() -> Figures:
    figures: Figures = {"documents": DOCUMENTS, "impacts": DOCUMENTS * EACH, "queries": QUERIES}
    documents = sp.vstack(list(blocks(DOCUMENTS)), format="csr")
    engines = built(documents, figures)
    source, target = np.ones(10**9, np.uint8), np.zeros(10**9, np.uint8)
    copies = timed({"a copy": lambda _, __: np.copyto(target, source)}, sp.csr_matrix((1, 1)), 0)["a copy"]
    bandwidth = figures["memory GB/s, read + written"] = 2 * copies
    lengths = np.bincount(documents.indices, minlength=TOKENS)
    for length in LENGTHS:
        queries = asked(length)
        read = figures[f"{length} tokens, postings a query"] = float(lengths[queries.indices].sum()) / QUERIES
        for cutoff in CUTOFFS:
            name, rates = f"{length}@{cutoff}", compared(engines, queries, cutoff)
            figures |= {f"{name} {engine} q/s": rate for engine, rate in rates.items()}
            best = max(rate for engine, rate in rates.items() if not engine.startswith("ours"))
            figures[f"{name} ours / best exact peer"] = rates["ours"] / best
            figures[f"{name} G postings/s"] = rates["ours"] * read / 1e9
            figures[f"{name} share of memory"] = 3 * rates["ours"] * read / 1e9 / bandwidth
    return figures | approximate(documents[:FEWER]) | real()


def built(documents: sp.csr_matrix, figures: Figures) -> dict[str, Engine]:
    """Builds ours, timed, and the exact peers."""
    SparseIndex.build(documents[:100])  # compiles
    started = time.perf_counter()
    index = SparseIndex.build(documents)
    figures["build s"] = time.perf_counter() - started
    figures["build M postings/s"] = index.postings / 1e6 / float(figures["build s"])
    figures["bytes a posting"] = index.bytes / index.postings
    command = [sys.executable, "-c", _BUILD, str(DOCUMENTS)]
    out = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2]).stdout
    figures["streamed build, before it MiB"], figures["streamed build, peak MiB"] = map(float, out.split())
    columns = documents.tocsc()
    terms = partial(by_term, columns, columns.data.astype(np.uint8), np.empty(columns.shape[0], np.float32))
    engines: dict[str, Engine] = {"ours": ours(index), "ours 2 threads": ours(index, 2)}
    engines |= {"scipy": partial(by_product, columns.T), "numba": terms}
    for name in ("splade_index", "bm25s"):
        found = find_spec(name)
        engines |= {name: partial(by_library, name, columns)} if found else {}
        figures |= {} if found else {name: "not installed"}
    return engines


def ours(index: SparseIndex, threads: int = 1) -> Engine:
    return lambda queries, cutoff: index.search(queries, cutoff, threads).scores


def compared(engines: dict[str, Engine], queries: sp.csr_matrix, cutoff: int, tolerance: float = 0.0) -> dict[str, float]:
    """Checks that all return our scores, then times them in turn: queries a second."""
    plain = sp.csr_matrix((np.ones_like(queries.data), queries.indices, queries.indptr), queries.shape)
    for name, engine in engines.items():
        given = plain if name == "bm25s" else queries
        wanted, found = engines["ours"](given, cutoff), np.asarray(engine(given, cutoff))
        if not np.allclose(wanted, found[:, : wanted.shape[1]], rtol=tolerance, atol=0):
            raise SystemExit(f"{name} returns other scores than ours at cutoff {cutoff}")
    return timed(engines, queries, cutoff)


def timed(engines: dict[str, Engine], queries: sp.csr_matrix, cutoff: int) -> dict[str, float]:
    seconds = dict.fromkeys(engines, np.inf)
    for _ in range(ROUNDS):
        for name, engine in engines.items():
            started = time.perf_counter()
            engine(queries, cutoff)
            seconds[name] = min(seconds[name], time.perf_counter() - started)
    return {name: queries.shape[0] / took for name, took in seconds.items()}


def blocks(documents: int) -> Iterator[sp.csr_matrix]:
    for start in range(0, documents, BLOCK):
        rows = min(BLOCK, documents - start)
        yield matrix(draw(rows, EACH, start), rows, EACH, start)


def matrix(tokens: Any, rows: int, each: int, seed: int) -> sp.csr_matrix:
    """Rows of `each` tokens with whole weights of 1 to 255: so all sums here are exact in float32, in any order."""
    weights = np.clip(np.rint(np.random.default_rng(seed).gamma(2, 30, rows * each)), 1, 255).astype(np.float32)
    return sp.csr_matrix((weights, tokens, np.arange(0, rows * each + 1, each)), (rows, TOKENS))


def asked(length: int) -> sp.csr_matrix:
    return matrix(draw(QUERIES, length, 10**6 + length), QUERIES, length, 7)


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
            token = tokens[row, count] = min(np.searchsorted(cumulative, np.random.random()), len(seen) - 1)  # noqa: NPY002
            count += seen[token] != row
            seen[token] = row
        tokens[row] = np.sort(tokens[row])
    return tokens.ravel()


def split(queries: sp.csr_matrix) -> list[Any]:
    return [np.split(part, queries.indptr[1:-1]) for part in (queries.indices, queries.data)]


def by_product(transposed: sp.csr_matrix, queries: sp.csr_matrix, cutoff: int) -> Any:
    found = np.zeros((queries.shape[0], cutoff), np.float32)
    for i, scores in enumerate(split((queries @ transposed).tocsr())[1]):
        best = np.partition(scores, max(0, len(scores) - cutoff))[-cutoff:]
        found[i, : len(best)] = np.sort(best)[::-1]
    return found


def by_term(columns: sp.csc_matrix, values: Any, sums: Any, queries: sp.csr_matrix, cutoff: int) -> Any:
    each = zip(*split(queries), strict=True)
    return [_by_term(columns.indptr, columns.indices, values, *query, cutoff, sums) for query in each]


@numba.njit(cache=True)
def _by_term(indptr: Any, rows: Any, values: Any, tokens: Any, weights: Any, cutoff: int, sums: Any) -> Any:
    sums[:] = 0
    for j in range(len(tokens)):
        for p in range(indptr[tokens[j]], indptr[tokens[j] + 1]):
            sums[rows[p]] += weights[j] * values[p]
    held, count, threshold = np.zeros(4 * cutoff + 256, np.int64), 0, np.float32(0)
    for row in range(len(sums)):
        if sums[row] > threshold:
            held[count] = row
            count += 1
            if count == len(held):
                threshold = np.partition(sums[held], count - cutoff)[count - cutoff]
                held[:cutoff] = np.append(held[sums[held] > threshold], held[sums[held] == threshold])[:cutoff]
                count = cutoff
    return np.append(np.sort(sums[held[:count]])[::-1], np.zeros(cutoff, np.float32))[:cutoff]


def by_library(name: str, columns: sp.csc_matrix, queries: sp.csr_matrix, cutoff: int) -> Any:
    """The numba search of splade-index, or of bm25s, which takes no weights of queries."""
    search = import_module(f"{name}.numba.retrieve_utils")._retrieve_numba_functional
    scores = {"data": columns.data, "indptr": columns.indptr, "indices": columns.indices, "num_docs": columns.shape[0]}
    return search(*split(queries)[: 1 if name == "bm25s" else 2], scores, k=cutoff, n_threads=1)[1]


def approximate(documents: sp.csr_matrix) -> Figures:
    """Seismic on fewer documents, and ours on the same: queries a second and the share of our ten best rows it finds."""
    if not find_spec("seismic"):
        return {"seismic": "not installed"}
    import seismic

    dataset, string = seismic.SeismicDataset(), seismic.get_seismic_string()
    ids = [str(row) for row in range(documents.shape[0])]
    started = time.perf_counter()
    dataset.add_documents_by_id(ids, documents.indices.astype(np.int64), documents.data, documents.indptr.astype(np.int64))
    theirs = seismic.SeismicIndex.build_from_dataset(dataset)
    figures: Figures = {"seismic documents": len(ids), "seismic build s, all cores": time.perf_counter() - started}
    index, names = SparseIndex.build(documents), np.arange(QUERIES).astype(string)

    def search(queries: sp.csr_matrix, cutoff: int) -> Any:
        tokens, weights = split(queries)
        words = [part.astype(string) for part in tokens]
        return theirs.batch_search(names, words, weights, cutoff, query_cut=10, heap_factor=0.9, num_threads=1)

    for length in LENGTHS:
        queries = asked(length)
        best = index.search(queries, 10, threads=1).rows.tolist()
        found = [len({int(row) for _, _, row in one} & set(best[int(one[0][0])])) for one in search(queries, 10)]
        figures[f"{length}@10 seismic recall"] = sum(found) / (10 * QUERIES)
        rates = timed({"seismic": search, "ours": ours(index)}, queries, 10)
        figures |= {f"{length}@10, {FEWER} documents, {engine} q/s": rate for engine, rate in rates.items()}
    return figures


def real() -> Figures:
    """The demo model's impacts on Cranfield, copied with jitter, against scipy; queries are documents' heaviest tokens."""
    if not (REAL / "peaks.npy").exists():
        return {"real": "no indexes/cranfield/demo/sparse_64+auto"}
    pointers, rows, impacts, scales = (np.load(REAL / f"{name}.npy") for name in ("pointers", "rows", "impacts", "scales"))
    one = sp.csc_matrix((impacts * scales[rows], rows, pointers[0]), (len(scales), pointers.shape[1] - 1)).tocsr()
    documents = sp.vstack([one] * COPIES, format="csr")
    documents.data *= np.random.default_rng(0).lognormal(0, 0.2, documents.nnz).astype(np.float32)
    index = SparseIndex.build(documents)
    codes, scales = quantised(Impacts(documents.indptr, documents.indices, documents.data, documents.shape[1]))
    documents.data = codes * np.repeat(scales, np.diff(documents.indptr))
    engines: dict[str, Engine] = {"ours": ours(index), "scipy": partial(by_product, documents.tocsc().T)}
    figures: Figures = {"real, documents": documents.shape[0], "real, bytes a posting": index.bytes / index.postings}
    for length in LENGTHS[:2]:
        dense = one[:: one.shape[0] // QUERIES][:QUERIES].toarray()
        queries = sp.csr_matrix(np.where(dense >= np.sort(dense)[:, -length:][:, :1], dense, 0))
        for cutoff in CUTOFFS:
            rates = compared(engines, queries, cutoff, 1e-5)
            figures |= {f"real {length}@{cutoff} {engine} q/s": rate for engine, rate in rates.items()}
    return figures
