"""Experiments one after another in one process: its memory (Java's too), its open files and its threads stay what they were.

What is held is measured, not what allocators keep for the next time: Python's own gives back only arenas of a mebibyte in which
nothing lives, so it is left out (`PYTHONMALLOC=malloc`), and glibc is asked to give back what is free. The most that an
experiment needs meanwhile is measured as well, and compared with what the first one needed.
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
    """Yields one row: the experiments, and what is said of them."""
    yield row(measured(place, EXPERIMENTS))


def measured(place: Path, experiments: int) -> list[dict[str, int]]:
    """Returns resident KiB, the most meanwhile, open files and threads of so many experiments in a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1", "PYTHONMALLOC": "malloc"}
    argv = [sys.executable, str(Path(__file__)), str(place), str(experiments)]
    done = subprocess.run(argv, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def row(found: Sequence[dict[str, int]]) -> Row:
    """Returns what measurements come to."""
    kept = found[len(found) // 3 :]
    slope = statistics.linear_regression(range(len(kept)), [one["kib"] for one in kept]).slope
    more = {name: max(one[name] for one in kept) - kept[0][name] for name in ("files", "threads")}
    needed = max(one["peak"] for one in found) / found[0]["peak"]
    note = (
        f"Measured after the first third: {slope:+.1f} KiB an experiment at {kept[-1]['kib'] / 1024:,.0f} MiB, "
        f"at most {more['files']} more open files and {more['threads']} more threads; "
        f"no experiment needed more than {needed:.3f} of what the first did ({found[0]['peak'] / 1024:,.0f} MiB)."
    )
    flat = slope < MOST and needed <= ROOM and more["files"] <= 2 and more["threads"] <= 2
    promise = (
        f"what is held, Java's too, grows by less than {MOST:g} KiB an experiment; none needs more than {ROOM - 1:.0%} above "
        "what the first did; open files and threads do not grow"
    )
    return Row(
        f"{len(found)} experiments in one process", promise, COMMAND, len(found), 0 if flat else 1, note, [] if flat else [note]
    )


def main(place: Path, experiments: int) -> None:
    """Performs experiments and prints a line after each."""
    import rarityir as ri

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
