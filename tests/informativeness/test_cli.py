"""`rarityir informativeness` as a user meets it."""

from __future__ import annotations

import json

import numpy as np
import pytest

import rarityir as ri
from rarityir.cli import main
from rarityir.informativeness import TokenInformation

pytestmark = pytest.mark.usefixtures("elsewhere")


def said(capsys, *argv):
    assert main(["informativeness", *map(str, argv)]) == 0
    return capsys.readouterr().out


def test_weights_are_made_kept_corrected_and_compared(capsys, tmp_path, beir, stories):
    w = tmp_path / "w"
    facts = json.loads(said(capsys, "corpus", "--dataset", beir, "--encoder", stories, "--out", w, "--json"))
    found = TokenInformation.load(w)
    assert facts["tokens"] == found.seen.sum()
    assert facts["support"] == 6
    assert facts["highest"][0]["value"] == found.values[facts["highest"][0]["id"]]
    np.testing.assert_array_equal(found.values, ri.informativeness.from_corpus(str(beir), ri.load_encoder(stories)).values)
    text = said(capsys, "correct", w, "--method", "quantile", "--min-per-bin", "20", "--out", tmp_path / "c")
    assert "correction quantile" in text
    np.testing.assert_array_equal(TokenInformation.load(tmp_path / "c").values, found.correct("quantile", min_per_bin=20).values)
    said(capsys, "correct", w, "--permute", "5", "--out", tmp_path / "p")
    np.testing.assert_array_equal(TokenInformation.load(tmp_path / "p").values, found.permuted(5).values)
    assert "correction quantile" in said(capsys, "correct", w)
    assert "correction none" in said(capsys, "correct", w, "--permute", "5")
    said(capsys, "correct", w, "--power", "2", "--out", tmp_path / "p2")
    np.testing.assert_array_equal(TokenInformation.load(tmp_path / "p2").values, found.powered(2.0).values)
    said(capsys, "correct", w, "--method", "quantile", "--permute", "1", "--power", "0.5", "--out", tmp_path / "all")
    expected = found.correct("quantile").permuted(1).powered(0.5).values
    np.testing.assert_array_equal(TokenInformation.load(tmp_path / "all").values, expected)
    shown = json.loads(said(capsys, "report", w, tmp_path / "c", "--dataset", beir, "--encoder", stories, "--json"))
    assert [one["against"]["what"] for one in shown] == ["idf", "idf"]
    assert shown[0]["against"]["spearman"] > 0.8
    said(capsys, "report", tmp_path / "c", "--dataset", beir, "--encoder", stories, "--picture", tmp_path / "c.svg")
    drawn = (tmp_path / "c.svg").read_text()
    assert drawn.startswith("<?xml")
    assert drawn.count("<image") >= 2  # points raw and corrected, and against the IDF
    assert f"against {w}" in said(capsys, "report", w, tmp_path / "c")


def test_windows_are_shuffled_and_a_model_is_read(capsys, tmp_path, beir, stories):
    argv = ("corpus", "--dataset", beir, "--encoder", stories, "--context", "window:2", "--correct", "shuffle", "--runs", "2")
    facts = json.loads(said(capsys, *argv, "--contexts", "50", "--seed", "3", "--json"))
    assert facts["correction"] == "shuffle"
    assert facts["support"] == 51
    argv = ("model", "--dataset", beir, "--encoder", stories, "--limit", "3", "--kind", "quadratic", "--checked", "0")
    text = said(capsys, *argv, "--out", tmp_path / "m")
    assert "slope" in text
    assert "r2" in text
    assert TokenInformation.load(tmp_path / "m").facts["states"] == TokenInformation.load(tmp_path / "m").n.sum()


