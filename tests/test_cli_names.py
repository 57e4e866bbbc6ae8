"""A misspelt name of any kind: one line that says what was meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from rarityir import registry
from rarityir.cli import main

pytestmark = pytest.mark.usefixtures("elsewhere")


@pytest.mark.parametrize(
    ("argv", "meant"),
    [
        (["serch", "bm25"], "search"),
        (["filter", "fti"], "fit"),
        (["eval", "--datset", "x"], "--dataset"),
        (["report", "x", "--form", "markdwn"], "did you mean markdown?"),
        (["ica", "tree", "x", "--format", "dto"], "did you mean dot?"),
    ],
)
def test_a_misspelt_command_option_or_choice_is_wrong_usage(
    argv: list[str], meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv) == 2
    assert meant in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("argv", "meant"),
    [
        (["search", "dnese"], "unknown system 'dnese'; did you mean dense?"),
        (["search", "dense+egde:2"], "unknown filter 'egde'; did you mean edge"),
        (["search", "rff(bm25,dense)"], "unknown fusion 'rff'; did you mean rrf?"),
        (["search", "bm25:kk1=3"], "unknown option of bm25 'kk1'; did you mean k1?"),
        (["search", "sparse:64,stlye=promptreps"], "unknown option of sparse 'stlye'; did you mean style"),
        (["search", "sparse:64,style=prompreps"], "unknown style of impacts 'prompreps'; did you mean promptreps"),
        (["search", "bm25-idf:prob"], "unknown source of IDF 'prob'; did you mean probe?"),
        (["search", "bm25", "--dataset", "SCIFACTS"], "unknown dataset 'SCIFACTS'; did you mean scifact"),
        (["search", "bm25", "--dataset", "cranfeld"], "unknown dataset 'cranfeld'; did you mean cranfield?"),
        (["search", "bm25", "--dataset", "msmarco-pasage"], "unknown dataset 'msmarco-pasage'; did you mean msmarco-passage"),
        (["search", "dense", "--encoder", "qwen2.5-0.6b"], "unknown encoder 'qwen2.5-0.6b'; did you mean qwen2.5-0.5b"),
        (["search", "dense", "--pooling", "lst"], "unknown pooling 'lst'; did you mean last?"),
        (["search", "dense", "--dtype", "float23"], "unknown dtype 'float23'; did you mean float32"),
        (["search", "dense", "--attention", "egaer"], "unknown attention 'egaer'; did you mean eager?"),
        (["eval", "--measures", "ndgc@10"], "unknown measure 'ndgc@10'; did you mean nDCG@10"),
        (["eval", "--measures", "NDGC"], "(with a cutoff: nDCG@10)"),
        (["eval", "--systems", "dense,dense+edge:2", "--baseline", "dense+edge:4"], "; did you mean dense+edge:2"),
        (
            ["eval", "--systems", "dense,bm25", "--share-of", "dense:sq8"],
            "share_of 'dense:sq8' is not among the systems; did you",
        ),
        (["eval", "--experiment", "e.toml"], "e.toml: unknown key 'sistems'; did you mean systems?"),
        (["filter", "fit", "demo", "spectroscpy:16", "--out", "f"], "unknown filter 'spectroscpy'; did you mean spectroscopy?"),
    ],
)
def test_a_misspelt_name_is_told_in_one_line(argv: list[str], meant: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("e.toml").write_text('sistems = ["bm25"]')
    assert main(argv) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("rarityir: ")
    assert meant in line


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["eval", "-q"], "-q stands before the command: rarityir -q eval"),
        (["filter", "fit", "demo", "edge:2", "-v"], "-v stands before the command: rarityir -v filter fit"),
        (["list", "--quiet"], "--quiet stands before the command: rarityir --quiet list"),
        (["list", "--verbose"], "--verbose stands before the command: rarityir --verbose list"),
    ],
)
def test_how_much_is_said_is_told_to_stand_before_the_command(
    argv: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv) == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"Error: {told}"


def test_a_run_given_to_report_instead_of_its_folder_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    Path("runs").mkdir()
    Path("runs/other.trec").write_text("q1 Q0 d1 1 2 tag\n")
    assert main(["report", "runs/other.trec"]) == 2
    assert "runs/other.trec is a file; give its folder: runs" in capsys.readouterr().err


def test_names_near_to_another_come_best_first_whatever_their_letters() -> None:
    assert registry.near("ap", ["AP", "R@10", "nDCG"]) == ["AP"]
    assert registry.near("DENSE", ["dense", "sparse", "Dense"])[:2] == ["Dense", "dense"]
    assert registry.near("xyz", ["dense"]) == []
    assert len(registry.near("aaaa", ["aaab", "aaac", "aaad", "aaae"])) == 3
    assert registry.hint("xyz", ["b", "a"]) == "known: a, b"
    assert (
        registry.hint("xyz", [f"n{i:02}" for i in range(20)]) == f"known: {', '.join(f'n{i:02}' for i in range(12))} and 8 more"
    )
