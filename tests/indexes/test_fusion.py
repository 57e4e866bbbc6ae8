"""Fusions worked by hand, and against exact fractions, which know no rounding."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rarityir.indexes.fusion import combsum, rrf
from rarityir.indexes.topk import pad
from rarityir.types import Hits, RarityError, UnknownName

RANKINGS = st.lists(st.permutations(range(8)).flatmap(lambda p: st.integers(0, 8).map(lambda n: p[:n])), min_size=2, max_size=4)


def hits(*rankings: dict[int, float]) -> Hits:
    """One system's hits: for each query row → score, best first."""
    found = [(np.array([*r], np.int64), np.array([*r.values()], np.float32)) for r in rankings]
    return pad(found, 1000)


def ranked(*rows: int) -> Hits:
    """One query's ranking where scores are of no interest."""
    return hits({row: float(len(rows) - i) for i, row in enumerate(rows)})


def by_fractions(rankings: list[list[int]], k: int) -> list[int]:
    sums: dict[int, Fraction] = {}
    for ranking in rankings:
        for rank, row in enumerate(ranking, start=1):
            sums[row] = sums.get(row, Fraction(0)) + Fraction(1, k + rank)
    return sorted(sums, key=lambda row: (-sums[row], row))


def test_rrf_adds_reciprocal_ranks():
    found = rrf("", [ranked(3, 1), ranked(1, 2)], 10)
    assert found.rows.tolist() == [[1, 3, 2]]
    assert found.scores[0] == pytest.approx([1 / 62 + 1 / 61, 1 / 61, 1 / 62], rel=1e-6)
    assert (found.rows.dtype, found.scores.dtype) == (np.int64, np.float32)


@pytest.mark.parametrize("arg", ["k=1", "1"])
def test_rrf_takes_its_constant(arg):
    found = rrf(arg, [ranked(3, 1), ranked(1, 2)], 10)
    assert found.scores[0] == pytest.approx([1 / 3 + 1 / 2, 1 / 2, 1 / 3], rel=1e-6)


def test_a_small_constant_prefers_one_first_place_to_two_third_ones():
    systems = [ranked(0, 1, 2), ranked(3, 4, 2)]
    assert rrf("k=0", systems, 1).rows.tolist() == [[0]]
    assert rrf("k=60", systems, 1).rows.tolist() == [[2]]


@given(RANKINGS, st.sampled_from([60, 10, 1]))
def test_rrf_ranks_as_exact_fractions_do_with_ties_to_the_earlier_row(rankings, k):
    found = rrf(f"k={k}", [ranked(*ranking) for ranking in rankings], 100)
    assert found.rows[0].tolist() == by_fractions(rankings, k)


def test_the_order_in_which_a_sum_is_rounded_breaks_no_tie():
    rankings = [[0, 1, 2, 3], [1, 4, 5, 0], [6, 0, 7, 1]]  # 0 is placed 1, 4, 2 and 1 is placed 2, 1, 4
    found = rrf("k=10", [ranked(*ranking) for ranking in rankings], 2)
    assert found.scores[0, 0] == found.scores[0, 1]
    assert found.rows.tolist() == [[0, 1]]


def test_the_cutoff_comes_after_the_sum():
    assert rrf("", [ranked(0, 1, 2), ranked(3, 2, 4)], 1).rows.tolist() == [[2]]


@pytest.mark.parametrize(("fuse", "best"), [(rrf, [1, 0]), (combsum, [0, 1])])
def test_each_query_is_fused_on_its_own_and_padding_is_no_document(fuse, best):
    found = fuse("", [hits({0: 2.0, 1: 1.0}, {}, {5: 1.0}), hits({1: 9.0}, {}, {6: 3.0, 5: 2.0})], 9)
    assert found.rows.tolist() == [best, [-1, -1], [5, 6]]
    assert found.scores[1].tolist() == [0, 0]


def test_combsum_adds_scores_brought_between_0_and_1():
    found = combsum("", [hits({0: 10.0, 1: 6.0, 2: 2.0}), hits({1: 0.75, 3: 0.5, 0: 0.25})], 10)
    assert found.rows.tolist() == [[1, 0, 3, 2]]  # halves of 0.5 + 1, 1 + 0, 0.5, 0
    assert found.scores.tolist() == [[0.75, 0.5, 0.25, 0.0]]


def test_combsum_gives_the_first_system_its_weight_and_shares_the_rest():
    systems = [ranked(0, 1), ranked(1, 2), ranked(2, 3)]
    found = combsum("w=0.5", systems, 10)
    assert found.rows.tolist() == [[0, 1, 2, 3]]
    assert found.scores.tolist() == [[0.5, 0.25, 0.25, 0.0]]


@pytest.mark.parametrize(("arg", "first"), [("w=1", 0), ("w=0", 1), ("0.3", 1), ("0.7", 0)])
def test_the_heavier_system_of_two_wins(arg, first):
    assert combsum(arg, [ranked(0, 1), ranked(1, 0)], 2).rows[0, 0] == first


@given(st.lists(st.integers(0, 20), min_size=1, max_size=8), st.integers(1, 64), st.integers(-99, 99))
def test_combsum_does_not_see_the_scale_and_offset_of_a_system(scores, scale, offset):
    scores = sorted(scores, reverse=True)
    other = ranked(4, 1, 6)
    found, moved = (combsum("", [hits({i: a * s + b for i, s in enumerate(scores)}), other], 20) for a, b in
                    ((1, 0), (scale, offset)))  # fmt: skip
    assert moved.rows.tolist() == found.rows.tolist()
    np.testing.assert_allclose(moved.scores, found.scores, rtol=1e-6)


def test_documents_that_all_score_the_same_were_found_all_the_same():
    found = combsum("", [hits({7: 3.0, 2: 3.0}), hits({2: 2.0, 7: 1.0})], 9)
    assert found.rows.tolist() == [[2, 7]]
    assert found.scores.tolist() == [[1.0, 0.5]]
    assert combsum("", [hits({7: 0.0}), hits({})], 9).scores.tolist() == [[0.5]]


@pytest.mark.parametrize("fuse", [rrf, combsum])
def test_a_tied_fusion_keeps_the_earlier_row(fuse):
    found = fuse("", [ranked(9, 2), ranked(2, 9)], 1)
    assert found.rows.tolist() == [[2]]


@pytest.mark.parametrize(
    ("fuse", "arg"),
    [(rrf, "k=-1"), (rrf, "k=nan"), (rrf, "k=x"), (combsum, "w=-0.1"), (combsum, "w=1.1"), (combsum, "w=nan"), (rrf, "k=1,2")],
)
def test_a_setting_that_makes_no_sense_is_one_line(fuse, arg):
    with pytest.raises(RarityError, match=rf"^{fuse.__name__}[^\n]*$"):
        fuse(arg, [ranked(0, 1), ranked(1, 0)], 2)


def test_a_misspelt_setting_is_unknown():
    with pytest.raises(UnknownName, match="option of rrf 'kk'; did you mean k"):
        rrf("kk=3", [ranked(0), ranked(1)], 2)
