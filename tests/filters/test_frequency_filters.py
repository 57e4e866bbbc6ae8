"""`frequent`, `logfreq` and `auto` against references written in plain linear algebra, and what they do where they must not."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
from worlds import affine, apart, source_of, zipf

from rarityir.counts import TokenCounts
from rarityir.filters import EmbedFilter, Reading
from rarityir.filters.auto import choose
from rarityir.types import RarityError

V, D = 700, 40


def matrix(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((V, D)) @ np.diag(np.geomspace(3, 0.3, D)) + 0.2).astype(np.float32)


def shuffled(seed: int = 0, vocabulary: int = V) -> TokenCounts:
    return TokenCounts(np.random.default_rng(seed).permutation(zipf(vocabulary).counts), "shuffled Zipf")


def without(rows: np.ndarray) -> np.ndarray:
    """Orthonormal rows that span what is orthogonal to some rows."""
    return scipy.linalg.null_space(rows).T


DEFICIENT = {
    "two equal columns": lambda w: np.c_[w[:, :-1], w[:, -2]],
    "a column of zeros": lambda w: np.c_[w[:, :-1], np.zeros(V)],
    "rows without a mean, as a LayerNorm folds them": lambda w: w - w.mean(axis=1, keepdims=True),
    "rank 14": lambda w: w[:, :14] @ w[:14],
}


# frequent: a generalised eigenproblem


@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("k", [1, 7, D - 1])
def test_frequent_drops_the_leading_generalised_eigenvectors(tmp_path, center, k):
    counts, w = shuffled(), matrix().astype(np.float64)
    if center:
        w -= w.mean(axis=0)
    energies, vectors = scipy.linalg.eigh((w.T * (counts.counts / counts.total)) @ w, w.T @ w)
    assert energies[0] < 0.5 * energies[-1]
    found = affine(f"frequent:{k},center={'yes' if center else 'no'}", source_of(matrix(), tmp_path, counts))
    assert found.basis.shape == (k, D)
    assert apart(found.basis, without(vectors[:, k:].T)) < 1e-9


def test_frequent_drops_the_direction_that_frequent_tokens_alone_write(tmp_path):
    w = matrix(1)
    w[:, 4] = w[:10] = 0
    w[:10, 4] = 9
    frequent, others = (affine(f"frequent:{D - 1}", source_of(w, tmp_path, counts)) for counts in (zipf(V), shuffled()))
    assert np.linalg.norm(frequent.basis[:, 4]) < 1e-6
    assert np.linalg.norm(others.basis[:, 4]) > 0.99


def test_frequent_at_full_width_keeps_all(tmp_path):
    found = affine(f"frequent:{D}", source_of(matrix(), tmp_path, shuffled()))
    np.testing.assert_allclose(found.basis.T @ found.basis, np.eye(D), atol=1e-12)


@pytest.mark.parametrize("case", DEFICIENT)
def test_frequent_drops_nothing_the_unembedding_cannot_write_before_what_it_can(tmp_path, case):
    w, counts, k = DEFICIENT[case](matrix()).astype(np.float32), shuffled(), D - 9
    u, values, directions = np.linalg.svd(w.astype(np.float64), full_matrices=False)
    rank = int((values > 1e-5 * values[0]).sum())
    assert rank < D, "the case is to have directions of no row"
    _, columns = np.linalg.eigh((u[:, :rank].T * (counts.counts / counts.total)) @ u[:, :rank])
    leading = columns.T[::-1][: D - k] @ (directions[:rank] / values[:rank, None])
    assert apart(affine(f"frequent:{k}", source_of(w, tmp_path, counts)).basis, without(leading)) < 1e-4


# logfreq: a regression


@pytest.mark.parametrize("seed", range(3))
def test_logfreq_drops_the_slope_of_a_regression_on_log_frequency(tmp_path, seed):
    counts = shuffled(seed)
    slope = np.linalg.lstsq(np.c_[matrix(seed).astype(np.float64), np.ones(V)], counts.log_probability(), rcond=None)[0][:-1]
    found = affine("logfreq", source_of(matrix(seed), tmp_path, counts))
    assert found.basis.shape == (D - 1, D)
    assert apart(found.basis, without(slope[None])) < 1e-9


def test_logfreq_without_centring_is_refused(tmp_path):
    with pytest.raises(RarityError, match=r"^logfreq [^\n]*leave center out$"):
        affine("logfreq:center=no", source_of(matrix(), tmp_path, shuffled()))


@pytest.mark.parametrize("case", DEFICIENT)
def test_logfreq_takes_the_shortest_slope_where_many_fit(tmp_path, case):
    w, counts = DEFICIENT[case](matrix()).astype(np.float32), shuffled()
    centred, log_p = w.astype(np.float64), counts.log_probability()
    slope = np.linalg.pinv(centred - centred.mean(axis=0), rcond=1e-5) @ (log_p - log_p.mean())
    assert apart(affine("logfreq", source_of(w, tmp_path, counts)).basis, without(slope[None])) < 1e-4


def test_logfreq_finds_a_planted_slope_and_then_logits_tell_frequency_less(tmp_path):
    rng, counts = np.random.default_rng(3), shuffled()
    w = matrix(3)
    planted = rng.standard_normal(D)
    planted /= np.linalg.norm(planted)
    w += 5 * np.outer(counts.log_probability() - counts.log_probability().mean(), planted)
    kept = affine("logfreq", source_of(w, tmp_path, counts)).basis
    told, left = (np.linalg.lstsq(np.c_[x, np.ones(V)], counts.log_probability(), rcond=None)[1] for x in (w, w @ kept.T))
    assert left[0] > 3 * told[0]


# auto: a search


def reference(w: np.ndarray, counts: TokenCounts, seed: int = 0) -> dict:
    """Where `auto` cuts, from the full singular value decomposition and 200 permutations."""
    left, values, _ = np.linalg.svd(w.astype(np.float64), full_matrices=False)
    profile = counts.log_probability()
    profile = profile - profile.mean()
    rng = np.random.default_rng(seed)
    explained = (left.T @ np.stack([profile, *(rng.permutation(profile) for _ in range(200))], axis=1)) ** 2
    excess = explained / explained.sum(axis=0) - 1 / len(values)
    found = {"explained": explained[:, 0].sum() / (profile @ profile)}
    for end, sums in (("top", np.cumsum(excess, axis=0)), ("bottom", np.cumsum(excess[::-1], axis=0))):
        null = np.quantile(np.maximum(sums[:, 1:].max(axis=0), 0), 0.95)
        best = sums[:, 0].argmax()
        cut = int(best) + 1 if sums[best, 0] > null else 0
        found[end] = {"cut": cut, "gain": sums[best, 0], "null": null}
    removed = np.r_[: found["top"]["cut"], len(values) - found["bottom"]["cut"] : len(values)]
    found["frequency"] = explained[removed, 0].sum() / explained[:, 0].sum()
    found["energy"] = (values[removed] ** 2).sum() / (values**2).sum()
    return found


def ends(top: int, bottom: int, seed: int = 0, share: float = 0.7) -> np.ndarray:
    """A (V, D) matrix whose largest and smallest directions hold Zipf's log frequencies, in equal parts."""
    rng = np.random.default_rng(seed)
    planted = np.r_[:top, D - bottom : D]
    profile = -np.log(np.arange(1, V + 1))
    profile -= profile.mean()
    noise = rng.standard_normal(V)
    first = np.sqrt(share) * profile / np.linalg.norm(profile) + np.sqrt(1 - share) * noise / np.linalg.norm(noise)
    left = np.linalg.qr(np.c_[first, rng.standard_normal((V, D - 1))])[0]
    if len(planted):
        inside = left[:, : len(planted)].copy()
        normal = np.eye(len(planted))[0] - 1 / np.sqrt(len(planted))
        inside -= 2 * np.outer(inside @ normal, normal) / max(normal @ normal, 1e-300)
        left = np.insert(left[:, len(planted) :], planted - np.arange(len(planted)), inside, axis=1)
    return (left * np.geomspace(9, 1, D)) @ np.linalg.qr(rng.standard_normal((D, D)))[0]


