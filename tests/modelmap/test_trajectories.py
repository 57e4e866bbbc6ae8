"""Paths with known exponents, and distances from layer to layer."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rarityir.modelmap import adjacent_kl, diffusion_exponent, kl, steady
from rarityir.modelmap.trajectories import from_row
from rarityir.types import RarityError


def test_a_random_walk_has_exponent_1_and_a_straight_line_2(rng) -> None:
    steps = rng.standard_normal((12, 20000))
    slope, fit = diffusion_exponent(np.cumsum(steps, axis=0), 1)
    assert slope == pytest.approx(1, abs=0.1)
    assert fit > 0.98
    line = np.arange(12)[:, None] * rng.standard_normal(300) + rng.standard_normal(300)
    slope, fit = diffusion_exponent(line, 0)
    assert slope == pytest.approx(2, abs=1e-6)
    assert fit == pytest.approx(1)


def test_a_walk_that_is_pulled_back_has_less_than_07(rng) -> None:
    place, path = rng.standard_normal(20000), []
    for _ in range(12):
        path.append(place)
        place = 0.6 * place + 0.8 * rng.standard_normal(20000)
    assert diffusion_exponent(path, 0)[0] < 0.7


def test_unevenly_kept_checkpoints_need_their_steps(rng) -> None:
    times = np.array([0, 1, 2, 4, 8, 16, 32])
    line = times[:, None] * rng.standard_normal(50)
    assert diffusion_exponent(line, 0, range(1, 7), times)[0] == pytest.approx(2, abs=1e-6)
    with pytest.raises(RarityError, match="order of their steps"):
        diffusion_exponent(line, 0, range(1, 7), times[::-1])
    for steps in ([0, 30, 20, 10, 40, 50, 60], [0, 10, 10, 20, 30, 40, 50], [0, np.nan, 2, 3, 4, 5, 6]):
        with pytest.raises(RarityError, match="order of their steps"):
            diffusion_exponent(line, 0, range(1, 7), steps)
    with pytest.raises(RarityError, match="name one twice"):
        diffusion_exponent(line, 0, [2, 2])
    assert diffusion_exponent(line, 0, [3, 1, 2], times) == diffusion_exponent(line, 0, [1, 2, 3], times)
    for start, lags in ((0, range(1, 8)), (-1, range(1, 3)), (0, [1]), (0, [0, 1])):
        with pytest.raises(RarityError, match="lags"):
            diffusion_exponent(line, start, lags)
    with pytest.raises(RarityError, match="equal to checkpoint 0"):
        diffusion_exponent(np.zeros((4, 5)), 0, [1, 2])


def test_neighbours_and_the_last_layer(rng) -> None:
    l_SN = rng.standard_normal((5, 40))
    l_SN[3] = l_SN[2]
    whole = kl(l_SN, 100.0)
    found = adjacent_kl(l_SN, 100.0)
    np.testing.assert_allclose(found, [whole[i, i + 1] for i in range(4)], rtol=1e-9)
    assert found[2] == 0
    np.testing.assert_allclose(from_row(l_SN, -1, 100.0), whole[-1], rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(adjacent_kl(l_SN, unit="bits/text"), found * 100, rtol=1e-12)
    assert found[0] == pytest.approx(np.var(l_SN[0] - l_SN[1]) / 2 / 100 / math.log(2))
    l_SN[1, 3] = np.nan
    with pytest.raises(RarityError, match="row 1, column 3"):
        adjacent_kl(l_SN, 100.0)


def test_texts_that_jump_are_left_out(rng) -> None:
    runs = [rng.standard_normal((6, 100)).cumsum(axis=0) for _ in range(2)]
    runs[0][3:, 17] += 100
    runs[1][5, 40] -= 50
    runs[1][2, 60] += 30
    keep = steady(runs, 0.03)
    assert sorted(np.flatnonzero(~keep).tolist()) == [17, 40, 60]
    assert steady(runs, 0).all()
