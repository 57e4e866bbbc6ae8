"""The sparse index on disk: streams, merges, what was saved and loaded, what is refused."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rarityir.indexes import packing
from rarityir.indexes.packing import BLOCK
from rarityir.indexes.postings import SparseIndex, write
from rarityir.types import Impacts, RarityError

TOKENS = 50


def corpus(documents: int, each: int, seed: int = 0) -> sp.csr_matrix:
    """Documents of few tokens, some frequent; every third has whole impacts."""
    rng = np.random.default_rng(seed)
    tokens = np.minimum(rng.geometric(0.1, (documents, each)), TOKENS) - 1
    values = rng.gamma(2, 20, (documents, each)).astype(np.float32)
    values[::3] = np.ceil(values[::3])
    matrix = sp.csr_matrix((values.ravel(), (np.repeat(np.arange(documents), each), tokens.ravel())), (documents, TOKENS))
    matrix.data = np.minimum(matrix.data, 255)
    return matrix


def impacts(matrix: sp.csr_matrix) -> Impacts:
    return Impacts(matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64), matrix.data, matrix.shape[1])


def stream(matrix: sp.csr_matrix, step: int):
    return (impacts(matrix[start : start + step]) for start in range(0, matrix.shape[0], step))


def assert_same_files(one, other) -> None:
    names = sorted(path.name for path in one.iterdir())
    assert names == sorted(path.name for path in other.iterdir())
    assert len(names) == 10
    for name in names:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


def test_a_stream_of_blocks_of_any_size_writes_the_bytes_of_the_whole(tmp_path):
    matrix = corpus(70_000, 3)
    SparseIndex.build(matrix, tmp_path / "whole")
    for step in (7_001, 65_536):
        write(stream(matrix, step), tmp_path / str(step))
        assert_same_files(tmp_path / "whole", tmp_path / str(step))
    assert SparseIndex.build(matrix).save(tmp_path / "saved") == tmp_path / "saved"
    assert_same_files(tmp_path / "whole", tmp_path / "saved")


@pytest.mark.parametrize("sizes", [[70_000, 65_536, 4_464], [1, 139_998, 1], [30_000, 40_000, 70_000], [65_536, 74_464]])
def test_a_merge_is_the_index_of_all_documents_to_the_byte(tmp_path, sizes):
    matrix = corpus(140_000, 4)
    SparseIndex.build(matrix, tmp_path / "whole")
    bounds = np.cumsum([0, *sizes])
    parts: list = [SparseIndex.build(matrix[a:b]) for a, b in pairwise(bounds)]
    parts[0] = parts[0].save(tmp_path / "part")
    merged = SparseIndex.merge(parts, tmp_path / "merged")
    assert_same_files(tmp_path / "whole", tmp_path / "merged")
    assert merged.documents == 140_000
    assert isinstance(merged._arrays["rows"], np.memmap)
    SparseIndex.merge(parts).save(tmp_path / "memory")
    assert_same_files(tmp_path / "whole", tmp_path / "memory")


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 60), min_size=1, max_size=5), st.integers(0, 5))
def test_any_small_indexes_merge_to_the_whole(tmp_path, sizes, each):
    matrix = corpus(sum(sizes), each) if each else sp.csr_matrix((sum(sizes), TOKENS), dtype=np.float32)
    bounds = np.cumsum([0, *sizes])
    merged = SparseIndex.merge([SparseIndex.build(matrix[a:b]) for a, b in pairwise(bounds)])
    for name, array in SparseIndex.build(matrix)._arrays.items():
        assert merged._arrays[name].dtype == array.dtype
        assert np.array_equal(merged._arrays[name], array), name


def test_a_block_of_documents_without_tokens_takes_its_place(tmp_path):
    matrix = sp.vstack([sp.csr_matrix((BLOCK + 5, TOKENS), dtype=np.float32), corpus(100, 3)], format="csr")
    SparseIndex.build(matrix, tmp_path / "index")
    found = SparseIndex.load(tmp_path / "index")
    assert found.document_frequencies.tolist() == np.diff(matrix.tocsc().indptr).tolist()
    hits = found.search(corpus(3, 3), 10)
    assert (hits.rows >= BLOCK + 5).all()
    assert np.array_equal(hits.rows, SparseIndex.build(matrix).search(corpus(3, 3), 10).rows)


def test_what_is_saved_and_loaded_is_memory_mapped_and_finds_the_same(tmp_path):
    matrix, queries = corpus(3000, 5), corpus(9, 4, seed=3)
    built = SparseIndex.build(matrix)
    loaded = SparseIndex.load(built.save(tmp_path / "index"))
    assert all(isinstance(array, np.memmap) for array in loaded._arrays.values())
    for one, other in zip(built.search(queries, 20), loaded.search(queries, 20), strict=True):
        assert np.array_equal(one, other)


def test_a_large_vocabulary_costs_five_bytes_a_token_and_block():
    small, large = (SparseIndex.build(impacts(corpus(100, 3))._replace(vocabulary=v)) for v in (50, 150_050))
    assert large.bytes - small.bytes == 5 * 150_000


def index(vocabulary: int = TOKENS) -> SparseIndex:
    return SparseIndex.build(impacts(corpus(5, 2))._replace(vocabulary=vocabulary))


def one(tokens: list[int], values: list[float], vocabulary: int = TOKENS) -> Impacts:
    return Impacts(np.array([0, 0, len(tokens)]), np.array(tokens, np.int64), np.array(values, np.float32), vocabulary)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: SparseIndex.build([]), "no documents"),
        (lambda: SparseIndex.merge([]), "no documents"),
        (lambda: SparseIndex.build(sp.csr_matrix(np.array([[-1.0]], np.float32))), "positive and finite"),
        (lambda: SparseIndex.build(sp.csr_matrix(np.array([[np.nan]], np.float32))), "positive and finite"),
        (lambda: SparseIndex.build(one([3, 3], [1, 2])), r"document 1 \(counted from 0\) has a token twice; add"),
        (lambda: SparseIndex.build(one([TOKENS], [1])), "tokens outside 0 to 49"),
        (lambda: SparseIndex.build(one([-1], [1])), "tokens outside 0 to 49"),
        (lambda: SparseIndex.build([one([1], [1]), one([1], [1], 51)]), "50 and of 51 tokens are of different vocabularies"),
        (lambda: SparseIndex.merge([index(), index(51)]), "50 and of 51 tokens are of different vocabularies"),
        (lambda: index().search(np.ones((1, 3)), 1), "CSR matrix or Impacts, not ndarray"),
        (lambda: index().search(sp.csr_matrix((1, TOKENS + 1)), 1), f"the index {TOKENS}"),
        (lambda: index().search(one([TOKENS], [1]), 1), "tokens outside 0 to 49"),
        (lambda: index().search(-corpus(1, 2), 1), "must not be negative"),
        (lambda: index().search(one([3], [np.inf]), 1), "must be finite"),
        (lambda: index().search(one([3], [np.nan]), 1), "must be finite"),
        (lambda: index().impacts(0, 6), "rows 0 to 6 are not within an index of 5 documents"),
        (lambda: index().impacts(3, 2), "rows 3 to 2 are not within"),
        (lambda: index().vector(-1), "rows -1 to 0 are not within"),
    ],
)
def test_what_cannot_be_indexed_or_asked_is_one_line(call, words):
    with pytest.raises(RarityError, match=rf"^[^\n]*{words}[^\n]*$"):
        call()


def test_more_postings_than_a_pointer_counts_are_one_line(monkeypatch):
    monkeypatch.setattr(packing, "_MOST", 6)
    matrix = sp.csr_matrix(np.eye(20, dtype=np.float32))
    with pytest.raises(RarityError, match=r"^20 impacts of 20 documents are more than a block holds; keep fewer of each$"):
        SparseIndex.build(matrix)


def test_a_merge_into_one_of_its_parts_is_one_line(tmp_path):
    index().save(tmp_path / "a")
    with pytest.raises(RarityError, match=r"^[^\n]*/a is one of the parts to merge; choose another folder for the whole$"):
        SparseIndex.merge([tmp_path / "a", index()], tmp_path / "b" / ".." / "a")
    assert SparseIndex.load(tmp_path / "a").documents == 5


def test_a_build_that_fails_leaves_nothing_half_written(tmp_path):
    def blocks():
        yield impacts(corpus(BLOCK + 1, 2))
        yield one([3, 3], [1, 2])

    with pytest.raises(RarityError, match="document 65538 "):
        SparseIndex.build(blocks(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_index_of_the_older_form_is_one_line(tmp_path):
    for name in ("pointers", "peaks", "rows", "impacts", "scales"):
        np.save(tmp_path / f"{name}.npy", np.zeros((1, 2)))
    (tmp_path / "index.json").write_text(json.dumps({"documents": 1, "vocabulary": 2}))
    with pytest.raises(RarityError, match=r"^[^\n]*in the format of another version; build it again$"):
        SparseIndex.load(tmp_path)


@pytest.mark.parametrize("name", ["rows.npy", "columns.npy", "index.json", "scales.npy"])
def test_a_folder_that_lost_half_of_a_file_or_a_file_is_one_line(tmp_path, name):
    SparseIndex.build(corpus(50, 3), tmp_path)
    whole = (tmp_path / name).read_bytes()
    for left in (whole[:20], whole[:-1], None):
        (tmp_path / name).unlink() if left is None else (tmp_path / name).write_bytes(left)
        if name == "index.json" and left == whole[:-1]:
            continue  # a line's end is all it lost
        with pytest.raises(RarityError, match=r"^[^\n]*holds no whole sparse index[^\n]*build it again$"):
            SparseIndex.load(tmp_path)


def test_arrays_of_different_indexes_are_one_line(tmp_path):
    SparseIndex.build(corpus(50, 3), tmp_path / "a")
    SparseIndex.build(corpus(40, 3), tmp_path / "b")
    (tmp_path / "a" / "scales.npy").write_bytes((tmp_path / "b" / "scales.npy").read_bytes())
    with pytest.raises(RarityError, match="its arrays are of other sizes"):
        SparseIndex.load(tmp_path / "a")
