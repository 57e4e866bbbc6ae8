"""A filter as Haystack components, after the embedder of queries and after that of documents (extra `haystack`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rarityir.filters import EmbedFilter
from rarityir.retrieval import normalised
from rarityir.types import MissingExtra, RarityError

try:
    from haystack import Document, component, default_from_dict, default_to_dict
except ImportError:
    raise MissingExtra("rarityir.integrations.haystack needs haystack-ai: pip install 'rarityir[haystack]'") from None


class _SavedFilter:
    """A filter read from the folder it was saved in, which is all that a pipeline's YAML needs to name it."""

    def __init__(self, folder: str | Path, *, normalise: bool = True) -> None:
        self.folder = str(folder)
        self.normalise = normalise
        self.filter = EmbedFilter.load(folder)

    def to_dict(self) -> dict[str, Any]:
        """Returns the component as Haystack stores it: its type, the filter's folder, whether lengths become 1."""
        stored: dict[str, Any] = default_to_dict(self, folder=self.folder, normalise=self.normalise)
        return stored

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Any:
        """Returns the component that `to_dict` stored; a folder without a whole filter is a `RarityError`."""
        return default_from_dict(cls, data)

    def _filtered(self, vectors: Sequence[Sequence[float]]) -> list[list[float]]:
        x_BK = self.filter(np.asarray(vectors, np.float32))
        rows: list[list[float]] = (normalised(x_BK) if self.normalise else x_BK).tolist()
        return rows


@component
class QueryEmbeddingFilter(_SavedFilter):
    """Stands between a text embedder and a retriever: D floats in, K floats of unit length out.

    `normalise=False` leaves the length. An embedding of another width than the filter's is a `RarityError`.
    """

    @component.output_types(embedding=list[float])  # type: ignore[untyped-decorator]
    def run(self, embedding: list[float]) -> dict[str, list[float]]:
        """Returns the filtered embedding of a query."""
        return {"embedding": self._filtered([embedding])[0]}


@component
class DocumentEmbeddingFilter(_SavedFilter):
    """Stands between a document embedder and a document writer: copies of the documents, embeddings filtered.

    `normalise=False` leaves their length. A document without an embedding, or with one of another width, is a `RarityError`.
    """

    @component.output_types(documents=list[Document])  # type: ignore[untyped-decorator]
    def run(self, documents: list[Document]) -> dict[str, list[Document]]:
        """Returns the documents with filtered embeddings; their ids stay."""
        bare = next((document.id for document in documents if document.embedding is None), None)
        if bare is not None:
            raise RarityError(f"document {bare} has no embedding; connect the filter after a document embedder")
        vectors = self._filtered([document.embedding for document in documents]) if documents else []
        return {"documents": [replace(document, embedding=x) for document, x in zip(documents, vectors, strict=True)]}
