"""The probe's numbers against scikit-learn's pipelines, fold by fold, and against themselves read in other ways."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LinearRegression, Ridge, RidgeCV
from sklearn.metrics import average_precision_score, r2_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from rarityir.rarity.probe import RarityProbe
from rarityir.rarity.repair import Isotonic
from rarityir.rarity.result import Target


@dataclass
class Blocks:
    """Rows that come in blocks of their own size, whatever is asked for."""

    array: np.ndarray
    size: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.array.shape

    def blocks(self, rows: int) -> Iterator[np.ndarray]:
        for at in range(0, len(self.array), self.size):
            yield self.array[at : at + self.size]


def wide(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((int(rng.integers(50, 70)), 90))


def square(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((int(rng.integers(200, 400)), int(rng.integers(4, 40)))) * rng.gamma(1.0, 1.0)


def collinear(rng: np.random.Generator) -> np.ndarray:
    x = rng.standard_normal((150, 12))
    return np.concatenate([x, x[:, :3], x[:, :2] - x[:, 4:6], 2 * x[:, :1]], axis=1)


def constant(rng: np.random.Generator) -> np.ndarray:
    x = rng.standard_normal((150, 9))
    x[:, 4], x[:, 7] = 0.1, 0.0
    return x


def half(rng: np.random.Generator) -> np.ndarray:
    return (rng.standard_normal((180, 15)) * np.arange(1, 16) ** -1.0).astype(np.float16)


def offset(rng: np.random.Generator) -> np.ndarray:
    scale = 10.0 ** rng.uniform(-3, 3, 14)
    return (rng.standard_normal((170, 14)) + 100 * rng.choice([-1, 1], 14)) * scale


def rare(rng: np.random.Generator) -> np.ndarray:
    """A column that one row alone has: in one fold's training rows it is constant."""
    x = rng.standard_normal((120, 9))
    x[:, 4] = 0.0
    x[int(rng.integers(120)), 4] = 1.0
    return x


SHAPES = (wide, square, collinear, constant, rare, half, offset)


