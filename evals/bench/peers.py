"""Exact engines that answer the same queries in this process: scipy, a plain numba loop, splade-index and bm25s.

Scipy answers queries as one product, on one thread. bm25s knows no query weights and gets weights of one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numba
import numpy as np
import scipy.sparse as sp

from rarityir.indexes.postings import SparseIndex

ROUNDS, CORES = 3, os.cpu_count() or 1
ALL = f", {CORES} threads"

Figures = dict[str, float | str]
Engine = Callable[[sp.csr_matrix, int], Any]


def exact(index: SparseIndex, documents: sp.csr_matrix) -> tuple[dict[str, Engine], Figures]:
    """Returns the engines that are installed, and the names of those that are not."""
    columns = documents.tocsc()
    engines: dict[str, Engine] = {"ours": ours(index, 1), f"ours{ALL}": ours(index, CORES)}
    engines |= {"scipy": partial(by_product, columns.T)}
    if (documents.data == np.rint(documents.data)).all():  # its impacts are bytes
        engines["numba"] = partial(by_term, columns, columns.data.astype(np.uint8), np.empty(columns.shape[0], np.float32))
    missing: Figures = {}
    for name in ("splade_index", "bm25s"):
        if find_spec(name):
            engines |= {name: partial(by_library, name, columns, 1), f"{name}{ALL}": partial(by_library, name, columns, CORES)}
        else:
            missing[name] = "not installed"
    return engines, missing


def ours(index: SparseIndex, threads: int) -> Engine:
    return lambda queries, cutoff: index.search(queries, cutoff, threads).scores


def compared(engines: dict[str, Engine], queries: sp.csr_matrix, cutoff: int, tolerance: float = 0.0) -> dict[str, float]:
    """Checks that all return our scores, then times them in turn: queries a second."""
    plain = sp.csr_matrix((np.ones_like(queries.data), queries.indices, queries.indptr), queries.shape)
    for name, engine in engines.items():
        given = plain if name.startswith("bm25s") else queries
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


def ratios(rates: dict[str, float]) -> Figures:
    """Ours over the best exact peer, on one thread and on all cores."""
    found: Figures = {}
    for kind, name in (("", "one thread"), (ALL, "all cores")):
        theirs = [rate for engine, rate in rates.items() if not engine.startswith("ours") and engine.endswith(ALL) == bool(kind)]
        if theirs:
            found[f"ours / best exact peer, {name}"] = rates[f"ours{kind}"] / max(theirs)
    return found


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


def by_library(name: str, columns: sp.csc_matrix, threads: int, queries: sp.csr_matrix, cutoff: int) -> Any:
    """The numba search of splade-index, or of bm25s, which takes no weights of queries."""
    search = import_module(f"{name}.numba.retrieve_utils")._retrieve_numba_functional
    scores = {"data": columns.data, "indptr": columns.indptr, "indices": columns.indices, "num_docs": columns.shape[0]}
    return search(*split(queries)[: 1 if name == "bm25s" else 2], scores, k=cutoff, n_threads=threads)[1]
