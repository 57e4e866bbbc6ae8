"""The sparse engine beside its peers on documents of 64 impacts (Zipf over 32,000 tokens), and on the demo model's own.

Every engine runs in this process, in turn, the best of three rounds. Exact peers must return our scores before any is timed:
their recall is 1, or the bench stops. Queries are 40 at a time, on one thread unless said. `RARITYIR_BENCH_DOCUMENTS` sets
another size than a million.

`share of memory` is bytes of postings over the bandwidth of a large copy in the same run, read and written: 3 for each light
posting that a query asks for, 1 for each document of a block in which its token is heavy; no accumulators, no scales. What
several queries read of a block counts for each, though only the first finds it in memory.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numba
import numpy as np
import scipy.sparse as sp

from evals.bench import apart, peers, real
from evals.bench.goals import at_least, at_most
from evals.bench.peers import Figures
from rarityir.indexes.packing import BLOCK, HEAVY
from rarityir.indexes.postings import SparseIndex

DOCUMENTS = int(os.environ.get("RARITYIR_BENCH_DOCUMENTS", "1000000"))
SMALL = tuple(size for size in (20_000, 100_000) if size < DOCUMENTS)
TOKENS, EACH, DRAWN = 32_000, 64, 50_000  # documents drawn at a time
LENGTHS, CUTOFFS, QUERIES = (8, 16, 40, 100), (10, 1000), 40

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
GOALS = {
    ".* ours / best exact peer, .*": at_least(1.0),
    ".* bytes a posting": at_most(5),
    ".* build M postings/s": at_least(2),
    ".* share of memory": at_least(0.5),
}


def bench() -> Figures:
    bandwidth = copied()
    figures: Figures = {"queries": QUERIES, "memory GB/s, read + written": bandwidth}
    documents = sp.vstack(list(blocks(DOCUMENTS)), format="csr")
    SparseIndex.build(documents[:100])  # compiles
    for size in (DOCUMENTS, *SMALL):
        figures |= {f"{size} {name}": value for name, value in sized(documents[:size], bandwidth).items()}
    figures |= streamed()
    queries = {length: asked(length) for length in LENGTHS}
    return figures | apart.bench(documents[: min(DOCUMENTS, 100_000)], queries) | real.bench(QUERIES)


def copied() -> float:
    """The bandwidth of copying a GB on one thread, GB/s read and written."""
    source, target = np.ones(10**9, np.uint8), np.zeros(10**9, np.uint8)
    engines = {"a copy": lambda _, __: np.copyto(target, source)}
    return 2 * peers.timed(engines, sp.csr_matrix((1, 1)), 0)["a copy"]


def sized(documents: sp.csr_matrix, bandwidth: float) -> Figures:
    """Ours and the exact peers on some documents."""
    started = time.perf_counter()
    index = SparseIndex.build(documents)
    took = time.perf_counter() - started
    figures: Figures = {"build s": took, "build M postings/s": index.postings / 1e6 / took}
    figures["bytes a posting"] = index.bytes / index.postings
    engines, missing = peers.exact(index, documents)
    figures |= missing
    frequencies, read = reading(documents)
    for length in LENGTHS:
        queries = asked(length)
        postings, bytes = (float(counts[queries.indices].sum()) / QUERIES for counts in (frequencies, read))
        figures[f"{length} tokens, postings a query"] = postings
        for cutoff in CUTOFFS:
            name, rates = f"{length}@{cutoff}", peers.compared(engines, queries, cutoff)
            figures |= {f"{name} {engine} q/s": rate for engine, rate in rates.items()}
            figures |= {f"{name} {engine}": ratio for engine, ratio in peers.ratios(rates).items()}
            figures[f"{name} G postings/s"] = rates["ours"] * postings / 1e9
            figures[f"{name} share of memory"] = rates["ours"] * bytes / 1e9 / bandwidth
    return figures | {"exact engines' recall": 1.0}


def reading(documents: sp.csr_matrix) -> tuple[Any, Any]:
    """Each token's postings, and the bytes of them that a query reads."""
    frequencies, read = np.zeros(TOKENS, np.int64), np.zeros(TOKENS, np.int64)
    for start in range(0, documents.shape[0], BLOCK):
        block = documents[start : start + BLOCK]
        inside = np.bincount(block.indices, minlength=TOKENS)
        frequencies += inside
        read += np.where(inside * HEAVY > block.shape[0], block.shape[0], 3 * inside)
    return frequencies, read


def streamed() -> Figures:
    """The memory that a build in a stream takes, in a process of its own."""
    command = [sys.executable, "-c", _BUILD, str(DOCUMENTS)]
    out = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2]).stdout
    before, peak = map(float, out.split())
    return {"streamed build, before it MiB": before, "streamed build, peak MiB": peak}


def blocks(documents: int) -> Iterator[sp.csr_matrix]:
    for start in range(0, documents, DRAWN):
        rows = min(DRAWN, documents - start)
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
