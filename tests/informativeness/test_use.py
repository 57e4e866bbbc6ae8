"""Weights where they are used: on the queries' side, which equals the documents' side, and as the IDF of BM25."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from tiny import STORIES_QUERIES, write_beir

import rarityir as ri
from rarityir.indexes.postings import SparseIndex, write
from rarityir.informativeness import TokenInformation, from_corpus
from rarityir.retrieval import Retriever
from rarityir.systems import System
from rarityir.tokens import Vocabulary
from rarityir.types import Impacts, RarityError, UnknownName


@pytest.fixture(scope="module")
def retriever(tmp_path_factory, stories) -> Retriever:
    home = tmp_path_factory.mktemp("use")
    return Retriever(ri.load_dataset(str(write_beir(home / "tiny"))), ri.load_encoder(stories), home / "indexes")


@pytest.fixture(scope="module")
def weights(retriever, tmp_path_factory) -> Path:
    found = from_corpus(retriever.dataset, retriever.encoder)
    return found.save(tmp_path_factory.mktemp("weights") / "w")


def scores(retriever: Retriever, name: str) -> list[dict[int, float]]:
    hits = retriever.search(System.parse(name)).hits
    return [dict(zip(r[r >= 0].tolist(), s[r >= 0].tolist(), strict=True)) for r, s in zip(*hits, strict=True)]


def dense(found: Impacts) -> np.ndarray:
    out = np.zeros((len(found.indptr) - 1, found.vocabulary))
    for row, (one, other) in enumerate(pairwise(found.indptr)):
        out[row, found.token_ids[one:other]] = found.values[one:other]
    return out


def test_weights_on_queries_and_on_documents_give_identical_scores(retriever, weights):
    """Σ (q w) d = Σ q (w d): by the index with weighted queries, and by its plain queries on its documents weighted by hand."""
    plain, weighed = System.parse("sparse:64"), System.parse(f"sparse:64,weights={weights}")
    queries, heavy = dense(retriever.queries(plain)), dense(retriever.queries(weighed))
    index = retriever._ready(plain)[0].postings
    size = queries.shape[1]
    tokens = Impacts(np.arange(size + 1), np.arange(size), np.ones(size, np.float32), size)
    found = index.search(tokens, index.documents)
    documents = np.zeros((index.documents, size))
    for token, (rows, values) in enumerate(zip(*found, strict=True)):
        documents[rows[rows >= 0], token] = values[rows >= 0]
    table = dict(line.split("\t") for line in (weights / "weights.tsv").read_text().splitlines())
    names = Vocabulary.of(retriever.encoder.tokens()).names
    w = np.array([float(table.get(name, table["*"])) for name in names])
    np.testing.assert_allclose(heavy, queries * w, rtol=1e-6)
    expected = queries @ (documents * w).T
    for row, hits in zip(expected, scores(retriever, f"sparse:64,weights={weights}"), strict=True):
        assert hits == pytest.approx({n: float(v) for n, v in enumerate(row) if v > 0}, rel=1e-5)


def test_either_side_gives_the_same_scores_to_the_last_bit_where_eight_bits_hold_both(tmp_path, rng):
    """Weights that are powers of two, one a document: then an index of weighted documents loses nothing either."""
    documents = np.where(rng.random((40, 30)) < 0.3, rng.integers(1, 16, (40, 30)), 0).astype(np.float32)
    documents[:, 0] = 255.0  # so that a step of eight bits is 1
    w = np.ones(30, np.float32)
    w[1:] = 2.0 ** rng.integers(0, 4, 29)
    queries = (rng.random((12, 30)) < 0.4).astype(np.float32)
    one, other = built(tmp_path / "one", documents), built(tmp_path / "other", documents * w)
    left, right = one.search(sparse(queries * w), 40), other.search(sparse(queries), 40)
    np.testing.assert_array_equal(left.rows, right.rows)
    np.testing.assert_array_equal(left.scores, right.scores)


def built(folder: Path, documents: np.ndarray) -> SparseIndex:
    folder.mkdir()
    write([sparse(documents)], folder)
    return SparseIndex.load(folder)


def sparse(rows: np.ndarray) -> Impacts:
    kept = [np.flatnonzero(row) for row in rows]
    indptr = np.cumsum([0, *map(len, kept)]).astype(np.int64)
    values = np.concatenate([row[ids] for row, ids in zip(rows, kept, strict=True)]).astype(np.float32)
    return Impacts(indptr, np.concatenate(kept).astype(np.int64), values, rows.shape[1])


def test_gamma_is_the_power_of_the_weights_and_none_of_them_at_0(retriever, weights):
    assert scores(retriever, f"sparse:64,weights={weights},gamma=0") == scores(retriever, "sparse:64")
    squared = dense(retriever.queries(System.parse(f"sparse:64,weights={weights},gamma=2")))
    single = dense(retriever.queries(System.parse(f"sparse:64,weights={weights}")))
    np.testing.assert_allclose(squared, single**2, rtol=1e-5)
    assert scores(retriever, f"bm25-idf:{weights},gamma=0") == scores(retriever, "bm25-idf:uniform,level=L2")
    assert scores(retriever, f"bm25-idf:{weights}") != scores(retriever, "bm25-idf:uniform,level=L2")
    assert len({path.name for path in retriever.index(System.parse(f"sparse:64,weights={weights},gamma=.5"))}) == 1


def test_bm25_weighs_by_them_at_what_is_known_of_the_corpus(retriever, weights, tmp_path):
    """The corpus's own IDF, given as weights, is the oracle."""
    index = retriever._ready(System.parse("bm25-idf"))[0]
    found = TokenInformation.load(weights)
    own = found.replaced(np.asarray(index.idf, np.float64), "the index's IDF")
    own.save(tmp_path / "own")
    assert scores(retriever, f"bm25-idf:{tmp_path / 'own'}") == scores(retriever, "bm25-idf:oracle")
    cost = retriever.search(System.parse(f"bm25-idf:{weights}")).cost
    assert cost["level"] == "L2"
    assert cost["in_domain"]
    assert len(cost["weights_sha256"]) == 64
    assert "KL over 6 documents" in cost["weights"]


