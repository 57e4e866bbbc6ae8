"""Full disks, folders that cannot be written, files that may not grow: one line says so, and room later is all it takes."""

from __future__ import annotations

import errno
import os
import random
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from faults.harness import contents, differing
from faults.kills import afterwards
from faults.stages import STAGES, Base, Stage, _on
from faults.table import Row

COMMAND = "python -m tests.faults disk"
ROOM = 256 << 20
PAGE = 4096
FULL = re.compile("No space left on device|is the disk full")
LIMIT = re.compile("File too large|is the disk full")
WRITES = {"write", "writelines", "flush", "fsync", "truncate", "tofile", "mkdir"}
NOBODY = 65534  # who the folders belong to that this user may read alone
LATER = "one line that names the cause; with room the same command goes on to the same bytes"


@contextmanager
def mounted(place: Path, options: str) -> Iterator[Path]:
    """Mounts a file system in memory; `OSError` where that is not allowed."""
    place.mkdir(parents=True, exist_ok=True)
    mount("-t", "tmpfs", "-o", options, "none", str(place))
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False, capture_output=True)


def mount(*words: str) -> None:
    """Calls mount; `OSError` where it is not allowed."""
    done = subprocess.run(["mount", *words], check=False, capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"mount {' '.join(words)}: {done.stderr.strip()}")


