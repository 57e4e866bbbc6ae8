"""Distances of a model map: the variance identity, its invariances, its units, and true divergences of listed models."""

from __future__ import annotations

import math

import bigrams
import numpy as np
import pytest

from rarityir.modelmap import ModelMap, ResamplePlan, embedded, kl, mismatch, spearman
from rarityir.modelmap.agreement import pairs
from rarityir.types import BadInput, RarityError


def by_hand(l_KN: np.ndarray) -> np.ndarray:
    return np.array([[np.mean((a - b - np.mean(a - b)) ** 2) / 2 for b in l_KN] for a in l_KN])


def test_a_distance_is_half_the_variance_of_the_difference(rng) -> None:
    l_KN = 50 * rng.standard_normal((7, 40)) - 300
    found = kl(l_KN, unit="nats/text")
    np.testing.assert_allclose(found, by_hand(l_KN), rtol=1e-12)
    assert (np.diag(found) == 0).all()
    q_KN = l_KN - l_KN.mean(axis=1, keepdims=True)
    q_KN = q_KN - q_KN.mean(axis=0)  # columns' means cancel in every difference
    np.testing.assert_allclose(2 * found[0, 1], ((q_KN[0] - q_KN[1]) ** 2).mean(), rtol=1e-12)


def test_order_of_texts_and_a_models_constant_change_nothing(rng) -> None:
    l_KN = rng.standard_normal((5, 30))
    found = kl(l_KN, unit="nats/text")
    np.testing.assert_allclose(kl(l_KN[:, rng.permutation(30)], unit="nats/text"), found, rtol=1e-12, atol=1e-15)
    moved = l_KN + np.array([0, 5, -7, 0, 1])[:, None]
    np.testing.assert_allclose(kl(moved, unit="nats/text"), found, rtol=1e-9)


def test_equal_models_are_exactly_0_apart_and_near_ones_are_measured_in_full(rng) -> None:
    row = 1000 * rng.standard_normal(200)
    near = row + 1e-6 * rng.standard_normal(200)
    l_KN = np.stack([row, row.copy(), near, 1000 * rng.standard_normal(200)])
    found = kl(l_KN, unit="nats/text")
    assert found[0, 1] == 0
    np.testing.assert_allclose(found[0, 2], np.var(row - near) / 2, rtol=1e-6)


def test_units(rng) -> None:
    l_KN = rng.standard_normal((3, 20))
    nats = kl(l_KN, unit="nats/text")
    np.testing.assert_allclose(kl(l_KN, unit="bits/text"), nats / math.log(2))
    np.testing.assert_allclose(kl(l_KN, 500.0), nats / (500 * math.log(2)))
    for wrong in ({}, {"mean_bytes": 0.0}, {"mean_bytes": -1.0}, {"mean_bytes": 3.0, "unit": "bits"}):
        with pytest.raises(RarityError, match=r"bytes|unit"):
            kl(l_KN, **wrong)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_named(bad: float) -> None:
    with pytest.raises(BadInput, match=r"row 1, column 2"):
        kl([[0, 0, 0], [0, 0, bad]], unit="nats/text")
    with pytest.raises(BadInput, match="shape"):
        kl([1.0, 2.0], unit="nats/text")


def test_on_texts_that_follow_the_models_the_estimate_is_the_true_divergence(rng) -> None:
    ratios, ranks = [], []
    for _ in range(5):  # one world's ratio has a standard deviation of .013
        l_KS, base_S = bigrams.models(rng, list(np.linspace(0.02, 0.2, 12)))
        np.testing.assert_allclose(np.exp(l_KS).sum(axis=1), 1)
        true = bigrams.true_kl(l_KS)
        true = pairs((true + true.T) / 2)
        for p_S in (np.exp(base_S), np.exp(l_KS).mean(axis=0)):  # a matched set, and a mixture of what the models write
            found = pairs(kl(l_KS[:, bigrams.drawn(rng, p_S, 30000)], unit="nats/text"))
            ratios.append(np.median(found / true))
            ranks.append(spearman(found, true))
    assert abs(np.mean(ratios[::2]) - 1) < 0.05
    assert abs(np.mean(ratios[1::2]) - 1) < 0.05
    assert np.median(ranks[::2]) >= 0.98
    assert np.median(ranks[1::2]) >= 0.98


def test_a_text_set_that_the_models_do_not_write_is_warned_of(rng) -> None:
    l_KS, base_S = bigrams.models(rng, list(np.linspace(0.02, 0.2, 12)))
    own = bigrams.drawn(rng, np.exp(l_KS).mean(axis=0), 30000)
    chosen = bigrams.drawn(rng, np.exp(base_S), 30000)
    assert mismatch(l_KS[:, chosen], l_KS[:, own]).warning == ""
    warned = 0
    for _ in range(4):  # each alone is warned of nearly always; not one in 10^4 runs misses three of four
        wide_KS, _ = bigrams.models(rng, [1.0] * 12, base_scale=2.5)
        own = bigrams.drawn(rng, np.exp(wide_KS).mean(axis=0), 20000)
        found = mismatch(wide_KS[:, rng.integers(0, 4096, 20000)], wide_KS[:, own])
        warned += found.warning.startswith("text-set mismatch")
    assert warned >= 2


