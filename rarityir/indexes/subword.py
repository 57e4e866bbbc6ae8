"""`bm25-idf`: BM25 over the encoder's own tokens, exact in float64, whose IDF comes from wherever it is told.

What is stored, how often each token occurs in each document, depends on no IDF, k1 or b, so all systems share it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rarityir import parsing
from rarityir.indexes import arrays
from rarityir.indexes.packing import BLOCK, LARGEST, Codes, named
from rarityir.indexes.topk import pad, topk
from rarityir.machine import cores
from rarityir.settings import IdfSettings
from rarityir.types import BadInput, Hits, Impacts, Ints, Json, RarityError, Takes

Doubles = NDArray[np.float64]
Terms = tuple[Ints, Doubles, Doubles]  # tokens, how often each is asked for, and what it weighs
Found = list[tuple[Any, Any]]
_AT_ONCE = 64  # queries that search a block one after another
_WORTH = 1 << 23  # documents times query tokens for which a thread is started


class SubwordIndex:
    """BM25 in Lucene's form: Σ weight · tf / (tf + k1 (1 − b + b · length / mean length)), weight = qtf · idf.

    Texts are `Impacts` whose values are how often a token occurs. Opened, it weighs tokens by its own document
    frequencies, which is ordinary BM25; `weighed` gives the same index with another IDF.
    """

    takes: Takes = "tokens"

    def __init__(self, found: dict[str, Any], lengths: Any, excess: Any, settings: IdfSettings) -> None:
        self._arrays, self.lengths, self._excess, self.settings = found, lengths, excess, settings
        self._idf: Doubles | None = None

    @classmethod
    def key(cls, arg: str) -> str:
        """Returns `bm25-idf`: what is stored depends on no argument."""
        cls.arguments(arg)
        return "bm25-idf"

    @classmethod
    def version(cls) -> str:
        """Returns what else the stored form depends on."""
        return "token frequencies, form 1"

    @staticmethod
    def arguments(arg: str) -> IdfSettings:
        """Returns where the IDF comes from, and how a document is scored."""
        return IdfSettings.parse(arg)

    @classmethod
    def build(cls, arg: str, blocks: Iterable[Impacts], folder: Path) -> dict[str, Json]:
        """Writes documents' token frequencies, which come in row order, a block held at a time; returns their facts."""
        folder.mkdir(parents=True, exist_ok=True)
        files = [arrays.Growing(folder / f"{name}.npy") for name in ("lengths", "excess")]
        try:
            arrays.write(_codes(blocks, *files), folder)
            for file in files:
                file.close()
        finally:
            for file in files:
                file.discard()
        found = cls.open(arg, folder)
        size = sum(path.stat().st_size for path in folder.glob("*.npy"))
        return {
            "dim": None,
            "bytes_per_doc": round(size / found.documents, 1),
            "tokens": found.tokens,
            "postings": int(found.document_frequencies.sum()),
            "vocabulary": len(found.document_frequencies),
        }

    @classmethod
    def open(cls, arg: str, folder: Path) -> SubwordIndex:
        """Opens a built index, memory-mapped; raises `RarityError` where a file is missing or damaged."""
        found = arrays.load(folder)
        try:
            lengths, excess = (parsing.array(folder / f"{name}.npy", mapped=True) for name in ("lengths", "excess"))
        except parsing.BROKEN as error:
            raise RarityError(f"{folder} holds no whole index of token frequencies ({error}); build it again") from None
        rows, documents = np.asarray(excess).reshape(-1, 3)[:, 0], len(found["scales"])
        if len(lengths) != documents or (np.diff(rows) < 0).any() or (rows < 0).any() or (rows >= documents).any():
            raise RarityError(f"{folder} holds a damaged index of token frequencies; build it again")
        return cls(found, lengths, excess, cls.arguments(arg))

    def weighed(self, idf_V: Doubles) -> SubwordIndex:
        """Returns the index with another IDF for each token: (V,), finite and not negative."""
        idf_V = np.asarray(idf_V, np.float64)
        if idf_V.shape != (len(self.document_frequencies),):
            raise RarityError(f"an IDF of {idf_V.shape} is not one for each of the {len(self.document_frequencies)} tokens")
        if not np.isfinite(idf_V).all() or (idf_V < 0).any():
            raise RarityError("an IDF must be finite and must not be negative")
        found = SubwordIndex(self._arrays, self.lengths, self._excess, self.settings)
        found._idf = idf_V
        return found

    @property
    def documents(self) -> int:
        """The number of documents N."""
        return len(self.lengths)

    @cached_property
    def tokens(self) -> int:
        """The tokens of all documents."""
        return int(np.asarray(self.lengths).sum(dtype=np.int64))

    @cached_property
    def document_frequencies(self) -> Ints:
        """In how many documents each token is (V,)."""
        return arrays.document_frequencies(self._arrays)

    def first_frequencies(self, count: int) -> Ints:
        """Returns in how many of the first `count` documents each token is (V,)."""
        whole = count >= self.documents
        return self.document_frequencies if whole else arrays.first_frequencies(self._arrays, count)

    @property
    def mean_length(self) -> float:
        """The length that documents are measured by: their mean, or at level L0 the one that is taken for granted."""
        return self.settings.length if self.settings.level == "L0" else max(self.tokens / self.documents, 1e-9)

    @cached_property
    def idf(self) -> Doubles:
        """The weight of each token (V,): the one given, or that of the index's own document frequencies."""
        if self._idf is not None:
            return self._idf
        df_V = self.document_frequencies
        return np.asarray(np.log1p((self.documents - df_V + 0.5) / (df_V + 0.5)))

    @cached_property
    def _compiled(self) -> Any:
        return arrays.compiled(self._arrays)

    def search(self, queries: Impacts, cutoff: int, threads: int | None = None) -> Hits:
        """Returns the best `cutoff` rows of each query by their scores in float64, the earlier row first where two are equal.

        A document that has none of a query's tokens is no hit. Uses all cores, or as many threads as told.
        """
        terms = self._terms(queries)
        worth = 1 + self.documents * sum(len(tokens) for tokens, *_ in terms) // _WORTH
        workers = max(1, min(threads or cores(), len(terms), worth))
        step = max(1, min(_AT_ONCE, -(-len(terms) // workers)))
        parts = [terms[start : start + step] for start in range(0, len(terms), step)]
        with ThreadPoolExecutor(workers) as pool:
            found = [one for some in pool.map(lambda part: self._search(part, cutoff), parts) for one in some]
        return pad([(rows, scores.astype(np.float32)) for rows, scores in found], max(0, min(cutoff, self.documents)))

    def scores(self, queries: Impacts) -> Doubles:
        """Returns every document's score for each query: (Q, N), in float64."""
        scores_QN = np.zeros((len(queries.indptr) - 1, self.documents))
        for first, part in self._blocks(self._terms(queries)):
            for q, scores in part:
                scores_QN[q, first : first + len(scores)] = scores
        return scores_QN

    def _search(self, terms: Sequence[Terms], cutoff: int) -> Found:
        best: Found = [(np.empty(0, np.int64), np.empty(0))] * len(terms)
        for first, part in self._blocks(terms):
            for q, scores in part:
                rows, held = best[q]
                # A row of this block comes after those that score as much as the last place: it has to score more.
                more, theirs = topk(scores, cutoff, float(held[-1]) if len(held) == cutoff and cutoff else 0.0)
                order = np.argsort(-np.concatenate([held, theirs]), kind="stable")[:cutoff]
                best[q] = np.concatenate([rows, more + first])[order], np.concatenate([held, theirs])[order]
        return best

    def _blocks(self, terms: Sequence[Terms]) -> Iterator[tuple[int, Iterator[tuple[int, Doubles]]]]:
        """Each block's first row, and the scores of those queries that any of its documents has a token of."""
        from rarityir.indexes import saturating

        k1, b, mean = self.settings.k1, self.settings.b, float(self.mean_length)
        excess = np.asarray(self._excess, np.int64).reshape(-1, 3)
        scratch, norms = np.zeros(min(self.documents, BLOCK)), np.empty(min(self.documents, BLOCK))
        for block, first in enumerate(range(0, self.documents, BLOCK)):
            lengths = np.asarray(self.lengths[first : first + BLOCK], np.float64)
            size = len(lengths)
            saturating.normalise(lengths, k1, b, mean, norms[:size])
            low, high = np.searchsorted(excess[:, 0], [first, first + size])

            def scored(block: int = block, size: int = size, more: Ints = excess[low:high]) -> Iterator[tuple[int, Doubles]]:
                for q, (tokens, times, weights) in enumerate(terms):
                    grid = math.ldexp(1.0, math.frexp(float(times @ weights))[1])
                    if saturating.add(self._compiled, more, block, tokens, times, weights, grid, norms[:size], scratch[:size]):
                        yield q, scratch[:size]
                        scratch[:size] = 0.0

            yield first, scored()

    def _terms(self, queries: Impacts) -> list[Terms]:
        """Each query's tokens and their weights; a token that weighs nothing is none."""
        if queries.vocabulary > len(self.document_frequencies):
            raise RarityError(f"the queries have {queries.vocabulary} tokens, the index {len(self.document_frequencies)}")
        named(queries)
        if not np.isfinite(queries.values).all() or (queries.values < 0).any():
            raise RarityError("query weights must be finite and must not be negative")
        ids, times = queries.token_ids.astype(np.int64), queries.values.astype(np.float64)
        weights, found = self.idf[ids], []
        for start, stop in zip(queries.indptr[:-1], queries.indptr[1:]):
            kept = start + np.flatnonzero(times[start:stop] * weights[start:stop])
            found.append((ids[kept], times[kept], weights[kept]))
        return found


def counted(texts: Sequence[Sequence[int]], vocabulary: int) -> Impacts:
    """Returns how often each text has each of its tokens, tokens rising; ids beyond the vocabulary are left out."""
    pairs = [np.unique(np.asarray(ids, np.int64), return_counts=True) for ids in texts]
    pairs = [(ids[ids < vocabulary], counts[ids < vocabulary]) for ids, counts in pairs]
    indptr = np.cumsum([0, *(len(ids) for ids, _ in pairs)]).astype(np.int64)
    none = np.empty(0, np.int64)
    ids, counts = (np.concatenate([none, *(pair[i] for pair in pairs)]) for i in range(2))
    return Impacts(indptr, ids.astype(np.int64), counts.astype(np.float32), vocabulary)


def _codes(blocks: Iterable[Impacts], lengths: arrays.Growing, excess: arrays.Growing) -> Iterator[Codes]:
    """Frequencies as bytes; on the way documents' lengths are written, and what no byte holds: row, token, frequency."""
    first = 0
    for block in blocks:
        named(block)
        counts = block.values.astype(np.int64)
        if (counts != block.values).any() or (counts < 1).any():
            raise BadInput("a token occurs a whole number of times, at least once")
        ends, rows = np.concatenate([[0], np.cumsum(counts)]), np.repeat(np.arange(len(block.indptr) - 1), np.diff(block.indptr))
        lengths.append(np.diff(ends[block.indptr]).astype(np.uint32))
        many = counts > LARGEST
        excess.append(np.stack([rows[many] + first, block.token_ids[many], counts[many]], axis=1).astype(np.int64))
        codes = np.minimum(counts, LARGEST).astype(np.uint8)
        documents = len(block.indptr) - 1
        yield Codes(block.indptr, block.token_ids, codes, np.ones(documents, np.float32), block.vocabulary)
        first += documents
