"""What the probe must find in rows that were made: expectations in closed form, seeds drawn anew at every run."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.stats import kstest

from rarityir.rarity.crossfit import Design
from rarityir.rarity.grams import Plain
from rarityir.rarity.judging import Material, Settings, r2_pairs
from rarityir.rarity.probe import RarityProbe
from rarityir.types import RarityError


def planted(rng: np.random.Generator, shape: tuple[int, int], rho: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows with a spectrum that falls by a power law, a target of which they explain the share ρ, and the direction."""
    x = rng.standard_normal(shape) * np.arange(1, shape[1] + 1) ** -0.6
    x = x @ np.linalg.qr(rng.standard_normal((shape[1], shape[1])))[0] + 2
    w = rng.standard_normal(shape[1])
    signal = x @ w
    y = np.sqrt(rho) * (signal - signal.mean()) / signal.std() + np.sqrt(1 - rho) * rng.standard_normal(shape[0])
    return x, y, w


def trained(probe: RarityProbe) -> float:
    """How many rows a fold is fitted on."""
    return float((probe.result.folds >= 0).sum() * 0.8)


@pytest.mark.parametrize("rho", [0.2, 0.6, 0.9])
def test_a_planted_direction_is_found_to_the_share_it_explains(rho: float, rng: np.random.Generator) -> None:
    p = 80
    x, y, w = planted(rng, (4000, p), rho)
    probe = RarityProbe(replicates=10).fit(x, y)
    n = trained(probe)
    fits = probe.result.targets[0].fits
    expected = 1 - (1 - rho) * (1 + p / (n - p - 1))
    error = 2 * np.sqrt(rho) * (1 - rho) / np.sqrt(3600)  # of R² of so many rows, all normal
    assert abs(fits["ols"].r2.type.value - expected) < 5 * error
    assert fits["ridge"].r2.type.value >= fits["ols"].r2.type.value - 0.002
    centred = x - x.mean(axis=0)
    cosine = np.corrcoef(centred @ probe.direction, centred @ w)[0, 1]
    assert cosine >= np.sqrt(max(fits["ridge"].r2.type.value, 0)) - 0.02


def test_noise_gives_what_fitting_noise_must_give(rng: np.random.Generator) -> None:
    p, targets = 40, 60
    x, _, _ = planted(rng, (1500, p), 0.5)
    y = rng.standard_normal((1500, targets))
    counts = rng.integers(1, 4, 1500)
    probe = RarityProbe([f"noise {t}" for t in range(targets)], replicates=10).fit(x, y, counts=counts)
    n = trained(probe)
    least = [target.fits["ols"] for target in probe.result.targets]
    train, held = [fit.train for fit in least], [fit.r2.type.value for fit in least]
    # Folds share rows, so one target's mean over folds varies little less than one fold's R² does.
    assert abs(np.mean(train) - p / (n - 1)) < 5 * np.sqrt(2 * p) / n / np.sqrt(targets)
    assert abs(np.mean(held) + p / (n - p - 1)) < 5 * np.std(held) / np.sqrt(targets)
    assert np.mean(held) < -0.02
    ridge = np.array([target.fits["ridge"].r2.type.value for target in probe.result.targets])
    assert abs(ridge.mean()) < 0.01
    assert ridge.min() > -0.06
    assert ridge.max() < 0.03


def test_p_values_of_noise_are_uniform(rng: np.random.Generator) -> None:
    found: list[float] = []
    weighted: list[float] = []
    for seed in range(4):
        x = rng.standard_normal((120, 5))
        y = rng.standard_normal((120, 60))
        groups, counts = rng.integers(0, 80, 120), rng.integers(1, 5, 120)
        names = [f"noise {t}" for t in range(60)]
        probe = RarityProbe(names, seed=seed, permutations=49, replicates=2, leakage=False, bands=1, test=0.0)
        for target in probe.fit(x, y, groups=groups, counts=counts).result.targets:
            assert target.chance is not None
            found.append(target.chance.p_type)
            weighted.append(target.chance.p_occurrence)
    for values in (found, weighted):
        spread = np.array(values) - rng.uniform(size=len(values)) / 50  # from steps of 1/50 to a line
        assert kstest(spread, "uniform").pvalue > 1e-4


