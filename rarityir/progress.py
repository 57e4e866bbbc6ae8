"""Progress on standard error: a bar with rate and time left on a terminal, silence elsewhere and where only errors are wanted."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def bar(what: str, total: int | None, done: int = 0, said: Callable[[], str] = str) -> Iterator[Callable[[int], None]]:
    """Yields a function that advances the bar by a number of items; `done` items were there before.

    What `said` returns stands in the place of the rate, unless it is nothing.
    """
    quiet = not logging.getLogger("rarityir").isEnabledFor(logging.WARNING)
    if quiet or not sys.stderr.isatty():
        yield lambda step: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=total, completed=done, rate="")

        def advance(step: int) -> None:
            speed = progress.tasks[0].speed
            progress.update(task, advance=step, rate=said() or (f"{speed:,.0f}/s" if speed else ""))

        yield advance
