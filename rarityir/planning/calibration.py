"""Rates of this machine, measured on real documents: what a plan multiplies by."""

from __future__ import annotations

import math
import random
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rarityir import registry, store
from rarityir.datasets import load_dataset
from rarityir.embeddings import BLOCK, WINDOW
from rarityir.encoders.hf import HFEncoder
from rarityir.encoders.workers import Piece, Window, worker_count
from rarityir.indexes.subword import counted
from rarityir.measures import evaluate
from rarityir.retrieval import normalised
from rarityir.runs import Run
from rarityir.tokens import TokenLens
from rarityir.types import Dataset, Doc, Encoder, Floats, Hits, Ints, RarityError

if TYPE_CHECKING:
    from rarityir.encoders.workers import Read

READ, SAMPLE = 20_000, 4096  # documents that are read for a sample, and its size: a window of encoding
BUDGET = 20.0  # seconds that encoding is watched at most
ROUNDS = 6  # windows of one size that are watched at most
KEPT = 512  # embeddings that are kept of what was watched
TIMES = 8  # an index of impacts is tried on so many times the embeddings there are
LUCENE_WORDS = 1_500_000  # that Lucene is tried on at most
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


class Lengths(NamedTuple):
    """The tokens of each text that the encoder reads (N,), and the share of all tokens that it cuts."""

    counts: Ints
    cut: float

    @property
    def mean(self) -> float:
        """The mean tokens of a text."""
        return float(self.counts.mean())


def sample(dataset: Dataset, share: float = 1.0, seed: int = 0) -> Sample:
    """Returns some documents of a dataset; Cranfield's words in documents of the known mean length where none can be read.

    A `share` below 1 makes the sample, and what is read for it, that much smaller.
    """
    read, size = max(1, int(READ * share)), max(1, int(SAMPLE * share))
    started = time.monotonic()
    try:
        documents = dataset.docs()
        found = list(islice(documents, read))
        whole = len(found) < read
        rate = max(1, len(found)) / max(time.monotonic() - started, 1e-9)
        count = len(found) if whole else dataset.docs_count
        if count is None:
            count = len(found) + sum(1 for _ in documents)
    except RarityError:
        return _stand_in(dataset, size)
    chosen = random.Random(seed).sample(found, min(size, len(found)))
    among = f"{'all' if whole else 'the first'} {len(found):,}"
    return Sample([doc.text for doc in chosen], rate, count, f"tokens from {len(chosen):,} of {among} documents")


def _stand_in(dataset: Dataset, size: int) -> Sample:
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
    texts = [" ".join(words[i : i + length]) for i in range(0, len(words) - length, length)][:size]
    told = "their known mean (BEIR, Table 1)" if known else "assumed"
    basis = f"no document is on this machine; assumed: Cranfield's words, {length} a document, {told}"
    return Sample(texts, rate, dataset.docs_count, basis)


def lengths(encoder: Encoder, texts: Sequence[str]) -> Lengths:
    """Returns how many tokens of each text the encoder reads."""
    most = encoder.identity().get("max_length") or 512
    counts = np.array([len(ids) for ids in encoder.tokenize(texts)] or [0])
    read = np.minimum(counts, most)
    return Lengths(read, float(1 - read.sum() / max(1, counts.sum())))


