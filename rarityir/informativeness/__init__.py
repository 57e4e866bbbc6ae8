"""How informative tokens are: the divergence of what stands around a token, or of what a model expects after it, from the usual.

    import rarityir as ri
    w = ri.informativeness.from_corpus("scifact", "demo", context="document")
    w.save("weights")          # then: sparse:64,weights=weights · bm25-idf:weights · --pooling weighted:weights

Source: "Norm of Word Embedding Encodes Information Gain" (Oyama, Yokoi and Shimodaira, EMNLP 2023, arXiv 2212.09663). A name
below is imported when it is first used.
"""

from __future__ import annotations

from rarityir import registry

_HOMES: dict[str, str] = {
    "TokenInformation": "table",
    "compare": "comparing",
    "from_corpus": "corpus",
    "from_model": "model",
    "overlaps": "angles",
    "regress": "regressing",
}

__all__ = sorted(_HOMES)

__getattr__, __dir__ = registry.lazy(__name__, _HOMES)
