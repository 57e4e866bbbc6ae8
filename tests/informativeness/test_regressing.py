"""Weights beside the probe of rarity: planted ones are told from rows, permuted ones are not, and log n is taken out."""

from __future__ import annotations

import numpy as np
import pytest
import seeds

import rarityir as ri
from rarityir.informativeness import compare
from rarityir.informativeness.regressing import regress
from rarityir.rarity.rows import rows
from rarityir.rarity.sample import Sample
from rarityir.rarity.stats import TokenStats
from rarityir.types import Dataset, Doc, RarityError

SEED = seeds.seed(__name__)


@pytest.fixture(scope="module")
def sample(stories) -> Sample:
    """Most of the tokens of a small model, in documents of what they write; the later ones are rarer."""
    rng = np.random.default_rng(SEED)
    words = [name.strip() for name in ri.load_encoder(stories).tokens() if name and name.strip().isalpha()]
    share = 1 / np.arange(3.0, len(words) + 3)
    texts = [" ".join(rng.choice(words, 80, p=share / share.sum())) for _ in range(80)] + [" ".join(words)]
    made = Dataset("made", "made", {}, lambda: (Doc(f"d{i}", t) for i, t in enumerate(texts)), {}, {}, len(texts))
    return Sample.of(stories, TokenStats.from_dataset(made, stories), rows(stories, "output"))


def test_what_is_linear_in_the_rows_is_told_and_what_is_dealt_anew_is_not(sample, stories):
    rng = np.random.default_rng(SEED + 1)
    x = rows(stories, "output").array().astype(np.float64)
    weight = (x - x.mean(axis=0)) @ rng.standard_normal(x.shape[1])
    unseen = weight.copy()
    unseen[sample.types[::9]] = np.nan
    idf, linear, dealt, fewer = regress(sample, {"linear": weight, "dealt": rng.permutation(weight), "fewer": unseen}, folds=4)
    assert [row.name for row in (idf, linear, dealt, fewer)] == ["log_idf", "linear", "dealt", "fewer"]
    assert linear.r2 > 0.9
    assert linear.with_probe.spearman > 0.9
    assert dealt.r2 < 0.3
    assert dealt.with_probe.spearman < 0.5  # below 0 is usual: a fold that is low is predicted by the others, which are high
    assert idf.with_idf.r2 == pytest.approx(1.0)
    n, y = sample.stats.cf[sample.types], weight[sample.types]
    assert linear.with_idf == compare(y, sample.target("log_idf"), n)
    assert linear.with_idf.tokens == len(sample.types) > 120
    assert fewer.r2 > 0.85
    assert fewer.with_idf.tokens == len(sample.types) - len(sample.types[::9])
    assert fewer.with_probe.tokens < fewer.with_idf.tokens  # a tenth is kept apart from folds
    told = linear.json()
    assert told["with_idf"]["r2"] == linear.with_idf.r2
    assert set(told) == {"name", "r2", "with_idf", "with_probe"}


def test_a_function_of_frequency_has_nothing_beyond_it(sample):
    n = sample.stats.cf.astype(np.float64)
    found = regress(sample, {"frequency": np.log(np.maximum(n, 1))})[1]
    assert found.with_idf.with_log_n == pytest.approx(1.0)
    assert np.isnan(found.with_idf.partial)
    assert found.json()["with_idf"]["partial"] is None


def test_what_does_not_fit_the_rows_is_one_line(sample, stories):
    few = np.full(len(sample.stats.cf), np.nan)
    few[sample.types[:9]] = 1.0
    for weights, message in (({"w": np.ones(3)}, "w has 3 weights"), ({"w": few}, "w has a value for 9 rows")):
        with pytest.raises(RarityError, match=rf"^{message}[^\n]*$"):
            regress(sample, weights)
