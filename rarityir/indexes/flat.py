"""Exact dense search over a memory-mapped matrix: blocks of documents go by once, for all queries together.

A matrix product finds who may be among the best; what counts is FAISS's inner product of the two vectors alone. BLAS rounds
the score of a vector by where in the matrix it stands, so equal documents would rank by chance and scores would change with
the size of a block. The product is trusted only as far as rounding can reach (Higham, Accuracy and Stability of Numerical
Algorithms, 3.1), and a query for which that is not far enough is searched again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from rarityir import parsing, store
from rarityir.indexes.arrays import Growing
from rarityir.machine import cores
from rarityir.types import Floats, Hits, Ints, Json, RarityError

VECTORS, _FACTS = "vectors.npy", "index.json"
_TILE = 1 << 22  # scores held at a time: 16 MiB
_ROWS = (256, 1 << 16)  # fewest and most documents of a block
_BLOCK, _CHUNK = 512, 512  # documents and queries of a tile: 1 MiB of scores
_MORE = (16, 64)  # fewest and most candidates beyond those asked for, if not an eighth of them
_SHARED = 8  # queries a core from which each core takes its own
_ROUNDING = 2.0**-24  # of one operation in float32, relative


class FlatIndex:
    """Documents' (N, K) float32 vectors on disk; equal scores rank the earlier row first, also at the cutoff."""

    def __init__(self, x_NK: Floats, largest_norm: float) -> None:
        self.vectors, self._largest = x_NK, largest_norm

    @classmethod
    def build(cls, blocks: Iterable[Floats], folder: Path) -> dict[str, Json]:
        """Writes (n, K) blocks, which come in row order, and returns the index's facts; holds one block at a time."""
        documents, width, largest = write(blocks, folder / VECTORS)
        store.write_json(folder / _FACTS, {"documents": documents, "width": width, "largest_norm": largest})
        return {"dim": width, "bytes_per_doc": 4 * width}

    @classmethod
    def open(cls, folder: Path) -> FlatIndex:
        """Opens a built index, memory-mapped."""
        try:
            facts = parsing.value(folder / _FACTS)
            x_NK = parsing.array(folder / VECTORS, mapped=True)
            whole = x_NK.shape == (facts["documents"], facts["width"]) and x_NK.dtype == np.float32 and x_NK.flags.c_contiguous
            largest = float(facts["largest_norm"])
        except parsing.BROKEN:
            whole = False
        if not whole:
            raise RarityError(f"{folder / VECTORS} is no whole dense index; remove the folder: rm -r {folder}")
        return cls(x_NK, largest)

    @np.errstate(over="ignore", invalid="ignore")  # scores that are no numbers rank last, and need no warning
    def search(self, queries: Floats, cutoff: int, block: int | None = None) -> Hits:
        """Returns the best `cutoff` rows of each (Q, K) query by inner product, by all cores.

        Results do not depend on `block`, the documents in a matrix product. Memory beside the answer's: 1 MiB of scores a core.
        """
        q_QK = np.ascontiguousarray(queries, dtype=np.float32)
        if not len(q_QK):
            return Hits(np.empty((0, 0), np.int64), np.empty((0, 0), np.float32))
        wanted = min(cutoff, len(self.vectors))
        # A few more than asked for, so that rounding seldom reaches from the last of them to the last that is wanted: the wider
        # the vectors, the further it reaches.
        more = max(_MORE[0], min(q_QK.shape[1] // 16, _MORE[1]), wanted // 8)
        rows_QD, floors_Q = self._candidates(q_QK, min(wanted + more, len(self.vectors)), block)
        scores_QD = self._scores(q_QK, rows_QD)
        order_QW = np.argsort(-scores_QD, axis=1, kind="stable")[:, :wanted]  # candidates stand in row order
        hits = Hits(np.take_along_axis(rows_QD, order_QW, 1), np.take_along_axis(scores_QD, order_QW, 1))
        reach_Q = self._reach(q_QK)
        doubtful = np.flatnonzero(~(floors_Q + reach_Q < hits.scores[:, -1]))
        if len(doubtful):
            lowest = hits.scores[doubtful, -1].astype(np.float64) - reach_Q[doubtful]
            hits.rows[doubtful], hits.scores[doubtful] = self._all_above(q_QK[doubtful], lowest, wanted, block)
        return hits

    def _reach(self, q_QK: Floats) -> Floats:
        """How far apart two roundings of one score can be, the product's and FAISS's (Q,)."""
        steps = (q_QK.shape[1] + 1) * _ROUNDING
        norms_Q = np.linalg.norm(q_QK.astype(np.float64), axis=1)
        # The last term: products below float32's range may vanish.
        reach_Q: Floats = 2.01 * steps / (1 - steps) * norms_Q * self._largest + 1e-30
        return reach_Q

    def _candidates(self, q_QK: Floats, depth: int, block: int | None) -> tuple[Ints, Floats]:
        """The best `depth` rows by matrix product, (Q, depth) in row order, and what no other row's product is above (Q,)."""
        from threadpoolctl import threadpool_limits

        kept_QR, rows_QR = np.empty((len(q_QK), 2 * depth), np.float32), np.empty((len(q_QK), 2 * depth), np.int64)
        floors_Q, counts_Q = np.full(len(q_QK), -np.inf, np.float32), np.zeros(len(q_QK), np.int64)
        workers = cores()
        workers = workers if len(q_QK) >= _SHARED * workers else 1  # few queries: BLAS itself shares the documents out
        parts = zip(*(np.array_split(array, workers) for array in (q_QK, floors_Q, counts_Q, kept_QR, rows_QR)), strict=True)
        limit = threadpool_limits(1, "blas") if workers > 1 else nullcontext()
        with limit, ThreadPoolExecutor(workers) as pool:
            for _ in pool.map(lambda views: self._keep(*views, depth=depth, block=block), parts):
                pass
        return np.sort(rows_QR[:, :depth], axis=1), floors_Q

    @np.errstate(over="ignore", invalid="ignore")  # of each thread
    def _keep(self, q_QK: Floats, floors_Q: Floats, counts_Q: Ints, *kept: Any, depth: int, block: int | None) -> None:
        """Goes through all documents for some queries, in one thread, by tiles of scores that stay in a core's cache."""
        from rarityir.indexes.keeping import finish, keep

        size = min(block or _BLOCK, len(self.vectors))
        tile = np.empty(min(_CHUNK, len(q_QK)) * size, np.float32)
        chunks = [slice(start, start + _CHUNK) for start in range(0, len(q_QK), _CHUNK)]
        for first in range(0, len(self.vectors), size):
            x_BK = np.asarray(self.vectors[first : first + size])
            for chunk in chunks:
                q_CK = q_QK[chunk]
                scores_CB = tile[: len(q_CK) * len(x_BK)].reshape(len(q_CK), len(x_BK))
                np.matmul(q_CK, x_BK.T, out=scores_CB)
                keep(scores_CB, first, depth, floors_Q[chunk], counts_Q[chunk], *(array[chunk] for array in kept))
        finish(depth, floors_Q, counts_Q, *kept)

    def _all_above(self, q_QK: Floats, lowest_Q: Floats, wanted: int, block: int | None) -> Hits:
        """The best `wanted` of all rows whose product is at least `lowest`, which at least that many reach."""
        found = [(np.empty(0, np.int64), np.empty(0, np.float32))] * len(q_QK)
        for first, scores_QB in self._products(q_QK, block):
            for q, (rows, scores) in enumerate(found):
                new = first + np.flatnonzero(scores_QB[q] >= lowest_Q[q])
                (fresh,) = self._scores(q_QK[q : q + 1], new[None])
                if len(rows) == wanted:  # later rows come in by a higher score alone
                    new, fresh = new[fresh > scores[-1]], fresh[fresh > scores[-1]]
                if len(new):
                    rows, scores = np.concatenate([rows, new]), np.concatenate([scores, fresh])
                    order = np.lexsort((rows, -scores))[:wanted]
                    found[q] = rows[order], scores[order]
        hits = Hits(np.full((len(q_QK), wanted), -1, np.int64), np.zeros((len(q_QK), wanted), np.float32))
        for q, (rows, scores) in enumerate(found):  # fewer than wanted only where scores are no numbers
            hits.rows[q, : len(rows)], hits.scores[q, : len(rows)] = rows, scores
        return hits

    def _products(self, q_QK: Floats, block: int | None) -> Iterator[tuple[int, Floats]]:
        """The (Q, B) products of all queries with each block of documents, and the block's first row."""
        size = min(block or min(max(_TILE // len(q_QK), _ROWS[0]), _ROWS[1]), len(self.vectors))
        tile_QB = np.empty((len(q_QK), size), np.float32)
        for first in range(0, len(self.vectors), size):
            x_BK = np.asarray(self.vectors[first : first + size])
            scores_QB = tile_QB if len(x_BK) == size else np.empty((len(q_QK), len(x_BK)), np.float32)
            yield first, np.matmul(q_QK, x_BK.T, out=scores_QB)

    def _scores(self, q_QK: Floats, rows_QD: Ints) -> Floats:
        """FAISS's inner products of each query with its rows (Q, D), each of the two vectors alone; of row -1 it is -inf."""
        import faiss

        scores_QD, rows_QD = np.empty(rows_QD.shape, np.float32), np.ascontiguousarray(rows_QD)
        arrays = [faiss.swig_ptr(array) for array in (scores_QD, q_QK, self.vectors, rows_QD)]
        by_rows: Any = faiss.fvec_inner_products_by_idx  # type: ignore[attr-defined]
        by_rows(*arrays, q_QK.shape[1], *rows_QD.shape)
        return scores_QD


def write(blocks: Iterable[Floats], path: Path) -> tuple[int, int, float]:
    """Writes (n, K) blocks as one float32 `.npy` file; returns its length, its width and the largest norm of a row."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file, largest = Growing(path), 0.0
    try:
        for block in blocks:
            x_BK = np.ascontiguousarray(block, dtype=np.float32)
            file.append(x_BK)
            largest = max(largest, float(np.linalg.norm(x_BK.astype(np.float64), axis=1).max(initial=0.0)))
        documents, width = file.close()
    finally:
        file.discard()
    return documents, width, largest
