"""Batches hold every text once and stay within the token budget."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from rarityir.encoders.batching import batches

lengths = st.lists(st.integers(0, 600), max_size=80)
budgets = st.integers(1, 5000)


def padded(lengths: list[int], batch: list[int]) -> int:
    return len(batch) * max(lengths[i] for i in batch)


@given(lengths, budgets)
def test_every_text_is_in_exactly_one_batch_and_no_batch_is_empty(lengths, budget):
    found = list(batches(lengths, budget))
    assert sorted(i for batch in found for i in batch) == list(range(len(lengths)))
    assert all(found)


@given(lengths, budgets)
def test_a_batch_is_within_the_budget_or_a_single_text(lengths, budget):
    assert all(padded(lengths, batch) <= budget or len(batch) == 1 for batch in batches(lengths, budget))


@given(lengths, budgets)
def test_texts_come_longest_first_and_equal_ones_in_their_order(lengths, budget):
    order = [i for batch in batches(lengths, budget) for i in batch]
    assert order == sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))


@given(st.lists(st.integers(1, 600), max_size=80), budgets)
def test_no_batch_could_have_taken_the_next_text(lengths, budget):
    found = list(batches(lengths, budget))
    for batch, following in pairwise(found):
        assert padded(lengths, [*batch, following[0]]) > budget


@given(lengths, st.integers(-5, 0))
def test_a_budget_of_nothing_still_gives_every_text_a_batch_of_its_own(lengths, budget):
    assert [len(batch) for batch in batches(lengths, budget)] == [1] * len(lengths)


def test_a_worked_example_comes_out_as_by_hand():
    assert list(batches([3, 10, 1, 4, 4, 50], 12)) == [[5], [1], [3, 4, 0], [2]]
    assert list(batches([], 12)) == []
