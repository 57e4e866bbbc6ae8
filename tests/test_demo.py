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
        systems=(
            "bm25",
            "dense",
            "dense+edge:2",
            "dense+tail:2",
            "dense+head:2",
            "dense+mid:2",
            "dense+random:2",
            "sparse:64",
            "sparse:64+auto",
            "sparse:64+random:1.028",
            "sparse:64+band:0-7",
            "sparse:1024+auto",
        ),
        indexes=str(home / "indexes"),
        out=str(home / "out"),
    )
    return ri.perform(experiment)


def test_the_demo_model_retrieves_without_having_seen_a_query(report: ri.Report) -> None:
    best = max(report[name].measures["nDCG@10"] for name in ("dense", "dense+tail:2"))
    assert best >= 0.12


def test_dropping_the_middle_or_the_large_end_loses_and_dropping_the_small_one_or_both_does_not(report: ri.Report) -> None:
    ndcg = {name: report[name].measures["nDCG@10"] for name in (row.name for row in report.rows)}
    worst = max(ndcg["dense+head:2"], ndcg["dense+mid:2"])
    assert worst < 0.8 * ndcg["dense"]
    assert min(ndcg["dense+edge:2"], ndcg["dense+tail:2"]) > ndcg["dense"]
    assert worst < 0.8 * ndcg["dense+random:2"]


def test_tokens_are_read_better_without_the_directions_that_hold_frequency_and_not_without_others(report: ri.Report) -> None:
    raw, auto, random, inverse = (
        report[f"sparse:64{name}"].measures["nDCG@10"] for name in ("", "+auto", "+random:1.028", "+band:0-7")
    )
    assert auto > 1.05 * raw
    assert random < raw
    assert inverse < 0.2 * raw


def test_sparse_retrieval_from_aligned_tokens_reaches_half_of_bm25(report: ri.Report) -> None:
    assert report["sparse:64+auto"].measures["nDCG@10"] >= report["bm25"].measures["nDCG@10"] / 2
    assert report["sparse:1024+auto"].measures["nDCG@10"] >= 0.6 * report["bm25"].measures["nDCG@10"]


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
