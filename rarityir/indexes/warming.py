"""What a first search pays for once, before a clock starts: Java that starts, loops that are compiled, pages from the disk."""

from __future__ import annotations

import time
from typing import Any

from rarityir.types import Impacts, Index

AT_ONCE = 16  # queries
SECONDS = 1.0  # after which no more are searched


def warm(index: Index, queries: Any, count: int, cutoff: int) -> None:
    """Searches some of an index's queries, or all where that is soon done, and forgets what was found."""
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
