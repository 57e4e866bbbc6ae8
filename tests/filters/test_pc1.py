"""`pc1` against its formulas in numpy, planted worlds where u_1 hides what a text is about, and twins moved along it."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from worlds import affine, apart, source_of

from rarityir import store
from rarityir.filters import EmbedFilter, Source, identity
from rarityir.systems import Part
from rarityir.types import RarityError, StaleArtefact

N, D = 240, 14
RNG = np.random.default_rng(0)
TURN = np.linalg.qr(RNG.standard_normal((D, D)))[0]
H_ND = ((RNG.standard_normal((N, D)) * np.geomspace(3, 0.3, D) + np.geomspace(5, 0.2, D)) @ TURN).astype(np.float32)
X_ND = H_ND.astype(np.float64)
U = np.linalg.svd(X_ND, full_matrices=False)[2]
U *= np.sign(U @ X_ND.mean(axis=0))[:, None]
W_VD = RNG.standard_normal((200, D)) * np.geomspace(6, 1, D)
DIGEST = "d" * 64


def of(h_ND: np.ndarray = H_ND, **facts: str) -> Source:
    """A source of an encoder's documents; with no facts, of an array."""
    return replace(source_of(None, None, documents=h_ND, block=100), documents_facts=facts)


def stored(folder: Path, h_ND: np.ndarray, seconds: float = 1.0, **more: object) -> Path:
    """A folder as `rarityir encode` writes it."""
    said = {
        "documents": DIGEST,
        "block": 100,
        "encoder.model": "twin",
        "encoder.revision": "r",
        "encoder.pooling": "mean",
        **more,
    }
    facts = {"documents": len(h_ND), "dim": h_ND.shape[1], "build_seconds": seconds}
    with store.building(folder, said, facts):
        for i in range(0, len(h_ND), 100):
            np.save(folder / f"{i // 100:06d}.npy", h_ND[i : i + 100])
    return folder


def cosines(x_BD: np.ndarray) -> np.ndarray:
    unit = x_BD / np.linalg.norm(x_BD, axis=1, keepdims=True)
    return unit @ unit.T


# the maps


def test_projected_texts_compare_as_vectors_without_their_first_uncentred_component_do() -> None:
    found = affine("pc1", of())
    out, expected = found(X_ND), X_ND - np.outer(X_ND @ U[0], U[0])
    assert out.shape == (N, D - 1)
    assert found.mean is None
    np.testing.assert_allclose(cosines(out), cosines(expected), atol=1e-9)
    np.testing.assert_allclose(np.square(out).sum(axis=1), np.square(expected).sum(axis=1), rtol=1e-9)
    np.testing.assert_allclose(out @ found.basis, expected, atol=1e-9)
    assert np.abs(cosines(out) - cosines(X_ND)).max() > 0.1
    assert apart(found.basis, affine("abtt:1", of()).basis) > 0.1, "abtt centres, pc1 does not"


def test_twice_projected_is_without_the_two_first_components() -> None:
    assert apart(affine("pc1+pc1", of()).basis, U[2:]) < 1e-6


def test_without_its_mean_along_u_1_every_text_has_moved_alike() -> None:
    out = affine("pc1:mean", of())(X_ND)
    np.testing.assert_allclose(out, X_ND - (X_ND @ U[0]).mean() * U[0], atol=1e-9)
    assert (out @ U[0]).mean() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("given", ["-47", "0.59", "0", "-3e-2", "1e2"])
def test_a_number_moves_every_text_by_so_many_lengths_of_u_1(given: str) -> None:
    out = affine(f"pc1:{given}", of())(X_ND)
    np.testing.assert_allclose(out, X_ND + float(given) * U[0], atol=1e-8)


def test_what_was_fitted_is_said() -> None:
    share, mean = np.square(X_ND @ U[0]).sum() / np.square(X_ND).sum(), (X_ND @ U[0]).mean()
    for name, move in (("pc1", None), ("pc1:mean", -mean), ("pc1:-4.5", -4.5)):
        facts = affine(name, of(H_ND, sha256=DIGEST, encoder="demo")).facts
        assert facts["documents"] == {"count": N, "sha256": DIGEST, "encoder": "demo"}
        assert facts["pc1"].keys() == {"lambda", "energy_share", "mean_coefficient"}
        assert facts["pc1"]["lambda"] == (None if move is None else pytest.approx(move))
        assert facts["pc1"]["energy_share"] == pytest.approx(share, abs=1e-6)
        assert facts["pc1"]["mean_coefficient"] == pytest.approx(mean, abs=1e-6)