@pytest.mark.parametrize(("top", "bottom"), [(3, 3), (5, 0), (0, 6), (1, 7)])
@pytest.mark.parametrize("seed", range(3))
def test_auto_is_the_search_that_it_says_it_is(tmp_path, top, bottom, seed):
    w = ends(top, bottom, seed).astype(np.float32)
    found, expected = choose(source_of(w, tmp_path, zipf(V)), zipf(V), seed=seed), reference(w, zipf(V), seed)
    assert (found.top, found.bottom, found.width) == (expected["top"]["cut"], expected["bottom"]["cut"], D)
    np.testing.assert_allclose(found.gain, [expected["top"]["gain"], expected["bottom"]["gain"]], atol=1e-8)
    np.testing.assert_allclose(found.null, [expected["top"]["null"], expected["bottom"]["null"]], atol=1e-8)
    shares = [found.explained, found.frequency, found.energy]
    np.testing.assert_allclose(shares, [expected[key] for key in ("explained", "frequency", "energy")], atol=1e-8)


@pytest.mark.parametrize(("top", "bottom"), [(3, 3), (5, 0), (0, 6), (4, 3)])
def test_auto_cuts_what_was_planted(tmp_path, top, bottom):
    cuts = [choose(source_of(ends(top, bottom, seed), tmp_path), zipf(V)).name for seed in range(5)]
    assert cuts == [f"cut:{top},{bottom}"] * 5


