"""The share of a system's effectiveness: closed forms, a bootstrap written out, and how often the interval holds the truth."""

from __future__ import annotations

import numpy as np
import pytest

from rarityir.measures.shares import Share, share

RNG = np.random.default_rng(5)
REFERENCE = RNG.random(60)


def test_a_constant_share_has_no_width():
    found = share(0.4 * REFERENCE, REFERENCE)
    assert (found.value, found.low, found.high) == pytest.approx((0.4, 0.4, 0.4))


def test_the_value_is_the_ratio_of_the_means_not_the_mean_of_ratios():
    values = REFERENCE[::-1].copy()
    values[:10] = 0
    found = share(values, REFERENCE)
    assert found.value == pytest.approx(values.mean() / REFERENCE.mean())
    assert found.low < found.value < found.high


def test_the_interval_is_that_of_topics_drawn_together():
    values = 0.6 * REFERENCE + 0.3 * RNG.random(60)
    rng = np.random.default_rng(99)
    drawn = [rng.integers(0, 60, 60) for _ in range(20_000)]
    wanted = np.quantile([values[i].mean() / REFERENCE[i].mean() for i in drawn], [0.025, 0.975])
    found = share(values, REFERENCE)
    assert [found.low, found.high] == pytest.approx(wanted.tolist(), abs=0.005)
    apart = np.quantile(
        [values[i].mean() / REFERENCE[j].mean() for i, j in zip(drawn, reversed(drawn), strict=True)], [0.025, 0.975]
    )
    assert np.ptp(apart) > 1.5 * np.ptp(wanted)  # drawn apart it would be wider: the test can tell


def test_the_interval_holds_the_true_share_about_as_often_as_it_says():
    rng, held = np.random.default_rng(1), 0
    for trial in range(200):
        reference = rng.random(80)
        found = share(reference * rng.uniform(0.2, 1.0, 80), reference, seed=trial)
        held += found.low <= 0.6 <= found.high
    assert 180 <= held <= 199


def test_the_seed_decides_and_nothing_divides_by_zero():
    values = RNG.random(60)
    assert share(values, REFERENCE, 3) == share(values, REFERENCE, 3) != share(values, REFERENCE, 4)
    assert share(values, np.zeros(60)) is None
    one = share(np.array([0.5, 0.0, 0.0]), np.array([1.0, 0.0, 0.0]))  # draws without the first topic have no ratio
    assert one == Share(0.5, 0.5, 0.5)
