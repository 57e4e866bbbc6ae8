"""Relations between named things as offsets of their vectors: who treats what, which document answers which query.

    import rarityir as ri
    relation = ri.analogy.Relation.fit(queries, answers, pairs)
    run = relation.search(queries, answers, leave_out="query")

A name below is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES: dict[str, str] = {
    "Named": "named",
    "Pair": "pairs",
    "Relation": "relation",
    "Task": "task",
    "evaluate": "scoring",
    "learn": "offsets",
    "read_pairs": "pairs",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