@pytest.mark.parametrize("name", ["pc1", "pc1:mean", "pc1:-7.5"])
def test_a_turned_eigenvector_changes_no_bit_of_what_comes_out(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected, eigh = EmbedFilter.fit(of(), name), np.linalg.eigh
    for signs in (-np.ones(D), np.random.default_rng(1).choice([-1.0, 1.0], D), np.r_[np.ones(D - 1), -1]):
        monkeypatch.setattr(np.linalg, "eigh", lambda m, signs=signs: (eigh(m)[0], eigh(m)[1] * signs))
        found = EmbedFilter.fit(of(), name)
        assert found.digest == expected.digest
        assert found(H_ND).tobytes() == expected(H_ND).tobytes()


@pytest.mark.parametrize("name", ["pc1", "pc1:mean", "pc1:-7.5"])
def test_a_space_that_is_turned_or_mirrored_gives_the_same_texts_turned(name: str) -> None:
    expected = affine(name, of())(X_ND)
    for turn in (TURN, -np.eye(D), np.eye(D)[::-1]):
        out = affine(name, of(X_ND @ turn))(X_ND @ turn)
        np.testing.assert_allclose(out @ out.T, expected @ expected.T, atol=1e-6)


# in company


@pytest.mark.parametrize("before", ["edge:2", "center", "edge:1.5+pca:6", "abtt:2", "truncate:5"])
def test_behind_other_filters_u_1_is_that_of_what_they_let_through(before: str, tmp_path: Path) -> None:
    source = source_of(W_VD, tmp_path, documents=X_ND + 1)
    y = affine(before, source)(X_ND + 1)
    u = np.linalg.svd(y, full_matrices=False)[2][0]
    out = affine(f"{before}+pc1", source)(X_ND + 1)
    expected = y - np.outer(y @ u, u)
    np.testing.assert_allclose(out @ out.T, expected @ expected.T, atol=1e-7)
    moved = affine(f"{before}+pc1:mean", source)(X_ND + 1)
    np.testing.assert_allclose(moved, y - np.outer(np.full(N, (y @ u).mean()), u), atol=1e-7)


def test_other_filters_behind_are_fitted_on_what_pc1_leaves(tmp_path: Path) -> None:
    source = source_of(W_VD, tmp_path, documents=X_ND)
    left = X_ND - np.outer(X_ND @ U[0], U[0])
    kept = np.linalg.svd(left - left.mean(axis=0), full_matrices=False)[2][:3]
    assert apart(affine("pc1+pca:3", source).basis, kept) < 1e-7


# planted alignment: 500 orthonormal token rows, 20 of them written into every text, 6 of a text's own

ROWS, COMMON, OWN, WIDTH, TEXTS, SEEDS = 500, 20, 6, 512, 300, 12


def planted(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Token rows (500, 512), embeddings (300, 512) and each text's own tokens (300, 6)."""
    rng = np.random.default_rng(seed)
    rows = np.eye(WIDTH)
    for v in rng.standard_normal((3, WIDTH)):  # reflections, which are quicker than a decomposition
        rows -= np.outer(rows @ v, 2 / (v @ v) * v)
    rows = rows[:ROWS]
    own = COMMON + np.argsort(rng.random((TEXTS, ROWS - COMMON)), axis=1)[:, :OWN]
    said = np.einsum("bk,bkd->bd", rng.uniform(1, 2, (TEXTS, OWN)), rows[own])
    common = 5 * (1 + 0.1 * rng.standard_normal((TEXTS, 1))) * rows[:COMMON].sum(axis=0)
    return rows, said + common, own


def hit(logits: np.ndarray, tokens: np.ndarray) -> float:
    """The share of texts of whose tokens one is among its five best."""
    best = np.argsort(-logits, axis=1, kind="stable")[:, :5]
    return float(np.mean([bool({*b} & {*t}) for b, t in zip(best.tolist(), tokens.tolist(), strict=True)]))


def test_what_texts_are_about_is_read_once_u_1_is_off_and_is_their_own() -> None:
    others = []
    for seed in range(SEEDS):
        rows, h, own = planted(seed)
        assert hit(h @ rows.T, own) < 0.05
        source = of(h)
        for name in ("pc1", "pc1:mean"):
            found = affine(name, source)
            logits = found(h) @ found.basis @ rows.T
            assert hit(logits, own) > 0.95
            assert hit(logits, np.roll(own, 1, axis=0)) < 0.2
            others.append(hit(logits, np.roll(own, 1, axis=0)))
    assert np.mean(others) == pytest.approx(OWN * 5 / (ROWS - COMMON), abs=0.01)


# twins


@pytest.mark.parametrize("move", [-47.0, 3.25, 0.0])
def test_the_move_is_the_twin_s_along_u_1(move: float, tmp_path: Path) -> None:
    noise = RNG.standard_normal((N, D))
    noise -= noise.mean(axis=0)
    twin = stored(tmp_path / "twin", X_ND + move * U[0] + 2 * U[3] + noise)
    found = affine(f"pc1:twin={twin}", of(H_ND, encoder="demo", sha256=DIGEST))
    np.testing.assert_allclose(found(X_ND), X_ND + move * U[0], atol=1e-6)
    assert found.facts["pc1"]["lambda"] == pytest.approx(move, abs=1e-6)
    said = found.facts["pc1"]["twin"]
    assert (said["model"], said["revision"], said["pooling"], len(said["sha256"])) == ("twin", "r", "mean", 64)


def test_noise_of_a_twin_is_averaged_out(tmp_path: Path) -> None:
    twin = stored(tmp_path / "twin", X_ND - 9 * U[0] + RNG.standard_normal((N, D)))
    assert affine(f"pc1:twin={twin}", of()).facts["pc1"]["lambda"] == pytest.approx(-9, abs=4 / np.sqrt(N))


@pytest.mark.parametrize("before", ["edge:2", "center", "random:1.5+edge:2", "edge:1.5+abtt:1"])
def test_a_twin_behind_other_filters_is_read_through_them(before: str, tmp_path: Path) -> None:
    twin = X_ND * 0.5 - 2 * U[0] + U[1]
    name = f"{before}+pc1:twin={stored(tmp_path / 'twin', twin)}"
    source = source_of(W_VD, tmp_path, documents=X_ND)
    through = affine(before, source)
    y = through(X_ND)
    u = np.linalg.svd(y, full_matrices=False)[2][0]
    u *= np.sign(y.mean(axis=0) @ u) or 1
    found = affine(name, source)
    move = (through(twin) - y).mean(axis=0) @ u
    assert abs(move) > 0.1
    np.testing.assert_allclose(found(X_ND), y + move * u, atol=1e-6)


def test_a_twin_s_blocks_may_be_of_any_size(tmp_path: Path) -> None:
    folder = tmp_path / "twin"
    with store.building(folder, {"documents": DIGEST}, {"documents": N, "dim": D}):
        np.save(folder / "000000.npy", H_ND[:1] + 1)
        np.save(folder / "000001.npy", H_ND[1:] + 1)
    expected = affine(f"pc1:twin={stored(tmp_path / 'even', H_ND + 1)}", of()).facts["pc1"]["lambda"]
    assert affine(f"pc1:twin={folder}", of()).facts["pc1"]["lambda"] == pytest.approx(expected, abs=1e-5)


def test_a_folder_s_name_may_hold_commas(tmp_path: Path) -> None:
    folder = stored(tmp_path / "demo@pooling=last,max_length=64", H_ND)
    assert affine(f"pc1:twin={folder}", of()).facts["pc1"]["lambda"] == pytest.approx(0, abs=1e-6)


def test_a_filter_depends_on_the_content_of_the_twin_it_names(tmp_path: Path) -> None:
    def identified(folder: Path) -> object:
        return identity([Part.parse(f"pc1:twin={folder}")])["filter_files"]

    one = identified(stored(tmp_path / "one" / "twin", H_ND))
    assert list(one) == [str(tmp_path / "one" / "twin")]
    again = identified(stored(tmp_path / "again" / "twin", H_ND, seconds=99.0))
    assert list(again.values()) == list(one.values()), "how long it took to make is no content"
    for i, other in enumerate((stored(tmp_path / "a", H_ND + 1), stored(tmp_path / "b", H_ND, documents="e" * 64))):
        assert list(identified(other).values()) != list(one.values()), i
    assert identity([Part.parse("edge:2"), Part.parse("pc1:mean")])["filter_files"] == {}


# what cannot be


@pytest.mark.parametrize("arg", ["x", "nan", "inf", "-inf", "mean,1", "means", "twin", "twin=", "1,2", "mean=1", "--3"])
def test_an_argument_that_says_nothing_is_one_line_before_anything_is_read(arg: str) -> None:
    from rarityir.filters import check

    with pytest.raises(RarityError, match=rf"^pc1:{arg} is none of pc1, pc1:mean[^\n]*$"):
        check([Part("pc1", arg)])


def test_a_single_direction_cannot_be_dropped() -> None:
    with pytest.raises(RarityError, match=r"^pc1 drops the only direction there is$"):
        affine("pc1", of(H_ND[:, :1]))
    assert affine("pc1:mean", of(H_ND[:, :1])).basis.shape == (1, 1)


def test_embeddings_without_a_first_direction_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    affine("pc1", of(H_ND))
    assert caplog.records == []
    affine("whiten:5+pc1:-1", of())
    assert "pc1:-1 cuts between singular values that are equal" in caplog.text


def test_zeros_have_no_component() -> None:
    with pytest.raises(RarityError, match=r"^all 5 embeddings are zero"):
        affine("pc1:mean", of(np.zeros((5, D), np.float32)))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"h_ND": H_ND[:, :-1]}, rf"embeddings are {D - 1} wide, here are {D}"),
        ({"h_ND": H_ND[:-1]}, rf"twin's {N - 1} documents are not the {N} here"),
        ({"documents": "e" * 64}, rf"twin's {N} documents are not the {N} here"),
        ({"filter": "edge:2"}, r"index or filtered embeddings"),
        ({"index": "dense", "filter": None}, r"index or filtered embeddings"),
        ({"h_ND": np.full_like(H_ND, np.nan)}, r"some embeddings are not finite"),
    ],
    ids=["width", "count", "documents", "filtered", "index", "nan"],
)
def test_embeddings_that_are_no_twin_s_are_one_line(change: dict, says: str, tmp_path: Path) -> None:
    folder = stored(tmp_path / "twin", **{"h_ND": H_ND, **change})
    with pytest.raises(RarityError, match=rf"^{folder}[^\n]*{says}[^\n]*$"):
        affine(f"pc1:twin={folder}", of(H_ND, encoder="demo", sha256=DIGEST))