def test_auto_rarely_cuts_where_frequency_has_nothing_to_do_with_the_directions(tmp_path):
    source = source_of(ends(3, 3), tmp_path)
    cuts = [choose(source, shuffled(seed)).name for seed in range(40)]
    assert sum(name != "cut:0,0" for name in cuts) <= 7  # one in ten is expected: one in twenty at either end


def test_a_constant_on_the_log_counts_changes_no_cut(tmp_path):
    source = source_of(ends(3, 3), tmp_path)
    few, many = (choose(source, TokenCounts(zipf(V).counts * factor, "zipf")) for factor in (1, 1000))
    assert few.facts() == many.facts()


def test_auto_is_the_same_again_and_its_seed_changes_only_what_it_is_compared_with(tmp_path):
    source = source_of(ends(3, 3), tmp_path, zipf(V))
    first, again, other = (affine(name, source) for name in ("auto", "auto:seed=0", "auto:seed=1"))
    assert first.facts == again.facts
    assert apart(first.basis, other.basis) == 0
    assert first.facts["auto"]["null_95"] != other.facts["auto"]["null_95"]
    assert first.facts["auto"]["gain"] == other.facts["auto"]["gain"]


def test_auto_says_what_it_cut_and_why(tmp_path):
    found = EmbedFilter.auto(ends(3, 3), counts=zipf(V), cache=tmp_path)
    facts = found.fitted_on["auto"]
    assert found.name == "auto"
    assert found.basis.shape == (D - 6, D)
    assert facts["cut"] == "cut:3,3"
    assert facts["width_removed"] == 0.15
    assert 0.9 < facts["frequency_removed"] <= 1
    assert facts["gain"]["top"] > facts["null_95"]["top"] > 0
    assert found.fitted_on["counts"] == {"source": "zipf", "tokens": zipf(V).total, "sha256": zipf(V).digest}
    assert found.digest == EmbedFilter.fit(ends(3, 3), "cut:3,3", cache=tmp_path).digest


# counts that say nothing


NAMES = ("spectroscopy:5", "spectroscopy:5,gauge=paper", "frequent:5", "logfreq", "auto")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("count", [0, 3])
def test_counts_that_are_all_equal_are_one_line(tmp_path, name, count):
    flat = TokenCounts(np.full(V, count), "flat")
    with pytest.raises(RarityError, match=r"^[^\n]*flat[^\n]*equal[^\n]*$"):
        affine(name, source_of(matrix(), tmp_path, flat))


@pytest.mark.parametrize("name", NAMES)
def test_counts_of_one_token_alone_still_make_a_filter(tmp_path, name):
    counts = TokenCounts((np.arange(V) == 3) * 1, "one token, once")
    found = affine(name, source_of(matrix(), tmp_path, counts)).basis
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found @ found.T, np.eye(len(found)), atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_more_directions_than_rows_still_make_a_filter(tmp_path, name):
    counts = zipf(9)
    found = affine(name, source_of(matrix()[:9], tmp_path, counts)).basis
    np.testing.assert_allclose(found @ found.T, np.eye(len(found)), atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_an_unembedding_of_zeros_is_one_line(tmp_path, name):
    with pytest.raises(RarityError, match=r"^[^\n]*zero[^\n]*$"):
        affine(name, source_of(np.zeros((V, D)), tmp_path, zipf(V)))


@pytest.mark.parametrize("name", ["spectroscopy:1", "frequent:1", "auto"])
def test_one_direction_is_kept(tmp_path, name):
    np.testing.assert_allclose(np.abs(affine(name, source_of(matrix()[:, :1], tmp_path, zipf(V))).basis), [[1]])


def test_logfreq_of_one_direction_would_keep_none_and_says_so(tmp_path):
    with pytest.raises(RarityError, match=r"^logfreq[^\n]*$"):
        affine("logfreq", source_of(matrix()[:, :1], tmp_path, zipf(V)))


@pytest.mark.parametrize("name", ["auto:seed=-1", "auto:seed=x", "auto:sead=1", "frequent:5,count=english", "logfreq:3,4"])
def test_an_option_that_cannot_be_read_is_one_line(tmp_path, name):
    with pytest.raises(RarityError, match=r"^[^\n]+$"):
        affine(name, source_of(matrix(), tmp_path, zipf(V)))


@pytest.mark.parametrize("how", [Reading(), Reading(center=True)], ids=["as stored", "centred"])
def test_the_shares_of_all_directions_add_up_to_the_variance_explained(tmp_path, how):
    found = choose(source_of(matrix(), tmp_path), shuffled(), how)
    log_p = shuffled().log_probability()
    w = matrix().astype(np.float64) - (matrix().astype(np.float64).mean(axis=0) if how.center else 0)
    residual = np.linalg.lstsq(w, log_p - log_p.mean(), rcond=None)[1][0]
    assert found.explained == pytest.approx(1 - residual / ((log_p - log_p.mean()) ** 2).sum(), abs=1e-9)
