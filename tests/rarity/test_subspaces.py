"""Angles and shares against planted ones, their closed forms, and draws."""

from __future__ import annotations

import numpy as np
import pytest

from rarityir.rarity.subspaces import cosine, orthonormal, principal_angles, share, split
from rarityir.types import RarityError


def turn(rng: np.random.Generator, width: int) -> np.ndarray:
    return np.linalg.qr(rng.normal(size=(width, width)))[0]


def test_planted_angles_are_found_the_smallest_ones_too(rng):
    planted = np.array([1e-9, 1e-4, 0.3, np.pi / 4, 1.2, np.pi / 2])
    width, count = 20, 6
    one = np.eye(width)[:count]
    other = np.cos(planted)[:, None] * one + np.sin(planted)[:, None] * np.eye(width)[count : 2 * count]
    frame = turn(rng, width)
    mixed = rng.normal(size=(count, count)) @ one @ frame, rng.normal(size=(count, count)) @ other @ frame
    np.testing.assert_allclose(principal_angles(one @ frame, other @ frame), planted, rtol=1e-6, atol=1e-13)
    np.testing.assert_allclose(principal_angles(*mixed), planted, rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(principal_angles(*mixed[::-1]), planted, rtol=1e-5, atol=1e-8)


def test_one_direction_in_a_subspace_has_angle_zero_and_beside_it_a_right_one(rng):
    frame = turn(rng, 9)
    inside = rng.normal(size=4) @ frame[:4]
    assert principal_angles(inside[None], frame[:4])[0] < 1e-12
    assert principal_angles(inside[None], frame[4:])[0] == pytest.approx(np.pi / 2, abs=1e-12)
    assert len(principal_angles(frame[:2], frame[:7])) == 2
    assert len(principal_angles(np.zeros((0, 9)), frame)) == 0
    assert len(principal_angles(np.vstack([inside, 2 * inside]), frame[:4])) == 1, "two rows span one line"


def test_a_filter_splits_the_space_in_two(rng):
    frame = turn(rng, 12)
    found = split((frame[:5]).astype(np.float32))
    assert found.kept.shape == (5, 12)
    assert found.removed.shape == (7, 12)
    whole = np.vstack(found)
    np.testing.assert_allclose(whole @ whole.T, np.eye(12), atol=1e-10)
    assert principal_angles(found.kept, frame[:5]).max() < 1e-6
    assert principal_angles(found.removed, frame[5:]).max() < 1e-6


def test_a_filter_that_scales_keeps_what_it_scales(rng):
    frame = turn(rng, 8)
    found = split(np.diag([100.0, 1.0, 0.01]) @ frame[:3])
    assert len(found.kept) == 3
    assert principal_angles(found.kept, frame[:3]).max() < 1e-6
    assert len(split(np.eye(8)).removed) == 0
    assert len(split(np.vstack([frame[0], frame[0]])).kept) == 1
    with pytest.raises(RarityError, match="shape"):
        split(np.zeros(3))


def test_a_random_directions_share_is_as_its_closed_form_says(rng):
    width, inside, draws = 30, 8, 4000
    subspace = turn(rng, width)[:inside]
    found = [share(rng.normal(size=width), subspace) for _ in range(draws)]
    values = np.array([s.value for s in found])
    expected, spread = found[0].expected, found[0].spread
    assert expected == inside / width
    assert abs(values.mean() - expected) < 4.5 * spread / np.sqrt(draws)
    assert values.std() == pytest.approx(spread, rel=0.08)


def test_a_share_is_one_inside_nought_outside_and_no_matter_of_length(rng):
    frame = turn(rng, 10)
    inside = 7.0 * rng.normal(size=3) @ frame[:3]
    assert share(inside, frame[:3]).value == pytest.approx(1.0)
    assert share(inside, frame[3:]).value == pytest.approx(0.0, abs=1e-12)
    assert share(inside, frame[:0]) == (0.0, 0.0, 0.0)
    with pytest.raises(RarityError, match="direction of zeros"):
        share(np.zeros(10), frame)


def test_cosines_and_bases(rng):
    assert cosine([3.0, 0.0], [5.0, 5.0]) == pytest.approx(np.sqrt(0.5))
    assert cosine([3.0, 0.0], [-2.0, 0.0]) == -1.0
    assert cosine([0.0, 0.0], [1.0, 0.0]) == 0.0
    rows = rng.normal(size=(3, 7))
    basis = orthonormal(np.vstack([rows, rows.sum(axis=0)]))
    assert basis.shape == (3, 7)
    np.testing.assert_allclose(basis @ basis.T, np.eye(3), atol=1e-12)
