"""Measures how far the embeddings of a dataset's texts write those texts' own tokens, filter by filter.

Each filter is measured in two forms. *Published* is the measure of "A Text is Worth Several Tokens" (arXiv 2406.17378) as its
code has it: raw ids of whole texts, special tokens and repeats counted, lists cut at K. *Corrected* counts canonical tokens,
once each, of what the encoder read, and lists are as long as the text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import compress, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rarityir import filters as parts
from rarityir import progress, store
from rarityir.counts import TokenCounts, tokenizer_of
from rarityir.embeddings import identify
from rarityir.report.alignment import AlignmentRow, AlignmentTable
from rarityir.retrieval import INDEXES, TEXTS, Retriever
from rarityir.systems import Part, slug
from rarityir.tokens import TokenLens, Vocabulary
from rarityir.tokens.lens import ROOM
from rarityir.tokens.measures import CUTOFF, TokenSets, measure
from rarityir.types import Dataset, Encoder, Floats, RarityError

Form = tuple[TokenSets, Vocabulary, NDArray[np.float64]]  # a form's own tokens, its tokens, and their frequencies
FILTERS = ("none", "edge:2", "tail:2", "auto", "random:2")


@dataclass(frozen=True, eq=False)
class Texts:
    """The texts that are measured and their raw embeddings (B, D), both read anew each time they are asked for."""

    count: int
    texts: Callable[[], Iterator[str]]
    embeddings: Callable[[], Iterable[Floats]]

    def blocks(self) -> Iterator[list[str]]:
        """Yields the texts, many at a time."""
        texts = self.texts()
        while block := list(islice(texts, TEXTS)):
            yield block


def align(
    dataset: Dataset,
    encoder: Encoder,
    filters: Sequence[str] = FILTERS,
    *,
    topics: bool = False,
    sample: int = 0,
    cutoff: int = CUTOFF,
    counts: str = "english",
    seed: int = 0,
    indexes: str | Path = INDEXES,
) -> AlignmentTable:
    """Returns Hit@K, local and global alignment rate of a dataset's documents under each filter, with controls.

    Args:
        filters: names such as `edge:2` or `tail:2+whiten:64`; `none` is no filter.
        topics: measures the topics in place of the documents.
        sample: measures so many of them, drawn at random (0: all). If the documents' embeddings are stored already, they
            serve; else the drawn documents alone are encoded and nothing is stored.
        cutoff: the K of Hit@K, at which the published form also cuts its lists.
        counts: the table of token frequencies that tells stop words and bands: `english`, `corpus` or a file.
        seed: of the sample, the control and the bootstrap.
    """
    chosen = {name: () if name == "none" else tuple(map(Part.parse, name.split("+"))) for name in filters}
    if not chosen:
        raise RarityError("alignment is measured under at least one filter; none stands for no filter")
    for its_parts in chosen.values():
        parts.check(its_parts)
    retriever = Retriever(dataset, encoder, Path(indexes))
    texts = _topics(retriever, sample, seed) if topics else _documents(retriever, sample, seed)
    table = retriever.source.frequencies(counts)
    forms, longer = _forms(encoder, texts, table, cutoff)
    unembedding, bias = encoder.unembedding(), encoder.unembedding_bias()
    rows = []
    with progress.bar("aligning", len(chosen) * len(forms) * texts.count) as advance:
        for name, its_parts in chosen.items():
            filter = retriever.filter(its_parts)
            found = []
            for sets, vocabulary, frequency in forms:
                lens = TokenLens(unembedding, filter, vocabulary=vocabulary, bias=bias)
                blocks = _logits(lens, texts.embeddings(), advance)
                found.append(measure(blocks, sets, cutoff=cutoff, frequency=frequency, seed=seed).json())
            rows.append(AlignmentRow(name, unembedding.shape[1] if filter is None else len(filter.basis), *found))
    kind, read = "topics" if topics else "documents", _limit(encoder)
    made_of = {"dataset": dict(dataset.identity), "encoder": encoder.identity()}
    return AlignmentTable(
        dataset.name, encoder.name, kind, texts.count, longer, read, cutoff, seed, table.source, made_of, tuple(rows)
    )


def write(table: AlignmentTable, folder: Path) -> None:
    """Writes `alignment.json` and `alignment.md` into a folder."""
    store.write_json(folder / "alignment.json", table.json())
    store.write_text(folder / "alignment.md", table.markdown())


def _documents(retriever: Retriever, sample: int, seed: int) -> Texts:
    drawn = _drawn(len(retriever.corpus.doc_ids), sample, seed)

    def texts() -> Iterator[str]:
        return compress((doc.text for doc in retriever.dataset.docs()), drawn.tolist())

    folder = retriever.corpus.folder / slug(retriever.encoder.name) / "embeddings"
    if drawn.all() or store.manifest(folder, identify(retriever.corpus, retriever.encoder)) is not None:
        return Texts(int(drawn.sum()), texts, partial(_rows, retriever, drawn))
    x_ND = retriever.encoder.encode_document(list(texts()))
    return Texts(len(x_ND), texts, lambda: [x_ND])


def _topics(retriever: Retriever, sample: int, seed: int) -> Texts:
    topics = list(retriever.dataset.topics.values())
    found = list(compress(topics, _drawn(len(topics), sample, seed).tolist()))
    x_QD = retriever.encoder.encode_query(found)
    return Texts(len(found), lambda: iter(found), lambda: [x_QD])


def _drawn(count: int, sample: int, seed: int) -> NDArray[np.bool_]:
    """Which of so many texts are in a sample: all where none is asked for or there are no more."""
    drawn = np.ones(count, bool)
    if 0 < sample < count:
        drawn[np.random.default_rng(seed).permutation(count)[sample:]] = False
    return drawn


def _rows(retriever: Retriever, drawn: NDArray[np.bool_]) -> Iterator[Floats]:
    start = 0
    for x_ND in retriever.embeddings:
        yield x_ND[drawn[start : start + len(x_ND)]]
        start += len(x_ND)


def _raw_ids(encoder: Encoder, texts: Texts) -> Iterator[list[int]]:
    """Whole texts' ids as the tokenizer gives them by itself, special tokens included."""
    tokenizer = tokenizer_of(encoder.model)
    for block in texts.blocks():
        for encoding in tokenizer.encode_batch(block):
            yield encoding.ids


