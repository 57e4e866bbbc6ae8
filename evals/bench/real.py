"""The demo model's impacts on the three small collections, copied with jitter to half a million documents.

Read from the embeddings under `indexes/` (any `rarityir index` with the encoder `demo` makes them); their 64 best tokens
each, as `sparse:64` keeps them. Queries are the heaviest tokens of some documents: no engine gains from rare words alone.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from evals.bench import peers
from evals.bench.peers import Figures
from rarityir.encoders import load_encoder
from rarityir.indexes.packing import quantised
from rarityir.indexes.postings import SparseIndex
from rarityir.tokens import TokenLens
from rarityir.types import Impacts

INDEXES = Path(__file__).parents[2] / "indexes"
CORPORA = ("cranfield", "beir--nfcorpus", "beir--scifact")
KEEP, DOCUMENTS, LENGTHS, CUTOFFS = 64, 500_000, (8, 40), (10, 1000)


def bench(queries: int) -> Figures:
    folders = [INDEXES / name / "demo" / "embeddings" for name in CORPORA]
    shards = [shard for folder in folders if (folder / "manifest.json").exists() for shard in sorted(folder.glob("*.npy"))]
    if not shards:
        return {"real": "no indexes/*/demo/embeddings"}
    lens = TokenLens(load_encoder("demo"))
    one = sp.vstack([csr(lens.align(np.load(shard), KEEP)) for shard in shards], format="csr")
    documents = sp.vstack([one] * -(-DOCUMENTS // one.shape[0]), format="csr")
    documents.data *= np.random.default_rng(0).lognormal(0, 0.2, documents.nnz).astype(np.float32)
    started = time.perf_counter()
    index = SparseIndex.build(documents)
    figures: Figures = {"documents": documents.shape[0], "build s": time.perf_counter() - started}
    figures |= {"of": one.shape[0], "bytes a posting": index.bytes / index.postings}
    codes, scales = quantised(Impacts(documents.indptr, documents.indices, documents.data, documents.shape[1]))
    documents.data = codes * np.repeat(scales, np.diff(documents.indptr))
    engines, missing = peers.exact(index, documents)
    for length in LENGTHS:
        dense = one[:: one.shape[0] // queries][:queries].toarray()
        asked = sp.csr_matrix(np.where(dense >= np.sort(dense)[:, -length:][:, :1], dense, 0))
        for cutoff in CUTOFFS:
            rates = peers.compared(engines, asked, cutoff, 1e-5)
            figures |= {f"{length}@{cutoff} {engine} q/s": rate for engine, rate in rates.items()}
            figures |= {f"{length}@{cutoff} {name}": ratio for name, ratio in peers.ratios(rates).items()}
    return {f"real, {name}": value for name, value in (figures | missing).items()}


def csr(impacts: Impacts) -> sp.csr_matrix:
    """Impacts with rising tokens."""
    found = sp.csr_matrix((impacts.values, impacts.token_ids, impacts.indptr), (len(impacts.indptr) - 1, impacts.vocabulary))
    found.sort_indices()
    return found
