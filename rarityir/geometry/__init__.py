"""Directions in the space of tokens: what lies near them, whether it belongs together, and how much of that is chance.

    import rarityir as ri
    table = ri.geometry.icc(E, labels)

A name below is imported when it is first used.
"""

from __future__ import annotations

from rarityir import registry

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

__getattr__, __dir__ = registry.lazy(__name__, _HOMES)
