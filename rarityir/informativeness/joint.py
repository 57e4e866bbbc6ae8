"""How often tokens stand in contexts, counted in one pass: contexts are documents, or the tokens at most h places away.

Memory does not grow with the corpus: of documents only sums by token are kept, of windows a table of V tokens by C contexts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rarityir.types import Ints, RarityError

Doubles = NDArray[np.float64]
Block = tuple[Ints, Ints]  # the tokens (T,) of some documents one after another, and the documents' lengths
_CELLS = 1 << 24  # of a table, that are taken to logarithms at a time


class Divergence(NamedTuple):
    """Of V tokens: KL(p(context | token) ‖ p(context)) in nats (NaN where it never occurs), entropy, draws; and contexts."""

    kl: Doubles
    entropy: Doubles
    draws: Ints
    support: int


@dataclass
class Documents:
    """Σ n log n, Σ n log L and Σ n by token, from which the divergence over documents follows: p(d) = L_d / Σ L."""

    size: int
    own: Doubles = field(init=False)
    usual: Doubles = field(init=False)
    draws: Ints = field(init=False)
    tokens: int = 0
    documents: int = 0

    def __post_init__(self) -> None:
        self.own, self.usual, self.draws = np.zeros(self.size), np.zeros(self.size), np.zeros(self.size, np.int64)

    def take(self, ids_T: Ints, lengths: Ints) -> None:
        """Adds some documents."""
        doc_T = np.repeat(np.arange(len(lengths)), lengths)
        pairs, n = np.unique(doc_T * self.size + ids_T, return_counts=True)
        token, doc = pairs % self.size, pairs // self.size
        self.own += np.bincount(token, n * np.log(n), self.size)
        self.usual += np.bincount(token, n * np.log(lengths[doc]), self.size)
        self.draws += np.bincount(ids_T, minlength=self.size)
        self.tokens += len(ids_T)
        self.documents += int((np.asarray(lengths) > 0).sum())

    def divergence(self) -> Divergence:
        """Returns what the sums say."""
        with np.errstate(divide="ignore", invalid="ignore"):
            entropy = np.log(self.draws) - self.own / self.draws
            kl = np.log(self.tokens) - self.usual / self.draws - entropy
        return Divergence(kl, entropy, self.draws, self.documents)


@dataclass
class Windows:
    """A table of tokens by contexts (V, C + 1): the last context is all tokens that are none of the C.

    `context_of` (V,) gives each token's context, C for the others. Windows end where documents do.
    """

    context_of: Ints
    contexts: int
    half: int
    counts: NDArray[np.uint32] = field(init=False)

    def __post_init__(self) -> None:
        self.counts = np.zeros((len(self.context_of), self.contexts + 1), np.uint32)

    def take(self, ids_T: Ints, lengths: Ints) -> None:
        """Adds some documents."""
        doc_T, context_T = np.repeat(np.arange(len(lengths)), lengths), self.context_of[ids_T]
        flat, width, one = self.counts.reshape(-1), self.contexts + 1, np.uint32(1)
        for step in range(1, min(self.half, max(0, len(ids_T) - 1)) + 1):
            same = doc_T[:-step] == doc_T[step:]
            np.add.at(flat, (ids_T[:-step] * width + context_T[step:])[same], one)
            np.add.at(flat, (ids_T[step:] * width + context_T[:-step])[same], one)

    def divergence(self) -> Divergence:
        """Returns what the table says; both margins are those of the table itself."""
        return of_table(self.counts)

    def usual(self) -> Doubles:
        """Returns p(c) of each context (C + 1,)."""
        total = self.counts.sum(axis=0, dtype=np.int64)
        return np.asarray(total / max(1, total.sum()))


def of_table(counts_VC: NDArray[np.integer]) -> Divergence:
    """Returns the divergence of each row of a table of counts (V, C) from the sum of all rows."""
    size, width = counts_VC.shape
    draws = np.asarray(counts_VC.sum(axis=1, dtype=np.int64))
    usual = counts_VC.sum(axis=0, dtype=np.int64)
    kl, entropy, step = np.full(size, np.nan), np.full(size, np.nan), max(1, _CELLS // width)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_usual = np.where(usual > 0, np.log(usual) - np.log(usual.sum()), 0.0)
        for first in range(0, size, step):
            part = counts_VC[first : first + step].astype(np.float64)
            n = draws[first : first + step]
            own = (part * np.log(np.where(part > 0, part, 1.0))).sum(axis=1)
            entropy[first : first + step] = np.log(n) - own / n
            kl[first : first + step] = -entropy[first : first + step] - part @ log_usual / n
    kl[draws == 0] = entropy[draws == 0] = np.nan
    return Divergence(kl, entropy, draws, int((usual > 0).sum()))


def quantised(draws_V: Ints, usual_C: Doubles) -> Doubles:
    """Returns what a divergence is of expected counts that are rounded to whole ones, and nothing else: (V,), NaN of no draws.

    n p(c) draws are expected of context c; with r = round(n p) it is Σ (r / n) ln(r / (n p)), which may be below 0. Of draws too
    few for any context to expect half of one it is 0.
    """
    falling = np.sort(np.asarray(usual_C, np.float64))[::-1]
    found = np.full(len(draws_V), np.nan)
    for n in np.unique(draws_V[draws_V > 0]):
        expected = n * falling[: int(np.searchsorted(-falling, -0.5 / n, side="right"))]
        whole = np.rint(expected)
        kept = whole > 0
        found[draws_V == n] = float((whole[kept] * np.log(whole[kept] / expected[kept])).sum() / n)
    return found


def check_room(most: int, half: int) -> None:
    """Raises `RarityError` where a count of the table might not fit its 32 bits."""
    if most * 2 * half >= 2**32:
        raise RarityError(f"a token that occurs {most} times, in windows of {half}, overflows 32 bits; take a smaller corpus")


def most_frequent(counts_V: Ints, contexts: int) -> tuple[Ints, int]:
    """Returns each token's context (V,) and their number C: the most frequent tokens, equal ones by their id; 0 takes all."""
    seen = int((counts_V > 0).sum())
    wanted = min(contexts or seen, seen)
    order = np.argsort(-np.asarray(counts_V), kind="stable")[:wanted]
    context_of = np.full(len(counts_V), wanted, np.int64)
    context_of[order] = np.arange(wanted)
    return context_of, wanted
