"""The filter as a value: the algebra of a projection, and what is saved is what is loaded."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
import tracemalloc
from importlib import import_module

import numpy as np
import pytest
from safetensors.numpy import load_file
from worlds import model_folder, source_of

from rarityir.counts import TokenCounts
from rarityir.filters import EmbedFilter, Source, Unembedding, spectrum
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


@pytest.mark.parametrize("band", ["edge:2", "tail:4", "head:3", "mid:2", "random:2,seed=5", "band:3-9", "offset:3,9", "cut:1,5"])
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


def test_rankings_by_coordinates_and_by_projections_are_the_same_ties_included(tmp_path):
    basis = spectrum(UNEMBED_VD, tmp_path).directions[6:18]
    x = np.vstack([X_BD, X_BD[::-1]]).astype(np.float64)  # every document twice, so that all scores tie
    short, full = x @ basis.T, x @ (basis.T @ basis)
    for compare in (cosines, lambda x: x @ x.T, lambda x: -distances(x)):
        ranks = [np.argsort(-np.round(compare(coordinates), 9), axis=1, kind="stable") for coordinates in (short, full)]
        assert np.array_equal(*ranks)


def test_logits_read_through_a_filter_are_those_without_the_dropped_part_of_the_spectrum(tmp_path, stories):
    unembed_VD = load_file(f"{stories}/model.safetensors")["model.embed_tokens.weight"].astype(np.float64)
    left, values, directions = np.linalg.svd(unembed_VD, full_matrices=False)
    found = EmbedFilter.fit(stories, "edge:2", cache=tmp_path)
    states = np.random.default_rng(6).standard_normal((9, 64)).astype(np.float32)
    logits = found(states) @ found.basis @ unembed_VD.T
    kept, dropped = np.r_[16:48], np.r_[0:16, 48:64]
    np.testing.assert_allclose(logits, states @ directions[kept].T * values[kept] @ left[:, kept].T, atol=1e-4)
    lost = states @ directions[dropped].T * values[dropped] @ left[:, dropped].T
    np.testing.assert_allclose(logits + lost, states @ unembed_VD.T, atol=1e-4)
    assert np.abs(lost).max() > 0.1


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


def test_an_array_a_source_and_a_model_folder_give_one_filter(tmp_path, stories):
    matrix = load_file(f"{stories}/model.safetensors")["model.embed_tokens.weight"].astype(np.float32)
    given = (matrix, Source(Unembedding.of(matrix), cache=tmp_path), stories, Source(Unembedding.of(stories), cache=tmp_path))
    by_array, *others = (EmbedFilter.fit(one, "edge:2", cache=tmp_path) for one in given)
    assert [found.digest for found in others] == [by_array.digest] * 3
    assert others[0].fitted_on == by_array.fitted_on
    assert others[1].fitted_on == others[2].fitted_on == {**by_array.fitted_on, **others[1].fitted_on}
    assert others[1].fitted_on.keys() - by_array.fitted_on.keys() == {"model", "revision"}
    assert others[1].fitted_on["model"] == "stories260K"
    assert by_array.fitted_on["unembedding_sha256"] == spectrum(stories, tmp_path).digest


def test_a_source_computes_one_spectrum_for_all_its_filters(tmp_path, monkeypatch):
    module = import_module("rarityir.filters.spectrum")
    computed, plain = [], module.decompose
    monkeypatch.setattr(module, "decompose", lambda *given: computed.append(given) or plain(*given))
    source = Source(Unembedding.of(UNEMBED_VD), cache=tmp_path)
    names = ("edge:2", "tail:2", "cut:3,4", "random:3")
    assert len({EmbedFilter.fit(source, name).digest for name in names}) == len(names)
    assert len(computed) == 1
    EmbedFilter.fit(Source(Unembedding.of(UNEMBED_VD), cache=tmp_path), "edge:2,center=yes")
    assert len(computed) == 2


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


@pytest.mark.parametrize("shape", [(D,), (1, D), (0, D), (2, 3, D)])
def test_any_batch_of_embeddings_keeps_its_shape_but_for_the_width(fit, shape):
    x = np.random.default_rng(3).standard_normal(shape).astype(np.float32)
    assert fit()(x).shape == (*shape[:-1], K)


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int64])
def test_embeddings_of_any_number_type_come_out_in_float32(fit, dtype):
    x = np.arange(2 * D).reshape(2, D).astype(dtype)
    assert fit()(x).dtype == np.float32
    np.testing.assert_allclose(fit()(x), fit()(x.astype(np.float32)))


def test_a_hundred_thousand_embeddings_are_filtered_as_numpy_would(tmp_path, stories):
    chosen = EmbedFilter.load(EmbedFilter.fit(stories, "edge:2", cache=tmp_path).save(tmp_path / "saved"))
    _, _, directions = np.linalg.svd(load_file(f"{stories}/model.safetensors")["model.embed_tokens.weight"].astype(np.float64))
    x = np.random.default_rng(4).standard_normal((100_000, 64)).astype(np.float32)
    out, full = chosen(x), x @ directions[16:48].T.astype(np.float32)
    assert out.shape == (100_000, 32)
    np.testing.assert_allclose(np.abs(out), np.abs(full), atol=2e-5)  # a singular vector's sign is nobody's
    np.testing.assert_allclose(np.square(out).sum(axis=1), np.square(full).sum(axis=1), rtol=1e-4)


def test_a_stream_of_blocks_is_filtered_block_by_block(fit):
    found, asked = fit(), []

    def blocks():
        for start in range(0, 50, 20):
            asked.append(start)
            yield X_BD[start : start + 20]

    stream = found.stream(blocks())
    assert asked == []
    first = next(stream)
    assert asked == [0]
    np.testing.assert_array_equal(np.concatenate([first, *stream]), np.concatenate([found(b) for b in blocks()]))


def test_a_memory_mapped_file_is_filtered_without_being_read_whole(fit, tmp_path):
    np.save(tmp_path / "x.npy", np.ones((100_000, D), np.float32))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    found = fit()
    tracemalloc.start()
    for block in found.stream(mapped[start : start + 1000] for start in range(0, len(mapped), 1000)):
        assert block.shape == (1000, K)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


def test_fitting_changes_neither_the_matrix_nor_the_embeddings(tmp_path):
    matrix, x = UNEMBED_VD.copy(), X_BD.copy()
    EmbedFilter.fit(matrix, "edge:2,center=yes+whiten:8", embeddings=x, cache=tmp_path, device="cpu:0")
    EmbedFilter.fit(matrix, "center+edge:2", embeddings=x, cache=tmp_path)
    assert np.array_equal(matrix, UNEMBED_VD)
    assert np.array_equal(x, X_BD)


def test_a_misspelt_band_names_the_near_one(fit):
    with pytest.raises(UnknownName, match="'egde'; did you mean edge"):
        fit("egde:2")


CUTS = ("edge:2", "tail:2", "head:2", "mid:2", "random:2", "band:3-9", "offset:3,9", "cut:3,4")


@pytest.mark.parametrize("band", CUTS)
def test_a_cut_between_equal_singular_values_is_warned_of(fit, caplog, band):
    caplog.set_level(logging.WARNING)
    fit(band)
    assert not caplog.records
    fit(band, np.vstack([np.eye(D), np.eye(D)]).astype(np.float32))
    assert f"{band} cuts between singular values that are equal" in caplog.text


def test_auto_warns_of_a_cut_between_equal_singular_values(tmp_path, caplog):
    column = np.arange(480) % D  # every row has one entry, so that all singular values are equal
    counts = TokenCounts(np.where(column == D - 1, 10**6, 1), "one column")
    found = EmbedFilter.auto(np.eye(D, dtype=np.float32)[column], counts=counts, cache=tmp_path)
    assert found.fitted_on["auto"]["cut"] == "cut:1,0"
    assert "cut:1,0 cuts between singular values that are equal" in caplog.text


@pytest.mark.parametrize("rank", [1, 6, 17])
@pytest.mark.parametrize("seed", range(4))
def test_a_cut_among_directions_no_row_has_is_warned_of(fit, caplog, rank, seed):
    rng = np.random.default_rng(seed)
    matrix = (rng.standard_normal((V, rank)) @ rng.standard_normal((rank, D))).astype(np.float32)
    fit("cut:0,1", matrix)
    assert "cut:0,1 cuts between singular values that are equal" in caplog.text
    caplog.clear()
    fit(f"cut:0,{D - rank}", matrix)
    assert not caplog.records


@pytest.mark.parametrize("seed", range(10))
def test_a_cut_between_two_directions_no_row_has_is_warned_of_whatever_rounding_makes_of_them(fit, caplog, seed):
    matrix = np.random.default_rng(seed).standard_normal((V, D)).astype(np.float32)
    matrix[:, 0] = matrix[:, 2] = matrix[:, 1]
    fit("cut:0,1", matrix)
    assert "cut:0,1 cuts between singular values that are equal" in caplog.text


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
    assert loaded.mean is None


def test_a_saved_filter_keeps_its_mean_bit_by_bit(tmp_path):
    found = EmbedFilter.fit(UNEMBED_VD, "edge:2+whiten:8", embeddings=X_BD + 3, cache=tmp_path)
    loaded = EmbedFilter.load(found.save(tmp_path / "saved"))
    assert loaded.mean.dtype == np.float32
    assert loaded.mean.tobytes() == found.mean.tobytes()
    assert loaded.fitted_on == found.fitted_on
    assert loaded.fitted_on["documents"]["count"] == len(X_BD)
    assert loaded(X_BD).tobytes() == found(X_BD).tobytes()


@pytest.mark.parametrize("name", ["edge:2", "center", "pca:5", "center+edge:2+whiten:6"])
def test_basis_and_bias_are_the_weights_of_a_linear_layer(tmp_path, name):
    found = EmbedFilter.fit(UNEMBED_VD, name, embeddings=X_BD + 3, cache=tmp_path)
    assert found.bias.dtype == np.float32
    assert found.bias.shape == (len(found.basis),)
    assert (np.abs(found.bias).max() > 0.1) == (name != "edge:2")
    np.testing.assert_allclose(X_BD @ found.basis.T + found.bias, found(X_BD), atol=2e-5)


def test_the_digest_is_of_the_basis_and_of_the_mean(tmp_path):
    found = EmbedFilter.fit(UNEMBED_VD, "pca:5", embeddings=X_BD, cache=tmp_path)
    moved, bare = (EmbedFilter(found.name, found.basis, found.fitted_on, mean) for mean in (found.mean + 1, None))
    assert len({found.digest, moved.digest, bare.digest}) == 3
    assert EmbedFilter("another name", found.basis, {}, found.mean).digest == found.digest
    assert EmbedFilter(found.name, np.asfortranarray(found.basis), {}, found.mean).digest == found.digest


def test_a_filter_names_both_models_when_it_is_of_another(fit, tmp_path):
    matrix = np.random.default_rng(5).standard_normal((520, D)).astype(np.float32)
    found = EmbedFilter.fit(model_folder(tmp_path / "one-model", matrix), "edge:2", cache=tmp_path)
    sha = found.fitted_on["unembedding_sha256"]
    found.check_model("one-model", sha)
    with pytest.raises(RarityError, match=rf"^filter edge:2 was fitted on one-model \(.*{sha[:12]}\), not on two \(0{{12}}\)"):
        found.check_model("two", "0" * 64)
    with pytest.raises(RarityError, match="another matrix"):
        fit().check_model("two", "0" * 64)


def test_a_filter_of_documents_alone_suits_any_model(fit):
    EmbedFilter.fit(source_of(None, None, documents=X_BD), "pca:5").check_model("any", "0" * 64)


def test_a_saved_filter_carries_a_card_for_people(tmp_path):
    found = EmbedFilter.fit(UNEMBED_VD, "pca:5", embeddings=X_BD, cache=tmp_path)
    plain = EmbedFilter.fit(UNEMBED_VD, "edge:2", cache=tmp_path)
    card, other = ((f.save(tmp_path / f.name[:4]) / "README.md").read_text() for f in (found, plain))
    assert card.startswith("---\nlibrary_name: rarityir\n")
    assert "# pca:5" in card
    assert "from 24 to 5 coordinates" in card
    assert "`basis` and `mean`" in card
    assert "no mean" not in card
    assert "has no mean" in other
    assert "`mean`" not in other
    assert json.loads(re.search(r"```json\n(.*?)```", card, re.DOTALL)[1]) == found.fitted_on
    code = re.search(r"```python\n(.*?)```", card, re.DOTALL)[1].replace("path/to/this/folder", str(tmp_path / "pca:"))
    names = {"embeddings": X_BD}
    exec(code, names)
    np.testing.assert_array_equal(names["smaller"], found(X_BD))


def test_the_card_for_programs_says_what_the_filter_is(fit, tmp_path):
    found = fit("edge:3")
    card = json.loads((found.save(tmp_path / "saved") / "filter.json").read_text())
    assert (card["name"], card["kept"], card["width"], card["sha256"]) == ("edge:3", 8, D, found.digest)
    assert card["fitted_on"] == found.fitted_on
    assert {path.name for path in (tmp_path / "saved").iterdir()} == {"model.safetensors", "filter.json", "README.md"}


def test_a_saved_filter_loads_and_filters_without_torch(fit, tmp_path):
    folder = fit().save(tmp_path / "saved")
    np.save(tmp_path / "x.npy", X_BD)
    code = f"""
