"""Divergences of predictions: the exponential family's own form, second order, a model's states by hand, and controls."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from tiny import STORIES_DOCS

import rarityir as ri
from rarityir.informativeness import divergence, from_model
from rarityir.informativeness.divergence import Head, covariance, quadratic
from rarityir.types import RarityError

TEXTS = [f"{title} {text}".strip() for title, text in STORIES_DOCS.values()]


def log_softmax(z):
    z = np.asarray(z, np.float64)
    top = z.max(axis=-1, keepdims=True)
    return z - top - np.log(np.exp(z - top).sum(axis=-1, keepdims=True))


@pytest.fixture(params=[(256, 2048), (3, 7), (1000, 1)])
def blocks(request, monkeypatch):
    monkeypatch.setattr(divergence, "STATES", request.param[0])
    monkeypatch.setattr(divergence, "COLUMNS", request.param[1])


@pytest.mark.usefixtures("blocks")
def test_the_exact_divergence_is_the_direct_sum_and_the_form_of_bregman(rng):
    """KL(u ‖ u₀) = ⟨u − u₀, η(u)⟩ − ψ(u) + ψ(u₀), η the mean of v under p(·|u), ψ the logarithm of the sum."""
    w, b, u = rng.normal(size=(60, 5)), rng.normal(size=60), rng.normal(size=(40, 5)) * 3
    log_p = log_softmax(u @ w.T + b)
    head = Head(w, b)
    found = head.divergence(u, log_p[0])
    direct = (np.exp(log_p) * (log_p - log_p[0])).sum(axis=1)
    np.testing.assert_allclose(found.kl, direct, atol=1e-12)
    np.testing.assert_allclose(found.entropy, -(np.exp(log_p) * log_p).sum(axis=1), atol=1e-12)
    z = u @ w.T + b
    psi = z.max(1) + np.log(np.exp(z - z.max(1)[:, None]).sum(1))
    eta = np.exp(log_p) @ w
    np.testing.assert_allclose(found.kl, ((u - u[0]) * eta).sum(1) - psi + psi[0], atol=1e-12)
    assert abs(found.kl[0]) < 1e-12
    np.testing.assert_allclose(head.log_probability(u[7]), log_p[7], atol=1e-12)
    np.testing.assert_allclose(head.mean_prediction(u), np.exp(log_p).mean(axis=0), atol=1e-14)


@pytest.mark.usefixtures("blocks")
def test_logits_however_large_overflow_nothing(rng):
    w, u = rng.normal(size=(50, 4)).astype(np.float32), (300 * rng.normal(size=(9, 4))).astype(np.float32)
    usual = log_softmax(rng.normal(size=50))
    log_p = log_softmax(u.astype(np.float64) @ w.astype(np.float64).T)
    found = Head(w).divergence(u, usual)
    np.testing.assert_allclose(found.kl, (np.exp(log_p) * (log_p - usual)).sum(axis=1), atol=2e-3)


def test_the_quadratic_form_is_the_divergence_as_states_come_near(rng):
    """Its relative error falls as the scale does; without the covariance, or with its inverse, there is no such limit."""
    w, b, u0, u = rng.normal(size=(80, 6)), rng.normal(size=80), rng.normal(size=6), rng.normal(size=(200, 6))
    head = Head(w, b)
    log_p0 = head.log_probability(u0)
    g = covariance(w, np.exp(log_p0))
    mean = np.exp(log_p0) @ w
    np.testing.assert_allclose(g, sum(p * np.outer(v - mean, v - mean) for p, v in zip(np.exp(log_p0), w, strict=True)))
    worst, wrong = [], []
    for scale in (0.1, 0.03, 0.01, 0.003, 0.001):
        states = u0 + scale * u
        kl = head.divergence(states, log_p0).kl
        ratios = quadratic(states, u0, g) / kl
        worst.append(np.abs(ratios - 1).max())
        wrong.append(np.ptp(np.log(quadratic(states, u0, np.linalg.inv(g)) / kl)))
    assert worst[-1] < 0.05
    for coarse, fine in pairwise(worst):
        assert fine < 0.6 * coarse
    assert min(wrong) > 0.3
    straight, raw = (np.corrcoef(kl, found)[0, 1] ** 2 for found in (quadratic(states, u0, g), ((states - u0) ** 2).sum(axis=1)))
    assert straight > 0.999  # the norm of the state, without G, goes along with it and is not it
    assert raw < 0.99


def states_of(stories):
    encoder = ri.load_encoder(stories)
    ids = [i for s in encoder.lay_out(TEXTS) for i in s.ids[s.start : s.stop]]
    return encoder, np.concatenate(encoder.document_states(TEXTS)).astype(np.float64), np.array(ids)


@pytest.mark.parametrize("reference", ["mean", "unigram", "argmin"])
def test_a_models_tokens_have_the_mean_divergence_of_their_positions(stories, reference):
    encoder, h, ids = states_of(stories)
    log_p = log_softmax(h @ encoder.unembedding().astype(np.float64).T)
    mean = np.log(np.exp(log_p).mean(axis=0))
    if reference == "unigram":
        counts = np.bincount(ids, minlength=512) + 0.5
        usual = np.log(counts / counts.sum())
    elif reference == "argmin":
        usual = log_p[np.argmin((np.exp(log_p) * (log_p - mean)).sum(axis=1))]
    else:
        usual = mean
    kl = (np.exp(log_p) * (log_p - usual)).sum(axis=1)
    found = from_model(encoder, iter(TEXTS), "exact", reference)
    np.testing.assert_array_equal(found.n, np.bincount(ids, minlength=512))
    for token in set(ids.tolist()):
        assert found.values[token] == pytest.approx(kl[ids == token].mean(), abs=2e-4)
    assert np.isnan(found.values[found.n == 0]).all()
    assert found.facts["states"] == len(ids)
    if reference == "mean":  # Jensen and Shannon: the mean divergence is what the mean's entropy has more
        entropy = -(np.exp(log_p) * log_p).sum(axis=1).mean()
        assert found.facts["mean_kl"] == pytest.approx(-(np.exp(mean) * mean).sum() - entropy, abs=1e-4)
        assert found.facts["mean_kl"] == pytest.approx(found.facts["reference_entropy"] - found.facts["mean_entropy"], abs=1e-4)


def test_the_form_and_the_norm_say_how_well_they_fit(stories, rng):
    encoder, h, ids = states_of(stories)
    w = encoder.unembedding().astype(np.float64)
    log_p = log_softmax(h @ w.T)
    p0 = np.exp(log_p).mean(axis=0)
    kl = (np.exp(log_p) * (log_p - np.log(p0))).sum(axis=1)
    away = h - h.mean(axis=0)
    form = 0.5 * ((away @ (w - p0 @ w).T) ** 2 @ p0)
    found = from_model(encoder, TEXTS, "quadratic", checked=0)
    token = int(np.argmax(np.bincount(ids)))
    assert found.values[token] == pytest.approx(form[ids == token].mean(), rel=1e-3)
    assert found.facts["slope"] == pytest.approx(np.polyfit(kl, form, 1)[0], rel=1e-3)
    assert found.facts["r2"] == pytest.approx(np.corrcoef(kl, form)[0, 1] ** 2, abs=1e-4)
    assert found.facts["r2_of_state_norm"] == pytest.approx(np.corrcoef(kl, (away**2).sum(1))[0, 1] ** 2, abs=1e-4)
    norm = from_model(encoder, TEXTS, "norm")
    n = np.bincount(ids, minlength=512)
    np.testing.assert_allclose(norm.values[n > 0], (((w - n / n.sum() @ w) ** 2).sum(axis=1))[n > 0], rtol=1e-5)
    assert 0 <= norm.facts["r2"] <= 1
    assert "heuristic" in norm.method
    assert "information gain" not in norm.method.replace("no information gain", "")
    assert norm.correct("quantile").correction == "quantile"
    few = from_model(encoder, TEXTS, "quadratic", checked=20, seed=int(rng.integers(99)))
    assert few.facts["checked"] == 20
    np.testing.assert_array_equal(few.values, found.values)


def test_what_a_model_cannot_tell_is_one_line(stories):
    encoder = ri.load_encoder(stories)
    for arguments, message in (
        ((TEXTS, "magic"), "is one of exact"),
        ((TEXTS, "exact", "magic"), "reference 'magic'"),
        ((TEXTS, "norm", "unigram"), "no state's prediction"),
        (([], "exact"), "no tokens"),
        (([" "], "exact"), "no tokens"),
    ):
        with pytest.raises(RarityError, match=message) as raised:
            from_model(encoder, *arguments)
        assert "\n" not in str(raised.value)

    class Mute:
        name = "mute"

    with pytest.raises(RarityError, match="no states of single tokens"):
        from_model(Mute(), TEXTS)
