"""The second order held against the exact divergence, state by state, by hand."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from tiny import STORIES_DOCS

import rarityir as ri
from rarityir.informativeness.fit import Fit, fit
from rarityir.report import informativeness as drawing
from rarityir.types import RarityError

TEXTS = [f"{title} {text}".strip() for title, text in STORIES_DOCS.values()]


@pytest.fixture(scope="module")
def encoder(stories):
    return ri.load_encoder(stories)


def predictions(encoder):
    """Every state, its token and ln p(·|h), in float64."""
    states = np.concatenate(encoder.document_states(TEXTS)).astype(np.float64)
    ids = [i for s in encoder.lay_out(TEXTS) for i in s.ids[s.start : s.stop]]
    z = states @ encoder.unembedding().astype(np.float64).T
    z -= z.max(axis=1, keepdims=True)
    return states, ids, z - np.log(np.exp(z).sum(axis=1, keepdims=True))


@pytest.mark.parametrize("reference", ["mean", "argmin"])
def test_every_figure_is_the_definitions(encoder, reference):
    states, ids, log_p = predictions(encoder)
    p0 = np.exp(log_p).mean(axis=0)
    centre = states.mean(axis=0)
    if reference == "argmin":
        nearest = int((np.exp(log_p) * (log_p - np.log(p0))).sum(axis=1).argmin())
        p0, centre = np.exp(log_p[nearest]), states[nearest]
    g = np.cov(encoder.unembedding().astype(np.float64).T, aweights=p0, bias=True)
    exact = (np.exp(log_p) * (log_p - np.log(p0))).sum(axis=1)
    away = states - centre
    second = 0.5 * np.array([row @ g @ row for row in away])
    found = fit(encoder, TEXTS, reference, checked=0)
    np.testing.assert_allclose(found.exact, exact, atol=2e-4)
    np.testing.assert_allclose(found.second, second, rtol=2e-3, atol=1e-4)
    np.testing.assert_allclose(found.norm, (away**2).sum(axis=1), rtol=1e-4, atol=1e-6)
    assert found.n.tolist() == [Counter(ids)[i] for i in ids]
    slope, _ = np.polyfit(exact, second, 1)
    assert found.slope == pytest.approx(slope, rel=5e-3)
    assert found.r2 == pytest.approx(np.corrcoef(exact, second)[0, 1] ** 2, abs=5e-3)
    assert found.r2_of_norm == pytest.approx(np.corrcoef(exact, found.norm)[0, 1] ** 2, abs=5e-3)
    assert found.json()["states"] == len(ids)


def test_states_are_drawn_by_the_seed(encoder):
    whole, few = fit(encoder, TEXTS, checked=0), fit(encoder, TEXTS, checked=7, seed=3)
    drawn = np.sort(np.random.default_rng(3).choice(len(whole.exact), 7, replace=False))
    # Rows of float32 products are multiplied in other groups when there are fewer, so they differ in their last bits.
    np.testing.assert_allclose(few.exact, whole.exact[drawn], rtol=1e-4)
    np.testing.assert_allclose(few.second, whole.second[drawn], rtol=1e-4)
    assert few.n.tolist() == whole.n[drawn].tolist()


def test_what_is_no_states_prediction_is_one_line(encoder):
    for reference in ("unigram", "x"):
        with pytest.raises(RarityError, match=r"^[^\n]*take mean or argmin$"):
            fit(encoder, TEXTS, reference)


def test_a_line_has_its_slope_and_a_constant_none(tmp_path):
    x = np.arange(20.0)
    found = Fit(x, 3 * x + 1, -x, np.arange(1, 21))
    assert (found.slope, found.r2, found.r2_of_norm) == pytest.approx((3.0, 1.0, 1.0))
    assert Fit(np.ones(4), x[:4], x[:4], np.ones(4, int)).slope == 0.0
    told = drawing.Orders("made", found.exact, found.second, found.n, found.slope, found.r2)
    one, other = (drawing.orders(told, tmp_path / name).read_bytes() for name in ("a.svg", "b.svg"))
    assert one == other
    assert drawing.orders(told, tmp_path / "a.png").stat().st_size > 1000
    with pytest.raises(RarityError, match="a picture is"):
        drawing.orders(told, tmp_path / "a.gif")
