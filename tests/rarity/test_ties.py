"""Rarity planted inside or outside what a filter removes is found there, in the band where it lies, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

from rarityir.filters import EmbedFilter, Spectrum
from rarityir.rarity.rows import Matrix
from rarityir.rarity.scores import Interval, Pair
from rarityir.rarity.ties import Second, between, spectroscopy, ties
from rarityir.types import RarityError

N, D = 2000, 24


def matrix(array: np.ndarray, **more) -> Matrix:
    def read(size: int):
        return (array[start : start + size] for start in range(0, len(array), size))

    return Matrix("given", array.shape, read, **more)


class World:
    """Rows with a falling spectrum, turned; the target lies along some singular directions alone, with noise of its own."""

    def __init__(self, rng: np.random.Generator, positions: list[int], signal: float = 0.8) -> None:
        self.frame = np.linalg.qr(rng.normal(size=(D, D)))[0].T
        values = np.geomspace(30, 1, D)
        z = rng.normal(size=(N, D))
        self.x = matrix(((z * values) @ self.frame + 3.0).astype(np.float32))
        self.spectrum = Spectrum(values * np.sqrt(N), self.frame, "", N)
        along = z[:, positions].sum(axis=1) / np.sqrt(len(positions))
        self.y = np.sqrt(signal) * along + np.sqrt(1 - signal) * rng.normal(size=N)
        self.weights = (self.frame[positions] / values[positions, None]).sum(axis=0)
        self.moments = Second.of(self.x, self.y)

    def judge(self, x: Matrix) -> Pair:
        rows = np.c_[np.ones(N // 2), x.array()[::2]]
        beta = np.linalg.lstsq(rows, self.y[::2], rcond=None)[0]
        held = self.y[1::2]
        value = 1 - ((held - np.c_[np.ones(N // 2), x.array()[1::2]] @ beta) ** 2).sum() / ((held - held.mean()) ** 2).sum()
        return Pair(Interval(value, value - 0.01, value + 0.01), Interval(value, value, value))

    def keeping(self, name: str, positions: np.ndarray) -> EmbedFilter:
        return EmbedFilter(name, self.frame[positions].astype(np.float32))


def test_what_is_planted_in_the_removed_half_is_found_there_and_chance_finds_its_share(rng):
    world = World(rng, [0, 1, 22, 23])
    middle, rest = np.arange(6, 18), np.r_[0:6, 18:24]
    both = world.keeping("edge", middle), world.keeping("mid", rest)
    edge, mid = ties(world.x, world.moments, world.weights, both, world.spectrum, world.judge, draws=8)
    assert (edge.inside.width, edge.outside.width, len(edge.chance)) == (12, 12, 8)
    assert edge.inside.r2.type.value == pytest.approx(0.8, abs=0.06)
    assert abs(edge.outside.r2.type.value) < 0.05
    assert abs(mid.inside.r2.type.value) < 0.05
    assert mid.outside.r2.type.value == pytest.approx(0.8, abs=0.06)
    chance = [part.r2.type.value for part in edge.chance]
    assert min(chance) > -0.05
    assert max(chance) < 0.86
    assert len({round(value, 3) for value in chance}) > 1
    assert edge.inside.energy + edge.outside.energy == pytest.approx(1.0)
    assert mid.inside.energy == pytest.approx(edge.outside.energy)
    assert edge.share.value == pytest.approx(1.0)
    assert mid.share.value == pytest.approx(0.0, abs=1e-9)
    assert edge.share.expected == 0.5
    assert edge.angle == pytest.approx(0.0, abs=1e-3)
    assert mid.angle == pytest.approx(90.0, abs=1e-3)
    assert edge.pattern_share.value > 0.8
    assert edge.mean_share.value + mid.mean_share.value == pytest.approx(1.0)


def test_a_filter_that_removes_nothing_has_nothing_inside(rng):
    world = World(rng, [3])
    (found,) = ties(world.x, world.moments, world.weights, [world.keeping("all", np.arange(D))], world.spectrum, world.judge)
    assert found.inside.r2 is None
    assert found.chance == ()
    assert (found.share.value, found.angle) == (0.0, 90.0)
    assert found.json()["inside"] == {"width": 0, "energy": 0.0, "r2": None}


def test_the_band_where_rarity_lies_is_the_only_one_that_says_it(rng):
    world = World(rng, [13])
    tail = world.keeping("tail", np.arange(13))
    found = spectroscopy(world.x, world.moments, world.weights, [tail], world.spectrum, world.judge, bands=12)
    assert [(band.first, band.last) for band in found] == [(i, i + 2) for i in range(0, 24, 2)]
    said = np.array([band.part.r2.type.value for band in found])
    assert said[6] == pytest.approx(0.8, abs=0.06)
    assert np.abs(np.delete(said, 6)).max() < 0.05
    assert [band.share for band in found] == pytest.approx(np.eye(12)[6], abs=1e-9)
    assert [band.kept["tail"] for band in found] == pytest.approx([1] * 6 + [0.5] + [0] * 5, abs=1e-6)
    assert sum(band.part.energy for band in found) == pytest.approx(1.0)
    assert found[0].values == (world.spectrum.values[0], world.spectrum.values[1])
    uneven = spectroscopy(world.x, world.moments, world.weights, [], world.spectrum, world.judge, bands=5)
    assert [band.last - band.first for band in uneven] == [5, 5, 5, 5, 4]


def test_moments_are_numpys_own(rng):
    x, y = rng.normal(size=(300, 5)).astype(np.float32) * 3 + 100, rng.normal(size=300)
    found = Second.of(matrix(x), y)
    whole = np.cov(np.c_[x.astype(np.float64), y].T, bias=True)
    np.testing.assert_allclose(found.mean, x.mean(axis=0, dtype=np.float64), rtol=1e-12)
    np.testing.assert_allclose(found.covariance, whole[:5, :5], atol=1e-10)
    np.testing.assert_allclose(found.pattern, whole[:5, 5], atol=1e-10)
    assert found.energy(np.eye(5)) == pytest.approx(1.0)
    with pytest.raises(RarityError, match="300 rows of given need as many targets, not 4"):
        Second.of(matrix(x), y[:4])


def test_rows_elsewhere_have_no_ties(rng):
    world = World(rng, [3])
    apart = matrix(world.x.array(), stream=False)
    given = world.moments, world.weights, [world.keeping("tail", np.arange(12))], world.spectrum, world.judge
    for measure in (ties, spectroscopy):
        with pytest.raises(RarityError, match="given rows are not in the space"):
            measure(apart, *given)
    narrow = EmbedFilter("tail", np.eye(5, dtype=np.float32))
    with pytest.raises(RarityError, match="is of width 5, given rows are 24 wide"):
        ties(world.x, world.moments, world.weights, [narrow], world.spectrum, world.judge)
    for bands in (0, D + 1):
        with pytest.raises(RarityError, match="bands cannot be cut of 24"):
            spectroscopy(world.x, *given, bands=bands)


def test_angles_of_several_targets_with_spaces_and_their_cosines_with_the_mean(rng):
    frame = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    directions = {"idf": frame[0] * 3, "icf": (frame[0] + frame[1]) / 2}
    found = between(directions, {"edge": frame[1:4], "none": frame[:0]}, frame[0])
    assert found["principal_angles_degrees"]["edge"] == pytest.approx([0, 90], abs=1e-6)
    assert found["principal_angles_degrees"]["none"] == []
    assert found["cosine_with_mean_row"] == pytest.approx({"idf": 1.0, "icf": np.sqrt(0.5)}, abs=1e-5)
