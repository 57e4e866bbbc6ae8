"""Pyserini's FaissSearcher over filtered embeddings, without Pyserini's own start of Java."""

from __future__ import annotations

import os

import faiss
import numpy as np
import pytest

import rarityir as ri
from rarityir.types import Doc, RarityError

pyserini = pytest.importorskip("rarityir.integrations.pyserini", exc_type=ImportError)


class Known:
    """The contract's encoder with its embeddings looked up, so that nothing is encoded twice."""

    def __init__(self, contract) -> None:
        self._contract = contract
        rows = [*contract.documents_ND, *contract.queries_QD]
        self._rows = dict(zip([*contract.texts, *contract.queries], rows, strict=True))

    def __getattr__(self, name: str):
        return getattr(self._contract.encoder, name)

    def encode_document(self, texts):
        return np.stack([self._rows[text] for text in texts])

    encode_query = encode_document


@pytest.fixture(scope="module")
def docs(contract) -> list[Doc]:
    return [Doc(*pair) for pair in zip(contract.doc_ids, contract.texts, strict=True)]


@pytest.mark.parametrize("index", ["Flat", "HNSW16"])
def test_the_searcher_finds_what_rarityir_finds(contract, docs, index, tmp_path) -> None:
    encoder = Known(contract)
    folder = pyserini.build(encoder, contract.filter, docs, tmp_path / "out", index=index)
    searcher = pyserini.FaissSearcher(str(folder), pyserini.FilteredQueryEncoder(encoder, contract.filter))
    every = searcher.batch_search(contract.queries, [str(i) for i in range(len(contract.queries))], k=10)
    for i, query in enumerate(contract.queries):
        for hits in (searcher.search(query, k=10), every[str(i)]):
            contract.check_found(i, [hit.docid for hit in hits], [hit.score for hit in hits])


def test_an_index_that_filters_itself_takes_raw_queries(contract, docs, tmp_path) -> None:
    from rarityir.integrations.faiss import wrap

    folder = pyserini.build(Known(contract), contract.filter, docs, tmp_path / "out")
    faiss.write_index(wrap(contract.filter, faiss.read_index(str(folder / "index"))), str(folder / "index"))
    searcher = pyserini.FaissSearcher(str(folder), pyserini.FilteredQueryEncoder(Known(contract)))
    hits = searcher.search(contract.queries[0], k=10)
    contract.check_found(0, [hit.docid for hit in hits], [hit.score for hit in hits])


def test_the_environment_is_left_as_it_was() -> None:
    assert os.environ.get("OPENAI_API_KEY") != "none"


def test_what_does_not_fit_is_said_and_leaves_nothing(contract, stories, tmp_path) -> None:
    out, encoder = tmp_path / "out", Known(contract)
    doc = Doc("a\nb", contract.texts[0])
    with pytest.raises(RarityError, match="does not fit on a line"):
        pyserini.build(encoder, contract.filter, [doc], out)
    with pytest.raises(RarityError, match="IVF4,Flat must be trained first"):
        pyserini.build(encoder, contract.filter, [], out, index="IVF4,Flat")
    with pytest.raises(RarityError, match="no index 'Nonsense'"):
        pyserini.build(encoder, contract.filter, [], out, index="Nonsense")
    other = ri.EmbedFilter.fit(stories, "edge:2", cache=tmp_path / "spectra")
    with pytest.raises(RarityError, match=r"stories260K.*demo"):
        pyserini.build(encoder, other, [], out)
    assert not out.exists()
