"""Cosines as sums over axes, p-values of products, ablation to the last bits, ideal rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import seeds
from scipy.integrate import quad
from scipy.special import k0
from sklearn.metrics.pairwise import cosine_similarity

from rarityir.ica import ICA, Axes, ideal
from rarityir.ica.cosine import ideal_row, products, tail
from rarityir.ica.sparsity import curve
from rarityir.ica.sweeping import Judged, _controls, sweep
from rarityir.types import RarityError

SEED = seeds.seed(__name__)


def fitted(k: int = 12, n: int = 1500) -> tuple[Axes, np.ndarray]:
    """Mixed by a matrix of condition four: rounding grows with it, and a normal one is now and then a thousand times worse."""
    rng = np.random.default_rng(SEED)
    left, right = (np.linalg.qr(rng.standard_normal((k, k)))[0] for _ in range(2))
    x = (rng.exponential(size=(n, k)) - 1) @ (left * np.geomspace(0.5, 2, k)) @ right + 3
    return ICA(None, 100, 1e-4).fit(x), x


def test_contributions_sum_to_scikit_learns_cosine() -> None:
    axes, x = fitted()
    s = axes.transform(x)
    for i, j in np.random.default_rng(SEED).integers(0, len(x), (20, 2)):
        hits = axes.explain(x[i], x[j])
        assert sum(hit.contribution for hit in hits) == pytest.approx(
            cosine_similarity(s[i : i + 1], s[j : j + 1])[0, 0], abs=1e-12
        )
        assert sorted(hit.axis for hit in hits) == list(range(12))
        assert [hit.contribution for hit in hits] == sorted((hit.contribution for hit in hits), reverse=True)


def test_the_tail_is_the_integral_of_k0() -> None:
    for width in (5, 300):
        for x in (1e-6, 0.3 / width, 1.5 / width, 6 / width, 20 / width):
            expected = quad(k0, x * width, np.inf, epsabs=0, epsrel=1e-10, limit=200)[0] / np.pi
            assert float(tail(x, width)) == pytest.approx(expected, rel=1e-7)
            assert float(tail(-x, width)) == pytest.approx(1 - expected, rel=1e-12)
    assert float(tail(0.0, 9)) == pytest.approx(0.5)
    assert tail(np.array([0.005, 0.01, 0.02]), 300) == pytest.approx([0.0561, 0.00982, 0.000370], rel=2e-2)
    assert 0 <= float(tail(1.0, 4096)) < 1e-300


def test_products_of_random_unit_rows_follow_the_tail() -> None:
    rng = np.random.default_rng(SEED)
    a, b = (rng.standard_normal((4000, 100)) for _ in range(2))
    product = (a / np.linalg.norm(a, axis=1, keepdims=True) * (b / np.linalg.norm(b, axis=1, keepdims=True))).ravel()
    for x in (0.005, 0.01, 0.02):
        p, n = float(tail(x, 100)), product.size
        assert abs((product > x).mean() - p) < 6 * np.sqrt(p / n) + 0.04 * p  # a unit row's coordinates are not quite normal


def test_random_pairs_seldom_have_a_significant_axis_and_a_shared_one_is_named() -> None:
    axes, _ = fitted()
    rng = np.random.default_rng(SEED)
    found = [
        any(hit.significant for hit in axes.explain(*axes.inverse_transform(rng.standard_normal((2, 12))))) for _ in range(400)
    ]
    assert np.mean(found) < 0.05 + 5 * np.sqrt(0.05 / 400)
    pair = rng.standard_normal((2, 12)) * 0.3
    pair[:, 7] += 3
    best = axes.explain(*axes.inverse_transform(pair))[0]
    assert best.axis == 7
    assert best.significant
    with pytest.raises(RarityError, match="alpha"):
        axes.explain(pair[0], pair[1], alpha=0)


def test_ablation_takes_exactly_the_axes_products_off() -> None:
    axes, x = fitted()
    q, d = axes.transform(x[:50], normalize=True), axes.transform(x[50:], normalize=True)
    for gone in ([3], [0, 5, 11]):
        left = axes.ablate(x[:50], gone) @ d.T
        assert np.abs(left - (q @ d.T - q[:, gone] @ d[:, gone].T)).max() < 1e-15
        assert np.all(axes.ablate(x[:50], gone)[:, gone] == 0)
        assert np.linalg.norm(axes.ablate(x[:50], gone), axis=1).max() < 1  # not normalised again
    assert products(axes, x[0], x[1]) == pytest.approx(q[0] * axes.transform(x[1:2], normalize=True)[0])


def test_any_rotation_of_the_white_space_ranks_alike() -> None:
    axes, x = fitted()
    s = axes.transform(x, normalize=True)
    turn = np.linalg.qr(np.random.default_rng(SEED).standard_normal((12, 12)))[0]
    turned = Axes(axes.mean, turn @ axes.reading, turn @ axes.writing, axes.diagnostics)
    t = turned.transform(x, normalize=True)
    assert np.abs(s[:99] @ s.T - t[:99] @ t.T).max() < 1e-13


def test_an_ideal_row_stands_on_its_axes_alone() -> None:
    axes, x = fitted()
    target = ideal(axes, [2, 9])
    assert target == pytest.approx(np.eye(12)[[2, 9]].sum(axis=0) / np.sqrt(2))
    assert axes.transform(ideal_row(axes, [2, 9])[None])[0] == pytest.approx(target, abs=1e-9)
    best = int(np.argmax(axes.transform(x, normalize=True) @ ideal(axes, [4])))
    assert best == int(np.argmax(axes.transform(x, normalize=True)[:, 4]))
    with pytest.raises(RarityError, match="axis or more"):
        ideal(axes, [])


def judged() -> Judged:
    """Documents in groups; axis 0 tells the groups apart, axis 1 is common to all, the others are noise."""
    rng = np.random.default_rng(SEED)
    documents = rng.standard_normal((120, 10)) * 0.3
    queries = rng.standard_normal((40, 10)) * 0.3
    sign_d, sign_q = np.repeat([1, -1], 60), np.repeat([1, -1], 20)
    documents[:, 0], queries[:, 0] = 2 * sign_d, 2 * sign_q
    documents, queries = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (documents, queries))
    qrels = {f"q{i}": {f"d{j}": 1 for j in np.flatnonzero(sign_d == sign_q[i])} for i in range(40)}
    return Judged(queries, documents, [f"q{i}" for i in range(40)], [f"d{j}" for j in range(120)], qrels)


def test_the_sweep_finds_the_axis_that_ranks_and_no_other() -> None:
    given = judged()
    found = sweep(given, seed=SEED % 1000, directions=5)
    worth = found.effects[0]
    assert found.full == pytest.approx(1)
    assert worth.difference < -0.2
    assert worth.high < 0
    assert worth.p_holm < 0.01
    assert abs(worth.control_difference) < 0.05
    assert all(abs(effect.difference) < 0.05 and effect.p_holm > 0.01 for effect in found.effects[1:])
    assert all(len(effect.controls) == 1 and effect.controls != effect.axes for effect in found.effects)
    assert all(effect.low <= effect.difference <= effect.high for effect in found.effects)
    assert len(found.directions) == 5
    assert sweep(given, seed=SEED % 1000, directions=5).json() == found.json()


def test_the_sweep_scores_what_brute_force_scores() -> None:
    given = judged()
    group = (0, 3)
    found = sweep(given, [group], directions=0)
    q = given.queries.copy()
    q[:, list(group)] = 0
    ndcg = []
    for i, row in enumerate(q @ given.documents.T):
        gains = np.array([given.qrels[f"q{i}"].get(f"d{j}", 0) for j in np.argsort(-row.astype(np.float32), kind="stable")[:10]])
        ndcg.append((gains / np.log2(np.arange(2, 12))).sum() / (1 / np.log2(np.arange(2, 12))).sum())
    assert found.effects[0].difference == pytest.approx(np.mean(ndcg) - found.full, abs=1e-6)
    assert found.directions == ()


def test_a_measure_is_taken_of_as_many_documents_as_it_looks_at(rng: np.random.Generator) -> None:
    axes, x = fitted(6, 150)
    doc_ids, query_ids = [f"d{j}" for j in range(150)], ["q0", "q1", "q2"]
    qrels = {q: {d: 1 for d in doc_ids if rng.random() < 0.4} for q in query_ids}
    for measure, wanted in (
        ("R@120", lambda hits, n: hits[:120].sum() / n),
        ("R@150", lambda hits, n: 1.0),
        ("AP", lambda hits, n: (np.cumsum(hits) / np.arange(1, 151))[hits > 0].sum() / n),
        ("nDCG@140", lambda hits, n: (hits / np.log2(np.arange(2, 152)))[:140].sum() / (1 / np.log2(np.arange(2, n + 2))).sum()),
    ):
        given = Judged.of(axes, x[:3], x, query_ids, doc_ids, qrels, measure=measure)
        found = given.values(given.scores())
        for q, scores, value in zip(query_ids, given.scores().astype(np.float32), found, strict=True):
            hits = np.array([qrels[q].get(f"d{j}", 0) for j in np.argsort(-scores, kind="stable")])
            assert value == pytest.approx(wanted(hits, len(qrels[q])), abs=1e-6)


def test_a_topic_that_is_a_document_does_not_find_itself() -> None:
    axes, x = fitted(6, 40)
    doc_ids, query_ids = [f"d{j}" for j in range(40)], ["d7", "q", "d3"]
    asked = x[[7, 8, 3]]
    for drops in (False, True):
        cosines = Judged.of(axes, asked, x, query_ids, doc_ids, {}).scores()
        if drops:
            cosines[[0, 2], [7, 3]] = -2
        second = np.argsort(-cosines, axis=1)[:, 1]
        qrels = {q: {f"d{j}": 1} for q, j in zip(query_ids, second, strict=True)}
        given = Judged.of(axes, asked, x, query_ids, doc_ids, qrels, measure="RR@40", drops_query_document=drops)
        np.testing.assert_allclose(given.values(given.scores()), 0.5)
    found = curve(axes, asked, x, [6], named=(query_ids, doc_ids, qrels), measure="RR", drops_query_document=True)
    assert found["RR"]["ica"] == pytest.approx([0.5])
    lone = replace(given, documents=given.documents[[7]], doc_ids=["d7"])
    np.testing.assert_array_equal(lone.values(lone.scores()), 0)  # and then finds nothing


def test_an_effect_is_held_against_as_many_other_axes_drawn_again_and_again() -> None:
    given = judged()
    plain, found = (sweep(given, seed=SEED % 1000, directions=2, draws=draws) for draws in (0, 19))
    single = {effect.axes[0]: effect.difference for effect in plain.effects}
    for effect in found.effects:
        assert len(effect.drawn) == 19
        others = [value for axis, value in single.items() if axis != effect.axes[0]]
        assert all(min(abs(drawn - value) for value in others) < 1e-12 for drawn in effect.drawn)
        as_large = sum(abs(drawn) >= abs(effect.difference) - 1e-12 for drawn in effect.drawn)
        assert effect.p_control == (1 + as_large) / 20
    assert found.effects[0].p_control == 1 / 20  # no other axis ranks
    assert any(len({round(drawn, 9) for drawn in effect.drawn}) > 1 for effect in found.effects[1:])
    assert [effect._replace(drawn=(), p_control=None) for effect in found.effects] == list(plain.effects)
    assert found.directions == plain.directions
    assert plain.effects[0].p_control is None
    assert found.json()["effects"][0]["drawn"] == list(found.effects[0].drawn)


def test_groups_of_like_axes_are_as_large_as_the_group_and_apart_from_it() -> None:
    rng = np.random.default_rng(SEED)
    for size in (1, 3, 5):
        group = rng.choice(10, size, replace=False).tolist()
        drawn = _controls(rng.random(10), group, rng)
        assert len(drawn) == size
        assert not set(drawn) & set(group)
    assert len(_controls(rng.random(10), list(range(8)), rng)) == 2
    assert _controls(rng.random(10), list(range(10)), rng) == ()
    whole = sweep(judged(), [range(10)], directions=0, draws=3).effects[0]  # there are no others
    assert (whole.drawn, whole.p_control) == ((), None)


def test_rows_that_are_not_of_the_topics_are_refused() -> None:
    axes, x = fitted()
    with pytest.raises(RarityError, match="5 and 9 rows"):
        Judged.of(axes, x[:5], x[:9], ["a"], ["b"], {})
