"""Which tokens an encoder's embeddings of texts write: raw, through a filter, with an instruction before them.

Source: "A Text is Worth Several Tokens" (arXiv 2406.17378): aligned tokens (§3), and its spectral analysis, by which a logit is
the sum of what the first component writes and what the rest of the embedding writes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from rarityir import impacts
from rarityir.filters.components import split
from rarityir.filters.source import Vectors
from rarityir.report.matching import Column, Reading, Word
from rarityir.settings import ImpactSettings
from rarityir.tokens import TokenLens, Vocabulary, ask
from rarityir.types import Encoder, Filter, Floats, Impacts, RarityError

RAW, INSTRUCTED = "raw", "instructed"


def read(
    texts: Sequence[str],
    encoder: Encoder,
    filter: Filter | None = None,
    *,
    k: int = 10,
    weighting: str = "minus-next",
    instruction: str = "",
    first_D: Vectors | None = None,
) -> tuple[Reading, ...]:
    """Returns the k best tokens of each text: raw, through the filter, and with an instruction, where there is one.

    Args:
        weighting: one of `tokens.WEIGHTINGS`; each text's weights have unit length.
        instruction: texts are then read as queries, without it and with it.
        first_D: the documents' first component u_1 (D,), by which logits are split.
    """
    reader = Reader(encoder, filter, ImpactSettings(weighting=weighting))
    x_BD = encoder.encode_query(texts) if instruction else encoder.encode_document(texts)
    ways = [(way, x_BD, label) for way, label in reader.ways]
    if instruction:
        way, label = reader.ways[-1]
        ways.append((way, encoder.encode_query(instructed(instruction, texts)), f"{label}, {INSTRUCTED}"))
    columns = [reader.columns(texts, x, way, label, k, first_D) for way, x, label in ways]
    return tuple(Reading(text, compared(row)) for text, *row in zip(texts, *columns, strict=True))


@dataclass(frozen=True)
class Reader:
    """An encoder with a filter, and how its embeddings become tokens."""

    encoder: Encoder
    filter: Filter | None
    settings: ImpactSettings

    @cached_property
    def _unembedding(self) -> Floats:
        return self.encoder.unembedding()

    @cached_property
    def _bias(self) -> Floats | None:
        return self.encoder.unembedding_bias()

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The canonical tokens."""
        return Vocabulary.of(self.encoder.tokens(), self.settings.stem)

    @cached_property
    def _lenses(self) -> dict[bool, TokenLens]:
        ways: dict[bool, Filter | None] = {False: None, True: self.filter}
        return {
            filtered: TokenLens(
                self._unembedding,
                way,
                vocabulary=self.vocabulary,
                bias=self._bias,
                weighting=self.settings.weighting,
                unit=self.settings.scale == "unit",
            )
            for filtered, way in ways.items()
        }

    @property
    def ways(self) -> list[tuple[Filter | None, str]]:
        """Without the filter and, where there is one, through it; each with its name."""
        return [(None, RAW), *([] if self.filter is None else [(self.filter, self.filter.name)])]

    def lens(self, filter: Filter | None) -> TokenLens:
        """Returns the lens through the filter, or the one without."""
        return self._lenses[filter is not None]

    def own(self, text: str) -> set[int]:
        """Returns the canonical tokens of a text itself."""
        (classes,) = self.vocabulary.classes(self.encoder.tokenize([text]))
        return set(classes.tolist())

    def columns(
        self, texts: Sequence[str], x_BD: Floats, filter: Filter | None, label: str, k: int, first_D: Vectors | None = None
    ) -> list[Column]:
        """Returns the k best tokens of each text's embedding."""
        found, names = self.lens(filter).align(x_BD, k), self.vocabulary.names
        columns = []
        for i, text in enumerate(texts):
            own, part = self.own(text), slice(found.indptr[i], found.indptr[i + 1])
            weighed = list(zip(found.token_ids[part].tolist(), found.values[part].tolist(), strict=True))
            words = [Word(names[c], weight, c in own) for c, weight in weighed]
            if first_D is not None:
                parts = [self._split(c, x_BD[i : i + 1], filter, first_D) for c, _ in weighed]
                words = [replace(word, logit=z, first=first) for word, (z, first) in zip(words, parts, strict=True)]
            columns.append(Column(label, tuple(words)))
        return columns

    def _split(self, token: int, x_1D: Floats, filter: Filter | None, first_D: Vectors) -> tuple[float, float]:
        """A token's logit, and u_1's part of it: of the id that writes the token best."""
        ids = np.flatnonzero(self.vocabulary.class_of == token)
        rows = self._unembedding[ids]
        logits = (x_1D @ rows.T if filter is None else filter(x_1D) @ (rows @ filter.basis.T).T)[0]
        if self._bias is not None:
            logits = logits + self._bias[ids]
        best = int(logits.argmax())
        row = rows[best : best + 1]
        seen = row if filter is None else np.asarray(row @ filter.basis.T @ filter.basis, np.float32)
        parts = split(seen, first_D, x_1D)
        return float(logits[best]), float(parts.first[0, 0])

    def impacts(self, text: str, x_1D: Floats) -> Impacts:
        """Returns a document's impacts in the settings' style, as an index is built from them."""
        lens = self.lens(self.filter)
        if self.settings.style == "lightretriever":
            return lens.strongest(impacts.states(self.encoder, [text]), self.settings.keep)
        if self.settings.style == "promptreps-control":
            raise RarityError("style=promptreps-control weighs by another document's embedding; explain style=promptreps instead")
        if self.settings.style == "promptreps":
            return next(impacts.own(lens, self.settings, self.encoder, [x_1D], iter([text])))
        return next(impacts.aligned(lens, self.settings, [x_1D]))

    def asked(self, query: str, x_1D: Floats, rarity: Callable[[], Floats]) -> Impacts:
        """Returns a query's tokens with their weights; `x_1D` may be of the query with an instruction."""
        asking = impacts.asking(self.settings)
        return ask(asking, self.lens(self.filter), self.encoder.tokenize([query]), x_1D, rarity)

    def cosine(self, one_1D: Floats, other_1D: Floats, filter: Filter | None) -> float:
        """Returns the cosine of two embeddings through a filter; 0 where one has no length."""
        one, other = (np.asarray((filter(x_1D) if filter else x_1D)[0], np.float64) for x_1D in (one_1D, other_1D))
        length = float(np.linalg.norm(one) * np.linalg.norm(other))
        return float(one @ other) / length if length else 0.0


def compared(columns: Sequence[Column]) -> tuple[Column, ...]:
    """Columns whose words say what is new since the one before, and what is gone in the next."""
    sets = [{word.token for word in column.words} for column in columns]
    found = []
    for i, column in enumerate(columns):
        before, after = sets[i - 1] if i else sets[i], sets[i + 1] if i + 1 < len(sets) else sets[i]
        words = (replace(word, new=word.token not in before, gone=word.token not in after) for word in column.words)
        found.append(Column(column.label, tuple(words)))
    return tuple(found)


def instructed(instruction: str, texts: Sequence[str]) -> list[str]:
    """Texts with an instruction before them, as an encoder that was given it writes them."""
    return [f"{instruction} {text}" for text in texts]
