"""The spectrum of an unembedding against numpy's full SVD in float64, and the cache that must not serve another matrix."""

from __future__ import annotations

import tracemalloc
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from worlds import model_folder

from rarityir.filters import Reading, Unembedding, spectrum
from rarityir.filters.gram import axes, gram
from rarityir.types import RarityError

MODULE = import_module("rarityir.filters.spectrum")  # the package's attribute of that name is the function
UNEMBEDDING = import_module("rarityir.filters.unembedding")
V, D = 500, 32
MIDDLE = slice(D // 4, D // 4 + D // 2)


def planted(condition: float, seed: int = 0) -> np.ndarray:
    """A (V, D) float32 matrix of the given condition whose singular values jump where the middle half begins and ends."""
    rng = np.random.default_rng(seed)
    steps = np.ones(D - 1)
    steps[[MIDDLE.start - 1, MIDDLE.stop - 1]] = 5
    values = condition ** -(np.concatenate([[0], np.cumsum(steps)]) / steps.sum())
    left, right = (np.linalg.qr(rng.standard_normal((n, D)))[0] for n in (V, D))
    return ((left * values) @ right.T).astype(np.float32)


def projector(rows: np.ndarray) -> np.ndarray:
    return rows[MIDDLE].T @ rows[MIDDLE]


def by_svd(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    _, values, directions = np.linalg.svd(matrix.astype(np.float64), full_matrices=False)
    return values, directions


@pytest.mark.parametrize("block", [1, 7, 8192, V])
@pytest.mark.parametrize("condition", [1e2, 1e4, 1e6])
def test_the_middle_of_the_spectrum_is_that_of_a_full_svd(tmp_path, monkeypatch, condition, block):
    monkeypatch.setattr(UNEMBEDDING, "ENTRIES", block * D)
    matrix = planted(condition)
    found, (values, directions) = spectrum(matrix, tmp_path), by_svd(matrix)
    assert np.linalg.norm(projector(found.directions) - projector(directions), 2) < 1e-6
    np.testing.assert_allclose(found.values, values, rtol=0, atol=1e-8 * values[0])


def test_float32_accumulation_would_lose_the_middle_of_an_ill_conditioned_spectrum(tmp_path):
    matrix = planted(1e6)
    gram = np.zeros((D, D), np.float32)
    for start in range(0, V, 7):
        gram += matrix[start : start + 7].T @ matrix[start : start + 7]
    careless = np.linalg.eigh(gram.astype(np.float64))[1].T[::-1]
    reference = projector(by_svd(matrix)[1])
    assert np.linalg.norm(projector(careless) - reference, 2) > 0.1
    assert np.linalg.norm(projector(spectrum(matrix, tmp_path).directions) - reference, 2) < 1e-6


@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_a_matrix_of_any_shape_is_put_together_again_by_its_spectrum(rows, width, seed):
    matrix = np.random.default_rng(seed).integers(-9, 10, (rows, width)).astype(np.float32)
    matrix[0, 0] = 1  # so that not all entries are zero
    found = MODULE.decompose(Unembedding.of(matrix))
    np.testing.assert_allclose(found.directions @ found.directions.T, np.eye(width), atol=1e-12)
    np.testing.assert_allclose(
        (found.directions.T * found.values**2) @ found.directions, matrix.T @ matrix, atol=1e-9 * 9**2 * 40
    )
    assert (np.diff(found.values) <= 0).all()
    assert (found.vocabulary, found.values[-1] >= 0) == (rows, True)


def test_directions_are_orthonormal_and_values_fall(tmp_path):
    found = spectrum(planted(1e4), tmp_path)
    np.testing.assert_allclose(found.directions @ found.directions.T, np.eye(D), atol=1e-12)
    assert (np.diff(found.values) < 0).all()
    assert found.vocabulary == V


def test_the_largest_entry_of_every_direction_is_positive(tmp_path):
    directions = spectrum(planted(1e2), tmp_path).directions
    peaks = np.take_along_axis(directions, np.abs(directions).argmax(axis=1)[:, None], axis=1)
    assert (peaks > 0).all()
    assert (directions < 0).any()


def changes_that_leave_the_right_singular_vectors() -> dict[str, np.ndarray]:
    rng, matrix = np.random.default_rng(1), planted(1e2)
    return {
        "rows permuted": matrix[rng.permutation(V)],
        "rows negated": matrix * rng.choice([-1, 1], (V, 1)),
        "all negated": -matrix,
        "scaled": matrix * 3,
        "vocabulary rotated": np.linalg.qr(rng.standard_normal((V, V)))[0] @ matrix,
    }


@pytest.mark.parametrize("change", changes_that_leave_the_right_singular_vectors())
def test_directions_and_their_signs_survive_what_the_left_side_alone_changes(tmp_path, change):
    changed = changes_that_leave_the_right_singular_vectors()[change].astype(np.float32)
    found, before = spectrum(changed, tmp_path), spectrum(planted(1e2), tmp_path)
    np.testing.assert_allclose(found.directions, before.directions, atol=2e-5)
    assert found.digest != before.digest


def test_a_cache_hit_computes_nothing_and_is_bit_identical(tmp_path, monkeypatch):
    first = spectrum(planted(1e2), tmp_path)
    monkeypatch.setattr(MODULE, "decompose", lambda *_: pytest.fail("a cached spectrum was computed anew"))
    again = spectrum(planted(1e2), tmp_path)
    assert again.directions.tobytes() == first.directions.tobytes()
    assert again.values.tobytes() == first.values.tobytes()
    assert (again.digest, again.vocabulary) == (first.digest, first.vocabulary)


def test_one_changed_entry_is_another_digest_and_another_spectrum(tmp_path):
    matrix = planted(1e2)
    first = spectrum(matrix, tmp_path)
    matrix[3, 4] += 1
    other = spectrum(matrix, tmp_path)
    assert other.digest != first.digest
    assert np.linalg.norm(projector(other.directions) - projector(by_svd(matrix)[1]), 2) < 1e-6
    assert len(list(tmp_path.glob("spectrum-*"))) == 2


def test_the_same_entries_in_another_shape_are_another_digest(tmp_path):
    matrix = planted(1e2)
    assert spectrum(matrix.reshape(2 * V, D // 2), tmp_path).digest != spectrum(matrix, tmp_path).digest


@pytest.mark.parametrize("damage", [b"", b"no safetensors at all"])
def test_a_damaged_cache_file_is_computed_anew(tmp_path, damage):
    first = spectrum(planted(1e2), tmp_path)
    (path,) = tmp_path.glob("spectrum-*")
    path.write_bytes(damage)
    assert spectrum(planted(1e2), tmp_path).directions.tobytes() == first.directions.tobytes()
    assert path.stat().st_size > 8 * D * D


def test_a_cache_file_that_holds_the_spectrum_of_another_width_is_computed_anew(tmp_path):
    first = spectrum(planted(1e2), tmp_path)
    (path,) = tmp_path.glob("spectrum-*")
    other = spectrum(planted(1e2)[:, : D // 2], tmp_path / "other")
    save_file({"values": other.values, "directions": other.directions}, path)
    assert spectrum(planted(1e2), tmp_path).directions.tobytes() == first.directions.tobytes()


def test_the_digest_depends_on_the_entries_and_not_on_how_they_lie_in_memory(tmp_path, monkeypatch):
    matrix = planted(1e2)
    digest = spectrum(matrix, tmp_path / "a").digest
    monkeypatch.setattr(UNEMBEDDING, "ENTRIES", 7 * D)
    assert spectrum(np.asfortranarray(matrix), tmp_path / "b").digest == digest
    assert spectrum(matrix.astype(np.float64), tmp_path / "c").digest == digest


def test_a_model_folder_and_its_matrix_give_the_same_spectrum(tmp_path, stories):
    matrix = load_file(f"{stories}/model.safetensors")["model.embed_tokens.weight"].astype(np.float32)
    by_path, by_array = spectrum(stories, tmp_path / "a"), spectrum(matrix, tmp_path / "b")
    assert by_path.digest == by_array.digest
    assert by_path.directions.tobytes() == by_array.directions.tobytes()
    assert (by_path.vocabulary, len(by_path.values)) == matrix.shape


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_an_entry_that_is_not_finite_is_one_line(tmp_path, bad):
    matrix = planted(1e2)
    matrix[5] = bad
    with pytest.raises(RarityError, match=r"^[^\n]*not finite[^\n]*$"):
        spectrum(matrix, tmp_path)
    assert not list(tmp_path.glob("spectrum-*"))


@pytest.mark.parametrize("shape", [(7,), (2, 3, 4), (0, 3)])
def test_what_is_no_matrix_is_one_line(tmp_path, shape):
    with pytest.raises(RarityError, match=r"^[^\n]*\(V, D\)[^\n]*$"):
        spectrum(np.ones(shape, np.float32), tmp_path)


def test_centred_rows_are_those_less_their_mean(tmp_path):
    matrix = planted(1e2) + np.linspace(0, 1, D, dtype=np.float32)
    found, plain = (spectrum(matrix, tmp_path, how) for how in (Reading(center=True), Reading()))
    values, directions = by_svd(matrix - matrix.astype(np.float64).mean(axis=0))
    np.testing.assert_allclose(found.values, values, atol=1e-7 * values[0])
    np.testing.assert_allclose(np.abs((found.directions * directions).sum(axis=1)), 1, atol=1e-9)
    assert np.linalg.norm(projector(plain.directions) - projector(directions), 2) > 0.1
    assert found.digest == plain.digest
    assert len(list(tmp_path.glob("spectrum-*"))) == 2


def test_the_cache_tells_readings_apart_and_serves_each_its_own(tmp_path, monkeypatch):
    matrix = np.random.default_rng(0).standard_normal((520, 8)).astype(np.float32)
    gain = {"weight": np.linspace(1, 5, 8, dtype=np.float32)}
    folder = model_folder(tmp_path / "model", matrix, gain)
    readings = [Reading(rows, center, gain) for rows in ("all", "real") for center in (False, True) for gain in (False, True)]
    first = [spectrum(folder, tmp_path / "cache", how) for how in readings]
    assert len({found.values.tobytes() for found in first}) == len(readings)
    assert len({found.digest for found in first}) == 1
    monkeypatch.setattr(MODULE, "decompose", lambda *_: pytest.fail("a cached spectrum was computed anew"))
    again = [spectrum(folder, tmp_path / "cache", how) for how in readings]
    assert [found.directions.tobytes() for found in again] == [found.directions.tobytes() for found in first]


def test_two_models_with_one_unembedding_and_other_final_norms_do_not_share_a_folded_spectrum(tmp_path):
    matrix = np.random.default_rng(0).standard_normal((520, 8)).astype(np.float32)
    gains = np.linspace(1, 5, 8, dtype=np.float32), np.linspace(5, 1, 8, dtype=np.float32)
    folders = [model_folder(tmp_path / name, matrix, {"weight": gain}) for name, gain in zip("ab", gains, strict=True)]
    found = [spectrum(folder, tmp_path / "cache", Reading(gain=True)) for folder in folders]
    for one, gain in zip(found, gains, strict=True):
        np.testing.assert_allclose(one.values, by_svd(matrix * gain)[0], rtol=1e-6)
    plain = [spectrum(folder, tmp_path / "cache") for folder in folders]
    assert plain[0].directions.tobytes() == plain[1].directions.tobytes()
    assert len(list((tmp_path / "cache").iterdir())) == 3


def test_two_models_with_one_unembedding_and_other_special_tokens_do_not_share_a_spectrum_of_real_rows(tmp_path):
    matrix = np.random.default_rng(0).standard_normal((520, 8)).astype(np.float32)
    folders = [model_folder(tmp_path / name, matrix) for name in "ab"]
    tokenizer = Path(folders[1]) / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text().replace('"special": true', '"special": false'))
    with_specials, without = (spectrum(folder, tmp_path / "cache", Reading(rows="real")).values for folder in folders)
    np.testing.assert_allclose(with_specials, by_svd(matrix[3:512])[0], rtol=1e-6)
    np.testing.assert_allclose(without, by_svd(matrix[:512])[0], rtol=1e-6)


def test_the_rows_are_never_held_in_float64_together(tmp_path, monkeypatch):
    monkeypatch.setattr(UNEMBEDDING, "ENTRIES", 100_000)
    matrix = np.ones((150_000, 16), np.float32)
    tracemalloc.start()
    spectrum(matrix, tmp_path, Reading(center=True))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < matrix.nbytes  # half of what they would take in float64


# The branch for a GPU, run on the CPU


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_torch_accumulates_what_numpy_does(centred, dtype):
    matrix = (planted(1e4) + 0.1).astype(dtype)
    mean = matrix.astype(np.float64).mean(axis=0) if centred else None
    blocks = [matrix[:3], matrix[3:200], matrix[200:]]
    before = matrix.copy()
    by_torch, by_numpy = (gram(blocks, D, mean, device) for device in ("cpu:0", "cpu"))
    assert by_torch.dtype == np.float64
    np.testing.assert_allclose(by_torch, by_numpy, rtol=1e-12, atol=1e-13)
    np.testing.assert_array_equal(matrix, before)
    centre = 0 if mean is None else mean
    np.testing.assert_allclose(by_torch, (matrix.astype(np.float64) - centre).T @ (matrix - centre), rtol=1e-9, atol=1e-10)


def test_torch_finds_the_axes_that_numpy_finds():
    values, directions = by_svd(planted(1e2))
    found = axes((directions.T * values**2) @ directions, "cpu:0")
    expected = axes((directions.T * values**2) @ directions)
    np.testing.assert_allclose(found[0], expected[0], atol=1e-12)
    np.testing.assert_allclose(found[1], expected[1], atol=1e-8)


def test_torch_keeps_the_middle_of_an_ill_conditioned_spectrum_too(tmp_path):
    found = spectrum(planted(1e6), tmp_path, device="cpu:0")
    assert np.linalg.norm(projector(found.directions) - projector(by_svd(planted(1e6))[1]), 2) < 1e-6


def test_torch_reads_a_memory_mapped_file_and_rows_that_do_not_lie_side_by_side(tmp_path):
    np.save(tmp_path / "rows.npy", planted(1e2))
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    expected = gram([planted(1e2)], D)
    np.testing.assert_allclose(gram([mapped], D, None, "cpu:0"), expected, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(gram([np.asfortranarray(mapped)[::-1]], D, None, "cpu:0"), expected, rtol=1e-12, atol=1e-13)
