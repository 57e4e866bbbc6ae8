"""`rarityir variation`, on a small trained model and a twin whose states are half as long: all that it says is known."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tiny import STORIES

from rarityir.cli import main
from rarityir.datasets import load_dataset
from rarityir.encoders import load_encoder
from rarityir.encoders.hf import HFEncoder
from rarityir.report.variation import Twins
from rarityir.systems import System

TEXT = "The dog found a red ball."


pytestmark = pytest.mark.usefixtures("elsewhere")


def made(folder: Path, scale: float) -> str:
    """The stories model with another gain of its final norm, which makes every embedding so many times as long."""
    shutil.copytree(STORIES, folder, copy_function=shutil.copyfile)
    folder.chmod(0o755)
    tensors = load_file(folder / "model.safetensors")
    tensors["model.norm.weight"] = (tensors["model.norm.weight"] * scale).astype(tensors["model.norm.weight"].dtype)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return str(folder)


@pytest.fixture
def half(tmp_path: Path) -> str:
    return made(tmp_path / "half", 0.5)


def said(argv: list[str], capsys: pytest.CaptureFixture[str]) -> dict:
    assert main(["variation", *argv, "--json"]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def refuse(self: HFEncoder, texts: object) -> None:
    raise AssertionError("something is encoded")


def known(beir: Path, count: int = 6) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The documents' embeddings, and u_1 with the rest of the uncentred directions."""
    texts = [doc.text for doc in load_dataset(str(beir)).docs()][:count]
    h_ND = load_encoder(str(STORIES)).encode_document(texts).astype(np.float64)
    values, directions = np.linalg.svd(h_ND, full_matrices=False)[1:]
    return h_ND, directions * np.sign(directions @ h_ND.mean(axis=0))[:, None], values


def test_a_twin_half_as_long_varies_by_minus_half_the_coefficients(
    beir: Path, stories: str, half: str, capsys: pytest.CaptureFixture[str]
) -> None:
    h, u, values = known(beir)
    along = h @ u.T
    found = said([stories, half, "--dataset", str(beir)], capsys)
    np.testing.assert_allclose(found["shares"][:6], values**2 / (values**2).sum(), atol=1e-6)
    np.testing.assert_allclose(found["shares"][6:], 0, atol=1e-6)
    np.testing.assert_allclose(found["coefficients"][:6], along.mean(axis=0), atol=1e-3)
    np.testing.assert_allclose(found["variation"][:6], -along.mean(axis=0) / 2, atol=1e-3)
    np.testing.assert_allclose(found["spread"][:6], along.std(axis=0) / 2, atol=1e-3)
    assert found["lambda"] == pytest.approx(-along.mean(axis=0)[0] / 2, rel=1e-4)
    assert found["filter"] == f"pc1:{found['lambda']:.6g}"
    assert found["concentration"] == pytest.approx(along.mean(axis=0)[0] ** 2 / (along.mean(axis=0) ** 2).sum(), abs=1e-5)
    assert (found["backbone"], found["twin"], found["documents"], found["texts"]) == ("stories260K", "half", 6, [])