def test_the_weights_serve_an_evaluation(capsys, tmp_path, beir, stories):
    said(capsys, "corpus", "--dataset", beir, "--encoder", stories, "--out", "w")
    systems = "bm25-idf:w,gamma=0.5,sparse:64,weights=w,gamma=2"
    assert main(["eval", "--dataset", str(beir), "--encoder", stories, "--systems", systems, "--json", "--out", "out"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert "weights=w" in json.dumps(rows)


def test_what_is_wrong_is_one_line(capsys, tmp_path, beir, stories):
    said(capsys, "corpus", "--dataset", beir, "--encoder", stories, "--out", "w")
    for argv, message in (
        (("gamma", "w", "--dataset", beir, "--encoder", stories, "--system", "dense"), "weights go with bm25-idf"),
        (("fit", "--dataset", beir, "--encoder", stories, "--reference", "unigram"), "take mean or argmin"),
        (("corpus", "--dataset", beir, "--context", "sentence"), "a context is document"),
        (("model", "--dataset", beir, "--encoder", stories, "--kind", "x"), "is one of exact"),
        (("correct", tmp_path), "holds no weights"),
        (("report", tmp_path / "none"), "no file of token and weight"),
        (("report", "w", "--picture", "w.gif"), "a picture is .svg"),
    ):
        assert main(["informativeness", *map(str, argv)]) == 1
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1


def test_powers_of_weights_and_the_fit_of_the_second_order(capsys, tmp_path, beir, stories):
    said(capsys, "corpus", "--dataset", beir, "--encoder", stories, "--out", "w")
    asked = ("gamma", "w", "--dataset", beir, "--encoder", stories, "--gamma", "0.5,2")
    found = json.loads(said(capsys, *asked, "--picture", tmp_path / "g.svg", "--out", "g.json", "--json"))
    assert [row["gamma"] for row in found["weights"]["w"]] == [0.0, 0.5, 2.0]
    assert (tmp_path / "g.svg").read_text().startswith("<?xml")
    text = said(capsys, *asked, "--system", "bm25-idf")
    assert "p Holm" in text
    assert "2 " in text
    reading = ("--dataset", beir, "--encoder", stories)
    told = json.loads(said(capsys, "fit", *reading, "--limit", "3", "--checked", "0", "--picture", tmp_path / "f.svg", "--json"))
    assert told["states"] > 10
    assert (tmp_path / "f.svg").exists()
    assert "slope" in said(capsys, "fit", *reading, "--limit", "3")


def test_weights_beside_the_probe_and_angles_of_what_predictions_turn_on(capsys, tmp_path, beir, stories):
    rng = np.random.default_rng(0)
    documents = [" ".join("".join(rng.choice(list("etaoinshrdlu"), 5)) for _ in range(50)) for _ in range(60)]
    lines = [json.dumps({"_id": f"d{i}", "title": "", "text": text}) + "\n" for i, text in enumerate(documents)]
    (beir / "corpus.jsonl").write_text("".join(lines))
    said(capsys, "corpus", "--dataset", beir, "--encoder", stories, "--out", "w")
    asked = ("regress", "w", "--dataset", beir, "--model", stories)
    found = json.loads(said(capsys, *asked, "--out", "r.json", "--json"))
    assert [row["name"] for row in found["rows"]] == ["log_idf", "w"]
    assert found["rows"][1]["with_idf"]["spearman"] > 0.5
    assert "out of fold" in said(capsys, *asked)
    reading = ("--dataset", str(beir), "--encoder", stories)
    argv = ["fit", "--rows", "output", *reading, "--components", "5", "--iterations", "40", "--tol", "1e-3", "--out", "axes"]
    assert main(["ica", *argv]) == 0
    capsys.readouterr()
    angles = ("angles", *reading, "--limit", "9", "--directions", "3", "--axes", "axes", "--first", "4", "--draws", "9")
    told = json.loads(said(capsys, *angles, "--out", "a.json", "--json"))
    names = ["G:3", "rarity of output rows", "removed by edge:2", "removed by tail:2", "4 axes of axes"]
    assert [(p["one"], p["other"]) for p in told["pairs"]] == [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    assert told["pairs"][0]["widths"] == [3, 1]
    assert told["pairs"][3]["widths"] == [3, 4]
    assert 0 < told["energy_of_g"] < 1
    text = said(capsys, *angles[:-6], "--filters", "")
    assert "by chance in brackets" in text
    assert "removed by" not in text
