"""Folds, permutations, scores and refusals of the probe, each by itself."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import StandardScaler

from rarityir.rarity import RarityProbe
from rarityir.rarity.crossfit import Permutations
from rarityir.rarity.folds import TEST, grouped, hashes, orders, parted
from rarityir.rarity.grams import Moments, Plain
from rarityir.rarity.increment import joint, surface_rotation
from rarityir.rarity.repair import Widened, tried
from rarityir.rarity.ridge import best, generalised, generalised_components, rotate, standard
from rarityir.rarity.scores import NAMES, describe, frequency_bands, intervals, r2
from rarityir.types import BadInput, RarityError


def test_folds_hold_groups_whole_and_are_even(rng: np.random.Generator) -> None:
    groups = np.concatenate([rng.integers(0, 300, 900), np.repeat(999, 50)])
    folds = grouped(groups, 5, 0, 0.1)
    for group in np.unique(groups):
        assert len(set(folds[groups == group].tolist())) == 1
    sizes = np.bincount(folds[folds != TEST])
    assert len(sizes) == 5
    assert sizes.max() - sizes.min() <= 3
    assert set(folds.tolist()) == {TEST, 0, 1, 2, 3, 4}


def test_the_test_rows_are_a_tenth_and_the_same_for_every_seed_and_order(rng: np.random.Generator) -> None:
    groups = rng.permutation(20_000)
    first, second = grouped(groups, 5, 0, 0.1), grouped(groups, 4, 17, 0.1)
    assert ((first == TEST) == (second == TEST)).all()
    assert (first == TEST).mean() == pytest.approx(0.1, abs=0.0021 * 5)
    kept = first != TEST
    agreement = (first[kept] == second[kept]).mean()
    assert agreement < 0.5
    order = rng.permutation(20_000)
    assert (grouped(groups[order], 5, 0, 0.1) == first[order]).all()
    assert (grouped(groups, 5, 0) != TEST).all()


def test_groups_are_integers_or_strings_and_hashed_alike_everywhere() -> None:
    # splitmix64's first output for state 0 is that of its increment.
    assert hashes(np.array([0x9E3779B97F4A7C15 - 2**64]), 0)[0] == 0xE220A8397B1DCDAF
    names = np.array(["a", "b", "a"])
    assert hashes(names, 3)[0] == hashes(names, 3)[2] != hashes(names, 3)[1]
    assert (grouped(np.array(list("abcdefgh")), 2, 0) >= 0).all()
    with pytest.raises(RarityError, match="integers or strings"):
        grouped(np.arange(9) / 2, 2, 0)
    with pytest.raises(RarityError, match="3 groups"):
        grouped(np.repeat([1, 2, 3], 5), 5, 0)


def test_parted_folds_are_even_and_leave_the_test_rows(rng: np.random.Generator) -> None:
    folds = grouped(rng.integers(0, 80, 500), 5, 0, 0.2)
    found = parted(folds, 5, 1)
    assert ((found == TEST) == (folds == TEST)).all()
    assert np.ptp(np.bincount(found[found != TEST])) <= 1
    assert (found != folds).any()


def test_permutations_move_groups_whole_and_leave_the_test_rows(rng: np.random.Generator) -> None:
    groups = rng.permutation(np.concatenate([np.repeat(np.arange(40), 2), np.arange(40, 90), np.repeat([90, 91], 5)]))
    folds = grouped(groups, 3, 0, 0.1)
    found = orders(groups, folds, 30, 7)
    size = dict(zip(*np.unique(groups[folds != TEST], return_counts=True), strict=True))
    moved = 0
    for p in range(30):
        assert sorted(found[:, p].tolist()) == list(range(len(groups)))
        assert (found[folds == TEST, p] == np.flatnonzero(folds == TEST)).all()
        for group, rows in ((g, np.flatnonzero(groups == g)) for g in size if size[g] == 2):
            sources = groups[found[rows, p]]
            assert sources[0] == sources[1]
            moved += sources[0] != group
        ones = [g for g in size if size[g] != 2]
        assert set(groups[found[np.isin(groups, ones), p]].tolist()) <= set(ones)
    assert moved > 500


def test_a_permuted_target_brings_its_weight_along(rng: np.random.Generator) -> None:
    y, counts = rng.standard_normal((30, 2)), rng.integers(0, 9, 30).astype(float)
    found = Permutations(np.stack([rng.permutation(30) for _ in range(3)], axis=1).astype(np.int32), y, counts)
    rows = np.array([3, 17, 4])
    predicted = rng.standard_normal((3, 6))
    errors = found.errors(rows, predicted)
    for p in range(3):
        for t in range(2):
            source = found.orders[rows, p]
            squared = (y[source, t] - predicted[:, 2 * p + t]) ** 2
            assert errors[0, 2 * p + t] == pytest.approx(squared.sum())
            assert errors[1, 2 * p + t] == pytest.approx(counts[source] @ squared)


def test_scores_are_those_of_definition(rng: np.random.Generator) -> None:
    y, predicted, w = rng.standard_normal(300), rng.standard_normal(300), rng.integers(0, 9, 300)
    predicted = 0.5 * y + predicted + 1
    repeated = np.repeat(np.arange(300), w)
    for weights, rows in ((None, np.arange(300)), (w.astype(float), repeated)):
        a, b = y[rows], predicted[rows]
        found = describe(y, predicted, weights)
        line = LinearRegression().fit(b[:, None], a)
        assert found.slope == pytest.approx(line.coef_[0])
        assert found.intercept == pytest.approx(line.intercept_)
        assert found.spread == pytest.approx(LinearRegression().fit(a[:, None], b).coef_[0])
        assert found.mae == pytest.approx(np.abs(a - b).mean())
        assert found.bias == pytest.approx((b - a).mean())
        assert r2(y, predicted, weights) == pytest.approx(1 - ((a - b) ** 2).sum() / ((a - a.mean()) ** 2).sum())
    assert describe(y, predicted).spearman == pytest.approx(spearmanr(y, predicted).statistic)


@pytest.mark.parametrize("value", [0.1, 0.7, 0.3])
def test_what_does_not_vary_has_no_share_that_is_told(value: float, rng: np.random.Generator) -> None:
    for count in range(3, 14):  # the mean of most of these lists is another number in its last bit
        same, other = np.full(count, value), rng.standard_normal(count)
        weights = rng.random(count)
        for w in (None, weights):
            assert np.isnan(r2(same, other, w))
            assert np.isnan(describe(same, other, w).spread)
            assert np.isnan(describe(same, other, w).spearman)
            assert np.isnan(describe(other, same, w).slope)
        same[0], weights[0] = 9, 0  # varies where nothing counts
        assert np.isnan(r2(same, other, weights))


def test_bands_of_frequency_share_out_text_and_never_part_a_count(rng: np.random.Generator) -> None:
    counts = np.sort(np.concatenate([np.round(1e4 / np.arange(1, 400) ** 1.1), np.zeros(30)]))
    y, names = rng.standard_normal(len(counts)), rng.permutation(len(counts)) + 1000
    gap = np.where(counts >= 500, 2.0, -1.0)
    table = frequency_bands(y, y + gap, counts, names)
    assert [band.name for band in table] == list(NAMES)
    assert sum(band.rows for band in table) == len(counts)
    assert sum(band.share for band in table) == pytest.approx(1)
    assert sum(band.error for band in table) == pytest.approx(1)
    for upper, lower in pairwise(table):
        assert upper.least > lower.most
    head = table[0]
    assert 0.5 <= head.share < 0.75
    assert head.first[0] == names[-1]
    assert counts[counts > head.least].sum() / counts.sum() < 0.5
    inside = counts >= head.least
    assert head.bias_type == pytest.approx(gap[inside].mean())
    assert head.bias_occurrence == pytest.approx(gap[inside] @ counts[inside] / counts[inside].sum())
    assert table[-1].share == 0
    assert np.isnan(table[-1].bias_occurrence)


def test_intervals_of_a_mean_are_those_of_its_error(rng: np.random.Generator) -> None:
    values = rng.standard_normal(2000) + 5
    found = intervals(np.stack([values, np.ones(2000)], axis=1), lambda s: (s[..., 0] / s[..., 1])[..., None], seed=1)[0]
    assert found.value == pytest.approx(values.mean())
    half = 1.96 * values.std() / np.sqrt(2000)
    assert found.low == pytest.approx(values.mean() - half, abs=0.2 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.2 * half)
    alone = intervals(np.ones((1, 2)), lambda s: s[..., :1])[0]
    assert alone.value == 1
    assert np.isnan([alone.low, alone.high]).all()


def test_generalised_cross_validation_is_its_formula(rng: np.random.Generator) -> None:
    x, y = rng.standard_normal((40, 12)) + 3, rng.standard_normal((40, 2))
    moments = Moments.zeros(12, 2, 0).plus(x, y, None)
    rotation = rotate(moments, np.zeros(12), standardise=False)
    u, s, _ = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    centred = y - y.mean(axis=0)
    alphas = np.array([0.0, 3.0, 200.0])

    def error(shrunk: np.ndarray) -> np.ndarray:
        hat = u * shrunk @ u.T + 1 / 40
        return ((y - hat @ y) ** 2).mean(axis=0) / (1 - np.trace(hat) / 40) ** 2

    expected = np.stack([error(s**2 / (s**2 + alpha)) for alpha in alphas])
    assert np.abs(generalised(rotation, alphas) / expected - 1).max() < 1e-10
    by_count = np.stack([error((np.arange(12) < k).astype(float)) for k in range(1, 13)])
    assert np.abs(generalised_components(rotation) / by_count - 1).max() < 1e-10
    assert np.abs(rotation.total - (centred**2).sum(axis=0)).max() < 1e-10
    assert best(np.array([[2.0, np.inf], [1.0, np.inf], [1.0, np.inf]])).tolist() == [2, 2]


def test_the_rows_penalty_beside_features_is_chosen_as_by_definition(rng: np.random.Generator) -> None:
    n, targets = 60, 12
    x, s = rng.standard_normal((n, 30)), rng.standard_normal((n, 3))
    y = 0.3 * (x @ rng.standard_normal((30, targets))) + s @ rng.standard_normal((3, targets)) + rng.standard_normal((n, targets))
    x, s, y = (part - part.mean(axis=0) for part in (x, s, y))
    columns = np.concatenate([y, s], axis=1)
    moments = Moments.zeros(30, targets + 3, targets + 3).plus(x, columns, None)
    surface = surface_rotation(moments, targets, 3, np.zeros(targets + 3))
    rows = rotate(moments, np.zeros(30))
    kept, alphas = np.full(targets, 5.0), 10.0 ** np.arange(-2, 6)
    mixed = rows.columns(targets, targets + 3).cross @ surface.turn
    found = joint(rows.columns(0, targets), surface, mixed, kept, alphas)
    z = np.concatenate([x / x.std(axis=0), s / s.std(axis=0)], axis=1)
    errors = []
    for alpha in alphas:
        hat = z @ np.linalg.solve(z.T @ z + np.diag(np.r_[np.full(30, alpha), np.full(3, 5.0)]), z.T)
        errors.append(((y - hat @ y) ** 2).sum(axis=0) / (1 - (1 + np.trace(hat)) / n) ** 2)
    assert found.chosen.tolist() == alphas[np.argmin(errors, axis=0)].tolist()


def test_widened_rows_have_norm_cosine_and_squares_behind_them(rng: np.random.Generator) -> None:
    x, turn = rng.standard_normal((9, 4)) + 1, np.linalg.qr(rng.standard_normal((4, 2)))[0]
    x[3] = 0
    wide = Widened(Plain(x.astype(np.float32)), x.mean(axis=0), turn)
    found = np.concatenate(list(wide.blocks(4)))
    assert found.shape == wide.shape == (9, 8)
    x = x.astype(np.float32).astype(np.float64)
    assert (found[:, :4] == x).all()
    norms = np.linalg.norm(x, axis=1)
    assert np.abs(found[:, 4] - norms).max() < 1e-12
    cosines = np.where(norms > 0, x @ wide.mean / np.maximum(norms, 1e-9) / np.linalg.norm(wide.mean), 0)
    assert np.abs(found[:, 5] - cosines).max() < 1e-12
    assert np.abs(found[:, 6:] - ((x - wide.mean) @ turn) ** 2).max() < 1e-12


def test_an_isotonic_map_is_taken_only_where_it_serves_rows_it_has_not_seen(rng: np.random.Generator) -> None:
    y, weights, folds = rng.standard_normal(200), rng.integers(1, 9, 200).astype(float), np.arange(200) % 5
    assert tried(y, y, weights, folds) == (0.0, False)
    error, mapped = tried(y**3, y, weights, folds)
    assert mapped
    assert 0 < error < 0.05 * (weights @ (y - y**3) ** 2)


def test_a_column_that_rounding_alone_moves_is_constant(rng: np.random.Generator) -> None:
    x = np.stack([rng.standard_normal(50), 1e6 + 1e-10 * rng.standard_normal(50), 1e-12 * rng.standard_normal(50)], axis=1)
    mean = x.mean(axis=0)
    moments = Moments.zeros(3, 1, 0).plus(x - mean, rng.standard_normal((50, 1)), None)
    inverse = standard(moments, mean, standardise=True)
    assert (inverse > 0).tolist() == [True, False, True]
    scales = StandardScaler().fit(x).scale_
    assert scales[1] == 1
    assert np.abs(inverse[[0, 2]] * scales[[0, 2]] - 1).max() < 1e-10


def test_rows_of_a_group_are_drawn_together(rng: np.random.Generator) -> None:
    x = rng.standard_normal((200, 3))
    y = x @ np.ones(3) + rng.standard_normal(200)
    single = RarityProbe(test=0.0).fit(x, y, groups=np.arange(200)).r2_type
    many = RarityProbe(test=0.0, leakage=False).fit(np.repeat(x, 9, axis=0), np.repeat(y, 9), groups=np.repeat(np.arange(200), 9))
    assert many.r2_type.high - many.r2_type.low == pytest.approx(single.high - single.low, rel=0.25)


X, Y = np.random.default_rng(0).standard_normal((60, 4)), np.random.default_rng(1).standard_normal(60)


class Short(Plain):
    def blocks(self, rows: int) -> Any:
        yield self.array[:-1]


@pytest.mark.parametrize(
    ("settings", "given", "message"),
    [
        ({}, {"X": X[:, 0]}, r"\(V, D\) array"),
        ({}, {"y": Y[:-1]}, "targets of shape"),
        ({}, {"y": np.where(Y > 2, np.nan, np.r_[np.nan, Y[1:]])}, "not finite"),
        ({}, {"y": np.ones(60)}, "the same for all rows"),
        ({}, {"X": X * np.where(np.arange(60) == 7, np.inf, 1.0)[:, None]}, "row 7 holds entries that are not finite"),
        ({}, {"X": np.ones((60, 4))}, "all rows"),
        ({}, {"X": Short(X)}, "gave 59 rows and promised 60"),
        ({}, {"counts": np.ones(59)}, "counts of shape"),
        ({}, {"counts": -np.ones(60)}, "not negative"),
        ({}, {"groups": np.ones(9, int)}, "groups of shape"),
        ({}, {"groups": np.ones(60)}, "integers or strings"),
        ({}, {"surface": np.ones(60)}, "surface features of shape"),
        ({}, {"surface": np.full((60, 1), np.nan)}, "not finite"),
        ({}, {"surface": np.ones((60, 2))}, "same for all rows, and say nothing"),
        ({}, {"y": np.zeros((60, 0))}, "targets of shape"),
        ({}, {"groups": np.array([1, "a"] * 30, object)}, "integers or strings"),
        ({"folds": 2.5}, {}, "whole number of at least 2"),
        ({"folds": "5"}, {}, "whole number of at least 2"),
        ({"seed": -1}, {}, "a seed of -1"),
        ({"seed": None}, {}, "a seed of None"),
        ({"targets": ["a", "a"]}, {"y": np.stack([Y, -Y], axis=1)}, "no two alike"),
        ({"repair": "balanced"}, {}, "repair needs counts"),
        ({"repair": "all"}, {}, "repair 'all'"),
        ({"folds": 1}, {}, "at least 2"),
        ({"test": 0.95}, {}, "test rows"),
        ({"alphas": [-1.0]}, {}, "alphas"),
        ({"precision": "half"}, {}, "precision"),
        ({"bands": [[4]]}, {}, "components outside"),
        ({"bands": 0}, {}, "bands 1 or more"),
        ({"permutations": -1}, {}, "permutations are 0 or more"),
        ({"subspaces": {"a": np.ones((2, 4))}}, {}, "not independent"),
        ({"subspaces": {"a": np.ones((1, 3))}}, {}, "give"),
        ({"targets": ["a", "b"]}, {"y": np.stack([Y, Y, Y], axis=1)}, "2 names for 3"),
    ],
)
def test_what_cannot_be_probed_is_refused_in_one_line(settings: dict[str, Any], given: dict[str, Any], message: str) -> None:
    with pytest.raises(RarityError, match=message) as caught:
        RarityProbe(**settings).fit(**({"X": X, "y": Y} | given))
    assert "\n" not in str(caught.value)


def test_rows_without_a_prediction_are_named() -> None:
    probe = RarityProbe(replicates=5, repair="balanced").fit(X, Y, counts=np.arange(60))
    holed = np.where(np.arange(60) == 41, np.nan, 1.0)[:, None] * X
    for repaired in (False, True):
        assert np.isfinite(probe.predict(X, repaired=repaired)).all()
        with pytest.raises(RarityError, match="row 41 has no finite prediction"):
            probe.predict(holed, repaired=repaired)


def test_one_penalty_may_be_a_number() -> None:
    one, listed = (RarityProbe(alphas=alphas, replicates=5).fit(X, Y).result for alphas in (3.0, [3.0]))
    assert one.json() == listed.json()


def test_lists_and_columns_of_tables_are_taken_as_arrays_are() -> None:
    words = [f"word {i // 2}" for i in range(60)]
    plain = RarityProbe(replicates=5).fit(X, Y, groups=np.array(words), counts=np.arange(60)).result
    for groups in (words, np.array(words, object)):
        found = RarityProbe(replicates=5).fit(X.tolist(), Y.tolist(), groups=groups, counts=list(range(60))).result
        assert found.json() == plain.json()


def test_a_probe_says_what_it_has_not() -> None:
    with pytest.raises(RarityError, match="not fitted"):
        RarityProbe().r2_type  # noqa: B018
    probe = RarityProbe(replicates=5).fit(X, Y)
    assert np.isnan(probe.r2_occurrence).all()
    with pytest.raises(RarityError, match="without repair"):
        probe.predict(X, repaired=True)
    with pytest.raises(RarityError, match="fitted on 4"):
        probe.predict(X[:, :3])
    with pytest.raises(BadInput, match="block of shape"):
        probe.predict(Wrong(X))
    written = probe.result.json()
    assert written["targets"]["custom"]["fits"]["ridge"]["r2"]["occurrence"] == {"value": None, "low": None, "high": None}


class Wrong(Plain):
    def blocks(self, rows: int) -> Any:
        yield self.array[:, :2]
