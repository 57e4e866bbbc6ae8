"""The sparse engine against brute force, to the last bit: ties, many blocks, heavy tokens, threads, streams, merges."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from rarityir.indexes import kernels, postings
from rarityir.indexes.packing import BLOCK, HEAVY, quantised
from rarityir.indexes.postings import SparseIndex
from rarityir.types import Hits, Impacts, RarityError

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


def columns(documents: int, *tokens: tuple[np.ndarray | range, float]) -> sp.csr_matrix:
    """Documents by token: each token's rows, and the impact that it has in them."""
    rows = np.concatenate([np.asarray(part) for part, _ in tokens])
    ids = np.repeat(np.arange(len(tokens)), [len(part) for part, _ in tokens])
    values = np.repeat(np.array([value for _, value in tokens], np.float32), [len(part) for part, _ in tokens])
    return sp.csr_matrix((values, (rows, ids)), (documents, TOKENS))


def impacts(matrix: sp.csr_matrix) -> Impacts:
    return Impacts(matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64), matrix.data, matrix.shape[1])


def asking(*queries: list[tuple[int, float]]) -> Impacts:
    """Queries as (token, weight) in order, which a matrix would sort."""
    tokens, weights = ([pair[i] for query in queries for pair in query] for i in (0, 1))
    indptr = np.cumsum([0, *map(len, queries)])
    return Impacts(indptr, np.array(tokens, np.int64), np.array(weights, np.float32), TOKENS)


def brute_force(matrix: sp.csr_matrix, tokens: np.ndarray, weights: np.ndarray, cutoff: int) -> tuple[list, list]:
    """Each document's sum over the query's tokens in order, in float32, of the impacts as they are stored."""
    codes, scales = quantised(impacts(matrix))
    stored = sp.csr_matrix((codes.astype(np.float32), matrix.indices, matrix.indptr), matrix.shape).tocsc()
    scores = np.zeros(matrix.shape[0], np.float32)
    for token, weight in zip(tokens, weights.astype(np.float32), strict=True):
        part = slice(stored.indptr[token], stored.indptr[token + 1])
        scores[stored.indices[part]] += weight * stored.data[part]
    scores *= scales
    order = np.lexsort((np.arange(len(scores)), -scores))[:cutoff]
    order = order[scores[order] > 0]
    return order.tolist(), scores[order].tolist()


def assert_exact(index: SparseIndex, matrix: sp.csr_matrix, queries, cutoff: int, threads: int = 2) -> None:
    asked = queries if isinstance(queries, Impacts) else impacts(queries)
    hits = index.search(queries, cutoff, threads)
    for number, (rows, scores) in enumerate(zip(*hits, strict=True)):
        part = slice(asked.indptr[number], asked.indptr[number + 1])
        wanted_rows, wanted_scores = brute_force(matrix, asked.token_ids[part], asked.values[part], cutoff)
        count = len(wanted_rows)
        assert rows[:count].tolist() == wanted_rows
        assert scores[:count].tolist() == wanted_scores
        assert (rows[count:] == -1).all()


def assert_equal(one: Hits, other: Hits) -> None:
    assert np.array_equal(one.rows, other.rows)
    assert np.array_equal(one.scores, other.scores)


def heavy_tokens(index: SparseIndex) -> list[int]:
    return index._arrays["heavy"][:, 0].tolist()


@pytest.fixture(scope="module", params=[False, True], ids=["real", "whole"])
def three_blocks(request) -> tuple[sp.csr_matrix, SparseIndex]:
    matrix = corpus(150_001, 4, whole=request.param)
    assert 2 * BLOCK < 150_001
    assert 150_001 % 16
    return matrix, SparseIndex.build(matrix)


@pytest.mark.parametrize("cutoff", [1, 10, 1000, 40_000])
def test_a_search_is_brute_force_bit_for_bit_over_many_blocks(three_blocks, cutoff):
    matrix, index = three_blocks
    assert 0 < len(set(heavy_tokens(index))) < TOKENS
    assert_exact(index, matrix, corpus(8, 6, seed=1), cutoff)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 400), st.integers(1, 6), st.integers(0, 99), st.integers(1, 500), st.booleans())
