"""Independent component analysis of embeddings: axes with a meaning each, what a cosine is made of, what an axis is worth.

    import rarityir as ri
    axes = ri.ica.ICA(n_components=64, seed=0).fit(X)
    axes.explain(q, d)

A name below is imported when it is first used.
"""

from __future__ import annotations

from rarityir import registry

_HOMES: dict[str, str] = {
    "Axes": "axes",
    "AxisHit": "cosine",
    "ICA": "fitting",
    "Sweep": "sweeping",
    "Structure": "structure",
    "Tree": "tree",
    "coherence": "intrusion",
    "higher_order": "structure",
    "ideal": "cosine",
    "match": "pairing",
    "rarity_correlation": "rarity",
    "spanning_tree": "tree",
    "sweep": "sweeping",
}

__all__ = sorted(_HOMES)

__getattr__, __dir__ = registry.lazy(__name__, _HOMES)
