"""Logit spectroscopy against its definition in the paper, and the gauge that the published form takes for frequency."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from worlds import affine, apart, source_of, zipf

from rarityir.counts import TokenCounts
from rarityir.filters import Reading, Source
from rarityir.filters.spectroscopy import shift
from rarityir.types import RarityError

V, D = 900, 24
FREE, PAPER = Reading(center=True), Reading()


def matrix(seed: int = 0, condition: float = 30.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    left, right = (np.linalg.qr(rng.standard_normal((n, D)))[0] for n in (V, D))
    return ((left * np.geomspace(1, 1 / condition, D)) @ right.T + 0.01).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Gauged(TokenCounts):
    """Counts whose log probabilities are all raised by a constant, as a softmax would not see."""

    constant: float = 0.0

    def log_probability(self) -> np.ndarray:
        return super().log_probability() + self.constant


def literal(unembed_VD: np.ndarray, log_p: np.ndarray, directions: np.ndarray, frequent: np.ndarray) -> np.ndarray:
    """Δπ as the paper words it: the average token, one direction taken out, and how far the frequent logits move."""
    average = log_p @ np.linalg.pinv(unembed_VD.T)
    logits = average @ unembed_VD.T
    moved = [average @ (np.eye(len(v)) - np.outer(v, v)) @ unembed_VD.T - logits for v in directions]
    return np.abs(np.array(moved)[:, frequent]).sum(axis=1) / np.abs(logits[frequent]).sum()


@pytest.mark.parametrize("how", [FREE, PAPER], ids=["free", "paper"])
@pytest.mark.parametrize("top", [1, 7, 100, V])
def test_the_closed_form_is_the_definition(tmp_path, how, top):
    counts = TokenCounts(np.random.default_rng(1).permutation(zipf(V).counts), "shuffled Zipf")
    source = source_of(matrix(), tmp_path, counts)
    w, log_p = matrix().astype(np.float64), counts.log_probability()
    if how.center:
        w, log_p = w - w.mean(axis=0), log_p - log_p.mean()
    frequent = np.argsort(-counts.counts)[:top]
    expected = literal(w, log_p, source.spectrum(how).directions, frequent)
    assert expected.max() > 10 * expected.min()
    np.testing.assert_allclose(shift(source, counts, how, top), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("constant", [-50, 0, 7, 1e3])
def test_free_of_gauge_no_constant_changes_the_shift(tmp_path, constant):
    source, counts = source_of(matrix(), tmp_path), zipf(V)
    found = shift(source, Gauged(counts.counts, "", constant), FREE)
    np.testing.assert_allclose(found, shift(source, counts, FREE), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("constant", [-50, 7, 1e3])
def test_as_published_a_constant_changes_the_shift_and_its_order(tmp_path, constant):
    source, counts = source_of(matrix(), tmp_path), zipf(V)
    before, after = (shift(source, Gauged(counts.counts, "", c), PAPER) for c in (0, constant))
    assert np.abs(after / before - 1).max() > 0.2
    assert np.argsort(before).tolist() != np.argsort(after).tolist()


@pytest.mark.parametrize(("gauge", "same"), [("free", True), ("paper", False)])
def test_a_constant_changes_what_the_published_form_keeps_and_not_what_the_other_keeps(tmp_path, gauge, same):
    given = [Gauged(zipf(V).counts, "", constant) for constant in (0, 7)]
    bases = [affine(f"spectroscopy:12,gauge={gauge}", source_of(matrix(), tmp_path, counts)).basis for counts in given]
    assert (apart(*bases) < 1e-6) == same


@pytest.mark.parametrize("position", [0, 5, D - 1])
@pytest.mark.parametrize("how", [FREE, PAPER], ids=["free", "paper"])
def test_the_direction_that_writes_log_frequency_moves_most(tmp_path, position, how):
    rng, counts = np.random.default_rng(position), zipf(V)
    profile = counts.log_probability() - counts.log_probability().mean()
    others = rng.standard_normal((V, D - 1))
    left = np.linalg.qr(np.c_[np.ones(V), profile, others - others.mean(axis=0)])[0]  # none but the first has a mean
    left = np.insert(left[:, 2:], position, left[:, 1], axis=1)
    right = np.linalg.qr(rng.standard_normal((D, D)))[0]
    source = source_of((left * np.geomspace(10, 0.1, D)) @ right.T, tmp_path, counts)
    found = shift(source, counts, how)
    assert found.argmax() == position
    assert found[position] > 10 * np.sort(found)[-2]
    kept = affine(f"spectroscopy:{D - 1},gauge={'free' if how.center else 'paper'}", source).basis
    np.testing.assert_allclose(kept @ right[:, position], 0, atol=1e-6)


@pytest.mark.parametrize(("options", "center", "top"), [("", True, 100), (",gauge=paper", False, 100), (",top=3", True, 3)])
def test_the_filter_keeps_the_directions_that_move_least(tmp_path, options, center, top):
    counts = TokenCounts(np.random.default_rng(2).permutation(zipf(V).counts), "shuffled Zipf")
    w, log_p = matrix().astype(np.float64), counts.log_probability()
    if center:
        w, log_p = w - w.mean(axis=0), log_p - log_p.mean()
    directions = np.linalg.svd(w, full_matrices=False)[2]
    order = np.argsort(literal(w, log_p, directions, np.argsort(-counts.counts)[:top]))
    found = affine(f"spectroscopy:10{options}", source_of(matrix(), tmp_path, counts))
    assert apart(found.basis, directions[order[:10]]) < 1e-6
    assert found.mean is None
    assert found.facts["counts"] == {"source": "shuffled Zipf", "tokens": counts.total, "sha256": counts.digest}


def test_the_two_gauges_and_the_number_of_tokens_watched_make_other_filters(tmp_path):
    counts = TokenCounts(np.random.default_rng(2).permutation(zipf(V).counts), "shuffled Zipf")
    source = source_of(matrix(), tmp_path, counts)
    bases = [affine(f"spectroscopy:10{options}", source).basis for options in ("", ",gauge=paper", ",top=1")]
    assert min(apart(a, b) for a, b in pairwise(bases)) > 0.5
    assert apart(bases[0], affine("spectroscopy:10,gauge=free,top=100", source).basis) == 0


def test_a_direction_no_token_writes_moves_nothing(tmp_path):
    w = matrix()
    w[:, 3] = w[:, 4]
    found = shift(source_of(w, tmp_path), zipf(V), FREE)
    assert found.argmin() == D - 1
    assert found[-1] < 1e-9 * found.max()


@pytest.mark.parametrize(
    "option", ["gauge=fre", "gauge=", "top=0", "top=-5", "top=many", "tops=3", "5", "center=no", "gauge=paper,center=yes"]
)
def test_an_option_that_cannot_be_read_or_unsays_another_is_one_line(tmp_path, option):
    with pytest.raises(RarityError, match=r"^[^\n]*spectroscopy[^\n]*$"):
        affine(f"spectroscopy:10,{option}", source_of(matrix(), tmp_path, zipf(V)))


def test_it_needs_no_u_and_so_no_more_than_blocks_of_the_rows(tmp_path):
    reads = []
    plain = source_of(matrix(), tmp_path, zipf(V))
    read = plain.unembedding.read
    counting = type(plain.unembedding)(lambda: reads.append(1) or read())
    affine("spectroscopy:10", Source(counting, plain.counts, cache=tmp_path))
    assert len(reads) <= 7
