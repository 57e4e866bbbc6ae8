"""A token's predicted rarity comes from other words alone; what no statistics have seen is predicted too."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tiny import STORIES

from rarityir.rarity.forms import Forms
from rarityir.rarity.labels import groups
from rarityir.rarity.predictions import predict
from rarityir.rarity.probe import RarityProbe
from rarityir.rarity.rows import rows
from rarityir.rarity.sample import Sample
from rarityir.rarity.stats import TokenStats
from rarityir.types import RarityError

MODEL, V = str(STORIES), 512


def stats_of(df: np.ndarray, documents: int = 1000) -> TokenStats:
    return TokenStats(documents, df, df * 2, df * 4, df, "made up")


@pytest.fixture
def stats(rng: np.random.Generator) -> TokenStats:
    """Statistics that the rows tell something of, which some tokens are not in."""
    x = rows(MODEL, "input").array()
    along = x @ rng.normal(size=x.shape[1])
    along = (along - along.mean()) / along.std()
    df = np.exp(3 + along + 0.1 * rng.normal(size=V)).astype(np.int64) + 1
    df[rng.permutation(np.arange(10, V))[:60]] = 0
    return stats_of(df)


def test_no_token_is_predicted_from_its_own_word(stats):
    before = predict(MODEL, stats, seed=3)
    assert before.shape == (V,)
    assert before.dtype == np.float64
    assert np.isfinite(before).all()
    own = groups(Forms.of(MODEL, V).texts)
    seen = (stats.cf > 0) & (np.arange(V) > 2)
    shared = [token for token in np.flatnonzero(seen) if (own[seen] == own[token]).sum() > 1]
    token = int(shared[len(shared) // 2])
    changed = stats.df.copy()
    changed[token] = 1000
    after = predict(MODEL, stats_of(changed), seed=3)
    word = (own == own[token]) & seen
    assert word.sum() > 1, "another form of the word is to be there"
    np.testing.assert_allclose(after[word], before[word], atol=1e-9)
    others = (own != own[token]) & seen
    assert np.abs(after - before)[others].max() > 1e-3, "the change is to show elsewhere"


def test_seen_tokens_are_told_about_as_well_as_the_probe_says(stats):
    found = predict(MODEL, stats, matrix="output")
    seen = (stats.cf > 0) & (np.arange(V) > 2)
    y = stats.target("log_idf")
    r2 = 1 - ((y - found)[seen] ** 2).sum() / ((y[seen] - y[seen].mean()) ** 2).sum()
    assert 0.5 < r2 < 1.0


def test_unseen_and_special_tokens_are_predicted_by_all_seen_ones(stats):
    found = predict(MODEL, stats, seed=1)
    x = rows(MODEL, "input")
    sample = Sample.of(MODEL, stats, x)
    assert set(np.flatnonzero(stats.cf == 0)).isdisjoint(sample.types)
    assert not {0, 1, 2} & set(sample.types), "special tokens are not fitted on"
    whole = RarityProbe(seed=1, test=0.0, bands=1, replicates=2)
    whole.fit(sample.x, sample.target("log_idf"), groups=sample.groups, counts=sample.counts)
    absent = np.setdiff1d(np.arange(V), sample.types)
    np.testing.assert_allclose(found[absent], whole.predict(x)[absent], atol=1e-12)
    assert np.abs(found - whole.predict(x))[sample.types].max() > 1e-6


def test_a_sample_says_what_is_left_out_and_knows_each_rows_token(stats):
    sample = Sample.of(MODEL, stats, rows(MODEL, "input"))
    unseen = int((stats.cf[3:] == 0).sum())
    assert sample.left_out == {"special": 3, "padding": 0, "unseen": unseen}
    assert sample.rows == V - 3 - unseen == sample.x.shape[0]
    assert np.array_equal(sample.counts, stats.cf[sample.types])
    assert np.array_equal(sample.target("log_idf"), stats.target("log_idf")[sample.types])
    assert np.array_equal(sample.x.array(), rows(MODEL, "input").array()[sample.types])
    every = Sample.of(MODEL, stats, rows(MODEL, "input"), pool="all")
    assert every.rows == V - 3
    assert len(sample.surface()[0]) == sample.rows
    assert set(np.unique(sample.target("stop_word"))) == {0.0, 1.0}
    assert sample.target("noise", 1).std() == pytest.approx(1 / np.sqrt(12), abs=0.05)
    assert np.array_equal(sample.target("noise", 1), every.target("noise", 1)[np.isin(every.types, sample.types)])
    with pytest.raises(RarityError, match="unknown pool"):
        Sample.of(MODEL, stats, rows(MODEL, "input"), pool="some")
    with pytest.raises(RarityError, match="target"):
        sample.target("rarity")
    with pytest.raises(RarityError, match="take the pool of seen ones"):
        every.target("burstiness")


def test_statistics_of_fewer_or_more_ids_than_rows_fit_where_the_rest_is_empty(stats):
    x = rows(MODEL, "input")
    cut = stats_of(stats.df[:500])
    assert Sample.of(MODEL, cut, x).rows == ((stats.cf > 0) & (np.arange(V) < 500) & (np.arange(V) > 2)).sum()
    longer = stats_of(np.pad(stats.df, (0, 7)))
    assert Sample.of(MODEL, longer, x).rows == Sample.of(MODEL, stats, x).rows
    wrong = replace(longer, df=np.ones(V + 7, np.int64), cf=np.ones(V + 7, np.int64))
    with pytest.raises(RarityError, match="has 519 ids, the model 512 rows"):
        Sample.of(MODEL, wrong, x)
    with pytest.raises(RarityError, match="no row of input is of a token that made up has seen"):
        Sample.of(MODEL, stats_of(np.zeros(V, np.int64)), x)