def test_any_small_corpus_is_searched_exactly_with_its_ties(documents, each, seed, cutoff, whole):
    matrix = corpus(documents, each, seed, whole=whole)
    if whole:
        matrix.data[:] = 1  # nothing but ties
    assert_exact(SparseIndex.build(matrix), matrix, corpus(5, 3, seed + 1, whole=True), cutoff)


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(1, 9))
def test_terms_add_up_in_the_querys_order_however_heavy_and_light_ones_stand(data, each):
    matrix = corpus(500, 20, seed=each)
    index = SparseIndex.build(matrix)
    assert {4, 5, 6, 7} < set(heavy_tokens(index)) < set(range(60))
    # Weights of very different sizes: another order gives other roundings.
    pair = st.tuples(st.integers(0, 40), st.floats(2**-10, 2**10, width=32))
    assert_exact(index, matrix, asking(data.draw(st.lists(pair, max_size=12)), [(1, 1e-4), (200, 3), (0, 7), (1, 0.1)]), 50)


def test_up_to_nine_heavy_terms_in_a_row_are_added_in_order():
    matrix = corpus(3000, 40, seed=5)
    index, rng = SparseIndex.build(matrix), np.random.default_rng(0)
    tokens = heavy_tokens(index)
    for count in range(1, 10):
        query = [(token, 10.0 ** rng.uniform(-3, 3)) for token in rng.permutation(tokens)[:count]]
        assert_exact(index, matrix, asking(query, [*query, (299, 1.0)], [(298, 0.5), *query]), 20)


