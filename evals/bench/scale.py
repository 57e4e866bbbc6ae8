"""Time and memory of encode, filter, align, index, search, run and measures as the corpus grows tenfold and tenfold again.

Each size is one process that does what `rarityir eval` does, part by part, with the package's own `Retriever`. Its embeddings
are computed from the documents' numbers in place of a model (64 wide, over 2,048 tokens): a model's own encoding is measured
beside it, with the demo model on short documents, at sizes it can read here.

Memory is the most that a process and its children hold of their own; pages of memory-mapped files are not counted, as the
system takes them back when it needs them. An exponent is the slope of log seconds over log documents, fitted by least squares
over all sizes. `RARITYIR_BENCH_SIZES` and `RARITYIR_BENCH_ENCODED` set other sizes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evals.bench.goals import at_most
from evals.bench.memory import peak
from rarityir.types import Dataset, Doc, Encoder, Floats, Json

WIDTH, VOCABULARY, TOPICS, CUTOFF = 64, 2048, 200, 1000
SYSTEMS = ("dense", "dense+edge:2", "sparse:64,query=aligned:16+edge:2")
SIZES = tuple(map(int, os.environ.get("RARITYIR_BENCH_SIZES", "100000,1000000,10000000").split(",")))
ENCODED = tuple(map(int, os.environ.get("RARITYIR_BENCH_ENCODED", "10000,30000,100000").split(",")))
LEAST = 0.2  # seconds under which a step's growth is not fitted
GOALS = {".*, in all: memory, .*": at_most(1.1), ".*: exponent of time": at_most(1.05)}


def bench() -> dict[str, float | str]:
    found: dict[str, float | str] = {}
    for name, sizes in (("computed", SIZES), ("demo model", ENCODED)):
        _apart(name, 1000)  # what is compiled the first time takes memory too
        steps = {size: _apart(name, size) for size in sizes}
        for step in steps[sizes[0]]:
            seconds, mib = zip(*(steps[size][step] for size in sizes), strict=True)
            for size, s, m in zip(sizes, seconds, mib, strict=True):
                found[f"{name}, {step}, {size:,}"] = f"{s:,.2f} s, {m:,.0f} MiB"
            found[f"{name}, {step}: memory, largest / smallest"] = max(mib) / min(mib)
            if seconds[0] > LEAST:
                found[f"{name}, {step}: exponent of time"] = exponent(sizes, seconds)
        total = [sum(s for s, _ in steps[size].values()) for size in sizes]
        found[f"{name}, in all: exponent of time"] = exponent(sizes, total)
        most = [max(m for _, m in steps[size].values()) for size in sizes]
        found[f"{name}, in all: memory, largest / smallest"] = max(most) / min(most)
    return found


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """Returns the slope of log seconds over log size."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def _apart(name: str, size: int) -> dict[str, tuple[float, float]]:
    command = [sys.executable, "-m", "evals.bench.scale", name, str(size)]
    out = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2]).stdout
    steps: dict[str, tuple[float, float]] = json.loads(out.splitlines()[-1])
    print(f"  {name}, {size:,}: " + ", ".join(f"{step} {s:,.1f} s {m:,.0f} MiB" for step, (s, m) in steps.items()), flush=True)
    return steps


def measured(name: str, size: int) -> dict[str, tuple[float, float]]:
    """Does it all once in this process, and returns each step's seconds and peak memory in MiB."""
    from rarityir.encoders import load_encoder
    from rarityir.measures import evaluate
    from rarityir.retrieval import Retriever
    from rarityir.systems import System

    steps: dict[str, tuple[float, float]] = {}

    def step(what: str, work: Callable[[], Any]) -> Any:
        started = time.perf_counter()
        with peak() as most:
            value = work()
        steps[what] = time.perf_counter() - started, most.mib
        return value

    with tempfile.TemporaryDirectory() as place:
        warmed = Retriever(dataset(600), _encoder(name, load_encoder), Path(place) / "warm")  # libraries, compiled kernels
        for system in SYSTEMS:
            evaluate(warmed.run(System.parse(system), CUTOFF), warmed.dataset.qrels, ["nDCG@10"])
        retriever = Retriever(dataset(size), _encoder(name, load_encoder), Path(place) / "indexes")
        step("read", lambda: retriever.corpus)
        step("encode", lambda: retriever.embeddings)
        step("fit edge:2", lambda: retriever.filter(System.parse("dense+edge:2").filters))
        for system in SYSTEMS:
            step(f"index {system}", lambda system=system: retriever.index(System.parse(system)))
        step("encode topics", lambda: retriever._queries)
        for system in SYSTEMS:
            run = step(f"search {system}", lambda system=system: retriever.run(System.parse(system), CUTOFF))
            step(f"write {system}", lambda run=run, system=system: run.save(Path(place) / f"{slug(system)}.trec"))
            scores = step(f"score {system}", lambda run=run: evaluate(run, retriever.dataset.qrels, ["nDCG@10", "R@1000"]))
            assert scores.mean("nDCG@10") > 0, f"{system} finds nothing that was planted"
    return steps


def slug(system: str) -> str:
    return system.replace(":", "-")


def dataset(size: int) -> Dataset:
    """Documents of five to fifteen words; a topic repeats the words of the document that is relevant to it."""

    def docs() -> Iterator[Doc]:
        for number in range(size):
            yield Doc(f"d{number}", text(number))

    rows = np.random.default_rng(1).choice(size, TOPICS, replace=False).tolist()
    topics = {f"q{i}": text(row) for i, row in enumerate(rows)}
    qrels = {f"q{i}": {f"d{row}": 1} for i, row in enumerate(rows)}
    return Dataset(f"drawn-{size}", f"drawn-{size}", {"source": "drawn", "documents": size}, docs, topics, qrels, size)


def text(number: int) -> str:
    return f"{number} " + " ".join(f"w{(number * prime) % 997}" for prime in PRIMES[: 4 + number % 11])


PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43)


class Computed:
    """An encoder whose embeddings come from a document's number, as others would be read from files."""

    name, dim = "computed", WIDTH
    model: Any = None  # nothing stored stands behind it

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self._table = rng.standard_normal((65_536, WIDTH), dtype=np.float32)
        scale = 3 * np.arange(1, WIDTH + 1, dtype=np.float32) ** -0.5
        self._unembedding = rng.standard_normal((VOCABULARY, WIDTH), dtype=np.float32) * scale

    def identity(self) -> dict[str, Json]:
        return {"model": "computed", "pooling": "none"}

    def encode_document(self, texts: Sequence[str]) -> Floats:
        numbers = np.array([int(text[: text.index(" ")]) for text in texts], np.int64)
        x_BD: Floats = self._table[numbers & 0xFFFF] + self._table[(numbers * 40503 >> 8) & 0xFFFF]
        return x_BD

    encode_query = encode_document

    def unembedding(self) -> Floats:
        return self._unembedding

    def unembedding_bias(self) -> Floats | None:
        return None

    def tokens(self) -> Sequence[str | None]:
        return [f"▁w{n}" for n in range(VOCABULARY)]

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        return [[int(word[1:]) % VOCABULARY for word in text.split()[1:]] for text in texts]


def _encoder(name: str, load: Callable[..., Encoder]) -> Encoder:
    return Computed() if name == "computed" else load("demo", device="cpu")


if __name__ == "__main__":
    print(json.dumps(measured(sys.argv[1], int(sys.argv[2]))))
