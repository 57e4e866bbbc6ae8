"""Corrections and controls within bins of frequency, comparisons, and what is written and read again."""

from __future__ import annotations

import json

import numpy as np
import pytest

from rarityir.informativeness import TokenInformation, bins
from rarityir.informativeness.comparing import compare, correlation
from rarityir.types import BadInput, RarityError, StaleArtefact
from rarityir.weights import TokenWeights, read_table


def table(rng, size=3000, names=None) -> TokenInformation:
    n = np.minimum(rng.zipf(1.5, size), 10**6)
    n[rng.random(size) < 0.1] = 0
    raw = np.where(n > 0, rng.gamma(2.0, 1.0, size) + 5 / np.sqrt(np.maximum(n, 1)), np.nan)
    names = names or tuple(f" w{i}" for i in range(size))
    return TokenInformation(raw, raw, n, 2 * n, raw, 10, names, "made", identity={"corpus": "c"})


@pytest.mark.parametrize(("count", "least"), [(200, 50), (7, 1), (1, 50), (50, 10**6)])
def test_bins_are_runs_of_frequency_with_enough_tokens_each(count, least, rng):
    n = table(rng).n
    found = bins.frequency_bins(n, count, least)
    assert ((found < 0) == (n == 0)).all()
    inside = found[found >= 0]
    assert sorted(set(inside.tolist())) == list(range(inside.max() + 1))
    if (n > 0).sum() >= least:
        assert np.bincount(inside).min() >= least
    order = np.argsort(n[n > 0], kind="stable")
    assert (np.diff(inside[order]) >= 0).all()  # more frequent, never a rarer bin


def test_bins_are_as_wide_in_log_n_where_none_need_joining():
    n = np.repeat(np.arange(1, 1001), 3)
    found = bins.frequency_bins(n, 6, 1)
    expected = np.minimum((np.log(n) / np.log(1000) * 6).astype(int), 5)
    np.testing.assert_array_equal(found, expected)
    assert len(set(bins.frequency_bins(n, 200, 50).tolist())) > 20
    just, rare = np.repeat([1, 10, 100], 50), np.repeat([1, 10, 100], (49, 50, 50))
    np.testing.assert_array_equal(bins.frequency_bins(just), np.repeat([0, 1, 2], 50))  # enough is not more than enough
    np.testing.assert_array_equal(bins.frequency_bins(rare), np.repeat([0, 0, 1], (49, 50, 50)))  # too few join the bin above


def test_the_quantile_of_each_bin_is_taken_off(rng):
    found = table(rng)
    mended = found.correct("quantile", bins_count=40, min_per_bin=30, q=0.1)
    bin_V = bins.frequency_bins(found.n, 40, 30)
    for b in range(bin_V.max() + 1):
        inside = bin_V == b
        np.testing.assert_allclose(mended.values[inside], found.raw[inside] - np.quantile(found.raw[inside], 0.1))
        assert np.quantile(mended.values[inside], 0.1) == pytest.approx(0, abs=1e-12)
    assert np.isnan(mended.values[~found.seen]).all()
    assert mended.correction == "quantile"
    np.testing.assert_array_equal(mended.correct("none").values, found.values)
    np.testing.assert_array_equal(mended.correct("quantile", bins_count=40, min_per_bin=30, q=0.1).values, mended.values)


def test_the_analytic_correction_is_its_formula(rng):
    found = table(rng)
    seen = found.seen
    np.testing.assert_allclose(found.correct("analytic").values[seen], found.raw[seen] - 9 / (2 * found.draws[seen]))
    with pytest.raises(RarityError, match="quantile"):
        TokenInformation(found.raw, found.raw, found.n, 0 * found.n, found.raw, 0, found.names, "model").correct("analytic")
    with pytest.raises(RarityError, match="shuffle and round are made from the corpus"):
        found.correct("shuffle")


