"""Rates of this machine, measured on real documents: what a plan multiplies by."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rarityir import registry
from rarityir.datasets import load_dataset
from rarityir.retrieval import normalised
from rarityir.tokens import TokenLens
from rarityir.types import Dataset, Doc, Encoder, Floats, RarityError

READ, SAMPLE = 20_000, 2000  # documents that are read for a sample, and its size
BUDGET = 20.0  # seconds that encoding is watched at most
STEADY = 0.05  # two rates in a row that differ by less are one
FLAT = 1 << 25  # bytes of vectors that a dense index is tried on
# Mean words of a document: Thakur et al., BEIR (arXiv 2104.08663), Table 1.
WORDS = {
    "msmarco-passage": 56, "beir/msmarco": 56, "beir/trec-covid": 161, "beir/nfcorpus": 232, "beir/nq": 79,
    "beir/hotpotqa": 46, "beir/fiqa": 132, "beir/arguana": 167, "beir/webis-touche2020": 292, "beir/cqadupstack": 129,
    "beir/quora": 11, "beir/dbpedia-entity": 50, "beir/scidocs": 176, "beir/fever": 85, "beir/climate-fever": 85,
    "beir/scifact": 214,
}  # fmt: skip


class Sample(NamedTuple):
    """Documents' texts, how many documents a second were read, how many there are if all were, and where they come from."""

    texts: list[str]
    rate: float
    total: int | None
    basis: str


class Rate(NamedTuple):
    """Something a second, the seconds that came before any of it, and how it was measured."""

    each: float
    before: float
    basis: str


def sample(dataset: Dataset, seed: int = 0) -> Sample:
    """Returns some documents of a dataset; Cranfield's words in documents of the known mean length where none can be read."""
    started = time.monotonic()
    try:
        documents = dataset.docs()
        found = list(islice(documents, READ))
        whole = len(found) < READ
        count = len(found) if whole else dataset.docs_count
        if count is None:
            count = len(found) + sum(1 for _ in documents)
    except RarityError:
        return _stand_in(dataset)
    rate = len(found) / max(time.monotonic() - started, 1e-9)
    chosen = random.Random(seed).sample(found, min(SAMPLE, len(found)))
    among = f"{'all' if whole else 'the first'} {len(found):,}"
    return Sample([doc.text for doc in chosen], rate, count, f"tokens from {len(chosen):,} of {among} documents")


def _stand_in(dataset: Dataset) -> Sample:
    if dataset.docs_count is None:
        raise RarityError(
            f"{dataset.name}: neither its documents nor their number are on this machine, so nothing can be planned"
        )
    started = time.monotonic()
    documents: list[Doc] = list(load_dataset("cranfield").docs())
    rate = len(documents) / max(time.monotonic() - started, 1e-9)
    words = " ".join(doc.text for doc in documents).split()
    known = [length for corpus, length in WORDS.items() if f"{dataset.corpus}/".startswith(f"{corpus}/")]
    length = known[0] if known else 100
    texts = [" ".join(words[i : i + length]) for i in range(0, len(words) - length, length)][:SAMPLE]
    told = "their known mean (BEIR, Table 1)" if known else "assumed"
    basis = f"no document is on this machine; assumed: Cranfield's words, {length} a document, {told}"
    return Sample(texts, rate, dataset.docs_count, basis)


def lengths(encoder: Encoder, texts: Sequence[str]) -> tuple[float, float]:
    """Returns the mean tokens of a text that the encoder reads, and the share of tokens that it cuts."""
    most = encoder.identity().get("max_length") or 512
    counts = np.array([len(ids) for ids in encoder.tokenize(texts)] or [0])
    read = np.minimum(counts, most)
    return float(read.mean()), float(1 - read.sum() / max(1, counts.sum()))


