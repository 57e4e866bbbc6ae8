"""What every parser promises of any input: a result or one line, soon, and in little memory."""

from __future__ import annotations

import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rarityir.types import RarityError

SECONDS = 1.0  # of a processor, for a small input
ROOM = 1 << 30  # bytes that a reader may take beside what the process has
LONGEST = 2100  # letters of a message
READS = 3  # of an input that takes long


class Hang(BaseException):
    """A reader that does not come back."""


def kept(read: Callable[[], object]) -> str:
    """Returns what was broken of the promise, empty where nothing was.

    What takes long is read again: a slow reader is slow each time, while what is imported or compiled at its first use, or
    collected from what came before it, is not the reader's.
    """
    said = ""
    for _ in range(READS):
        said, took = _reading(read)
        if said or took <= SECONDS:
            return said
        said = f"it took {took:.1f} s"
    return said


def _reading(read: Callable[[], object]) -> tuple[str, float]:
    """Reads once and returns what was broken, and the seconds of a processor it took."""
    started = time.thread_time()
    try:
        with _within():
            read()
    except RarityError as error:
        said = str(error)
        if not said.strip() or len(said.splitlines()) != 1 or len(said) > LONGEST or not _shown(said):
            return f"the message is no line: {said[:200]!r}", 0.0
    except Hang:
        return "it does not come back", 0.0
    except BaseException as error:  # whatever else comes out is what is looked for
        return f"{type(error).__name__}: {str(error)[:200]} at {_place(error)}", 0.0
    return "", time.thread_time() - started


def _shown(said: str) -> bool:
    """Whether a terminal shows a message as it is: no controls, no half characters."""
    try:
        said.encode()
    except UnicodeEncodeError:
        return False
    return not any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in said)


def _place(error: BaseException) -> str:
    found, trace = "", error.__traceback__
    while trace is not None:
        file = Path(trace.tb_frame.f_code.co_filename)
        if "rarityir" in file.parts:
            found = f"{file.name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found


@contextmanager
def _within() -> Iterator[None]:
    """Little memory, and an end after a minute."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = signal.signal(signal.SIGALRM, _ring)
    left, again = signal.setitimer(signal.ITIMER_REAL, 60.0)  # pytest may count with the same clock
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + ROOM, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, left, again)


def _ring(*_: object) -> None:
    raise Hang
