"""The sparse engine against brute force, to the last bit: ties, many blocks, threads, streams, saved and loaded."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rarityir.indexes import kernels
from rarityir.indexes.postings import SparseIndex, quantised, write
from rarityir.types import Impacts, RarityError

TOKENS = 300


def corpus(documents: int, each: int, seed: int = 0, *, whole: bool = False) -> sp.csr_matrix:
    """Documents over tokens of Zipf's frequencies."""
    rng = np.random.default_rng(seed)
    share = 1 / np.arange(1, TOKENS + 1)
    tokens = rng.choice(TOKENS, documents * each, p=share / share.sum())
    values = rng.integers(1, 20, len(tokens)) if whole else rng.gamma(2, 1, len(tokens))
    rows = np.repeat(np.arange(documents), each)
    matrix = sp.csr_matrix((values.astype(np.float32), (rows, tokens)), (documents, TOKENS))
    matrix.data = np.minimum(matrix.data, 255)
    return matrix


def brute_force(matrix: sp.csr_matrix, query: sp.csr_matrix, cutoff: int) -> tuple[list[int], list[float]]:
    """Each document's sum over the query's tokens in order, in float32, of the impacts as they are stored."""
    values = (matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64), matrix.data)
    codes, scales = quantised(Impacts(*values, TOKENS))
    stored = sp.csr_matrix((codes.astype(np.float32), matrix.indices, matrix.indptr), matrix.shape).tocsc()
    scores = np.zeros(matrix.shape[0], np.float32)
    for token, weight in zip(query.indices, query.data.astype(np.float32), strict=True):
        part = slice(stored.indptr[token], stored.indptr[token + 1])
        scores[stored.indices[part]] += weight * stored.data[part]
    scores *= scales
    order = np.lexsort((np.arange(len(scores)), -scores))[:cutoff]
    order = order[scores[order] > 0]
    return order.tolist(), scores[order].tolist()


def assert_exact(index: SparseIndex, matrix: sp.csr_matrix, queries: sp.csr_matrix, cutoff: int, threads: int = 2) -> None:
    hits = index.search(queries, cutoff, threads)
    for number, (rows, scores) in enumerate(zip(*hits, strict=True)):
        wanted_rows, wanted_scores = brute_force(matrix, queries[number], cutoff)
        count = len(wanted_rows)
        assert rows[:count].tolist() == wanted_rows
        assert scores[:count].tolist() == wanted_scores
        assert (rows[count:] == -1).all()


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("cutoff", [1, 10, 1000])
def test_a_search_is_brute_force_bit_for_bit_over_many_blocks(whole, cutoff):
    matrix = corpus(150_000, 4, whole=whole)
    queries = corpus(12, 6, seed=1, whole=whole)
    assert 2 * kernels.BLOCK < 150_000
    assert_exact(SparseIndex.build(matrix), matrix, queries, cutoff)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 400), st.integers(1, 6), st.integers(0, 99), st.integers(1, 500), st.booleans())
def test_any_small_corpus_is_searched_exactly_with_its_ties(documents, each, seed, cutoff, whole):
    matrix = corpus(documents, each, seed, whole=whole)
    if whole:
        matrix.data[:] = 1  # nothing but ties
    assert_exact(SparseIndex.build(matrix), matrix, corpus(5, 3, seed + 1, whole=True), cutoff)


def test_more_ties_than_any_buffer_keep_the_earlier_rows():
    matrix = sp.csr_matrix(np.ones((70_000, 1), np.float32))
    hits = SparseIndex.build(matrix).search(sp.csr_matrix(np.array([[2.0]], np.float32)), 5)
    assert hits.rows.tolist() == [[0, 1, 2, 3, 4]]
    assert hits.scores.tolist() == [[2.0] * 5]


def test_a_stream_of_blocks_of_any_size_writes_the_bytes_of_the_whole(tmp_path):
    matrix = corpus(70_000, 3)
    SparseIndex.build(matrix, tmp_path / "whole")
    for step in (7_001, 65_536):
        write((impacts(matrix[start : start + step]) for start in range(0, matrix.shape[0], step)), tmp_path / str(step))
        for path in (tmp_path / "whole").iterdir():
            assert path.read_bytes() == (tmp_path / str(step) / path.name).read_bytes(), path.name