def answer(x: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    x = x.astype(np.float64)
    y = (x - x.mean(axis=0)) @ (rng.standard_normal(x.shape[1]) / np.maximum(x.std(axis=0), 1e-9))
    return y / y.std() + rng.standard_normal(len(y)), rng.integers(0, 40, len(y)).astype(np.float64)


def out_of_fold(folds: np.ndarray, x: np.ndarray, y: np.ndarray, make: Callable[[int], Any]) -> np.ndarray:
    found = np.full(len(y), np.nan)
    for k in range(folds.max() + 1):
        train = (folds != k) & (folds >= 0)
        found[folds == k] = make(k).fit(x[train], y[train]).predict(x[folds == k])
    return found


def both(folds: np.ndarray, y: np.ndarray, found: np.ndarray, counts: np.ndarray) -> tuple[float, float]:
    used = folds >= 0
    return r2_score(y[used], found[used]), r2_score(y[used], found[used], sample_weight=counts[used])


def alike(pair: Any, expected: tuple[float, float], tolerance: float) -> None:
    found = (getattr(pair.type, "value", pair.type), getattr(pair.occurrence, "value", pair.occurrence))
    assert np.abs(np.subtract(found, expected)).max() <= tolerance * max(1.0, np.abs(expected).max()), (found, expected)


@pytest.mark.parametrize("make", SHAPES)
@pytest.mark.parametrize("standardise", [True, False])
def test_ridge_least_squares_and_components_equal_scikit_learn(
    make: Callable[[np.random.Generator], np.ndarray], standardise: bool, rng: np.random.Generator
) -> None:
    x = make(rng)
    y, counts = answer(x, rng)
    if make is offset and not standardise:
        x = x / np.abs(x).max(axis=0)  # as it stands its λ span twelve orders, and nobody's digits last that long
    alphas = [0.0, 0.01, 1.0, 30.0, 1e4]
    probe = RarityProbe(alphas=alphas, standardise=standardise, replicates=10).fit(x, y, counts=counts)
    result, target, x = probe.result, probe.result.targets[0], x.astype(np.float64)
    scaler = StandardScaler(with_std=standardise)
    folds = result.folds
    chosen = target.fits["ridge"].chosen
    ridge = out_of_fold(folds, x, y, lambda k: make_pipeline(scaler, Ridge(chosen[k], solver="svd")))
    alike(target.fits["ridge"].r2, both(folds, y, ridge, counts), 1e-9)
    assert np.abs(result.predicted[folds >= 0, 0] - ridge[folds >= 0]).max() < 1e-8 * np.abs(ridge[folds >= 0]).max()
    least = both(folds, y, out_of_fold(folds, x, y, lambda _: make_pipeline(scaler, LinearRegression())), counts)
    alike(target.fits["ols"].r2, least, 1e-9)
    for i, alpha in enumerate(alphas[1:], start=1):
        found = out_of_fold(folds, x, y, lambda _, alpha=alpha: make_pipeline(scaler, Ridge(alpha, solver="svd")))
        pair = type(target.fits["ols"].r2)(target.alphas.type[i], target.alphas.occurrence[i])
        alike(pair, both(folds, y, found, counts), 1e-9)
    rank = min(np.linalg.matrix_rank(x[(folds != k) & (folds >= 0)] - x[(folds != k) & (folds >= 0)].mean(0)) for k in range(5))
    for k in {1, 2, int(rank // 2), int(rank)}:
        found = out_of_fold(folds, x, y, lambda _, k=k: make_pipeline(scaler, PCA(k, svd_solver="full"), LinearRegression()))
        pair = type(target.fits["ols"].r2)(target.curve.type[k - 1], target.curve.occurrence[k - 1])
        alike(pair, both(folds, y, found, counts), 1e-8)
    alike(type(target.fits["ols"].r2)(target.curve.type[-1], target.curve.occurrence[-1]), least, 1e-9)


def test_bands_equal_regressions_on_those_components_alone(rng: np.random.Generator) -> None:
    x = square(rng)
    y, counts = answer(x, rng)
    chosen = [[0, 2], list(range(1, x.shape[1]))]
    probe = RarityProbe(bands=chosen, replicates=10).fit(x, y, counts=counts)
    folds = probe.result.folds
    for i, places in enumerate(chosen):

        class Part(PCA):
            def transform(self, x: np.ndarray, places: list[int] = places) -> np.ndarray:
                return super().transform(x)[:, places]

            def fit_transform(self, x: np.ndarray, y: object = None) -> np.ndarray:
                return self.fit(x).transform(x)

        found = out_of_fold(
            folds, x, y, lambda _, part=Part: make_pipeline(StandardScaler(), part(svd_solver="full"), LinearRegression())
        )
        expected = both(folds, y, found, counts)
        assert probe.bands.type[i] == pytest.approx(expected[0], abs=1e-10)
        assert probe.bands.occurrence[i] == pytest.approx(expected[1], abs=1e-10)


def test_a_subspace_is_regressed_on_as_its_coordinates_are(rng: np.random.Generator) -> None:
    x = square(rng) + 5
    y, counts = answer(x, rng)
    basis = rng.standard_normal((3, x.shape[1]))
    probe = RarityProbe(subspaces={"some": basis}, alphas=[3.0], replicates=10).fit(x, y, counts=counts)
    folds, fits = probe.result.folds, probe.result.targets[0].fits
    turn = np.linalg.qr(basis.T, mode="complete")[0]
    for name, part in (("some", turn[:, :3]), ("not some", turn[:, 3:])):
        found = out_of_fold(folds, x @ part, y, lambda _: Ridge(3.0, solver="svd"))
        alike(fits[name].r2, both(folds, y, found, counts), 1e-9)


def test_penalties_and_components_are_chosen_as_by_definition(rng: np.random.Generator) -> None:
    x = rng.standard_normal((700, 25)) * np.arange(1, 26) ** -0.5
    y = x @ rng.standard_normal(25) + 6 * rng.standard_normal(700)
    alphas = 10.0 ** np.arange(-3, 6)
    probe = RarityProbe(alphas=alphas, replicates=10).fit(x, y)
    fits, folds = probe.result.targets[0].fits, probe.result.folds
    for k in range(5):
        train = (folds != k) & (folds >= 0)
        z, c, n = StandardScaler().fit_transform(x[train]), y[train] - y[train].mean(), int(train.sum())
        u, s, _ = np.linalg.svd(z, full_matrices=False)

        def error(shrunk: np.ndarray, u: np.ndarray = u, c: np.ndarray = c, n: int = n) -> float:
            hat = u * shrunk @ u.T + 1 / n
            return float(((c - hat @ c) ** 2).mean() / (1 - np.trace(hat) / n) ** 2)

        by_alpha = [error(s**2 / (s**2 + alpha)) for alpha in alphas]
        assert fits["ridge"].chosen[k] == alphas[int(np.argmin(by_alpha))]
        by_count = [error((np.arange(25) < count).astype(float)) for count in range(1, 26)]
        assert fits["pcr"].chosen[k] == 1 + int(np.argmin(by_count))
        # Leaving each row out, as RidgeCV does, sees little between its own choice and ours.
        model = RidgeCV(alphas, store_cv_results=True).fit(z, y[train])
        errors = model.cv_results_.mean(axis=0)
        assert errors[int(np.argmin(by_alpha))] <= 1.02 * errors.min()


def test_with_surface_features_it_is_ridge_on_both_under_two_penalties(rng: np.random.Generator) -> None:
    x, s = square(rng), None
    s = np.stack([rng.standard_normal(len(x)), x[:, 0] + rng.standard_normal(len(x)), np.ones(len(x))], axis=1)
    y, counts = answer(x, rng)
    y = y + s[:, 0]
    target = (probe := RarityProbe(replicates=10).fit(x, y, counts=counts, surface=s)).result.targets[0]
    folds, found = probe.result.folds, np.full(len(y), np.nan)
    alone = out_of_fold(folds, s, y, lambda k: make_pipeline(StandardScaler(), Ridge(target.fits["surface"].chosen[k])))
    alike(target.fits["surface"].r2, both(folds, y, alone, counts), 1e-10)
    for k in range(5):
        train = (folds != k) & (folds >= 0)
        scalers = StandardScaler().fit(x[train]), StandardScaler().fit(s[train])
        alpha, other = target.fits["both"].chosen[k], target.fits["surface"].chosen[k]
        z = np.concatenate([scalers[0].transform(x), scalers[1].transform(s) * np.sqrt(alpha / other)], axis=1)
        found[folds == k] = Ridge(alpha).fit(z[train], y[train]).predict(z[folds == k])
    alike(target.fits["both"].r2, both(folds, y, found, counts), 1e-9)
    assert target.increment is not None
    gain = target.fits["both"].r2.type.value - target.fits["surface"].r2.type.value
    assert target.increment.type.value == pytest.approx(gain, abs=1e-12)


def test_blocks_order_and_storage_of_rows_change_nothing(rng: np.random.Generator, tmp_path: Path) -> None:
    x = (rng.standard_normal((230, 11)) * np.arange(1, 12) ** -0.7 + 3).astype(np.float32)
    y, counts = answer(x, rng)
    groups = rng.permutation(np.r_[np.arange(200), np.arange(30)]) * 7
    order = rng.permutation(len(x))

    def numbers(target: Target) -> np.ndarray:
        fits = [value for fit in target.fits.values() for value in (fit.r2.type.value, fit.r2.occurrence.value, fit.train)]
        return np.concatenate([fits, target.curve.type, target.curve.occurrence, target.bands.type, target.direction])

    plain = RarityProbe(replicates=5, repair="balanced", leakage=False).fit(x, y, groups=groups, counts=counts)
    np.save(tmp_path / "x.npy", x)
    others = {
        "one": (1, x, slice(None)),
        "seven": (7, x, slice(None)),
        "4096": (4096, x, slice(None)),
        "own": (0, Blocks(x, 13), slice(None)),
        "mapped": (50, np.load(tmp_path / "x.npy", mmap_mode="r"), slice(None)),
        "shuffled": (50, x[order], order),
    }
    for name, (block, rows, at) in others.items():
        found = RarityProbe(replicates=5, block=block, repair="balanced", leakage=False)
        found.fit(rows, y[at], groups=groups[at], counts=counts[at])
        assert (found.result.folds == plain.result.folds[at]).all(), name
        assert np.abs(numbers(found.result.targets[0]) - numbers(plain.result.targets[0])).max() < 1e-10, name
        assert plain.result.repaired is not None
        assert found.result.repaired is not None
        assert np.abs(found.result.repaired.predicted - plain.result.repaired.predicted[at]).max() < 1e-9, name


def test_fast_products_come_near(rng: np.random.Generator) -> None:
    x = square(rng) + 3
    y, counts = answer(x, rng)
    exact, fast = (RarityProbe(replicates=5, precision=p).fit(x, y, counts=counts) for p in ("exact", "fast"))
    gap = abs(exact.r2_type.value - fast.r2_type.value)
    assert 0 < gap < 1e-4
    assert fast.result.json()["precision"] == "fast"


def test_predictions_are_the_final_ridges_and_it_has_not_seen_the_test_rows(rng: np.random.Generator) -> None:
    x = square(rng) + 40
    y, counts = answer(x, rng)
    probe = RarityProbe(alphas=[2.0], replicates=10).fit(x, y, counts=counts)
    folds = probe.result.folds
    model = make_pipeline(StandardScaler(), Ridge(2.0)).fit(x[folds >= 0], y[folds >= 0])
    assert np.abs(probe.predict(x) - model.predict(x)).max() < 1e-9
    assert np.abs(x @ probe.direction + probe.result.targets[0].intercept - model.predict(x)).max() < 1e-9
    test = probe.result.targets[0].test
    assert test is not None
    assert test.type.value == pytest.approx(r2_score(y[folds < 0], model.predict(x[folds < 0])), abs=1e-10)
    changed = np.where(folds < 0, y + 100 * rng.standard_normal(len(y)), y)
    again = RarityProbe(alphas=[2.0], replicates=10).fit(x, changed, counts=counts)
    assert (again.direction == probe.direction).all()
    assert again.r2_type == probe.r2_type


def test_labels_are_scored_by_their_order(rng: np.random.Generator) -> None:
    x = np.round(rng.standard_normal((400, 3)))
    labels = x[:, 0] + rng.standard_normal(400) > 1
    counts = rng.integers(0, 9, 400)
    probe = RarityProbe(replicates=200).fit(x, labels, counts=counts)
    used, found = probe.result.folds >= 0, probe.result.targets[0].ranking
    assert found is not None
    for pair, score in ((found.auroc, roc_auc_score), (found.precision, average_precision_score)):
        of_others = np.array([labels[used & (probe.result.folds != k)].mean() for k in range(5)])
        predicted = probe.result.predicted[used, 0] - of_others[probe.result.folds[used]]
        assert pair.type.value == pytest.approx(score(labels[used], predicted), abs=1e-12)
        expected = score(labels[used], predicted, sample_weight=counts[used])
        assert pair.occurrence.value == pytest.approx(expected, abs=1e-12)
        assert pair.type.low < pair.type.value < pair.type.high


def test_a_coin_is_ranked_neither_way(rng: np.random.Generator) -> None:
    """Ranked as they are, predictions of folds with more heads are lower: AUROC .40."""
    found, naive = [], []
    for i in range(150):
        x, coin = rng.standard_normal((100, 3)), rng.permutation(100) < 50
        result = RarityProbe(alphas=[1e4], replicates=10, seed=i, test=0).fit(x, coin).result
        found.append(result.targets[0].ranking.auroc.type.value)
        naive.append(roc_auc_score(coin, result.predicted[:, 0]))
    error = np.std(found) / np.sqrt(len(found))
    assert abs(np.mean(found) - 0.5) < 5 * error
    assert np.mean(naive) < 0.5 - 5 * error


def test_remedies_are_ridge_under_weights(rng: np.random.Generator) -> None:
    x = square(rng)
    y, _ = answer(x, rng)
    counts = np.round(300 / rng.permutation(np.arange(1, len(y) + 1))) + 1
    probe = RarityProbe(alphas=[2.0], repair="occurrence", replicates=10).fit(x, y, counts=counts)
    folds, head = probe.result.folds, probe.result.targets[0].head
    assert head is not None
    roots = np.sqrt(counts)
    ways = {"tau=0": np.ones(len(y)), "tau=0.5": roots / roots[folds >= 0].mean(), "tau=1": counts / counts[folds >= 0].mean()}
    for name, w in (ways | {"mixed": ways["tau=0"] + ways["tau=1"]}).items():
        found = np.full(len(y), np.nan)
        for k in range(5):
            train = (folds != k) & (folds >= 0)
            scaler = StandardScaler().fit(x[train], sample_weight=w[train])
            model = Ridge(2.0, solver="cholesky").fit(scaler.transform(x[train]), y[train], sample_weight=w[train])
            found[folds == k] = model.predict(scaler.transform(x[folds == k]))
        assert np.abs(np.subtract(head.remedies[name], both(folds, y, found, counts))).max() < 1e-9, name


def test_the_isotonic_map_is_scikit_learns(rng: np.random.Generator) -> None:
    x, weights = np.round(rng.standard_normal(200), 1), rng.integers(0, 5, 200).astype(float)
    y = x + rng.standard_normal(200)
    theirs = IsotonicRegression(out_of_bounds="clip").fit(x, y, sample_weight=weights)
    new = rng.standard_normal(100) * 2
    assert np.abs(Isotonic.fit(x, y, weights)(new) - theirs.predict(new)).max() < 1e-12
