"""Angles between spans: planted ones, brute force of G, and what chance gives."""

from __future__ import annotations

import numpy as np
import pytest
from tiny import STORIES_DOCS

import rarityir as ri
from rarityir.informativeness.angles import _drawn, overlaps, sensitive
from rarityir.types import RarityError

TEXTS = [f"{title} {text}".strip() for title, text in STORIES_DOCS.values()]


def mixed(rng, rows):
    """Other rows of the same span, by a well-conditioned matrix."""
    q, _ = np.linalg.qr(rng.standard_normal((len(rows),) * 2))
    return (q * np.linspace(1, 3, len(rows))) @ rows


def test_planted_spans_have_the_angles_that_were_planted(rng):
    turn, _ = np.linalg.qr(rng.standard_normal((20, 20)))
    tilt = np.cos(0.3) * turn[4] + np.sin(0.3) * turn[9]
    spaces = {"a": turn[:5], "b": np.stack([turn[3], tilt, turn[7], turn[8]]), "line": turn[:1] * 5}
    spaces = {name: mixed(rng, rows) for name, rows in spaces.items()}
    ab, a_line, b_line = overlaps(spaces, draws=19, seed=int(rng.integers(1000)))
    assert (ab.one, ab.other, ab.widths) == ("a", "b", (5, 4))
    np.testing.assert_allclose(ab.angles, [0, np.degrees(0.3), 90, 90], atol=1e-6)
    assert ab.share == pytest.approx((1 + np.cos(0.3) ** 2) / 4)
    assert ab.expected == 5 / 20
    assert a_line.angles == pytest.approx([0.0], abs=1e-6)
    assert (a_line.share, a_line.p) == (pytest.approx(1.0), 1 / 20)
    assert b_line.angles == pytest.approx([90.0])
    assert b_line.p == 1.0
    assert ab.json()["angles"] == ab.angles.round(4).tolist()


def test_what_is_drawn_has_the_share_of_a_beta_and_more_directions_come_nearer(rng):
    seed = int(rng.integers(2**31))
    smallest, shares = _drawn(3, 8, 24, 400, seed)
    spread = np.sqrt(2 * 8 * 16 / (24**2 * 26) / 3)  # of one direction's share, and three of them are about independent
    assert abs(shares.mean() - 8 / 24) < 8 * spread / np.sqrt(400)
    assert 0.5 * spread < shares.std() < 2 * spread
    assert smallest.mean() < _drawn(1, 8, 24, 400, seed)[0].mean()
    assert np.array_equal(_drawn(3, 8, 24, 9, seed)[1], _drawn(3, 8, 24, 9, seed)[1])


def test_directions_of_g_are_the_eigenvectors_under_the_mean_prediction(stories):
    encoder = ri.load_encoder(stories)
    w = encoder.unembedding().astype(np.float64)
    z = np.concatenate(encoder.document_states(TEXTS)).astype(np.float64) @ w.T
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p0 = (p / p.sum(axis=1, keepdims=True)).mean(axis=0)
    g = np.cov(w.T, aweights=p0, bias=True)
    found, values = sensitive(encoder, TEXTS, 3)
    np.testing.assert_allclose(values, np.sort(np.linalg.eigvalsh(g))[::-1], rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(found @ found.T, np.eye(3), atol=1e-9)
    np.testing.assert_allclose(g @ found.T, found.T * values[:3], atol=1e-3 * values[0])
    assert values[0] > values[1] > values[2]
    for count in (0, len(g) + 1):
        with pytest.raises(RarityError, match=r"^[^\n]*directions of a space[^\n]*$"):
            sensitive(encoder, TEXTS, count)


def test_spans_that_do_not_fit_are_one_line():
    with pytest.raises(RarityError, match=r"^none spans nothing$"):
        overlaps({"a": np.eye(3), "none": np.zeros((0, 3))})
    with pytest.raises(RarityError, match=r"^directions are \[3, 4\] wide[^\n]*$"):
        overlaps({"a": np.eye(3), "b": np.eye(4)})
