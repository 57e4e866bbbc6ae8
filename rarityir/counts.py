"""How often each token occurs: counted in any texts, or in running English that the package brings.

The packaged table counts words and punctuation marks with the space before them, not tokens, so that it serves any
tokenizer: each piece is tokenised as it stands in running text. This module owns `tokenizers`.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rarityir import checkpoints, parsing
from rarityir.types import Ints, RarityError

ENGLISH = Path(__file__).parent / "demo" / "english.tsv.gz"
SMOOTHING = 0.5  # added to every count, so that an unseen token has a logarithm


@dataclass(frozen=True, eq=False)
class TokenCounts:
    """Occurrences of each of V token ids in some texts, and the source that says which."""

    counts: Ints = field(repr=False)
    source: str

    @classmethod
    def of(cls, token_ids: Iterable[Sequence[int]], vocabulary: int, source: str) -> TokenCounts:
        """Counts texts given as token ids, one after another, against a vocabulary of V ids; ids beyond it are left out."""
        counts = np.zeros(vocabulary, np.int64)
        for text in token_ids:
            ids = np.asarray(text, np.int64)
            np.add.at(counts, ids[ids < vocabulary], 1)
        return cls(counts, source)

    @classmethod
    def english(cls, model: str, vocabulary: int) -> TokenCounts:
        """Returns the packaged counts of running English in a model's own tokens, over V ids."""
        tokenizer = tokenizer_of(model)
        counts = np.zeros(vocabulary, np.int64)
        with gzip.open(ENGLISH, "rt", encoding="utf-8") as lines:
            rows = [line.rstrip("\n").split("\t", 1) for line in lines]
        pieces = [json.loads(piece) for _, piece in rows]
        # A piece is read behind a letter or, if it begins with one, a line break: not at the start of a text, where tokenizers
        # add a space, nor behind a mark, which those of Llama 3 and Qwen take into the word.
        carriers = ["\n" if piece[0].isalnum() else "a" for piece in pieces]
        with readable(model):
            found = tokenizer.encode_batch([c + p for c, p in zip(carriers, pieces)], add_special_tokens=False)
        for (count, _), encoding in zip(rows, found, strict=True):
            ids = [i for i, (_, stop) in zip(encoding.ids, encoding.offsets) if stop > 1]
            np.add.at(counts, [i for i in ids if i < vocabulary], int(count))
        return cls(counts, "english")

    @property
    def total(self) -> int:
        """The number of tokens counted."""
        return int(self.counts.sum())

    @cached_property
    def digest(self) -> str:
        """The SHA-256 over the counts' bytes."""
        return hashlib.sha256(self.counts.astype("<i8").tobytes()).hexdigest()

    def log_probability(self) -> NDArray[np.float64]:
        """Returns log p̂ (V,), each count raised by one half: (c + ½) / (T + ½V)."""
        smoothed = self.counts + SMOOTHING
        return np.asarray(np.log(smoothed) - np.log(smoothed.sum()))

    def profile(self, used_V: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Returns log p̂ (V,) less its mean over the used ids, 0 for the others: free of any constant."""
        log_p = self.log_probability()
        return np.where(used_V, log_p - log_p[used_V].mean(), 0.0)

    def save(self, path: str | Path) -> Path:
        """Writes the counts and their source as one safetensors file."""
        path = Path(path)
        source = np.frombuffer(self.source.encode(), np.uint8)
        checkpoints.write_tensors(path, {"counts": self.counts, "source": source})
        return path

    @classmethod
    def load(cls, path: str | Path) -> TokenCounts:
        """Reads saved counts; a file that holds none is a `RarityError`."""
        try:
            found = checkpoints.read_tensors(Path(path))
            parsing.need(parsing.finite(found["counts"], None, kind="i"), "counts that are no row of whole numbers")
            parsing.need((found["counts"] >= 0).all(), "counts below 0")
            return cls(found["counts"].astype(np.int64), found["source"].tobytes().decode())
        except parsing.BROKEN as error:
            raise RarityError(f"{path} holds no token counts ({error}); write them with rarityir filter count") from None


def tokenizer_of(model: str) -> Any:
    """Returns the `tokenizers` tokenizer of a short name, hub id or path, with no model loaded and nothing cut."""
    from tokenizers import Tokenizer

    path = checkpoints.look(checkpoints.located(model), "tokenizer.json")
    if path is None:
        raise RarityError(f"{model} has no tokenizer.json, so its tokens cannot be counted; give a table of counts")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises no other class
        raise RarityError(f"{path} is not a tokenizer ({error}); download the model again") from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Makes what `tokenizers` raises of a text that its vocabulary has no tokens for, or its rules break at, one line."""
    try:
        yield
    except Exception as error:
        if type(error) is not Exception:  # tokenizers raises no other class
            raise
        raise RarityError(f"the tokenizer of {name} cannot read a text ({error}); take the model's own tokenizer files") from None


def real_rows(model: str, vocabulary: int) -> NDArray[np.bool_]:
    """Returns which of an unembedding's V rows belong to real tokens: neither padding rows nor special tokens."""
    tokenizer = tokenizer_of(model)
    special = {i for i, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    real = np.zeros(vocabulary, bool)
    real[[i for i in tokenizer.get_vocab(with_added_tokens=True).values() if i < vocabulary and i not in special]] = True
    return real
