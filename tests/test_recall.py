"""Recall of approximate indexes: counted against the exact index of the same vectors, and shown where there is one."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tiny import write_beir

import rarityir as ri
from rarityir import experiment
from rarityir.report import Report, Row, render
from rarityir.retrieval import Retriever, recall
from rarityir.systems import System

WORDS = [
    "cat",
    "dog",
    "tree",
    "ball",
    "rain",
    "sun",
    "car",
    "sand",
    "song",
    "milk",
    "stone",
    "park",
    "red",
    "blue",
    "big",
    "warm",
]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    rng = np.random.default_rng(0)
    docs = {f"d{i}": ("", " ".join(rng.choice(WORDS, 6))) for i in range(160)}
    queries = {f"q{i}": " ".join(rng.choice(WORDS, 2)) for i in range(8)}
    qrels = {q: {f"d{7 * i}": 1} for i, q in enumerate(queries)}
    return str(write_beir(tmp_path_factory.mktemp("recall") / "words", docs, queries, qrels))


@pytest.fixture(scope="module")
def performed(dataset, stories, tmp_path_factory):
    home = tmp_path_factory.mktemp("evaluation")
    systems = ("bm25", "dense:ivf4,nprobe=1+edge:2", "dense:ivf4,nprobe=4", "dense:sq8", "dense", "rrf(bm25,dense:sq8)")
    setting = {"systems": systems, "cutoff": 20, "measures": ("nDCG@10",)}
    found = experiment.Experiment(dataset, stories, indexes=str(home / "indexes"), out=str(home / "out"), **setting)
    return experiment.perform(found), home


def test_an_experiment_counts_what_of_the_exact_best_was_found(performed, dataset, stories):
    report, home = performed
    source = Retriever(ri.load_dataset(dataset), ri.load_encoder(stories), home / "indexes")
    for name, exact in {
        "dense:ivf4,nprobe=1+edge:2": "dense+edge:2",
        "dense:ivf4,nprobe=4": "dense",
        "dense:sq8": "dense",
    }.items():
        found, best = (source.search(System.parse(s), 20).hits.rows.tolist() for s in (name, exact))
        shared = [len(set(a) & set(b)) for a, b in zip(found, best, strict=True)]
        assert report[name].cost["recall"] == pytest.approx(sum(shared) / 160)
    assert report["dense:ivf4,nprobe=1+edge:2"].cost["recall"] < 1
    assert report["dense:ivf4,nprobe=4"].cost["recall"] == 1
    assert [report[name].cost["recall"] for name in ("bm25", "dense", "rrf(bm25,dense:sq8)")] == [None] * 3


def test_only_the_best_hundred_are_looked_for(performed, dataset, stories, monkeypatch):
    source = Retriever(ri.load_dataset(dataset), ri.load_encoder(stories), performed[1] / "indexes")
    monkeypatch.setattr("rarityir.retrieval.DEPTH", 3)
    system = System.parse("dense:sq8")
    found, best = (source.search(s, 20).hits.rows[:, :3].tolist() for s in (system, System.parse("dense")))
    assert source.recall(system, 20) == pytest.approx(sum(len(set(a) & set(b)) for a, b in zip(found, best, strict=True)) / 24)


def test_what_searching_alone_depends_on_is_not_built_again(performed, dataset, stories):
    source = Retriever(ri.load_dataset(dataset), ri.load_encoder(stories), performed[1] / "indexes")
    folders = source.index(System.parse("dense:ivf4,nprobe=1")) + source.index(System.parse("dense:ivf4,nprobe=3"))
    assert len(set(folders)) == 1
    assert source.index(System.parse("dense:flat")) == source.index(System.parse("dense"))


def test_tables_have_a_column_of_recall_and_json_a_key(performed):
    report, home = performed
    systems = json.loads((home / "out" / "report.json").read_text())["systems"]
    assert [s["recall"] is None for s in systems] == [True, False, False, False, True, True]
    head, _, *lines = report.markdown().splitlines()
    assert head.endswith("| queries/s | recall |")
    assert [line.split("|")[-2].strip() for line in lines[:6]][2:] == ["1.000", f"{systems[3]['recall']:.3f}", "–", "–"]
    assert "Recall: of the exact best 100" in report.markdown()
    assert report.csv().splitlines()[0].endswith("qps,recall")
    assert r"queries/s & recall \\" in report.latex()
    assert experiment.rebuild(home / "out").json() == report.json()


@pytest.mark.parametrize("form", ["text", "markdown", "latex", "csv"])
def test_a_table_without_approximate_systems_has_no_such_column(form):
    report = Report("d", "e", "bm25", ("AP",), 1, 10, 0, 0.05, (Row("bm25", {"AP": 1.0}, cost={"dim": 1, "recall": None}),))
    assert "recall" not in render(report, form).lower()
    assert report.to_dict()["systems"][0]["recall"] is None


def test_recall_is_of_all_exact_rows_whatever_their_order():
    exact = np.array([[1, 2, 3], [4, 5, -1]])
    assert recall(np.array([[3, 9, 1], [-1, -1, -1]]), exact) == 2 / 5
    assert recall(np.array([[3, 2, 1], [5, 4, -1]]), exact) == 1
    assert recall(np.array([[-1], [-1]]), np.array([[-1], [-1]])) == 1


@pytest.mark.parametrize("system", ["bm25", "dense", "rrf(bm25,dense)"])
def test_a_cutoff_of_nothing_is_one_line_before_any_work(system, dataset, stories, tmp_path):
    with pytest.raises(ri.RarityError, match=r"^cutoff is 0; at least one document must be retrieved$"):
        ri.retrieve(system, ri.load_dataset(dataset), ri.load_encoder(stories), cutoff=0, indexes=tmp_path / "i")
    assert not (tmp_path / "i").exists()
