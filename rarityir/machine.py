"""What the machine gives and refuses: cores, whether a process lives, why a disk took no more."""

from __future__ import annotations

import errno
import mmap
import os
from pathlib import Path

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def cores() -> int:
    """Returns the cores that this process may use, which a container or taskset may make fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def alive(process: str) -> bool:
    """Returns whether there is a process of this number."""
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    except PermissionError:  # another user's
        return True
    return True


def refusal(error: BaseException, temporary: Path, path: Path) -> BaseException:
    """Returns what the system says of a file that was not written whole, and its name; the error itself if it says nothing."""
    if isinstance(error, RuntimeError) or (isinstance(error, OSError) and error.errno is None):
        try:
            with temporary.open("ab") as file:
                file.write(bytes(mmap.PAGESIZE))
                file.flush()
                os.fsync(file.fileno())
        except OSError as cause:
            error = cause
    if isinstance(error, OSError) and error.errno in _NO_ROOM and error.filename is None:
        error.filename = str(path)
    return error
