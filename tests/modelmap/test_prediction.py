"""Predicting scores from a map: what is planted is found, what is shuffled is not, and nothing of a test model is used."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import RidgeCV

from rarityir.modelmap import ModelMap, predict
from rarityir.modelmap.prediction import PENALTIES, folded
from rarityir.types import RarityError

GROUPS = [f"g{i}" for i in range(10) for _ in range(6)]


def world(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Values whose first direction carries the score, in ten families of six models; families differ by nothing else."""
    y = rng.standard_normal(60)
    ways = rng.standard_normal((3, 200))
    ways -= ways.mean(axis=1, keepdims=True)
    l_KN = np.column_stack([y, rng.standard_normal((60, 2))]) @ ways + 0.3 * rng.standard_normal((60, 200)) - 50
    return l_KN + 5 * rng.standard_normal((60, 1)), y


def test_folds_hold_whole_groups_and_are_even(rng) -> None:
    folds = folded(60, GROUPS, 5, int(rng.integers(1000)))
    for group in set(GROUPS):
        assert len({int(f) for f, g in zip(folds, GROUPS) if g == group}) == 1
    assert np.bincount(folds).tolist() == [12] * 5
    assert sorted(np.bincount(folded(13, None, 4)).tolist()) == [3, 3, 3, 4]
    for groups, cv in ((GROUPS, 11), (None, 1), (None, 61)):
        with pytest.raises(RarityError, match="folds of"):
            folded(60, groups, cv)
    with pytest.raises(RarityError, match="groups for"):
        folded(59, GROUPS, 5)


def test_a_planted_score_is_foretold_for_families_not_seen(rng) -> None:
    l_KN, y = world(rng)
    found = ModelMap.from_matrix([str(i) for i in range(60)], l_KN, 100.0).predict(y, GROUPS)
    assert found.pearson > 0.9
    assert found.spearman > 0.8
    assert abs(found.likelihood) < 0.7
    assert found.pearson == pytest.approx(np.corrcoef(found.predicted, y)[0, 1])


def test_scores_shuffled_within_families_are_not(rng) -> None:
    l_KN, y = world(rng)
    r = []
    for _ in range(20):
        shuffled = y.reshape(10, 6).copy()
        for row in shuffled:
            rng.shuffle(row)
        r.append(predict(l_KN, (shuffled - shuffled.mean(axis=1, keepdims=True)).ravel(), GROUPS).pearson)
    assert np.mean(r) < 0.25


def test_predictions_are_scikit_learns_on_training_centred_rows(rng) -> None:
    l_KN, y = world(rng)
    found = predict(l_KN, y, GROUPS, clip=0)
    rows = l_KN - l_KN.mean(axis=1, keepdims=True)
    for fold, penalty in enumerate(found.penalties):
        train = found.folds != fold
        x = rows[train] - rows[train].mean(axis=0)
        scale = (x**2).sum() / len(x)
        model = RidgeCV(alphas=[scale * p for p in PENALTIES]).fit(x, y[train])  # by leaving one out
        assert penalty == pytest.approx(model.alpha_ / scale)
        mine = model.predict(rows[~train] - rows[train].mean(axis=0))
        np.testing.assert_allclose(found.predicted[~train], mine, rtol=1e-6, atol=1e-8)


def test_a_test_model_changes_no_other_prediction(rng) -> None:
    """Another model of the same fold, however wild, moves neither centring nor clipping; with centring on all it does."""
    l_KN, y = world(rng)
    folds = predict(l_KN, y, GROUPS).folds
    one, *rest = np.flatnonzero(folds == folds[0])
    wild = l_KN.copy()
    wild[one] = 40 * rng.standard_normal(200) - 500
    kept, moved = (predict(v, y, GROUPS).predicted[rest] for v in (l_KN, wild))
    np.testing.assert_allclose(moved, kept, rtol=1e-12)
    kept, moved = (predict(v, y, GROUPS, centre="all").predicted[rest] for v in (l_KN, wild))
    assert np.abs(moved - kept).max() > 1e-6


def test_a_map_has_clipped_by_all_models_and_one_of_clip_0_by_none(rng) -> None:
    l_KN, y = world(rng)
    l_KN -= l_KN.mean(axis=1, keepdims=True)  # all models alike in where their low values begin
    folds = predict(l_KN, y, GROUPS).folds
    some, rest = np.split(np.flatnonzero(folds == folds[0]), [6])
    wild = l_KN.copy()
    wild[some] += 400  # so that a fifth of all values ends higher among the others
    names = [str(i) for i in range(60)]
    for clip, moves in ((0.2, True), (0, False)):  # as `ModelMap.predict` says
        kept, moved = (ModelMap.from_matrix(names, v, 9.0, clip=clip).predict(y, GROUPS).predicted[rest] for v in (l_KN, wild))
        assert np.allclose(moved, kept, rtol=1e-12) != moves


def test_what_is_no_score_is_said(rng) -> None:
    l_KN, y = world(rng)
    for wrong in (y[:-1], np.full(60, np.nan)):
        with pytest.raises(RarityError, match="scores for 60"):
            predict(l_KN, wrong)
    with pytest.raises(RarityError, match="centring"):
        predict(l_KN, y, centre="none")
