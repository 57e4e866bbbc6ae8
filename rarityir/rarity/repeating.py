"""Whether a model can say a token: it is shown the token again and again, and asked what comes next.

A causal language model goes on with what is repeated; one that never met a token as a target gives it no probability even so.
The bound of .01 is that of Land & Bartolo, "Fishing for Magikarp" (EMNLP 2024).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rarityir.encoders.hf import HFEncoder
from rarityir.encoders.prompts import Templated
from rarityir.types import Floats, RarityError

TIMES = 12  # how often a token is shown
BOUND = 0.01
ENTRIES = 2**25  # logits held at once


def repeated(encoder: Any, token_ids: Sequence[int]) -> NDArray[np.float64]:
    """Returns the largest probability (B,) that a model gives each token after 1 to 12 showings of it.

    Raises `RarityError` for what is no causal language model.
    """
    if not isinstance(encoder, HFEncoder):
        raise RarityError(
            f"{encoder.name} does not go on with a text, so it cannot be asked to repeat; give a causal language model"
        )
    unembedding_VD, bias_V = encoder.unembedding(), encoder.unembedding_bias()
    opening = encoder.alone([0])[0].ids[:1]
    shown = [Templated([*opening, *[int(i)] * TIMES], 1, 1 + TIMES) for i in token_ids]
    at_once = max(1, ENTRIES // (len(unembedding_VD) * TIMES))
    found = np.zeros(len(shown))
    for start in range(0, len(shown), at_once):
        states = encoder.layer_states(shown[start : start + at_once], encoder.layers)
        for row, x_TD in enumerate(states, start):
            found[row] = _probability(x_TD @ unembedding_VD.T, bias_V, int(token_ids[row])).max()
    return found


def _probability(logits_TV: Floats, bias_V: Floats | None, token_id: int) -> NDArray[np.float64]:
    logits = logits_TV.astype(np.float64) + (0 if bias_V is None else bias_V)
    top = logits.max(axis=1, keepdims=True)
    return np.asarray(np.exp(logits[:, token_id] - top[:, 0]) / np.exp(logits - top).sum(axis=1))
