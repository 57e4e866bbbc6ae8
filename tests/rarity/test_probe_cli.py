"""`rarityir rarity probe` and `bands` as a user meets them: pairs in every table, controls beside them, and JSON that agrees."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rarityir.cli import main
from rarityir.datasets import load_dataset
from rarityir.rarity import RarityProbe, Sample, TokenStats
from rarityir.rarity.rows import rows
from rarityir.rarity.study import Asked, study
from rarityir.types import RarityError

pytestmark = pytest.mark.usefixtures("elsewhere")


@pytest.fixture
def kept(tmp_path, stories) -> str:
    """Statistics of the first documents of the embedded collection in the stories model's tokens."""
    folder = tmp_path / "stats"
    TokenStats.from_dataset("cranfield", stories, limit=300, workers=1, folder=folder)
    return str(folder)


def said(capsys, *argv: str, code: int = 0) -> str:
    assert main(["rarity", *argv]) == code
    out, err = capsys.readouterr()
    return out if not code else err


def test_both_r2_stand_side_by_side_with_their_controls(capsys, stories, kept, tmp_path):
    argv = ("probe", "--model", stories, "--stats", kept, "--targets", "log_idf,stop_word", "--filters", "edge:2,tail:2")
    text = said(capsys, *argv, "--out", str(tmp_path / "out"))
    facts = json.loads((tmp_path / "out" / "probe.json").read_text())
    assert facts["tied"] is True
    assert facts["rows"] + sum(facts["left_out"].values()) == 512
    stats = TokenStats.load(kept)
    sample = Sample.of(stories, stats, rows(stories, "input"))
    probe = RarityProbe(test=0.1).fit(sample.x, sample.target("log_idf"), groups=sample.groups, counts=sample.counts)
    ridge = facts["r2"]["log_idf"]["ridge"]
    assert ridge["type"]["value"] == pytest.approx(probe.r2_type.value, abs=1e-8)
    assert ridge["occurrence"]["value"] == pytest.approx(probe.r2_occurrence.value, abs=1e-8)
    assert set(facts["r2"]) == {"log_idf", "stop_word", "noise"}
    for pairs in facts["r2"].values():
        assert {"ridge", "ols", "surface", "both", "increment", "pca:64"} <= set(pairs)
        assert all(set(pair) == {"type", "occurrence"} for pair in pairs.values())
    of_all = facts["r2"]["log_idf"]["pca:64"]
    for way, least in facts["r2"]["log_idf"]["ols"].items():
        assert of_all[way]["value"] == pytest.approx(least["value"], abs=1e-6), "all components are least squares"
    n, p = (facts["rows"] - facts["probe"]["test_rows"]) * 0.8, 64
    assert facts["noise_least_squares_expected"] == pytest.approx(-p / (n - p - 1), abs=1e-5)
    label = facts["labels"]["stop_word"]
    assert 0.5 < label["auroc"]["type"]["value"] < 1
    assert set(label["average_precision"]) == set(label["share"]) == {"type", "occurrence"}
    edge, tail = facts["filters"]
    assert (edge["filter"], edge["inside"]["width"], edge["outside"]["width"], len(edge["chance"])) == ("edge:2", 32, 32, 3)
    assert tail["inside"]["r2"]["type"]["value"] < ridge["type"]["value"] + 0.1
    bands = facts["bands_by_frequency"]["log_idf"]
    assert bands[0]["name"] == "head"
    assert sum(band["share"] for band in bands) == pytest.approx(1)
    listed = [token for band in bands for token in band["first"]]
    assert stats.cf[bands[0]["first"]].min() >= stats.cf[bands[1]["first"]].max(), "token ids, the commonest first"
    assert set(listed) <= set(sample.types)

    lines = text.splitlines()
    assert "by type" in text
    assert "by occurrence" in text
    head = next(line for line in lines if line.startswith("log_idf  ") and "ridge" in line)
    assert f"{ridge['type']['value']:.3f} [" in head
    assert f"{ridge['occurrence']['value']:.3f} [" in head
    for wanted in ("least squares, expected", "increment over surface", "kept apart", "removed by chance", "AUROC", "bias"):
        assert wanted in text


