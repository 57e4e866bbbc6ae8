"""Reads embeddings as token impacts through the unembedding ("A Text is Worth Several Tokens", arXiv 2406.17378, §3).

An embedding's logits z = W Φ x say which tokens it writes; the best K of them are a sparse vector.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

import numpy as np

from rarityir.tokens.vocabulary import Vocabulary
from rarityir.tokens.weightings import WEIGHTINGS, above_mean, check_weighting
from rarityir.types import Encoder, Filter, Floats, Impacts, Ints, RarityError

ROOM = 1 << 22  # logits held at a time, 16 MiB of them; a text's own logits are held in any case


class TokenLens:
    """Turns embeddings into their best canonical tokens. The logits of N texts over V tokens are never held at once.

    Args:
        source: an encoder, whose head is read with its bias and its tokens' names, or an unembedding (V, D), whose rows
            are tokens of their own unless a `vocabulary` says which are one.
        filter: the filter through which embeddings are read: z = W Bᵀ B (x − mean).
        vocabulary: canonical tokens; an encoder's own where none are given.
        bias: the head's (V,) bias; an encoder's own where none is given.
        weighting: one of `WEIGHTINGS`.
        unit: whether each text's impacts have unit length, so that one that was pooled over many states weighs no more.
    """

    def __init__(
        self,
        source: Encoder | Floats,
        filter: Filter | None = None,
        *,
        vocabulary: Vocabulary | None = None,
        bias: Floats | None = None,
        weighting: str = "minus-next",
        unit: bool = True,
    ) -> None:
        check_weighting(weighting)
        if isinstance(source, np.ndarray):
            if source.ndim != 2:
                raise RarityError(f"an unembedding is a matrix (V, D); this array has shape {source.shape}")
            self._unembed_VD: Floats = source
            self.vocabulary = vocabulary or Vocabulary.plain(len(source))
            self._bias_V = bias
        else:
            self._unembed_VD = source.unembedding()
            self.vocabulary = vocabulary or Vocabulary.of(source.tokens())
            self._bias_V = source.unembedding_bias() if bias is None else bias
        if len(self.vocabulary.class_of) != len(self._unembed_VD):
            raise RarityError(
                f"the vocabulary has {len(self.vocabulary.class_of)} token ids, the unembedding {len(self._unembed_VD)} rows"
            )
        if self._bias_V is not None and len(self._bias_V) != len(self._unembed_VD):
            raise RarityError(f"the bias has {len(self._bias_V)} entries, the unembedding {len(self._unembed_VD)} rows")
        if not self.vocabulary.names:
            raise RarityError("the vocabulary has no token that is a word, so nothing can be read")
        self._weigh, self._unit, self._signed = WEIGHTINGS[weighting], unit, weighting == "raw"
        self._filter = filter

    @cached_property
    def _reader(self) -> tuple[Floats, Ints, Ints]:
        """The kept rows of W (times Φ's basis), sorted by class, and where each class begins."""
        class_of = self.vocabulary.class_of
        ids = np.flatnonzero(class_of >= 0)
        ids = ids[np.argsort(class_of[ids], kind="stable")]
        rows = self._unembed_VD[ids]
        if self._filter is not None:
            rows = rows @ self._filter.basis.T
        starts = np.searchsorted(class_of[ids], np.arange(len(self.vocabulary.names)))
        return np.ascontiguousarray(rows, dtype=np.float32), ids, starts

    def logits(self, x_BD: Floats) -> Floats:
        """Returns the (B, C) logits of canonical tokens: the largest over the ids of a class, the head's bias included."""
        return self._of_classes(self._of_ids(x_BD))

    def align(self, x_BD: Floats, k: int) -> Impacts:
        """Returns each embedding's k best tokens, best first; one that weighs nothing is left out.

        Of equal logits the earlier token is better. Only `raw` keeps weights below zero; a system's index leaves them out.
        """
        return _joined((self._top(z_BC, k) for z_BC in self._blocks(x_BD)), len(self.vocabulary.names))

    def tokens(self, x_BD: Floats, k: int) -> list[list[str]]:
        """Returns the names of each embedding's k best tokens, best first."""
        names = self.vocabulary.names
        return [[names[c] for c in row] for z_BC in self._blocks(x_BD) for row in best(z_BC, k)]

    def own(self, x_BD: Floats, token_ids: Sequence[Sequence[int]], k: int, spare: int = 10) -> Impacts:
        """Returns the k best of each text's own tokens, weighed by how far their logits stand above the mean.

        `token_ids` are each text's ids. A text that writes none of its own tokens gets its `spare` best ones. This is
        the sparse form of PromptReps (arXiv 2404.18424, §3), made free of a constant in the logits.
        """

        def top(z_BC: Floats, owned: Sequence[Ints]) -> tuple[Ints, Floats]:
            weights = above_mean(z_BC)
            for row, classes in zip(weights, owned, strict=True):
                inside = np.zeros(len(row), bool)
                inside[classes] = True
                if not (row[inside] > 0).any():
                    inside[best(row[None], spare)[0]] = True
                row[~inside] = 0.0
            return self._kept(weights, k)

        sets = self.vocabulary.classes(token_ids)
        blocks = self._blocks(x_BD)
        places = iter(range(0, len(x_BD), self._room))
        return _joined((top(z, sets[at : at + len(z)]) for at, z in zip(places, blocks, strict=True)), len(self.vocabulary.names))

    def strongest(self, states: Iterable[Floats], k: int) -> Impacts:
        """Returns the k best tokens of each text's states (T, D): a token weighs what its best state gives it.

        The document form of LightRetriever (arXiv 2505.12260, §3), log(1 + max(z, 0)) pooled by maximum over positions,
        with each state's mean logit (over the ids of all words) taken off first.
        """

        def pooled(states_TD: Floats) -> tuple[Ints, Floats]:
            above_V = np.full(len(self._reader[1]), -np.inf, np.float32)
            for start in range(0, len(states_TD), self._room):
                z_TV = self._of_ids(states_TD[start : start + self._room])
                z_TV -= z_TV.mean(axis=1, keepdims=True)
                np.maximum(above_V, z_TV.max(axis=0), out=above_V)
            return self._kept(np.log1p(np.maximum(self._of_classes(above_V[None]), 0.0)), k)

        return _joined(map(pooled, states), len(self.vocabulary.names))

    @property
    def _room(self) -> int:
        return max(1, ROOM // len(self.vocabulary.names))

    def _of_ids(self, x_BD: Floats) -> Floats:
        """The logits of all ids that are words, sorted by class."""
        rows, ids, _ = self._reader
        if np.ndim(x_BD) != 2 or x_BD.shape[1] != self._unembed_VD.shape[1]:
            raise RarityError(
                f"embeddings to read here are (B, {self._unembed_VD.shape[1]}) arrays, these have shape {np.shape(x_BD)}"
            )
        if not np.isfinite(x_BD).all():
            raise RarityError("an embedding that is not finite has no tokens; encode it again")
        x_BK = x_BD if self._filter is None else self._filter(x_BD)
        z_BV: Floats = np.asarray(x_BK, np.float32) @ rows.T
        if self._bias_V is not None:
            z_BV += self._bias_V[ids]
        return z_BV

    def _of_classes(self, z_BV: Floats) -> Floats:
        starts = self._reader[2]
        return z_BV if len(starts) == z_BV.shape[1] else np.maximum.reduceat(z_BV, starts, axis=1)

    def _blocks(self, x_BD: Floats) -> Iterator[Floats]:
        for start in range(0, len(x_BD), self._room):
            yield self.logits(x_BD[start : start + self._room])

    def _top(self, z_BC: Floats, k: int) -> tuple[Ints, Floats]:
        ids = best(z_BC, k + 1 if k > 0 else k)
        z = np.take_along_axis(z_BC, ids, 1)
        weights = self._weigh(z_BC, z[:, :k], z[:, k:] if z.shape[1] > k else z[:, -1:])
        return ids[:, :k], self._scaled(weights if self._signed else np.maximum(weights, 0.0))

    def _kept(self, weights_BC: Floats, k: int) -> tuple[Ints, Floats]:
        ids = best(weights_BC, k)
        return ids, self._scaled(np.take_along_axis(weights_BC, ids, 1))

    def _scaled(self, weights_BK: Floats) -> Floats:
        norms = np.linalg.norm(weights_BK, axis=1, keepdims=True) if self._unit else np.ones((1, 1), np.float32)
        return np.asarray(weights_BK / np.where(norms > 0, norms, 1.0), np.float32)


def best(z_BC: Floats, k: int) -> Ints:
    """Returns the places of each row's k largest values, largest first, of equal ones the earlier."""
    if k < 1:
        raise RarityError(f"{k} tokens of a text cannot be kept; at least one")
    if k >= z_BC.shape[1]:
        return np.argsort(-z_BC, axis=1, kind="stable")
    ids = np.argpartition(z_BC, -k, axis=1)[:, -k:]
    last = np.take_along_axis(z_BC, ids, 1).min(axis=1, keepdims=True)
    for row in np.flatnonzero((z_BC >= last).sum(axis=1) > k):  # a partition takes any of those that equal the last
        above = np.flatnonzero(z_BC[row] > last[row])
        ids[row] = np.concatenate([above, np.flatnonzero(z_BC[row] == last[row])[: k - len(above)]])
    order = np.lexsort((ids, -np.take_along_axis(z_BC, ids, 1)), axis=1)
    return np.asarray(np.take_along_axis(ids, order, 1), np.int64)


def _joined(parts: Iterable[tuple[Ints, Floats]], size: int) -> Impacts:
    """One batch of impacts; what weighs nothing is left out."""
    ids, values, counts = [], [], []
    for ids_BK, values_BK in parts:
        kept = values_BK != 0
        ids.append(ids_BK[kept])
        values.append(values_BK[kept])
        counts.append(kept.sum(axis=1))
    indptr = np.concatenate([[0], np.cumsum(np.concatenate(counts))]) if counts else np.zeros(1)
    return Impacts(
        indptr.astype(np.int64),
        np.concatenate(ids) if ids else np.empty(0, np.int64),
        np.concatenate(values) if values else np.empty(0, np.float32),
        size,
    )
