"""Reads embeddings as token impacts through the unembedding ("A Text is Worth Several Tokens", arXiv 2406.17378).

An embedding's logits z = W Φ x say which tokens it writes; the best K of them are a sparse vector. Logits carry a
constant that no softmax sees, so by default the (K+1)-th logit is taken off all: the weights are then free of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from rarityir import registry
from rarityir.types import Filter, Floats, Impacts, Ints, UnknownName

BLOCK = 256  # texts whose logits are held at a time


def _minus_next(z_BC: Floats, best_BK: Floats, next_B1: Floats) -> Floats:
    return best_BK - next_B1


def _minus_mean(z_BC: Floats, best_BK: Floats, next_B1: Floats) -> Floats:
    return np.asarray(best_BK - z_BC.mean(axis=1, keepdims=True), np.float32)


def _log1p(z_BC: Floats, best_BK: Floats, next_B1: Floats) -> Floats:
    return np.asarray(np.log1p(np.maximum(best_BK - z_BC.mean(axis=1, keepdims=True), 0.0)), np.float32)


def _softmax(z_BC: Floats, best_BK: Floats, next_B1: Floats) -> Floats:
    top = best_BK[:, :1]
    return np.asarray(np.exp(best_BK - top) / np.exp(z_BC - top).sum(axis=1, keepdims=True), np.float32)


# What the K best logits weigh, from all logits (B, C), the best (B, K) and the next one (B, 1). `raw` and `relu` change when a
# constant is added to all logits of a text, which no softmax sees; the others do not.
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


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Canonical tokens: ids that differ only by word-boundary mark or case are one class, named by its text.

    `class_of` (V,) gives each id's class, −1 for what is no word: special, byte and padded ids, and punctuation.
    """

    class_of: Ints
    names: tuple[str, ...] = field(repr=False)

    @classmethod
    def of(cls, tokens: Sequence[str | None]) -> Vocabulary:
        """Returns the classes of surface forms, numbered in order of first appearance."""
        classes: dict[str, int] = {}
        class_of = np.full(len(tokens), -1, np.int64)
        for token_id, form in enumerate(tokens):
            name = (form or "").strip().lower()
            if any(letter.isalnum() for letter in name):
                class_of[token_id] = classes.setdefault(name, len(classes))
        return cls(class_of, tuple(classes))


class TokenLens:
    """Turns embeddings into the impacts of their K best canonical tokens, all that says how given once.

    `weighting` is one of `WEIGHTINGS`; with `unit` each text's impacts have unit length, so that a text that was pooled over
    many states weighs no more than another.
    """

    def __init__(
        self,
        unembed_VD: Floats,
        vocabulary: Vocabulary,
        keep: int,
        filter: Filter | None = None,
        bias_V: Floats | None = None,
        *,
        weighting: str = "minus-next",
        unit: bool = True,
    ) -> None:
        check_weighting(weighting)
        self._weigh, self._unit, self._signed = WEIGHTINGS[weighting], unit, weighting == "raw"
        self._bias_V = bias_V
        self.keep = min(keep, len(vocabulary.names))
        self._vocabulary = vocabulary
        self._filter = filter
        self._unembed_VD = unembed_VD

    @cached_property
    def _reader(self) -> tuple[Floats, Ints, Ints]:
        """The kept rows of W (times Φ's basis), sorted by class, and where each class begins."""
        ids = np.flatnonzero(self._vocabulary.class_of >= 0)
        ids = ids[np.argsort(self._vocabulary.class_of[ids], kind="stable")]
        rows = self._unembed_VD[ids]
        if self._filter is not None:
            rows = rows @ self._filter.basis.T
        starts = np.searchsorted(self._vocabulary.class_of[ids], np.arange(len(self._vocabulary.names)))
        return np.ascontiguousarray(rows, dtype=np.float32), ids, starts

    def logits(self, x_BD: Floats) -> Floats:
        """Returns the (B, C) logits of canonical tokens: the largest over the ids of a class, the head's bias included."""
        rows, ids, starts = self._reader
        x_BK = x_BD if self._filter is None else self._filter(x_BD)
        z_BV = np.asarray(x_BK, np.float32) @ rows.T
        if self._bias_V is not None:
            z_BV += self._bias_V[ids]
        return np.maximum.reduceat(z_BV, starts, axis=1)

    def impacts(self, x_BD: Floats) -> Impacts:
        """Returns each embedding's K best tokens; one that weighs nothing is left out.

        Only `raw` keeps weights below zero; an index of impacts leaves them out.
        """
        parts = [self._top(self.logits(x_BD[start : start + BLOCK])) for start in range(0, len(x_BD), BLOCK)]
        size = len(self._vocabulary.names)
        ids = np.concatenate([part[0] for part in parts]) if parts else np.empty((0, self.keep), np.int64)
        values = np.concatenate([part[1] for part in parts]) if parts else np.empty((0, self.keep), np.float32)
        kept = values != 0
        indptr = np.concatenate([[0], np.cumsum(kept.sum(axis=1))]).astype(np.int64)
        return Impacts(indptr, ids[kept], values[kept], size)

    def _top(self, logits_BC: Floats) -> tuple[Ints, Floats]:
        count = min(self.keep + 1, logits_BC.shape[1])
        best = np.argpartition(logits_BC, -count, axis=1)[:, -count:]
        best = np.take_along_axis(best, np.lexsort((best, -np.take_along_axis(logits_BC, best, 1)), axis=1), 1)
        z = np.take_along_axis(logits_BC, best, 1)
        weights = self._weigh(logits_BC, z[:, : self.keep], z[:, self.keep :] if count > self.keep else z[:, -1:])
        if not self._signed:
            weights = np.maximum(weights, 0.0)
        norms = np.linalg.norm(weights, axis=1, keepdims=True) if self._unit else np.ones((1, 1), np.float32)
        return best[:, : self.keep], (weights / np.where(norms > 0, norms, 1.0)).astype(np.float32)


def literal(token_ids: Sequence[Sequence[int]], vocabulary: Vocabulary) -> Impacts:
    """Returns queries as the set of their own canonical tokens, each of weight 1 (no model is asked)."""
    sets = [np.unique(vocabulary.class_of[np.asarray(ids, dtype=np.int64)]) for ids in token_ids]
    sets = [classes[classes >= 0] for classes in sets]
    indptr = np.concatenate([[0], np.cumsum([len(s) for s in sets])]).astype(np.int64)
    ids = np.concatenate(sets) if sets else np.empty(0, np.int64)
    return Impacts(indptr, ids, np.ones(len(ids), np.float32), len(vocabulary.names))
