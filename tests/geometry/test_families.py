"""Families of directions and variants of rows: each is what it says, and the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest

import rarityir as ri
from rarityir.types import RarityError, UnknownName


def rows(rng: np.random.Generator, count: int = 400, width: int = 20) -> np.ndarray:
    return rng.standard_normal((count, width)) * np.arange(1, width + 1) ** -0.5 + rng.standard_normal(width)


def basis(rng: np.random.Generator, kept: int, width: int = 20) -> np.ndarray:
    return np.linalg.qr(rng.standard_normal((width, width)))[0][:kept]


@pytest.mark.parametrize("family", ["iso", "cov", "pc", "pc:3", "pcs", "removed", "kept", "pairs", "rows", "mine"])
def test_every_family_is_of_unit_vectors_and_its_own_seed(family: str, rng: np.random.Generator, seed: int) -> None:
    x, given = rows(rng), {"mine": rng.standard_normal((90, 20))}
    options = {"basis": basis(rng, 12), "given": given}
    found = ri.geometry.directions(x, family, 30, seed, **options)  # type: ignore[arg-type]
    assert found.shape == (30, 20)
    assert np.linalg.norm(found, axis=1) == pytest.approx(np.ones(30), abs=1e-12)
    assert np.array_equal(found, ri.geometry.directions(x, family, 30, seed, **options))  # type: ignore[arg-type]
    if family != "pcs":
        assert not np.array_equal(found, ri.geometry.directions(x, family, 30, seed + 1, **options))  # type: ignore[arg-type]


def test_removed_and_kept_directions_lie_where_the_filter_says(rng: np.random.Generator, seed: int) -> None:
    x, kept_KD = rows(rng), basis(rng, 13)
    mixed = rng.standard_normal((13, 13)) @ kept_KD  # a filter's rows need not be orthonormal
    kept = ri.geometry.directions(x, "kept", 500, seed, basis=mixed)
    removed = ri.geometry.directions(x, "removed", 500, seed, basis=mixed)
    assert (kept @ kept_KD.T) @ kept_KD == pytest.approx(kept, abs=1e-9)
    assert removed @ kept_KD.T == pytest.approx(np.zeros((500, 13)), abs=1e-9)
    # Uniform within: the second moments of either are a projection by its dimension.
    assert kept.T @ kept / 500 == pytest.approx(kept_KD.T @ kept_KD / 13, abs=0.05)
    assert removed.T @ removed / 500 == pytest.approx((np.eye(20) - kept_KD.T @ kept_KD) / 7, abs=0.09)


@pytest.mark.parametrize("family", ["removed", "kept"])
def test_directions_of_a_span_do_not_depend_on_the_axes_it_is_written_in(
    family: str, rng: np.random.Generator, seed: int
) -> None:
    x, kept_KD = rows(rng), basis(rng, 12)
    turned = np.linalg.qr(rng.standard_normal((12, 12)))[0] @ kept_KD
    one, two = (ri.geometry.directions(x, family, 30, seed, basis=axes) for axes in (kept_KD, turned))
    assert one == pytest.approx(two, abs=1e-9)


def test_pcs_are_the_principal_axes_with_both_signs(rng: np.random.Generator) -> None:
    x = rows(rng)
    found = ri.geometry.directions(x, "pcs", 12)
    axes = np.linalg.svd(x - x.mean(axis=0))[2]
    for j in range(6):
        assert abs(found[2 * j] @ axes[j]) == pytest.approx(1, abs=1e-9)
        assert found[2 * j + 1] == pytest.approx(-found[2 * j])
    span = ri.geometry.directions(x, "pc:4", 50)
    assert (span @ axes[:4].T) @ axes[:4] == pytest.approx(span, abs=1e-9)
    assert len(ri.geometry.directions(x, "pcs", 1000)) == 40


def test_cov_directions_have_the_rows_covariance(rng: np.random.Generator, seed: int) -> None:
    x = np.array([1.0, 3.0, 0.2]) * rng.standard_normal((3000, 3)) + 5
    v = ri.geometry.directions(x, "cov", 4000, seed)
    drawn = rng.standard_normal((40000, 3)) * x.std(axis=0)
    drawn /= np.linalg.norm(drawn, axis=1)[:, None]
    assert (v**2).mean(axis=0) == pytest.approx((drawn**2).mean(axis=0), abs=5 * 0.4 / np.sqrt(4000) + 0.01)


def test_pairs_and_rows_are_of_allowed_rows(rng: np.random.Generator, seed: int) -> None:
    x = rows(rng, 30)
    allowed = np.arange(30) < 9
    unit = x[:9] / np.linalg.norm(x[:9], axis=1)[:, None]
    for v in ri.geometry.directions(x, "rows", 40, seed, allowed=allowed):
        assert np.abs(unit - v).max(axis=1).min() < 1e-12
    differences = (x[:9, None] - x[None, :9]).reshape(-1, 20)
    differences = differences[np.any(differences, axis=1)]
    differences /= np.linalg.norm(differences, axis=1)[:, None]
    for v in ri.geometry.directions(x, "pairs", 40, seed, allowed=allowed):
        assert np.abs(differences - v).max(axis=1).min() < 1e-9


def test_given_directions_are_used_as_they_are_where_they_are_few(rng: np.random.Generator) -> None:
    given = rng.standard_normal((5, 20))
    found = ri.geometry.directions(rows(rng), "probe", 100, given={"probe": given})
    assert found == pytest.approx(given / np.linalg.norm(given, axis=1)[:, None])


@pytest.mark.parametrize(
    ("family", "options", "error", "says"),
    [
        ("isotropic", {}, UnknownName, "iso"),
        ("pc:x", {}, RarityError, "pc:10"),
        ("removed", {}, RarityError, "give the filter's basis"),
        ("removed", {"basis": np.eye(4)}, RarityError, "leave 'removed' out"),
        ("kept", {"basis": np.eye(5)}, RarityError, "4 wide"),
        ("mine", {"given": {"mine": np.ones((2, 3))}}, RarityError, r"\(M, 4\)"),
        ("mine", {"given": {"mine": np.zeros((2, 4))}}, RarityError, "points nowhere"),
        ("pairs", {}, RarityError, "hardly any two"),
    ],
)
def test_what_has_no_directions_is_an_error_of_one_line(
    family: str, options: dict[str, object], error: type[RarityError], says: str
) -> None:
    with pytest.raises(error, match=says) as raised:
        ri.geometry.directions(np.ones((6, 4)), family, 3, **options)  # type: ignore[arg-type]
    assert "\n" not in str(raised.value)


def test_variants_are_what_they_say(rng: np.random.Generator, seed: int) -> None:
    x = rows(rng).astype(np.float32)
    x[:, 1] = x[:, 0] + 0.1 * x[:, 1]
    allowed, counts = rng.random(400) < 0.8, rng.integers(0, 1000, 400)
    made = {
        name: ri.geometry.variant(x, name, allowed=allowed, counts=counts, basis=basis(rng, 15), seed=seed).rows[allowed]
        for name in ("raw", "centred", "zipf", "whitened", "filtered", "shuffled", "gaussian")
    }
    used, weights = x[allowed].astype(float), counts[allowed] / counts[allowed].sum()
    assert np.array_equal(made["raw"], x[allowed])
    assert made["centred"].mean(axis=0) == pytest.approx(np.zeros(20), abs=1e-6)
    assert made["centred"] - made["zipf"] == pytest.approx(np.tile(weights @ used - used.mean(axis=0), (len(used), 1)), abs=1e-5)
    assert weights @ made["zipf"] == pytest.approx(np.zeros(20), abs=1e-6)
    assert np.cov(made["whitened"].T, bias=True) == pytest.approx(np.eye(20), abs=1e-4)
    assert np.linalg.matrix_rank(made["filtered"], 1e-3) == 15
    assert np.array_equal(np.sort(made["shuffled"], axis=0), np.sort(x[allowed], axis=0))
    assert not np.array_equal(made["shuffled"], x[allowed])
    covariance = np.cov(used.T, bias=True)
    assert abs(np.corrcoef(used[:, :2].T)[0, 1]) > 0.9
    assert np.abs(np.corrcoef(made["shuffled"].T) - np.eye(20)).max() < 6 / np.sqrt(len(used))
    assert made["gaussian"].mean(axis=0) == pytest.approx(used.mean(axis=0), abs=1e-5)
    assert np.cov(made["gaussian"].T, bias=True) == pytest.approx(covariance, abs=1e-4)
    other = ri.geometry.variant(x, "gaussian", allowed=allowed, seed=seed + 1).rows[allowed]
    assert np.abs(other - made["gaussian"]).max() > 0.5


def test_a_variant_turns_vectors_as_it_turns_rows(rng: np.random.Generator) -> None:
    x, vectors = rows(rng), rng.standard_normal((4, 20))
    for name in ("raw", "centred", "whitened", "filtered"):
        found = ri.geometry.variant(x, name, basis=basis(np.random.default_rng(1), 9))
        moved = ri.geometry.variant(np.concatenate([x, x[:4] + vectors]), "raw").rows[-4:] - x[:4]
        assert found.turned(vectors) == pytest.approx(found.turned(moved), abs=1e-9)
        # The difference of two rows is a vector of the space.
        assert found.turned(x[:1] - x[1:2]) == pytest.approx(found.rows[:1] - found.rows[1:2], abs=1e-6)


@pytest.mark.parametrize(("name", "says"), [("zipf", "counts"), ("filtered", "basis"), ("centered", "centred")])
def test_a_variant_that_cannot_be_made_is_an_error(name: str, says: str, rng: np.random.Generator) -> None:
    with pytest.raises(RarityError, match=says):
        ri.geometry.variant(rows(rng), name)
