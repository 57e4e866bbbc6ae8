"""Token rarity in a model's matrices: statistics of tokens, probes of rows, weights without a corpus, pictures of it all.

    import rarityir as ri
    probe = ri.rarity.RarityProbe().fit(X, y, counts=counts)

A name below is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES: dict[str, str] = {
    "Forms": "forms",
    "Labels": "labels",
    "Matrix": "rows",
    "ProbeResult": "result",
    "RarityProbe": "probe",
    "Sample": "sample",
    "TokenStats": "stats",
    "predict": "predictions",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
