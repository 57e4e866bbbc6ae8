"""Scores become a ranking as a full stable sort would make it, ties at the cutoff included."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rarityir.indexes.topk import pad, topk

TIED = st.lists(st.integers(-2, 2), max_size=40)  # five values only, so that most rankings tie
FINE = st.lists(st.floats(-1e6, 1e6, width=32), max_size=40)


def by_full_sort(scores: list[float], cutoff: int, floor: float | None = None) -> list[int]:
    rows = [row for row, score in enumerate(scores) if floor is None or score > floor]
    return sorted(rows, key=lambda row: (-scores[row], row))[:cutoff]


@given(TIED | FINE, st.integers(1, 45))
def test_the_ranking_is_that_of_a_full_stable_sort(scores, cutoff):
    rows, found = topk(np.array(scores, np.float32), cutoff)
    assert rows.tolist() == by_full_sort(scores, cutoff)
    assert found.tolist() == [scores[row] for row in rows]


@given(TIED | FINE, st.integers(1, 45), st.integers(-3, 3))
def test_with_a_floor_only_what_lies_above_it_is_ranked(scores, cutoff, floor):
    rows, found = topk(np.array(scores, np.float32), cutoff, floor)
    assert rows.tolist() == by_full_sort(scores, cutoff, floor)
    assert (found > floor).all()


@given(TIED, st.integers(1, 40))
def test_a_shorter_ranking_is_the_beginning_of_a_longer_one(scores, cutoff):
    array = np.array(scores, np.float32)
    assert topk(array, cutoff)[0].tolist() == topk(array, len(scores) + 1)[0][:cutoff].tolist()


def test_a_tied_ranking_keeps_the_earlier_row():
    rows, scores = topk(np.array([1, 3, 2, 3, 2, 2, 1], np.float32), 4)
    assert rows.tolist() == [1, 3, 2, 4]
    assert scores.tolist() == [3, 3, 2, 2]


def test_a_tie_at_the_cutoff_among_very_many_keeps_the_earliest():
    scores = np.zeros(100_000, np.float32)
    scores[77_777] = 1
    assert topk(scores, 4)[0].tolist() == [77_777, 0, 1, 2]


def test_positive_and_negative_zero_tie():
    assert topk(np.array([-0.0, 0.0, -0.0], np.float32), 2)[0].tolist() == [0, 1]


def test_rankings_of_any_length_are_padded_to_the_longest():
    hits = pad([topk(np.array(scores, np.float32), 3, 0.0) for scores in ([5, 7], [], [0, 0, 0, 1])], 3)
    assert hits.rows.tolist() == [[1, 0], [-1, -1], [3, -1]]
    assert hits.scores.tolist() == [[7, 5], [0, 0], [1, 0]]
    assert (hits.rows.dtype, hits.scores.dtype) == (np.int64, np.float32)


@pytest.mark.parametrize("found", [[], [topk(np.empty(0, np.float32), 3)]])
def test_nothing_found_is_padded_to_no_columns(found):
    assert pad(found, 3).rows.shape == pad(found, 3).scores.shape == (len(found), 0)
