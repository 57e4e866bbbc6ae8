"""Relations between named things as offsets of their vectors: who treats what, which document answers which query.

    import rarityir as ri
    relation = ri.analogy.Relation.fit(queries, answers, pairs)
    run = relation.search(queries, answers, leave_out="query")

A name below is imported when it is first used.
"""

from __future__ import annotations

from rarityir import registry

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

__getattr__, __dir__ = registry.lazy(__name__, _HOMES)
