"""The dense index against brute force: all inner products, then a full stable sort."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rarityir.indexes.dense import DenseIndex
from rarityir.types import RarityError


def indexed(x_ND: np.ndarray, folder, block: int = 1000) -> DenseIndex:
    DenseIndex.build("", (x_ND[start : start + block] for start in range(0, len(x_ND), block)), folder)
    return DenseIndex.open("", folder)


def brute_force(x_ND: np.ndarray, queries_QD: np.ndarray, cutoff: int) -> tuple[list, list]:
    scores = queries_QD.astype(np.float64) @ x_ND.astype(np.float64).T
    rows = np.argsort(-scores, axis=1, kind="stable")[:, :cutoff]
    return rows.tolist(), np.take_along_axis(scores, rows, axis=1).tolist()


def unit(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    x = rng.standard_normal(shape).astype(np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


# Vectors of small whole numbers: products are exact in any order, and ties abound.
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 10**6),
    documents=st.integers(1, 40),
    queries=st.sampled_from([1, 3, 25, 300]),  # FAISS takes other paths for few, the index for more than a block
    cutoff=st.integers(1, 45),
    block=st.integers(1, 40),
)
def test_a_search_is_a_full_stable_sort_of_all_inner_products(tmp_path, seed, documents, queries, cutoff, block):
    rng = np.random.default_rng(seed)
    x_ND, q_QD = (rng.integers(-1, 2, (n, 3)).astype(np.float32) for n in (documents, queries))
    hits = indexed(x_ND, tmp_path, block).search(q_QD, cutoff)
    rows, scores = brute_force(x_ND, q_QD, cutoff)
    assert hits.rows.tolist() == rows
    assert hits.scores.tolist() == scores
    assert (hits.rows.dtype, hits.scores.dtype) == (np.int64, np.float32)


def test_real_vectors_are_ranked_by_their_inner_products(tmp_path):
    rng = np.random.default_rng(0)
    x_ND, q_QD = unit(rng, (2000, 48)), unit(rng, (30, 48))
    hits = indexed(x_ND, tmp_path).search(q_QD, 100)
    rows, scores = brute_force(x_ND, q_QD, 100)
    np.testing.assert_allclose(hits.scores, scores, atol=1e-6)
    np.testing.assert_allclose(np.einsum("qkd,qd->qk", x_ND[hits.rows], q_QD), scores, atol=1e-6)
    assert (hits.rows[:, 0] == np.array(rows)[:, 0]).all()


@pytest.mark.parametrize("queries", [1, 5, 64])
@pytest.mark.parametrize("width", [7, 64, 448])
def test_equal_documents_rank_in_row_order_wherever_the_cut_falls(tmp_path, queries, width):
    rng = np.random.default_rng(1)
    x_ND, q_QD = unit(rng, (37, width)), unit(rng, (queries, width))
    same = np.union1d(np.arange(0, 37, 5), [34, 35, 36])
    x_ND[same] = x_ND[0]
    index = indexed(x_ND, tmp_path)
    for cutoff in (1, 3, 10, 20, 37):
        for rows in index.search(q_QD, cutoff).rows:
            found = [row for row in rows if row in same]
            assert found == same[: len(found)].tolist()


def test_a_corpus_of_one_text_repeated_ranks_in_row_order(tmp_path):
    x_ND = np.repeat(unit(np.random.default_rng(2), (1, 100)), 1003, axis=0)
    hits = indexed(x_ND, tmp_path).search(x_ND[:2], 10)
    assert hits.rows.tolist() == [list(range(10))] * 2


def test_a_cutoff_beyond_the_corpus_ranks_all_of_it(tmp_path):
    hits = indexed(np.eye(3, dtype=np.float32), tmp_path).search(np.array([[0, 2, 1]], np.float32), 1000)
    assert hits.rows.tolist() == [[1, 2, 0]]
    assert hits.scores.tolist() == [[2, 1, 0]]


def test_no_queries_find_nothing(tmp_path):
    assert indexed(np.eye(3, dtype=np.float32), tmp_path).search(np.empty((0, 3), np.float32), 10).rows.shape == (0, 0)


def test_building_states_width_and_bytes_of_a_document(tmp_path):
    assert DenseIndex.build("", [np.ones((5, 6), np.float32)], tmp_path) == {"dim": 6, "bytes_per_doc": 24}


def test_a_file_that_is_no_index_is_one_line_that_names_it(tmp_path):
    (tmp_path / "vectors.faiss").write_bytes(b"nothing of the kind")
    with pytest.raises(RarityError, match=rf"^[^\n]*{tmp_path}/vectors\.faiss[^\n]*rm -r[^\n]*$"):
        DenseIndex.open("", tmp_path)


def test_an_argument_is_refused():
    assert DenseIndex.key("") == "dense"
    with pytest.raises(RarityError, match="dense:hnsw"):
        DenseIndex.key("hnsw")
