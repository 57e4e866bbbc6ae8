"""A corpus of MS MARCO's shape: 8,841,823 passages drawn from the words of its real dev topics, one planted for each topic.

No passage of MS MARCO is here. What is real: the number of passages, their mean length of 56 words (Thakur et al., BEIR,
arXiv 2104.08663, Table 1), the 6,980 dev topics as SPLADE-v3 and uniCOIL terms with whole weights (castorini/anserini-tools,
`topics/`). What is assumed: lengths spread as a gamma distribution of shape 6; words fall by Zipf's law (exponent 1) in the order
of how many topics hold them; a topic's passage holds 20 to 100 % of its terms among other words, so that it is not always found
first.

A passage is three things, all from the same words: a text; 64 impacts (its own words by frequency and rarity, the rest drawn as
expansions of low weight); and a unit vector of 64, its impacts' random projection. Every block is drawn anew from its number, so
nothing is held.
"""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numba
import numpy as np

from rarityir.types import Floats, Impacts, Ints

PASSAGES, BLOCK, KEEP, WIDTH = 8_841_823, 20_000, 64, 64
MEAN_WORDS, SHAPE, MOST_WORDS = 56, 6, 240
FILES = {kind: f"topics.msmarco-passage.dev-subset.{kind}.tsv.gz" for kind in ("splade-v3", "unicoil")}


@dataclass(frozen=True)
class Passages:
    """So many passages, and the topics whose term files are in a folder."""

    folder: Path
    count: int = PASSAGES

    @cached_property
    def terms(self) -> dict[str, dict[str, Counter[str]]]:
        """Each kind's query_id → term → whole weight; pieces of words and signs are left out, as no analyser keeps them."""
        return {kind: _topics(self.folder / name) for kind, name in FILES.items()}

    @cached_property
    def query_ids(self) -> list[str]:
        return list(self.terms["splade-v3"])

    @cached_property
    def words(self) -> list[str]:
        """The vocabulary, most frequent first."""
        held = Counter(word for kind in self.terms.values() for terms in kind.values() for word in terms)
        return [word for word, _ in sorted(held.items(), key=lambda pair: (-pair[1], pair[0]))]

    @cached_property
    def number(self) -> dict[str, int]:
        return {word: n for n, word in enumerate(self.words)}

    @cached_property
    def planted(self) -> Ints:
        """The row of each topic's relevant passage."""
        return np.sort(np.random.default_rng(3).choice(self.count, len(self.query_ids), replace=False))

    @property
    def qrels(self) -> dict[str, dict[str, int]]:
        return {query_id: {str(row): 1} for query_id, row in zip(self.query_ids, self.planted.tolist(), strict=True)}

    @property
    def queries(self) -> list[str]:
        """The topics' own words, as uniCOIL weighs them, each once: for BM25."""
        return [" ".join(self.terms["unicoil"].get(query_id, {})) for query_id in self.query_ids]

    @cached_property
    def weighted(self) -> Impacts:
        """The topics as SPLADE-v3's terms and weights."""
        rows = [
            sorted((self.number[word], weight) for word, weight in self.terms["splade-v3"][query_id].items())
            for query_id in self.query_ids
        ]
        indptr = np.cumsum([0, *map(len, rows)]).astype(np.int64)
        flat = [pair for row in rows for pair in row]
        tokens, weights = (np.array(column) for column in zip(*flat, strict=True))
        return Impacts(indptr, tokens.astype(np.int64), weights.astype(np.float32), len(self.words))

    @cached_property
    def _projection(self) -> Floats:
        return np.random.default_rng(4).standard_normal((len(self.words), WIDTH), dtype=np.float32)

    def vectors(self, impacts: Impacts) -> Floats:
        """Returns impacts' unit vectors (N, 64)."""
        import scipy.sparse as sp

        rows = sp.csr_matrix((impacts.values, impacts.token_ids, impacts.indptr), (len(impacts.indptr) - 1, impacts.vocabulary))
        x_NK = rows @ self._projection
        unit: Floats = x_NK / np.linalg.norm(x_NK, axis=1, keepdims=True)
        return unit.astype(np.float32)

    def blocks(self) -> Iterator[tuple[Any, Any]]:
        """Word numbers (flat) and each passage's end in them, block by block."""
        share = 1 / np.arange(1, len(self.words) + 1)
        cumulative = np.cumsum(share / share.sum())
        own = [sorted({self.number[w] for kind in self.terms.values() for w in kind.get(q, {})}) for q in self.query_ids]
        for start in range(0, self.count, BLOCK):
            rows = min(BLOCK, self.count - start)
            rng = np.random.default_rng([5, start])
            lengths = np.clip(np.rint(rng.gamma(SHAPE, MEAN_WORDS / SHAPE, rows)), 4, MOST_WORDS).astype(np.int64)
            ends = np.cumsum(lengths)
            tokens = np.minimum(np.searchsorted(cumulative, rng.random(int(ends[-1]))), len(self.words) - 1).astype(np.int32)
            for topic in range(*np.searchsorted(self.planted, [start, start + rows]).tolist()):
                row = int(self.planted[topic]) - start
                held = rng.permutation(own[topic])[: max(1, round(rng.uniform(0.2, 1) * len(own[topic])))][: lengths[row]]
                tokens[ends[row] - len(held) : ends[row]] = held
            yield tokens, ends

    def texts(self) -> Iterator[list[str]]:
        names = np.array(self.words, dtype=object)
        for tokens, ends in self.blocks():
            words = names[tokens].tolist()
            yield [" ".join(words[a:b]) for a, b in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True)]

    def impacts(self) -> Iterator[Impacts]:
        rarity = np.log(2 + np.arange(len(self.words)))
        for number, (tokens, ends) in enumerate(self.blocks()):
            ids, values = _strongest(tokens, ends, rarity, KEEP, number)
            indptr = np.arange(0, KEEP * len(ends) + 1, KEEP)
            yield Impacts(indptr, ids, values, len(self.words))


