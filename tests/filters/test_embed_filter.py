"""The filter as a value: the algebra of a projection, and what is saved is what is loaded."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest

from rarityir.filters import EmbedFilter, compose, spectrum
from rarityir.systems import Part
from rarityir.types import RarityError, UnknownName

V, D, K = 400, 24, 12
RNG = np.random.default_rng(0)
UNEMBED_VD = RNG.standard_normal((V, D)).astype(np.float32)
X_BD = RNG.standard_normal((50, D)).astype(np.float32)


@pytest.fixture
def fit(tmp_path):
    def fit(band: str = "edge:2", unembedding: np.ndarray = UNEMBED_VD) -> EmbedFilter:
        return EmbedFilter.fit(unembedding, band, cache=tmp_path / "cache")

    return fit


def cosines(x_BD: np.ndarray) -> np.ndarray:
    unit = x_BD / np.linalg.norm(x_BD, axis=1, keepdims=True)
    return unit @ unit.T


def distances(x_BD: np.ndarray) -> np.ndarray:
    return np.linalg.norm(x_BD[:, None] - x_BD[None], axis=2)


@pytest.mark.parametrize("band", ["edge:2", "tail:4", "head:3", "mid:2", "random:2,seed=5"])
def test_the_basis_spans_an_orthogonal_projection_of_its_rank(fit, band):
    found = fit(band)
    basis = found.basis.astype(np.float64)
    phi = basis.T @ basis
    assert found.basis.dtype == np.float32
    np.testing.assert_allclose(basis @ basis.T, np.eye(len(basis)), atol=1e-6)
    np.testing.assert_allclose(phi @ phi, phi, atol=1e-6)
    assert np.trace(phi) == pytest.approx(len(basis), abs=1e-5)


def test_kept_directions_pass_and_dropped_ones_vanish(fit, tmp_path):
    directions = spectrum(UNEMBED_VD, tmp_path / "cache").directions
    inside = np.zeros(D, bool)
    inside[6:18] = True
    found = fit("edge:2")
    back = found(directions) @ found.basis
    np.testing.assert_allclose(back[inside], directions[inside], atol=1e-6)
    np.testing.assert_allclose(back[~inside], 0, atol=1e-6)


def test_coordinates_compare_as_projections_in_the_full_width_do(tmp_path):
    basis = spectrum(UNEMBED_VD, tmp_path).directions[6:18]  # in float64, so that only the algebra is judged
    short, full = X_BD @ basis.T, X_BD @ (basis.T @ basis)
    for compare in (cosines, distances, lambda x: x @ x.T):
        np.testing.assert_allclose(compare(short), compare(full), atol=1e-12)


def test_applying_the_filter_is_one_product_in_float32(fit):
    found = fit()
    out = found(X_BD.astype(np.float64))
    assert out.dtype == np.float32
    assert out.shape == (len(X_BD), K)
    np.testing.assert_allclose(out, X_BD.astype(np.float64) @ found.basis.T.astype(np.float64), atol=1e-5)


def test_filtering_twice_is_filtering_once(fit):
    found = fit()
    once = found(X_BD)
    np.testing.assert_allclose(found(once @ found.basis), once, atol=1e-5)
    assert np.abs(once - X_BD[:, :K]).max() > 0.1


def test_what_edge_keeps_mid_drops_to_nothing(fit):
    edge, mid = fit("edge:2"), fit("mid:2")
    np.testing.assert_allclose(mid(edge(X_BD) @ edge.basis), 0, atol=1e-5)


def test_the_squared_norm_is_shared_out_between_edge_and_mid(fit):
    parts = [np.square(fit(band)(X_BD)).sum(axis=1) for band in ("edge:2", "mid:2")]
    np.testing.assert_allclose(sum(parts), np.square(X_BD).sum(axis=1), rtol=1e-5)
    assert min(part.min() for part in parts) > 0.1


def test_keeping_all_directions_changes_no_score(fit):
    out = fit("edge:1")(X_BD)
    assert out.shape == X_BD.shape
    np.testing.assert_allclose(out @ out.T, X_BD @ X_BD.T, atol=1e-4)


def test_rotating_the_hidden_space_leaves_all_cosines(fit):
    rotation = np.linalg.qr(np.random.default_rng(1).standard_normal((D, D)))[0]
    turned = fit(unembedding=(UNEMBED_VD @ rotation).astype(np.float32))
    np.testing.assert_allclose(cosines(turned(X_BD @ rotation)), cosines(fit()(X_BD)), atol=1e-4)
    assert np.abs(cosines(turned(X_BD)) - cosines(fit()(X_BD))).max() > 0.1


def test_vocabulary_order_row_signs_and_scale_leave_the_projection(fit):
    rng = np.random.default_rng(2)
    changed = (5 * UNEMBED_VD * rng.choice([-1, 1], (V, 1)))[rng.permutation(V)].astype(np.float32)
    before, after = fit().basis, fit(unembedding=changed).basis
    np.testing.assert_allclose(after.T @ after, before.T @ before, atol=1e-5)


def test_filtering_commutes_with_pooling_and_normalising(fit):
    found, weights = fit(), np.linspace(1, 2, len(X_BD))[:, None] / 75
    np.testing.assert_allclose(found((weights * X_BD).sum(axis=0)), (weights * found(X_BD)).sum(axis=0), atol=1e-5)
    unit = X_BD / np.linalg.norm(X_BD, axis=1, keepdims=True)
    np.testing.assert_allclose(cosines(found(unit)), cosines(found(X_BD)), atol=1e-5)


def test_an_array_its_spectrum_and_its_model_folder_give_one_filter(tmp_path, stories):
    found = spectrum(stories, tmp_path)
    by_spectrum, by_path = (EmbedFilter.fit(given, "edge:2", cache=tmp_path) for given in (found, stories))
    assert by_spectrum.digest == by_path.digest
    assert by_path.fitted_on == {**by_spectrum.fitted_on, "model": stories}
    assert by_path.fitted_on["unembedding_sha256"] == found.digest


def test_one_changed_entry_is_another_digest_and_the_same_matrix_the_same(fit):
    changed = UNEMBED_VD.copy()
    changed[7, 7] += 0.5
    first, again, other = fit(), fit(unembedding=UNEMBED_VD.copy()), fit(unembedding=changed)
    assert again.digest == first.digest
    assert other.digest != first.digest
    assert other.fitted_on != first.fitted_on


def test_embeddings_of_another_width_are_one_line_that_names_both(fit):
    with pytest.raises(RarityError, match=rf"^[^\n]*edge:2[^\n]*{D}[^\n]*{D + 1}[^\n]*$"):
        fit()(np.zeros((2, D + 1), np.float32))


def test_a_misspelt_band_names_the_near_one(fit):
    with pytest.raises(UnknownName, match="'egde'; did you mean edge"):
        fit("egde:2")


def test_a_cut_between_equal_singular_values_is_warned_of(fit, caplog):
    caplog.set_level(logging.WARNING)
    fit("edge:2")
    assert not caplog.records
    fit("edge:2", np.vstack([np.eye(D), np.eye(D)]).astype(np.float32))
    assert "edge:2" in caplog.text


def test_equal_singular_values_away_from_the_cut_are_no_matter(fit, caplog):
    caplog.set_level(logging.WARNING)
    fit("tail:2", np.diag(np.repeat([2.0, 1.0], K)).astype(np.float32))
    assert not caplog.records


def test_a_saved_filter_loads_bit_identical(fit, tmp_path):
    found = fit("random:3,seed=2")
    loaded = EmbedFilter.load(found.save(tmp_path / "saved"))
    assert loaded.basis.tobytes() == found.basis.tobytes()
    assert (loaded.name, loaded.fitted_on, loaded.digest) == (found.name, found.fitted_on, found.digest)
    assert loaded(X_BD).tobytes() == found(X_BD).tobytes()


def test_saving_what_was_loaded_writes_the_same_bytes(fit, tmp_path):
    first = fit().save(tmp_path / "first")
    second = EmbedFilter.load(first).save(tmp_path / "second")
    for name in ("filter.safetensors", "filter.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def flip_a_bit(folder):
    data = bytearray((folder / "filter.safetensors").read_bytes())
    data[-3] ^= 1
    (folder / "filter.safetensors").write_bytes(data)


def describe_another(folder):
    card = json.loads((folder / "filter.json").read_text())
    (folder / "filter.json").write_text(json.dumps({**card, "basis_sha256": "0" * 64}))


DAMAGES = {
    "one bit of the basis": flip_a_bit,
    "a card of another basis": describe_another,
    "half a basis": lambda folder: (folder / "filter.safetensors").write_bytes(b"\0" * 9),
    "no basis": lambda folder: (folder / "filter.safetensors").unlink(),
    "no card": lambda folder: (folder / "filter.json").unlink(),
    "a card that is no JSON": lambda folder: (folder / "filter.json").write_text("{"),
    "a card that is a list": lambda folder: (folder / "filter.json").write_text("[]"),
    "an empty card": lambda folder: (folder / "filter.json").write_text("{}"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_filter_that_is_not_what_its_card_says_is_one_line_that_names_the_folder(fit, tmp_path, damage):
    folder = fit().save(tmp_path / "saved")
    DAMAGES[damage](folder)
    with pytest.raises(RarityError, match=rf"^[^\n]*{folder}[^\n]*fit and save it again$"):
        EmbedFilter.load(folder)


def test_a_systems_filter_parts_become_one_filter_or_none(fit, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert compose([], UNEMBED_VD) is None
    assert compose([Part("edge", "2")], UNEMBED_VD).digest == fit("edge:2").digest
    with pytest.raises(RarityError, match=r"edge:2\+tail:2: one filter at a time"):
        compose([Part("edge", "2"), Part("tail", "2")], UNEMBED_VD)
