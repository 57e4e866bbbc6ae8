"""Bigram language models over 4 symbols, every one of their 4,096 texts of length 6 listed: divergences are sums."""

from __future__ import annotations

from itertools import product

import numpy as np

STRINGS = np.array(list(product(range(4), repeat=6)))


def models(rng: np.random.Generator, sizes: list[float], base_scale: float = 0.7) -> tuple[np.ndarray, np.ndarray]:
    """Log-probabilities (K, 4096) of bigram models, each so far (in logits) from a base, and the base's own (4096,)."""
    first, then = base_scale * rng.standard_normal(4), base_scale * rng.standard_normal((4, 4))
    moved = [(first + e * rng.standard_normal(4), then + e * rng.standard_normal((4, 4))) for e in sizes]
    return np.array([logs(*m) for m in moved]), logs(first, then)


def logs(first: np.ndarray, then: np.ndarray) -> np.ndarray:
    start = first - np.log(np.exp(first).sum())
    step = then - np.log(np.exp(then).sum(axis=1, keepdims=True))
    return start[STRINGS[:, 0]] + step[STRINGS[:, :-1], STRINGS[:, 1:]].sum(axis=1)


def true_kl(l_KS: np.ndarray) -> np.ndarray:
    """KL(p_i ‖ p_j) in nats (K, K), summed over all texts."""
    p_KS = np.exp(l_KS)
    return np.array([[(p * (a - b)).sum() for b in l_KS] for p, a in zip(p_KS, l_KS)])


def drawn(rng: np.random.Generator, p_S: np.ndarray, n: int) -> np.ndarray:
    return rng.choice(len(p_S), size=n, p=p_S / p_S.sum())