def _topics(path: Path) -> dict[str, Counter[str]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        lines = [line.rstrip("\n").split("\t") for line in file]
    return {query_id: Counter(w for w in terms.split() if w.isascii() and w.isalnum()) for query_id, terms in lines}


@numba.njit(cache=True)
def _strongest(tokens: Any, ends: Any, rarity: Any, keep: int, seed: int) -> Any:
    """Each passage's `keep` impacts, tokens rising: its words by log frequency and rarity, then drawn ones of low weight."""
    np.random.seed(seed)  # noqa: NPY002 — numba's own generator
    vocabulary = len(rarity)
    ids, values = np.empty(keep * len(ends), np.int64), np.empty(keep * len(ends), np.float32)
    held = np.zeros(vocabulary, np.int32)
    start = 0
    for row in range(len(ends)):
        part = tokens[start : ends[row]]
        start = ends[row]
        for token in part:
            held[token] += 1
        own = np.unique(part)
        weights = np.empty(len(own), np.float64)
        for i, token in enumerate(own):
            weights[i] = min(255.0, 12 * (1 + np.log(held[token])) * rarity[token])
        if len(own) > keep:
            chosen = np.sort(np.argsort(-weights)[:keep])
            own, weights = own[chosen], weights[chosen]
        found = np.empty(keep, np.int64)
        given = np.empty(keep, np.float64)
        found[: len(own)], given[: len(own)] = own, weights
        count = len(own)
        while count < keep:
            token = np.random.randint(vocabulary)  # noqa: NPY002
            if held[token] == 0:
                held[token] = 1
                found[count], given[count] = token, 1 + np.random.randint(30)  # noqa: NPY002
                count += 1
        order = np.argsort(found)
        for i in range(keep):
            ids[row * keep + i] = found[order[i]]
            values[row * keep + i] = max(1.0, np.rint(given[order[i]]))
        for token in part:
            held[token] = 0
        for token in found:
            held[token] = 0
    return ids, values
