"""`rarityir ica` from end to end on a small trained model; numbers against the library's own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tiny import STORIES_DOCS, write_beir

from rarityir.cli import main
from rarityir.datasets import load_dataset
from rarityir.encoders import load_encoder
from rarityir.ica import ICA, Axes
from rarityir.retrieval import Retriever

pytestmark = pytest.mark.usefixtures("elsewhere")


def said(argv: list[str], capsys: pytest.CaptureFixture[str]) -> dict:
    assert main(["ica", *argv, "--json"]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def shown(argv: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["ica", *argv]) == 0, capsys.readouterr().err
    return capsys.readouterr().out


def failed(argv: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["ica", *argv]) in (1, 2)
    return capsys.readouterr().err


@pytest.fixture
def output(stories: str, beir: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Axes of the unembedding, which know the encoder and a dataset."""
    said(
        ["fit", "--rows", "output", "--encoder", stories, "--dataset", str(beir), "--components", "6", "--iterations", "80",
         "--tol", "1e-4", "--out", "axes"], capsys,
    )  # fmt: skip
    return "axes"


def test_axes_of_an_unembedding_are_named_by_tokens_and_shown(
    output: str, stories: str, capsys: pytest.CaptureFixture[str]
) -> None:
    axes, encoder = Axes.load(output), load_encoder(stories)
    s = axes.transform(encoder.unembedding(), normalize=True)
    assert axes.labels[0][0] == encoder.tokens()[int(s[:, 0].argmax())]
    found = said(["axes", output, "--rarity", "--out", "facts.json"], capsys)
    assert len(found["rarity"]["rho"]) == 6
    assert json.loads(Path("facts.json").read_text()) == found
    text = shown(["axes", output, "--first", "2", "--rarity", "--picture", "axes.svg"], capsys)
    assert Path("axes.svg").read_text().startswith("<?xml")
    assert "6 axes of 512 rows" in text
    assert " … " in text


