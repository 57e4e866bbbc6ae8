"""BM25's IDF without a corpus: how surprising it is that a document has a token, from a source, a probe, or a token's number.

A surprise is y = −ln P(a document has the token). It becomes a document frequency df = N e^−y, kept between ½ and N − ½, and
that the IDF of Lucene's BM25, ln(1 + (N − df + ½) / (df + ½)).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from rarityir.counts import TokenCounts
from rarityir.settings import IdfSettings
from rarityir.types import Ints

Doubles = NDArray[np.float64]
DOCUMENTS = 10**6  # of a corpus of which nothing is known
_WORD = re.compile(r"\w+")


def bm25_idf(df_V: NDArray[np.generic], documents: int) -> Doubles:
    """Returns ln(1 + (N − df + ½) / (df + ½)) of each token (V,)."""
    df = np.asarray(df_V, np.float64)
    return np.asarray(np.log1p((documents - df + 0.5) / (df + 0.5)))


def expected_idf(surprise_V: Doubles, documents: int) -> Doubles:
    """Returns the IDF (V,) in a corpus of N documents, each of which has a token with probability e^−y."""
    return bm25_idf(np.clip(documents * np.exp(-np.asarray(surprise_V, np.float64)), 0.5, documents - 0.5), documents)


def poisson_surprise(probability_V: Doubles, length: float) -> Doubles:
    """Returns −ln(1 − e^(−L p)) (V,): of a document of L tokens, each of them drawn by itself (Church and Gale, 1995)."""
    return np.asarray(-np.log(-np.expm1(-length * np.asarray(probability_V, np.float64))))


def counted_surprise(counts: TokenCounts, length: float) -> Doubles:
    """Returns the surprise (V,) of tokens of which occurrences alone are known, each count raised by one half."""
    return poisson_surprise(np.exp(counts.log_probability()), length)


def document_surprise(df_V: Ints, documents: int) -> Doubles:
    """Returns ln((N + 1) / (df + ½)) (V,) of tokens whose document frequencies are known."""
    return np.asarray(np.log((documents + 1) / (np.asarray(df_V, np.float64) + 0.5)))


def numbered_surprise(vocabulary: int, length: float) -> Doubles:
    """Returns the surprise (V,) if tokens are numbered by rank and follow Zipf's law: p = 1 / ((id + 1) H_V)."""
    shares = 1 / np.arange(1, vocabulary + 1, dtype=np.float64)
    return poisson_surprise(shares / shares.sum(), length)


def joined_surprise(surprise_V: Doubles, class_of: Ints, classes: int) -> Doubles:
    """Returns the surprise (C,) that a document has any of a class's tokens, each there by itself; class −1 is none."""
    absent_V = np.log(-np.expm1(-np.clip(surprise_V, 1e-12, None)))  # ln P(a document lacks the token)
    absent_C = np.bincount(class_of[class_of >= 0], weights=absent_V[class_of >= 0], minlength=classes)
    return np.asarray(-np.log(-np.expm1(np.minimum(absent_C, -1e-300))))


def idf(
    settings: IdfSettings,
    vocabulary: int,
    surprise: Callable[[IdfSettings], Doubles],
    documents: int,
    frequencies: Callable[[int], Ints],
) -> Doubles:
    """Returns the IDF (V,) that settings name.

    Args:
        surprise: gives the (V,) surprise of `id-zipf`, `transfer`, `probe`, `probe-repaired`.
        documents: the corpus's size N, which level L0 does not look at.
        frequencies: gives the (V,) document frequencies of the corpus's first so many documents; of all for `oracle`, of
            `settings.first` where a surprise is mixed with what those say, else it is not asked.
    """
    if settings.idf == "uniform":
        return np.ones(vocabulary)
    if settings.idf == "oracle":
        return bm25_idf(frequencies(documents), documents)
    assumed = DOCUMENTS if settings.level == "L0" else documents
    surprise_V = surprise(settings._replace(idf="probe") if settings.idf == "shuffled" else settings)
    if settings.idf == "shuffled":
        surprise_V = np.random.default_rng(settings.seed).permutation(surprise_V)
    if settings.first:
        some = min(settings.first, documents)
        surprise_V = settings.mix * surprise_V + (1 - settings.mix) * document_surprise(frequencies(some), some)
    return expected_idf(surprise_V, assumed)


def pieces(
    texts: Sequence[str], tokenize: Callable[[Sequence[str]], list[list[int]]], idf_V: Doubles, which: str
) -> list[list[int]]:
    """Returns the tokens that texts ask for: all (`sum`), or of each word the rarest piece (`max`) or the last (`last`).

    A word is a run of letters and digits; other than `sum` asks for no punctuation.
    """
    if which == "sum":
        return tokenize(texts)
    words = [_WORD.findall(text) for text in texts]
    cut = iter(tokenize([word for some in words for word in some]) if any(words) else [])
    found: list[list[int]] = []
    for some in words:
        parts = [[token for token in next(cut) if token < len(idf_V)] for _ in some]
        found.append([ids[-1] if which == "last" else max(ids, key=lambda token: float(idf_V[token])) for ids in parts if ids])
    return found
