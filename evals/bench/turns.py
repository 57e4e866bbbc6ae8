"""Sides that are timed in turn."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def fewest(*sides: Callable[[], Any], repeats: int = 3) -> list[float]:
    """Each side's fewest seconds; they take turns, so that a busy moment of the machine falls on all."""
    taken: list[list[float]] = [[] for _ in sides]
    for side in sides:
        side()
    for _ in range(repeats):
        for side, times in zip(sides, taken, strict=True):
            started = time.perf_counter()
            side()
            times.append(time.perf_counter() - started)
    return [min(times) for times in taken]
