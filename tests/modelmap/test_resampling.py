"""Drawing fewer texts: unbiased distances, the closed form against brute force, gains where there are any, stored plans."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from rarityir.modelmap import ModelMap, ResamplePlan, error_estimate
from rarityir.modelmap.resampling import spread
from rarityir.types import RarityError


def heavy(rng: np.random.Generator, models: int = 20, texts: int = 4000) -> np.ndarray:
    """Values whose spread over models differs from text to text by orders of magnitude."""
    return rng.standard_normal((models, texts)) * np.exp(1.5 * rng.standard_normal(texts)) - 100


def squared(q_KN: np.ndarray) -> np.ndarray:
    return ((q_KN[:, None] - q_KN[None]) ** 2).sum(axis=2)


def double_centred(l_KN: np.ndarray) -> np.ndarray:
    q_KN = l_KN - l_KN.mean(axis=1, keepdims=True)
    return q_KN - q_KN.mean(axis=0)


@pytest.mark.parametrize("method", ["ls", "kl"])
def test_weights_are_those_of_brute_force(rng, method: str) -> None:
    q_KN = double_centred(heavy(rng, 7, 30))
    if method == "ls":
        wanted = np.array([sum(v * v for v in column) for column in q_KN.T])
    else:
        wanted = np.array([math.sqrt(sum((a - b) ** 4 for a in column for b in column)) for column in q_KN.T])
    np.testing.assert_allclose(spread(q_KN, method), wanted, rtol=1e-12)
    not_centred = q_KN + 3  # the sums of powers hold for any columns
    if method == "kl":
        np.testing.assert_allclose(spread(not_centred, method), wanted, rtol=1e-8)
    plan = ResamplePlan.fit(q_KN, method, clip=0)
    np.testing.assert_allclose(plan.probabilities, wanted / wanted.sum(), rtol=1e-9)
    assert ResamplePlan.fit(q_KN, "uniform").probabilities == pytest.approx([1 / 30] * 30)


@pytest.mark.parametrize("method", ["uniform", "ls", "kl"])
def test_distances_of_samples_are_right_on_average_and_ever_better(rng, method: str) -> None:
    q_KN = double_centred(rng.standard_normal((6, 60)) * np.geomspace(0.5, 4, 60))
    true = squared(q_KN)
    plan = ResamplePlan.fit(q_KN, method, clip=0)
    samples = [plan.draw(40, seed) for seed in rng.integers(0, 2**62, 3000)]
    runs = np.array([s.distances(q_KN[:, s.indices], centre=False) for s in samples])
    spread_of_mean = runs.std(axis=0)[np.triu_indices(6, 1)] / math.sqrt(len(runs))
    missed = (runs.mean(axis=0) - true)[np.triu_indices(6, 1)]
    assert (np.abs(missed) < 6 * spread_of_mean).all()  # of 15 pairs
    few, many = (np.linalg.norm(runs[: 30 * n].reshape(-1, n, 6, 6).mean(axis=1) - true, axis=(1, 2)).mean() for n in (4, 100))
    assert 3.5 < few / many < 7.2  # √25 = 5


def test_factors_count_repeats(rng) -> None:
    plan = ResamplePlan.fit(heavy(rng, 5, 12), "ls")
    sample = plan.draw(200, seed=3)
    assert sample.unique == len(set(sample.indices.tolist())) <= 12
    counts = sample.factors**2 * 200 * plan.probabilities[sample.indices]
    np.testing.assert_allclose(counts, counts.round(), atol=1e-9)
    assert counts.sum() == pytest.approx(200)
    again, other = plan.draw(200, seed=3), plan.draw(200, seed=4)
    np.testing.assert_array_equal(again.factors, sample.factors)
    assert len(other.factors) != len(sample.factors) or (other.factors != sample.factors).any()


def test_rows_of_a_sample_lose_the_mean_that_their_draws_estimate(rng) -> None:
    l_KN = heavy(rng, 4, 12)
    plan = ResamplePlan.fit(l_KN, "ls", clip=0)
    sample = plan.draw(9, seed=0)
    shares = sample.factors**2 / sum(sample.factors**2)
    rows = [[(v - sum(shares * row)) * a for v, a in zip(row, sample.factors)] for row in l_KN[:, sample.indices]]
    np.testing.assert_allclose(sample.distances(l_KN[:, sample.indices]), squared(np.array(rows)), rtol=1e-9, atol=1e-9)
    found = ModelMap.from_matrix("abcd", l_KN, 9.0, clip=0).sampled(sample)
    np.testing.assert_allclose(found.mean(), [sum(shares * row) for row in l_KN[:, sample.indices]])


def test_a_sample_that_holds_every_text_is_a_sample(rng) -> None:
    l_KN = heavy(rng, 6, 12)
    whole = ModelMap.from_matrix("abcdef", l_KN, 9.0, clip=0)
    sample = ResamplePlan.fit(l_KN, "uniform", clip=0).draw(400, seed=0)
    assert sample.unique == 12
    found = whole.sampled(sample)
    assert whole.whole
    assert not found.whole
    np.testing.assert_allclose(found.kl("nats/text"), sample.distances(l_KN) / 24, rtol=1e-9, atol=1e-12)
    for refused in (lambda: found.jitter(2), lambda: found.mismatch(l_KN, 9.0), lambda: found.sampled(sample)):
        with pytest.raises(RarityError, match="sample"):
            refused()


def test_on_heavy_tails_drawing_by_spread_beats_uniform_at_fewer_texts(rng) -> None:
    l_KN = heavy(rng)
    errors = {
        method: error_estimate(l_KN, ResamplePlan.fit(l_KN, method, clip=0), n, runs=8, seed=1)
        for method, n in (("uniform", 1000), ("ls", 500), ("kl", 500))
    }
    for method in ("ls", "kl"):
        assert errors[method]["unique"] < 0.6 * errors["uniform"]["unique"]
        assert errors[method]["relative"] < 0.6 * errors["uniform"]["relative"]
        assert errors[method]["total"] == pytest.approx(math.hypot(errors[method]["relative"], errors[method]["floor"]))


def test_where_all_texts_are_alike_there_is_no_gain(rng) -> None:
    l_KN = rng.standard_normal((20, 4000))
    found = {
        m: error_estimate(l_KN, ResamplePlan.fit(l_KN, m, clip=0), 500, runs=20)["relative"] for m in ("uniform", "ls", "kl")
    }
    assert 0.8 < found["ls"] / found["uniform"] < 1.25
    assert 0.8 < found["kl"] / found["uniform"] < 1.25


def test_the_error_of_all_texts_is_the_bootstraps(rng) -> None:
    l_KN = heavy(rng, 8, 300)
    found = error_estimate(l_KN, ResamplePlan.fit(l_KN, "uniform"), 300, runs=200)
    assert found["relative"] == pytest.approx(found["floor"], rel=0.25)


def test_a_new_model_is_clipped_by_the_stored_threshold_and_moves_nobody(rng) -> None:
    l_KN = heavy(rng, 6, 500)
    plan = ResamplePlan.fit(l_KN, "ls", clip=0.02)
    whole = ModelMap.from_matrix("abcdef", l_KN, 200.0, clip=0.02)
    assert plan.floor == whole.floor == pytest.approx(np.quantile(l_KN, 0.02))
    sample = plan.draw(300, seed=0)
    mild, wild = l_KN[0, sample.indices] + 1, np.full(sample.unique, -1e6)
    one, two = (whole.add("new", row, sample) for row in (mild, wild))
    np.testing.assert_allclose(one.kl()[:6, :6], two.kl()[:6, :6], rtol=1e-12)
    np.testing.assert_array_equal(one.coords()[:6], two.coords()[:6])
    np.testing.assert_array_equal(one.embed()[0][:6], two.embed()[0][:6])
    assert two.values[6].max() == whole.floor
    np.testing.assert_allclose(plan.clipped([wild]), whole.floor)
    rows = plan.clipped(np.vstack([l_KN[:, sample.indices], mild]))
    np.testing.assert_allclose(one.kl("nats/text"), sample.distances(rows) / 1000)


def test_a_model_added_on_a_sample_stands_near_where_all_texts_put_it(rng) -> None:
    l_KN = heavy(rng, 20, 4000)
    whole = ModelMap.from_matrix([str(i) for i in range(20)], l_KN, 200.0)
    sample = ResamplePlan.fit(l_KN[:19], "ls").draw(1500, seed=0)
    first = ModelMap.from_matrix([str(i) for i in range(19)], l_KN[:19], 200.0)
    found = first.add("19", l_KN[19, sample.indices], sample).kl()[19, :19]
    assert sample.unique < 1500
    np.testing.assert_allclose(found, whole.kl()[19, :19], rtol=0.5)
    assert np.median(np.abs(found / whole.kl()[19, :19] - 1)) < 0.15


def test_what_does_not_fit_a_sample_is_said(rng) -> None:
    l_KN = heavy(rng, 5, 50)
    plan = ResamplePlan.fit(l_KN, "ls")
    sample = plan.draw(20)
    found = ModelMap.from_matrix("abcde", l_KN, 10.0)
    with pytest.raises(RarityError, match="drawn texts' alone"):
        sample.distances(l_KN)
    with pytest.raises(RarityError, match="values for a map"):
        found.add("f", l_KN[0], sample)
    with pytest.raises(RarityError, match="on the map already"):
        found.add("a", l_KN[0])
    with pytest.raises(RarityError, match="sample of 50"):
        found.sampled(sample).sampled(sample)
    with pytest.raises(RarityError, match="keep their means"):
        found.sampled(ResamplePlan.fit(l_KN, "ls", centre=False).draw(5))
    with pytest.raises(RarityError, match="sample of texts"):
        found.sampled(sample).mismatch(l_KN, 10.0)
    for wrong in ("lse", ""):
        with pytest.raises(RarityError, match="known: uniform, ls, kl"):
            ResamplePlan.fit(l_KN, wrong)
    with pytest.raises(RarityError, match="no text tells them apart"):
        ResamplePlan.fit(np.ones((3, 4)), "ls")
    with pytest.raises(RarityError, match="at least 1"):
        plan.draw(0)


def test_a_plan_comes_back_bit_for_bit_and_a_changed_one_is_refused(rng, tmp_path) -> None:
    plan = ResamplePlan.fit(heavy(rng, 5, 50), "kl", facts={"texts": "abc"})
    path = plan.save(tmp_path / "plan.json")
    again = ResamplePlan.load(path)
    np.testing.assert_array_equal(again.probabilities, plan.probabilities)
    assert (again.floor, again.method, again.facts) == (plan.floor, "kl", plan.facts)
    np.testing.assert_array_equal(again.draw(9, 1).factors, plan.draw(9, 1).factors)
    whole = json.loads(path.read_text())
    path.write_text(json.dumps({**whole, "floor": whole["floor"] + 1}))
    with pytest.raises(RarityError, match="checksum differs"):
        ResamplePlan.load(path)
    path.write_text("{}")
    with pytest.raises(RarityError, match="not a stored plan"):
        ResamplePlan.load(path)


def test_topics_keep_the_systems_means(rng) -> None:
    values_KQ = rng.random((8, 200)) ** 4 + np.linspace(0, 0.5, 8)[:, None]
    plan = ResamplePlan.fit(values_KQ, "ls", clip=0, centre=False)
    runs = [plan.draw(100, seed) for seed in range(300)]
    found = np.mean([s.distances(values_KQ[:, s.indices]) for s in runs], axis=0)
    np.testing.assert_allclose(found, squared(values_KQ), rtol=0.1)