def test_p_values_of_a_signal_are_small(rng: np.random.Generator) -> None:
    x, y, _ = planted(rng, (300, 5), 0.4)
    chance = RarityProbe(permutations=99, replicates=2).fit(x, y, counts=rng.integers(1, 9, 300)).result.targets[0].chance
    assert chance is not None
    assert (chance.p_type, chance.p_occurrence) == (0.01, 0.01)
    assert len(chance.type) == len(chance.occurrence) == 99
    assert chance.type.max() < 0.2


def test_the_curve_jumps_where_the_target_is_planted_and_one_band_has_it(rng: np.random.Generator) -> None:
    v, d, rho, place = 30_000, 12, 0.6, int(rng.integers(2, 11))
    scores = rng.standard_normal((v, d))
    x = (scores * 0.8 ** np.arange(d)) @ np.linalg.qr(rng.standard_normal((d, d)))[0]
    y = np.sqrt(rho) * scores[:, place] + np.sqrt(1 - rho) * rng.standard_normal(v)
    probe = RarityProbe(bands=6, standardise=False, replicates=10).fit(x, y, counts=rng.integers(1, 3, v))
    for curve in (probe.curve.type, probe.curve.occurrence):
        assert curve[:place].max() <= 0.01
        assert curve[place] == pytest.approx(rho, abs=0.025)
    assert probe.curve.type[-1] == pytest.approx(probe.result.targets[0].fits["ols"].r2.type.value, abs=1e-9)
    high = np.flatnonzero(probe.bands.type > 0.01)
    assert high.tolist() == [place // 2]
    assert probe.bands.first[high[0]] <= place + 1 <= probe.bands.last[high[0]]
    assert probe.bands.type[high[0]] == pytest.approx(rho, abs=0.025)
    assert probe.bands.variance.sum() == pytest.approx(1.0)


def collapse(rng: np.random.Generator, rows: int, head: int, pulled: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows along a line of rarity, the most frequent pulled off it to the origin; their log rarity, and counts by Zipf's law."""
    counts = np.maximum(np.round(1e6 / np.arange(1, rows + 1)), 1.0)
    y = np.log(counts.sum() / counts)
    along = (y - y.mean()) / y.std()
    along[:head] *= 1 - pulled
    w = rng.standard_normal(12)
    w /= np.linalg.norm(w)
    x = 0.3 * rng.standard_normal((rows, 12))
    x += np.outer(along + 0.15 * rng.standard_normal(rows) - x @ w, w)
    order = rng.permutation(rows)
    return x[order], y[order], counts[order]


def test_the_head_that_r2_over_types_hides_is_named_and_repaired(rng: np.random.Generator) -> None:
    x, y, counts = collapse(rng, 24_000, 600, 0.65)
    for purpose in ("occurrence", "balanced"):
        probe = RarityProbe(repair=purpose, replicates=100).fit(x, y, counts=counts)
        target = probe.result.targets[0]
        assert probe.r2_type.value > 0.8
        assert probe.r2_occurrence.value < 0.05
        assert target.worst == target.table[0].name == "head"
        assert target.table[0].bias_occurrence > 1
        assert set(target.table[0].first[:5]) <= set(np.argsort(-counts)[:20].tolist())
        head = target.head
        assert head is not None
        assert head.lift.occurrence.value == pytest.approx(head.r2.occurrence.value - probe.r2_occurrence.value, abs=1e-9)
        assert head.lift.occurrence.low > 0.2
        assert head.lift.occurrence.value > (0.5 if purpose == "occurrence" else 0.3)  # of 40 draws .64 and .43 at least
        assert head.test is not None
        used = probe.result.folds < 0
        assert probe.result.repaired is not None
        again = probe.predict(x[used], repaired=True)
        assert np.abs(again - probe.result.repaired.predicted[used, 0]).max() < 1e-9
        if purpose == "balanced":
            assert head.r2.type.value > 0.5
    x, y, counts = collapse(rng, 24_000, 600, 0.0)
    straight = RarityProbe(replicates=10).fit(x, y, counts=counts)
    assert min(straight.r2_type.value, straight.r2_occurrence.value) > 0.9


@pytest.mark.parametrize("purpose", ["balanced", "occurrence"])
def test_what_a_fold_holds_has_no_say_in_its_own_predictions(purpose: str, rng: np.random.Generator) -> None:
    x, y, counts = collapse(rng, 1500, 100, 0.65)
    surface = rng.standard_normal((1500, 2))
    settings = {"repair": purpose, "replicates": 5, "permutations": 2}
    first = RarityProbe(**settings).fit(x, y, counts=counts, surface=surface).result
    for k in (-1, 0, 3):
        mine = first.folds == k
        other = np.where(mine, y[::-1] * 5 + rng.standard_normal(1500), y)
        second = RarityProbe(**settings).fit(x, other, counts=counts, surface=surface).result
        assert (second.folds == first.folds).all()
        assert first.repaired is not None
        assert second.repaired is not None
        for before, after in ((first.predicted, second.predicted), (first.repaired.predicted, second.repaired.predicted)):
            assert np.abs(before[mine] - after[mine]).max() < 1e-8
            assert k == -1 or np.abs(before[~mine] - after[~mine]).max() > 0.01
        assert second.repaired.chosen[k] == first.repaired.chosen[k]


def test_repair_of_noise_promises_nothing(rng: np.random.Generator) -> None:
    counts = np.maximum(np.round(1e4 / np.arange(1, 801)), 1.0)
    found = []
    for _ in range(3):
        x, y = rng.standard_normal((800, 10)), rng.standard_normal((800, 4))
        probe = RarityProbe([*"abcd"], repair="balanced", replicates=10).fit(x, y, counts=counts)
        found += [target.head.r2.type.value for target in probe.result.targets if target.head is not None]
    assert len(found) == 12
    assert np.mean(found) < 0.01


def test_near_duplicates_raise_r2_only_where_folds_part_them(rng: np.random.Generator) -> None:
    x, y, _ = planted(rng, (700, 150), 0.5)
    twice, names = np.concatenate([x, x + 1e-4 * rng.standard_normal(x.shape)]), np.tile(np.arange(700), 2)
    single = RarityProbe(replicates=10).fit(x, y, groups=names[:700]).result
    double = RarityProbe(replicates=500).fit(twice, np.tile(y, 2), groups=names).result
    assert (double.folds[:700] == single.folds).all()
    assert (double.folds[700:] == single.folds).all()
    before, after = (found.targets[0].fits["ols"].r2.type.value for found in (single, double))
    assert after == pytest.approx(before, abs=0.02)
    leakage = double.targets[0].leakage
    assert leakage is not None
    assert leakage.difference.type.low > 0.05
    parted = RarityProbe(replicates=10, leakage=False).fit(twice, np.tile(y, 2)).result.targets[0].fits["ols"].r2.type.value
    assert parted > before + 0.1
    assert single.targets[0].leakage is None


class InContext:
    """Rows of tokens in context: many of one type, all near each other."""

    contextual = True

    def __init__(self, x: np.ndarray) -> None:
        self.x, self.shape = x, x.shape

    def blocks(self, rows: int) -> object:
        for at in range(0, len(self.x), rows):
            yield self.x[at : at + rows]


def test_rows_in_context_are_learnt_by_heart_and_refused_without_groups(rng: np.random.Generator) -> None:
    types = np.repeat(np.arange(120), 12)
    x = rng.standard_normal((120, 60))[types] + 0.1 * rng.standard_normal((len(types), 60))
    y = rng.standard_normal(120)[types]
    rows = InContext(x)
    with pytest.raises(RarityError, match="groups"):
        RarityProbe().fit(rows, y)
    grouped = RarityProbe(replicates=10).fit(rows, y, groups=types)
    leaky = RarityProbe(replicates=10, allow_leaky=True).fit(rows, y)
    assert grouped.r2_type.value <= 0.05
    assert leaky.r2_type.value > 0.3
    leakage = grouped.result.targets[0].leakage
    assert leakage is not None
    assert leakage.random.type.value > 0.3


def test_what_the_name_tells_already_is_no_increment(rng: np.random.Generator) -> None:
    ids = np.arange(1, 2001)
    x = rng.standard_normal((2000, 30))
    x[:, 7] = np.log(ids) + 0.3 * rng.standard_normal(2000)
    surface = np.stack([np.log(ids), rng.standard_normal(2000), np.ones(2000)], axis=1)
    counts = np.maximum(1e5 / ids, 1).round()
    for y in (np.log(ids), np.log(ids) + 0.2 * rng.standard_normal(2000)):
        target = RarityProbe(replicates=300).fit(x, y, counts=counts, surface=surface).result.targets[0]
        assert target.fits["ridge"].r2.type.value > 0.5
        assert target.increment is not None
        assert -0.01 < target.increment.type.value <= 0.01
    more = np.log(ids) + x[:, 3]
    target = RarityProbe(replicates=300).fit(x, more, counts=counts, surface=surface).result.targets[0]
    assert target.increment is not None
    assert target.increment.type.low > 0.3


def test_intervals_cover_what_they_are_of(rng: np.random.Generator) -> None:
    """Each simulation has rows of its own: those that share rows miss together."""
    n, p, rho, simulations = 400, 3, 0.6, 2500
    x = np.concatenate([rng.standard_normal((simulations, n, p)), np.ones((simulations, n, 1))], axis=2)
    w = rng.standard_normal((simulations, p))
    signal = np.einsum("snp,sp->ns", x[..., :p], w / np.linalg.norm(w, axis=1)[:, None])
    y = np.sqrt(rho) * signal + np.sqrt(1 - rho) * rng.standard_normal((n, simulations))
    folds, predicted = rng.permutation(n) % 5, np.empty((n, simulations))
    for k in range(5):
        train, rest = x[:, folds != k], y[folds != k].T[..., None]
        slopes = np.linalg.solve(train.transpose(0, 2, 1) @ train, train.transpose(0, 2, 1) @ rest)
        predicted[folds == k] = (x[:, folds == k] @ slopes)[..., 0].T
    names = tuple(map(str, range(simulations)))
    design = Design(simulations, 0, None, [], {}, True)
    given = Material(Plain(x[0]), y, names, None, None, np.arange(n), folds, design)
    found = r2_pairs(given, {"ols": predicted}, folds >= 0, Settings(0, 600, "exact", False, "none", 0))["ols"]
    expected = 1 - (1 - rho) * (1 + p / (0.8 * n - p - 1))
    inside = [pair.type.low <= expected <= pair.type.high for pair in found]
    assert 0.92 <= np.mean(inside) <= 0.98


def test_the_same_seed_gives_the_same_bytes(rng: np.random.Generator) -> None:
    x, y, _ = planted(rng, (300, 8), 0.5)
    counts, groups, surface = rng.integers(0, 50, 300), rng.integers(0, 200, 300), rng.standard_normal((300, 2))
    labels = np.stack([y, y > 1], axis=1)

    def written(seed: int) -> str:
        probe = RarityProbe(["y", "label"], seed=seed, permutations=9, repair="balanced", replicates=50)
        return json.dumps(probe.fit(x, labels, groups, counts, surface).result.json(), sort_keys=True)

    assert written(3) == written(3) != written(4)
    assert "NaN" not in written(3)
