"""Filters of independent axes: what is dropped is gone to the digit, and a full set of axes changes no cosine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import seeds
from scipy.stats import spearmanr

from rarityir.counts import TokenCounts
from rarityir.filters import EmbedFilter, Source, Unembedding
from rarityir.filters.fitting import fit
from rarityir.ica import ICA, rarity_correlation
from rarityir.ica import dropping as module
from rarityir.systems import Part
from rarityir.types import RarityError

SEED = seeds.seed(__name__)
V, D = 3000, 8


def world() -> tuple[np.ndarray, np.ndarray, TokenCounts, np.ndarray]:
    """Rows W = S A with one source that is the rank of log frequency; A's rows, not orthogonal; and documents."""
    rng = np.random.default_rng(SEED)
    s = rng.exponential(size=(V, D)) - 1
    counts = TokenCounts(np.maximum(1, 1e7 * np.exp(-2 * s[:, 3] - 2)).astype(np.int64), "planted")
    a = np.eye(D) + 0.4 * rng.standard_normal((D, D))
    return (s @ a).astype(np.float32), a, counts, rng.laplace(size=(900, D)).astype(np.float32) @ a.T.astype(np.float32)


def source(tmp_path: Path, w: np.ndarray, counts: TokenCounts, x: np.ndarray) -> Source:
    return Source(Unembedding.of(w), lambda _: counts, lambda: iter([x[:400], x[400:]]), {"sha256": "x"}, tmp_path)


def test_the_rarity_axis_is_found_and_nothing_that_is_kept_writes_it(tmp_path: Path) -> None:
    w, a, counts, x = world()
    found = fit([Part("ica-drop", f"rarity,keep={D - 1}")], source(tmp_path, w, counts, x))
    assert found.basis.shape == (D - 1, D)
    kept = found.basis @ a[3] / np.linalg.norm(a[3])
    assert np.abs(kept).max() < 0.1
    others = [np.linalg.norm(found.basis @ row / np.linalg.norm(row)) for i, row in enumerate(a) if i != 3]
    assert min(others) > 0.3
    assert abs(found.facts["ica"]["spearman"][0]) > 0.95
    axes = ICA(None, 500, 1e-4).fit(w)
    chosen = found.facts["ica"]["axes"]
    assert np.abs(found.basis @ axes.writing[chosen].T).max() < 1e-9
    back = x @ found.basis.T @ found.basis
    assert np.abs(back @ axes.writing[chosen].T).max() < 1e-4  # what is left of documents writes nothing there


def test_which_axes_go_is_decided_by_rank_correlation_alone(tmp_path: Path) -> None:
    w, _, counts, x = world()
    found = fit([Part("ica-drop", "rarity,tau=2")], source(tmp_path, w, counts, x)).facts["ica"]
    axes = ICA(None, 500, 1e-4).fit(w)
    rho = [spearmanr(axes.transform(w)[:, i], -np.log(counts.counts + 0.5)).statistic for i in range(D)]
    assert found["axes"] == sorted(np.argsort(-np.abs(rho))[: D // 2].tolist())
    assert np.allclose(found["spearman"], np.array(rho)[found["axes"]], atol=1e-4)


def test_rank_correlation_and_its_interval() -> None:
    rng = np.random.default_rng(SEED)
    w, _, counts, _ = world()
    axes = ICA(4, 300, 1e-4).fit(w)
    rarity = np.log(1e7 / counts.counts).round(1)  # with ties
    found = rarity_correlation(axes, w, rarity)
    assert np.allclose(found.rho, [spearmanr(axes.transform(w)[:, i], rarity).statistic for i in range(4)])
    assert np.all((found.low < found.rho) & (found.rho < found.high))
    inside = 0
    for _ in range(400):  # ρ of a normal pair with correlation r is 6/π asin(r/2)
        x = rng.standard_normal((80, 2)) @ np.linalg.cholesky([[1, 0.6], [0.6, 1]]).T
        one = module.of_values(x[:, :1], x[:, 1])
        inside += bool(one.low[0] < 6 / np.pi * np.arcsin(0.3) < one.high[0])
    assert 0.88 < inside / 400 < 0.995
    with pytest.raises(RarityError, match="differ among them"):
        rarity_correlation(axes, w, np.ones(V))
    assert module.of_values(np.ones((9, 1)), np.arange(9.0)).rho[0] == 0


def test_rows_of_unknown_rarity_are_left_out() -> None:
    w, _, counts, _ = world()
    axes, rarity = ICA(4, 300, 1e-4).fit(w), np.log(1e7 / counts.counts)
    rarity[[0, 3, 7]] = np.nan, np.inf, -np.inf
    known = np.isfinite(rarity)
    found, wanted = rarity_correlation(axes, w, rarity), rarity_correlation(axes, w[known], rarity[known])
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other)
    assert np.abs(found.rho).max() > 0
    rarity[4:] = np.nan
    with pytest.raises(RarityError, match="known of five rows or more"):
        rarity_correlation(axes, w, rarity)


def test_random_axes_are_the_control_at_equal_width(tmp_path: Path) -> None:
    w, _, counts, x = world()
    given = source(tmp_path, w, counts, x)
    axes = [fit([Part("ica-drop", f"random,keep=5,draw={i}")], given).facts["ica"]["axes"] for i in range(6)]
    assert len({tuple(found) for found in axes}) > 1
    assert {len(found) for found in axes} == {D - 5}


def test_all_axes_rank_as_whitening_does_and_dropping_none_is_no_filter(tmp_path: Path) -> None:
    """Any gain of ICA at full rank would be a bug: the axes are a rotation of the white space."""
    w, a, counts, x = world()
    given = source(tmp_path, w, counts, x)
    y, z = (fit([Part(name, f"{D}")], given)(x.astype(np.float64)) for name in ("ica", "whiten"))
    y, z = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (y, z))
    assert np.abs(y @ y.T - z @ z.T).max() < 1e-15 * np.linalg.cond(a) ** 2  # whitening takes the inverse of AᵀA
    assert np.abs(y - z).max() > 0.1  # yet the axes are others
    assert np.array_equal(fit([Part("ica-drop", f"rarity,keep={D}")], given).basis, np.eye(D))