def test_the_filters_it_names_move_texts_so(beir: Path, stories: str, half: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = said([stories, half, "--dataset", str(beir)], capsys)
    for name in (found["filter"], f"pc1:twin={found['folder']}"):
        assert main(["filter", "fit", stories, name, "--dataset", str(beir), "--out", "f", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["pc1"]["lambda"] == pytest.approx(found["lambda"], rel=1e-5)
        assert main(["search", f"dense+{name}", "--encoder", stories, "--dataset", str(beir), "--out", "run"]) == 0
        capsys.readouterr()
        shutil.rmtree("f")


def test_a_filter_of_a_twin_that_was_encoded_anew_is_stale(
    beir: Path, stories: str, half: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = said([stories, half, "--dataset", str(beir)], capsys)["folder"]
    argv = ["search", f"dense+pc1:twin={folder}", "--encoder", stories, "--dataset", str(beir), "--out", "run"]
    assert main(argv) == 0
    shutil.rmtree(folder)
    assert main(argv) == 1
    assert f"{folder} holds no complete embeddings" in capsys.readouterr().err
    shutil.rmtree(half)
    made(Path(half), 0.25)
    assert main(["encode", "--encoder", half, "--dataset", str(beir)]) == 0
    capsys.readouterr()
    assert main(argv) == 1
    assert "was built with filter_files" in capsys.readouterr().err


def test_logits_are_split_into_those_of_u_1_and_the_rest(
    beir: Path, stories: str, half: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = known(beir)[1][0]
    encoder = load_encoder(stories)
    forms, unembed_VD = encoder.tokens(), encoder.unembedding().astype(np.float64)
    forms = [None if i % 3 == 1 else form for i, form in enumerate(forms)]  # ids that write no text are never named
    monkeypatch.setattr(HFEncoder, "tokens", lambda self: forms)
    x = encoder.encode_document([TEXT])[0].astype(np.float64)
    found = said([stories, half, "--dataset", str(beir), "--text", "rain", "--text", TEXT, "--top", "7"], capsys)
    assert [text["text"] for text in found["texts"]] == ["rain", TEXT]
    words = np.array([form is not None for form in forms])
    for kind, state in (("backbone", x), ("adjusted", x + found["lambda"] * first), ("twin", x / 2)):
        logits = np.where(words, unembed_VD @ state, -np.inf)
        best = np.argsort(-logits, kind="stable")[:7]
        read = found["texts"][1][kind]
        assert [entry["token"] for entry in read] == [forms[v] for v in best]
        np.testing.assert_allclose([entry["total"] for entry in read], logits[best], atol=1e-3)
        np.testing.assert_allclose([entry["first"] for entry in read], (unembed_VD @ first * (first @ state))[best], atol=1e-3)
        assert all(entry["first"] + entry["rest"] == pytest.approx(entry["total"], abs=1e-6) for entry in read)


def test_what_it_prints_is_what_it_knows(beir: Path, stories: str, half: str, capsys: pytest.CaptureFixture[str]) -> None:
    argv = [stories, half, "--dataset", str(beir), "--top", "2", "--text", TEXT]
    found = said(argv, capsys)
    assert main(["variation", *argv]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0] == "stories260K to half: 6 documents of " + found["dataset"] + ", 64 wide"
    assert f"{found['shares'][0]:.1%} of the energy and {found['concentration']:.1%} of the mean move" in lines[1]
    rows = [line.split()[:5] for line in lines[4:7]]
    other = 2 + int(np.abs(found["variation"][2:]).argmax())
    assert rows == [
        [str(j + 1), *(f"{found[key][j]:.4f}" for key in ("shares", "coefficients", "variation", "spread"))]
        for j in (0, 1, other)
    ]
    assert lines[6].endswith("largest variation of the others")
    assert any(line.startswith(found["filter"] + "  ") for line in lines)
    assert any(line.startswith(f"pc1:twin={found['folder']}  ") for line in lines)
    entries = [c for kind in ("backbone", "adjusted", "twin") for c in found["texts"][0][kind]]
    assert [line for line in lines[lines.index(repr(TEXT)) :] if line.startswith("    ")] == [
        f"    {c['token']!r:<22} {c['total']:>9.3f} {c['first']:>9.3f} {c['rest']:>9.3f}" for c in entries
    ]
    assert err == ""


def test_what_is_encoded_is_not_encoded_again(
    beir: Path, stories: str, half: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    argv = [stories, half, "--dataset", str(beir)]
    found = said(argv, capsys)
    monkeypatch.setattr(HFEncoder, "encode_document", refuse)
    monkeypatch.setattr(HFEncoder, "reading", refuse)
    assert said(argv, capsys) == found
    assert said([half, stories, "--dataset", str(beir)], capsys)["lambda"] == pytest.approx(-found["lambda"], rel=1e-4)


def test_a_sample_is_the_first_documents_kept_apart(
    beir: Path, stories: str, half: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    h, u, values = known(beir, 3)
    argv = [stories, half, "--dataset", str(beir), "--sample", "3"]
    found = said(argv, capsys)
    assert (found["documents"], found["folder"]) == (3, ""), "embeddings of other documents are no twin's"
    assert found["lambda"] == pytest.approx(-(h @ u[0]).mean() / 2, rel=1e-4)
    np.testing.assert_allclose(found["shares"][:3], values**2 / (values**2).sum(), atol=1e-6)
    assert main(["variation", *argv]) == 0
    assert "pc1:twin" not in capsys.readouterr().out
    assert said(argv[:-2], capsys)["documents"] == 6
    monkeypatch.setattr(HFEncoder, "encode_document", refuse)
    monkeypatch.setattr(HFEncoder, "reading", refuse)
    assert said(argv, capsys) == found


def test_two_poolings_of_one_model_are_a_pair(beir: Path, stories: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = said([stories, stories, "--dataset", str(beir), "--twin-pooling", "last", "--text", TEXT, "--top", "3"], capsys)
    assert (found["backbone"], found["twin"]) == ("stories260K", "stories260K?pooling=last")
    h, u, _ = known(beir)
    texts = [doc.text for doc in load_dataset(str(beir)).docs()]
    last = load_encoder(stories, pooling="last").encode_document(texts)
    assert found["lambda"] == pytest.approx(((last - h) @ u[0]).mean(), rel=1e-3)
    both = said([stories, stories, "--dataset", str(beir), "--pooling", "last", "--twin-pooling", "mean"], capsys)
    assert (both["backbone"], both["twin"]) == ("stories260K?pooling=last", "stories260K")


@pytest.mark.parametrize("kind", ["svg", "png", "pdf"])
def test_a_picture_is_the_same_each_time(
    kind: str, beir: Path, stories: str, half: str, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["variation", stories, half, "--dataset", str(beir), "--picture", f"new/v.{kind}"]
    pictures = []
    for _ in range(2):
        assert main(argv) == 0
        pictures.append(Path(f"new/v.{kind}").read_bytes())
    assert pictures[0] == pictures[1]
    assert pictures[0].startswith({"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF"}[kind])
    capsys.readouterr()


def test_what_cannot_be_compared_is_one_line_before_anything_is_encoded(
    beir: Path, stories: str, half: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HFEncoder, "encode_document", refuse)
    monkeypatch.setattr(HFEncoder, "reading", refuse)
    namesake = made(tmp_path / "other" / "stories260K", 0.5)
    for pair, words in (
        (["demo", stories], "demo is 256 wide, stories260K is 64"),
        ([stories, stories], "both encoders are called stories260K; name another model, or --twin-pooling"),
        ([stories, namesake], "both encoders are called stories260K; what is stored goes by that name; rename one folder"),
        ([stories, "no/such-model"], "no/such-model"),
        ([stories, half, "--twin-pooling", "meen"], "did you mean mean"),
        ([stories, half, "--dataset", "scifacts"], "did you mean scifact"),
        ([stories, half, "--picture", "v.gif"], "v.gif: a picture is .svg, .png or .pdf"),
    ):
        assert main(["variation", "--dataset", str(beir), *pair]) == 1
        out, err = capsys.readouterr()
        assert out == ""
        (line,) = err.splitlines()
        assert line.startswith("rarityir: ")
        assert words in line
    assert main(["variation", stories]) == 2
    assert main(["variation", stories, half, "--sample", "0"]) == 2


@pytest.mark.parametrize("move", [-47.6012345, 3e-7, -2.5e21])
def test_the_filter_s_name_is_one_that_a_system_may_carry(move: float) -> None:
    found = Twins("a", "b", "d", 1, "", np.ones(1), np.ones(1), np.array([move]), np.ones(1), ())
    (part,) = System.parse(f"dense+{found.filter}").filters
    assert float(part.arg) == pytest.approx(move, rel=1e-5)
    assert found.concentration == 1
