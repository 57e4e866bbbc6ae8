"""Canonical tokens: what a tokenizer writes in several ways is one token."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from rarityir import registry
from rarityir.types import Ints, RarityError, UnknownName


@dataclass(frozen=True)
class Vocabulary:
    """Canonical tokens: ids that differ only by word-boundary mark or case are one class, named by its text.

    `class_of` (V,) gives each id's class, −1 for what is no word: special, byte and padded ids, and punctuation.
    """

    class_of: Ints
    names: tuple[str, ...] = field(repr=False)

    @classmethod
    def of(cls, tokens: Sequence[str | None], stem: str = "") -> Vocabulary:
        """Returns the classes of surface forms, numbered in order of first appearance.

        `stem` names a Snowball stemmer, such as `english`: then words of one stem are one class, named by the stem.
        """
        stemmed = _stemmer(stem) if stem else str
        classes: dict[str, int] = {}
        class_of = np.full(len(tokens), -1, np.int64)
        for token_id, form in enumerate(tokens):
            name = (form or "").strip().lower()
            if any(letter.isalnum() for letter in name):
                class_of[token_id] = classes.setdefault(stemmed(name), len(classes))
        return cls(class_of, tuple(classes))

    @classmethod
    def plain(cls, size: int) -> Vocabulary:
        """Returns the vocabulary in which every id is a class of its own, named by its number."""
        return cls(np.arange(size), tuple(map(str, range(size))))

    def classes(self, token_ids: Sequence[Sequence[int]]) -> list[Ints]:
        """Returns each text's canonical tokens, each once, in order; `RarityError` for an id that is none of the V."""
        largest = max((max(ids) for ids in token_ids if len(ids)), default=-1)
        if largest >= len(self.class_of):
            raise RarityError(
                f"a tokenizer gives a text the id {largest}, and its model has {len(self.class_of)} embeddings; "
                "take the model's own tokenizer files, or where tokens were added save the model with its embeddings resized"
            )
        found = [np.unique(self.class_of[np.asarray(ids, dtype=np.int64)]) for ids in token_ids]
        return [classes[classes >= 0] for classes in found]


def check_stem(name: str) -> None:
    """Raises `UnknownName` unless there is a stemmer of that name, or none is asked for."""
    if name:
        _stemmer(name)


def _stemmer(name: str) -> Callable[[str], str]:
    import Stemmer

    if name not in Stemmer.algorithms():
        raise UnknownName(registry.unknown("stemmer", name, Stemmer.algorithms()))
    found: Callable[[str], str] = Stemmer.Stemmer(name).stemWord
    return found
