"""Builds the demo model's tokenizer and its training sequences from a corpus of texts (`.jsonl.gz`: source, text)."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

CONTEXT = 512
VOCABULARY = 8192
EOS, PAD = "<|endoftext|>", "<|pad|>"
# Sources whose language is that of the collections the demo is shown on; they are seen twice as often, and the
# vocabulary is learned from them threefold, so that "hypersonic" and "apoptosis" are few tokens.
SCIENCE = ("scifact", "nfcorpus", "cranfield", "lisa", "abc")
ECHO = ("Rewrite the following paragraph:", ". The rewritten paragraph:")
ONE_WORD = 'Summarize the sentence: "{text}" in one word:" {word}'


def read_corpus(path: Path) -> list[tuple[str, str]]:
    """Returns (source, text) pairs in file order."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [(record["source"], record["text"]) for record in map(json.loads, lines)]


def train_tokenizer(corpus: list[tuple[str, str]]) -> Tokenizer:
    """Returns an uncased byte-level BPE of 8,192 tokens whose words all begin with a space."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[EOS, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = (text for source, text in corpus for _ in range(3 if source in SCIENCE else 1))
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


class Sequences:
    """An endless, seeded stream of training sequences of CONTEXT + 1 token ids.

    Every sequence is plain text for next-token prediction. A share of them is written so that a text follows itself
    (the echo layout) or a word of a text follows the text (the one-word layout): predicting them teaches the states
    to carry the content of what came before, which is what a pooled state is asked for.
    """

    def __init__(self, corpus: list[tuple[str, str]], tokenizer: Tokenizer, seed: int) -> None:
        self.tokenizer = tokenizer
        self.eos = tokenizer.token_to_id(EOS)
        self.rng = np.random.default_rng(seed)
        self.sources = [source for source, _ in corpus]
        self.texts = [text for _, text in corpus]
        self.ids = [np.array(e.ids, dtype=np.int32) for e in tokenizer.encode_batch(self.texts)]
        self.echo = [self._encode(part) for part in ECHO]
        length = np.array([len(ids) for ids in self.ids], dtype=np.float64)
        boost = np.array([2.0 if source in SCIENCE else 1.0 for source in self.sources])
        self.weight = length * boost / (length * boost).sum()
        self.science = np.flatnonzero(boost > 1)
        science = self.weight[self.science]
        self.science_weight = science / science.sum()

    def _encode(self, text: str) -> np.ndarray:
        return np.array(self.tokenizer.encode(text).ids, dtype=np.int32)

    def _piece(self, longest: int, shortest: int = 8) -> np.ndarray:
        """A random stretch of a random text; science texts half the time."""
        if self.rng.random() < 0.5:
            text = self.rng.choice(self.science, p=self.science_weight)
        else:
            text = self.rng.choice(len(self.ids), p=self.weight)
        ids = self.ids[text]
        size = int(self.rng.integers(shortest, longest + 1))
        start = int(self.rng.integers(0, max(1, len(ids) - size + 1)))
        return ids[0 if self.rng.random() < 0.3 else start :][:size]

    def _echo(self) -> list[np.ndarray]:
        longest = 40 if self.rng.random() < 0.25 else (CONTEXT - 24) // 2
        piece = self._piece(longest)
        return [self.echo[0], piece, self.echo[1], piece, np.array([self.eos], dtype=np.int32)]

    def _one_word(self) -> list[np.ndarray]:
        text = self.tokenizer.decode(self._piece(64).tolist()).strip()
        words = re.findall(r"[^\W\d_]{4,}", text)
        if not words:
            return []
        line = ONE_WORD.format(text=text, word=self.rng.choice(words))
        return [self._encode(line), np.array([self.eos], dtype=np.int32)]

    def _plain(self) -> list[np.ndarray]:
        return [self._piece(CONTEXT, CONTEXT // 2), np.array([self.eos], dtype=np.int32)]

    def __iter__(self) -> Iterator[np.ndarray]:
        while True:
            draw = self.rng.random()
            layout = self._plain if draw < 0.30 else self._echo if draw < 0.85 else self._one_word
            parts: list[np.ndarray] = [np.array([self.eos], dtype=np.int32)]
            while sum(map(len, parts)) <= CONTEXT:
                parts.extend(layout())
            yield np.concatenate(parts)[: CONTEXT + 1]
