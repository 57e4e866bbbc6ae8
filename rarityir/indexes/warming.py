"""What a first search pays for once, before a clock starts: Java that starts, loops that are compiled, pages from the disk."""

from __future__ import annotations

import os
import time
from typing import Any

from rarityir.types import Impacts, Index

AT_ONCE = 16  # queries
SECONDS = 1.0  # after which no more are searched
MOST = 0.5  # of the machine's memory: what a larger index has read is gone before it is read again


def fits(size: int) -> bool:
    """Returns whether an index of so many bytes can stay in memory from one search to the next."""
    return size <= MOST * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def warm(index: Index, queries: Any, count: int, cutoff: int) -> None:
    """Searches an index's queries, some at once, until a second has passed or all are done, and forgets what was found."""
    deadline = time.monotonic() + SECONDS
    for start in range(0, count, AT_ONCE):
        if time.monotonic() > deadline:
            return
        index.search(between(queries, start, start + AT_ONCE), cutoff)


def between(queries: Any, start: int, stop: int) -> Any:
    """Returns queries from start up to stop: of texts, of vectors (Q, K) or of impacts."""
    if not isinstance(queries, Impacts):
        return queries[start:stop]
    indptr = queries.indptr[start : stop + 1]
    held = slice(int(indptr[0]), int(indptr[-1]))
    return Impacts(indptr - indptr[0], queries.token_ids[held], queries.values[held], queries.vocabulary)
