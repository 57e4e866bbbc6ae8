"""The memory that a process holds of its own: what memory-maps hold of files is the system's to take back."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

EVERY = 0.02  # seconds between two looks


class Peak:
    """The most seen, in MiB."""

    mib = 0.0


@contextmanager
def peak() -> Iterator[Peak]:
    """Gives the most private memory (resident, anonymous or shared without a file) of this process and its children meanwhile."""
    found, done = Peak(), threading.Event()

    def watch() -> None:
        while not done.is_set():
            found.mib = max(found.mib, sum(map(held, [os.getpid(), *_children(os.getpid())])))
            done.wait(EVERY)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        done.set()
        thread.join()


def held(process: int) -> float:
    """Returns a process's private memory in MiB; 0 for one that is gone."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in status.splitlines() if line.startswith(("RssAnon", "RssShmem"))) / 1024


def _children(process: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{process}/task").iterdir():
        try:
            children = [int(child) for child in (task / "children").read_text().split()]
        except OSError:
            continue
        found += children + [below for child in children for below in _children(child)]
    return found