def encoding(
    encoder: Encoder, texts: Sequence[str], counts: Ints, documents: int, budget: float = BUDGET, enough: float = 0.0
) -> tuple[Rate, Floats]:
    """Returns the tokens a second of encoding so many documents, and some of the embeddings that were made.

    They are read as a corpus is: by all workers, in windows. What comes once, loading the model and starting the workers, is
    told apart: each worker reads a text first, and where each of several GPUs loads the model, this process does not. Windows
    grow, up to a real one's size, while they take little of the budget; then windows of one size follow each other, and the
    rate is that of those after the first, so that workers are as busy as they will be. No more is watched once all documents
    would take less than `enough` seconds.
    """
    watch = _Watch(texts, counts)
    started = time.monotonic()
    if gpus(encoder, documents) == 1:
        encoder.encode_document(texts[:1])  # the model is loaded
    with _reading(encoder, documents) as read:
        watch.rates(read, 1, _workers(encoder, documents))  # each worker is started, by a batch in its turn
        before = time.monotonic() - started
        started, size, limit = time.monotonic(), 8, max(documents, 8)
        while True:
            (each,) = watch.rates(read, size)
            if documents * float(counts.mean()) / each < enough:
                return watch.found(each, before)
            left, took = budget - (time.monotonic() - started), watch.took
            larger = min(4 * size, BLOCK * WINDOW, int(size * left / ROUNDS / max(took, 1e-9)))
            if watch.read + larger > limit or larger <= size:
                break
            size = larger
        many = min(ROUNDS, int(left / max(took, 1e-9)), (limit - watch.read) // size)
        if many > 1:
            rates = watch.rates(read, size, many, started + budget)[1:]
            each = len(rates) / sum(1 / rate for rate in rates)
    return watch.found(each, before)


def gpus(encoder: Encoder, documents: int) -> int:
    """Returns how many GPUs read so many documents side by side; 1 where there is none or one."""
    return _workers(encoder, documents) if getattr(encoder, "torch_device", "") == "cuda" else 1


def _workers(encoder: Encoder, documents: int) -> int:
    return worker_count(encoder, documents) if isinstance(encoder, HFEncoder) else 1


class _Watch:
    """Reads windows of texts, over and over, and takes their times."""

    def __init__(self, texts: Sequence[str], counts: Ints) -> None:
        self._texts, self._counts = texts, counts
        self.read, self.took = 0, 0.0
        self.kept: list[Floats] = []

    def found(self, each: float, before: float) -> tuple[Rate, Floats]:
        """Returns the rate that was watched, and the embeddings that were kept."""
        return Rate(each, before, f"{each:,.0f} tokens a second, measured on {self.read:,} documents"), np.concatenate(self.kept)

    def rates(self, read: Read, size: int, many: int = 1, until: float = math.inf) -> list[float]:
        """Returns the tokens a second of each of the windows, from the end of the one before it."""
        tokens: list[int] = []

        def windows() -> Iterator[Window]:
            for number in range(many):
                if number > 1 and time.monotonic() > until:
                    return  # the one before is being read, the one before that was
                places = np.arange(self.read, self.read + size) % len(self._texts)
                self.read += size
                tokens.append(int(self._counts[places].sum()))
                yield Window(number, [self._texts[int(i)] for i in places], np.ones(size, bool))

        last, found, left = time.monotonic(), [], dict.fromkeys(range(many), size)
        for piece in read(windows()):
            left[piece.window] -= len(piece.rows)
            if sum(map(len, self.kept)) < KEPT:
                self.kept.append(piece.embeddings)
            if not left[piece.window]:
                now = time.monotonic()
                self.took = max(now - last, 1e-9)
                found.append(max(tokens[piece.window], 1) / self.took)
                last = now
        return found


@contextmanager
def _reading(encoder: Encoder, documents: int) -> Iterator[Read]:
    """What reads windows of so many documents, as encoding a corpus does."""
    if isinstance(encoder, HFEncoder):
        with encoder.reading(documents) as read:
            yield read
        return

    def block_by_block(windows: Iterable[Window]) -> Iterator[Piece]:
        for window in windows:
            for start in range(0, len(window.texts), BLOCK):
                part = window.texts[start : start + BLOCK]
                rows = list(range(start, start + len(part)))
                yield Piece(window.number, rows, encoder.encode_document(part), 0, 0)

    yield block_by_block


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
    documents: int = 1


def lucene(texts: Sequence[str], queries: Sequence[str]) -> Tried:
    """Builds and searches Lucene indexes of some texts in a folder that is removed again.

    The first starts Java and warms it up; what a document takes is what a larger index takes more than a smaller one, which
    leaves out what every index takes.
    """
    kind = registry.resolve("indexes", "bm25")
    few = texts[: max(1, len(texts) // 8)]
    times = max(2, min(4, LUCENE_WORDS // max(1, sum(len(text.split()) for text in texts))))
    took, sizes = [], []
    with tempfile.TemporaryDirectory(prefix="rarityir-plan-") as name:
        for number, blocks in enumerate(([few], [texts], [texts] * times)):
            folder = Path(name) / str(number)
            folder.mkdir()
            started = time.monotonic()
            facts = kind.build("", blocks, folder)
            took.append(time.monotonic() - started)
            sizes.append(facts["bytes_per_doc"] * sum(map(len, blocks)))
        each = (took[2] - took[1]) / ((times - 1) * len(texts))
        each = min(max(each, 0.5 * took[2] / (times * len(texts))), took[2] / (times * len(texts)))  # where the clock was uneven
        searcher = kind.open("", folder)
        searcher.search(queries[:1], 1000)
        started = time.monotonic()
        searcher.search(queries, 1000)
        query = (time.monotonic() - started) / max(1, len(queries))
    bytes_each = (sizes[1] - sizes[0]) / max(1, len(texts) - len(few))
    before = max(0.0, took[0] - each * len(few))
    return Tried(before, each, bytes_each, query, f"measured on {(times + 1) * len(texts) + len(few):,} documents")


def frequencies(encoder: Encoder, kind: Any, texts: Sequence[str], topics: Sequence[str]) -> Tried:
    """Cuts some texts in tokens, counts and searches them in a folder that is removed again."""
    vocabulary = len(encoder.tokens())
    encoder.tokenize(texts[:1])
    asked = counted(encoder.tokenize(topics or [" ".join(text.split()[:6]) for text in texts[:64]]), vocabulary)
    with tempfile.TemporaryDirectory(prefix="rarityir-plan-") as name:
        for few in (texts[:1], texts):  # once before the clock starts: the loops are loaded
            started, folder = time.monotonic(), Path(name) / str(len(few))
            facts = kind.build("", iter([counted(encoder.tokenize(few), vocabulary)]), folder)
            each = (time.monotonic() - started) / len(few)
        opened = kind.open("", Path(name) / str(len(texts)))
        opened.search(asked, 1)
        started = time.monotonic()
        opened.search(asked, 1000)
        query = (time.monotonic() - started) / max(1, len(asked.indptr) - 1) / len(texts)
    # What every index has of every token is counted apart.
    bytes_each = max(1.0, facts["bytes_per_doc"] - 5 * vocabulary / len(texts) - 8)
    return Tried(0.0, each, bytes_each, query, f"measured on {len(texts):,} documents")


def flat(width: int, kind: Any, arg: str) -> Tried:
    """Builds and searches a dense index of random vectors in a folder that is removed again."""
    rows = max(1024, (FLAT if kind.exact(arg) is None else FLAT // 8) // (4 * width))  # a graph grows slowly
    vectors = normalised(np.random.default_rng(0).standard_normal((rows + 256, width), np.float32))
    with tempfile.TemporaryDirectory(prefix="rarityir-plan-") as name:
        started = time.monotonic()
        kind.build(arg, (normalised(vectors[i : i + 512]) for i in range(0, rows, 512)), Path(name))
        each = (time.monotonic() - started) / rows
        bytes_each = sum(path.stat().st_size for path in Path(name).rglob("*")) / rows
        opened = kind.open(arg, Path(name))
        opened.search(vectors[rows : rows + 1], 1000)
        started = time.monotonic()
        opened.search(vectors[rows:], 1000)
        query = (time.monotonic() - started) / 256 / rows
    return Tried(0.0, each, bytes_each, query, f"measured on {rows:,} vectors", rows)


def reading(x_ND: Floats, lens: TokenLens, kind: Any, arg: str) -> float:
    """Returns the seconds in which an embedding is read as its best tokens and those are indexed, in a folder removed again."""
    keep = kind.settings(arg).keep
    lens.align(x_ND[:2], keep)  # the lens is set up before the clock starts
    started = time.monotonic()
    found = lens.align(x_ND, keep)
    each = (time.monotonic() - started) / len(x_ND)
    with tempfile.TemporaryDirectory(prefix="rarityir-plan-") as name:
        for times in (1, TIMES):  # once before the clock starts: the engine's loops are loaded
            (Path(name) / str(times)).mkdir()
            started = time.monotonic()
            kind.build(arg, iter([found] * times), Path(name) / str(times))
    return each + (time.monotonic() - started) / (TIMES * len(x_ND))


def writing(count: int = 1 << 24) -> float:
    """Returns the bytes a second in which files are written to the end, and read again for their checksum."""
    with tempfile.TemporaryDirectory(prefix="rarityir-plan-") as name:
        started = time.monotonic()
        with store.replacing(Path(name) / "file") as temporary:
            temporary.write_bytes(bytes(count))
        store.digest_file(Path(name) / "file")
        return count / max(time.monotonic() - started, 1e-9)


def answering(measures: Sequence[str], queries: int = 64, cutoff: int = 1000) -> tuple[float, float]:
    """Returns the seconds before a run is measured for the first time, and the seconds in which a hit is written and measured."""
    names = tuple(map(str, range(queries)))
    hits = Hits(np.tile(np.arange(cutoff), (queries, 1)), np.tile(np.arange(cutoff, 0, -1, dtype=np.float32), (queries, 1)))
    qrels = {name: {"0": 1} for name in names}
    run = Run.from_hits("plan", names, list(map(str, range(cutoff))), hits)
    started = time.monotonic()
    evaluate(run, qrels, measures)
    before = time.monotonic() - started
    with tempfile.TemporaryDirectory(prefix="rarityir-plan-") as name:
        started = time.monotonic()
        run.save(Path(name) / "run.trec", {})
        evaluate(run, qrels, measures)
        return before, (time.monotonic() - started) / (queries * cutoff)
