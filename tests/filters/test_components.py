"""Uncentred directions against the singular value decomposition, their signs, a twin's variation, and the split of logits."""

from __future__ import annotations

import numpy as np
import pytest
from worlds import source_of

from rarityir.filters.components import components, split, variation
from rarityir.types import RarityError

N, D = 300, 12
RNG = np.random.default_rng(0)
TURN = np.linalg.qr(RNG.standard_normal((D, D)))[0]
# Every direction has a mean of its own, so none is left without a sign.
H_ND = (RNG.standard_normal((N, D)) * np.geomspace(4, 0.3, D) + np.geomspace(6, 0.2, D)) @ TURN


def of(h_ND: np.ndarray, block: int = 90):
    return components(source_of(None, None, documents=h_ND, block=block))


def blocks(x_ND: np.ndarray, block: int = 90):
    return lambda: (x_ND[start : start + block] for start in range(0, len(x_ND), block))


def test_components_are_the_singular_vectors_of_what_is_not_centred() -> None:
    values, vectors = np.linalg.svd(H_ND, full_matrices=False)[1:]
    found = of(H_ND)
    assert found.count == N
    np.testing.assert_allclose(found.energies, values**2 / N, rtol=1e-10)
    np.testing.assert_allclose(np.abs((found.directions * vectors).sum(axis=1)), 1, atol=1e-9)
    np.testing.assert_allclose(found.directions @ found.directions.T, np.eye(D), atol=1e-12)
    np.testing.assert_allclose(found.coefficients, (H_ND @ found.directions.T).mean(axis=0), atol=1e-12)
    assert found.shares.sum() == pytest.approx(1)
    assert found.shares[0] == pytest.approx(values[0] ** 2 / np.square(H_ND).sum())
    centred = np.linalg.svd(H_ND - H_ND.mean(axis=0), full_matrices=False)[2]
    assert abs(centred[0] @ found.directions[0]) < 0.95, "else the test would not tell the two apart"


def test_no_direction_has_a_negative_mean_coefficient_however_the_space_is_turned() -> None:
    found = of(H_ND)
    assert found.coefficients.min() > 1e-3
    for seed in range(5):
        turn = np.linalg.qr(np.random.default_rng(seed).standard_normal((D, D)))[0]
        np.testing.assert_allclose(of(H_ND @ turn).directions, found.directions @ turn, atol=1e-8)
        np.testing.assert_allclose(of(-H_ND @ turn).directions, -found.directions @ turn, atol=1e-8)


def test_a_mean_coefficient_that_is_nought_but_rounding_gives_no_sign() -> None:
    signs = set()
    for seed in range(20):
        rng = np.random.default_rng(seed)
        half = rng.standard_normal((60, D)) * np.geomspace(4, 0.3, D) @ TURN
        both = rng.permutation(np.concatenate([half, -half]))  # summed in this order the two halves leave rounding behind
        found = of(both)
        peaks = np.take_along_axis(found.directions, np.abs(found.directions).argmax(axis=1)[:, None], axis=1)
        assert (peaks > 0).all()
        signs |= set(np.sign(found.coefficients))
    assert -1.0 in signs, "else rounding was never against the rule"


def test_turned_eigenvectors_are_turned_back_to_the_last_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    from rarityir.filters import components as module

    expected, axes = of(H_ND), module.axes
    for seed in range(4):
        signs = np.random.default_rng(seed).choice([-1.0, 1.0], (D, 1)) if seed else -np.ones((D, 1))

        def turned(matrix, device, signs=signs):
            energies, directions = axes(matrix, device)
            return energies, directions * signs

        monkeypatch.setattr(module, "axes", turned)
        found = of(H_ND)
        assert found.directions.tobytes() == expected.directions.tobytes()
        assert found.coefficients.tobytes() == expected.coefficients.tobytes()


def test_how_texts_are_cut_into_blocks_is_no_matter() -> None:
    for block in (1, N):
        np.testing.assert_allclose(of(H_ND, block).directions, of(H_ND).directions, atol=1e-9)


def test_embeddings_that_are_all_zero_are_one_line() -> None:
    with pytest.raises(RarityError, match=r"^all 7 embeddings are zero[^\n]*$"):
        of(np.zeros((7, D)))


@pytest.mark.parametrize("block", [1, 90, N])
def test_a_variation_is_the_mean_move_along_each_direction_with_its_spread(block: int) -> None:
    twin = H_ND * 0.7 + RNG.standard_normal((N, D)) + 0.4
    found = of(H_ND)
    moved = variation(found, blocks(H_ND, block), blocks(twin, block))
    along = (twin - H_ND) @ found.directions.T
    np.testing.assert_allclose(moved.means, along.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(moved.spreads, along.std(axis=0), rtol=1e-9)


def test_a_twin_moved_along_u_1_alone_varies_in_the_first_component_alone() -> None:
    found = of(H_ND)
    moved = variation(found, blocks(H_ND), blocks(H_ND - 5 * found.directions[0]))
    np.testing.assert_allclose(moved.means, [-5] + [0] * (D - 1), atol=1e-12)
    np.testing.assert_allclose(moved.spreads, 0, atol=1e-7)


def test_a_shrunken_twin_varies_as_the_coefficients_do() -> None:
    found = of(H_ND)
    moved = variation(found, blocks(H_ND), blocks(H_ND / 4))
    np.testing.assert_allclose(moved.means, -0.75 * found.coefficients, atol=1e-12)
    np.testing.assert_allclose(moved.spreads**2, 0.75**2 * (found.energies - found.coefficients**2), rtol=1e-8)


@pytest.mark.parametrize(
    "twin", [H_ND[:-1], H_ND[:90], np.concatenate([H_ND, H_ND]), H_ND[:, :-1], H_ND[:, :1]], ids=lambda x: str(x.shape)
)
def test_a_twin_of_other_texts_or_width_is_one_line(twin: np.ndarray) -> None:
    with pytest.raises(RarityError, match=r"^a block of the twin's embeddings is [^\n]* one width$"):
        variation(of(H_ND), blocks(H_ND), blocks(twin))


def test_the_two_parts_of_a_logit_are_u_1_s_and_what_is_orthogonal_to_it() -> None:
    unembed_VD = RNG.standard_normal((40, D))
    first = of(H_ND).directions[0]
    parts = split(unembed_VD, first, H_ND)
    np.testing.assert_allclose(parts.total, H_ND @ unembed_VD.T, atol=1e-10)
    expected = [[(w @ first) * (h @ first) for w in unembed_VD] for h in H_ND[:5]]
    np.testing.assert_allclose(parts.first[:5], expected, atol=1e-10)
    moved = split(unembed_VD, first, H_ND - 3 * first)
    np.testing.assert_allclose(moved.rest, parts.rest, atol=1e-10)
    np.testing.assert_allclose(moved.first - parts.first, np.tile(-3 * unembed_VD @ first, (N, 1)), atol=1e-10)
    alone = split(unembed_VD, first, 2 * first[None])
    np.testing.assert_allclose(alone.rest, 0, atol=1e-12)
    np.testing.assert_allclose(alone.first[0], 2 * unembed_VD @ first, atol=1e-12)
