"""Names of files that are being written, beside those they will have; and what is left of such when a process was killed."""

from __future__ import annotations

import errno
import mmap
import os
import platform
import re
import shutil
from pathlib import Path

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_HERE = f".{platform.node()}-"
_left: dict[Path, list[str]] = {}  # such names that stood in a folder when this process first wrote there


def beside(path: Path) -> Path:
    """Returns a name of this process's own beside a path, and removes what stands under those of processes that were killed."""
    begin = f".{path.name}{_HERE}"
    if path.parent not in _left:  # looked for once: a folder of a million documents has thousands of files
        if len(_left) >= 64:
            _left.clear()
        _left[path.parent] = [name for name in os.listdir(path.parent) if _HERE in name and name.endswith(".tmp")]
    for name in _left[path.parent]:
        left = path.with_name(name)
        if name.startswith(begin) and not written(name):
            shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)
    return path.with_name(f"{begin}{os.getpid()}.tmp")


def written(name: str) -> bool | None:
    """Returns whether the process that `beside` gave a name to still runs here; None for a name that is none of this machine's.

    Earlier releases left the machine's name out.
    """
    process = re.fullmatch(rf"\..+\.(?:{re.escape(platform.node())}-)?(\d+)\.tmp", name)
    return None if process is None else _alive(process[1])


def unnamed(path: Path) -> bool:
    """Returns whether a file never came to its name: the process that wrote it was stopped."""
    return path.name.startswith(".") and path.name.endswith(".tmp")


def refusal(error: BaseException, temporary: Path, path: Path) -> BaseException:
    """Returns what the system says of a file that is not whole, by the file's name; the same error if it was not the disk's."""
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


def _alive(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    except PermissionError:  # another user's
        return True
    return True
