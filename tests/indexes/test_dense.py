"""The dense index against brute force: all inner products, then a full stable sort."""

from __future__ import annotations

import subprocess
import sys

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
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.json", "vectors.npy"]


@pytest.mark.parametrize("spoil", ["other bytes", "cut short", "another shape", "no facts", "nothing"])
def test_what_is_no_whole_index_is_one_line_that_names_it(tmp_path, spoil):
    indexed(np.eye(4, dtype=np.float32), tmp_path)
    vectors, facts = tmp_path / "vectors.npy", tmp_path / "index.json"
    if spoil == "other bytes":
        vectors.write_bytes(b"nothing of the kind")
    elif spoil == "cut short":
        vectors.write_bytes(vectors.read_bytes()[:-4])
    elif spoil == "another shape":
        np.save(vectors, np.eye(5, dtype=np.float32))
    elif spoil == "no facts":
        facts.write_text("[]")
    else:
        facts.unlink()
    with pytest.raises(RarityError, match=rf"^[^\n]*{tmp_path}/vectors\.npy[^\n]*rm -r[^\n]*$"):
        DenseIndex.open("", tmp_path)


def test_flat_is_another_name_of_the_exact_index():
    assert DenseIndex.key("") == DenseIndex.key("flat") == "dense"
    assert DenseIndex.exact("") is DenseIndex.exact("flat") is None


@pytest.mark.parametrize(("documents", "width"), [(3000, 768), (5000, 24)])
def test_results_are_the_same_to_the_last_bit_however_documents_and_queries_come(tmp_path, documents, width):
    """Copies of some documents stand all over the corpus, so that a rounding that depends on place would part them."""
    rng = np.random.default_rng(3)
    x_ND, q_QD = unit(rng, (documents, width)), unit(rng, (70, width))
    x_ND[rng.integers(0, documents, documents // 2)] = x_ND[rng.integers(0, 5, documents // 2)]
    q_QD[:20] = x_ND[:20] + 0.01 * q_QD[:20]
    whole = indexed(x_ND, tmp_path)._index
    for cutoff in (1, 10, 700):
        expected = whole.search(q_QD, cutoff)
        for block in (7, 256, 4096) if cutoff < 700 else (1, 999):
            found = whole.search(q_QD, cutoff, block)
            assert found.rows.tolist() == expected.rows.tolist()
            assert found.scores.tobytes() == expected.scores.tobytes()
        one = whole.search(q_QD[3:4], cutoff)
        assert one.rows.tolist() == expected.rows[3:4].tolist()
        assert one.scores.tobytes() == expected.scores[3:4].tobytes()
        for rows, scores in zip(*expected, strict=True):
            assert np.all(np.diff(scores) <= 0)
            assert np.all(np.diff(rows)[np.diff(scores) == 0] > 0)


def test_a_search_ranks_by_the_score_of_two_vectors_alone_where_many_score_almost_the_same(tmp_path):
    """Scores within rounding of each other: which of them a matrix product puts first is chance, and must not show."""
    rng = np.random.default_rng(4)
    x_ND = unit(rng, (1, 300)) + 1e-7 * rng.standard_normal((4000, 300)).astype(np.float32)
    q_QD = unit(rng, (40, 300))
    index = indexed(x_ND, tmp_path)._index
    scores = index._scores(q_QD, np.tile(np.arange(4000), (40, 1)))  # FAISS's own, of all documents
    rows = np.argsort(-scores, axis=1, kind="stable")[:, :50]
    for block in (None, 1000):
        found = index.search(q_QD, 50, block)
        assert found.rows.tolist() == rows.tolist()
        assert found.scores.tolist() == np.take_along_axis(scores, rows, 1).tolist()


def test_a_score_is_the_sum_of_products(tmp_path):
    rng = np.random.default_rng(5)
    x_ND, q_QD = unit(rng, (50, 33)), unit(rng, (3, 33))
    hits = indexed(x_ND, tmp_path).search(q_QD, 50)
    expected = np.einsum("qkd,qd->qk", x_ND[hits.rows].astype(np.float64), q_QD.astype(np.float64))
    assert np.abs(hits.scores - expected).max() < 34 * 2.0**-24


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_vectors_of_any_length_are_ranked_by_their_inner_products(tmp_path, scale):
    rng = np.random.default_rng(6)
    x_ND, q_QD = scale * unit(rng, (900, 40)), unit(rng, (30, 40))
    x_ND[::3] *= 5
    rows, _ = brute_force(x_ND, q_QD, 20)
    assert indexed(x_ND, tmp_path, 100).search(q_QD, 20).rows.tolist() == rows


def test_a_vector_that_is_no_number_is_never_found_and_hides_nothing(tmp_path):
    x_ND = np.eye(6, dtype=np.float32)
    x_ND[2, 2] = np.nan
    hits = indexed(x_ND, tmp_path).search(np.arange(1, 7, dtype=np.float32)[None], 6)
    assert hits.rows.tolist() == [[5, 4, 3, 1, 0, -1]]


_PEAK = """
import sys, tracemalloc
from pathlib import Path
import numpy as np
from rarityir.indexes.flat import FlatIndex
documents, folder = int(sys.argv[1]), Path(sys.argv[2])
rng = np.random.default_rng(0)
q = rng.standard_normal((50, 64), dtype=np.float32)
FlatIndex.build([q], folder / "first")
FlatIndex.open(folder / "first").search(q, 10)  # compiled before anything is measured
tracemalloc.start()
FlatIndex.build((rng.standard_normal((1000, 64), dtype=np.float32) for _ in range(documents // 1000)), folder)
FlatIndex.open(folder).search(q, 10, 1000)
print(tracemalloc.get_traced_memory()[1])
"""


def test_memory_does_not_grow_with_the_corpus(tmp_path):
    peaks = []
    for documents in (20_000, 80_000):  # 5 MB and 20 MB of vectors
        out = subprocess.run(
            [sys.executable, "-c", _PEAK, str(documents), str(tmp_path / str(documents))],
            capture_output=True,
            text=True,
            check=True,
        )
        peaks.append(int(out.stdout))
    assert peaks[1] < 3_000_000
    assert peaks[1] < 1.1 * peaks[0]
