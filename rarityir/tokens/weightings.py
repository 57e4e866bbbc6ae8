"""What the best logits of a text weigh.

Logits carry a constant that no softmax sees. `raw` and `relu` change when a constant is added to all logits of a text; the
other weightings do not, and by default the (K+1)-th logit is taken off all.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rarityir import registry
from rarityir.types import Floats, UnknownName


def above_mean(z_BC: Floats) -> Floats:
    """Returns log(1 + max(z − z̄, 0)) of all logits (B, C): free of the constant, and defined for every token.

    PromptReps (arXiv 2404.18424) and LightRetriever (2505.12260) weigh by log(1 + max(z, 0)).
    """
    return np.asarray(np.log1p(np.maximum(z_BC - z_BC.mean(axis=1, keepdims=True), 0.0)), np.float32)


def _minus_next(z_BC: Floats, best_BK: Floats, next_B1: Floats) -> Floats:
    return best_BK - next_B1


def _minus_mean(z_BC: Floats, best_BK: Floats, next_B1: Floats) -> Floats:
    return np.asarray(best_BK - z_BC.mean(axis=1, keepdims=True), np.float32)


def _log1p(z_BC: Floats, best_BK: Floats, next_B1: Floats) -> Floats:
    return np.asarray(np.log1p(np.maximum(best_BK - z_BC.mean(axis=1, keepdims=True), 0.0)), np.float32)


def _softmax(z_BC: Floats, best_BK: Floats, next_B1: Floats) -> Floats:
    top = best_BK[:, :1]
    return np.asarray(np.exp(best_BK - top) / np.exp(z_BC - top).sum(axis=1, keepdims=True), np.float32)


# From all logits (B, C), the best (B, K) and the next one (B, 1) to what the best weigh.
WEIGHTINGS: dict[str, Callable[[Floats, Floats, Floats], Floats]] = {
    "log1p": _log1p,
    "minus-mean": _minus_mean,
    "minus-next": _minus_next,
    "raw": lambda z_BC, best_BK, next_B1: best_BK,
    "relu": lambda z_BC, best_BK, next_B1: np.maximum(best_BK, 0.0),
    "softmax": _softmax,
}


def check_weighting(name: str) -> None:
    """Raises `UnknownName` unless there is a weighting of that name."""
    if name not in WEIGHTINGS:
        raise UnknownName(registry.unknown("weighting", name, WEIGHTINGS))
