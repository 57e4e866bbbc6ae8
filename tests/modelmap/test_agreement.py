"""Ranks, Mantel and Procrustes against scipy, with pairs of maps that do and do not agree."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import procrustes as scipys
from scipy.stats import spearmanr

from rarityir.modelmap import mantel, procrustes, spearman
from rarityir.modelmap.agreement import onto, pearson
from rarityir.types import RarityError


def apart(x: np.ndarray) -> np.ndarray:
    return np.sqrt(((x[:, None] - x[None]) ** 2).sum(axis=2))


def test_rank_correlation_is_scipys_with_ties(rng) -> None:
    a, b = rng.integers(0, 5, 40), rng.standard_normal(40).round(1)
    assert spearman(a, b) == pytest.approx(spearmanr(a, b).statistic, abs=1e-12)
    assert spearman(np.ones(4), [1, 2, 3, 4]) == 0


@pytest.mark.parametrize("value", [0.1, 0.7, 0.3])
def test_nothing_goes_together_with_what_does_not_vary(value: float, rng) -> None:
    for count in range(3, 14):  # the mean of most of these lists is another number in its last bit
        assert pearson(np.full(count, value), rng.standard_normal(count)) == 0
        assert pearson(rng.standard_normal(count), np.full(count, value)) == 0
        assert pearson(np.full(count, value), np.full(count, 0.1)) == 0


def test_mantel_finds_what_agrees_and_nothing_else(rng) -> None:
    x = rng.standard_normal((14, 3))
    near = x + 0.2 * rng.standard_normal((14, 3))
    upper = np.triu_indices(14, 1)
    r, p = mantel(apart(x), apart(near), runs=999)
    assert r == pytest.approx(spearmanr(apart(x)[upper], apart(near)[upper]).statistic)
    assert p == 1 / 1000
    ps = [mantel(apart(x), apart(rng.standard_normal((14, 3))), runs=99, seed=i)[1] for i in range(40)]
    assert 0.2 < np.mean(ps) < 0.8  # even in [0, 1] where nothing agrees; a mean of 40 has a standard error of .046
    assert mantel(apart(x), apart(near), runs=99, seed=3) == mantel(apart(x), apart(near), runs=99, seed=3)


def test_mantel_permutes_models_not_distances() -> None:
    line = apart(np.array([[0.0], [1.0], [2.5], [10.0]]))  # six different distances: of 24 orders of models one gives r = 1
    assert mantel(line, line, runs=4999)[1] == pytest.approx(1 / 24, abs=0.015)  # of 720 orders of distances, too


def test_procrustes_is_scipys_disparity(rng) -> None:
    a, b = rng.standard_normal((9, 2)), rng.standard_normal((9, 2))
    assert procrustes(a, b, runs=9)[0] == pytest.approx(scipys(a, b)[2], abs=1e-12)
    turn = np.linalg.qr(rng.standard_normal((2, 2)))[0]
    left, p = procrustes(a, 3 * a @ turn + 5, runs=999)
    assert left == pytest.approx(0, abs=1e-12)
    assert p <= 2 / 1000
    with pytest.raises(RarityError, match="one place"):
        procrustes(np.ones((4, 2)), a[:4])
    with pytest.raises(RarityError, match="models"):
        mantel(apart(a), apart(b[:8]))


def test_a_picture_is_laid_onto_another_by_the_nearest_turn(rng) -> None:
    b = rng.standard_normal((7, 2))
    angle = rng.uniform(0.3, 1.2)
    for mirror in (1, -1):
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ np.diag([1, mirror])
        np.testing.assert_allclose(onto(b @ turn + rng.standard_normal(2), b), b, atol=1e-9)
        np.testing.assert_allclose(np.ptp(onto(3 * b @ turn, b), axis=0), 3 * np.ptp(b, axis=0), atol=1e-9)  # never scaled
    a = rng.standard_normal((7, 2))
    found = ((onto(a, b) - b) ** 2).sum()
    centred = a - a.mean(axis=0)
    for mirror in (1, -1):
        for angle in np.linspace(0, 2 * np.pi, 400):
            tried = centred @ np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ np.diag([1, mirror])
            assert found <= ((tried + b.mean(axis=0) - b) ** 2).sum() + 1e-9
