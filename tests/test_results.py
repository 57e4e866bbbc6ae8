"""The folder of an evaluation: nothing of anybody else is written over, and a second one does not mix with the first."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from rarityir import results
from rarityir.cli import main
from rarityir.report.model import TOLD
from rarityir.types import RarityError

pytestmark = pytest.mark.usefixtures("elsewhere")
MADE = ("report.md", "report.tex", "report.csv", "report.json", "report.html", "topics.json", "provenance.json", "explained.json")
MINE = '{"mine": 1}'


def evaluate(beir: Path, stories: str, systems: str, *more: str) -> int:
    return main(
        ["eval", "--dataset", str(beir), "--encoder", stories, "--out", "out", "--measures", "AP", "--systems", systems, *more]
    )


def rows(folder: str) -> list[str]:
    return [row["name"] for row in json.loads(Path(folder, "report.json").read_text())["systems"]]


@pytest.mark.parametrize(
    ("name", "pool"),
    [*((name, ()) for name in (*MADE, "runs/dense.trec", "runs/dense.json")), ("report.md", ("--pool", "bm25:1"))],
)
def test_a_file_of_yours_is_left_alone_and_nothing_is_built(
    name: str, pool: tuple[str, ...], beir: Path, stories: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path("out", name)
    path.parent.mkdir(parents=True)
    path.write_text(MINE)
    assert evaluate(beir, stories, "dense", *pool) == 1
    *_, line = capsys.readouterr().err.splitlines()  # before it may be told that this takes long
    assert str(path) in line
    assert path.read_text() == MINE
    assert not Path("indexes").exists()
    assert [p for p in Path("out").rglob("*") if p.is_file()] == [path]


@pytest.mark.parametrize("name", ["out", "out/runs", "above"])
def test_a_file_where_a_folder_is_wanted_is_told_before_anything_is_built(
    name: str, beir: Path, stories: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).write_text("mine")
    out = "above/out" if name == "above" else "out"
    for argv in (
        ["eval", "--dataset", str(beir), "--encoder", stories, "--systems", "dense", "--out", out],
        ["search", "dense", "--dataset", str(beir), "--encoder", stories, "--out", f"{out}/runs/dense.trec"],
        ["filter", "fit", stories, "pca:4", "--dataset", str(beir), "--out", f"{out}/runs"],
    ):
        assert main(argv) == 1
        assert f"{name} is a file; name a folder instead" in capsys.readouterr().err.splitlines()[-1]
    assert Path(name).read_text() == "mine"
    assert not Path("indexes").exists()


def test_every_file_that_is_written_is_known_again_and_damaged_or_foreign_ones_are_not(beir: Path, stories: str) -> None:
    assert evaluate(beir, stories, "dense,dense+edge:2") == 0
    assert {path.name for path in Path("out").iterdir()} == {*MADE, "runs"}
    results.check_free(Path("out"), runs=["dense"])
    for name in MADE:
        path = Path("out", name)
        kept = path.read_bytes()
        for other in (b"mine", b"[1]", b"\xff\xfe", kept[1:]):
            path.write_bytes(other)
            with pytest.raises(RarityError, match=rf"^out/{name} is there and is no file of rarityir eval; [^\n]*$"):
                results.check_free(Path("out"))
        path.write_bytes(b"")  # holds nothing that could be lost
        results.check_free(Path("out"))
        path.write_bytes(kept)


def test_report_leaves_files_of_yours_alone_too(beir: Path, stories: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(beir, stories, "dense") == 0
    for name, argv in (("report.md", ["report", "out"]), ("page.html", ["report", "out", "--html", "out/page.html"])):
        Path("out", name).write_text("mine")
        capsys.readouterr()
        assert main(argv) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert f"out/{name} is there" in line
        assert Path("out", name).read_text() == "mine"
        Path("out", name).unlink()


def test_where_results_are_is_said_at_the_end(beir: Path, stories: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(beir, stories, "dense") == 0
    assert capsys.readouterr().err.endswith("out: report.html, report.md, runs\n")
    assert main(["-q", "eval", "--dataset", str(beir), "--encoder", stories, "--systems", "dense"]) == 0
    assert capsys.readouterr().err == ""


def test_a_second_evaluation_in_a_folder_is_told_and_the_report_is_of_it(
    beir: Path, stories: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(beir, stories, "dense+tail:2,dense+edge:2,dense") == 0
    assert evaluate(beir, stories, "dense,dense+random:2") == 0
    said = "(tiny/test, encoder stories260K: dense+tail:2, dense+edge:2, dense); its tables are replaced"
    assert f"out holds another evaluation {said}" in capsys.readouterr().err
    assert len([*Path("out/runs").glob("*.trec")]) == 4
    again = Path("out/report.json").read_bytes()
    assert main(["report", "out"]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "left out of another evaluation in out: dense+edge:2, dense+tail:2; to show all, remove report.json"
    assert Path("out/report.json").read_bytes() == again
    assert rows("out") == ["dense", "dense+random:2"]
    # A run of another tool was put there to be shown, and stays where it came in.
    for name in ("other", "anserini"):
        Path("out/runs", f"0-{name}.trec").write_text(f"q1 Q0 d1 1 9 {name}\n")
        assert main(["-q", "report", "out"]) == 0
    assert rows("out") == ["dense", "dense+random:2", "other", "anserini"]
    Path("out/report.json").unlink()
    assert main(["report", "out"]) == 0
    assert {*rows("out")} == {"dense+tail:2", "dense+edge:2", "dense", "dense+random:2", "other", "anserini"}


def test_runs_that_are_left_out_are_not_read(beir: Path, stories: str, capsys: pytest.CaptureFixture[str]) -> None:
    for systems in ("dense+edge:2,dense", "dense,dense+random:2"):
        assert evaluate(beir, stories, systems) == 0
    Path("out/runs/dense+edge_2.trec").write_text("no run\n")
    capsys.readouterr()
    assert main(["report", "out"]) == 0
    assert capsys.readouterr().err.splitlines() == [
        "left out of another evaluation in out: dense+edge:2; to show all, remove report.json"
    ]
    assert rows("out") == ["dense", "dense+random:2"]
    Path("out/report.json").unlink()
    assert main(["report", "out"]) == 1


@pytest.mark.parametrize("value", ["NaN", "Infinity", '"fast"'])
@pytest.mark.parametrize("name", TOLD)
def test_a_cost_that_is_no_number_is_told(
    name: str, value: str, beir: Path, stories: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(beir, stories, "dense") == 0
    path = Path("out/runs/dense.json")
    told = {key: found for key, found in json.loads(path.read_text()).items() if key != "sha256"}  # as earlier releases wrote it
    path.write_text(json.dumps({**told, "cost": {name: "here"}}).replace('"here"', value))
    capsys.readouterr()
    assert main(["report", "out"]) == 1
    assert "out/runs/dense.json is no run's provenance" in capsys.readouterr().err


def test_the_same_systems_again_or_more_of_them_are_no_other_evaluation(
    beir: Path, stories: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for systems in ("dense", "dense,dense+random:2"):
        assert evaluate(beir, stories, systems) == 0
        assert "another" not in capsys.readouterr().err
    assert evaluate(beir, stories, "dense,dense+random:2", "--pooling", "last") == 0
    assert "out holds another evaluation" in capsys.readouterr().err


def test_a_second_evaluation_at_another_cutoff_can_be_reported(beir: Path, stories: str) -> None:
    assert evaluate(beir, stories, "dense,dense+random:2") == 0
    assert evaluate(beir, stories, "dense", "--cutoff", "3") == 0
    assert main(["report", "out"]) == 0
    assert rows("out") == ["dense"]


def test_a_filters_folder_with_a_card_of_yours_is_left_alone(stories: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine").mkdir()
    for card in (MINE, "{", "[]"):
        Path("mine/filter.json").write_text(card)
        Path("mine/README.md").write_text("precious")
        assert main(["filter", "fit", "no-such-model", "edge:2", "--out", "mine"]) == 1  # told before anything is read
        (line,) = capsys.readouterr().err.splitlines()
        assert "mine/filter.json is no filter's" in line
        assert main(["filter", "select", "--dataset", "no-such-dataset", "--out", "mine"]) == 1
        assert "mine/filter.json is no filter's" in capsys.readouterr().err
        assert (Path("mine/filter.json").read_text(), Path("mine/README.md").read_text()) == (card, "precious")
    for name in ("edge:2", "tail:2"):
        assert main(["filter", "fit", stories, name, "--out", "ours"]) == 0


def test_a_run_of_search_stands_beside_those_of_eval_with_its_costs(
    beir: Path, stories: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(beir, stories, "dense") == 0
    common = ["--dataset", str(beir), "--encoder", stories]
    assert main(["search", "dense+edge:2", *common, "--out", "out/runs/mine.trec"]) == 0
    assert main(["report", "out"]) == 0
    assert rows("out") == ["dense", "dense+edge:2"]
    costs = [row["dim"] for row in json.loads(Path("out/report.json").read_text())["systems"]]
    assert costs[1] < costs[0]
    # The same collection by another path, and a system that no instruction reaches.
    assert main(["eval", *common, "--systems", "dense", "--measures", "AP", "--out", "told", "--instruction", "Find:"]) == 0
    near = os.path.relpath(beir)
    assert main(["search", "bm25", "--dataset", near, "--encoder", stories, "--out", "told/runs/lucene.trec"]) == 0
    assert main(["report", "told"]) == 0
    assert rows("told") == ["dense", "bm25"]
    assert main(["search", "dense+edge:2", *common, "--pooling", "last", "--out", "out/runs/mine.trec"]) == 0
    capsys.readouterr()
    assert main(["report", "out"]) == 1
    assert "differ in encoder_identity" in capsys.readouterr().err


def test_a_run_without_a_document_is_read_again(beir: Path, stories: str) -> None:
    assert evaluate(beir, stories, "dense,dense+edge:2") == 0
    path = Path("out/runs/dense.trec")
    told = {key: found for key, found in json.loads(path.with_suffix(".json").read_text()).items() if key != "sha256"}
    path.write_text("")
    path.with_suffix(".json").write_text(json.dumps({**told, "run_sha256": hashlib.sha256(b"").hexdigest()}))
    assert main(["report", "out"]) == 0
    assert rows("out") == ["dense", "dense+edge:2"]
    assert json.loads(Path("out/report.json").read_text())["systems"][0]["measures"] == {"AP": 0.0}


def test_what_runs_were_made_for_is_compared_with_what_is_there_now(
    beir: Path, stories: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(beir, stories, "dense") == 0
    Path("out/runs/other.trec").write_text("".join(f"{query_id} Q0 d1 1 9 other\n" for query_id in ("q1", "q2", "x1", "x2")))
    capsys.readouterr()
    assert main(["report", "out"]) == 0
    assert capsys.readouterr().err.splitlines() == ["2 topics of the run other unjudged in tiny/test: left out"]
    queries = beir / "queries.jsonl"
    queries.write_text(queries.read_text().replace("the", "a", 1))
    assert main(["report", "out"]) == 0
    assert "the run dense was made for other topics than those of tiny/test now" in capsys.readouterr().err
    Path("out/runs/other.trec").write_text("x1 Q0 d1 1 9 other\n")
    assert main(["report", "out"]) == 1
    assert "the run other has no topic of tiny/test; is it of another collection?" in capsys.readouterr().err


def test_a_comparison_says_that_judgments_changed_and_tests_no_other_topics(
    beir: Path, stories: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(beir, stories, "dense") == 0
    qrels = beir / "qrels" / "test.tsv"
    qrels.write_text(qrels.read_text() + "q1\td6\t1\n")
    common = ["--dataset", str(beir), "--encoder", stories, "--measures", "AP", "--systems", "dense"]
    assert main(["eval", *common, "--out", "judged"]) == 0
    queries = beir / "queries.jsonl"
    queries.write_text(queries.read_text().replace("the", "a", 1))
    assert main(["eval", *common, "--out", "asked"]) == 0
    capsys.readouterr()
    assert main(["compare", "out", "judged", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in found["settings"]] == ["dataset.qrels_sha256"]
    assert found["systems"][0]["measures"]["AP"]["test"] is not None
    assert main(["compare", "judged", "asked", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert "A and B are of other topics, whatever their collections are called: nothing is tested." in found["notes"]
    assert found["systems"][0]["measures"]["AP"]["test"] is None
    assert main(["compare", "out", "judged", "--seed", "-1"]) == 2
    assert main(["report", "out", "--seed", "-1"]) == 2