def test_an_array_comes_without_its_texts_so_its_twin_is_only_counted(tmp_path: Path) -> None:
    folder = stored(tmp_path / "twin", H_ND + 1, documents="e" * 64)
    found = EmbedFilter.fit(np.ones((5, D), np.float32), f"pc1:twin={folder}", embeddings=H_ND, cache=tmp_path / "cache")
    assert found.fitted_on["pc1"]["lambda"] == pytest.approx(U[0].sum(), abs=1e-4)
    with pytest.raises(RarityError, match=r"documents are not the 12 here"):
        EmbedFilter.fit(np.ones((5, D), np.float32), f"pc1:twin={folder}", embeddings=H_ND[:12], cache=tmp_path / "cache")


def test_a_twin_of_another_width_behind_a_filter_is_one_line(tmp_path: Path) -> None:
    folder = stored(tmp_path / "twin", H_ND[:, :7])
    with pytest.raises(RarityError, match=rf"7 wide, here are {D}"):
        affine(f"edge:2+pc1:twin={folder}", source_of(W_VD, tmp_path, documents=X_ND))


@pytest.mark.parametrize("what", ["absent", "empty", "torn", "no twin", "wrong"])
def test_a_folder_without_whole_embeddings_is_one_line(what: str, tmp_path: Path) -> None:
    folder = tmp_path / "twin"
    if what != "absent":
        folder.mkdir()
    manifests = {"torn": '{"identity":', "no twin": "[1]", "wrong": json.dumps({"identity": {}, "facts": {}, "files": {}})}
    if what in manifests:
        (folder / "manifest.json").write_text(manifests[what])
    for fail in (lambda: affine(f"pc1:twin={folder}", of()), lambda: identity([Part.parse(f"pc1:twin={folder}")])):
        with pytest.raises(RarityError, match=r"^[^\n]*holds no complete embeddings; make them with rarityir encode$"):
            fail()


def test_a_block_that_is_gone_is_one_line(tmp_path: Path) -> None:
    folder = stored(tmp_path / "twin", H_ND)
    (folder / "000001.npy").unlink()
    with pytest.raises(StaleArtefact, match=r"000001.npy is missing"):
        affine(f"pc1:twin={folder}", of())
