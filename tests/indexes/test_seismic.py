"""Seismic behind our interface: recall against the exact engine, order, ties, folders, and a system of its name."""

from __future__ import annotations

import importlib
import json
import sys

import numpy as np
import pytest
import scipy.sparse as sp

import rarityir as ri
from rarityir import registry
from rarityir.indexes import seismic
from rarityir.indexes.postings import SparseIndex
from rarityir.indexes.seismic import ApproximateIndex, SeismicIndex
from rarityir.types import Hits, Impacts, MissingExtra, RarityError

installed = pytest.mark.skipif(importlib.util.find_spec("seismic") is None, reason="pyseismic-lsr is not installed")


def corpus(documents: int, each: int, tokens: int = 400, seed: int = 0) -> sp.csr_matrix:
    """Documents over tokens of Zipf's frequencies."""
    rng = np.random.default_rng(seed)
    share = 1 / np.arange(1, tokens + 1)
    columns = rng.choice(tokens, documents * each, p=share / share.sum())
    values = rng.gamma(2, 1, documents * each).astype(np.float32)
    return sp.csr_matrix((values, (np.repeat(np.arange(documents), each), columns)), (documents, tokens))


def impacts(matrix: sp.csr_matrix) -> Impacts:
    return Impacts(matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64), matrix.data, matrix.shape[1])


def recall(found: Hits, exact: Hits) -> float:
    pairs = zip(found.rows.tolist(), exact.rows.tolist(), strict=True)
    return float(np.mean([len({*one} & {*other} - {-1}) / len({*other} - {-1}) for one, other in pairs]))


@installed
@pytest.mark.parametrize("cutoff", [10, 100])
def test_it_finds_nearly_what_the_exact_index_finds_with_scores_to_three_digits(cutoff) -> None:
    documents, queries = corpus(4000, 30), corpus(60, 8, seed=1)
    index = SeismicIndex.build(documents)
    found = index.search(queries, cutoff, query_cut=20, heap_factor=1.0)
    assert recall(found, SparseIndex.build(documents).search(queries, cutoff)) > 0.95
    scores = (queries @ documents.T).toarray()
    for rows, values, all_scores in zip(*found, scores, strict=True):
        np.testing.assert_allclose(values, all_scores[rows], rtol=2e-3)
        assert (np.diff(values) <= 0).all()
        assert len({*rows.tolist()}) == cutoff


@installed
def test_every_query_gets_its_own_ranking_whatever_the_threads_and_however_many_find_nothing() -> None:
    documents = corpus(500, 10)
    queries = sp.vstack([documents[row] * (row % 3 > 0) for row in range(90)], format="csr")  # every third is empty
    index = SeismicIndex.build(documents)
    one = index.search(queries, 5, threads=1)
    for threads in (2, 7, None):
        for a, b in zip(one, index.search(queries, 5, threads=threads), strict=True):
            assert np.array_equal(a, b)
    assert (one.rows[::3] == -1).all()
    asked = np.arange(90) % 3 > 0
    exact = SparseIndex.build(documents).search(queries, 5)
    assert recall(Hits(one.rows[asked], one.scores[asked]), Hits(exact.rows[asked], exact.scores[asked])) > 0.9


@installed
def test_fewer_query_tokens_find_less() -> None:
    documents, queries = corpus(4000, 30), corpus(60, 20, seed=1)
    index, exact = SeismicIndex.build(documents), SparseIndex.build(documents).search(queries, 50)
    few, many = (recall(index.search(queries, 50, query_cut=cut, heap_factor=1.0), exact) for cut in (1, 20))
    assert few < many - 0.05


@installed
def test_of_equal_scores_the_earlier_row_comes_first() -> None:
    rng = np.random.default_rng(0)
    documents = sp.csr_matrix(rng.integers(0, 3, (300, 6)).astype(np.float32))
    queries = sp.csr_matrix(rng.integers(0, 2, (40, 6)).astype(np.float32))
    for rows, scores in zip(*SeismicIndex.build(documents).search(queries, 400, heap_factor=1.0), strict=True):
        found = rows >= 0
        assert np.lexsort((rows[found], -scores[found])).tolist() == list(range(found.sum()))


