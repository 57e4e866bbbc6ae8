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
ONE_WORD = 'Summarize the sentence: "{text}" in one word:" {words}'
WORDS = 24  # at most, after one text


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
    """An endless, seeded stream of training sequences of `context` + 1 token ids.

    Every sequence is text for plain next-token prediction. A share of them is written so that a text follows itself
    (the echo layout) or words of a text follow the text (the one-word layout): predicting them teaches the states to
    carry the content of what came before, which is what a pooled state is asked for.
    """

    def __init__(self, corpus: list[tuple[str, str]], tokenizer: Tokenizer, seed: int) -> None:
        self.context = CONTEXT  # may be changed at any time
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

    def _draw(self) -> np.ndarray:
        """A random text's tokens; science texts half the time."""
        if self.rng.random() < 0.5:
            return self.ids[self.rng.choice(self.science, p=self.science_weight)]
        return self.ids[self.rng.choice(len(self.ids), p=self.weight)]

    def _stretch(self, ids: np.ndarray, longest: int, shortest: int = 8) -> tuple[int, int]:
        """A random stretch of a text; its beginning three times in ten."""
        size = int(self.rng.integers(shortest, longest + 1))
        start = 0 if self.rng.random() < 0.3 else int(self.rng.integers(0, max(1, len(ids) - size + 1)))
        return start, min(len(ids), start + size)

    def _piece(self, longest: int, shortest: int = 8) -> np.ndarray:
        ids = self._draw()
        start, stop = self._stretch(ids, longest, shortest)
        return ids[start:stop]

    def _echo(self) -> list[np.ndarray]:
        longest = 40 if self.rng.random() < 0.25 else (self.context - 24) // 2
        piece = self._piece(longest)
        return [self.echo[0], piece, self.echo[1], piece, np.array([self.eos], dtype=np.int32)]

    def _in_one_word(self) -> list[np.ndarray]:
        """A stretch of a text, the one-word prompt, and words of the stretch or of its surroundings in random order.

        In an order that is random, every state after the prompt can do no better than to say which words the text
        holds: that is what the prompt's last state is then pooled for.
        """
        ids = self._draw()
        start, stop = self._stretch(ids, 32 if self.rng.random() < 0.4 else self.context // 2)
        around = 0 if self.rng.random() < 0.5 else 120
        text = self.tokenizer.decode(ids[start:stop].tolist()).strip()
        source = self.tokenizer.decode(ids[max(0, start - around) : stop + around].tolist())
        words = sorted(set(re.findall(r"[^\W\d_]{4,}", source)))
        if not words:
            return []
        order = self.rng.permutation(len(words))[:WORDS]
        line = ONE_WORD.format(text=text, words=" ".join(words[i] for i in order))
        return [self._encode(line), np.array([self.eos], dtype=np.int32)]

    def _plain(self) -> list[np.ndarray]:
        return [self._piece(self.context, self.context // 2), np.array([self.eos], dtype=np.int32)]

    def __iter__(self) -> Iterator[np.ndarray]:
        while True:
            draw = self.rng.random()
            layout = self._plain if draw < 0.30 else self._echo if draw < 0.65 else self._in_one_word
            parts: list[np.ndarray] = [np.array([self.eos], dtype=np.int32)]
            while sum(map(len, parts)) <= self.context:
                parts.extend(layout())
            yield np.concatenate(parts)[: self.context + 1]
