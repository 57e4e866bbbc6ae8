"""Names of files that are being written, beside those they will have; and what is left of such when a process was killed."""

from __future__ import annotations

import os
import platform
import re
import shutil
from pathlib import Path

from rarityir import machine

_HERE = f".{platform.node()}-"
_left: dict[Path, list[str]] = {}  # such names that stood in a folder when this process first wrote there


def beside(path: Path) -> Path:
    """Returns a name of this process's own beside a path, and removes what stands under those of processes that were killed."""
    begin = f".{path.name}{_HERE}"
    if path.parent not in _left:  # looked for once: a folder of a million documents has thousands of files
        if len(_left) >= 64:
            _left.clear()
        names = os.listdir(path.parent) if path.parent.is_dir() else []
        _left[path.parent] = [name for name in names if _HERE in name and name.endswith(".tmp")]
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
    return None if process is None else machine.alive(process[1])


def unnamed(path: Path) -> bool:
    """Returns whether a file never came to its name: the process that wrote it was stopped."""
    return path.name.startswith(".") and path.name.endswith(".tmp")
