"""Worlds with planted frequency directions: the filter must help, hurt and leave alone where it should.

Texts carry their content in some right singular vectors of an unembedding and a nuisance, common to all and large, in
the others. A query is its document's content with noise. The thresholds are far inside what 30 to 50 seeds gave.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from worlds import DOCS, World, build, zipf

from rarityir.counts import TokenCounts
from rarityir.filters import EmbedFilter, Reading
from rarityir.filters.spectroscopy import shift

SEEDS = pytest.mark.parametrize("seed", range(4))


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Callable[[str, int], World]:
    """The world of a nuisance and a seed, built once."""
    return cache(lambda where, seed: build(where, seed, tmp_path_factory.mktemp("spectra")))


@pytest.fixture
def plain(world, seed) -> World:
    return world("both ends", seed)


@pytest.fixture
def bottom(world, seed) -> World:
    return world("bottom", seed)


@pytest.fixture(params=["both ends", "bottom"])
def either(request, world, seed) -> World:
    """A world with frequency at both ends, and one with frequency at the small end."""
    return world(request.param, seed)


@SEEDS
def test_dropping_the_ends_finds_content_that_frequency_hid_there(plain):
    edge = plain.filtered("edge:2")
    assert 0.15 < plain.ndcg() < 0.40
    assert edge - plain.ndcg() >= 0.30
    assert edge - plain.filtered("random:2") >= 0.40
    assert plain.filtered("mid:2") <= 0.05


@SEEDS
def test_the_same_band_named_by_its_positions_does_the_same(plain):
    edge = plain.filtered("edge:2")
    assert [plain.filtered(name) for name in ("band:32-96", "offset:32,64", "cut:32,32")] == [edge] * 3
    assert plain.filtered("cut:32,0") < edge - 0.1
    assert plain.filtered("cut:0,32") < edge - 0.1


@SEEDS
def test_the_subspace_does_what_neither_the_mean_nor_the_variance_does(plain):
    centred, whitened = plain.filtered("center"), plain.filtered("whiten:128")
    assert plain.filtered("edge:2") > whitened + 0.05 > centred
    assert centred > plain.ndcg()
    # Whitening to fewer dimensions keeps those of high variance: the nuisance. So does PCA.
    assert plain.filtered("whiten:64") <= 0.05
    assert plain.filtered("pca:64") <= 0.05


@SEEDS
def test_the_baselines_rank_as_their_formulas_in_numpy_do(plain):
    mean = plain.docs.mean(axis=0)
    docs, queries = plain.docs - mean, plain.queries - mean
    variances, axes = np.linalg.eigh(docs.T @ docs / DOCS)
    whitening = axes / np.sqrt(variances)
    for name, columns in {
        "center": np.eye(128),
        "whiten:128": whitening,
        "pca:100": axes[:, 28:],
        "abtt:1": axes[:, :127],
    }.items():
        assert plain.filtered(name) == pytest.approx(plain.ndcg(docs @ columns, queries @ columns), abs=2e-3), name


@SEEDS
def test_dropping_the_ends_hurts_where_they_hold_the_content(world, seed):
    world = world("middle", seed)
    assert world.filtered("edge:2") - world.ndcg() <= -0.15
    assert world.filtered("mid:2") - world.ndcg() >= 0.30


@SEEDS
def test_dropping_the_tail_alone_wins_where_frequency_lives_there_alone(bottom):
    tail, edge = bottom.filtered("tail:2"), bottom.filtered("edge:2")
    assert tail - edge >= 0.45
    assert edge < bottom.ndcg() < tail
    assert bottom.filtered("head:2") <= 0.05


def above(scores: np.ndarray, planted: np.ndarray) -> float:
    """The share of pairs (planted, other) in which the planted direction scores higher: the area under the ROC curve."""
    inside = np.isin(np.arange(len(scores)), planted)
    return float((scores[inside][:, None] > scores[~inside][None]).mean())


@SEEDS
def test_spectroscopy_free_of_gauge_finds_the_planted_directions_wherever_they_lie(either):
    assert above(shift(either.source, zipf(4000), Reading(center=True)), either.planted) >= 0.90


@SEEDS
def test_spectroscopy_as_published_takes_the_gauge_for_frequency(either):
    assert above(shift(either.source, zipf(4000), Reading()), either.planted) < 0.75


@SEEDS
def test_spectroscopy_finds_nothing_where_frequencies_belong_to_other_tokens(either):
    shuffled = TokenCounts(np.random.default_rng(5).permutation(zipf(4000).counts), "shuffled")
    assert 0.3 < above(shift(either.source, shuffled, Reading(center=True)), either.planted) < 0.7


@SEEDS
def test_spectroscopy_does_what_a_band_does_that_was_told_where_to_cut(plain, bottom):
    assert plain.filtered("spectroscopy:64") == pytest.approx(plain.filtered("edge:2"), abs=0.02)
    assert bottom.filtered("spectroscopy:64") == pytest.approx(bottom.filtered("tail:2"), abs=0.02)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("where", "cut"), [("both ends", "cut:32,32"), ("bottom", "cut:0,64"), ("top", "cut:64,0")])
def test_auto_cuts_exactly_the_ends_that_hold_frequency(world, where, cut, seed):
    world = world(where, seed)
    chosen = EmbedFilter.auto(world.source)
    assert chosen.fitted_on["auto"]["cut"] == cut
    assert chosen.digest == EmbedFilter.fit(world.source, cut).digest
    assert chosen.fitted_on["auto"]["frequency_removed"] > 0.9
    assert world.filtered("auto") - world.ndcg() >= 0.30


def test_auto_cuts_one_end_alone_where_frequency_lies_in_the_middle_and_both_cuts_would_leave_nothing(world):
    facts = EmbedFilter.auto(world("middle", 0).source).fitted_on["auto"]
    top, bottom = map(int, facts["cut"].removeprefix("cut:").split(","))
    assert sorted([top, bottom]) == [0, 96]


@SEEDS
def test_auto_cuts_nothing_where_frequencies_belong_to_other_tokens(plain):
    shuffled = TokenCounts(np.random.default_rng(5).permutation(zipf(4000).counts), "shuffled")
    found = EmbedFilter.auto(plain.counted(shuffled))
    assert found.fitted_on["auto"]["cut"] == "cut:0,0"
    assert found.basis.shape == (128, 128)
