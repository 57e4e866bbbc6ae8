"""A filter inside a FAISS index, so that raw embeddings go in and raw queries come: `wrap(filter, "IVF4096,PQ64")`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

from rarityir import store
from rarityir.filters import EmbedFilter
from rarityir.integrations import exports
from rarityir.types import Encoder, RarityError

Metric = Literal["cosine", "ip", "l2"]
INDEX, TRANSFORM = "index.faiss", "filter.vt"


def transform(filter: EmbedFilter) -> Any:
    """Returns the `faiss.LinearTransform` D → K that is this filter, with a bias if the filter has a mean.

    It needs no training. `reverse_transform`, and with it `reconstruct` of an index behind it, works where the basis is
    orthonormal, and gives the embedding without what the filter takes away.
    """
    import faiss

    kept, width = filter.basis.shape
    found = faiss.LinearTransform(width, kept, filter.mean is not None)
    faiss.copy_array_to_vector(np.ascontiguousarray(filter.basis, np.float32).ravel(), found.A)
    if filter.mean is not None:
        faiss.copy_array_to_vector(filter.bias, found.b)
    found.is_trained = True
    found.set_is_orthonormal()
    return found


def wrap(filter: EmbedFilter, index: Any, metric: Metric = "cosine") -> Any:
    """Returns a `faiss.IndexPreTransform` that filters raw (N, D) embeddings, and for `cosine` normalises them.

    Args:
        index: a factory string such as `Flat` or `IVF4096,PQ64` (train it with raw embeddings), or an index of (K,) vectors
            that are filtered already, for `cosine` normalised too; what it holds stays.
        metric: `cosine`, `ip` or `l2`. Scores are those of FAISS: cosines, inner products, squared distances.

    An index of another width or metric is a `RarityError`.
    """
    import faiss

    if metric not in ("cosine", "ip", "l2"):
        raise RarityError(f"unknown metric {metric!r}; known: cosine, ip, l2")
    kept = len(filter.basis)
    kind = faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT
    if isinstance(index, str):
        try:
            index = faiss.index_factory(kept, index, kind)
        except RuntimeError as error:
            raise RarityError(f"FAISS makes no index {index!r} of {kept} floats ({_reason(error)})") from None
    if index.d != kept:
        raise RarityError(f"this index takes {index.d} floats, filter {filter.name} gives {kept}")
    if index.metric_type != kind:
        name = {faiss.METRIC_L2: "l2", faiss.METRIC_INNER_PRODUCT: "inner product"}.get(index.metric_type, "another metric")
        raise RarityError(f"this index ranks by {name}, which is not {metric}; give the metric it was built with")
    if metric == "cosine":
        index = faiss.IndexPreTransform(faiss.NormalizationTransform(kept, 2.0), index)
    else:
        index = faiss.IndexPreTransform(index)
    index.prepend_transform(transform(filter))
    return index


def export(encoder: Encoder, filter: EmbedFilter, out: str | Path) -> Path:
    """Writes `index.faiss`, an empty exact index by cosine that takes raw embeddings, and `filter.vt`, the transform alone.

    Both are read without rarityir: `faiss.read_index`, `faiss.read_VectorTransform`.
    """
    import faiss

    exports.check(encoder, filter)
    with exports.folder(Path(out), "faiss", encoder, filter) as folder:
        with store.replacing(folder / INDEX) as temporary:
            faiss.write_index(wrap(filter, "Flat"), str(temporary))
        with store.replacing(folder / TRANSFORM) as temporary:
            faiss.write_VectorTransform(transform(filter), str(temporary))
    return Path(out)


def _reason(error: RuntimeError) -> str:
    """The last part of FAISS's message, which begins with the place in its source."""
    return str(error).strip().splitlines()[-1].rpartition("Error: ")[2][:160]
