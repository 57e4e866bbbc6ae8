"""Queries as tokens: their own, those their embedding aligns with, or both; each weighed by one, logit, rarity or a file.

Source: "A Text is Worth Several Tokens" (arXiv 2406.17378), retrieval part: Q = T_q ∪ T̂_q^M, all weights 1. With the query's
own tokens alone no model is asked.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from rarityir.settings import FOREIGN
from rarityir.tokens.lens import TokenLens, best
from rarityir.tokens.vocabulary import Vocabulary
from rarityir.tokens.weightings import above_mean
from rarityir.types import Floats, Impacts, Ints, RarityError
from rarityir.weights import OTHERS, read_table, table_of

log = logging.getLogger(__name__)
_FORM = re.compile(r"literal|(?:aligned|both):([1-9]\d*)")
NAMED = ("1", "logit", "idf", *FOREIGN)


@dataclass(frozen=True)
class Asking:
    """How queries become tokens: `form` is `literal`, `aligned:M` or `both:M`; `weights` one of `NAMED`, a file or a folder.

    Each weight is raised to the power of `gamma`: at 0 all weigh 1.
    """

    form: str = "literal"
    weights: str = "1"
    gamma: float = 1.0

    def __post_init__(self) -> None:
        if not _FORM.fullmatch(self.form):
            raise RarityError(f"query={self.form}: a query is literal, aligned:M or both:M, such as query=both:16")
        if self.weights not in NAMED and not table_of(self.weights).is_file():
            raise RarityError(f"weights={self.weights}: weights are {', '.join(NAMED)} or a file of token and weight a line")
        if not 0 <= self.gamma < float("inf"):
            raise RarityError(f"gamma={self.gamma}: the power of the weights is a number of at least 0")

    @property
    def literal(self) -> bool:
        """Whether a query's own tokens are asked for."""
        return not self.form.startswith("aligned")

    @property
    def aligned(self) -> int:
        """How many tokens of a query's embedding are asked for."""
        return int(self.form.partition(":")[2] or 0)

    @property
    def needs_model(self) -> bool:
        """Whether queries must be encoded."""
        return self.aligned > 0 or self.weights == "logit"


def ask(
    asking: Asking,
    lens: TokenLens,
    token_ids: Sequence[Sequence[int]],
    x_QD: Floats | None,
    rarity: Callable[[], Floats],
) -> Impacts:
    """Returns queries as tokens in order, each with its weight; one that weighs nothing is left out.

    Args:
        lens: reads the queries' embeddings, through the filter of the documents.
        token_ids: the queries' own ids.
        x_QD: the queries' raw embeddings where `asking.needs_model`.
        rarity: gives the (C,) inverse document frequencies of canonical tokens, for `weights=idf` and those without a corpus.
    """
    sets = lens.vocabulary.classes(token_ids) if asking.literal else [np.empty(0, np.int64)] * len(token_ids)
    z_QC = lens.logits(x_QD) if asking.needs_model and x_QD is not None else None
    if asking.aligned and z_QC is not None:
        sets = [np.union1d(own, aligned) for own, aligned in zip(sets, best(z_QC, asking.aligned), strict=True)]
    if asking.weights == "logit":
        assert z_QC is not None
        weights: Sequence[Floats] = [row[classes] for row, classes in zip(above_mean(z_QC), sets, strict=True)]
    else:
        of_token = _one(asking.weights, lens.vocabulary, rarity)
        weights = [of_token(classes) for classes in sets]
    return _impacts(sets, [found**asking.gamma for found in weights], len(lens.vocabulary.names))


def literal(token_ids: Sequence[Sequence[int]], vocabulary: Vocabulary) -> Impacts:
    """Returns queries as the set of their own canonical tokens, each of weight 1 (no model is asked)."""
    sets = vocabulary.classes(token_ids)
    return _impacts(sets, [np.ones(len(s), np.float32) for s in sets], len(vocabulary.names))


def inverse_document_frequencies(frequencies_C: Ints, documents: int) -> Floats:
    """Returns log(1 + (N − df + ½) / (df + ½)) of each token, positive and finite (the form of Lucene's BM25)."""
    return np.log1p((documents - frequencies_C + 0.5) / (frequencies_C + 0.5)).astype(np.float32)


def _one(weights: str, vocabulary: Vocabulary, rarity: Callable[[], Floats]) -> Callable[[Ints], Floats]:
    """What each token weighs in whatever query."""
    if weights == "1":
        return lambda classes: np.ones(len(classes), np.float32)
    if weights in ("idf", *FOREIGN):
        weight_C = rarity()
        return lambda classes: weight_C[classes]
    given = read_table(table_of(weights))
    strange = given.keys() - {OTHERS, *vocabulary.names}
    if strange:
        log.warning(
            "%s: %d names are no canonical tokens here (such as %r) and weigh nothing", weights, len(strange), min(strange)
        )

    def of_file(classes: Ints) -> Floats:
        names = [vocabulary.names[c] for c in classes]
        missing = [name for name in names if name not in given]
        if missing and OTHERS not in given:
            raise RarityError(f"{weights} has no weight for the query token {missing[0]!r}; add a line for {OTHERS}, all others")
        return np.array([given.get(name, given.get(OTHERS, 0.0)) for name in names], np.float32)

    return of_file


def _impacts(sets: Sequence[Ints], weights: Sequence[Floats], size: int) -> Impacts:
    ids = np.concatenate(sets) if sets else np.empty(0, np.int64)
    values = np.concatenate(weights) if weights else np.empty(0, np.float32)
    ends = np.cumsum([0, *map(len, sets)])
    kept = values > 0
    indptr = np.concatenate([[0], np.cumsum(kept)])[ends].astype(np.int64)
    return Impacts(indptr, ids[kept].astype(np.int64), values[kept].astype(np.float32), size)