def pages(folder: Path) -> int:
    """Returns the bytes that a folder's files take of a file system in memory."""
    return sum(-(-path.stat().st_size // PAGE) * PAGE for path in folder.rglob("*") if path.is_file())


def rows(base: Base, place: Path, count: int, rng: random.Random, stages: Sequence[Stage] = ()) -> Iterator[Row]:
    """Yields the rows of every fault of a disk."""
    chosen = list(stages) or list(STAGES.values())
    tries = max(2, count // 3)
    for stage in chosen:
        yield full(base, stage, place, tries, rng)
    yield refused(base, chosen, place, tries, rng)
    yield few_files(base, chosen, place, rng)
    yield limited(base, chosen, place, rng)
    yield read_only(base, chosen, place)
    yield not_ours(base, chosen, place)
    yield shared(base, place)


def full(base: Base, stage: Stage, place: Path, tries: int, rng: random.Random) -> Row:
    """A disk that is full somewhere on the way."""
    row = Row(f"`{stage.name}`: full disk", LATER, COMMAND)
    least, most = pages(base.before(stage)), pages(base.result(stage))
    for _ in range(tries):
        size = least + PAGE * rng.randrange(max(1, (most - least) // PAGE))  # less than the result takes, if by one page alone
        with mounted(place.with_name("small"), f"size={size}") as disk:
            folder = disk / "work"
            shutil.copytree(base.before(stage), folder)
            done = base.launch(base.argv(stage, folder), folder, faults={"frozen": True})
            if done.status == 0:
                continue  # it was room enough
            wrong = "" if done.told and FULL.search(done.err) else f"ended with {done.status}: {done.err[-500:]}"
            mount("-o", f"remount,size={ROOM}", str(disk))
            wrong = wrong or afterwards(base, stage, folder)
            row.count(f"{stage.name} with {size} bytes: {wrong}" if wrong else "")
    return row


def refused(base: Base, stages: Sequence[Stage], place: Path, tries: int, rng: random.Random) -> Row:
    """A call that changes the disk and fails, by a quota that is used up or a disk that breaks."""
    row = Row("a call that writes fails (EDQUOT, EIO)", LATER, COMMAND)
    for stage in stages:
        base.result(stage)
        passed = [at for at, name in enumerate(base.boundaries[stage.name], start=1) if name in WRITES]
        for number, at in enumerate(rng.sample(passed, min(tries, len(passed)))):
            folder, error = base.fresh(stage, place), (errno.EDQUOT, errno.EIO)[number % 2]
            done = base.launch(base.argv(stage, folder), folder, faults={"frozen": True, "at": at, "errno": error})
            right = done.status == 0 or (done.told and os.strerror(error) in done.err)  # not every folder must be made anew
            wrong = "" if right else f"ended with {done.status}: {done.err[-500:]}"
            wrong = wrong or afterwards(base, stage, folder)
            row.count(f"{stage.name} at {at}: {wrong}" if wrong else "")
    return row


def few_files(base: Base, stages: Sequence[Stage], place: Path, rng: random.Random) -> Row:
    """A disk that has room for few more files."""
    row = Row("no room for another file (inodes)", LATER, COMMAND)
    for stage in stages:
        there = sum(1 for _ in base.before(stage).rglob("*")) + 4
        with mounted(place.with_name("few"), f"size={ROOM},nr_inodes={there + rng.randint(0, 6)}") as disk:
            folder = disk / "work"
            shutil.copytree(base.before(stage), folder)
            done = base.launch(base.argv(stage, folder), folder, faults={"frozen": True})
            if done.status == 0:
                continue
            wrong = "" if done.told and FULL.search(done.err) else f"ended with {done.status}: {done.err[-500:]}"
            mount("-o", "remount,nr_inodes=100000", str(disk))
            wrong = wrong or afterwards(base, stage, folder)
            row.count(f"{stage.name}: {wrong}" if wrong else "")
    return row


def limited(base: Base, stages: Sequence[Stage], place: Path, rng: random.Random) -> Row:
    """Files that may not grow beyond a size, as a quota has it."""
    row = Row("a limit of a file's size (RLIMIT_FSIZE)", LATER, COMMAND)
    for stage in stages:
        folder = base.fresh(stage, place)
        new = [path for path in base.result(stage).rglob("*") if path.is_file() and not (folder / path.name).exists()]
        size = rng.randrange(1, max(2, max(path.stat().st_size for path in new)))
        done = base.launch(base.argv(stage, folder), folder, faults={"frozen": True, "fsize": size})
        if done.status == 0:
            continue
        wrong = "" if done.told and LIMIT.search(done.err) else f"ended with {done.status}: {done.err[-500:]}"
        wrong = wrong or afterwards(base, stage, folder)
        row.count(f"{stage.name}, {size} bytes: {wrong}" if wrong else "")
    return row


def read_only(base: Base, stages: Sequence[Stage], place: Path) -> Row:
    """A file system that is read alone."""
    row = Row("a file system mounted read-only", "one line that names the file; nothing changes", COMMAND)
    for stage in stages:
        with mounted(place.with_name("fixed"), f"size={ROOM}") as disk:
            folder = disk / "work"
            shutil.copytree(base.before(stage), folder)
            mount("-o", "remount,ro", str(disk))
            done = base.launch(base.argv(stage, folder), folder, faults={"frozen": True})
            right = done.told and "Read-only file system" in done.err
            row.count("" if right else f"{stage.name}: ended with {done.status}: {done.err[-500:]}")
    return row


def not_ours(base: Base, stages: Sequence[Stage], place: Path) -> Row:
    """A folder that belongs to someone else."""
    row = Row("a folder that someone else may write alone", "one line that names the file; nothing changes", COMMAND)
    if os.geteuid():
        return row
    for stage in stages:
        folder = base.fresh(stage, place)
        given_away(folder)
        before = contents(folder)
        done = base.launch(base.argv(stage, folder), folder, faults={"frozen": True, "plain": True})
        wrong = "" if done.told and "Permission denied" in done.err else f"ended with {done.status}: {done.err[-500:]}"
        wrong = wrong or ", ".join(differing(contents(folder), before))
        row.count(f"{stage.name}: {wrong}" if wrong else "")
    return row


def shared(base: Base, place: Path) -> Row:
    """What is complete is read by others, who may write nothing of it."""
    row = Row("indexes that someone else has built and one may only read", "the same run", COMMAND)
    if os.geteuid():
        return row
    for name, system in (("index dense", "dense"), ("index sparse", "sparse:16+edge:2"), ("index bm25", "bm25")):
        shutil.rmtree(place, ignore_errors=True)
        folder = Path(shutil.copytree(base.result(STAGES[name]), place))
        given_away(folder)
        argv = base.filled(_on("search", system), folder)
        wanted = base.launch(argv, folder)
        done = base.launch(argv, folder, faults={"plain": True})
        row.count("" if (done.status, done.out) == (0, wanted.out) else f"{system}: ended with {done.status}: {done.err[-500:]}")
    return row


def given_away(folder: Path) -> None:
    """Gives a folder to another user, and lets all read it."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.chown(path, NOBODY, NOBODY)
