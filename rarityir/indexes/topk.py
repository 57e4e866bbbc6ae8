"""The one way scores become a ranking: highest first, and of equal scores the earlier row, also at the cutoff."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rarityir.doc_ids import rows_of
from rarityir.types import Floats, Hits, Ints


def topk(scores_N: NDArray[Any], cutoff: int, floor: float | None = None) -> tuple[Ints, NDArray[Any]]:
    """Returns rows and scores of the best `cutoff` rows; with a floor, only of those that score above it.

    Equal to a full stable sort: every row that ties with the last place takes part before the cut is made.
    """
    rows = np.arange(len(scores_N)) if floor is None else np.flatnonzero(scores_N > floor)
    scores = scores_N[rows]
    if len(rows) > cutoff:
        threshold = np.partition(scores, len(scores) - cutoff)[len(scores) - cutoff]
        kept = scores >= threshold
        rows, scores = rows[kept], scores[kept]
    order = np.argsort(-scores, kind="stable")[:cutoff]
    return rows[order], scores[order]


def pad(found: Sequence[tuple[Ints, Floats]], cutoff: int) -> Hits:
    """Returns one (Q, width) pair of arrays for rankings of any length, width at most `cutoff`; row −1 pads."""
    width = min(cutoff, max((len(rows) for rows, _ in found), default=0))
    hits = Hits(np.full((len(found), width), -1, np.int64), np.zeros((len(found), width), np.float32))
    for i, (rows, scores) in enumerate(found):
        hits.rows[i, : len(rows)], hits.scores[i, : len(rows)] = rows, scores
    return hits


def without_own(hits: Hits, query_ids: Sequence[str], doc_ids: Sequence[str], cutoff: int) -> Hits:
    """Returns hits without each query's own document, the gap closed, and no more than `cutoff` of them."""
    row_of = rows_of(doc_ids, query_ids)
    rows = np.full((len(hits.rows), min(cutoff, hits.rows.shape[1])), -1, np.int64)
    scores = np.zeros(rows.shape, np.float32)
    for i, query_id in enumerate(query_ids):
        kept = np.flatnonzero((hits.rows[i] >= 0) & (hits.rows[i] != row_of.get(query_id, -1)))[:cutoff]
        rows[i, : len(kept)], scores[i, : len(kept)] = hits.rows[i][kept], hits.scores[i][kept]
    return Hits(rows, scores)
