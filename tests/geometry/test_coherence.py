"""Coherence of neighbours: what chance gives is not found, what is planted is; random sets, shares, false discoveries."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import rarityir as ri
from rarityir.geometry.agreement import Coherence
from rarityir.geometry.nulls import Bands, discoveries, wilson
from rarityir.types import RarityError

SETS = 199  # random sets: p < .05 then has the exact chance of 9 in 200


def clustered(rng: np.random.Generator, rows: int, width: int, size: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Rows in two spaces that agree on which tokens belong together, in tight clusters of so many."""
    codes = np.arange(rows) // size
    spaces = [rng.standard_normal((rows, w)) + 3 * rng.standard_normal((codes.max() + 1, w))[codes] for w in (width, width // 2)]
    return spaces[0], spaces[1]


def by_chance(found: Coherence) -> None:
    """Of n directions, p < .05 for 4.5% within ten standard errors, as they are not quite independent; q for none."""
    n = len(found.p)
    assert abs(found.nominal.value - 0.045) < 10 * np.sqrt(0.045 * 0.955 / n)
    assert found.fraction.value <= 0.02
    assert abs(found.scores.mean()) < 8 / np.sqrt(n)


@pytest.mark.parametrize("null", ["shuffled", "gaussian"])
def test_rows_that_are_no_token_are_coherent_by_chance_alone(null: str, rng: np.random.Generator, seed: int) -> None:
    x, channel = clustered(rng, 1600, 48)
    v = ri.geometry.directions(x, "iso", 300, seed)
    real = ri.geometry.coherence(ri.geometry.neighbours(x, v, 10), channel, n_null=SETS, seed=seed)
    assert real.fraction.value > 0.5
    rows = ri.geometry.variant(x, null, seed=seed).rows
    by_chance(ri.geometry.coherence(ri.geometry.neighbours(rows, v, 10), channel, n_null=SETS, seed=seed))


@pytest.mark.parametrize("kind", ["self", "beyond"])
def test_isotropic_rows_are_coherent_by_chance_alone_in_their_own_space(kind: str, rng: np.random.Generator, seed: int) -> None:
    x = (
        rng.standard_normal((1600, 48)) * rng.uniform(0.1, 10, 1600)[:, None]
        if kind == "self"
        else rng.standard_normal((1600, 48))
    )
    found = ri.geometry.neighbours(x, ri.geometry.directions(x, "iso", 300, seed), 10)
    by_chance(ri.geometry.coherence(found, kind, n_null=SETS, seed=seed))  # type: ignore[arg-type]


def test_normal_rows_of_any_covariance_are_coherent_for_their_moments_and_not_beyond(rng: np.random.Generator, seed: int) -> None:
    scale = np.arange(1, 61) ** -0.4
    x = rng.standard_normal((1600, 60)) * scale @ np.linalg.qr(rng.standard_normal((60, 60)))[0] + 0.1
    found = ri.geometry.neighbours(x, ri.geometry.directions(x, "iso", 300, seed), 10)
    assert ri.geometry.coherence(found, "self", n_null=SETS, seed=seed).fraction.value > 0.1  # of 120 draws .24 at least
    beyond = ri.geometry.coherence(found, "beyond", seed=seed)
    assert beyond.fraction.value <= 0.05
    assert abs(beyond.scores.mean()) < 0.6


@pytest.mark.parametrize("kind", ["cross", "self", "beyond"])
def test_a_tight_cluster_is_found_from_within_and_not_from_across(kind: str, rng: np.random.Generator, seed: int) -> None:
    width, own = 64, np.arange(30) + int(rng.integers(1500))
    x, channel = rng.standard_normal((1600, width)), rng.standard_normal((1600, 40))
    centre, elsewhere = rng.standard_normal(width), rng.standard_normal(40)
    x[own] = centre + 0.4 * rng.standard_normal((30, width))
    channel[own] = elsewhere + 0.8 * rng.standard_normal((30, 40))
    scored = channel if kind == "cross" else kind
    inside = centre + 0.5 * rng.standard_normal((120, width))
    found = ri.geometry.coherence(ri.geometry.neighbours(x, inside, 10), scored, n_null=SETS, seed=seed)  # type: ignore[arg-type]
    assert found.kind == kind
    assert found.fraction.value >= 0.95
    across = rng.standard_normal((300, width))
    across -= np.outer(across @ centre, centre) / (centre @ centre)
    found = ri.geometry.coherence(ri.geometry.neighbours(x, across, 10), scored, n_null=SETS, seed=seed)  # type: ignore[arg-type]
    assert found.fraction.low <= 0.05
    by_chance(found)


def test_tokens_that_are_only_equally_rare_are_no_find(rng: np.random.Generator, seed: int) -> None:
    counts = np.floor(np.exp(rng.uniform(0, 9, 2560)))
    bend = np.stack([np.cos(np.log(counts + 1) / 3), np.sin(np.log(counts + 1) / 3)], axis=1)
    x = rng.standard_normal((2560, 32)) + 4 * bend @ rng.standard_normal((2, 32))
    channel = rng.standard_normal((2560, 32)) + 2 * bend @ rng.standard_normal((2, 32))
    found = ri.geometry.neighbours(x, ri.geometry.directions(x, "iso", 200, seed), 10)
    blind = ri.geometry.coherence(found, channel, counts=counts, null="uniform", n_null=SETS, seed=seed)
    matched = ri.geometry.coherence(found, channel, counts=counts, n_null=SETS, seed=seed)
    assert blind.nominal.value > 0.4
    assert matched.nominal.value < 0.2
    assert np.array_equal(blind.values, matched.values)


def test_few_coherent_directions_among_many_are_found_with_few_sets(rng: np.random.Generator, seed: int) -> None:
    """Of 400 directions 6 lie in a cluster: with 99 sets each, no p of its own sets alone would be small enough."""
    x, channel = rng.standard_normal((1600, 64)), rng.standard_normal((1600, 40))
    centre = rng.standard_normal(64)
    x[:30] = centre + 0.4 * rng.standard_normal((30, 64))
    channel[:30] = rng.standard_normal(40) + 0.6 * rng.standard_normal((30, 40))
    v = np.concatenate([centre + 0.3 * rng.standard_normal((6, 64)), rng.standard_normal((394, 64))])
    found = ri.geometry.coherence(ri.geometry.neighbours(x, v, 10), channel, n_null=99, seed=seed)
    assert (found.q[:6] < 0.05).all()
    assert (found.q[6:] < 0.05).sum() <= 12  # some of the others meet the cluster too
    assert found.p[:6].max() < 1e-3
    assert found.p.min() >= 1 / (400 * 99 + 1)


def test_values_are_their_definition(rng: np.random.Generator) -> None:
    x, channel, v = rng.standard_normal((300, 14)) + 0.5, rng.standard_normal((300, 9)) + 1, rng.standard_normal((7, 14))
    x[5] = 0
    found = ri.geometry.neighbours(x, v, 6, centre="mean")
    mean = x.mean(axis=0)
    u = (x - mean) / np.linalg.norm(x - mean, axis=1)[:, None]
    w = (channel - channel.mean(axis=0)) / np.linalg.norm(channel - channel.mean(axis=0), axis=1)[:, None]
    own = ri.geometry.coherence(found, "self", n_null=20)
    beyond = ri.geometry.coherence(found, "beyond")
    cross = ri.geometry.coherence(found, channel, n_null=20)
    above = np.triu_indices(6, 1)
    for i in range(7):
        near, c = u[found.ids[i]], u[found.ids[i]] @ v[i] / np.linalg.norm(v[i])
        assert own.pairs[i] == pytest.approx((near @ near.T)[above].mean(), abs=1e-6)
        assert own.shared[i] == pytest.approx(np.outer(c, c)[above].mean(), abs=1e-6)
        left = near - np.outer(c, v[i] / np.linalg.norm(v[i]))
        expected = (left @ left.T)[above].mean() / (left**2).sum(axis=1).mean()
        assert own.values[i] == pytest.approx(expected, abs=1e-6)
        assert beyond.values[i] == pytest.approx(expected, abs=1e-6)
        other = w[found.ids[i]]
        assert cross.values[i] == pytest.approx((other @ other.T)[above].mean(), abs=1e-6)
        assert cross.shared[i] == 0


def test_equal_rows_along_a_direction_have_nothing_left_to_be_alike_in(rng: np.random.Generator) -> None:
    x = rng.standard_normal((400, 24)).astype(np.float32)
    x[:12] = x[0] * rng.uniform(0.5, 2, 12)[:, None].astype(np.float32)
    found = ri.geometry.neighbours(x, np.stack([x[0], x[50]]), 10)
    for kind in ("self", "beyond"):
        test = ri.geometry.coherence(found, kind, n_null=50)  # type: ignore[arg-type]
        assert test.values[0] == 0
        assert np.abs(test.values).max() < 1
        assert test.q[0] > 0.05


def test_only_the_nearest_spelling_of_a_word_counts_where_words_are_told_apart(rng: np.random.Generator, seed: int) -> None:
    words = np.arange(1600) // 4  # each word in four spellings that are alike everywhere, words unlike each other
    x = rng.standard_normal((400, 30))[words] + 0.3 * rng.standard_normal((1600, 30))
    channel = rng.standard_normal((400, 20))[words] + 0.3 * rng.standard_normal((1600, 20))
    found = ri.geometry.neighbours(x, ri.geometry.directions(x, "iso", 200, seed), 10)
    assert ri.geometry.coherence(found, channel, n_null=SETS, seed=seed).fraction.value > 0.5
    distinct = ri.geometry.coherence(found, channel, groups=words, n_null=SETS, seed=seed)
    assert distinct.kind == "distinct"
    by_chance(distinct)
    w = (channel - channel.mean(axis=0)) / np.linalg.norm(channel - channel.mean(axis=0), axis=1)[:, None]
    for i in range(20):
        ids = list({int(words[token]): token for token in found.ids[i][::-1]}.values())
        values = [w[a] @ w[b] for a in ids for b in ids if a != b]
        assert distinct.values[i] == pytest.approx(np.mean(values), abs=1e-6)
    alone = ri.geometry.coherence(found, channel, groups=np.zeros(1600, int), n_null=SETS, seed=seed)
    assert alone.fraction.value == 0
    assert (alone.p == 1).all()


def test_rotation_and_the_rows_lengths_change_no_value(rng: np.random.Generator, seed: int) -> None:
    x, channel = clustered(rng, 800, 24)
    v, turn = rng.standard_normal((40, 24)), np.linalg.qr(rng.standard_normal((24, 24)))[0]
    other = np.linalg.qr(rng.standard_normal((12, 12)))[0]
    one = ri.geometry.neighbours(x, v, 10)
    two = ri.geometry.neighbours((x @ turn) * rng.uniform(0.1, 10, 800)[:, None], v @ turn, 10)
    for a, b in (("self", "self"), (channel, channel @ other)):
        first = ri.geometry.coherence(one, a, n_null=50, seed=seed)
        second = ri.geometry.coherence(two, b, n_null=50, seed=seed)
        assert second.values == pytest.approx(first.values, abs=1e-6)
        assert second.null_mean == pytest.approx(first.null_mean, abs=1e-6)
        assert second.p == pytest.approx(first.p, abs=2.5 / 51)  # sets that tie within rounding


def test_random_sets_are_of_the_bands_of_different_tokens_and_all_as_likely(rng: np.random.Generator) -> None:
    counts = rng.integers(0, 50, 1000)
    allowed = rng.random(1000) < 0.9
    bands = Bands.of(1000, 10, counts, allowed)
    assert len(bands.starts) - 1 == allowed.sum() // (allowed.sum() // 16)
    assert len(Bands.of(9000, 10, np.arange(9000)).starts) - 1 == 70
    assert len(Bands.of(250, 10, np.arange(250)).starts) - 1 == 6
    own = rng.choice(np.flatnonzero(allowed), 10, replace=False)
    sets = bands.draw(own, 4000, rng)
    assert allowed[sets].all()
    assert (bands.band_of[sets] == bands.band_of[own]).all()
    assert (np.diff(np.sort(sets, axis=1), axis=1) > 0).all()
    # Bands hold neighbouring counts: none lies within another.
    inside = [counts[bands.band_of == band] for band in range(len(bands.starts) - 1)]
    ranges = [(band.min(), band.max()) for band in inside]
    assert all(one[1] <= two[0] for one, two in itertools.pairwise(ranges))
    first = np.bincount(sets[:, 0], minlength=1000)[(bands.band_of == bands.band_of[own[0]])]
    expected = 4000 / len(first)
    chi = ((first - expected) ** 2 / expected).sum()
    assert abs(chi - (len(first) - 1)) < 6 * np.sqrt(2 * (len(first) - 1))
    large = Bands.of(400, 100).draw(np.arange(100), 3, rng)
    assert (np.diff(np.sort(large, axis=1), axis=1) > 0).all()
    with pytest.raises(RarityError, match="too few"):
        Bands.of(39, 10)


def test_shares_and_discoveries_are_the_textbooks() -> None:
    assert wilson(0, 10) == pytest.approx((0.0, 0.0, 0.27753), abs=1e-5)
    assert wilson(20, 100) == pytest.approx((0.2, 0.13337, 0.28883), abs=1e-5)
    assert wilson(7, 7)[2] == 1.0
    # Benjamini and Hochberg (1995), §3.1: fifteen p values, four of them discoveries at 5%.
    p = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0]
    order = np.random.default_rng(3).permutation(15)
    q = discoveries(np.array(p)[order])
    assert (q < 0.05).sum() == 4
    for i, place in enumerate(order):
        assert q[i] == pytest.approx(min(p[j] * 15 / (j + 1) for j in range(place, 15)))


@pytest.mark.parametrize(
    ("channel", "options", "says"),
    [
        (np.ones((3, 2)), {}, "3 rows, the searched matrix 200"),
        ("other", {}, "'self' or 'beyond'"),
        ("self", {"counts": np.ones(5)}, "5 tokens"),
        ("self", {"null": "none"}, "freq_matched or uniform"),
        ("self", {"groups": np.arange(200)}, "channel of rows alone"),
    ],
)
def test_what_cannot_be_scored_is_an_error_of_one_line(
    channel: object, options: dict[str, object], says: str, rng: np.random.Generator
) -> None:
    found = ri.geometry.neighbours(rng.standard_normal((200, 5)), rng.standard_normal((2, 5)), 4)
    with pytest.raises(RarityError, match=says):
        ri.geometry.coherence(found, channel, **options)  # type: ignore[arg-type]
    alone = ri.geometry.neighbours(rng.standard_normal((200, 5)), rng.standard_normal((2, 5)), 1)
    with pytest.raises(RarityError, match="one neighbour"):
        ri.geometry.coherence(alone)