def test_a_table_from_elsewhere_weighs_tokens_by_their_text(retriever, tmp_path):
    (tmp_path / "t.tsv").write_text("the\t3\n*\t0\n")
    found = scores(retriever, f"bm25-idf:{tmp_path / 't.tsv'}")
    the = {i for i, form in enumerate(retriever.encoder.tokens()) if (form or "").strip().lower() == "the"}
    texts = retriever.encoder.tokenize([doc.text for doc in retriever.dataset.docs()])
    asked = retriever.encoder.tokenize(list(STORIES_QUERIES.values()))
    assert [bool(the & set(query)) for query in asked] == [False, True, True]
    for query, hits in zip(asked, found, strict=True):
        assert set(hits) == {i for i, ids in enumerate(texts) if the & set(query) & set(ids)}


def test_what_cannot_be_read_is_one_line(retriever, weights, tmp_path):
    (tmp_path / "bad.tsv").write_text("a b c\n")
    for name, error, message in (
        (f"bm25-idf:{tmp_path / 'bad.tsv'}", RarityError, "a line is a token"),
        (f"bm25-idf:{tmp_path / 'none'}", UnknownName, "unknown source of IDF"),
        (f"bm25-idf:{weights},gamma=-1", RarityError, "gamma"),
        ("bm25-idf:oracle,gamma=2", RarityError, "takes none"),
        (f"sparse:64,weights={weights},gamma=-1", RarityError, "gamma"),
        (f"sparse:64,weights={tmp_path}", RarityError, "weights are 1"),
    ):
        with pytest.raises(error, match=message) as raised:
            retriever.search(System.parse(name))
        assert "\n" not in str(raised.value)
