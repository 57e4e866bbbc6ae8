"""Two writers, clocks that jump, memory that does not suffice, workers that die, models and indexes that are not whole."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from faults.harness import MODEL, Done, contents, differing
from faults.kills import afterwards
from faults.stages import STAGES, Base, Stage, _on
from faults.table import Row

from rarityir import store

COMMAND = "python -m tests.faults together"
YEAR = 365 * 24 * 3600.0
SAME = "the same bytes"


def rows(base: Base, place: Path, count: int, rng: random.Random, stages: Sequence[Stage] = ()) -> Iterator[Row]:
    """Yields the rows of all of these faults."""
    chosen = list(stages) or list(STAGES.values())
    yield two_writers(base, chosen, place)
    yield clocks(base, chosen, place, rng)
    yield memory(base, place)
    yield workers(base, place, max(2, count // 6))
    yield models(base, place, count, rng)
    yield other_weights(base, place, max(2, count // 3), rng)
    yield versions(base, place)


def two_writers(base: Base, stages: Sequence[Stage], place: Path) -> Row:
    """The same command twice at the same time, in one folder."""
    row = Row("two processes write the same at the same time", "both succeed, one waits; the same bytes", COMMAND)
    for stage in stages:
        folder, argv = base.fresh(stage, place), base.argv(stage, base.fresh(stage, place))
        status, said = base.home / "beside.status", base.home / "beside.err"
        beside = {"status": str(status), "out": os.devnull, "err": str(said)}
        done = base.launch(argv, folder, faults={"frozen": True}, beside=beside)
        wrong = "" if done.status == 0 else f"one ended with {done.status}: {done.err[-300:]}"
        if status.read_text() != "0":
            wrong = f"the other ended with {status.read_text()}: {said.read_text()[-300:]}"
        said.unlink()
        row.count(f"{stage.name}: {w}" if (w := wrong or afterwards(base, stage, folder)) else "")
    return row


def clocks(base: Base, stages: Sequence[Stage], place: Path, rng: random.Random) -> Row:
    """A wall clock that jumps by years, and files from the past and the future."""
    row = Row("the clock jumps by years and back, files are of the past and the future", SAME, COMMAND)
    for stage in stages:
        folder = base.fresh(stage, place)
        for path in folder.rglob("*"):
            when = time.time() + rng.choice([-20, -1, 1, 20]) * YEAR
            os.utime(path, (when, when))
        done = base.launch(base.argv(stage, folder), folder, faults={"frozen": True, "clock": [YEAR, rng.randint(1, 5)]})
        base.show(stage, folder)
        wrong = f"ended with {done.status}: {done.err[-300:]}" if done.status else ""
        wrong = wrong or ", ".join(differing(contents(folder), base.wanted(stage)))
        row.count(f"{stage.name}: {wrong}" if wrong else "")
    return row


def memory(base: Base, place: Path) -> Row:
    """Batches that do not fit in memory, down to a single text."""
    row = Row(
        "a batch does not fit in memory",
        "halved and read again, which is said; a single text that does not fit is one line",
        COMMAND,
    )
    for texts in (16, 5, 2, 1, 0):
        folder = base.fresh(STAGES["encode"], place)
        done = base.launch(base.argv(STAGES["encode"], folder), folder, faults={"frozen": True, "memory": texts})
        if texts:
            wrong = "" if done.status == 0 and "were halved" in done.err else f"ended with {done.status}: {done.err[-300:]}"
            wrong = wrong or close(folder, base.result(STAGES["encode"]))
        else:
            wrong = "" if done.told and "does not fit in memory" in done.err else f"ended with {done.status}: {done.err[-300:]}"
        row.count(f"more than {texts} texts: {wrong}" if wrong else "")
    return row


def close(folder: Path, wanted: Path) -> str:
    """Says where embeddings differ by more than what another order of sums in float32 brings about."""
    import numpy as np

    for path in sorted(wanted.glob("indexes/*/*/embeddings/*.npy")):
        ours, theirs = np.load(folder / path.relative_to(wanted)), np.load(path)
        if not np.allclose(ours, theirs, rtol=0, atol=1e-5 * float(np.abs(theirs).max())):
            return f"{path.name} differs by {np.abs(ours - theirs).max():.3g}"
    return ""


def workers(base: Base, place: Path, count: int) -> Row:
    """A process that encodes is killed, as the system does where memory is short."""
    row = Row(
        "one of the processes that encode is killed", "one line that says so; the same command again: the same bytes", COMMAND
    )
    stage = STAGES["encode"]
    for number in range(count):
        folder = base.fresh(stage, place)
        child = base.launch.start([*base.argv(stage, folder), "--workers", "2"], folder, faults={"frozen": True})
        deadline, victims = time.monotonic() + 60, list[int]()
        while not victims and time.monotonic() < deadline and Path(f"/proc/{child}/task/{child}/children").exists():
            victims = [int(pid) for pid in Path(f"/proc/{child}/task/{child}/children").read_text().split()]
            time.sleep(0.005)
        if victims:
            os.kill(victims[number % len(victims)], signal.SIGKILL)
        done: Done = base.launch.end()
        if done.status == 0 or not victims:
            continue
        wrong = "" if done.told and "ended" in done.err else f"ended with {done.status}: {done.err[-400:]}"
        row.count(w if (w := wrong or afterwards(base, stage, folder)) else "")
    return row


def _broken_header(path: Path) -> None:
    held = bytearray(path.read_bytes())
    held[:8] = struct.pack("<Q", 1 << 40)
    path.write_bytes(held)


def _brace(path: Path) -> None:
    held = path.read_bytes()
    path.write_bytes(held.replace(b"{", b"[", 1))


def _half(path: Path) -> None:
    held = path.read_bytes()
    path.write_bytes(held[: len(held) // 2])


SPOILT: tuple[tuple[str, Callable[[Path], None]], ...] = (
    ("missing", Path.unlink),
    ("empty", lambda path: path.write_bytes(b"")),  # type: ignore[arg-type,return-value]
    ("half", _half),
    ("no JSON", _brace),
    ("a header of a terabyte", _broken_header),
)


def models(base: Base, place: Path, count: int, rng: random.Random) -> Row:
    """A model's folder that lacks a file, or has half of one."""
    row = Row(
        "a model's folder lacks a file, or has an empty, half or broken one",
        "one line that names the folder; or the same embeddings, or others beside a line that names the file",
        COMMAND,
    )
    stage = STAGES["encode"]
    wanted = {name: held for name, held in contents(base.result(stage)).items() if name.endswith(".npy")}
    choices = [(path.name, how) for path in sorted(MODEL.iterdir()) if path.suffix != ".md" for how in SPOILT]
    choices = [(name, how) for name, how in choices if how[0] != "a header of a terabyte" or name.endswith(".safetensors")]
    choices = [(name, how) for name, how in choices if how[0] != "no JSON" or name.endswith(".json")]
    rng.shuffle(choices)
    for name, (how, spoil) in choices[: 2 * count]:
        folder = base.fresh(stage, place)
        model = Path(shutil.copytree(MODEL, folder / MODEL.name))
        spoil(model / name)
        argv = [MODEL.name if word == str(MODEL) else word for word in base.argv(stage, folder)]
        done = base.launch(argv, folder, faults={"frozen": True})
        if done.status == 0:
            found = {of: held for of, held in contents(folder / "indexes").items() if of.endswith(".npy")}
            same = {of.removeprefix("indexes/"): held for of, held in wanted.items()}
            told = how == "missing" and f"has no {name}" in done.err
            row.count(f"{name} {how}: other embeddings" if differing(found, same) and not told else "")
        else:
            right = done.told and (MODEL.name in done.err or name in done.err)
            row.count("" if right else f"{name} {how}: ended with {done.status}: {done.err[-500:]}")
    return row


