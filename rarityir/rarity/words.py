"""Files of word counts as counts of tokens."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from rarityir.counts import readable
from rarityir.datasets import reading
from rarityir.rarity.tokenizing import Tokenizing
from rarityir.types import BadInput, Ints, RarityError

BATCH = 8192  # words tokenised at once
CARRIER = "a"  # what a word is read behind, so that it stands in running text; its own token is left out


def counted(path: Path, tokens: Tokenizing, vocabulary: int) -> Ints:
    """Returns how often each of V ids occurs in the words of a file, each behind a space; ids beyond V are left out."""
    if tokens.backend is None:
        raise RarityError(f"words are tokenised by a model's tokenizer, and {tokens.name} is a function; give a model's name")
    found = np.zeros(vocabulary, np.int64)
    given = read(path)
    while batch := list(itertools.islice(given, BATCH)):
        with readable(tokens.name):
            encodings = tokens.backend.encode_batch([f"{CARRIER} {word}" for word, _ in batch], add_special_tokens=False)
        for encoding, (_, count) in zip(encodings, batch, strict=True):
            ids = [i for i, (_, stop) in zip(encoding.ids, encoding.offsets) if stop > len(CARRIER) and i < vocabulary]
            np.add.at(found, ids, count)
    return found


def read(path: Path) -> Iterator[tuple[str, int]]:
    """Yields (word, count) of each line `word<tab or space>count`, plain or gzipped; `BadInput` for any other line."""
    some = False
    for number, line in reading.lines(path):
        word, _, count = line.replace("\t", " ").strip().rpartition(" ")
        if not word.strip() or not count.isdecimal():
            raise BadInput(f"{path}:{number}: a line is word, tab or space, count; this one is {line[:60]!r}")
        some = True
        yield word.strip(), int(count)
    if not some:
        raise BadInput(f"{path} holds no word counts; a line of it is word, tab or space, count")
