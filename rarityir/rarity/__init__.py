"""Token rarity in a model's matrices: statistics of tokens, probes of rows, weights without a corpus, pictures of it all.

    import rarityir as ri
    probe = ri.rarity.RarityProbe().fit(X, y, counts=counts)

A name below is imported when it is first used.
"""

from __future__ import annotations

from rarityir import registry

_HOMES: dict[str, str] = {
    "Forms": "forms",
    "Labels": "labels",
    "Matrix": "rows",
    "ProbeResult": "result",
    "RarityProbe": "probe",
    "Sample": "sample",
    "TokenStats": "stats",
    "heat_maps": "heat",
    "predict": "predictions",
}

__all__ = sorted(_HOMES)

__getattr__, __dir__ = registry.lazy(__name__, _HOMES)