def test_what_was_permuted_or_powered_is_not_corrected_back_into_the_plain_values(rng, tmp_path):
    found = table(rng)
    kept = TokenInformation.load(found.permuted(3).save(tmp_path / "control"))
    for changed in (found.permuted(3), found.powered(2.0), kept):
        for method in ("none", "quantile", "analytic"):
            with pytest.raises(RarityError, match="correct first, then permute or power"):
                changed.correct(method)
    control = found.correct("quantile").permuted(3)
    assert sorted(control.values[control.seen]) == sorted(found.correct("quantile").values[found.seen])


def test_a_control_has_the_same_values_in_each_bin_and_no_others(rng):
    found = table(rng)
    seed = int(rng.integers(2**31))
    control = found.permuted(seed)
    for b in range(found.bin_of.max() + 1):
        inside = found.bin_of == b
        np.testing.assert_array_equal(np.sort(control.values[inside]), np.sort(found.values[inside]))
    assert (control.values[found.seen] != found.values[found.seen]).mean() > 0.9
    np.testing.assert_array_equal(control.values, found.permuted(seed).values)
    assert (control.values != found.permuted(seed + 1).values)[found.seen].mean() > 0.9
    # What goes with the values beyond frequency is gone, what goes with frequency is not.
    assert abs(control.compare(found.values).partial) < 0.15
    assert found.compare(found.values).spearman == pytest.approx(1)


def test_comparisons_are_those_of_scipy_and_of_regressions(rng):
    from scipy import stats

    n = rng.zipf(1.5, 500)
    x = -np.log(n) + rng.normal(size=500)
    y = np.round(x + rng.normal(size=500), 1)
    y[3] = np.nan
    keep = np.isfinite(y)
    found = compare(y, x, n)
    fit = stats.linregress(x[keep], y[keep])
    assert found.tokens == 499
    assert found.r2 == pytest.approx(fit.rvalue**2)
    assert found.slope == pytest.approx(fit.slope)
    assert found.spearman == pytest.approx(stats.spearmanr(y[keep], x[keep]).statistic)
    assert found.with_log_n == pytest.approx(stats.spearmanr(y[keep], np.log(n[keep])).statistic)
    ranks = [stats.rankdata(row) for row in (y[keep], x[keep], n[keep])]
    rest = [r - np.polyval(np.polyfit(ranks[2], r, 1), ranks[2]) for r in ranks[:2]]
    assert found.partial == pytest.approx(np.corrcoef(*rest)[0, 1])
    with pytest.raises(RarityError, match="at least 3"):
        compare(y[:2], x[:2], n[:2])
    with pytest.raises(RarityError, match="do not pair up"):
        compare(y, x[:9], n)


@pytest.mark.parametrize("value", [0.1, 0.7, 0.3])
def test_what_does_not_vary_goes_together_with_nothing(value, rng):
    for count in range(3, 14):  # the mean of most of these lists is another number in its last bit
        same, other = np.full(count, value), rng.standard_normal(count)
        assert correlation(same, other) == correlation(other, same) == correlation(same, np.full(count, 0.1)) == 0
        found = compare(other, same, np.arange(1, count + 1))
        assert (found.r2, found.slope, found.spearman) == (0, 0, 0)
    assert correlation(np.zeros(0), np.zeros(0)) == 0


