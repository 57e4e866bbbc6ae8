"""Paired tests agree with SciPy and with exact counting, obey their seed, and are corrected as Holm says."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from rarityir.measures.significance import Comparison, compare, holm, paired_t, randomisation
from rarityir.types import Scores

P_VALUES = st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=40)


def scipys(differences: np.ndarray, resamples: float) -> float:
    def mean(x: np.ndarray, axis: int) -> np.ndarray:
        return x.mean(axis=axis)

    return float(
        stats.permutation_test(
            (differences,), mean, permutation_type="samples", n_resamples=resamples, vectorized=True, rng=np.random.default_rng(1)
        ).pvalue
    )


def scores(system: str, values: np.ndarray) -> Scores:
    return Scores(system, tuple(f"q{i}" for i in range(len(values))), {"AP": np.asarray(values, np.float64)})


@pytest.mark.parametrize("topics", [2, 5, 9, 12])
@pytest.mark.parametrize("seed", range(4))
def test_with_few_topics_the_randomisation_test_is_exact(topics: int, seed: int) -> None:
    differences = np.random.default_rng(seed).normal(0.15, 0.3, topics)
    exact = scipys(differences, np.inf)
    assert randomisation(differences) == pytest.approx(exact, abs=1e-12)
    assert exact >= 2 / 2**topics - 1e-12


@pytest.mark.parametrize("shift", [0.0, 0.05, 0.12])
def test_with_many_topics_the_randomisation_test_is_near_scipys(shift: float) -> None:
    differences = np.random.default_rng(7).normal(shift, 0.3, 60)
    expected = scipys(differences, 30_000)
    assert randomisation(differences) == pytest.approx(expected, abs=4 * np.sqrt(0.25 / 10_000))


def test_differences_in_tenths_are_counted_as_whole_numbers_would_be() -> None:
    """Measures such as P@10 differ by tenths, whose sums are not exact in binary: a tie of sums must stay one."""
    rng = np.random.default_rng(5)
    for _ in range(200):
        tenths = rng.integers(-3, 4, int(rng.integers(2, 11)))
        signs = np.array(list(product((-1, 1), repeat=len(tenths))))
        exact = float((np.abs(signs @ tenths) >= abs(tenths.sum())).mean())
        assert randomisation(tenths / 10) == pytest.approx(exact, abs=1e-12), f"tenths {tenths.tolist()}"


def test_the_same_seed_gives_the_same_p_and_another_seed_a_slightly_different_one() -> None:
    differences = np.random.default_rng(3).normal(0.04, 0.3, 80)
    first, again, other = (randomisation(differences, seed=seed) for seed in (5, 5, 6))
    assert first == again
    assert first != other
    assert first == pytest.approx(other, abs=0.03)


@pytest.mark.parametrize("topics", [1, 10, 50, 500])
def test_no_p_value_of_the_randomisation_test_is_zero(topics: int) -> None:
    p = randomisation(np.full(topics, 0.5))
    assert p == (2 / 2**topics if 2**topics <= 10_000 else 1 / 10_001)


def test_topics_that_do_not_differ_do_not_change_p() -> None:
    differences = np.array([0.1, 0.3, -0.05, 0.2, 0.4])
    padded = np.concatenate([differences, np.zeros(300)])
    assert randomisation(padded) == randomisation(differences)


def test_large_and_odd_numbers_of_permutations_are_all_drawn() -> None:
    differences = np.full(40, 0.5)
    assert randomisation(differences, permutations=12_345) == pytest.approx(1 / 12_346)
    # So many topics that one block of signs would not hold all permutations.
    assert randomisation(np.full(5_000, 0.5), permutations=2_000) == pytest.approx(1 / 2_001)


@pytest.mark.parametrize("seed", range(5))
def test_the_paired_t_test_is_scipys(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.random(30), rng.random(30)
    assert paired_t(a - b) == pytest.approx(float(stats.ttest_rel(a, b).pvalue), rel=1e-9)


def test_the_paired_t_test_knows_its_edges() -> None:
    assert paired_t(np.array([0.4])) == 1.0
    assert paired_t(np.zeros(10)) == 1.0
    assert paired_t(np.full(10, 0.25)) == 0.0


def test_the_paired_t_test_of_a_difference_that_is_constant_but_for_rounding_is_zero_and_warns_of_nothing() -> None:
    base = np.random.default_rng(0).random(60)
    assert paired_t((base + 0.2) - base) < 1e-12  # warnings are errors here


def test_holms_correction_by_hand() -> None:
    # Sorted .01 .02 .03 .04 → ×4 ×3 ×2 ×1 = .04 .06 .06 .04, then never falling: .04 .06 .06 .06
    assert holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.9, 0.6]) == [1.0, 1.0]
    assert holm([0.2]) == [0.2]
    assert holm([]) == []


@given(P_VALUES)
def test_holms_correction_keeps_the_order_and_lies_between_p_and_bonferroni(p_values: list[float]) -> None:
    corrected = holm(p_values)
    for p, q in zip(p_values, corrected, strict=True):
        assert p <= q <= min(1.0, p * len(p_values)) + 1e-12
    order = np.argsort(p_values, kind="stable")
    assert (np.diff(np.asarray(corrected)[order]) >= 0).all()


@given(P_VALUES, st.randoms(use_true_random=False))
def test_holms_correction_does_not_depend_on_the_order_of_the_systems(p_values: list[float], random) -> None:
    places = list(range(len(p_values)))
    random.shuffle(places)
    shuffled = holm([p_values[place] for place in places])
    assert shuffled == [holm(p_values)[place] for place in places]


def test_systems_that_are_the_same_differ_with_p_of_one() -> None:
    values = np.random.default_rng(0).random(50)
    (c,) = compare([scores("bm25", values), scores("again", values.copy())], "bm25", "AP")
    assert (c.difference, c.t, c.fisher, c.t_holm, c.fisher_holm) == (0.0, 1.0, 1.0, 1.0, 1.0)
    assert c.mark() == ""


def test_a_comparison_has_the_sign_and_the_mark_of_the_difference() -> None:
    base = np.random.default_rng(0).random(60)
    noise = np.linspace(-0.05, 0.05, 60)
    systems = [scores("better", base + 0.2 + noise), scores("bm25", base), scores("worse", base - 0.1 + noise)]
    better, worse = compare(systems, baseline="bm25", measure="AP")
    assert (better.system, better.mark()) == ("better", "+")
    assert (worse.system, worse.mark()) == ("worse", "-")
    assert better.difference == pytest.approx(0.2)
    assert worse.difference == pytest.approx(-0.1)
    assert better.fisher_holm == pytest.approx(2 / 10_001)
    assert better.t_holm < 1e-6


def test_a_mark_needs_p_below_alpha_after_correction() -> None:
    c = Comparison("a", "AP", 0.1, t=0.001, fisher=0.001, t_holm=0.001, fisher_holm=0.05)
    assert c.mark() == ""
    assert c.mark(alpha=0.051) == "+"


def test_the_correction_is_over_the_systems_that_are_compared() -> None:
    rng = np.random.default_rng(2)
    base = rng.random(40)
    systems = [scores(f"s{i}", base + rng.normal(0.05, 0.2, 40)) for i in range(5)]
    compared = compare([scores("bm25", base), *systems], "bm25", "AP")
    assert [c.fisher_holm for c in compared] == holm([c.fisher for c in compared])
    assert [c.t_holm for c in compared] == holm([c.t for c in compared])
    alone = compare([scores("bm25", base), systems[0]], "bm25", "AP")
    assert alone[0].fisher_holm == alone[0].fisher == compared[0].fisher


def test_a_comparison_obeys_its_seed() -> None:
    rng = np.random.default_rng(4)
    base = rng.random(60)
    systems = [scores("bm25", base), scores("a", base + rng.normal(0.02, 0.2, 60))]
    assert compare(systems, "bm25", "AP", seed=1) == compare(systems, "bm25", "AP", seed=1)
    assert compare(systems, "bm25", "AP", seed=1)[0].fisher != compare(systems, "bm25", "AP", seed=2)[0].fisher