def impacts(matrix: sp.csr_matrix) -> Impacts:
    return Impacts(matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64), matrix.data, matrix.shape[1])


def test_what_is_saved_and_loaded_is_memory_mapped_and_finds_the_same(tmp_path):
    matrix, queries = corpus(3000, 5), corpus(9, 4, seed=3)
    built = SparseIndex.build(matrix)
    loaded = SparseIndex.load(built.save(tmp_path / "index"))
    assert isinstance(loaded._arrays["rows"], np.memmap)
    for one, other in zip(built.search(queries, 20), loaded.search(queries, 20), strict=True):
        assert np.array_equal(one, other)
    assert_exact(loaded, matrix, queries, 20)


def test_threads_change_nothing():
    index, queries = SparseIndex.build(corpus(5000, 5)), corpus(31, 5, seed=2)
    one = index.search(queries, 50, threads=1)
    for threads in (2, 5, 64):
        many = index.search(queries, 50, threads=threads)
        assert np.array_equal(one.rows, many.rows)
        assert np.array_equal(one.scores, many.scores)


def test_eight_bits_keep_every_impact_within_half_a_step_and_none_is_lost():
    matrix = corpus(2000, 6)
    codes, scales = quantised(impacts(matrix))
    back = codes * np.repeat(scales, np.diff(matrix.indptr))
    step = np.repeat(scales, np.diff(matrix.indptr))
    assert codes.min() >= 1
    assert (np.abs(back - matrix.data) <= np.maximum(0.5001 * step, step - matrix.data)).all()


def test_whole_impacts_up_to_255_are_kept_as_they_are():
    matrix = corpus(100, 4, whole=True)
    codes, scales = quantised(impacts(matrix))
    assert (scales == 1).all()
    assert codes.tolist() == matrix.data.tolist()


def test_a_posting_costs_about_three_bytes():
    found = SparseIndex.build(corpus(200_000, 20)).statistics()
    assert found["bits_per_posting"] / 8 < 3.5
    assert found["documents"] == 200_000
    assert found["tokens_used"] == TOKENS
    assert found["longest"] >= found["p99"] >= found["p90"] >= found["p50"] > 0


def test_documents_and_queries_without_tokens_are_no_hits_and_keep_their_rows():
    matrix = sp.csr_matrix(np.array([[0, 0], [0, 2], [0, 0]], np.float32))
    hits = SparseIndex.build(matrix).search(sp.csr_matrix(np.array([[0, 1], [0, 0], [1, 0]], np.float32)), 3)
    assert hits.rows.tolist() == [[1], [-1], [-1]]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: SparseIndex.build([]), "no documents"),
        (lambda: SparseIndex.build(sp.csr_matrix(np.array([[-1.0]], np.float32))), "positive and finite"),
        (lambda: SparseIndex.build(sp.csr_matrix(np.array([[np.nan]], np.float32))), "positive and finite"),
        (lambda: SparseIndex.build(corpus(5, 2)).search(np.ones((1, 3)), 1), "CSR matrix or Impacts, not ndarray"),
        (lambda: SparseIndex.build(corpus(5, 2)).search(sp.csr_matrix((1, TOKENS + 1)), 1), f"the index {TOKENS}"),
        (lambda: SparseIndex.build(corpus(5, 2)).search(-corpus(1, 2), 1), "must not be negative"),
    ],
)
def test_what_cannot_be_indexed_or_asked_is_one_line(call, words):
    with pytest.raises(RarityError, match=rf"^[^\n]*{words}[^\n]*$"):
        call()


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["rows.npy", "index.json", "scales.npy"]))
def test_a_folder_that_lost_a_file_or_half_of_one_is_one_line(tmp_path, name):
    folder = tmp_path / name
    SparseIndex.build(corpus(50, 3), folder)
    (folder / name).write_bytes((folder / name).read_bytes()[:20])
    with pytest.raises(RarityError, match=r"^[^\n]*holds no whole sparse index[^\n]*build it again$"):
        SparseIndex.load(folder)
