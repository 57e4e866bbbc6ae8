"""Axes of planted sources against scikit-learn's, and what must not look like an axis: Gaussian rows."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import seeds
from scipy.optimize import linear_sum_assignment

from rarityir.ica import ICA, Axes
from rarityir.ica.diagnostics import agreement, moments
from rarityir.types import RarityError, StaleArtefact

SEED = seeds.seed(__name__)
QUICK = {"max_iter": 500, "tol": 1e-8}


def planted(n: int = 6000, k: int = 6, width: int = 6, seed: int = SEED) -> tuple[np.ndarray, np.ndarray]:
    """Exponential sources (n, k), centred, and their mixture (n, width) off the origin."""
    rng = np.random.default_rng(seed)
    s = rng.exponential(size=(n, k)) - 1
    turn = np.linalg.qr(rng.standard_normal((width, width)))[0][:k]
    return s, s @ (np.geomspace(3, 0.5, k)[:, None] * turn) @ np.diag(np.linspace(1, 2, width)) + 7


def matched(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Signed correlations of columns under the best pairing, and the pairing."""
    k = a.shape[1]
    r = np.corrcoef(a.T, b.T)[:k, k:]
    rows, columns = linear_sum_assignment(-np.abs(r))
    return r[rows, columns], columns


def test_planted_sources_are_found_with_their_sign() -> None:
    s, x = planted()
    axes = ICA(**QUICK).fit(x)
    r, _ = matched(s, axes.transform(x))
    assert r.min() >= 0.99
    assert axes.diagnostics.converged
    assert axes.diagnostics.flags == ()
    assert np.all(np.diff(np.abs(axes.diagnostics.skew)) <= 0)
    assert np.all(axes.diagnostics.skew > 0)


def test_axes_are_those_of_scikit_learn() -> None:
    from sklearn.decomposition import FastICA

    _, x = planted()
    theirs = FastICA(whiten="unit-variance", max_iter=500, tol=1e-8, random_state=SEED).fit_transform(x)
    r, _ = matched(theirs, ICA(**QUICK).fit(x).transform(x))
    assert np.abs(r).min() >= 0.9999


def test_coordinates_are_white_and_turn_back() -> None:
    _, x = planted()
    axes = ICA(**QUICK).fit(x)
    s = axes.transform(x)
    assert np.allclose(s.mean(axis=0), 0, atol=1e-10)
    assert np.allclose(s.T @ s / len(s), np.eye(6), atol=1e-9)
    assert np.allclose(axes.inverse_transform(s), x, atol=1e-9)
    assert np.allclose(axes.reading @ axes.writing.T, np.eye(6), atol=1e-10)


def test_fewer_axes_than_directions_keep_the_strongest_plane() -> None:
    _, x = planted()
    axes = ICA(3, **QUICK).fit(x)
    u = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)[2][:3]
    back = axes.inverse_transform(axes.transform(x))
    assert np.allclose(back - x.mean(axis=0), (x - x.mean(axis=0)) @ u.T @ u, atol=1e-8)
    share = np.linalg.svd(x - x.mean(axis=0), compute_uv=False) ** 2
    assert axes.diagnostics.variance_kept == pytest.approx(share[:3].sum() / share.sum(), rel=1e-9)


def test_rows_of_less_than_full_rank_give_as_many_axes_as_they_vary_in() -> None:
    _, x = planted(k=4, width=6)
    axes = ICA(**QUICK).fit(x)
    assert len(axes) == 4
    assert np.allclose(axes.inverse_transform(axes.transform(x)), x, atol=1e-8)
    with pytest.raises(RarityError, match="vary in 4 of 6"):
        ICA(5, **QUICK).fit(x)


def test_two_seeds_agree_on_axes_and_order_and_two_runs_to_the_bit(tmp_path: Path) -> None:
    _, x = planted(n=8000, k=5, width=5)
    one, two = ICA(**QUICK).fit(x), ICA(**QUICK).fit(x)
    assert one.digest == two.digest
    other = ICA(**QUICK, seed=11).fit(x)
    s, t = one.transform(x), other.transform(x)
    r = np.einsum("ij,ij->j", s, t) / len(s)  # signed, axis by axis, nothing matched
    assert r.min() >= 0.999
    both = ICA(**QUICK, seeds=3).fit(x).diagnostics.stability
    assert both is not None
    assert both.min() >= 0.999
    one.save(tmp_path / "a")
    two.save(tmp_path / "b")
    assert all((tmp_path / "a" / n).read_bytes() == (tmp_path / "b" / n).read_bytes() for n in ("axes.safetensors", "ica.json"))


def test_gaussian_rows_are_flagged(caplog: pytest.LogCaptureFixture) -> None:
    x = np.random.default_rng(SEED).standard_normal((4000, 30))
    axes = ICA(max_iter=60, seeds=2).fit(x)
    said = " ".join(axes.diagnostics.flags)
    assert "unstable" in said
    assert "Gaussian" in said
    assert "not converged" in said
    assert "unstable" in caplog.text
    assert axes.diagnostics.gaussian.mean() > 0.7
    assert axes.diagnostics.skew.max() < 0.5


def test_weights_count_as_repeated_rows() -> None:
    _, x = planted(n=1500, k=4, width=4)
    w = np.random.default_rng(SEED).integers(0, 4, len(x))
    weighted = ICA(**QUICK).fit(x, weights=w)
    repeated = ICA(**QUICK).fit(np.repeat(x, w, axis=0))
    assert np.allclose(weighted.reading, repeated.reading, atol=1e-5)
    assert np.allclose(weighted.mean, repeated.mean)
    assert np.allclose(weighted.diagnostics.skew, repeated.diagnostics.skew, atol=1e-5)
    assert not np.allclose(weighted.mean, ICA(**QUICK).fit(x).mean)


