"""What a corpus says tokens tell: the divergence of the contexts that a token stands in from all contexts.

Over documents KL(w) = Σ_d p(d|w) ln(p(d|w) / p(d)) with p(d) = L_d / T. Where documents are equally long and have each of their
tokens once that is ln(N / df): an IDF that minds length and burstiness. Over windows it is the measure of arXiv 2212.09663.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rarityir import checkpoints, progress
from rarityir.datasets import load_dataset
from rarityir.informativeness.joint import Block, Divergence, Documents, Windows, check_room, most_frequent, quantised
from rarityir.informativeness.table import CORRECTIONS, TokenInformation
from rarityir.rarity.forms import Forms
from rarityir.rarity.tokenizing import Encode, Tokenizing
from rarityir.types import BadInput, Dataset, Ints, Json, RarityError

CONTEXTS = 1024  # tokens that windows are counted against; all others are one context together
RUNS = 10  # shuffles whose mean is taken off (arXiv 2212.09663)
_DOCUMENTS, _TOKENS = 1024, 1 << 20  # read and counted at a time


class Context(NamedTuple):
    """Documents (`half` 0), or windows of so many tokens on either side."""

    half: int

    @classmethod
    def parse(cls, text: str) -> Context:
        """Reads `document` or `window:10`."""
        name, _, half = text.partition(":")
        if text == "document":
            return cls(0)
        if name == "window" and half.isdecimal() and int(half) > 0:
            return cls(int(half))
        raise RarityError(f"context {text!r}: a context is document, or window:10 for 10 tokens on either side")


class _Reader(NamedTuple):
    """What turns texts into ids, the V ids there are (0: as many as are seen), what they write, what makes it this one."""

    encode: Encode
    vocabulary: int
    names: Callable[[int], tuple[str | None, ...]]
    name: str
    identity: dict[str, Json]

    @classmethod
    def of(cls, tokenizer: Any) -> _Reader:
        if hasattr(tokenizer, "tokenize") and hasattr(tokenizer, "tokens") and hasattr(tokenizer, "model"):  # an encoder
            forms = tuple(tokenizer.tokens())
            return cls(tokenizer.tokenize, len(forms), lambda _: forms, tokenizer.name, checkpoints.fingerprint(tokenizer.model))
        found = Tokenizing.of(tokenizer)
        if found.backend is None:
            return cls(found.encode, 0, lambda size: tuple(map(str, range(size))), found.name, dict(found.identity))
        return cls(found.encode, found.vocabulary, lambda size: Forms.of(tokenizer, size).texts, found.name, dict(found.identity))


@dataclass
class _Tokens:
    """A corpus's ids in a file, so that they are tokenised once and memory stays flat; and its documents' lengths."""

    ids: NDArray[np.int32]
    lengths: Ints
    counts: Ints
    digest: str = field(repr=False)

    def blocks(self, ids: NDArray[np.int32]) -> Iterator[Block]:
        """Yields whole documents, about `_TOKENS` at a time."""
        ends = np.cumsum(self.lengths)
        first = start = 0
        while first < len(self.lengths):
            last = max(first + 1, int(np.searchsorted(ends, start + _TOKENS, side="right")))
            yield np.asarray(ids[start : ends[last - 1]], np.int64), self.lengths[first:last]
            first, start = last, int(ends[last - 1])


def from_corpus(
    ds: Dataset | str,
    tokenizer: Any,
    context: str = "document",
    correct: str = "none",
    *,
    runs: int = RUNS,
    seed: int = 0,
    contexts: int = CONTEXTS,
    limit: int = 0,
    vocabulary: int = 0,
) -> TokenInformation:
    """Returns what tokens tell of their contexts, in nats.

    Args:
        ds: a dataset, or its name as `load_dataset` takes it.
        tokenizer: an encoder, a model's name or folder, a tokenizer object, or a function from texts to lists of ids.
        context: `document`, or `window:H`; windows do not reach into the next document.
        correct: `none`; `shuffle`: less the mean over `runs` permutations of the corpus's tokens, documents keeping their
            lengths; `round`: less what whole counts make of expected ones; others as `TokenInformation.correct` says.
        runs: permutations; each takes as long as the counting itself. One permutation is held in memory, 4 bytes a token.
        seed: of the permutations.
        contexts: of windows, how many of the most frequent tokens are contexts of their own; all others are one together, which
            can only lower a divergence (0: none are joined). The table has V times as many cells, of 4 bytes.
        limit: read that many documents only, the first ones; 0 for all.
        vocabulary: V; 0 for the tokenizer's own size. Ids beyond V are left out.

    Raises `RarityError` for what is no context, correction, dataset or tokenizer.
    """
    kind = Context.parse(context)
    if correct not in CORRECTIONS:
        raise RarityError(f"correction {correct!r}: one of {', '.join(CORRECTIONS)}")
    if min(runs, contexts, limit) < 0 or (correct == "shuffle" and not runs):
        raise RarityError("runs, contexts and limit are numbers of at least 0, and a shuffle needs a run")
    dataset = load_dataset(ds) if isinstance(ds, str) else ds
    reader = _Reader.of(tokenizer)
    with tempfile.TemporaryFile(prefix="rarityir-tokens-") as file:
        tokens = _read(dataset, reader, vocabulary or reader.vocabulary, limit, file)
        found, usual_C = _counted(tokens, tokens.ids, kind, contexts)
        raw = _table(found, tokens, dataset, reader, kind, {"limit": limit, "context": context, "contexts": contexts})
        if correct == "round":
            return replace(raw, values=raw.raw - quantised(raw.draws, usual_C), correction="round")
        if correct != "shuffle":
            return raw.correct(correct)
        usual = _shuffled(tokens, kind, contexts, runs, seed)
    identity = {**raw.identity, "correction.runs": runs, "correction.seed": seed}
    return replace(raw, values=raw.raw - usual, correction="shuffle", identity=identity)


def _table(
    found: Divergence, tokens: _Tokens, dataset: Dataset, reader: _Reader, kind: Context, asked: dict[str, Json]
) -> TokenInformation:
    identity: dict[str, Json] = {
        "corpus": dataset.corpus,
        "documents_sha256": tokens.digest,
        **{f"tokenizer.{key}": value for key, value in reader.identity.items()},
        **{key: value for key, value in asked.items() if key != "contexts" or kind.half},
    }
    method = f"KL over {_said(kind, found.support)} of {dataset.corpus} in tokens of {reader.name}, nats"
    names = reader.names(len(found.kl))
    raw = TokenInformation(
        found.kl, found.kl, tokens.counts, found.draws, found.entropy, found.support, names, method, identity=identity
    )
    return replace(raw, facts={"mutual_information": raw.mutual_information, "occurrences": int(tokens.counts.sum())})


def _said(kind: Context, support: int) -> str:
    return f"windows of {kind.half} tokens on either side, {support} contexts," if kind.half else f"{support} documents"


def _read(dataset: Dataset, reader: _Reader, size: int, limit: int, file: Any) -> _Tokens:
    """Tokenises all documents into a file of int32."""
    lengths: list[int] = []
    counts, digest = np.zeros(size, np.int64), hashlib.sha256()
    docs = iter(dataset.docs())
    total = min(limit, dataset.docs_count or limit) if limit else dataset.docs_count
    with progress.bar("reading tokens", total) as advance:
        while some := list(islice(docs, min(_DOCUMENTS, limit - len(lengths)) if limit else _DOCUMENTS)):
            for doc in some:
                digest.update(f"{doc.doc_id}\t{doc.text}\n".encode())
            for ids in _ids(reader.encode, [doc.text for doc in some], size):
                if len(ids) and ids.max() >= len(counts):
                    counts = np.pad(counts, (0, int(ids.max()) + 1 - len(counts)))
                np.add.at(counts, ids, 1)
                lengths.append(len(ids))
                file.write(ids.astype("<i4").tobytes())
            advance(len(some))
    if not sum(lengths):
        raise BadInput(f"{dataset.name}: the corpus has no tokens")
    file.flush()
    return _Tokens(np.memmap(file, np.dtype("<i4"), mode="r"), np.array(lengths, np.int64), counts, digest.hexdigest())


def _ids(encode: Encode, texts: Sequence[str], size: int) -> Iterator[Ints]:
    for text in encode(texts):
        ids = np.asarray(text, np.int64)
        yield ids[ids < size] if size else ids


def _counted(tokens: _Tokens, ids: NDArray[np.int32], kind: Context, contexts: int) -> tuple[Divergence, NDArray[np.float64]]:
    """The divergences, and p(c) of each context."""
    if not kind.half:
        table: Documents | Windows = Documents(len(tokens.counts))
    else:
        check_room(int(tokens.counts.max()), kind.half)
        table = Windows(*most_frequent(tokens.counts, contexts), kind.half)
    for block in tokens.blocks(ids):
        table.take(*block)
    usual_C = tokens.lengths / tokens.lengths.sum() if isinstance(table, Documents) else table.usual()
    return table.divergence(), usual_C


def _shuffled(tokens: _Tokens, kind: Context, contexts: int, runs: int, seed: int) -> NDArray[np.float64]:
    """The mean divergence (V,) of the same tokens in random order, in documents as long as they were."""
    rng, sums, times = np.random.default_rng(seed), np.zeros(len(tokens.counts)), np.zeros(len(tokens.counts))
    with progress.bar("shuffling the corpus", runs) as advance:
        for _ in range(runs):
            ids = np.array(tokens.ids)
            rng.shuffle(ids)
            kl = _counted(tokens, ids, kind, contexts)[0].kl
            sums += np.nan_to_num(kl)
            times += np.isfinite(kl)
            advance(1)
    with np.errstate(invalid="ignore"):
        return np.asarray(sums / times)
