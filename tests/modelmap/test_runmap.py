"""A map of systems: distances by brute force over shared documents, what it ignores, and what it refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import log_softmax

from rarityir.modelmap import RunMap, kl
from rarityir.runs import Run
from rarityir.types import Hits, RarityError

QUERIES, DOCS = 6, 30


def run(name: str, scores_QN: np.ndarray, cutoff: int = DOCS, shuffle: np.ndarray | None = None) -> Run:
    """A run of scores by document; `shuffle` stores documents in another order, as another file would."""
    order = np.argsort(-scores_QN, axis=1, kind="stable")[:, :cutoff]
    rows = np.arange(DOCS) if shuffle is None else shuffle
    ids = [""] * DOCS
    for doc, row in enumerate(rows):
        ids[row] = f"d{doc}"
    hits = Hits(rows[order], np.take_along_axis(scores_QN, order, axis=1).astype(np.float32))
    return Run.from_hits(name, [f"q{i}" for i in range(len(scores_QN))], ids, hits)


def three(rng: np.random.Generator) -> tuple[np.ndarray, dict[str, Run]]:
    base = rng.standard_normal((QUERIES, DOCS))
    scores = np.stack([base + e * rng.standard_normal((QUERIES, DOCS)) for e in (0, 0.1, 0.3, 0.6)]).astype(np.float32)
    return scores, {f"s{k}": run(f"s{k}", s, shuffle=rng.permutation(DOCS)) for k, s in enumerate(scores)}


def by_hand(scores_KQN: np.ndarray, taus: list[float], *, mixture: bool) -> tuple[np.ndarray, np.ndarray]:
    """Half the variance within topics, and the true symmetrised divergence, by loops over pairs and topics."""
    logs = np.array([log_softmax(s.astype(float) / t, axis=1) for s, t in zip(scores_KQN, taus)])
    p, count = np.exp(logs), len(scores_KQN)
    half, true = np.zeros((count, count)), np.zeros((count, count))
    for i in range(count):
        for j in range(count):
            for q in range(scores_KQN.shape[1]):
                w = p[:, q].mean(axis=0) if mixture else np.full(scores_KQN.shape[2], 1 / scores_KQN.shape[2])
                apart = logs[i, q] - logs[j, q]
                half[i, j] += (w @ apart**2 - (w @ apart) ** 2) / 2 / scores_KQN.shape[1]
                true[i, j] += (p[i, q] - p[j, q]) @ apart / 2 / scores_KQN.shape[1]
    return half, true


@pytest.mark.parametrize("weights", ["mixture", "uniform"])
def test_distances_are_those_of_brute_force(rng, weights: str) -> None:
    scores, runs = three(rng)
    found = RunMap.from_runs(runs, pool="union@30", weights=weights)
    taus = [float(np.sqrt(np.mean((s - s.mean(axis=1, keepdims=True)) ** 2))) for s in scores]
    assert found.temperatures == pytest.approx(taus, rel=1e-6)
    half, true = by_hand(scores, taus, mixture=weights == "mixture")
    np.testing.assert_allclose(found.kl(), half, rtol=1e-5, atol=1e-12)
    np.testing.assert_allclose(found.exact(), true, rtol=1e-5, atol=1e-12)
    np.testing.assert_allclose(found.by_topic(0, 3).mean(), half[0, 3], rtol=1e-5)
    x = found.coords()
    np.testing.assert_allclose(((x[:, None] - x[None]) ** 2).sum(axis=2), half, rtol=1e-5, atol=1e-12)
    np.testing.assert_allclose(np.exp(found.logs).sum(axis=1), QUERIES)
    assert found.missing == (0, 0, 0, 0)


def test_of_one_topic_and_even_weights_it_is_the_model_maps_distance(rng) -> None:
    scores, runs = three(rng)
    one = {name: run(name, scores[k][:1]) for k, name in enumerate(runs)}
    found = RunMap.from_runs(one, pool="union@30", tau=1.0, weights="uniform")
    np.testing.assert_allclose(found.kl(), kl(scores[:, 0], unit="nats/text"), rtol=1e-5, atol=1e-12)


def test_near_systems_have_their_true_divergence_and_ranks_agree(rng) -> None:
    _, runs = three(rng)
    found = RunMap.from_runs(runs, pool="union@30").check()
    assert 0.8 < found.ratio < 1.25
    assert found.spearman > 0.7
    assert found.pairs == 6


def test_a_systems_scale_shift_and_file_order_change_nothing(rng) -> None:
    scores, runs = three(rng)
    wanted = RunMap.from_runs(runs, pool="union@12").kl()
    moved = {**runs, "s1": run("s1", 7 * scores[1] - 3), "s3": run("s3", 0.01 * scores[3])}
    np.testing.assert_allclose(RunMap.from_runs(moved, pool="union@12").kl(), wanted, rtol=1e-3, atol=1e-9)
    copied = {"a": runs["s0"], "b": run("b", scores[0]), "c": runs["s3"]}
    found = RunMap.from_runs(copied).kl()
    assert found[0, 1] == 0
    assert found[0, 2] > 0


def test_a_document_not_retrieved_has_the_lowest_score_of_its_topic(rng) -> None:
    scores, runs = three(rng)
    runs["s0"] = run("s0", scores[0], cutoff=10)
    found = RunMap.from_runs(runs, pool="union@30", tau=1.0)
    filled = scores[0].copy()
    lowest = np.sort(filled, axis=1)[:, -10]
    filled = np.maximum(filled, lowest[:, None])
    np.testing.assert_allclose(
        found.logs[0].reshape(QUERIES, DOCS)[:, np.argsort([f"d{i}" for i in range(DOCS)])].sum(),
        log_softmax(filled.astype(float), axis=1).sum(),
        rtol=1e-6,
    )
    assert found.missing == pytest.approx((20 / 30, 0, 0, 0))


def test_the_pool_is_the_union_of_what_each_ranks_first(rng) -> None:
    scores, runs = three(rng)
    found = RunMap.from_runs(runs, pool="union@5")
    wanted = [len({int(d) for s in scores for d in np.argsort(-s[q], kind="stable")[:5]}) for q in range(QUERIES)]
    assert np.diff(found.indptr).tolist() == wanted


def test_topics_that_a_run_lacks_are_left_out_and_counted(rng) -> None:
    scores, runs = three(rng)
    runs["s2"] = run("s2", scores[2][:4])
    found = RunMap.from_runs(runs)
    assert found.query_ids == ("q0", "q1", "q2", "q3")
    assert found.dropped == 2


def test_what_cannot_be_compared_is_said(rng) -> None:
    _, runs = three(rng)
    for wrong, message in (
        ({"pool": "top@5"}, "union@N"), ({"pool": "union@1"}, "union@N"), ({"tau": "std"}, "tau"), ({"tau": 0.0}, "tau"),
        ({"tau": math.inf}, "tau"), ({"weights": "even"}, "weights"),
    ):  # fmt: skip
        with pytest.raises(RarityError, match=message):
            RunMap.from_runs(runs, **wrong)
    with pytest.raises(RarityError, match="two or more"):
        RunMap.from_runs({"s0": runs["s0"]})
    other = Run.from_hits("x", ["z"], ["d0", "d1"], Hits(np.array([[0, 1]]), np.array([[2.0, 1.0]], np.float32)))
    with pytest.raises(RarityError, match="no topic"):
        RunMap.from_runs({"s0": runs["s0"], "x": other})
