"""A filter behind any LangChain embedding model: `FilteredEmbeddings(base, filter)` (extra `langchain`)."""

from __future__ import annotations

import numpy as np

from rarityir.retrieval import normalised
from rarityir.types import Filter, MissingExtra

try:
    from langchain_core.embeddings import Embeddings
except ImportError:
    raise MissingExtra("rarityir.integrations.langchain needs langchain-core: pip install 'rarityir[langchain]'") from None


class FilteredEmbeddings(Embeddings):  # type: ignore[misc]
    """Embeds with another model, then filters: K floats a text instead of D.

    The vectors have unit length, so that stores by dot product and by cosine agree; `normalise=False` leaves their length.
    A base model of another width than the filter's is a `RarityError` at the first text.
    """

    def __init__(self, base: Embeddings, filter: Filter, *, normalise: bool = True) -> None:
        self.base = base
        self.filter = filter
        self.normalise = normalise

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Returns the filtered embeddings of documents."""
        return self._filtered(self.base.embed_documents(texts))

    def embed_query(self, text: str) -> list[float]:
        """Returns the filtered embedding of a query."""
        return self._filtered([self.base.embed_query(text)])[0]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """Returns the filtered embeddings of documents, by the base model's own asynchronous call."""
        return self._filtered(await self.base.aembed_documents(texts))

    async def aembed_query(self, text: str) -> list[float]:
        """Returns the filtered embedding of a query, by the base model's own asynchronous call."""
        return self._filtered([await self.base.aembed_query(text)])[0]

    def _filtered(self, vectors: list[list[float]]) -> list[list[float]]:
        if not vectors:
            return []
        x_BK = self.filter(np.asarray(vectors, np.float32))
        rows: list[list[float]] = (normalised(x_BK) if self.normalise else x_BK).tolist()
        return rows
