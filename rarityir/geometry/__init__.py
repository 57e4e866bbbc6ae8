"""Directions in the space of tokens: what lies near them, whether it belongs together, and how much of that is chance.

    import rarityir as ri
    table = ri.geometry.icc(E, labels)

A name below is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES: dict[str, str] = {
    "ICCTable": "correlation",
    "Neighbours": "nearest",
    "coherence": "agreement",
    "directions": "families",
    "icc": "correlation",
    "isotropic": "cosines",
    "label_systems": "labelling",
    "neighbours": "nearest",
    "report": "study",
    "variant": "variants",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
