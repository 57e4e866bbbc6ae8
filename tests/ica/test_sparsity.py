"""Few coordinates: on sparse sources ICA's say most, at full width no axes say more than others; axes of two encoders paired."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import seeds

from rarityir.ica import ICA, match
from rarityir.ica.sparsity import anyhow, curve, overlap, principal
from rarityir.indexes.axes import AxesIndex, cut
from rarityir.types import RarityError

SEED = seeds.seed(__name__)
K = 30


def sparse(n: int = 2500, seed: int = SEED) -> np.ndarray:
    """Rows whose sources are nearly all 0, mixed."""
    rng = np.random.default_rng(seed)
    s = rng.exponential(size=(n, K)) * (rng.random((n, K)) < 0.08)
    s += 0.02 * rng.standard_normal((n, K))  # no two rows alike, which would rank by rounding
    return s @ rng.standard_normal((K, K)) + 2


def test_few_coordinates_rank_best_on_independent_axes_and_all_rank_alike() -> None:
    x = sparse(seed=0)  # one world: how large the advantage is varies from world to world
    axes = ICA(None, 200, 1e-5).fit(x)
    kinds = {"ica": axes, "pca": principal(axes), "random": anyhow(axes, SEED)}
    few = {name: overlap(kind, x[:40], x, 3) for name, kind in kinds.items()}
    assert few["ica"] > max(few["pca"], few["random"]) + 0.03
    assert {name: overlap(kind, x[:40], x, K) for name, kind in kinds.items()} == dict.fromkeys(kinds, 1.0)
    found = curve(axes, x[:20], x, [1, K])
    assert [found["overlap@10"][name][1] for name in kinds] == [1.0] * 3
    s, t = (kind.transform(x, normalize=True) for kind in (axes, anyhow(axes, 3)))
    assert np.abs(s[:50] @ s.T - t[:50] @ t.T).max() < 1e-13


def test_principal_axes_are_those_of_the_rows() -> None:
    x = sparse(800)
    axes = ICA(5, 100, 1e-4).fit(x)
    u, scale, _ = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    z = principal(axes).transform(x)
    assert np.abs(np.abs(np.sum(z * u[:, :5] * np.sqrt(len(x)), axis=0)) / len(x) - 1).max() < 1e-6
    assert scale[4] > scale[5]


def test_an_index_of_axes_scores_as_brute_force_does(tmp_path: Path) -> None:
    rng = np.random.default_rng(SEED)
    x, q = (rng.standard_normal((n, 9)).astype(np.float32) for n in (70, 11))
    facts = AxesIndex.build("4", iter([x[:50], x[50:]]), tmp_path)
    assert facts == {"dim": 9, "bytes_per_doc": 24}

    def few(row: np.ndarray) -> np.ndarray:
        return np.where(np.abs(row) >= np.sort(np.abs(row))[-4], row, 0)

    for arg, asked in (("4", [few(row) for row in q]), ("4,query=all", list(q))):
        found = AxesIndex.open(arg, tmp_path).search(q, 6)
        scores = np.stack(asked) @ np.stack([few(row) for row in x]).T
        assert np.array_equal(found.rows, np.argsort(-scores, axis=1)[:, :6])
        assert np.allclose(found.scores, -np.sort(-scores, axis=1)[:, :6], atol=1e-5)
    assert AxesIndex.key("4,query=all") == AxesIndex.key("4") == "axes:4"
    whole = tmp_path / "whole"
    AxesIndex.build("99", iter([x]), whole)
    assert np.array_equal(AxesIndex.open("99", whole).search(q, 70).rows, np.argsort(-(q @ x.T), axis=1, kind="stable"))


def test_a_damaged_index_of_axes_is_refused(tmp_path: Path) -> None:
    AxesIndex.build("2", iter([np.eye(3, dtype=np.float32)]), tmp_path)
    np.save(tmp_path / "axes.npy", np.full((3, 2), 3, np.uint16))
    with pytest.raises(RarityError, match="no whole index of axes"):
        AxesIndex.open("2", tmp_path)
    for arg in ("0", "x", "2,query=some", "2,nonsense=1"):
        with pytest.raises(RarityError, match=r"^[^\n]*axes[^\n]*$"):
            AxesIndex.key(arg)


def test_cutting_keeps_the_largest_whatever_their_sign() -> None:
    assert cut(np.array([[1.0, -3, 2, 3]]), 2).tolist() == [[0, -3, 0, 3]]
    assert cut(np.array([[1.0, 1, 1]]), 2).tolist() == [[1, 1, 0]]


def test_axes_of_two_encoders_are_matched_by_what_both_have_read() -> None:
    rng = np.random.default_rng(SEED)
    s = rng.exponential(size=(4000, 5)) - 1
    xa, xb = s @ rng.standard_normal((5, 7)), (s + 0.05 * rng.standard_normal(s.shape)) @ rng.standard_normal((5, 6))
    a, b = (ICA(5, 300, 1e-6).fit(x) for x in (xa, xb))
    for method in ("greedy", "hungarian"):
        found = match(a, b, (xa, xb), method, seed=SEED % 99)
        assert found.r.min() > 0.97
        assert sorted(found.pairs[:, 0]) == sorted(found.pairs[:, 1]) == list(range(5))
        assert np.all(np.diff(found.r) <= 0)
        assert found.chance.max() < 0.15
    assert np.allclose(found.table, np.corrcoef(a.transform(xa).T, b.transform(xb).T)[:5, 5:])


def test_matching_is_brute_forces_and_weights_are_repeated_rows() -> None:
    rng = np.random.default_rng(SEED)
    xa, xb = rng.exponential(size=(60, 4)), rng.exponential(size=(60, 4))
    a, b = (ICA(None, 30, 1e-3).fit(x) for x in (xa, xb))
    found = match(a, b, (xa, xb), "hungarian")
    best = max(sum(found.table[i, p[i]] for i in range(4)) for p in permutations(range(4)))
    assert found.r.sum() == pytest.approx(best)
    greedy = match(a, b, (xa, xb))
    assert greedy.r[0] == pytest.approx(found.table.max())
    w = rng.integers(1, 4, 60)
    weighted = match(a, b, (xa, xb), weights=w)
    assert np.allclose(weighted.table, match(a, b, (np.repeat(xa, w, axis=0), np.repeat(xb, w, axis=0))).table)
    three = ICA(3, 30, 1e-3).fit(xb)
    assert match(a, three, (xa, xb)).pairs.shape == (3, 2)


@pytest.mark.parametrize("method", ["greedy", "hungarian"])
def test_a_pair_is_held_against_the_best_of_every_shuffle(method: str) -> None:
    rng = np.random.default_rng(SEED)
    s = rng.exponential(size=(1200, 3))
    xa, xb = np.hstack([s[:, :1], rng.exponential(size=(1200, 2))]), np.hstack([s[:, :1], rng.exponential(size=(1200, 3))])
    a, b = (ICA(None, 200, 1e-4).fit(x) for x in (xa, xb))
    found = match(a, b, (xa, xb), method, seed=SEED % 99, permutations=29)
    assert found.chance.shape == (29, 3)
    for r, p in zip(found.r, found.p, strict=True):
        assert p == (1 + sum(row.max() >= r for row in found.chance)) / 30
    assert found.p[0] == 1 / 30  # the column that both have
    assert np.array_equal(found.chance[:1], match(a, b, (xa, xb), method, seed=SEED % 99).chance)
    assert len(np.unique(found.chance, axis=0)) == 29
    moved = np.random.default_rng(SEED % 99).permutation(1200)  # the first shuffle, by hand
    table = np.corrcoef(a.transform(xa).T, b.transform(xb[moved]).T)[:3, 3:]
    if method == "hungarian":
        assert found.chance[0].sum() == pytest.approx(max(sum(table[range(3), p]) for p in permutations(range(4), 3)))
    else:
        assert found.chance[0].max() == pytest.approx(table.max())
    told = found.json()
    assert [pair["p"] for pair in told["pairs"]] == found.p.tolist()
    assert told["permutations"] == 29


@pytest.mark.parametrize(
    "change", [{"permutations": 0}, {"method": "optimal"}, {"weights": [1]}, {"paired_X": (np.ones((4, 3)), np.ones((5, 3)))}]
)
def test_pairs_that_are_none_are_one_line(change: dict) -> None:
    x = np.random.default_rng(1).exponential(size=(50, 3))
    a = ICA(None, 30, 1e-3).fit(x)
    with pytest.raises(RarityError, match=r"^[^\n]+$"):
        match(a, a, **{"paired_X": (x, x), **change})
