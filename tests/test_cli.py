"""The commands as a user meets them: what they print, where, and with which exit status."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rarityir.cli import main
from rarityir.encoders.hf import HFEncoder
from rarityir.filters import EmbedFilter
from rarityir.runs import read_run

SYSTEMS = "bm25,dense,dense+edge:2,sparse:32+edge:2"


pytestmark = pytest.mark.usefixtures("elsewhere")


def files(folder: Path, pattern: str = "*") -> dict[Path, tuple[int, bytes]]:
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob(pattern) if path.is_file()}


def refuse(self: HFEncoder, texts: object) -> None:
    raise AssertionError("documents are encoded again")


@pytest.mark.parametrize("argv", [["--help"], ["-h"], ["eval", "--help"], ["filter", "fit", "-h"], ["--version"]])
def test_help_and_version_go_to_standard_output_and_succeed(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 0
    out, err = capsys.readouterr()
    assert out.strip()
    assert err == ""


@pytest.mark.parametrize(
    "command",
    ["align", "alignment", "doctor", "encode", "eval", "explain", "export", "filter", "index", "list", "report", "search",
     "sparse", "variation"],
)  # fmt: skip
def test_every_command_is_listed_with_a_line_of_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--help"])
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith(f"  {command} ")]
    assert len(line.split()) > 2


@pytest.mark.parametrize(
    "argv",
    [
        ["evaluate"],
        ["eval", "--no-such-option"],
        ["eval", "--cutoff", "ten"],
        ["search"],
        ["filter", "fit", "demo"],
        ["list", "x"],
    ],
)
def test_wrong_usage_exits_with_two_and_says_so_on_standard_error(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "Error:" in err


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["eval", "--dataset", "scifacts"], "unknown dataset 'scifacts'; did you mean scifact"),
        (["eval", "--dataset", "no-such-folder"], "unknown dataset"),
        (["eval", "--systems", "bm25,dens"], "did you mean dense"),
        (["eval", "--systems", "dense+edgy:2", "--baseline", "dense+edgy:2"], "unknown filter 'edgy'"),
        (["eval", "--systems", "rff(bm25,dense)"], "unknown fusion 'rff'"),
        (["eval", "--systems", "rrf(bm25,dense"], "brackets"),
        (["eval", "--systems", "bm25+edge:2"], "bm25 reads text"),
        (["eval", "--systems", "bm25:k1=-1", "--dataset", "{beir}"], "k1 must be at least 0"),
        (["eval", "--measures", "nDCG10"], "unknown measure 'nDCG10'"),
        (["eval", "--systems", "dense", "--baseline", "bm25"], "baseline 'bm25' is not among the systems"),
        (["eval", "--cutoff", "0"], "cutoff is 0"),
        (["eval", "--dataset", "{beir}:dev"], "no qrels/dev.tsv"),
        (["eval", "--encoder", "{stories}", "--pooling", "meen", "--dataset", "{beir}"], "did you mean mean"),
        (["eval", "--encoder", "{stories}", "--dtype", "int4", "--dataset", "{beir}"], "unknown dtype 'int4'"),
        (["eval", "--experiment", "absent.toml"], "no experiment file absent.toml"),
        (["encode", "--encoder", "no/such-model", "--dataset", "{beir}"], "no/such-model"),
        (["index", "sparse:many", "--encoder", "{stories}", "--dataset", "{beir}"], "whole number"),
        (["search", "fense"], "did you mean dense"),
        (["filter", "fit", "{stories}", "edge:0", "--out", "f"], "between 1 (keep all) and the width"),
        (["filter", "fit", "{stories}", "edge", "--out", "f"], "needs a number"),
        (["filter", "fit", "{stories}", "hedge:2", "--out", "f"], "unknown filter 'hedge'"),
        (["filter", "show", "{beir}"], "config.json"),
        (["report", "{beir}"], "holds no runs"),
    ],
)
def test_what_a_user_can_put_right_is_one_line_and_exits_with_one(
    argv: list[str], words: str, beir: Path, stories: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([word.format(beir=beir, stories=stories) for word in argv]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("rarityir: ")
    assert words in line


def test_an_experiment_file_with_an_unknown_key_or_a_wrong_type_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    for text, words in (
        ('encoders = ["demo"]', "unknown key 'encoders'"),
        ('systems = "bm25"', "systems must be a list"),
        ('cutoff = "many"', "cutoff must be int"),
        ("seed = true", "seed must be int, not bool"),
        ("systems = [", "is not TOML"),
    ):
        Path("e.toml").write_text(text)
        assert main(["eval", "--experiment", "e.toml"]) == 1
        assert words in capsys.readouterr().err


def test_list_says_what_exists(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"bm25", "dense", "sparse"} <= {*found["indexes"]}
    assert {"edge", "head", "mid", "random", "tail"} <= {*found["filters"]}
    assert {"combsum", "rrf"} <= {*found["fusions"]}
    assert {"echo", "last", "mean", "prompteol", "weighted-mean"} <= {*found["poolings"]}
    assert {"cranfield", "scifact", "msmarco-dev"} <= {*found["datasets"]}
    assert {"demo", "qwen2.5-0.5b"} <= {*found["encoders"]}
    assert "nDCG@10" in found["measures"]
    assert main(["list"]) == 0
    text = capsys.readouterr().out
    assert all(kind in text for kind in found)


def test_the_doctor_finds_java_packages_and_places(capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["doctor", "--json"])
    found = json.loads(capsys.readouterr().out)
    checks = {check["what"]: check for check in found["checks"]}
    assert found["ok"] == (status == 0)
    assert {"torch", "pyserini", "Java", "device", "indexes", "demo collection", "demo model"} <= checks.keys()
    assert checks["Java"]["ok"]
    assert checks["torch"]["ok"]
    assert status == (1 if any(check["ok"] is False for check in checks.values()) else 0)
    assert all(check["do"] for check in checks.values() if not check["ok"])


def test_the_doctor_fails_and_says_what_to_do_when_something_needed_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from rarityir.cli import inspection

    monkeypatch.setattr(inspection, "_NEEDED", ("numpy", "no-such-package"))
    assert main(["doctor"]) == 1
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "no-such-package" in line]
    assert line.startswith("MISSING")
    assert line.endswith("pip install no-such-package")


def test_a_filter_is_fitted_saved_and_can_be_loaded(stories: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["filter", "fit", stories, "edge:2", "--out", "edge", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["filter"], facts["kept"], facts["width"], facts["folder"]) == ("edge:2", 32, 64, "edge")
    assert EmbedFilter.load("edge").basis.shape == (32, 64)
    assert list((tmp_path / "cache").rglob("spectrum-*.safetensors"))
    assert main(["filter", "fit", stories, "tail:4", "--out", "tail"]) == 0
    assert capsys.readouterr().out == "tail: tail:4 keeps 16 of 64 directions\n"


def test_a_filter_fitted_on_documents_says_on_which(beir: Path, stories: str, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["filter", "fit", stories, "tail:2+whiten:2", "--dataset", str(beir), "--out", "white", "--json"]
    assert main(argv) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["documents"]["count"] == 6
    assert facts["kept"] == 2
    assert EmbedFilter.load("white").mean is not None
    assert main(["filter", "fit", stories, "whiten:2", "--out", "white"]) == 1
    assert "documents" in capsys.readouterr().err


def test_the_spectrum_of_a_model_is_shown(stories: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["filter", "show", stories, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    values = facts["values"]
    assert (facts["vocabulary"], facts["width"], len(values), facts["energy"]) == (512, 64, 64, None)
    assert values == sorted(values, reverse=True)
    assert main(["filter", "show", stories, "--top", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[3:10]] == ["1", "2", "3", "…", "62", "63", "64"]
    assert lines[9].split()[2] == "1.0000"


def test_a_filter_is_explained_with_texts_and_a_picture(stories: str, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["filter", "show", stories, "--filter", "cut:4,16", "--text", "Lily saw a red ball", "--picture", "p.svg"]
    assert main(argv) == 0
    out = capsys.readouterr().out
    assert "cut:4,16 keeps 44 of 64 directions" in out
    assert "'Lily saw a red ball'" in out
    assert Path("p.svg").read_text().startswith("<?xml")


def test_embeddings_are_filtered_block_by_block_and_those_of_another_model_refused(
    beir: Path, stories: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["encode", "--dataset", str(beir), "--encoder", stories, "--json"]) == 0
    folder = json.loads(capsys.readouterr().out)["folder"]
    assert main(["filter", "fit", stories, "edge:2", "--out", "edge"]) == 0
    assert main(["filter", "apply", "edge", folder, "--out", "out"]) == 0
    raw, filtered = (np.load(Path(place) / "000000.npy") for place in (folder, "out"))
    np.testing.assert_array_equal(filtered, EmbedFilter.load("edge")(raw))
    assert main(["filter", "fit", "demo", "edge:2", "--out", "other"]) == 0
    capsys.readouterr()
    assert main(["filter", "apply", "other", folder, "--out", "out2"]) == 1
    err = capsys.readouterr().err
    assert "demo" in err
    assert "stories260K" in err
    assert not Path("out2").exists()
    assert main(["filter", "apply", "edge", "nowhere", "--out", "out2"]) == 1


def test_a_folder_with_other_files_in_it_is_never_written_over(
    beir: Path, stories: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("mine").mkdir()
    Path("mine/README.md").write_text("precious")
    assert main(["encode", "--dataset", str(beir), "--encoder", stories, "--json"]) == 0
    folder = json.loads(capsys.readouterr().out)["folder"]
    assert main(["filter", "fit", stories, "edge:2", "--out", "edge"]) == 0
    for out in ("mine", "."):
        assert main(["filter", "apply", "edge", folder, "--out", out]) == 1
    assert main(["filter", "fit", stories, "edge:2", "--out", "mine"]) == 1
    assert main(["filter", "fit", stories, "tail:2", "--out", "edge"]) == 0  # an earlier filter may be
    assert Path("mine/README.md").read_text() == "precious"
    assert [path.name for path in Path("mine").iterdir() if path.name != ".lock"] == ["README.md"]


def test_a_filter_fitted_on_documents_of_another_model_is_refused_too(
    beir: Path, stories: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("pca:4", "truncate:4"):
        assert main(["filter", "fit", stories, name, "--dataset", str(beir), "--out", "other"]) == 0
        assert main(["filter", "show", "demo", "--filter", "other"]) == 1
        assert main(["search", "dense+saved:other", "--encoder", "demo", "--dataset", str(beir)]) == 1
        err = capsys.readouterr().err
        assert "stories260K" in err
        assert "demo" in err


def test_tokens_are_counted_and_the_table_serves_a_filter(beir: Path, stories: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["filter", "count", stories, "--dataset", str(beir), "--out", "counts.safetensors", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert 50 < facts["tokens"] < 500
    assert main(["filter", "fit", stories, "spectroscopy:16,counts=counts.safetensors", "--out", "s", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["counts"]["tokens"] == facts["tokens"]
    assert main(["filter", "fit", stories, "spectroscopy:16,counts=nowhere", "--out", "s"]) == 1


def test_a_filter_is_chosen_on_a_development_split_and_a_test_split_refused(
    beir: Path, stories: str, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["filter", "select", "--dataset", f"{beir}:dev", "--encoder", stories, "--filters", "edge:2,tail:2"]
    assert main([*argv[:3], str(beir), *argv[4:]]) == 1
    assert "tiny/test is a test split" in capsys.readouterr().err
    (beir / "qrels" / "dev.tsv").write_text((beir / "qrels" / "test.tsv").read_text())
    assert main([*argv, "--json"]) == 0
    assert {c["filter"] for c in json.loads(capsys.readouterr().out)["candidates"]} == {"", "edge:2", "tail:2"}


def test_a_dataset_with_an_experiment_of_its_name_is_evaluated_as_that_says(
    beir: Path, stories: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("evals").mkdir()
    written = (
        f'dataset = "cranfield"\nencoder = "{stories}"\nsystems = ["dense", "dense+tail:2"]\nbaseline = "dense"\nout = "mine"\n'
    )
    Path("evals/tiny.toml").write_text(written)
    beir.rename("tiny")
    assert main(["eval", "--dataset", "tiny", "--json"]) == 0
    out, err = capsys.readouterr()
    assert [system["name"] for system in json.loads(out)["systems"]] == ["dense", "dense+tail:2"]
    assert Path("mine/report.json").exists()
    assert "evals/tiny.toml" in err
    before = files(Path("mine"))
    assert main(["eval", "--dataset", "tiny", "--systems", "dense", "--json"]) == 0
    assert files(Path("mine")) == before
    assert len(list(Path("evals").glob("tiny*/report.json"))) == 1


def test_a_saved_filter_is_part_of_a_systems_name(beir: Path, stories: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["filter", "fit", stories, "tail:4", "--out", "tail"]) == 0
    systems = ["--systems", "dense,dense+tail:4,dense+saved:tail", "--json"]
    assert main(["eval", "--dataset", str(beir), "--encoder", stories, "--baseline", "dense", *systems]) == 0
    rows = json.loads(capsys.readouterr().out.partition("\n")[2])["systems"]
    assert rows[1]["measures"] == rows[2]["measures"]
    assert main(["filter", "fit", "demo", "tail:4", "--out", "tail"]) == 0
    assert main(["eval", "--dataset", str(beir), "--encoder", stories, "--baseline", "dense", *systems]) == 1
    assert main(["eval", "--dataset", str(beir), "--encoder", stories, "--systems", "dense+saved:none"]) == 1


def test_eval_prints_one_json_object_and_a_second_time_encodes_nothing_again(
    beir: Path, stories: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["eval", "--dataset", str(beir), "--encoder", stories, "--systems", SYSTEMS, "--out", "out", "--json"]
    assert main(argv) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert err == "out: report.html, report.md, runs\n"
    assert {"dataset", "encoder", "systems", "baseline"} <= found.keys()
    assert (found["dataset"], found["encoder"], found["baseline"]) == ("tiny/test", "stories260K", "bm25")
    assert [system["name"] for system in found["systems"]] == SYSTEMS.split(",")
    for system in found["systems"]:
        assert {"name", "measures", "dim", "bytes_per_doc", "qps", "search_qps"} <= system.keys()
        assert list(system["measures"]) == ["nDCG@10", "RR@10", "R@100", "R@1000", "AP"]
        assert all(0 <= value <= 1 for value in system["measures"].values())
        assert system["search_qps"] >= system["qps"] > 0
    assert [system["dim"] for system in found["systems"]] == [None, 64, 32, 32]
    assert [system["bytes_per_doc"] for system in found["systems"]][1:3] == [256, 128]
    assert found["systems"][0]["measures"]["AP"] > 0.8  # words that the texts share

    before = files(Path("indexes"))
    assert [path for path in before if path.parent.name == "embeddings" and path.suffix == ".npy"]
    monkeypatch.setattr(HFEncoder, "encode_document", refuse)
    monkeypatch.setattr(HFEncoder, "reading", refuse)
    assert main(argv) == 0
    again = json.loads(capsys.readouterr().out)
    assert files(Path("indexes")) == before
    assert [s["measures"] for s in again["systems"]] == [s["measures"] for s in found["systems"]]


def test_a_new_filter_needs_no_new_embeddings(beir: Path, stories: str, monkeypatch: pytest.MonkeyPatch) -> None:
    common = ["--dataset", str(beir), "--encoder", stories]
    assert main(["encode", *common]) == 0
    before = files(Path("indexes"), "*.npy")
    monkeypatch.setattr(HFEncoder, "encode_document", refuse)
    monkeypatch.setattr(HFEncoder, "reading", refuse)
    for system in ("dense", "dense+edge:4", "sparse:8+tail:2"):
        assert main(["index", system, *common]) == 0
    assert {path: files(Path("indexes"))[path] for path in before} == before


def test_the_steps_print_where_things_are(beir: Path, stories: str, capsys: pytest.CaptureFixture[str]) -> None:
    common = ["--dataset", str(beir), "--encoder", stories, "--indexes", "elsewhere"]
    assert main(["encode", *common, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["blocks"] == 1
    assert Path(facts["folder"]).is_relative_to("elsewhere")
    assert main(["index", "rrf(dense,sparse:8)", *common]) == 0
    folders = capsys.readouterr().out.split()
    assert [Path(folder).name for folder in folders] == ["dense", "sparse_8"]
    assert all((Path(folder) / "manifest.json").exists() for folder in folders)
    assert not Path("indexes").exists()


def test_search_writes_a_run_to_a_file_or_to_standard_output(
    beir: Path, stories: str, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["search", "dense+edge:2", "--dataset", str(beir), "--encoder", stories, "--cutoff", "4"]
    assert main([*argv, "--out", "a.trec", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["system"], facts["queries"], facts["retrieved"]) == ("dense+edge:2", 3, 12)
    assert main(argv) == 0
    assert capsys.readouterr().out == Path("a.trec").read_text()
    assert [len(read_run("a.trec")[query_id]) for query_id in ("q1", "q2", "q3")] == [4, 4, 4]


def test_report_rebuilds_the_table_in_the_form_asked_for(beir: Path, stories: str, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["eval", "--dataset", str(beir), "--encoder", stories, "--systems", "bm25,dense", "--out", "out"]
    assert main(argv) == 0
    shown = capsys.readouterr().out
    assert shown.splitlines()[1].split()[0] == "system"
    assert main(["report", "out"]) == 0
    assert capsys.readouterr().out == shown
    for form, name in (("markdown", "report.md"), ("latex", "report.tex"), ("csv", "report.csv"), ("json", "report.json")):
        assert main(["report", "out", "--form", form]) == 0
        assert capsys.readouterr().out == (Path("out") / name).read_text()
    assert main(["report", "out", "--measures", "P@1", "--baseline", "dense", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["measures"], found["baseline"]) == (["P@1"], "dense")


def test_a_first_system_is_the_baseline_where_bm25_takes_no_part(
    beir: Path, stories: str, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["eval", "--dataset", str(beir), "--encoder", stories, "--systems", "dense,dense+edge:2", "--measures", "AP", "--json"]
    assert main(argv) == 0
    assert json.loads(capsys.readouterr().out)["baseline"] == "dense"
    assert len(list(Path("evals").glob("*/report.json"))) == 1


def test_an_experiment_file_gives_the_defaults_and_options_go_before_it(
    beir: Path, stories: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("e.toml").write_text(
        f'dataset = "{beir}"\nencoder = "{stories}"\nsystems = ["bm25"]\nmeasures = ["AP"]\ncutoff = 3\nout = "out"\n'
    )
    assert main(["eval", "--experiment", "e.toml", "--cutoff", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["cutoff"], found["measures"], len(found["systems"])) == (2, ["AP"], 1)


def test_documents_that_changed_are_told_and_not_reused(beir: Path, stories: str, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["index", "dense", "--dataset", str(beir), "--encoder", stories]
    assert main(argv) == 0
    with (beir / "corpus.jsonl").open("a") as file:
        file.write('{"_id": "d7", "title": "", "text": "A new one."}\n')
    capsys.readouterr()
    assert main(argv) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "sha256" in line
    assert "now" in line
    assert "remove it to rebuild" in line


def test_a_folder_that_cannot_be_written_is_one_line(beir: Path, stories: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("indexes").write_text("a file stands in the way")
    assert main(["encode", "--dataset", str(beir), "--encoder", stories]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("rarityir: ")