def test_what_is_saved_is_read_again_by_all_who_weigh(tmp_path):
    names = (" Cat", "cat", " dog", None, "!", " a\tb", " never")
    values = np.array([2.0, 1.0, -0.5, 3.0, 4.0, 5.0, np.nan])
    n = np.array([3, 1, 5, 2, 2, 2, 0])
    found = TokenInformation(values, values + 1, n, 2 * n, values, 4, names, "made", "analytic", {"corpus": "c"}, {"r2": 0.5})
    again = TokenInformation.load(found.save(tmp_path / "w"))
    for row in ("values", "raw", "n", "draws", "entropy"):
        np.testing.assert_array_equal(getattr(again, row), getattr(found, row))
    assert (again.names, again.method, again.correction, again.support) == (names, "made", "analytic", 4)
    assert (again.identity, again.facts) == ({"corpus": "c"}, {"r2": 0.5})
    found.save(tmp_path / "w")  # the same again is no conflict
    others = np.median(values[:6])  # one bin alone, so its median stands for the unseen
    expected = {"cat": (3 * 2.0 + 1.0) / 4, "dog": 0.0, "*": others}
    assert dict(read_table(tmp_path / "w" / "weights.tsv")) == pytest.approx(expected)
    given = TokenWeights.read(tmp_path / "w")
    np.testing.assert_allclose(given.of_ids([*names, None]), [2, 1, 0, 3, 4, 5, others, 0])
    np.testing.assert_allclose(given.of_ids(list(names), 2.0)[:3], [4, 1, 0])
    np.testing.assert_allclose(given.of_ids(list(names), 0.0), 1)
    assert given.told("c", "x")["in_domain"]
    assert given.told("c@pool", "x")["in_domain"]
    assert not given.told("d", "x")["in_domain"]
    # A table alone weighs by what ids write.
    alone = TokenWeights.read(tmp_path / "w" / "weights.tsv")
    np.testing.assert_allclose(alone.of_ids([" CAT", "dog", None, "new"]), [7 / 4, 0, others, others])
    with pytest.raises(RarityError, match="weighs 7 ids, this model has 3"):
        given.of_ids(["a", "b", "c"])


def test_a_stale_or_corrupt_folder_says_what_changed_in_one_line(tmp_path, rng):
    found = table(rng, 60)
    found.save(tmp_path / "w")
    with pytest.raises(StaleArtefact, match="correction") as raised:
        found.correct("analytic").save(tmp_path / "w")
    assert "\n" not in str(raised.value)
    with pytest.raises(StaleArtefact, match="sha256"):
        found.permuted(1).save(tmp_path / "w")
    lines = (tmp_path / "w" / "weights.tsv").read_text()
    (tmp_path / "w" / "weights.tsv").write_text("x" + lines[1:])  # whichever token came first
    with pytest.raises(StaleArtefact, match=r"weights\.tsv is corrupt"):
        TokenInformation.load(tmp_path / "w")
    other = json.dumps({"identity": {"form": 9}, "facts": {"kind": "token weights"}, "files": {}})
    for text, error, message in (
        ("{}", StaleArtefact, "is not a manifest"), ("[]", StaleArtefact, "is not a manifest"), (other, BadInput, "no weights"),
    ):  # fmt: skip
        (tmp_path / "w" / "manifest.json").write_text(text)
        with pytest.raises(error, match=message):
            TokenWeights.read(tmp_path / "w")
    with pytest.raises(RarityError, match="no file of token and weight"):
        TokenWeights.read(tmp_path / "nothing")
    with pytest.raises(RarityError, match="one number for each"):
        TokenInformation(found.values, found.raw[:3], found.n, found.draws, found.raw, 1, found.names, "made")


def test_a_token_never_seen_weighs_the_median_of_the_rarest(rng):
    found = table(rng)
    rarest = found.values[(found.bin_of == 0)]
    np.testing.assert_allclose(found.weights()[~found.seen], np.median(rarest))
    assert (found.weights() >= 0).all()
    nothing = TokenInformation(*[np.full(2, np.nan)] * 2, *[np.zeros(2, np.int64)] * 2, np.zeros(2), 0, ("a", "b"), "none")
    np.testing.assert_array_equal(nothing.weights(), 1)


def test_powers_are_of_values_that_are_not_below_nothing(tmp_path, rng):
    found = table(rng).correct("quantile", q=0.5)
    assert (found.values[found.seen] < 0).any()
    squared = found.powered(2.0)
    expected = [max(0.0, value) ** 2 for value in found.values[found.seen]]
    np.testing.assert_allclose(squared.values[found.seen], expected)
    assert np.isnan(squared.values[~found.seen]).all()
    assert (squared.n == found.n).all()
    assert squared.method.endswith("to the power 2")
    assert squared.identity == {**found.identity, "power": 2.0}
    found.save(tmp_path / "w")
    with pytest.raises(StaleArtefact):  # another power is another folder
        squared.save(tmp_path / "w")
    for gamma in (0, -1, float("nan")):
        with pytest.raises(RarityError, match=r"^a power of [^\n]*above 0$"):
            found.powered(gamma)
