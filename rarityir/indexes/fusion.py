"""Fusions of rankings: `rrf(a,b)` by rank, `combsum(a,b)` by score."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rarityir import registry
from rarityir.indexes.topk import pad
from rarityir.types import Floats, Hits, Ints, RarityError


def rrf(arg: str, parts: Sequence[Hits], cutoff: int) -> Hits:
    """Returns hits by Σ 1 / (k + rank), ranks from 1, k = 60 (Cormack et al., SIGIR 2009); `rrf:k=10(a,b)` sets k."""
    k = registry.options(arg, {"k": float}, "rrf").get("k", 60.0)
    if not -1 < k < np.inf:
        raise RarityError(f"rrf:{arg}: k must be above −1")
    return _fuse(parts, [1.0 / (k + 1 + np.broadcast_to(np.arange(p.rows.shape[1]), p.rows.shape)) for p in parts], cutoff)


def combsum(arg: str, parts: Sequence[Hits], cutoff: int) -> Hits:
    """Returns hits by the weighted sum of min-max normalised scores (Fox and Shaw, TREC-2; Lee, SIGIR 1997).

    A document one ranking lacks gets 0 from it, as its last one does. `combsum:w=0.3(a,b)` gives the first system the
    weight 0.3 and shares the rest among the others; without it all weigh the same.
    """
    given = registry.options(arg, {"w": float}, "combsum").get("w", 1 / len(parts))
    if not 0 <= given <= 1:
        raise RarityError(f"combsum:{arg}: w must lie between 0 and 1")
    weights = [given, *[(1 - given) / (len(parts) - 1)] * (len(parts) - 1)]
    return _fuse(parts, [w * _min_max(part) for w, part in zip(weights, parts, strict=True)], cutoff)


def _min_max(hits: Hits) -> Floats:
    found = hits.rows >= 0
    scores = hits.scores.astype(np.float64)
    low = np.where(found, scores, np.inf).min(axis=1, keepdims=True, initial=np.inf)
    high = np.where(found, scores, -np.inf).max(axis=1, keepdims=True, initial=-np.inf)
    span = np.where(found.any(axis=1, keepdims=True), high - low, 1.0)
    # A ranking of one score says that all it found are alike: found, so 1.
    scaled = (scores - np.where(np.isfinite(low), low, 0.0)) / np.where(span > 0, span, 1.0)
    return np.asarray(np.where(found, np.where(span > 0, scaled, 1.0), 0.0))


def _fuse(parts: Sequence[Hits], scores: Sequence[Floats], cutoff: int) -> Hits:
    fused = []
    for i in range(len(parts[0].rows)):
        rows = np.concatenate([part.rows[i] for part in parts])
        given = np.concatenate([score[i] for score in scores])
        fused.append(_sum(rows[rows >= 0], given[rows >= 0], cutoff))
    return pad(fused, cutoff)


def _sum(rows: Ints, scores: Floats, cutoff: int) -> tuple[Ints, Floats]:
    distinct, at = np.unique(rows, return_inverse=True)
    # In float32, so that no tie is broken by the order in which float64 rounded a sum.
    total = np.bincount(at, weights=scores, minlength=len(distinct)).astype(np.float32)
    order = np.argsort(-total, kind="stable")[:cutoff]  # `distinct` is sorted, so the earlier row wins a tie
    return distinct[order], total[order]