@installed
def test_blocks_make_the_rows_of_the_whole_and_documents_without_tokens_keep_theirs() -> None:
    matrix = sp.csr_matrix(np.array([[0, 0, 0], [0, 2, 0], [0, 0, 0], [1, 0, 0], [0, 3, 0]], np.float32))
    index = SeismicIndex.build(impacts(matrix[start : start + 2]) for start in (0, 2, 4))
    hits = index.search(sp.csr_matrix(np.eye(3, dtype=np.float32)), 3)
    assert hits.rows.tolist() == [[3, -1], [4, 1], [-1, -1]]
    assert index.documents == 5
    assert index.document_frequencies.tolist() == [1, 2, 0]


@installed
def test_tokens_in_any_order_and_impacts_that_are_not_positive() -> None:
    block = Impacts(np.array([0, 3, 5]), np.array([2, 0, 1, 1, 0]), np.array([3, -1, 2, 1, 0], np.float32), 3)
    index = SeismicIndex.build(block)
    hits = index.search(sp.csr_matrix(np.eye(3, dtype=np.float32)), 3)
    assert hits.rows.tolist() == [[-1, -1], [0, 1], [0, -1]]
    assert hits.scores[1].tolist() == [2, 1]
    assert index.document_frequencies.tolist() == [0, 2, 1]


@installed
@pytest.mark.parametrize("tokens", [65_536, 65_537, 70_000])
def test_any_number_of_tokens_is_held(tokens, tmp_path) -> None:
    columns = np.array([0, tokens - 1, tokens - 1, 65_535])
    matrix = sp.csr_matrix((np.ones(4, np.float32), (np.arange(4), columns)), (4, tokens))
    query = sp.csr_matrix(([1.0], ([0], [tokens - 1])), (1, tokens), dtype=np.float32)
    expected = [row for row in range(4) if columns[row] == tokens - 1]
    SeismicIndex.build(matrix, tmp_path)
    for index in (SeismicIndex.build(matrix), SeismicIndex.load(tmp_path)):
        assert index.search(query, 4).rows.tolist() == [expected]


@installed
def test_what_is_saved_and_loaded_finds_the_same_and_tells_nothing_on_standard_output(tmp_path, capfd) -> None:
    documents, queries = corpus(800, 10), corpus(20, 5, seed=2)
    built = SeismicIndex.build(documents, tmp_path / "built")
    loaded = SeismicIndex.load(built.save(tmp_path / "saved"))
    for one, other in zip(built.search(queries, 9), loaded.search(queries, 9), strict=True):
        assert np.array_equal(one, other)
    assert (loaded.documents, loaded.vocabulary) == (800, 400)
    assert loaded.document_frequencies.tolist() == np.bincount(documents.indices, minlength=400).tolist()
    names = ["document_frequencies.npy", "index.index.seismic", "index.json"]
    assert [sorted(path.name for path in (tmp_path / folder).iterdir()) for folder in ("built", "saved")] == [names, names]
    assert capfd.readouterr() == ("", "")


@installed
@pytest.mark.parametrize("name", ["index.json", "index.index.seismic", "document_frequencies.npy"])
def test_a_folder_that_lost_a_file_is_one_line(tmp_path, name) -> None:
    SeismicIndex.build(corpus(50, 3), tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(RarityError, match=r"^[^\n]*holds no whole Seismic index[^\n]*build it again$"):
        SeismicIndex.load(tmp_path)


@installed
@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: SeismicIndex.build([]), "no documents"),
        (lambda: SeismicIndex.build(sp.csr_matrix(np.array([[np.inf]], np.float32))), "must be finite and at most 65504"),
        (lambda: SeismicIndex.build(sp.csr_matrix(np.array([[65505.0]], np.float32))), "must be finite and at most 65504"),
        (lambda: SeismicIndex.build(Impacts(np.array([0, 2]), np.array([1, 1]), np.ones(2, np.float32), 3)), "a token twice"),
        (lambda: SeismicIndex.build(corpus(5, 2)).search(corpus(1, 2, 401), 1), "the queries have 401 tokens, the index 400"),
        (lambda: SeismicIndex.build(corpus(5, 2)).search(-corpus(1, 2), 1), "must not be negative"),
        (lambda: SeismicIndex.build(corpus(5, 2)).search(np.ones((2, 2)), 1), "CSR matrix or Impacts"),
    ],
)
def test_what_cannot_be_indexed_or_asked_is_one_line(call, words) -> None:
    with pytest.raises(RarityError, match=rf"^[^\n]*{words}[^\n]*$"):
        call()


