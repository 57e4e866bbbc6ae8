"""Keywords of one text: n · KL of a word's neighbours from all neighbours: half of its row's G² (arXiv 2212.09663)."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from rarityir.informativeness.joint import Windows
from rarityir.types import Ints

Doubles = NDArray[np.float64]
SHARE = 1 / 3  # of a text's occurrences that the words which are contexts cover


def in_text(ids: Sequence[int], half: int = 10) -> tuple[Ints, Ints, Doubles]:
    """Returns a text's words (U,), how often each occurs, and Σ n ln(n / expected) over the contexts it stands in.

    Contexts are the most frequent words that cover a third of the text; those within `half` places are a word's neighbours.
    The sum is n times the divergence, n the neighbours counted.
    """
    words, place, n = np.unique(np.asarray(ids, np.int64), return_inverse=True, return_counts=True)
    if not len(words):
        return words, n, np.empty(0)
    order = np.argsort(-n, kind="stable")
    contexts = int(np.searchsorted(np.cumsum(n[order]), SHARE * n.sum())) + 1
    context_of = np.full(len(words), contexts, np.int64)
    context_of[order[:contexts]] = np.arange(contexts)
    table = Windows(context_of, contexts, half)
    table.take(place, np.array([len(place)]))
    table.counts = table.counts[:, :contexts]  # what is no context is no neighbour
    found = table.divergence()
    return words, n, np.where(found.draws > 0, found.draws * np.nan_to_num(found.kl), 0.0)


def first_hit(words: Sequence[int] | Ints, scores: Doubles, wanted: Collection[int]) -> float:
    """Returns 1 / rank of the best word that is wanted, 0 where none is there; of equal scores all share their mean rank."""
    wanted_U = np.isin(words, list(wanted))
    if not wanted_U.any():
        return 0.0
    best = float(np.max(np.asarray(scores)[wanted_U]))
    above, equal = int((scores > best).sum()), int((scores == best).sum())
    return 1.0 / (above + (equal + 1) / 2)