import sys
import numpy as np
from rarityir import EmbedFilter
np.save({str(tmp_path / "out.npy")!r}, EmbedFilter.load({str(folder)!r})(np.load({str(tmp_path / "x.npy")!r})))
print(sorted(sys.modules.keys() & {{"torch", "transformers", "scipy", "tokenizers", "faiss", "huggingface_hub"}}))
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ})
    assert ran.stdout.strip() == "[]"
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), fit()(X_BD))


def test_fitting_on_an_array_needs_no_torch_either(tmp_path):
    code = f"""
import sys
from pathlib import Path
import numpy as np
from rarityir import EmbedFilter
x = np.random.default_rng(0).standard_normal((90, 6))
EmbedFilter.fit(x, "edge:2+whiten:2", embeddings=x, cache=Path({str(tmp_path)!r}))
print(sorted(sys.modules.keys() & {{"torch", "transformers", "scipy", "faiss", "huggingface_hub"}}))
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ})
    assert ran.stdout.strip() == "[]"


def test_saving_what_was_loaded_writes_the_same_bytes(fit, tmp_path):
    first = fit().save(tmp_path / "first")
    second = EmbedFilter.load(first).save(tmp_path / "second")
    for name in ("model.safetensors", "filter.json", "README.md"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def flip_a_bit(folder):
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[-3] ^= 1
    (folder / "model.safetensors").write_bytes(data)


def describe_another(folder):
    card = json.loads((folder / "filter.json").read_text())
    (folder / "filter.json").write_text(json.dumps({**card, "sha256": "0" * 64}))


DAMAGES = {
    "one bit of the basis": flip_a_bit,
    "a card of another basis": describe_another,
    "half a basis": lambda folder: (folder / "model.safetensors").write_bytes(b"\0" * 9),
    "no basis": lambda folder: (folder / "model.safetensors").unlink(),
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
