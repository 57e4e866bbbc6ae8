"""AUROC and average precision equal scikit-learn's, weighted and with ties; their intervals hold what they promise."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from rarityir.rarity.ranking import tell
from rarityir.types import RarityError


@pytest.fixture
def rng() -> np.random.Generator:
    seed = np.random.SeedSequence().entropy % 2**32
    print("seed", seed)  # noqa: T201
    return np.random.default_rng(seed)


@pytest.mark.parametrize("levels", [3, 20, 10**9])
@pytest.mark.parametrize("weighted", [False, True])
def test_both_are_those_of_scikit_learn(rng, levels, weighted):
    for _ in range(5):
        n = int(rng.integers(30, 300))
        scores = np.floor(rng.random(n) * levels) / levels
        labels = rng.random(n) < 0.2 + 0.3 * scores
        labels[:2] = True, False
        weights = rng.integers(0, 50, n).astype(float) if weighted else None
        if weights is not None:
            weights[:2] = 3
        found = tell(scores, labels, weights=weights, resamples=0)
        assert found.auroc.value == pytest.approx(roc_auc_score(labels, scores, sample_weight=weights), abs=1e-12)
        assert found.precision.value == pytest.approx(average_precision_score(labels, scores, sample_weight=weights), abs=1e-12)
        assert found.positives == labels.sum()
        assert found.share == pytest.approx(np.average(labels, weights=weights))


def test_an_occurrence_counts_as_a_row_would(rng):
    scores, labels = rng.normal(size=40), rng.random(40) < 0.3
    labels[:2] = True, False
    times = rng.integers(1, 6, 40)
    weighted = tell(scores, labels, weights=times, resamples=0)
    written_out = tell(np.repeat(scores, times), np.repeat(labels, times), resamples=0)
    np.testing.assert_allclose(weighted.auroc, written_out.auroc, atol=1e-12)
    np.testing.assert_allclose(weighted.precision, written_out.precision, atol=1e-12)


def test_the_interval_holds_the_truth_about_as_often_as_it_says(rng):
    # Two normal populations a distance d apart have AUROC Φ(d/√2); d = √2 · 0.5244 gives 0.7.
    inside = []
    for run in range(200):
        labels = np.arange(300) < 100
        scores = rng.normal(size=300) + labels * np.sqrt(2) * 0.5244005
        found = tell(scores, labels, seed=run, resamples=200)
        assert found.auroc.low < found.auroc.value < found.auroc.high
        inside.append(found.auroc.low <= 0.7 <= found.auroc.high)
    assert 0.87 <= np.mean(inside) <= 0.995


def test_rows_drawn_together_widen_the_interval(rng):
    labels = rng.random(60) < 0.4
    labels[:2] = True, False
    scores = rng.normal(size=60) + labels
    apart = tell(np.tile(scores, 9), np.tile(labels, 9), seed=1)
    together = tell(np.tile(scores, 9), np.tile(labels, 9), groups=np.tile(np.arange(60), 9), seed=1)
    assert apart.auroc.value == together.auroc.value
    assert together.auroc.high - together.auroc.low > 2 * (apart.auroc.high - apart.auroc.low)


def test_what_cannot_be_told_is_one_line():
    with pytest.raises(RarityError, match="of one kind"):
        tell(np.arange(4.0), np.ones(4, bool))
    with pytest.raises(RarityError, match="of one kind"):
        tell(np.arange(4.0), np.arange(4) > 1, weights=np.array([1, 1, 0, 0]))
    with pytest.raises(RarityError, match="finite scores"):
        tell(np.array([np.nan, 1.0]), np.array([True, False]))
