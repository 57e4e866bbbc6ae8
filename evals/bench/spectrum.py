"""The spectrum of a matrix of Qwen2.5-0.5B's size: blocked float64 Gram and `eigh` against `torch.linalg.svd` in float32.

The projector of `edge:2` is compared with that of a float64 SVD (LAPACK gesdd through scipy) of the same matrix.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import scipy.linalg
import torch

from rarityir.filters import EmbedFilter
from rarityir.filters.spectrum import spectrum

ROWS, WIDTH, SEED = 151_936, 896, 0


def matrix() -> np.ndarray:
    """A (V, D) float32 matrix with singular values from 300 to 3, log-spaced, in random directions."""
    rng = np.random.default_rng(SEED)
    right = np.linalg.qr(rng.standard_normal((WIDTH, WIDTH)))[0]
    scale = np.geomspace(300.0, 3.0, WIDTH) / np.sqrt(ROWS)
    return rng.standard_normal((ROWS, WIDTH), dtype=np.float32) @ (scale[:, None] * right.T).astype(np.float32)


def bench() -> dict[str, float | str]:
    unembed_VD = matrix()
    ours = []
    for _ in range(3):
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            fitted = EmbedFilter.fit(unembed_VD, "edge:2", cache=Path(folder))
            ours.append(time.perf_counter() - started)
    with tempfile.TemporaryDirectory() as folder:
        spectrum(unembed_VD, Path(folder))
        started = time.perf_counter()
        spectrum(unembed_VD, Path(folder))
        cached = time.perf_counter() - started
    started = time.perf_counter()
    torch.linalg.svd(torch.from_numpy(unembed_VD), full_matrices=False)
    theirs = time.perf_counter() - started
    right_DD = scipy.linalg.svd(unembed_VD.astype(np.float64), full_matrices=False, overwrite_a=True)[2]
    kept = right_DD[WIDTH // 4 : WIDTH // 4 + WIDTH // 2]
    error = np.linalg.norm(fitted.basis.astype(np.float64).T @ fitted.basis - kept.T @ kept, ord=2)
    return {
        "matrix": f"{ROWS} x {WIDTH}, float32, threads {torch.get_num_threads()}",
        "EmbedFilter.fit s (median of 3)": float(np.median(ours)),
        "of which the cached path s": cached,
        "torch.linalg.svd float32 s": theirs,
        "ratio": theirs / float(np.median(ours)),
        "projector error, spectral": float(error),
    }