def encoding(encoder: Encoder, texts: Sequence[str], tokens: float, block: int, budget: float = BUDGET) -> tuple[Rate, Floats]:
    """Returns the tokens a second of encoding, and the embeddings that were made, in the order of the texts.

    Blocks grow to the size of the real ones as far as the time allows, and encoding ends when two rates agree.
    """
    started = time.monotonic()
    encoder.encode_document(texts[:1])  # the model is loaded before the clock starts
    before = time.monotonic() - started
    found, rates, at, many = [], [], 0, 8
    started = time.monotonic()
    while at < len(texts):
        part = texts[at : at + many]
        begun = time.monotonic()
        found.append(encoder.encode_document(part))
        took = max(time.monotonic() - begun, 1e-9)
        rates.append(len(part) * tokens / took)
        at += len(part)
        left = budget - (time.monotonic() - started)
        full = many == block and len(rates) > 1 and abs(rates[-1] - rates[-2]) < STEADY * rates[-2]
        if full or left < took:
            break
        many = max(1, min(block, 4 * many, int(len(part) * left / took)))
    # The largest block is most like the real ones; those of its size are averaged.
    sizes = [len(x) for x in found]
    best = [rate for rate, n in zip(rates, sizes, strict=True) if n >= 0.5 * max(sizes)]
    each = len(best) / sum(1 / rate for rate in best)
    return Rate(each, before, f"{each:,.0f} tokens a second, measured on {at:,} documents"), np.concatenate(found)


def multiplying() -> float:
    """Returns the multiply-adds a second of a float32 matrix product."""
    a = np.ones((1024, 1024), np.float32)
    took = []
    for _ in range(3):
        started = time.perf_counter()
        a @ a
        took.append(time.perf_counter() - started)
    return 1024**3 / min(took)


class Tried(NamedTuple):
    """An index tried on some documents: seconds before the first, seconds and bytes each, seconds a query and document."""

    before: float
    each: float
    bytes_each: float
    query: float
    basis: str


def lucene(texts: Sequence[str], queries: Sequence[str]) -> Tried:
    """Builds and searches Lucene indexes of some texts in a folder that is removed again."""
    kind = registry.resolve("indexes", "bm25")
    few = max(1, len(texts) // 8)
    with tempfile.TemporaryDirectory(prefix="rarityir-plan-") as name:
        (small, large) = (Path(name) / "small", Path(name) / "large")
        took, sizes = [], []
        for folder, part in ((small, texts[:few]), (large, texts)):
            folder.mkdir()
            started = time.monotonic()
            facts = kind.build("", [part], folder)
            took.append(time.monotonic() - started)
            sizes.append(facts["bytes_per_doc"] * len(part))
        each = took[1] / len(texts)
        searcher = kind.open("", large)
        searcher.search(queries[:1], 1000)
        started = time.monotonic()
        searcher.search(queries, 1000)
        query = (time.monotonic() - started) / max(1, len(queries))
    bytes_each = (sizes[1] - sizes[0]) / max(1, len(texts) - few)
    return Tried(max(0.0, took[0] - few * each), each, bytes_each, query, f"measured on {len(texts):,} documents")


def flat(width: int, kind: Any, arg: str) -> Tried:
    """Builds and searches a dense index of random vectors in a folder that is removed again."""
    rows = max(1024, FLAT // (4 * width))
    vectors = normalised(np.random.default_rng(0).standard_normal((rows + 256, width), np.float32))
    with tempfile.TemporaryDirectory(prefix="rarityir-plan-") as name:
        started = time.monotonic()
        kind.build(arg, (normalised(vectors[i : i + 512]) for i in range(0, rows, 512)), Path(name))
        each = (time.monotonic() - started) / rows
        bytes_each = sum(path.stat().st_size for path in Path(name).rglob("*")) / rows
        opened = kind.open(arg, Path(name))
        started = time.monotonic()
        opened.search(vectors[rows:], 1000)
        query = (time.monotonic() - started) / 256 / rows
    return Tried(0.0, each, bytes_each, query, f"measured on {rows:,} vectors")


def reading(x_ND: Floats, lens: TokenLens, keep: int) -> float:
    """Returns the seconds in which an embedding is read as its best tokens."""
    lens.align(x_ND[:2], keep)  # the lens is set up before the clock starts
    part = x_ND[:256]
    started = time.monotonic()
    lens.align(part, keep)
    return (time.monotonic() - started) / len(part)
