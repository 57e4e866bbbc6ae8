"""`rarityir analogy`, on planted relations and on a tiny judged collection: what it prints is what was planted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rarityir.analogy.named import Named
from rarityir.analogy.pairs import read_pairs
from rarityir.analogy.relation import Relation
from rarityir.analogy.saving import CARD, WEIGHTS, load, save
from rarityir.cli import main
from rarityir.types import RarityError

pytestmark = pytest.mark.usefixtures("elsewhere")


def said(argv: list[str], capsys: pytest.CaptureFixture[str], status: int = 0) -> str:
    assert main(argv) == status
    out, err = capsys.readouterr()
    return out if status == 0 else err


@pytest.fixture
def planted(tmp_path: Path, rng: np.random.Generator) -> list[str]:
    """Two groups of pairs, each with its own translation, known since 1991 to 2020; and where both are."""
    count, lines, names, rows = 30, ["drug\tgene\tpathway\tyear"], [], []
    for group in ("g1", "g2"):
        away = 20 * rng.normal(size=24)
        for i in range(count):
            x = rng.normal(size=24)
            lines.append(f"{group} drug {i}\t{group} gene {i}\t{group}\t{1991 + i}")
            names += [f"{group}_drug_{i}", f"{group}_gene_{i}"]
            rows += [x, x + away + 0.1 * rng.normal(size=24)]
    (tmp_path / "pairs.tsv").write_text("\n".join(lines) + "\n")
    np.savez(tmp_path / "vectors.npz", names=np.array(names), vectors=np.array(rows, np.float32))
    return ["--pairs", str(tmp_path / "pairs.tsv"), "--vectors", str(tmp_path / "vectors.npz"), "--group-col", "pathway"]


def test_a_planted_relation_is_scored_beside_its_baselines(planted: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(said(["analogy", "eval", *planted, "--json", "--out", "found.json", "--pictures", "drawn"], capsys))
    assert {path.name for path in Path("drawn").iterdir()} == {"arrows.svg", "groups.svg"}
    assert found == json.loads(Path("found.json").read_text())
    assert (found["setting"], found["leave_out"], found["queries"], found["in_sample"]) == ("P1", "query", 60, False)
    scores = {name: row["hit_rate@1"] for name, row in found["scores"].items()}
    assert scores["analogy"] > 0.95
    assert max(score for name, score in scores.items() if name != "analogy") < 0.5
    later = json.loads(said(["analogy", "eval", *planted, "--time-col", "year", "--cut", "2005", "--json"], capsys))
    assert (later["setting"], later["leave_out"], later["pairs"], later["queries"]) == ("P1xY2", "known answers", 30, 30)
    assert later["scores"]["analogy"]["hit_rate@1"] > 0.95
    text = said(["analogy", "eval", *planted, "--in-sample", "--repeats", "1"], capsys)
    assert "in-sample" in text.splitlines()[0]
    assert "analogy:in-sample" in text
    random = json.loads(said(["analogy", "eval", *planted[:2], "--vectors", "random:16", "--json", "--seed", "5"], capsys))
    assert random["setting"] == "G"
    assert random["scores"]["analogy"]["hit_rate@1"] < 0.2


def test_years_are_cut_one_after_another(planted: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["analogy", "years", *planted, "--time-col", "year", "--cuts", "2010,2000", "--repeats", "1", "--picture", "y.svg"]
    found = json.loads(said([*argv, "--json"], capsys))
    assert [(cut["cut"], cut["known"], cut["later"]) for cut in found["cuts"]] == [(2000, 20, 40), (2010, 40, 20)]
    assert all(cut["scores"]["analogy"]["hit_rate@10"] > 0.95 for cut in found["cuts"])
    assert Path("y.svg").exists()
    assert said(argv, capsys).splitlines()[1].split()[:3] == ["2000", "20", "40"]
    for more, words in ((["--cuts", "2000"], "needs --time-col"), (["--time-col", "year", "--cuts", "x"], "is no number")):
        assert words in said(["analogy", "years", *planted, *more], capsys, 2)
    wrong = ["analogy", "years", *planted, "--time-col", "year", "--cuts", "2000", "--measure", "AP"]
    assert "is none of hit_rate@1" in said(wrong, capsys, 2)


def test_names_may_be_rows_of_a_model(stories: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ["one\tother", "red ball\tblue ball", "red car\tblue car", "red dog\tblue dog"]
    (tmp_path / "pairs.tsv").write_text("\n".join(lines) + "\n")
    argv = ["analogy", "eval", "--pairs", str(tmp_path / "pairs.tsv"), "--encoder", stories, "--vectors"]
    # The mean row of "red X" is moved to that of "blue X" by the same vector for every X but for what the tokenizer joins.
    found = json.loads(said([*argv, "tokens:input", "--json", "--leave-out", "query"], capsys))
    assert found["scores"]["analogy"]["hit_rate@1"] == 1
    shared = json.loads(said([*argv, "tokens:output", "--json", "--leave-out", "shared"], capsys))
    assert shared["leave_out"] == "shared"


def test_a_relation_is_fitted_saved_and_searched(planted: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    facts = json.loads(said(["analogy", "fit", *planted, "--out", "rel", "--json"], capsys))
    assert (facts["pairs"], facts["queries"], facts["groups"], facts["width"]) == (60, 60, 2, 24)
    asked = ["analogy", "search", "rel", "g1 drug 3", "g1_drug_4", *planted, "--group", "g1"]
    found = json.loads(said([*asked, "--known", "--json"], capsys))
    assert found["answers"]["g1_drug_3@g1"][0][0] == "g1_gene_3"
    assert found["vector_of"] == {"g1_drug_3@g1": "group", "g1_drug_4@g1": "group"}
    assert said([*asked, "--known", "--k", "1"], capsys).startswith("g1_drug_3@g1: g1_gene_3 ")
    hidden = json.loads(said([*asked, "--json", "--k", "99"], capsys))
    assert "g1_gene_3" not in [name for name, _ in hidden["answers"]["g1_drug_3@g1"]]
    said([*asked, "--known", "--out", "found.trec"], capsys)
    assert Path("found.trec").read_text().startswith("g1_drug_3@g1 Q0 g1_gene_3 1 ")
    early = ["analogy", "fit", *planted, "--time-col", "year", "--cut", "2000", "--out", "early", "--json"]
    assert json.loads(said(early, capsys))["pairs"] == 20


def test_a_saved_relation_is_the_same_and_a_changed_one_is_told(planted: list[str], tmp_path: Path) -> None:
    pairs, vectors = read_pairs(planted[1], group="pathway"), Named.read(planted[3])
    for scheme in ("pair-mean", "type-mean"):
        found = Relation.fit(
            vectors, vectors, [p[:2] for p in pairs], [p.group for p in pairs], scheme=scheme, centre=scheme == "pair-mean"
        )
        again = load(save(found, tmp_path / scheme))
        ids = [p.query for p in pairs]
        for left in ("query", "group", None):
            one, two = (r.moves(ids, [p.group for p in pairs], left) for r in (found, again))
            assert np.array_equal(one.vectors, two.vectors)
            assert one.source == two.source
        assert (again.known, again.centre) == (found.known, found.centre)
    card = json.loads((tmp_path / scheme / CARD).read_text())
    (tmp_path / scheme / CARD).write_text(json.dumps({**card, "centre": True}))
    with pytest.raises(RarityError, match="is not the relation its card describes"):
        load(tmp_path / scheme)
    (tmp_path / scheme / CARD).unlink()
    with pytest.raises(RarityError, match="no whole relation"):
        load(tmp_path / scheme)
    with pytest.raises(RarityError, match="is no relation's"):
        save(found, tmp_path / scheme)
    assert (tmp_path / scheme / WEIGHTS).exists()


def test_an_offset_is_learned_planned_and_evaluated(beir: Path, stories: str, capsys: pytest.CaptureFixture[str]) -> None:
    common = ["--dataset", str(beir), "--encoder", stories]
    learned = ["analogy", "offset", "dense", *common, "--scale", "0,0.5,1", "--measure", "RR", "--out", "off", "--json"]
    facts = json.loads(said(learned, capsys))
    best = facts["left_out"]["RR"]
    assert best.keys() == {"0", "0.5", "1"}
    assert best[f"{facts['scale']:g}"] == max(best.values())
    assert (facts["topics"], facts["pairs"], facts["control"]) == (3, 4, "none")
    both = json.loads(said([*learned, "--leave-out", "shared"], capsys))["left_out"]["RR"]
    assert both["0"] == best["0"]  # not moved, whatever is left out
    gained = json.loads(said(["analogy", "gain", "off", *common, "--measure", "RR", "--picture", "g.svg", "--json"], capsys))
    assert sum(one["topics"] for one in gained["clusters"]) == 3
    changed = sum(one["topics"] * one["mean"] for one in gained["clusters"]) / 3
    assert changed == pytest.approx(gained["after"] - gained["before"], abs=1e-4)
    assert Path("g.svg").exists()
    assert gained["in_sample"]
    text = said(["analogy", "gain", "off", *common, "--measure", "RR"], capsys)
    assert "dense: " in text
    assert "in-sample" in text
    card = json.loads(Path("off/offset.json").read_text())
    card["learned_on"]["dataset"] = "other topics"
    Path("off/offset.json").write_text(json.dumps(card))
    assert "in-sample" not in said(["analogy", "gain", "off", *common, "--measure", "RR"], capsys)
    said(["search", "dense:offset=off", *common, "--dry-run"], capsys)
    systems = ["--systems", "dense,dense:offset=off", "--measures", "RR", "--baseline", "dense"]
    found = json.loads(said(["eval", *common, *systems, "--json", "--out", "evals"], capsys))
    assert "dense:offset=off" in json.dumps(found)


def test_what_is_wrong_is_one_line(planted: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for argv, status, words in (
        (["eval", *planted, "--cut", "2000"], 2, "--cut needs --time-col"),
        (["eval", *planted[:2], "--vectors", "random:x"], 2, "needs a width"),
        (["eval", *planted[:2], "--vectors", "random:8", "--setting", "P1"], 1, "needs a group for every pair"),
        (["offset", "dense", "--scale", "0,x", "--out", "o"], 2, "is no number"),
        (["offset", "bm25", "--out", "o"], 1, "an offset is learned for dense"),
        (["search", "nowhere", "q", *planted], 1, "holds no whole relation"),
        (["fit", "--pairs", "none.tsv", "--out", "o"], 1, "no pairs at none.tsv"),
    ):
        assert words in said(["analogy", *argv], capsys, status)
