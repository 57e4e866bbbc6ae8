"""Signal 9 at boundaries of what changes the disk, and at any moment: the same command, given again, comes to the same bytes."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

from faults.harness import contents, differing, left_behind
from faults.stages import STAGES, Base, Stage
from faults.table import Row

COMMAND = "python -m tests.faults kills"
NOTES = "A user's own file stands beside what is written.\n"
OLD = "q0 Q0 d0000 1 1 earlier\n"  # a run of the same name that was there before


def moments(passed: Sequence[str], count: int, rng: random.Random) -> list[int]:
    """Returns so many boundaries: half of any kind of call as often as of any other, half of all boundaries alike."""
    kinds = sorted(set(passed))
    chosen = []
    for number in range(count):
        if number % 2:
            chosen.append(rng.randrange(len(passed)) + 1)
        else:
            kind = kinds[number // 2 % len(kinds)]
            chosen.append(rng.choice([at for at, name in enumerate(passed, start=1) if name == kind]))
    return chosen


def rows(base: Base, place: Path, count: int, rng: random.Random, stages: Sequence[Stage] = ()) -> Iterator[Row]:
    """Yields a row a stage: so many kills at boundaries, every fourth command killed twice, and a third as many at any moment."""
    for stage in stages or STAGES.values():
        row = Row(
            f"`{stage.name}`: signal 9",
            "the same command again succeeds; what it makes is the same to the byte; no other file is touched",
            COMMAND,
        )
        base.result(stage)
        for number, at in enumerate(moments(base.boundaries[stage.name], count, rng)):
            # The commands that follow a kill have less to do, so a second kill may come too late.
            second = [rng.randint(1, max(2, len(base.boundaries[stage.name]) // 3))] if number % 4 == 3 else []
            killed(base, stage, place, row, [at, *second], 0.0)
        for _ in range(count // 3):
            killed(base, stage, place, row, [], rng.uniform(0.02, 1.0) * base.seconds[stage.name])
        yield row


def killed(base: Base, stage: Stage, place: Path, row: Row, boundaries: Sequence[int], after: float) -> None:
    """Kills a command, once or twice, gives it again, and counts what was lost, if it was killed at all."""
    folder, kills, wrong = base.fresh(stage, place), 0, ""
    old = folder / "runs" / "dense.trec" if stage.name == "search" else None
    if old:
        old.parent.mkdir()
        old.write_text(OLD)
    for at in boundaries or [0]:
        faults = {"frozen": True, **({"at": at} if at else {})}
        done = base.launch(base.argv(stage, folder), folder, faults=faults, after=after)
        kills += done.status == -signal.SIGKILL
        if done.status not in (0, -signal.SIGKILL):
            wrong = wrong or f"ended with {done.status}: {done.err[-300:]}"
    if old and old.read_text() not in (OLD, (base.result(stage) / "runs" / "dense.trec").read_text()):
        wrong = "the run that was there is neither the old nor the new one"
    wrong = wrong or afterwards(base, stage, folder)
    where = f"{stage.name}, killed at {boundaries or f'{after:.2f} s'}"
    for number in range(kills):
        row.count(f"{where}: {wrong}" if wrong and number == 0 else "")


def afterwards(base: Base, stage: Stage, folder: Path) -> str:
    """Gives the command again, undisturbed, and says what is wrong then; nothing if all is as it must be."""
    done = base.launch(base.argv(stage, folder), folder, faults={"frozen": True})
    if done.status:
        return f"the command again ends with {done.status}: {done.err[-300:]}"
    base.show(stage, folder)
    if (folder / "notes.txt").read_text() != NOTES:
        return "the user's own file was changed"
    if left := left_behind(folder):
        return f"left behind: {left[:3]}"
    found = {name: held for name, held in contents(folder).items() if not name.endswith(".tmp")}
    if wrong := differing(found, base.wanted(stage)):
        return f"other bytes: {wrong[:3]}"
    return ""
