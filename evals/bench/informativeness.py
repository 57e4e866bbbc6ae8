"""Exact divergence of predictions over 150,000 tokens, held against the matmul rate measured here on the same shapes.

The floating-point operations counted are those of the one product of states and unembedding; what its logarithms and sums cost
comes on top, so a share of 1 is what no exact method reaches. The rate is that of the best of three products of the whole
vocabulary with as many states as are read at a time, with torch's threads as they are, and of a square product beside it.
RARITYIR_BENCH_DEVICE=cuda times a GPU.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import numpy as np

from evals.bench.goals import at_least
from rarityir.informativeness import divergence
from rarityir.informativeness.divergence import Head

VOCABULARY, STATES = 150_000, 1024
WIDTHS = (896, 2048)  # of a model of half a billion parameters, and of one of two
GOALS = {".* wide, share of matmul": at_least(0.7)}


def bench() -> dict[str, float | str]:
    import torch

    device, rng, figures = os.environ.get("RARITYIR_BENCH_DEVICE", "cpu"), np.random.default_rng(0), {}
    log_p0 = np.log(rng.dirichlet(np.ones(VOCABULARY)) + 1e-30)
    for width in WIDTHS:
        rows = (rng.standard_normal((VOCABULARY, width)) / width**0.5).astype(np.float32)
        states = rng.standard_normal((STATES, width)).astype(np.float32)
        head = Head(rows, None, device)
        step = divergence.STATES * (1 if device == "cpu" else 8)
        h_BD = torch.from_numpy(states[:step]).to(head.rows)
        square = torch.from_numpy(rows[:2048, :896]).to(head.rows)

        def product(h_BD=h_BD, head=head) -> None:
            (h_BD @ head.rows.T)[0, 0].item()

        def squared(square=square) -> None:
            (square @ square.T)[0, 0].item()

        rate = 2 * len(h_BD) * VOCABULARY * width / best(product)
        square_rate = 2 * 2048 * 2048 * 896 / best(squared)
        seconds = best(lambda head=head, states=states: head.divergence(states, log_p0))
        own = 2 * STATES * VOCABULARY * width / seconds
        figures |= {
            f"{width} wide, seconds": seconds,
            f"{width} wide, Gflop/s": own / 1e9,
            f"{width} wide, matmul Gflop/s": rate / 1e9,
            f"{width} wide, square matmul Gflop/s": square_rate / 1e9,
            f"{width} wide, share of matmul": own / max(rate, square_rate),
        }
    return figures


def best(run: Callable[[], object], times: int = 3) -> float:
    """The fewest seconds of three."""
    run()
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - started)
    return min(seconds)
