"""Starting values for embeddings and unembedding: a truncated SVD of the corpus's positive pointwise mutual information.

Both matrices start from it (and part at once: they are not tied). Rare tokens then have a place among their kind from the
first step on, and copying a token is the same map for every token, which a model of this size does not learn from random
starts in a few epochs (evals/LOG.md). Source of the construction: Levy and Goldberg, NeurIPS 2014; context distribution
smoothed by 0.75 as in Levy, Goldberg and Dagan, TACL 2015.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

WINDOW, SMOOTHING = 10, 0.75


def embeddings(texts: Sequence[np.ndarray], weights: Sequence[float], vocabulary: int, width: int, rms: float, seed: int):
    """Returns a (V, D) float32 matrix, U √S of the PPMI matrix, scaled to a root mean square of `rms`."""
    gap = np.full(WINDOW, -1, np.int32)  # no pair of two texts lies within the window
    ids = np.concatenate([part for text in texts for part in (text, gap)])
    weight = np.concatenate([np.full(len(t) + WINDOW, w, np.float32) for t, w in zip(texts, weights, strict=True)])
    counts = np.zeros((vocabulary, vocabulary), np.float32)
    for offset in range(1, WINDOW + 1):
        left, right = ids[:-offset], ids[offset:]
        both = (left >= 0) & (right >= 0)
        cells = left[both].astype(np.int64) * vocabulary + right[both]
        found = np.bincount(cells, weights=weight[:-offset][both], minlength=vocabulary**2)
        counts += found.reshape(vocabulary, vocabulary).astype(np.float32)
    counts += counts.T
    rows = counts.sum(1)
    context = rows**SMOOTHING / (rows**SMOOTHING).sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        ppmi = np.log(counts / (rows[:, None] * context[None, :]))
    ppmi = np.maximum(np.where(np.isfinite(ppmi), ppmi, 0.0), 0.0).astype(np.float32)
    basis = np.random.default_rng(seed).standard_normal((vocabulary, width + 44), dtype=np.float32)
    for _ in range(4):  # subspace iteration
        basis = np.linalg.qr(ppmi @ np.linalg.qr(ppmi.T @ basis)[0])[0]
    left, singular, _ = np.linalg.svd(basis.T @ ppmi, full_matrices=False)
    found = (basis @ left)[:, :width] * np.sqrt(singular[:width])
    return (found * (rms / np.sqrt((found**2).mean()))).astype(np.float32)