def test_a_sample_finds_the_rotation_and_all_rows_make_the_coordinates_white() -> None:
    s, x = planted(n=9000, k=4, width=4)
    axes = ICA(**QUICK, sample=5000).fit(x)
    assert axes.diagnostics.fitted_rows == 5000
    assert np.allclose(axes.mean, x.mean(axis=0))
    out = axes.transform(x)
    assert np.allclose(out.T @ out / len(out), np.eye(4), atol=1e-9)
    assert np.abs(matched(s, out)[0]).min() >= 0.98


def test_signs_order_and_diagnostics_are_of_the_sample() -> None:
    _, x = planted(n=4000, k=4, width=4)
    axes = ICA(**QUICK, sample=300, seed=2).fit(x)
    drawn = np.sort(np.random.default_rng(2).choice(len(x), 300, replace=False))
    skew, kurtosis, *_ = moments(axes.transform(x[drawn]))
    assert np.all(np.diff(skew) <= 1e-9)
    assert skew.min() > 0
    assert np.allclose(axes.diagnostics.skew, skew)
    assert np.allclose(axes.diagnostics.kurtosis, kurtosis)
    assert not np.allclose(axes.diagnostics.skew, moments(axes.transform(x))[0], rtol=1e-3)


def test_moments_are_scipys() -> None:
    from scipy.stats import kurtosis, skew

    s = np.random.default_rng(SEED).gamma(2, size=(500, 3))
    s = (s - s.mean(axis=0)) / s.std(axis=0)
    found = moments(s)
    assert np.allclose(found[0], skew(s))
    assert np.allclose(found[1], kurtosis(s))
    assert np.allclose(found[2], (np.log(np.cosh(s)).mean(axis=0) - 0.3745672) ** 2)
    assert np.allclose(found[3], (-np.exp(-(s**2) / 2).mean(axis=0) + 0.5**0.5) ** 2, atol=1e-7)
    normal = np.random.default_rng(SEED).standard_normal((400_000, 1))
    assert max(float(part[0]) for part in moments(normal)[2:]) < 1e-4


def test_agreement_pairs_axes_once() -> None:
    turn = np.linalg.qr(np.random.default_rng(SEED).standard_normal((5, 5)))[0]
    assert np.allclose(agreement(turn, -turn[::-1]), 1)
    assert agreement(np.eye(2), np.array([[0.8, 0.6], [-0.6, 0.8]])) == pytest.approx([0.8, 0.8])


def test_axes_are_saved_labelled_and_refused_when_they_are_not_their_cards(tmp_path: Path) -> None:
    _, x = planted(n=400, k=4, width=4)
    axes = ICA(**QUICK).fit(x, facts={"rows": "planted"}).labelled(x, [f"r{i}" for i in range(len(x))], k=4)
    s = axes.transform(x)
    s /= np.linalg.norm(s, axis=1, keepdims=True)
    assert axes.labels[2][0] == f"r{s[:, 2].argmax()}"
    assert axes.label(2, 1) == axes.labels[2][0]
    again = Axes.load(axes.save(tmp_path / "x"))
    assert (again.digest, again.labels, again.fitted_on) == (axes.digest, axes.labels, {"rows": "planted"})
    assert again.diagnostics.json() == axes.diagnostics.json()
    replace(axes, mean=axes.mean + 1).save(tmp_path / "y")
    (tmp_path / "y" / "axes.safetensors").replace(tmp_path / "x" / "axes.safetensors")
    with pytest.raises(StaleArtefact, match=r"^[^\n]*fit and save[^\n]*$"):
        Axes.load(tmp_path / "x")
    with pytest.raises(RarityError, match="no whole axes"):
        Axes.load(tmp_path)
    card = json.loads((tmp_path / "x" / "ica.json").read_text())
    assert card["diagnostics"]["flags"] == list(axes.diagnostics.flags)


def test_dropping_leaves_the_other_axes() -> None:
    _, x = planted(n=500, k=4, width=4)
    axes = ICA(**QUICK).fit(x)
    assert np.allclose(axes.drop([1, 1]).transform(x), axes.transform(x)[:, [0, 2, 3]])
    with pytest.raises(RarityError, match="axis 4 is none of 0 to 3"):
        axes.drop([4])


@pytest.mark.parametrize("seeds", [1, 2])
def test_what_is_left_after_dropping_is_saved_and_read_again(seeds: int, tmp_path: Path) -> None:
    _, x = planted(n=500, k=4, width=4)
    axes = ICA(**QUICK, seeds=seeds).fit(x)
    left = axes.drop([0, 2])
    for name in ("skew", "kurtosis", "log_cosh", "neg_exp", "stability")[: 4 + (seeds > 1)]:
        assert np.array_equal(getattr(left.diagnostics, name), getattr(axes.diagnostics, name)[[1, 3]])
    again = Axes.load(left.save(tmp_path / "left"))
    assert again.digest == left.digest
    assert again.diagnostics.json() == left.diagnostics.json()


@pytest.mark.parametrize(
    ("rows", "weights"),
    [(np.zeros((1, 3)), None), (np.zeros(5), None), (np.ones((5, 2)), None), (np.full((5, 2), np.nan), None),
     (np.eye(4), [1, 1]), (np.eye(4), [1, -1, 1, 1]), (np.eye(4), [0, 0, 0, 0])],
)  # fmt: skip
def test_what_has_no_axes_is_one_line(rows: np.ndarray, weights: list | None) -> None:
    with pytest.raises(RarityError, match=r"^[^\n]+$"):
        ICA(**QUICK).fit(rows, weights=weights)
