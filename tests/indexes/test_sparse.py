"""The sparse index against sums in plain dictionaries; whole-number impacts make every sum exact."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rarityir.indexes.sparse import AlignedIndex
from rarityir.types import Impacts, RarityError

VOCABULARY = 12
VECTORS = st.lists(st.dictionaries(st.integers(0, VOCABULARY - 1), st.integers(1, 6), max_size=8), min_size=1, max_size=25)


def impacts(vectors: list[dict[int, float]]) -> Impacts:
    indptr = np.cumsum([0, *map(len, vectors)]).astype(np.int64)
    ids, values = ([x for v in vectors for x in part(v)] for part in (dict.keys, dict.values))
    return Impacts(indptr, np.array(ids, np.int64), np.array(values, np.float32), VOCABULARY)


def indexed(docs: list[dict[int, float]], folder, block: int = 1000) -> AlignedIndex:
    blocks = (impacts(docs[start : start + block]) for start in range(0, len(docs), block))
    AlignedIndex.build("8", blocks, folder)
    return AlignedIndex.open("8", folder)


def by_dictionaries(docs, query, cutoff) -> list[tuple[int, float]]:
    sums = {row: sum(weight * doc.get(token, 0) for token, weight in query.items()) for row, doc in enumerate(docs)}
    return sorted(((row, s) for row, s in sums.items() if s > 0), key=lambda hit: (-hit[1], hit[0]))[:cutoff]


def pairs(rows: np.ndarray, scores: np.ndarray) -> list[tuple[int, float]]:
    return [(row, score) for row, score in zip(rows.tolist(), scores.tolist(), strict=True) if row >= 0]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(docs=VECTORS, queries=VECTORS, cutoff=st.integers(1, 30), block=st.integers(1, 25))
def test_a_search_is_a_dictionary_sum_and_a_full_stable_sort(tmp_path, docs, queries, cutoff, block):
    hits = indexed(docs, tmp_path, block).search(impacts(queries), cutoff)
    assert [pairs(*hit) for hit in zip(*hits, strict=True)] == [by_dictionaries(docs, q, cutoff) for q in queries]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(docs=VECTORS, queries=VECTORS)
def test_scores_are_the_inner_products_of_the_same_vectors_written_densely(tmp_path, docs, queries):
    dense = [np.array([[v.get(t, 0) for t in range(VOCABULARY)] for v in vectors]) for vectors in (docs, queries)]
    found = np.zeros((len(queries), len(docs)))
    for query, (rows, scores) in enumerate(zip(*indexed(docs, tmp_path).search(impacts(queries), 99), strict=True)):
        for row, score in pairs(rows, scores):
            found[query, row] = score
    assert found.tolist() == (dense[1] @ dense[0].T).tolist()


def test_a_document_that_shares_no_token_is_no_hit(tmp_path):
    hits = indexed([{1: 2}, {}, {3: 1}], tmp_path).search(impacts([{3: 1}, {}, {5: 1}]), 10)
    assert hits.rows.tolist() == [[2], [-1], [-1]]


def test_a_tie_at_the_cutoff_keeps_the_earlier_row(tmp_path):
    hits = indexed([{1: 1}, {2: 3}, {1: 1}, {1: 1}], tmp_path).search(impacts([{1: 1, 2: 1}]), 3)
    assert hits.rows.tolist() == [[1, 0, 2]]


def test_a_querys_weights_multiply(tmp_path):
    docs = [{1: 3, 2: 1}, {1: 1, 2: 2}]
    hits = indexed(docs, tmp_path).search(impacts([{1: 1, 2: 4}]), 2)
    assert [pairs(*hit) for hit in zip(*hits, strict=True)] == [[(1, 9.0), (0, 7.0)]]


def test_documents_without_tokens_keep_their_rows(tmp_path):
    docs = [{}, {}, {1: 1}, {}]
    assert indexed(docs, tmp_path, block=2).search(impacts([{1: 1}]), 4).rows.tolist() == [[2]]


def test_the_same_documents_in_other_blocks_are_the_same_bytes(tmp_path):
    docs = [{(i * j) % VOCABULARY: i + j + 1 for j in range(4)} for i in range(20)]
    for name, block in (("a", 20), ("b", 3)):
        indexed(docs, tmp_path / name, block)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()
    assert len(list((tmp_path / "a").iterdir())) == 10


def test_building_states_how_many_postings_there_are_and_their_bytes(tmp_path):
    facts = AlignedIndex.build("7", [impacts([{1: 1, 2: 1}, {3: 1}, {}])], tmp_path)
    size = sum(np.load(path).nbytes for path in tmp_path.glob("*.npy"))
    assert (facts["dim"], facts["postings"], facts["tokens_used"]) == (7, 3, 3)
    assert facts["bytes_per_doc"] == pytest.approx(size / 3, abs=0.1)


def test_how_many_tokens_to_keep_is_in_the_key():
    assert (AlignedIndex.key(""), AlignedIndex.key("64"), AlignedIndex.key("8")) == ("sparse:64", "sparse:64", "sparse:8")


def test_a_weighting_other_than_the_default_is_in_the_key():
    keys = [AlignedIndex.key(arg) for arg in ("8,weighting=minus-next", "8,weighting=log1p", "weighting=raw")]
    assert keys == ["sparse:8", "sparse:8,weighting=log1p", "sparse:64,weighting=raw"]


def test_impacts_below_zero_are_no_postings(tmp_path):
    hits = indexed([{1: -2, 2: 3}, {1: 4}], tmp_path).search(impacts([{1: 1, 2: 1}]), 5)
    assert [pairs(*hit) for hit in zip(*hits, strict=True)] == [[(1, 4.0), (0, 3.0)]]


@pytest.mark.parametrize("arg", ["0", "-1", "2.5", "many", "²"])
def test_what_is_no_number_of_tokens_is_one_line(arg):
    with pytest.raises(RarityError, match=rf"^sparse:{arg}: [^\n]*such as sparse:64$"):
        AlignedIndex.key(arg)