@pytest.mark.parametrize(
    ("arg", "key"),
    [
        ("", "seismic:64"),
        ("8", "seismic:8"),
        ("8,query_cut=3", "seismic:8"),
        ("query_cut=3,heap_factor=0.5", "seismic:64"),
        ("8,heap_factor=0.5,weighting=log1p", "seismic:8,weighting=log1p"),
    ],
)
def test_how_to_search_is_no_part_of_what_is_stored(arg, key) -> None:
    assert ApproximateIndex.key(arg) == key


@pytest.mark.parametrize(
    ("arg", "words"),
    [
        ("0", "seismic:64"),
        ("many", "seismic:64"),
        ("8,query_cut=0", "query_cut is at least 1"),
        ("8,heap_factor=0", "heap_factor above 0"),
        ("8,heap_factor=inf", "heap_factor above 0"),
        ("8,heap_factor=nan", "heap_factor above 0"),
        ("8,query_cut=x", "query_cut"),
        ("8,heap=1", "unknown option of seismic 'heap'; did you mean"),
    ],
)
def test_a_wrong_argument_is_one_line_before_anything_is_read(arg, words) -> None:
    with pytest.raises(RarityError, match=rf"^[^\n]*{words}[^\n]*$"):
        ApproximateIndex.key(arg)


def test_where_it_is_not_installed_one_line_names_the_extra(monkeypatch, tmp_path) -> None:
    def gone(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setitem(sys.modules, "seismic", None)
    monkeypatch.setattr(seismic, "installed", gone)
    line = r"^seismic needs pyseismic-lsr: pip install 'rarityir\[seismic\]'; sparse:K searches the same exactly$"
    for call in (
        lambda: ApproximateIndex.version(),
        lambda: SeismicIndex.build(corpus(3, 2)),
        lambda: ApproximateIndex.open("8", tmp_path),
    ):
        with pytest.raises(MissingExtra, match=line):
            call()


@installed
def test_a_system_of_its_name_retrieves_nearly_what_the_exact_one_does(beir, stories, tmp_path, monkeypatch) -> None:
    table = {**registry.TABLES["indexes"], "seismic": "rarityir.indexes.seismic:ApproximateIndex"}
    monkeypatch.setattr(registry, "TABLES", {**registry.TABLES, "indexes": table})
    registry.table.cache_clear()
    try:
        dataset, encoder = ri.load_dataset(str(beir)), ri.load_encoder(stories)
        names = ("sparse:16", "seismic:16", "seismic:16,query_cut=3,heap_factor=0.8", "seismic:16+edge:2")
        runs = {name: ri.retrieve(name, dataset, encoder, indexes=tmp_path) for name in names}
    finally:
        registry.table.cache_clear()
    exact = runs["sparse:16"]
    for query_id in exact:
        assert {doc_id for doc_id, _ in runs["seismic:16"][query_id]} == {doc_id for doc_id, _ in exact[query_id]}
    folders = sorted(path.parent.name for path in tmp_path.rglob("index.index.seismic"))
    assert folders == ["seismic_16", "seismic_16+edge_2"]  # how to search shares the index
    [manifest] = tmp_path.rglob("seismic_16/manifest.json")
    assert json.loads(manifest.read_text())["identity"]["form"].startswith("canonical tokens, half precision, pyseismic-lsr ")


def test_a_cutoff_of_nothing_finds_nothing():
    pytest.importorskip("seismic")
    index = SeismicIndex.build(sp.csr_matrix(np.array([[1, 2], [0, 3]], np.float32)))
    assert index.search(sp.csr_matrix(np.array([[1, 1]], np.float32)), 0).rows.shape == (1, 0)
