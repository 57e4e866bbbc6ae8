"""How informative tokens are: the divergence of what stands around a token, or of what a model expects after it, from the usual.

    import rarityir as ri
    w = ri.informativeness.from_corpus("scifact", "demo", context="document")
    w.save("weights")          # then: sparse:64,weights=weights · bm25-idf:weights · --pooling weighted:weights

Source: "Norm of Word Embedding Encodes Information Gain" (Oyama, Yokoi and Shimodaira, EMNLP 2023, arXiv 2212.09663). A name
below is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES: dict[str, str] = {
    "TokenInformation": "table",
    "compare": "comparing",
    "from_corpus": "corpus",
    "from_model": "model",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
