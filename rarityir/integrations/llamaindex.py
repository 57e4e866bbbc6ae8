"""A filter behind any LlamaIndex embedding model: `FilteredEmbedding(base, filter)` (extra `llamaindex`)."""

from __future__ import annotations

import numpy as np

from rarityir.retrieval import normalised
from rarityir.types import Filter, MissingExtra

try:
    from llama_index.core.base.embeddings.base import BaseEmbedding
    from llama_index.core.bridge.pydantic import PrivateAttr
except ImportError:
    raise MissingExtra("rarityir.integrations.llamaindex needs llama-index-core: pip install 'rarityir[llamaindex]'") from None


class FilteredEmbedding(BaseEmbedding):  # type: ignore[misc]
    """Embeds with another model, then filters: K floats a text instead of D.

    The vectors have unit length, so that stores by dot product and by cosine agree; `normalise=False` leaves their length.
    A base model of another width than the filter's is a `RarityError` at the first text. Texts go to the base model in its
    own batches, and through its cache where it has one.
    """

    _base: BaseEmbedding = PrivateAttr()
    _filter: Filter = PrivateAttr()
    _normalise: bool = PrivateAttr()

    def __init__(self, base: BaseEmbedding, filter: Filter, *, normalise: bool = True) -> None:
        super().__init__(model_name=f"{base.model_name}+{filter.name}", embed_batch_size=base.embed_batch_size)
        self._base, self._filter, self._normalise = base, filter, normalise

    @classmethod
    def class_name(cls) -> str:
        """Returns the name LlamaIndex logs."""
        return "FilteredEmbedding"

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return self._filtered(self._base.get_text_embedding_batch(texts))

    async def _aget_text_embedding(self, text: str) -> list[float]:
        return (await self._aget_text_embeddings([text]))[0]

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return self._filtered(await self._base.aget_text_embedding_batch(texts))

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._filtered([self._base.get_query_embedding(query)])[0]

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._filtered([await self._base.aget_query_embedding(query)])[0]

    def _filtered(self, vectors: list[list[float]]) -> list[list[float]]:
        if not vectors:
            return []
        x_BK = self._filter(np.asarray(vectors, np.float32))
        rows: list[list[float]] = (normalised(x_BK) if self._normalise else x_BK).tolist()
        return rows
