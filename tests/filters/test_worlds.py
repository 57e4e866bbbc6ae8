"""Worlds with planted frequency directions: the filter must help, hurt and leave alone where it should.

Texts carry their content in some right singular vectors of an unembedding and a nuisance, common to all and large, in
the others. A query is its document's content with noise. The thresholds are far inside what 30 to 50 seeds gave.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from rarityir.filters import EmbedFilter, Spectrum, spectrum

V, D, HALF, DOCS, QUERIES = 4000, 128, 64, 2000, 200
NUISANCE = {"both ends": np.r_[0:32, 96:128], "middle": np.r_[32:96], "bottom": np.r_[64:128]}


@dataclass(frozen=True)
class World:
    found: Spectrum
    docs: np.ndarray
    queries: np.ndarray

    def ndcg(self, docs: np.ndarray | None = None, queries: np.ndarray | None = None) -> float:
        """The mean nDCG@10 by cosine, where query i's one relevant document is row i."""
        docs, queries = self.docs if docs is None else docs, self.queries if queries is None else queries
        unit = docs / np.linalg.norm(docs, axis=1, keepdims=True)  # a query's own length changes no ranking
        scores = queries @ unit.T
        ranks = 1 + (scores > np.diagonal(scores)[:, None]).sum(axis=1)
        return float(np.where(ranks <= 10, 1 / np.log2(1 + ranks), 0).mean())

    def filtered(self, band: str) -> float:
        chosen = EmbedFilter.fit(self.found, band)
        return self.ndcg(chosen(self.docs), chosen(self.queries))


def build(where: str, seed: int, cache) -> World:
    rng = np.random.default_rng(seed)
    nuisance = NUISANCE[where]
    content = np.setdiff1d(np.arange(D), nuisance)
    profile = -np.log(np.arange(1, V + 1))  # Zipf's law, centred
    left = rng.standard_normal((V, D))
    left[:, nuisance] += (profile - profile.mean())[:, None]
    left, right = np.linalg.qr(left)[0], np.linalg.qr(rng.standard_normal((D, D)))[0]
    unembed_VD = ((left * np.geomspace(10, 0.1, D)) @ right.T).astype(np.float32)
    common = rng.standard_normal(HALF)
    common *= 2 / np.linalg.norm(common)
    meant = rng.standard_normal((DOCS, HALF)) / 8
    asked = meant[:QUERIES] + 2 * rng.standard_normal((QUERIES, HALF)) / 8

    def texts(said: np.ndarray) -> np.ndarray:
        noise = common + 1.5 * rng.standard_normal(said.shape) / 8
        return said @ right[:, content].T + noise @ right[:, nuisance].T

    return World(spectrum(unembed_VD, cache), texts(meant), texts(asked))


@pytest.fixture(params=range(4), scope="module")
def plain(request, tmp_path_factory) -> World:
    return build("both ends", request.param, tmp_path_factory.mktemp("spectra"))


def test_dropping_the_ends_finds_content_that_frequency_hid_there(plain):
    edge = plain.filtered("edge:2")
    assert 0.15 < plain.ndcg() < 0.40
    assert edge - plain.ndcg() >= 0.30
    assert edge - plain.filtered("random:2") >= 0.40
    assert plain.filtered("mid:2") <= 0.05


def test_the_subspace_does_what_neither_the_mean_nor_the_variance_does(plain):
    mean = plain.docs.mean(axis=0)
    docs, queries = plain.docs - mean, plain.queries - mean
    variances, axes = np.linalg.eigh(docs.T @ docs / DOCS)
    whitening = axes / np.sqrt(variances)
    centred = plain.ndcg(docs, queries)
    whitened = plain.ndcg(docs @ whitening, queries @ whitening)
    loudest = whitening[:, -HALF:]  # whitening to fewer dimensions keeps those of high variance: the nuisance
    assert plain.filtered("edge:2") > whitened + 0.05 > centred
    assert centred > plain.ndcg()
    assert plain.ndcg(docs @ loudest, queries @ loudest) <= 0.05


@pytest.mark.parametrize("seed", range(4))
def test_dropping_the_ends_hurts_where_they_hold_the_content(tmp_path, seed):
    world = build("middle", seed, tmp_path)
    assert world.filtered("edge:2") - world.ndcg() <= -0.15
    assert world.filtered("mid:2") - world.ndcg() >= 0.30


@pytest.mark.parametrize("seed", range(4))
def test_dropping_the_tail_alone_wins_where_frequency_lives_there_alone(tmp_path, seed):
    world = build("bottom", seed, tmp_path)
    tail, edge = world.filtered("tail:2"), world.filtered("edge:2")
    assert tail - edge >= 0.45
    assert edge < world.ndcg() < tail
    assert world.filtered("head:2") <= 0.05
