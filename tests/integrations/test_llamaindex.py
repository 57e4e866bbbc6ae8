"""LlamaIndex ranks filtered embeddings as rarityir does."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from rarityir.types import RarityError

pytest.importorskip("llama_index.core")

from llama_index.core import VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.schema import TextNode

from rarityir.integrations.llamaindex import FilteredEmbedding


class Raw(BaseEmbedding):
    """The contract's raw embeddings, looked up by text; `asked` counts the texts of each call."""

    _rows: dict = PrivateAttr()
    asked: list[int] = []  # noqa: RUF012 - pydantic copies it

    def __init__(self, contract) -> None:
        super().__init__(model_name="demo", embed_batch_size=16)
        rows = [*contract.documents_ND, *contract.queries_QD]
        self._rows = dict(zip([*contract.texts, *contract.queries], rows, strict=True))

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._rows[text].tolist()

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        self.asked.append(len(texts))
        return [self._get_text_embedding(text) for text in texts]

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)


def test_an_index_finds_what_rarityir_finds_and_embeds_in_batches(contract) -> None:
    base = Raw(contract)
    nodes = [TextNode(id_=doc_id, text=text) for doc_id, text in zip(contract.doc_ids, contract.texts, strict=True)]
    index = VectorStoreIndex(nodes, embed_model=FilteredEmbedding(base, contract.filter), transformations=[])
    assert base.asked == [16, 16, 16, 12]
    retriever = index.as_retriever(similarity_top_k=10)
    for i, query in enumerate(contract.queries):
        found = retriever.retrieve(query)
        contract.check_found(i, [hit.node.node_id for hit in found], [hit.score for hit in found])


def test_asynchronous_calls_give_the_same_vectors(contract) -> None:
    model = FilteredEmbedding(Raw(contract), contract.filter)
    query, texts = contract.queries[0], contract.texts[:3]
    assert asyncio.run(model.aget_query_embedding(query)) == model.get_query_embedding(query)
    assert asyncio.run(model.aget_text_embedding_batch(texts)) == model.get_text_embedding_batch(texts)
    assert asyncio.run(model.aget_text_embedding(texts[0])) == model.get_text_embedding(texts[0])


def test_lengths_are_kept_if_asked(contract) -> None:
    model = FilteredEmbedding(Raw(contract), contract.filter, normalise=False)
    kept = model.get_text_embedding_batch(contract.texts)
    np.testing.assert_allclose(kept, contract.filter(contract.documents_ND), atol=1e-5)
    assert model.get_text_embedding_batch([]) == []
    assert model.model_name == f"demo+{contract.filter.name}"


def test_a_base_model_of_another_width_is_an_error(contract) -> None:
    twice = FilteredEmbedding(FilteredEmbedding(Raw(contract), contract.filter), contract.filter)
    with pytest.raises(RarityError, match="was fitted on width"):
        twice.get_query_embedding(contract.queries[0])