def test_a_ratio_and_a_rank_each_warn_alone(rng) -> None:
    l_KN = rng.standard_normal((6, 4000)) * np.arange(1, 7)[:, None]
    assert mismatch(l_KN, l_KN).warning == ""
    assert "2.25 times" in mismatch(1.5 * l_KN, l_KN).warning
    assert "0.44 times" in mismatch(l_KN, 1.5 * l_KN).warning
    assert mismatch(l_KN[::-1], l_KN).warning
    assert mismatch(2 * l_KN, l_KN, 4.0, 1.0).warning == ""  # by byte
    with pytest.raises(RarityError, match="equal on the texts"):
        mismatch(l_KN, l_KN[[0, 0, 1, 2, 3, 4]])
    with pytest.raises(RarityError, match="pairs of models"):
        mismatch(l_KN, l_KN[:5])


def test_texts_of_the_models_own_may_be_of_another_length(rng) -> None:
    ways_K8 = np.diag([1.0, 2, 4, 8, 16]) @ np.eye(5, 8)  # every pair at a distance of its own

    def summed(length: int) -> np.ndarray:
        """Values of 600 texts, each the sum over so many independent steps."""
        shared_N = -length + 0.6 * math.sqrt(length) * rng.standard_normal(600)
        return shared_N + ways_K8 @ (0.1 * math.sqrt(length) * rng.standard_normal((8, 600)))

    chosen = summed(100)
    found = ModelMap.from_matrix("abcde", chosen, 100.0)
    for length in (50, 100, 150, 300):
        assert found.mismatch(summed(length), float(length)).warning == ""
    longer = summed(300)
    wanted = mismatch(found.values, np.maximum(longer, np.quantile(longer, 0.02)), 100.0, 300.0)
    assert found.mismatch(longer, 300.0) == wanted


def test_clipping_is_at_the_quantile_of_all_values_and_kept(rng) -> None:
    l_KN = rng.standard_normal((4, 100)) ** 3
    found = ModelMap.from_matrix("abcd", l_KN, 100.0, clip=0.02)
    low = np.sort(l_KN.ravel())
    assert low[7] <= found.floor <= low[8]
    assert found.values.min() == found.floor
    assert (found.values[l_KN > found.floor] == l_KN[l_KN > found.floor]).all()
    plain = ModelMap.from_matrix("abcd", l_KN, 100.0, clip=0)
    np.testing.assert_array_equal(plain.values, l_KN)
    np.testing.assert_allclose(plain.kl(), by_hand(l_KN) / (100 * math.log(2)), rtol=1e-10)
    np.testing.assert_allclose(found.mean(), np.maximum(l_KN, found.floor).mean(axis=1))


def test_coordinates_have_the_divergences_as_squared_distances(rng) -> None:
    found = ModelMap.from_matrix("abcde", rng.standard_normal((5, 60)), 321.0)
    x = found.coords()
    np.testing.assert_allclose(((x[:, None] - x[None]) ** 2).sum(axis=2), found.kl(), atol=1e-12)
    np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(x.mean(axis=1), 0, atol=1e-12)


def test_principal_places_are_those_of_an_svd(rng) -> None:
    found = ModelMap.from_matrix("abcdef", rng.standard_normal((6, 50)) * np.geomspace(1, 9, 50), 100.0)
    places, shares = found.embed("pca", dims=3)
    u, s, _ = np.linalg.svd(found.coords("nats/text"), full_matrices=False)
    np.testing.assert_allclose(np.abs(places), np.abs(u * s)[:, :3], atol=1e-10)
    np.testing.assert_allclose(shares, (s**2 / (s**2).sum())[:3])
    assert (places[np.abs(places).argmax(axis=0), range(3)] > 0).all()


def test_a_row_further_out_than_all_mirrors_no_axis(rng) -> None:
    known = rng.standard_normal((6, 300))
    alone, _ = embedded(known)
    for axis in range(2):
        assert alone[np.abs(alone[:, axis]).argmax(), axis] > 0
        away = known.mean(axis=0) + 50 * (known - known.mean(axis=0)).T @ alone[:, axis]
        for row in (away, -away):
            found, _ = embedded(np.vstack([known, row]), reference=6)
            np.testing.assert_allclose(found[:6], alone, atol=1e-9)
            assert abs(found[6, axis]) > np.abs(alone[:, axis]).max()


def test_of_rows_equally_far_out_the_first_gives_the_sign(rng) -> None:
    for _ in range(40):  # two rows stand at ±a, which rounding alone tells apart
        places, _ = embedded(rng.standard_normal((2, 30)), dims=1)
        assert places[0, 0] > 0 > places[1, 0]


