"""Runs real commands with real faults, and says what a folder holds afterwards."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
MODEL = TESTS / "models" / "stories260K"
WORDS = (
    "cat", "dog", "bird", "tree", "ball", "sun", "rain", "park", "boat", "fish", "moon", "star", "cake", "door", "rock", "leaf",
    "bear", "frog", "nest", "milk",
)  # fmt: skip
DOCUMENTS, TOPICS = 150, 4
OWN = (".lock", "partial.json", ".parts")
# Lucene names its segments and stamps them by chance: its indexes are compared by what is found in them.
CHANCE = ("lucene",)


@dataclass(frozen=True)
class Done:
    """How a command ended: its status (−9: killed), what it said, and for how long it ran."""

    status: int
    out: str
    err: str
    seconds: float

    @property
    def told(self) -> bool:
        """Whether it ended with an error of one line, and no traceback."""
        lines = [line for line in self.err.splitlines() if line.startswith("rarityir: ")]
        return self.status == 1 and len(lines) == 1 and "Traceback" not in self.err


@dataclass
class Launcher:
    """The process of `launcher.py`, which commands are given to one at a time."""

    home: Path
    process: Any
    number: int = 0
    first: dict[str, str] = field(default_factory=dict)

    def __call__(
        self, argv: Sequence[str | Path], cwd: Path, *, after: float = 0.0, number: int = signal.SIGKILL, **given: Any
    ) -> Done:
        """Runs a command to its end, or sends it a signal after some seconds; other arguments are the launcher's."""
        child = self.start(argv, cwd, **given)
        started = time.monotonic()
        if after:
            time.sleep(after)
            with suppress(ProcessLookupError):  # it was faster
                os.kill(child, number)
        return self.end(time.monotonic() - started)

    def start(self, argv: Sequence[str | Path], cwd: Path, **given: Any) -> int:
        """Starts a command and returns its process id."""
        self.number += 1
        streams = {name: str(self.home / f"{self.number}.{name}") for name in ("out", "err")}
        self.last = {**streams, **given}
        line = {"argv": [str(word) for word in argv], "cwd": str(cwd), **self.last}
        self.process.stdin.write(json.dumps(line) + "\n")
        self.process.stdin.flush()
        self.began = time.monotonic()
        return int(self.process.stdout.readline())

    def end(self, waited: float = 0.0) -> Done:
        """Waits for the command that was started."""
        status = int(self.process.stdout.readline())
        texts = []
        for name in ("out", "err"):
            path = Path(self.last[name]) if isinstance(self.last[name], str) else Path(os.devnull)
            texts.append(path.read_text(errors="replace") if path.is_file() else "")
            if path.is_file() and path.parent == self.home:
                path.unlink()
        return Done(status, *texts, time.monotonic() - self.began)


@contextmanager
def launched(home: Path, **environment: str) -> Iterator[Launcher]:
    """Starts a launcher, with a cache of its own, and ends it."""
    home.mkdir(parents=True, exist_ok=True)
    own = {
        "OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(home / "cache"), "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1",
        "IR_DATASETS_HOME": str(home / "irds"), "TOKENIZERS_PARALLELISM": "false", "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, str(TESTS / "faults" / "launcher.py")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **own, **environment},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield Launcher(home, process)
    finally:
        process.kill()
        process.wait(30)
        for stream in (process.stdin, process.stdout):
            if stream:
                stream.close()


@contextmanager
def workplace() -> Iterator[Path]:
    """Gives a folder that is removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="rarityir-faults-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def collection(folder: Path, documents: int = DOCUMENTS) -> Path:
    """Writes a small judged collection in BEIR's layout; equal texts are among it."""
    rng = random.Random(20240607)
    texts = [" ".join(rng.choices(WORDS, k=rng.randint(3, 7))) for _ in range(documents)]
    (folder / "qrels").mkdir(parents=True)
    lines = [json.dumps({"_id": f"d{i:04d}", "title": "", "text": text}) for i, text in enumerate(texts)]
    (folder / "corpus.jsonl").write_text("\n".join(lines) + "\n")
    topics = [json.dumps({"_id": f"q{i}", "text": " ".join(rng.sample(WORDS, 2))}) for i in range(TOPICS)]
    (folder / "queries.jsonl").write_text("\n".join(topics) + "\n")
    judged = [f"q{i}\td{rng.randrange(documents):04d}\t{1 + i % 2}" for i in range(TOPICS) for _ in range(6)]
    (folder / "qrels" / "test.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *dict.fromkeys(judged)]) + "\n")
    counts = [{word: 1 + text.split().count(word) for word in text.split()} for text in texts]
    vectors = [json.dumps({"id": f"d{i:04d}", "vector": count}) for i, count in enumerate(counts)]
    (folder / "vectors.jsonl").write_text("\n".join(vectors) + "\n")
    return folder


def contents(folder: Path, leave: Sequence[str] = CHANCE) -> dict[str, str]:
    """Returns every file's bytes, those of the store itself and of Lucene's segments left out."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and path.name not in OWN and not set(name.parts) & set(leave):
            found[name.as_posix()] = path.read_bytes().hex()
            if path.name == "manifest.json" and any((path.parent / part).exists() for part in leave):
                found[name.as_posix()] = json.dumps(json.loads(path.read_text())["identity"], sort_keys=True)
    return found


def left_behind(folder: Path) -> list[str]:
    """Returns files without a name of their own in folders that are complete."""
    return [str(path) for made in folder.rglob("manifest.json") for path in made.parent.rglob(".*.tmp")]


def differing(found: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    """Returns the names of files that are in one of two folders alone, or differ."""
    return sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))