def test_axes_of_documents_are_weighed_by_what_they_write(tmp_path: Path) -> None:
    w, _, counts, x = world()
    found = fit([Part("ica-drop", "rarity,on=documents,keep=6")], source(tmp_path, w, counts, x)).facts["ica"]
    axes = ICA(None, 500, 1e-4).fit(x)
    rho = [spearmanr(w @ axes.writing[i], counts.counts).statistic for i in range(D)]
    assert found["axes"] == sorted(np.argsort(-np.abs(rho), kind="stable")[:2].tolist())


def test_the_search_is_done_once_for_a_matrix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    w, _, counts, x = world()
    first = EmbedFilter.fit(source(tmp_path, w, counts, x), "ica-drop:rarity")
    monkeypatch.setattr(module.ICA, "stream", lambda *_: pytest.fail("searched again"))
    assert EmbedFilter.fit(source(tmp_path, w, counts, x), "ica-drop:rarity").digest == first.digest
    monkeypatch.undo()
    (next(tmp_path.glob("ica-*")) / "axes.safetensors").write_bytes(b"broken")
    assert EmbedFilter.fit(source(tmp_path, w, counts, x), "ica-drop:rarity").digest == first.digest
    assert EmbedFilter.fit(source(tmp_path, w, counts, 2 * x), "ica:3").digest != first.digest


def test_a_filter_before_this_one_is_heeded(tmp_path: Path) -> None:
    w, _, counts, x = world()
    given = source(tmp_path, w, counts, x)
    both = fit([Part("truncate", "5"), Part("ica-drop", "rarity,keep=4")], given)
    alone = fit([Part("ica-drop", "rarity,keep=4")], source(tmp_path, w[:, :5], counts, x[:, :5]))
    # The unembedding is read through the truncation: the same rows, so the same axes.
    assert np.allclose(both.basis[:, :5].T @ both.basis[:, :5], alone.basis.T @ alone.basis, atol=1e-3)
    assert np.abs(both.basis[:, 5:]).max() < 1e-12


@pytest.mark.parametrize(
    "arg", ["", "nothing", "keep=3", "rarity,keep=3,tau=2", "rarity,tau=0.5", "rarity,center=no", "rarity,keep=0"]
)
def test_what_it_cannot_read_is_one_line(arg: str) -> None:
    with pytest.raises(RarityError, match=r"^[^\n]*ica-drop[^\n]*$"):
        module.ica_drop(arg)


def test_too_much_asked_for(tmp_path: Path) -> None:
    w, _, counts, x = world()
    given = source(tmp_path, w, counts, x)
    with pytest.raises(RarityError, match="keep 5 or more"):
        fit([Part("ica-drop", "rarity,keep=4,components=3")], given)
    with pytest.raises(RarityError, match="keeps more directions than the 8"):
        fit([Part("ica-drop", "rarity,keep=9")], given)
    with pytest.raises(RarityError, match="keeps more directions than the 8"):
        fit([Part("ica", "9")], given)
