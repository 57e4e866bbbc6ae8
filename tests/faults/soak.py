"""Experiments one after another in one process: the memory they need and hold, its open files and its threads stay the same.

As users run them, the most that an experiment needs is compared with what the first one needed. What is held is measured without
those that keep memory for the next time, or take it in steps: Python's allocator gives back only arenas of a mebibyte in which
nothing lives (`PYTHONMALLOC=malloc` leaves it out, and glibc is asked to give back what is free), and Java's compiler takes some
for every method that has run often enough (`-Xint`).
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import random
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

TESTS = Path(__file__).parents[1]
if __name__ == "__main__":
    sys.path[:0] = [str(TESTS), str(TESTS.parent)]

from faults.harness import MODEL, collection  # noqa: E402
from faults.stages import Base, Stage  # noqa: E402
from faults.table import Row  # noqa: E402

COMMAND = "python -m tests.faults soak"
EXPERIMENTS = 200
FRESH = 10  # after so many experiments indexes are built anew
SYSTEMS = ("bm25", "dense", "sparse:16+edge:2", "rrf(bm25,dense)")
MOST = 64.0  # KiB an experiment, by the line of least squares after the first third
ROOM = 1.02  # of what the first experiment needed at most


def rows(base: Base, place: Path, count: int, rng: random.Random, stages: Sequence[Stage] = ()) -> Iterator[Row]:
    """Yields two rows: experiments as they are, and what they hold."""
    yield needed(measured(place / "needed", EXPERIMENTS))
    yield held(measured(place / "held", EXPERIMENTS, PYTHONMALLOC="malloc", JAVA_TOOL_OPTIONS="-Xint"))


def measured(place: Path, experiments: int, **given: str) -> list[dict[str, int]]:
    """Returns held KiB, the most meanwhile, open files and threads of so many experiments in a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1", **given}
    argv = [sys.executable, str(Path(__file__)), str(place), str(experiments)]
    done = subprocess.run(argv, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def needed(found: Sequence[dict[str, int]]) -> Row:
    """Returns what the most that experiments needed, their open files and threads come to."""
    first, kept = found[0]["peak"], found[len(found) // 3 :]
    share = max(one["peak"] for one in found[1:]) / first
    more = {name: max(one[name] for one in kept) - kept[0][name] for name in ("files", "threads")}
    note = (
        f"The first needed {first / 1024:,.0f} MiB, none of the others more than {share:.3f} of that; after the first third "
        f"at most {more['files']} more files were open, and {more['threads']} more threads ran."
    )
    promise = f"none needs more memory than the first, or {ROOM - 1:.0%} above it; open files and threads do not grow"
    return _row("", promise, found, note, flat=share <= ROOM and more["files"] <= 2 and more["threads"] <= 2)


def held(found: Sequence[dict[str, int]]) -> Row:
    """Returns what the memory that is held after each experiment comes to."""
    kept = found[len(found) // 3 :]
    slope = statistics.linear_regression(range(len(kept)), [one["kib"] for one in kept]).slope
    note = f"After the first third {slope:+.1f} KiB an experiment, at {kept[-1]['kib'] / 1024:,.0f} MiB."
    promise = f"what is held, Java's too, grows by less than {MOST:g} KiB an experiment"
    return _row(", allocators' and compilers' own left out", promise, found, note, flat=slope < MOST)


def _row(how: str, promise: str, found: Sequence[dict[str, int]], note: str, *, flat: bool) -> Row:
    fault = f"{len(found)} experiments in one process{how}"
    return Row(fault, promise, COMMAND, len(found), 0 if flat else 1, note, [] if flat else [note])


def main(place: Path, experiments: int) -> None:
    """Performs experiments and prints a line after each."""
    import rarityir as ri

    place.mkdir(parents=True, exist_ok=True)
    many, libc = collection(place / "many"), ctypes.CDLL(None)
    for number in range(experiments):
        Path("/proc/self/clear_refs").write_text("5")  # the most so far is forgotten
        experiment = ri.Experiment(
            dataset=str(many), encoder=str(MODEL), device="cpu", systems=SYSTEMS, measures=("nDCG@10", "R@100"),
            indexes=str(place / f"indexes{number // FRESH}"), out=str(place / "out"),
        )  # fmt: skip
        ri.perform(experiment)
        import jnius  # starts Java, which the first experiment has set up

        gc.collect()  # what is held is measured, not what waits to be collected, in Java either
        jnius.autoclass("java.lang.System").gc()
        peak = _status()["VmHWM"]
        libc.malloc_trim(0)
        now = _status()
        files = len(list(Path("/proc/self/fd").iterdir()))
        print(json.dumps({"kib": now["VmRSS"], "peak": peak, "files": files, "threads": now["Threads"]}), flush=True)


def _status() -> dict[str, int]:
    """The numbers of /proc/self/status, in KiB where they are sizes."""
    lines = (line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {name: int(value.split()[0]) for name, value in lines if value.split() and value.split()[0].isdigit()}


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