def test_bands_are_of_the_unembeddings_spectrum_and_say_who_keeps_them(capsys, stories, kept):
    argv = ("bands", "--model", stories, "--stats", kept, "--matrix", "output", "--bands", "8", "--filters", "tail:2")
    facts = json.loads(said(capsys, *argv, "--json", "--out", "out"))
    assert json.loads(Path("out/bands.json").read_text()) == facts
    found = facts["spectroscopy"]
    assert [(band["first"], band["last"]) for band in found] == [(i, i + 8) for i in range(0, 64, 8)]
    assert [round(band["kept"]["tail:2"], 4) for band in found] == [1, 1, 1, 1, 0, 0, 0, 0]
    values = np.linalg.svd(rows(stories, "output").array().astype(np.float64), compute_uv=False)
    np.testing.assert_allclose([band["values"][0] for band in found], values[::8], rtol=1e-5)
    np.testing.assert_allclose([band["values"][1] for band in found], values[7::8], rtol=1e-5)
    assert sum(band["energy"] for band in found) == pytest.approx(1, abs=1e-4)
    assert sum(band["share"] for band in found) == pytest.approx(1, abs=1e-4)
    text = said(capsys, *argv)
    assert "tail:2 keeps" in text
    assert "57–64" in text
    assert "R² by type" in text


def test_queries_keys_and_states_are_probed_too(capsys, stories, kept, beir):
    keys = said(capsys, "probe", "--model", stories, "--stats", kept, "--matrix", "k")
    assert "stories260K k (32 wide)" in keys
    assert "filter" not in keys, "filters are of another space"
    states = said(capsys, "probe", "--model", stories, "--stats", kept, "--matrix", "type:1", "--filters", "", "--device", "cpu")
    assert "type:1 (64 wide)" in states
    argv = ("probe", "--model", stories, "--matrix", "context:1", "--stats", kept, "--dataset", str(beir), "--filters", "")
    facts = json.loads(said(capsys, *argv, "--device", "cpu", "--json"))
    assert facts["noise_least_squares_expected"] is None
    assert facts["r2"]["noise"]["ridge"]["occurrence"]["value"] < 0.05, "a control that is told apart would be a leak"


def test_in_context_rows_are_occurrences_and_types_weigh_the_same(stories, kept, beir):
    texts = [doc.text for doc in load_dataset(str(beir)).docs()]
    sample = Sample.of(stories, TokenStats.load(kept), rows(stories, "context:1", texts=texts, device="cpu"))
    found = study(stories, sample, Asked(replicates=2, permutations=3))
    (target, _), used = found.result.targets, found.result.folds >= 0
    y, predicted = sample.target("log_idf")[used], found.result.predicted[used, 0]
    size = np.bincount(sample.types)[sample.types][used]

    def r2(weights):
        mean = np.average(y, weights=weights)
        return 1 - (weights @ (y - predicted) ** 2) / (weights @ (y - mean) ** 2)

    assert found.pair(target).occurrence.value == pytest.approx(r2(np.ones(len(y))), abs=1e-9)
    assert found.pair(target).type.value == pytest.approx(r2(1 / size), abs=1e-9)
    assert found.p_values(target) == (target.chance.p_occurrence, target.chance.p_type)
    assert sum(band.rows for band in found.table()) == len(set(sample.types[used]))
    with pytest.raises(RarityError, match="leave repair out"):
        study(stories, sample, Asked(repair="balanced"))


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("probe", "--targets", "rarity"), "unknown target"),
        (("probe", "--targets", ""), "no target is named"),
        (("probe", "--targets", "log_idf,log_idf"), "no two alike"),
        (("probe", "--matrix", "outputs"), "unknown matrix"),
        (("probe", "--pool", "none"), "unknown pool"),
        (("bands", "--matrix", "q", "--filters", "edge:2"), "not in the space"),
        (("bands", "--bands", "9999", "--filters", ""), "bands cannot be cut of 64"),
    ],
)
def test_what_is_not_there_is_one_line(capsys, stories, kept, argv, words):
    text = said(capsys, *argv, "--model", stories, "--stats", kept, code=1)
    assert words in text
    assert text.count("\n") == 1


def test_a_control_alone_has_no_direction_and_no_angles(capsys, stories, kept):
    text = said(capsys, "probe", "--model", stories, "--stats", kept, "--targets", "coin", "--filters", "edge:2")
    assert "AUROC" in text
    assert "principal angles" not in text


@pytest.mark.parametrize("command", [("probe",), ("heatmap", "the flow"), ("undertrained", "--no-probe")])
def test_statistics_of_another_models_tokens_are_refused(capsys, kept, command):
    text = said(capsys, *command, "--model", "demo", "--stats", kept, code=1)
    assert "are not of demo's tokens" in text
    assert text.count("\n") == 1


def test_options_that_do_not_go_together_are_refused(capsys, stories, kept):
    for more in (("--limit", "5"), ("--dataset", "cranfield"), ("--matrix", "context:1")):
        said(capsys, "probe", "--model", stories, "--stats", kept, *more, code=2)
