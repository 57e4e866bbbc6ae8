"""What a plan needs to know of a machine, a collection and an encoder: each rate measured when it is first asked for."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from rarityir.planning import calibration
from rarityir.planning.calibration import Lengths, Rate, Sample, Tried
from rarityir.tokens import TokenLens, Vocabulary
from rarityir.types import Dataset, Encoder, Floats

# What is taken for granted where nothing is measured: bytes a second that are written, seconds of a word that Lucene indexes, of
# a query before any document, and of a hit that is written and measured.
WRITING, WORD, QUERY, HIT = 2e8, 2e-6, 2e-3, 4e-6
TOKENS, POSTED = 5e-7, 1e-10  # seconds in which a byte of text is cut in tokens, and a word of a document is met by a query
ENOUGH = 5.0  # seconds of encoding below which a brief plan asks no further


class Rates:
    """What a plan needs to know of a machine, a collection and an encoder, each measured when it is first asked for.

    In `brief` a few documents are read and encoding is watched for a second; what an index takes is assumed.
    """

    def __init__(self, dataset: Dataset, encoder: Encoder, *, brief: bool = False) -> None:
        self.dataset, self.encoder, self.brief = dataset, encoder, brief
        self._dense: dict[tuple[str, int], Tried] = {}
        self._lenses: dict[str, float] = {}
        self._answering: dict[tuple[str, ...], tuple[float, float]] = {}
        self._frequencies: Tried | None = None
        self._encoded: tuple[Rate, Floats] | None = None

    @cached_property
    def sample(self) -> Sample:
        """Some documents."""
        return calibration.sample(self.dataset, 0.1 if self.brief else 1.0)

    @cached_property
    def words(self) -> float:
        """The mean words of a document."""
        return sum(len(text.split()) for text in self.sample.texts) / max(1, len(self.sample.texts))

    @cached_property
    def text(self) -> float:
        """The mean bytes of a document's text."""
        return sum(len(text.encode()) for text in self.sample.texts) / max(1, len(self.sample.texts))

    @cached_property
    def lengths(self) -> Lengths:
        """The tokens of the sampled documents."""
        started = time.monotonic()
        self.encoder.tokenize(self.sample.texts[:1])  # the tokenizer is loaded, and what it needs
        self._started = time.monotonic() - started
        return calibration.lengths(self.encoder, self.sample.texts)

    def encoding(self, documents: int, budget: float | None = None) -> Rate:
        """Returns the rate of encoding so many documents; watched once."""
        mean = self.lengths  # which loads the tokenizer
        if self._encoded is None:
            budget, enough = (1.0, ENOUGH) if self.brief else (budget or calibration.BUDGET, 0.0)
            found, x_ND = calibration.encoding(self.encoder, self.sample.texts, mean.counts, documents, budget, enough)
            self._encoded = found._replace(before=found.before + self._started), x_ND
        return self._encoded[0]

    @cached_property
    def multiplying(self) -> float:
        """Multiply-adds a second."""
        return calibration.multiplying()

    @cached_property
    def writing(self) -> float:
        """Bytes a second."""
        return WRITING if self.brief else calibration.writing()

    @cached_property
    def lucene(self) -> Tried:
        """Lucene's index of these documents."""
        if self.brief:
            return Tried(2.0, WORD * self.words, 0.3 * self.text, QUERY, "assumed")
        topics = [text for text in self.dataset.topics.values() if text][:64]
        return calibration.lucene(self.sample.texts, topics or [" ".join(text.split()[:6]) for text in self.sample.texts[:64]])

    def tokens(self, kind: Any) -> Tried:
        """Returns an index of how often these documents have each of the encoder's tokens; built once."""
        if self._frequencies is None:
            if self.brief:
                each = TOKENS * self.text
                self._frequencies = Tried(0.0, each, 0.5 * self.text, 2 * POSTED * self.words, "assumed")
            else:
                topics = [text for text in self.dataset.topics.values() if text][:64]
                self._frequencies = calibration.frequencies(self.encoder, kind, self.sample.texts, topics)
        return self._frequencies

    def dense(self, kind: Any, arg: str, width: int) -> Tried:
        """Returns an index of vectors of a width."""
        key = (kind.key(arg), width)
        if key not in self._dense:
            each = 8 * width / self.multiplying + 4 * width / self.writing
            known = Tried(0.0, each, 4.0 * width, width / self.multiplying, "assumed", 1)
            self._dense[key] = known if self.brief or _elsewhere(kind) else calibration.flat(width, kind, arg)
        return self._dense[key]

    def lens(self, kind: Any, arg: str, documents: int) -> float:
        """Returns the seconds in which an embedding is read as its best tokens and those are indexed."""
        settings, key = kind.settings(arg), kind.key(arg)
        if self.brief or _elsewhere(kind):
            return 4 * len(self.encoder.tokens()) * self.encoder.dim / self.multiplying
        if key not in self._lenses:
            self.encoding(documents)
            assert self._encoded is not None  # the line above has seen to it
            vocabulary = Vocabulary.of(self.encoder.tokens(), settings.stem)
            lens = TokenLens(self.encoder.unembedding(), vocabulary=vocabulary, bias=self.encoder.unembedding_bias())
            self._lenses[key] = calibration.reading(self._encoded[1], lens, kind, arg)
        return self._lenses[key]

    def measured(self, kind: Any) -> str:
        """What says where the rates of an index come from."""
        return "assumed" if self.brief or _elsewhere(kind) else "measured"

    def answering(self, measures: Sequence[str]) -> tuple[float, float]:
        """Returns the seconds before runs are measured, and of a hit."""
        key = tuple(measures)
        if key not in self._answering:
            self._answering[key] = (0.0, HIT) if self.brief else calibration.answering(measures)
        return self._answering[key]


def _elsewhere(kind: Any) -> bool:
    """Whether an index is built on a server, where a plan tries nothing: what it tried would stay there."""
    return getattr(kind, "elsewhere", False) is True
