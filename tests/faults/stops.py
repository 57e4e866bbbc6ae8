"""Ctrl-C, the signal that ends a job, and a reader that goes away: one line, its status, and the same bytes afterwards."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from faults.harness import MODEL, ROOT, Done
from faults.kills import afterwards, moments
from faults.stages import STAGES, Base, Stage
from faults.table import Row

COMMAND = "python -m tests.faults stops"
STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143}
LINE = "rarityir: stopped; the same command goes on where this one was"


def rows(base: Base, place: Path, count: int, rng: random.Random, stages: Sequence[Stage] = ()) -> Iterator[Row]:
    """Yields a row a stage for each of the two signals, at boundaries and at any moment; then pipes whose reader goes away."""
    for number, name in ((signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")):
        for stage in stages or STAGES.values():
            row = Row(
                f"`{stage.name}`: {name}",
                f"status {STATUS[number]}, one line and no traceback; the same command goes on to the same bytes",
                COMMAND,
            )
            base.result(stage)
            tries = max(2, count // 3)
            for at in moments(base.boundaries[stage.name], tries, rng):
                stopped(base, stage, place, row, number, at, 0.0)
            for _ in range(tries):
                stopped(base, stage, place, row, number, 0, rng.uniform(0.02, 1.0) * base.seconds[stage.name])
            yield row
    yield pipes(base, place, max(2, count // 3), rng)


def stopped(base: Base, stage: Stage, place: Path, row: Row, number: int, at: int, after: float) -> None:
    """Stops a command and gives it again; a signal that comes too late counts for nothing."""
    folder = base.fresh(stage, place)
    faults = {"frozen": True, **({"at": at, "signal": number} if at else {})}
    done = base.launch(base.argv(stage, folder), folder, faults=faults, after=after, number=number)
    if done.status == 0:
        return
    where = f"{stage.name}, {signal.Signals(number).name} at {at or f'{after:.2f} s'}"
    wrong = ending(done, STATUS[number]) or afterwards(base, stage, folder)
    row.count(f"{where}: {wrong}" if wrong else "")


def ending(done: Done, status: int) -> str:
    """Says what is wrong with how a stopped command ended."""
    if done.status != status:
        return f"ended with {done.status}: {done.err[-600:]}"
    told = [line for line in done.err.splitlines() if line.startswith("rarityir: ")]
    if told != [LINE] or "Traceback" in done.err:
        return f"said {done.err[-600:]!r}"
    return ""


def pipes(base: Base, place: Path, count: int, rng: random.Random) -> Row:
    """Reads some of what commands print, and goes away: no traceback, nothing half written."""
    row = Row("the reader of a command's output goes away (`| head`)", "nothing is said: no traceback, no error", COMMAND)
    folder = base.fresh(STAGES["encode"], place)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}
    search = base.filled(tuple(word for word in STAGES["search"].argv if word not in ("--out", "runs/dense.trec")), folder)
    commands = (search, ["rarity", "stats", "--dataset", str(base.many), "--model", str(MODEL), "--json"], ["list"], ["--help"])
    for number in range(count):
        argv = [sys.executable, "-m", "rarityir", "-q", *commands[number % len(commands)]]
        process = subprocess.Popen(argv, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(rng.choice([0, 1, 100]))
        process.stdout.close()
        said = process.stderr.read().decode()
        process.stderr.close()
        status = process.wait(120)
        right = status in (0, 1, 141) and not said  # click itself ends with 1
        row.count("" if right else f"{argv[4:6]}: status {status}, said {said[-400:]!r}")
    return row
