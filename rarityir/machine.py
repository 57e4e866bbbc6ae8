"""What the machine gives and refuses: cores, packages, whether a process lives, why a disk took no more."""

from __future__ import annotations

import errno
import math
import mmap
import os
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def cores() -> int:
    """Returns the cores that this process may use, which taskset, or a container's quota, may make fewer than the machine has."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [math.ceil(int(quota) / int(period)) for quota, period in _quotas() if quota.isdigit() and int(period) > 0]
    return max(1, min([there, *quotas]))


def memory_left() -> int | None:
    """Returns the bytes that a container's limit leaves, its file cache that can be dropped too; None without a limit."""
    left = []
    for folder, most, used, dropped in (
        *((folder, "memory.max", "memory.current", "inactive_file") for folder in _groups()),
        (CGROUPS / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        limit, now, told = (_text(folder / name) for name in (most, used, "memory.stat"))
        if limit.isdigit() and now.isdigit() and int(limit) < 1 << 60:  # the older form says a huge number for none
            cache = dict(line.split(" ", 1) for line in told.splitlines() if " " in line).get(dropped, "0")
            left.append(int(limit) - int(now) + int(cache))
    return max(0, min(left)) if left else None


def _quotas() -> Iterator[tuple[str, str]]:
    """Quotas of processor time and their periods, in both forms that Linux has."""
    for folder in _groups():
        if len(told := _text(folder / "cpu.max").split()) == 2:
            yield told[0], told[1]
    quota, period = (_text(CGROUPS / "cpu" / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
    if quota and period:
        yield quota, period


def _groups() -> Iterator[Path]:
    """The process's control group and all above it: each may set a limit."""
    own = next((line[3:] for line in _text(OWN).splitlines() if line.startswith("0::")), "/")
    folder = CGROUPS / own.strip("/")
    yield folder
    while folder != CGROUPS and CGROUPS in folder.parents:
        folder = folder.parent
        yield folder


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def installed(package: str) -> str | None:
    """Returns a package's release; None where the system does not know it, as of one that was not installed by name."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


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
