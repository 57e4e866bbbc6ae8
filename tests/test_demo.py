"""The golden experiment: the default collection with the model that ships, end to end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import rarityir as ri
from rarityir.checkpoints import DEMO
from rarityir.datasets import embedded


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> ri.Report:
    home = tmp_path_factory.mktemp("golden")
    experiment = ri.Experiment(
        systems=("bm25", "dense", "dense+tail:2", "dense+head:2", "dense+random:2", "sparse:64", "rrf(bm25,dense+tail:2)"),
        indexes=str(home / "indexes"),
        out=str(home / "out"),
    )
    return ri.perform(experiment)


def test_the_demo_model_retrieves_without_having_seen_a_query(report: ri.Report) -> None:
    best = max(report[name].measures["nDCG@10"] for name in ("dense", "dense+tail:2"))
    assert best >= 0.12


def test_the_small_end_of_the_spectrum_is_the_one_that_can_be_spared(report: ri.Report) -> None:
    small, random, large = (report[f"dense+{band}:2"].measures["nDCG@10"] for band in ("tail", "random", "head"))
    assert large < random < small
    assert small >= 0.97 * report["dense"].measures["nDCG@10"]


def test_the_filter_halves_the_vectors(report: ri.Report) -> None:
    assert report["dense+tail:2"].cost["bytes_per_doc"] * 2 == report["dense"].cost["bytes_per_doc"]


def test_bm25_scores_what_lucene_scores_on_cranfield(report: ri.Report) -> None:
    assert report["bm25"].measures["AP"] == pytest.approx(0.288, abs=0.01)


def test_what_ships_is_small_and_says_where_it_is_from() -> None:
    assert (DEMO / "model.safetensors").stat().st_size <= 20 * 2**20
    card = (DEMO / "README.md").read_text(encoding="utf-8")
    for source in ("cranfield", "scifact", "nfcorpus", "never"):
        assert source in card.lower()
    config = json.loads((DEMO / "config.json").read_text(encoding="utf-8"))
    assert config["tie_word_embeddings"] is False
    assert (embedded.HOME / "README.md").is_file()


def test_the_shipped_weights_are_half_precision(tmp_path: Path) -> None:
    from safetensors import safe_open

    with safe_open(DEMO / "model.safetensors", framework="pt") as file:
        kinds = {str(file.get_slice(name).get_dtype()) for name in file.keys()}  # noqa: SIM118
    assert kinds <= {"BF16", "F16"}
