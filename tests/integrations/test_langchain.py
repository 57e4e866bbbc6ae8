"""LangChain ranks filtered embeddings as rarityir does."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from rarityir.types import RarityError

pytest.importorskip("langchain_core")

from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import InMemoryVectorStore

from rarityir.integrations.langchain import FilteredEmbeddings


class Raw(Embeddings):
    """The contract's raw embeddings, looked up by text."""

    def __init__(self, contract) -> None:
        rows = [*contract.documents_ND, *contract.queries_QD]
        self._rows = dict(zip([*contract.texts, *contract.queries], rows, strict=True))

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self._rows[text].tolist() for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return self._rows[text].tolist()


def test_a_vector_store_finds_what_rarityir_finds(contract) -> None:
    store = InMemoryVectorStore(FilteredEmbeddings(Raw(contract), contract.filter))
    store.add_texts(contract.texts, ids=contract.doc_ids)
    for i, query in enumerate(contract.queries):
        found = store.similarity_search_with_score(query, k=10)
        contract.check_found(i, [document.id for document, _ in found], [score for _, score in found])


def test_dot_products_are_the_cosines(contract) -> None:
    embeddings = FilteredEmbeddings(Raw(contract), contract.filter)
    queries = np.array([embeddings.embed_query(query) for query in contract.queries])
    contract.check_scores(queries @ np.array(embeddings.embed_documents(contract.texts)).T)


def test_asynchronous_calls_give_the_same_vectors(contract) -> None:
    embeddings = FilteredEmbeddings(Raw(contract), contract.filter)
    query, texts = contract.queries[0], contract.texts[:3]
    assert asyncio.run(embeddings.aembed_query(query)) == embeddings.embed_query(query)
    assert asyncio.run(embeddings.aembed_documents(texts)) == embeddings.embed_documents(texts)


def test_lengths_are_kept_if_asked(contract) -> None:
    kept = FilteredEmbeddings(Raw(contract), contract.filter, normalise=False).embed_documents(contract.texts)
    np.testing.assert_allclose(kept, contract.filter(contract.documents_ND), atol=1e-5)
    assert FilteredEmbeddings(Raw(contract), contract.filter).embed_documents([]) == []


def test_a_base_model_of_another_width_is_an_error(contract) -> None:
    twice = FilteredEmbeddings(FilteredEmbeddings(Raw(contract), contract.filter), contract.filter)
    with pytest.raises(RarityError, match="was fitted on width"):
        twice.embed_query(contract.queries[0])