def test_explaining_ablating_and_searching(output: str, stories: str, beir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pair = ["--query", "a red ball", "--doc", "the dog ran to the ball"]
    found = said(["explain", output, *pair], capsys)
    encoder, axes = load_encoder(stories), Axes.load(output)
    s = axes.transform(np.concatenate([encoder.encode_query([pair[1]]), encoder.encode_document([pair[3]])]))
    assert sum(hit["contribution"] for hit in found["axes"]) == pytest.approx(found["cosine"], abs=1e-12)
    assert found["cosine"] == pytest.approx(s[0] @ s[1] / np.linalg.norm(s[0]) / np.linalg.norm(s[1]), abs=1e-6)
    assert "cosine" in shown(["explain", output, *pair, "--first", "2"], capsys)
    swept = said(["ablate", output, "--directions", "2", "--measure", "nDCG@10"], capsys)
    assert [effect["axes"] for effect in swept["effects"]] == [[i] for i in range(6)]
    assert "with all axes" in shown(["ablate", output, "--axes", "0,3", "--directions", "1"], capsys)
    whole = said(["ablate", output, "--clusters", "3", "--directions", "0", "--draws", "4"], capsys)
    assert all(len(effect["drawn"]) in (0, 4) for effect in whole["effects"])
    one = ["ablate", output, "--axes", "0", "--directions", "0", "--draws", "2", "--picture", "ablate.svg"]
    assert "p others" in shown(one, capsys)
    assert Path("ablate.svg").read_text().startswith("<?xml")
    assert sorted(axis for effect in whole["effects"] for axis in effect["axes"]) == list(range(6))
    documents = np.concatenate(list(Retriever(load_dataset(str(beir)), encoder, Path("indexes")).embeddings))
    ideal = said(["ideal", output, "--axes", "2"], capsys)["documents"]
    assert ideal[0]["score"] == pytest.approx(axes.transform(documents, normalize=True)[:, 2].max(), abs=1e-6)
    few = said(["sparsity", output, "--p", "1,99"], capsys)
    assert few["p"] == [1, 6]
    assert {name: values[1] for name, values in few["overlap@10"].items()} == {"ica": 1.0, "pca": 1.0, "random": 1.0}
    assert "overlap@10" in shown(["sparsity", output, "--p", "1", "--picture", "few.svg"], capsys)
    assert Path("few.svg").read_text().startswith("<?xml")


def test_the_tree_in_its_forms(output: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = said(["tree", output, "--nodes", "5", "--clusters", "2", "--permutations", "9"], capsys)
    assert len(found["nodes"]) == 5
    assert len(found["edges"]) == 4
    assert all(0 < edge["p"] <= edge["p_family"] <= 1 for edge in found["edges"])
    assert shown(["tree", output, "--format", "dot"], capsys).startswith("graph ica")
    assert shown(["tree", output, "--format", "svg", "--out", "tree.svg"], capsys) == ""
    assert Path("tree.svg").read_text().startswith("<svg")


def test_axes_of_arrays_and_documents_and_their_match(stories: str, beir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x = np.random.default_rng(3).exponential(size=(300, 4))
    np.save("x.npy", x)
    np.save("y.npy", x @ np.random.default_rng(4).standard_normal((4, 5)))
    for name in "xy":
        said(["fit", "--embeddings", f"{name}.npy", "--components", "4", "--out", name], capsys)
    found = said(["match", "x", "y", "--paired", "x.npy", "y.npy"], capsys)
    assert min(pair["r"] for pair in found["pairs"]) > 0.99
    assert {pair["p"] for pair in found["pairs"]} == {1 / 100}
    assert "99 times shuffled texts" in shown(["match", "x", "y", "--paired", "x.npy", "y.npy", "--method", "hungarian"], capsys)
    assert Axes.load("x").digest == ICA(4, 1000, 1e-6, seeds=2).fit(x).digest
    assert "know no encoder" in failed(["explain", "x", "--query", "a", "--doc", "b"], capsys)
    fit = ["fit", "--encoder", stories, "--dataset", str(beir), "--components", "2", "--iterations", "20", "--out", "d"]
    assert "axes of" in shown(fit, capsys)
    same = said(["match", "d", "d"], capsys)
    assert [(pair["a"], pair["b"]) for pair in sorted(same["pairs"], key=lambda pair: pair["a"])] == [(0, 0), (1, 1)]


def test_axes_of_another_reading_are_refused(output: str, capsys: pytest.CaptureFixture[str]) -> None:
    card = Path(output) / "ica.json"
    facts = json.loads(card.read_text())
    facts["fitted_on"]["identity"]["pooling"] = "last"
    card.write_text(json.dumps(facts))
    assert "pooling last, now mean; fit them again" in failed(["explain", output, "--query", "a", "--doc", "b"], capsys)


def test_what_is_wrong_is_one_line(output: str, capsys: pytest.CaptureFixture[str]) -> None:
    for argv in (
        ["axes", "nothing"], ["ideal", output, "--axes", "9"], ["ideal", output, "--axes", "x"],
        ["ablate", output, "--axes", "6"],
        ["fit", "--embeddings", "none.npy", "--out", "o"], ["sparsity", output, "--p", "0"], ["tree", output, "--clusters", "0"],
    ):  # fmt: skip
        err = failed(argv, capsys)
        assert "Traceback" not in err
        assert len(err.strip().splitlines()) == 1 or err.startswith("Usage")


def test_topics_that_are_documents_do_not_find_themselves(stories: str, capsys: pytest.CaptureFixture[str]) -> None:
    topics = {"d1": "a cat and a red ball", "d2": "the dog in the park", "d6": "Tom lost a ball"}
    own = write_beir(Path("arguana").resolve(), STORIES_DOCS, topics, {name: {name: 1} for name in topics})
    said(
        ["fit", "--rows", "output", "--encoder", stories, "--dataset", str(own), "--components", "6", "--iterations", "80",
         "--tol", "1e-4", "--out", "own"], capsys,
    )  # fmt: skip
    assert said(["ablate", "own", "--axes", "0", "--directions", "0", "--measure", "R@6"], capsys)["full"] == 0
    assert set(said(["sparsity", "own", "--p", "6", "--measure", "R@6"], capsys)["R@6"]["ica"]) == {0.0}