def _forms(encoder: Encoder, texts: Texts, table: TokenCounts, cutoff: int) -> tuple[list[Form], int]:
    """Both forms' own tokens, their vocabulary and frequencies, and how many texts go on after what the encoder reads.

    The corrected form leaves out what is not read, since no such token can be in an embedding.
    """
    limit, longer = _limit(encoder), 0

    def read() -> Iterator[list[int]]:
        nonlocal longer
        for block in texts.blocks():
            for ids in encoder.tokenize(block):
                longer += limit is not None and len(ids) > limit
                yield ids[:limit]

    words = Vocabulary.of(encoder.tokens())
    raw = Vocabulary.plain(len(words.class_of))
    published = TokenSets.published(_raw_ids(encoder, texts), len(raw.names), cutoff)
    corrected = TokenSets.corrected(read(), words)
    return [(published, raw, _by_token(table, raw)), (corrected, words, _by_token(table, words))], longer


def _limit(encoder: Encoder) -> int | None:
    """The tokens of a text that are read, None where the encoder does not say."""
    found = encoder.identity().get("max_length")
    return None if found is None else int(found)


def _by_token(table: TokenCounts, vocabulary: Vocabulary) -> NDArray[np.float64]:
    """The (C,) relative frequency of each token: of all its ids together."""
    words = vocabulary.class_of >= 0
    counts = np.bincount(vocabulary.class_of[words], table.counts[words], minlength=len(vocabulary.names))
    return np.asarray(counts / table.total)


def _logits(lens: TokenLens, embeddings: Iterable[Floats], advance: Callable[[int], None]) -> Iterator[Floats]:
    room = max(1, ROOM // len(lens.vocabulary.names))
    for x_BD in embeddings:
        for start in range(0, len(x_BD), room):
            part = x_BD[start : start + room]
            yield lens.logits(part)
            advance(len(part))
