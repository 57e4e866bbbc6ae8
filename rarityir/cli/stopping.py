"""How a command is stopped: Ctrl-C, and the signal by which a queue or a container ends its jobs, keep what was done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Terminated(KeyboardInterrupt):
    """SIGTERM, which stops a command as Ctrl-C does."""


@contextmanager
def terminable() -> Iterator[None]:
    """Lets SIGTERM raise `Terminated` meanwhile, so that what is under way is kept; in a thread it changes nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _raise)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def status(error: BaseException) -> int:
    """Returns the exit status of a command that was stopped: 143 by SIGTERM, 130 by Ctrl-C; from here on Ctrl-C is ignored."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one would be a traceback
    return 143 if isinstance(error, Terminated) or isinstance(error.__cause__, Terminated) else 130


def _raise(number: int, frame: Any) -> None:
    raise Terminated