def other_weights(base: Base, place: Path, count: int, rng: random.Random) -> Row:
    """A model whose weights have changed by one bit since it was indexed."""
    row = Row(
        "one bit of a model's weights turned after its documents were encoded",
        "one line that says that the model is another",
        COMMAND,
    )
    stage = STAGES["index dense"]
    for _ in range(count):
        folder = base.fresh(stage, place)
        model = Path(shutil.copytree(MODEL, folder / MODEL.name))
        path = model / "model.safetensors"
        held = bytearray(path.read_bytes())
        held[rng.randrange(len(held) // 2, len(held))] ^= 1 << rng.randrange(8)
        path.write_bytes(held)
        argv = [MODEL.name if word == str(MODEL) else word for word in base.argv(stage, folder)]
        done = base.launch(argv, folder)
        right = done.told and "encoder.revision" in done.err
        row.count("" if right else f"ended with {done.status}: {done.err[-400:]}")
    return row


def versions(base: Base, place: Path) -> Row:
    """Indexes of another release's form."""
    row = Row("an index of another version's form", "one line that says so; nothing is removed", COMMAND)
    cases = {
        "index dense": ("dense", "dense"), "index sparse": ("sparse_16+edge_2", "sparse:16+edge:2"),
        "index dense:hnsw": ("dense_hnsw,8", "dense:hnsw,8"), "index bm25": ("bm25", "bm25"),
        "index bm25-idf": ("bm25-idf", "bm25-idf"),
    }  # fmt: skip
    for name, (made, system) in cases.items():
        shutil.rmtree(place, ignore_errors=True)
        folder = Path(shutil.copytree(base.result(STAGES[name]), place))
        (path,) = folder.glob(f"indexes/many*/**/{made}/manifest.json")
        found = json.loads(path.read_text())
        found["identity"]["form"] = "the form of a release to come"
        path.write_text(json.dumps(store.sealed({key: value for key, value in found.items() if key != "sha256"})))
        before = contents(folder, ())
        done = base.launch(base.filled(_on("search", system), folder), folder)
        wrong = "" if done.told and "form" in done.err else f"ended with {done.status}: {done.err[-400:]}"
        row.count(f"{name}: {w}" if (w := wrong or ", ".join(differing(contents(folder, ()), before))) else "")
    return row
