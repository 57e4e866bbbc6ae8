"""Haystack ranks filtered embeddings as rarityir does, also after a pipeline was written as YAML and read again."""

from __future__ import annotations

import os

import numpy as np
import pytest

from rarityir.types import RarityError

os.environ.setdefault("HAYSTACK_TELEMETRY_ENABLED", "False")
pytest.importorskip("haystack")

from haystack import Document, Pipeline
from haystack.components.retrievers.in_memory import InMemoryEmbeddingRetriever
from haystack.components.writers import DocumentWriter
from haystack.document_stores.in_memory import InMemoryDocumentStore

from rarityir.integrations.haystack import DocumentEmbeddingFilter, QueryEmbeddingFilter


@pytest.fixture(scope="module")
def folder(contract, tmp_path_factory) -> str:
    return str(contract.filter.save(tmp_path_factory.mktemp("saved") / "filter"))


@pytest.fixture
def documents(contract) -> list[Document]:
    return [
        Document(id=doc_id, content=text, embedding=x.tolist())
        for doc_id, text, x in zip(contract.doc_ids, contract.texts, contract.documents_ND, strict=True)
    ]


@pytest.mark.parametrize("similarity", ["cosine", "dot_product"])
def test_a_pipeline_finds_what_rarityir_finds(contract, folder, documents, similarity) -> None:
    store = InMemoryDocumentStore(embedding_similarity_function=similarity)
    indexing = Pipeline()
    indexing.add_component("filter", DocumentEmbeddingFilter(folder))
    indexing.add_component("writer", DocumentWriter(store))
    indexing.connect("filter.documents", "writer.documents")
    indexing.run({"filter": {"documents": documents}})
    assert len(documents[0].embedding) == len(contract.documents_ND[0])  # the caller's own are left alone
    search = Pipeline()
    search.add_component("filter", QueryEmbeddingFilter(folder))
    search.add_component("retriever", InMemoryEmbeddingRetriever(store, top_k=10))
    search.connect("filter.embedding", "retriever.query_embedding")
    for i, x in enumerate(contract.queries_QD):
        found = search.run({"filter": {"embedding": x.tolist()}})["retriever"]["documents"]
        contract.check_found(i, [document.id for document in found], [document.score for document in found])


def test_a_pipeline_read_from_yaml_filters_as_the_one_written(contract, folder, documents) -> None:
    pipeline = Pipeline()
    pipeline.add_component("queries", QueryEmbeddingFilter(folder, normalise=False))
    pipeline.add_component("documents", DocumentEmbeddingFilter(folder))
    inputs = {"queries": {"embedding": contract.queries_QD[0].tolist()}, "documents": {"documents": documents[:2]}}
    read = Pipeline.loads(pipeline.dumps(), allowed_modules=["rarityir.*"])
    assert read.run(inputs) == pipeline.run(inputs)
    kept = read.run(inputs)["queries"]["embedding"]
    np.testing.assert_allclose(kept, contract.filter(contract.queries_QD[:1])[0], atol=1e-5)


def test_what_cannot_be_filtered_is_an_error(contract, folder, tmp_path) -> None:
    with pytest.raises(RarityError, match="was fitted on width"):
        QueryEmbeddingFilter(folder).run(embedding=[1.0, 2.0])
    with pytest.raises(RarityError, match="document x has no embedding"):
        DocumentEmbeddingFilter(folder).run(documents=[Document(id="x", content="no vector")])
    with pytest.raises(RarityError, match="holds no whole filter"):
        QueryEmbeddingFilter(tmp_path)
    assert DocumentEmbeddingFilter(folder).run(documents=[]) == {"documents": []}