def test_mds_shows_distances_that_fit_a_plane_in_full_and_others_better_than_pca(rng) -> None:
    flat = rng.standard_normal((8, 2)) @ np.linalg.qr(rng.standard_normal((30, 2)))[0].T
    _, stress = embedded(flat, "mds")
    assert stress[0] < 1e-6
    deep = rng.standard_normal((12, 30))
    apart = np.sqrt(((deep[:, None] - deep[None]) ** 2).sum(axis=2))

    def left(places: np.ndarray) -> float:
        shown = np.sqrt(((places[:, None] - places[None]) ** 2).sum(axis=2))
        return float(np.sqrt(((shown - apart) ** 2).sum() / (apart**2).sum()))

    places, stress = embedded(deep, "mds")
    assert stress[0] == pytest.approx(left(places))
    assert left(places) < left(embedded(deep, "pca")[0])
    for wrong in ({"method": "tsne"}, {"dims": 12}, {"dims": 0}):
        with pytest.raises(RarityError, match=r"embedding|dimensions"):
            embedded(deep, **wrong)
    with pytest.raises(RarityError, match="same here"):
        embedded(np.ones((4, 3)))


def test_a_map_is_stored_whole_and_a_changed_one_is_refused(rng, tmp_path) -> None:
    found = ModelMap.from_matrix(["a", "b/c", "d"], rng.standard_normal((3, 9)), 77.5, facts={"texts": "abc"})
    path = found.save(tmp_path / "map.npz")
    again = ModelMap.load(path)
    np.testing.assert_array_equal(again.values, found.values)
    assert (again.names, again.floor, again.mean_bytes, again.facts) == (found.names, found.floor, 77.5, {"texts": "abc"})
    np.testing.assert_array_equal(again.kl(), found.kl())
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    path.write_bytes(body)
    with pytest.raises(RarityError, match="checksum differs"):
        ModelMap.load(path)
    path.with_suffix(".json").unlink()
    with pytest.raises(RarityError, match="not a stored map"):
        ModelMap.load(path)
    with pytest.raises(RarityError, match=r"\.npz"):
        found.save(tmp_path / "map.pkl")
    plain = ModelMap.from_matrix("ab", rng.standard_normal((2, 9)), 1.0, clip=0)
    assert ModelMap.load(plain.save(tmp_path / "plain.npz")).floor == -math.inf


def test_names_must_tell_models_apart(rng) -> None:
    for names in (["a", "a"], ["a"], ["a", "b", "c"]):
        with pytest.raises(RarityError, match="names"):
            ModelMap.from_matrix(names, rng.standard_normal((2, 9)), 1.0)


def test_jitter_is_the_map_of_texts_drawn_anew_laid_onto_the_map(rng) -> None:
    l_KN = 9 * rng.standard_normal((3, 60)) * rng.gamma(1, size=60) - 200
    found = ModelMap.from_matrix("abc", l_KN, 80.0, clip=0)
    seed = int(rng.integers(2**31))
    strayed = found.jitter(25, seed)
    assert strayed.shape == (25, 3, 2)
    drawn = np.random.default_rng(seed)
    for xy in strayed:  # three models fill a plane, so their distances on the picture are the whole distances
        texts = drawn.integers(60, size=60)
        squares = ((xy[:, None] - xy[None]) ** 2).sum(axis=2)
        np.testing.assert_allclose(squares, by_hand(l_KN[:, texts]), rtol=1e-9, atol=1e-9)
    wanted = found.embed()[0]
    np.testing.assert_allclose(strayed.mean(axis=1), np.broadcast_to(wanted.mean(axis=0), (25, 2)), atol=1e-9)
    for xy in strayed:  # no turn or mirror brings it nearer: the product with the map is symmetric, and not negative
        product = (xy - xy.mean(axis=0)).T @ (wanted - wanted.mean(axis=0))
        np.testing.assert_allclose(product, product.T, atol=1e-9 * np.abs(product).max())
        assert np.linalg.eigvalsh(product).min() > -1e-9 * np.abs(product).max()
    np.testing.assert_array_equal(found.jitter(25, seed), strayed)


def test_jitter_falls_as_the_root_of_the_texts(rng) -> None:
    drawn = rng.standard_normal((6, 5))
    # Axes of lengths well apart, or the map's plane itself would turn from one draw to another.
    base = np.linalg.qr(drawn - drawn.mean(axis=0))[0] * [8, 4, 1, 0.5, 0.25]

    def spread(texts: int) -> float:
        l_KN = base @ rng.standard_normal((5, texts)) - 100
        return float(np.mean(ModelMap.from_matrix("abcdef", l_KN, 80.0, clip=0).jitter(60).std(axis=0)))

    assert 2 < spread(100) / spread(1600) < 8  # 4; its logarithm spreads by .105


def test_jitter_is_of_whole_text_sets(rng) -> None:
    found = ModelMap.from_matrix("abcd", rng.standard_normal((4, 30)), 80.0)
    for other in (found.add("e", rng.standard_normal(30)), found.sampled(ResamplePlan.fit(found.values).draw(10))):
        with pytest.raises(RarityError, match="whole text sets"):
            other.jitter(3)
