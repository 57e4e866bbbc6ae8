"""A report in the forms people paste, and made again from runs alone."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import shutil
from pathlib import Path

import pytest

from rarityir import experiment
from rarityir.report import RENDERERS, Report, Row, render
from rarityir.types import BadInput, RarityError, UnknownName

TESTS = {"difference": 0.02, "t": 0.01, "fisher": 0.011, "t_holm": 0.02, "fisher_holm": 0.022}
COST = {"dim": 64, "bytes_per_doc": 256, "index_bytes": 3 * 2**20, "build_seconds": 12.34, "qps": 1234.6}
REPORT = Report(
    dataset="tiny/test",
    encoder="stories260K?pooling=last",
    baseline="bm25",
    measures=("nDCG@10", "AP"),
    topics=3,
    cutoff=1000,
    seed=7,
    alpha=0.05,
    rows=(
        Row("bm25", {"nDCG@10": 0.35, "AP": 0.250049}, cost={**COST, "dim": None}),
        Row(
            "dense+edge:2",
            {"nDCG@10": 0.3700001, "AP": 0.1},
            tests={"nDCG@10": TESTS, "AP": TESTS},
            marks={"nDCG@10": "+", "AP": "-"},
            cost=COST,
        ),
        Row(
            "rrf(bm25,dense)",
            {"nDCG@10": 0.36, "AP": 0.25},
            tests={"nDCG@10": TESTS, "AP": TESTS},
            marks={"nDCG@10": "", "AP": ""},
        ),
    ),
    notes=("judged sub-collection",),
)
MEASURES = ("nDCG@10", "RR@10", "AP", "R@100")


@pytest.fixture(scope="module")
def performed(tmp_path_factory: pytest.TempPathFactory, stories: str) -> tuple[Report, Path, Path]:
    """The report of a small experiment, its folder and its dataset."""
    from tiny import write_beir

    home = tmp_path_factory.mktemp("report")
    found = experiment.perform(
        experiment.Experiment(
            dataset=str(write_beir(home / "tiny")),
            encoder=stories,
            systems=("dense", "bm25", "sparse:16", "rrf(bm25,dense)"),
            measures=MEASURES,
            cutoff=5,
            seed=3,
            indexes=str(home / "indexes"),
            out=str(home / "out"),
        )
    )
    return found, home / "out", home / "tiny"


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|\n").split("|")]


def test_markdown_has_the_best_of_each_column_in_bold_and_marks_what_differs() -> None:
    head, rule, first, second, third, *_ = REPORT.markdown().splitlines()
    assert cells(head) == ["system", "nDCG@10", "AP", "width", "bytes/doc", "index", "build s", "queries/s"]
    assert cells(rule) == ["---"] + ["---:"] * 7
    # .250049 and .25 print alike, so both are the best that can be seen.
    assert cells(first) == ["`bm25`", "0.3500", "**0.2500**", "–", "256", "3.0 MiB", "12.3", "1,235"]
    assert cells(second) == ["`dense+edge:2`", "**0.3700**+", "0.1000−", "64", "256", "3.0 MiB", "12.3", "1,235"]
    assert cells(third) == ["`rrf(bm25,dense)`", "0.3600", "**0.2500**", "–", "–", "–", "–", "–"]


@pytest.mark.parametrize("form", ["markdown", "text", "latex"])
def test_a_table_says_what_it_shows_and_how_it_was_tested(form: str) -> None:
    text = render(REPORT, form).replace("\n", " ")
    for words in ("tiny/test", "stories260K?pooling=last", "3 topics", "cutoff 1000", "Holm", "randomisation"):
        assert words in text


def test_notes_stand_under_the_table() -> None:
    assert REPORT.markdown().endswith("judged sub-collection\n")
    assert str(REPORT).endswith("judged sub-collection\n")


def test_plain_text_shows_every_system_on_one_line_and_no_markup() -> None:
    text = str(REPORT)
    assert text == render(REPORT, "text")
    (line,) = [line for line in text.splitlines() if "dense+edge:2" in line]
    assert line.split() == ["dense+edge:2", "0.3700+", "0.1000−", "64", "256", "3.0", "MiB", "12.3", "1,235"]
    assert "[bold]" not in text
    assert "\x1b" not in text


def test_a_name_with_square_brackets_is_shown_as_it_is() -> None:
    report = dataclasses.replace(REPORT, rows=(dataclasses.replace(REPORT.rows[0], name="run[best]"),))
    assert "run[best]" in str(report)


def test_latex_is_a_booktabs_table_with_bold_and_superscripts() -> None:
    lines = REPORT.latex().splitlines()
    assert [line for line in lines if line.startswith("\\") and "rule" in line] == ["\\toprule", "\\midrule", "\\bottomrule"]
    assert r"\begin{tabular}{lrrrrrrr}" in lines
    assert r"system & nDCG@10 & AP & width & bytes/doc & index & build s & queries/s \\" in lines
    assert r"\texttt{bm25} & 0.3500 & \textbf{0.2500} & -- & 256 & 3.0 MiB & 12.3 & 1,235 \\" in lines
    assert r"\texttt{dense+edge:2} & \textbf{0.3700}$^{+}$ & 0.1000$^{-}$ & 64 & 256 & 3.0 MiB & 12.3 & 1,235 \\" in lines
    assert lines[-2:] == [r"\end{tabular}", r"\end{table}"]
    assert "−" not in REPORT.latex()
    assert "–" not in REPORT.latex()


@pytest.mark.parametrize(
    ("letter", "escaped"),
    [
        ("&", r"\&"), ("%", r"\%"), ("_", r"\_"), ("#", r"\#"), ("$", r"\$"), ("{", r"\{"), ("}", r"\}"),
        ("~", r"\textasciitilde{}"), ("^", r"\textasciicircum{}"), ("\\", r"\textbackslash{}"),
    ],
)  # fmt: skip
def test_letters_that_are_special_to_latex_are_escaped(letter: str, escaped: str) -> None:
    row = dataclasses.replace(REPORT.rows[0], name=f"a{letter}b")
    text = dataclasses.replace(REPORT, dataset=f"x{letter}y", rows=(row,)).latex()
    assert rf"\texttt{{a{escaped}b}}" in text
    assert f"x{escaped}y, encoder" in text


def test_csv_has_full_precision_and_every_p_value() -> None:
    rows = list(csv.DictReader(io.StringIO(REPORT.csv())))
    assert [row["system"] for row in rows] == ["bm25", "dense+edge:2", "rrf(bm25,dense)"]
    assert float(rows[0]["AP"]) == 0.250049
    assert float(rows[1]["nDCG@10"]) == 0.3700001
    assert {name: float(rows[1][f"AP {name}"]) for name in TESTS} == TESTS
    assert rows[0]["AP fisher_holm"] == ""
    assert rows[1]["qps"] == "1234.6"
    assert rows[0]["dim"] == rows[2]["dim"] == ""


def test_json_is_one_object_with_the_promised_keys() -> None:
    found = json.loads(REPORT.json())
    assert found == REPORT.to_dict()
    assert found.keys() == {
        "dataset", "encoder", "baseline", "measures", "topics", "cutoff", "seed", "alpha", "notes", "systems",
    }  # fmt: skip
    assert found["systems"][1] == {
        "name": "dense+edge:2",
        "measures": {"nDCG@10": 0.3700001, "AP": 0.1},
        **COST,
        "recall": None,
        "search_qps": None,
        "tests": {"nDCG@10": TESTS, "AP": TESTS},
    }
    assert found["systems"][2]["dim"] is None


def test_a_row_is_found_by_its_name() -> None:
    assert REPORT["dense+edge:2"].measures["AP"] == 0.1
    with pytest.raises(KeyError):
        REPORT["sparse:64"]


def test_an_unknown_form_lists_the_forms() -> None:
    with pytest.raises(UnknownName, match="csv, json, latex, markdown, text"):
        render(REPORT, "html")
    assert {*RENDERERS} == {"text", "markdown", "latex", "csv", "json"}


def test_an_experiment_writes_its_runs_tables_and_provenance(performed: tuple[Report, Path, Path]) -> None:
    report, folder, _ = performed
    assert [row.name for row in report.rows] == ["dense", "bm25", "sparse:16", "rrf(bm25,dense)"]
    assert (folder / "report.md").read_text() == report.markdown()
    assert (folder / "report.tex").read_text() == report.latex()
    assert (folder / "report.csv").read_text() == report.csv()
    assert (folder / "report.json").read_text() == report.json()
    assert len(list((folder / "runs").glob("*.trec"))) == len(list((folder / "runs").glob("*.json"))) == 4
    topics = json.loads((folder / "topics.json").read_text())
    assert topics["query_ids"] == ["q1", "q2", "q3"]
    for row in report.rows:
        for name in MEASURES:
            values = topics["systems"][row.name][name]
            assert sum(values) / 3 == pytest.approx(row.measures[name], abs=1e-6)
    provenance = json.loads((folder / "provenance.json").read_text())
    assert provenance["experiment"]["seed"] == 3
    assert provenance["encoder"]["pooling"] == "mean"


def test_a_report_made_again_from_the_runs_is_the_same_report(performed: tuple[Report, Path, Path], tmp_path: Path) -> None:
    report, folder, _ = performed
    shutil.copytree(folder / "runs", tmp_path / "runs")
    found = experiment.rebuild(tmp_path)
    assert found.to_dict() == report.to_dict()
    assert (tmp_path / "report.md").read_text() == (folder / "report.md").read_text()
    assert (tmp_path / "topics.json").read_bytes() == (folder / "topics.json").read_bytes()


def test_a_report_can_be_made_again_with_other_measures_and_another_baseline(
    performed: tuple[Report, Path, Path], tmp_path: Path
) -> None:
    report, folder, _ = performed
    shutil.copytree(folder / "runs", tmp_path / "runs")
    found = experiment.rebuild(tmp_path / "runs", baseline="dense", measures=["P@1", "AP"])
    assert found.baseline == "dense"
    assert found.measures == ("P@1", "AP")
    assert found["bm25"].measures["AP"] == report["bm25"].measures["AP"]
    assert found["bm25"].tests["AP"]["difference"] == pytest.approx(-report["dense"].tests["AP"]["difference"])
    with pytest.raises(RarityError, match=r"'splade' is not among the runs; did you mean"):
        experiment.rebuild(tmp_path, baseline="splade")


def test_a_run_of_another_tool_joins_the_report(performed: tuple[Report, Path, Path], tmp_path: Path) -> None:
    report, folder, _ = performed
    shutil.copytree(folder / "runs", tmp_path / "runs")
    lines = [f"q{i} Q0 {doc} {rank} 0 perfect" for i, docs in ((1, "d6 d1"), (2, "d4"), (3, "d3"))
             for rank, doc in enumerate(docs.split(), start=1)]  # fmt: skip
    (tmp_path / "runs" / "0-foreign.trec").write_text("\n".join(lines) + "\n")
    found = experiment.rebuild(tmp_path)
    assert [row.name for row in found.rows] == [*(row.name for row in report.rows), "perfect"]
    assert dict(found["perfect"].measures) == dict.fromkeys(MEASURES, 1.0)
    assert found["perfect"].cost == {}
    assert found["bm25"].measures == report["bm25"].measures


def test_runs_of_other_tools_alone_need_their_dataset(performed: tuple[Report, Path, Path], tmp_path: Path) -> None:
    _, _, dataset = performed
    (tmp_path / "b.trec").write_text("q1 Q0 d6 1 9 second\nq2 Q0 d4 1 9 second\n")
    (tmp_path / "a.trec").write_text("q1 Q0 d5 1 9 first\nq1 Q0 d1 2 8 first\n")
    with pytest.raises(RarityError, match="give --dataset"):
        experiment.rebuild(tmp_path)
    found = experiment.rebuild(tmp_path, dataset=str(dataset), measures=["RR@10"])
    assert (found.baseline, found.topics) == ("first", 3)
    assert found["first"].measures["RR@10"] == pytest.approx(1 / 2 / 3)
    assert found["second"].measures["RR@10"] == pytest.approx(2 / 3)
    assert (tmp_path / "report.json").exists()


def test_two_runs_with_one_tag_do_not_become_one_row(performed: tuple[Report, Path, Path], tmp_path: Path) -> None:
    _, _, dataset = performed
    (tmp_path / "a.trec").write_text("q1 Q0 d5 1 9 Anserini\n")
    (tmp_path / "b.trec").write_text("q1 Q0 d6 1 9 Anserini\n")
    found = experiment.rebuild(tmp_path, dataset=str(dataset), measures=["RR@10"])
    assert len({row.name for row in found.rows}) == 2
    assert [row.measures["RR@10"] for row in found.rows] == pytest.approx([0, 1 / 3])
    assert found.rows[1].tests["RR@10"]["difference"] == pytest.approx(1 / 3)


def test_the_seed_of_a_rebuilt_report_can_be_any_number(performed: tuple[Report, Path, Path], tmp_path: Path) -> None:
    shutil.copytree(performed[1] / "runs", tmp_path / "runs")
    assert experiment.rebuild(tmp_path).seed == 3
    assert experiment.rebuild(tmp_path, seed=9).seed == 9


def test_a_run_that_was_changed_is_scored_as_it_is_and_said_to_be(
    performed: tuple[Report, Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    report, folder, _ = performed
    shutil.copytree(folder / "runs", tmp_path / "runs")
    path = tmp_path / "runs" / "bm25.trec"
    path.write_text("q1 Q0 d5 1 1.0 bm25\n")
    found = experiment.rebuild(tmp_path)
    assert found["bm25"].measures["nDCG@10"] == 0.0
    assert found["dense"].measures == report["dense"].measures
    assert any("bm25.trec was changed" in record.message for record in caplog.records)


def test_a_folder_without_runs_or_with_a_broken_sidecar_is_one_line(performed: tuple[Report, Path, Path], tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds no runs"):
        experiment.rebuild(tmp_path)
    shutil.copytree(performed[1] / "runs", tmp_path / "runs")
    (tmp_path / "runs" / "bm25.json").write_text("{")
    with pytest.raises(BadInput, match=r"bm25\.json is no run's provenance"):
        experiment.rebuild(tmp_path)


def test_shares_stand_beside_the_measures_in_every_form():
    rows = [REPORT.rows[0], dataclasses.replace(REPORT.rows[1], share=(0.8123, 0.7, 0.949)), REPORT.rows[2]]
    shown = dataclasses.replace(REPORT, rows=rows, share_of="bm25")
    assert "| `dense+edge:2` | **0.3700**+ | 0.1000− | 0.81 (0.70–0.95) |" in shown.markdown()
    assert "| system | nDCG@10 | AP | of bm25 | width |" in shown.markdown()
    assert "Share of bm25: of its nDCG@10, 95% bootstrap interval." in shown.markdown()
    assert "0.81 (0.70–0.95)" in str(shown)
    assert "& 0.81 (0.70--0.95) &" in shown.latex()
    table = list(csv.DictReader(io.StringIO(shown.csv())))
    assert [row["share of bm25"] for row in table] == ["", "0.8123", ""]
    assert [row["share high"] for row in table] == ["", "0.949", ""]
    found = json.loads(shown.json())
    assert found["share_of"] == "bm25"
    assert [s.get("share") for s in found["systems"]] == [None, {"value": 0.8123, "low": 0.7, "high": 0.949}, None]
    assert all("share" not in render(REPORT, form) for form in RENDERERS)


def test_an_experiment_gives_shares_and_keeps_them_when_it_is_rebuilt(tmp_path, stories):
    from tiny import write_beir

    asked = experiment.Experiment(
        dataset=str(write_beir(tmp_path / "tiny")),
        encoder=stories,
        systems=("bm25", "dense", "sparse:16"),
        share_of="bm25",
        indexes=str(tmp_path / "indexes"),
        out=str(tmp_path / "out"),
    )
    found = experiment.perform(asked)
    assert found["bm25"].share is None
    for name in ("dense", "sparse:16"):
        value, low, high = found[name].share
        assert value == found[name].measures["nDCG@10"] / found["bm25"].measures["nDCG@10"]
        assert low <= value <= high
    assert experiment.rebuild(tmp_path / "out").rows == found.rows
    with pytest.raises(RarityError, match="share_of 'sparse:8' is not among the systems"):
        dataclasses.replace(asked, share_of="sparse:8").check()