@pytest.mark.parametrize("documents", [HEAVY * 10, BLOCK, BLOCK + 8 * 5])
def test_a_token_of_more_than_an_eighth_of_a_block_is_a_column(documents):
    """Token 0 is in all documents, 1 in an eighth of each block, 2 in one more."""
    blocks = [range(start, min(start + BLOCK, documents)) for start in range(0, documents, BLOCK)]
    eighth = np.concatenate([np.array(block)[: len(block) // HEAVY] for block in blocks])
    more = np.concatenate([np.array(block)[-(len(block) // HEAVY) - 1 :] for block in blocks])
    matrix = columns(documents, (range(documents), 2.5), (eighth, 1.5), (more, 3.25), (range(0, documents, 9), 0.7))
    index = SparseIndex.build(matrix)
    assert heavy_tokens(index) == [0, 2] * len(blocks)
    queries = asking([(0, 1.1)], [(1, 1.1)], [(2, 1.1)], [(1, 0.3), (0, 1.7), (3, 9.0), (2, 0.1)], [(3, 1), (1, 1), (2, 1)])
    assert_exact(index, matrix, queries, 30)
    assert index.document_frequencies[:4].tolist() == np.diff(matrix.tocsc().indptr)[:4].tolist()
    assert index.postings == matrix.nnz == index.statistics()["postings"]


def test_equal_scores_of_heavy_and_light_tokens_keep_the_earlier_rows():
    rng = np.random.default_rng(3)
    rows = rng.permutation(40_000)
    matrix = columns(40_000, (rows[:30_000], 7.0), (rows[30_000:33_000], 7.0), (rows[33_000:33_020], 7.0))
    index = SparseIndex.build(matrix)
    assert heavy_tokens(index) == [0]
    for cutoff in (1, 10, 33_019):
        hits = index.search(asking([(0, 1.5), (1, 1.5), (2, 1.5)]), cutoff)
        assert hits.rows[0].tolist() == np.sort(rows[:33_020])[:cutoff].tolist()
        assert set(hits.scores[0].tolist()) == {10.5}


def test_more_ties_than_any_buffer_keep_the_earlier_rows():
    matrix = sp.csr_matrix(np.ones((70_000, 1), np.float32))
    hits = SparseIndex.build(matrix).search(sp.csr_matrix(np.array([[2.0]], np.float32)), 5)
    assert hits.rows.tolist() == [[0, 1, 2, 3, 4]]
    assert hits.scores.tolist() == [[2.0] * 5]


@pytest.mark.parametrize("few", [0, 5, 10])
def test_scores_of_very_different_sizes_are_all_found(few):
    matrix = columns(5000, (range(700, 700 + few), 200.0), (range(5000), 3.0))
    assert_exact(SparseIndex.build(matrix), matrix, asking([(0, 1000.0), (1, 1.0)]), 10)


def test_rising_scores_keep_the_last_rows():
    """Each document is better than all before it: no threshold holds for long."""
    values = np.arange(1, 70_001, dtype=np.float32)
    both = np.stack([values, np.full_like(values, 70_000)], axis=1)  # the second fixes the scale
    index = SparseIndex.build(Impacts(np.arange(0, 140_001, 2), np.tile([0, 1], 70_000), both.ravel(), 2))
    for cutoff in (1, 300):
        hits = index.search(sp.csr_matrix(np.array([[1, 0]], np.float32)), cutoff)
        codes = np.clip(np.rint(values / (np.float32(70_000) / np.float32(255))), 1, 255)
        assert hits.rows[0].tolist() == np.lexsort((np.arange(70_000), -codes))[:cutoff].tolist()


def test_a_block_that_few_postings_touch_leaves_room_for_the_next():
    """The first block has as many candidates as the buffer holds, the second nothing but ties: no neighbour loses its own."""
    few = range(0, 272)
    matrix = columns(2 * BLOCK, (few, 3.0), (range(BLOCK, 2 * BLOCK), 2.0))
    queries = asking([(0, 1.0), (1, 1.0)], [(0, 1.0)], [(0, 1.0), (1, 1.0)], [(0, 2.0)])
    assert_exact(SparseIndex.build(matrix), matrix, queries, 1, threads=1)
    assert_exact(SparseIndex.build(matrix), matrix, queries, 300, threads=1)


@pytest.mark.parametrize(("best", "others"), [(1.5, 1.2), (1.2001, 1.2), (250.0, 200.0)])
def test_a_later_block_is_left_out_only_if_none_of_it_can_be_better(best, others):
    """The second block's only document with token 0 is the best; its impact is small beside the block's largest."""
    matrix = columns(BLOCK + 10, (range(BLOCK), others), ([BLOCK + 3], best), (range(BLOCK, BLOCK + 3), 255.0))
    matrix = sp.csr_matrix(matrix @ sp.csr_matrix(([1, 1, 1], ([0, 1, 2], [0, 0, 2])), (TOKENS, TOKENS)))
    hits = SparseIndex.build(matrix).search(asking([(0, 1.0)]), 1)
    assert hits.rows.tolist() == [[BLOCK + 3]]


def test_rare_tokens_are_found_exactly():
    rng = np.random.default_rng(1)
    rare = [(rng.choice(150_000, 40, replace=False), float(weight)) for weight in rng.gamma(2, 1, 30)]
    matrix = columns(150_000, *rare)
    index = SparseIndex.build(matrix)
    assert heavy_tokens(index) == []
    query = [(token, float(weight)) for token, weight in enumerate(rng.gamma(2, 1, 30))]
    for cutoff in (1, 20, 1500):
        assert_exact(index, matrix, asking(query, query[::-1], query[3:5]), cutoff)


def test_many_queries_and_any_number_of_threads_find_what_one_finds_alone(monkeypatch):
    monkeypatch.setattr(postings, "_WORTH", 1)  # else a search as small as this starts none
    index, queries = SparseIndex.build(corpus(5000, 5)), corpus(331, 5, seed=2)
    alone = [index.search(queries[number], 50, threads=1) for number in range(queries.shape[0])]
    for threads in (1, 2, 5, 64):
        many = index.search(queries, 50, threads=threads)
        for number, one in enumerate(alone):
            width = one.rows.shape[1]
            assert many.rows[number, :width].tolist() == one.rows[0].tolist()
            assert many.scores[number, :width].tolist() == one.scores[0].tolist()
            assert (many.rows[number, width:] == -1).all()
    together = threading.Barrier(3, timeout=60)  # nobody goes on before three are at work
    monkeypatch.setattr(kernels, "search", lambda *_: together.wait())
    started = threading.active_count()
    index.search(queries, 50, threads=3)
    assert threading.active_count() == started


def test_documents_and_queries_without_tokens_are_no_hits_and_keep_their_rows():
    matrix = sp.csr_matrix(np.array([[0, 0], [0, 2], [0, 0]], np.float32))
    index = SparseIndex.build(matrix)
    hits = index.search(sp.csr_matrix(np.array([[0, 1], [0, 0], [1, 0]], np.float32)), 3)
    assert hits.rows.tolist() == [[1], [-1], [-1]]
    assert index.search(sp.csr_matrix((0, 2), dtype=np.float32), 3).rows.shape == (0, 0)
    assert index.search(sp.csr_matrix((2, 2), dtype=np.float32), 3).rows.shape == (2, 0)
    assert index.search(matrix, 0).rows.shape == (3, 0)


def test_eight_bits_keep_every_impact_within_half_a_step_and_none_is_lost():
    matrix = corpus(2000, 6)
    matrix.data[:9] = 1e-44  # less than a scale can say
    codes, scales = quantised(impacts(matrix))
    step = np.repeat(scales, np.diff(matrix.indptr))
    assert codes.min() >= 1
    assert scales.min() > 0
    assert (np.abs(codes * step - matrix.data) <= np.maximum(0.5001 * step, step - matrix.data)).all()


def test_a_documents_bytes_depend_on_it_alone_and_whole_impacts_up_to_255_are_kept():
    whole, real, large = corpus(100, 4, whole=True), corpus(50, 4), corpus(3, 4, whole=True)
    large.data[:] *= 256
    codes, scales = quantised(impacts(sp.vstack([whole, real, large], format="csr")))
    parts = [quantised(impacts(part)) for part in (whole, real, large)]
    assert codes.tolist() == np.concatenate([part for part, _ in parts]).tolist()
    assert scales.tolist() == np.concatenate([part for _, part in parts]).tolist()
    assert codes[: whole.nnz].tolist() == whole.data.tolist()
    assert (scales[:100] == 1).all()
    assert (scales[150:] > 1).all()


def test_a_posting_costs_about_three_bytes_and_all_are_counted(three_blocks):
    matrix, index = three_blocks
    lengths = np.diff(matrix.tocsc().indptr)
    assert index.document_frequencies.tolist() == lengths.tolist()
    found = index.statistics()
    assert found["postings"] == matrix.nnz
    assert found["bytes"] == sum(array.nbytes for array in index._arrays.values())
    assert found["bits_per_posting"] == round(8 * found["bytes"] / matrix.nnz, 2)
    assert (found["documents"], found["longest"], found["tokens_used"]) == (150_001, lengths.max(), (lengths > 0).sum())
    assert found["longest"] >= found["p99"] >= found["p90"] >= found["p50"] > 0
    assert SparseIndex.build(corpus(100_000, 20)).bytes / corpus(100_000, 20).nnz < 3.5


def test_an_index_gives_its_vectors_back(three_blocks):
    matrix, index = three_blocks
    codes, scales = quantised(impacts(matrix))
    stored = sp.csr_matrix((codes * np.repeat(scales, np.diff(matrix.indptr)), matrix.indices, matrix.indptr), matrix.shape)
    for start, stop in ((0, 0), (0, 3), (7, 7), (BLOCK - 2, BLOCK + 3), (2 * BLOCK, 150_001), (0, 150_001)):
        found, wanted = index.impacts(start, stop), impacts(stored[start:stop])
        assert all(np.array_equal(one, other) for one, other in zip(found, wanted, strict=True))
    tokens, values = index.vector(BLOCK + 1)
    assert (tokens.tolist(), values.tolist()) == (stored[BLOCK + 1].indices.tolist(), stored[BLOCK + 1].data.tolist())


def test_blocks_may_be_matrices(tmp_path):
    matrix = corpus(900, 4)
    whole = SparseIndex.build(matrix).save(tmp_path / "whole")
    SparseIndex.build((matrix[start : start + 250] for start in range(0, 900, 250)), tmp_path / "parts")
    assert all(path.read_bytes() == (tmp_path / "parts" / path.name).read_bytes() for path in whole.iterdir())


@pytest.mark.parametrize("name", ["pointers", "starts", "rows", "heavy"])
def test_an_index_whose_arrays_point_outside_each_other_is_never_searched(tmp_path, name):
    folder = SparseIndex.build(corpus(900, 4)).save(tmp_path)
    array = np.load(folder / f"{name}.npy")
    array[..., -1] = np.iinfo(array.dtype).max // 2
    np.save(folder / f"{name}.npy", array if name != "heavy" else np.full_like(array, TOKENS))
    with pytest.raises(RarityError, match=r"^[^\n]*damaged sparse index[^\n]*build it again$"):
        SparseIndex.load(folder)
