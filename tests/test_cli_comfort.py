"""Completion through the shells' own protocol, lists, colours where they are wanted, and how much is said."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import rarityir
from rarityir import progress, registry
from rarityir.cli import cli, listing, main
from rarityir.cli.completing import Named, _start
from rarityir.cli.evaluation import show
from rarityir.cli.options import screen
from rarityir.integrations import corpora, impacts
from rarityir.report import Report, Row

pytestmark = pytest.mark.usefixtures("elsewhere")
HOME = str(Path(rarityir.__file__).parents[1])
RUN = [sys.executable, "-m", "rarityir"]
ENV = {**os.environ, "PYTHONPATH": os.pathsep.join([HOME, os.environ.get("PYTHONPATH", "")])}


def told(words: str, shell: str = "bash") -> dict[str, str]:
    """What a shell tells a command that completes the last of some words, an empty one after a space."""
    count = len(words.split()) - (not words.endswith(" "))
    last = words.split(" ")[-1] if shell == "fish" else str(count)
    return {"_RARITYIR_COMPLETE": f"{shell}_complete", "COMP_WORDS": words.rstrip(), "COMP_CWORD": last}


def offered(words: str, shell: str = "bash") -> list[str]:
    """What a shell is offered for the last of some words, in a process as it starts it."""
    done = subprocess.run(
        [sys.executable, "-c", "from rarityir.cli import main; raise SystemExit(main())"],
        env={**ENV, **told(words, shell)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("rarityir ev", {"plain,eval"}),
        ("rarityir eval --data", {"plain,--dataset"}),
        ("rarityir eval --dataset nfc", {"plain,nfcorpus"}),
        ("rarityir eval --systems bm25,dense+ed", {"plain,bm25,dense+edge"}),
        ("rarityir eval --measures AP,nDCG@1", {"plain,AP,nDCG@10", "plain,AP,nDCG@100"}),
        ("rarityir eval --encoder qwen3", {"plain,qwen3-0.6b"}),
        ("rarityir eval --pooling prom", {"plain,prompteol"}),
        ("rarityir search rr", {"plain,rrf("}),
        ("rarityir filter fit demo spec", {"plain,spectroscopy"}),
        ("rarityir filter fit de", {"plain,demo"}),
        ("rarityir export demo --to py", {"plain,pytorch"}),
        ("rarityir export demo --to mil", {"plain,milvus"}),
        ("rarityir sparse export index --to ", {f"plain,{name}" for name in impacts.KINDS}),
        ("rarityir rarity probe demo --targets log_id", {"plain,log_idf"}),
        ("rarityir rarity idf --systems uni", {"plain,uniform"}),
        ("rarityir report --form mark", {"plain,markdown"}),
    ],
)
def test_a_shell_is_offered_what_begins_as_the_word_does(
    words: str, wanted: set[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in told(words).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit):  # click ends the process that completes
        main([])
    assert set(capsys.readouterr().out.splitlines()) == wanted


def test_the_other_shells_are_offered_the_same() -> None:
    assert "scifact" in offered("rarityir eval --dataset sci", "zsh")
    assert any(line.startswith("plain,scifact") or line == "scifact" for line in offered("rarityir eval --dataset sci", "fish"))


def test_every_kind_of_name_is_offered_whole() -> None:
    ctx = cli.make_context("rarityir", [], resilient_parsing=True)
    params = {p.opts[0]: p for p in cli.commands["eval"].params}

    def names(option: str) -> set[str]:
        return {item.value for item in params[option].type.shell_complete(ctx, params[option], "")}

    assert names("--systems") == {*registry.table("indexes"), *(f"{name}(" for name in registry.table("fusions"))}
    assert {"demo", "gpt2", "st:all-minilm-l6-v2"} <= names("--encoder")
    assert {"cranfield", "scifact", "msmarco-dev"} <= names("--dataset")
    assert {"nDCG@10", "AP"} <= names("--measures")
    (anything,) = params["--dataset"].type.shell_complete(ctx, params["--dataset"], "./my-folder")
    assert (anything.value, anything.type) == ("./my-folder", "file")  # a folder of one's own: the shell goes on
    several = Named(lambda: ["dense", "bm25"], several=True)
    assert [i.value for i in several.shell_complete(ctx, params["--dataset"], "dense,d")] == ["dense,dense"]


@pytest.mark.parametrize(
    ("text", "start"),
    [("", 0), ("a,", 2), ("a,b", 2), ("bm25:k1=1,b=0", 0), ("rrf(a,b", 0), ("rrf(a,b),c", 9), ("dense:hnsw,32,sp", 14)],
)
def test_the_last_of_several_names_begins_behind_a_comma_that_parts_names(text: str, start: int) -> None:
    assert _start(text) == start


def test_completion_takes_less_than_half_a_second_of_a_processor() -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    offered("rarityir eval --encoder qwen")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_is_printed(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    out, err = capsys.readouterr()
    assert f"_RARITYIR_COMPLETE={shell}_complete" in out
    assert err == ""
    if shutil.which(shell):
        assert subprocess.run([shell, "-n"], input=out, text=True, check=False).returncode == 0


def test_completion_works_in_bash(tmp_path: Path) -> None:
    if shutil.which("bash") is None:
        pytest.skip("no bash")
    command = tmp_path / "rarityir"
    command.write_text(f"#!{sys.executable}\nfrom rarityir.cli import main\nraise SystemExit(main())\n")
    command.chmod(0o755)
    script = (
        'eval "$(rarityir completion bash)"; complete -p rarityir\n'
        "COMP_WORDS=(rarityir search dense+spec); COMP_CWORD=2; _rarityir_completion rarityir; echo ${COMPREPLY[@]}\n"
    )
    env = {**ENV, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "--norc", "-c", script], env=env, capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()
    assert "_rarityir_completion" in first
    assert second == "dense+spectroscopy"


def test_a_misspelt_shell_or_kind_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "fihs"]) == 2
    assert "did you mean fish?" in capsys.readouterr().err
    assert main(["list", "filtres"]) == 2
    assert "did you mean filters" in capsys.readouterr().err


def test_every_part_has_one_line_that_says_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == ["indexes", "filters", "fusions", "encoders", "poolings", "datasets", "measures", "targets", "exports"]
    assert found["exports"].keys() == {*registry.table("exports"), *corpora.KINDS}
    assert listing.EXPORTS.keys() == {*corpora.KINDS}
    for name in corpora.KINDS:
        kinds = [kind for kind, takers in (("dense", corpora.DENSE), ("sparse:64", corpora.SPARSE)) if name in takers]
        assert found["exports"][name].endswith(f": --system {' or '.join(kinds)}")
    for kind in ("indexes", "filters", "fusions"):
        assert found[kind].keys() == registry.table(kind).keys()
    assert found["datasets"]["scifact"] == "beir/scifact/test"
    assert found["filters"]["tail"].startswith("Keeps positions [0, k) of the falling spectrum")
    assert [name for parts in found.values() for name, line in parts.items() if not line or "\n" in line] == []
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if line.startswith("  ")]) == sum(map(len, found.values()))
    assert main(["list", "filters"]) == 0
    alone = capsys.readouterr().out.splitlines()
    assert alone[0] == "filters"
    assert len(alone) == 1 + len(found["filters"])


def test_the_help_of_list_names_every_kind() -> None:
    text = " ".join(CliRunner().invoke(listing.list_, ["--help"]).output.split())
    *most, last = listing.KINDS
    assert f"KIND is {', '.join(most)} or {last}." in text


def test_a_part_of_another_package_that_cannot_be_read_has_an_empty_line(monkeypatch: pytest.MonkeyPatch) -> None:
    table = {"a": "no.such.module:part", "b": "rarityir.filters.tail:nothing"}
    monkeypatch.setattr(registry, "table", lambda kind: table)
    assert registry.described("filters") == {"a": "", "b": ""}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("seen", "told", "colour"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),
        (True, {"TERM": "dumb"}, False),
        (True, {"CLICOLOR": "0"}, False),
        (False, {"FORCE_COLOR": "1"}, True),
        (False, {"CLICOLOR_FORCE": "1"}, True),
        (False, {"CLICOLOR_FORCE": "0"}, False),
        (True, {"TERM": "dumb", "FORCE_COLOR": "1"}, True),
        (True, {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
    ],
)
def test_colour_is_where_it_is_wanted(seen: bool, told: dict[str, str], colour: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "CLICOLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stdout", Terminal() if seen else io.StringIO())
    found = screen()
    assert found["colour"] is colour
    assert ("width" in found) is seen


def test_the_table_of_an_evaluation_is_coloured_alike(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    found = Report("tiny", "demo", "a", ("AP",), 3, 10, 0, 0.05, (Row("a", {"AP": 0.5}), Row("b", {"AP": 0.25})))

    def shown() -> str:
        show(found, as_json=False)
        return capsys.readouterr().out

    plain = shown()
    assert "\x1b" not in plain
    monkeypatch.setenv("CLICOLOR_FORCE", "1")
    coloured = shown()
    assert re.search(r"\x1b\[1m *0\.5000", coloured)
    assert not re.search(r"\x1b\[1m *0\.2500", coloured)
    assert [line.split() for line in re.sub(r"\x1b\[[0-9;]*m", "", coloured).splitlines()] == [
        line.split() for line in plain.splitlines()
    ]
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in shown()


def test_quiet_says_nothing_on_standard_error_and_verbose_says_more(
    beir: Path, stories: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with (beir / "corpus.jsonl").open("a") as file:
        file.write('{"_id": "d9", "title": "", "text": ""}\n')  # what a warning is said of
    argv = ["eval", "--dataset", str(beir), "--encoder", stories, "--measures", "AP", "--out", "out", "--systems"]
    done = subprocess.run([*RUN, "-q", *argv, "bm25,dense"], env=ENV, capture_output=True, text=True, check=True)
    assert "dense" in done.stdout
    assert done.stderr == ""
    said = {}
    for level in ("-v", ""):
        where = ["--dataset", str(beir), "--encoder", stories, "--indexes", f"indexes{level}"]
        assert main([level] * bool(level) + ["index", "dense+tail:2", *where]) == 0
        said[level] = capfd.readouterr().err
    assert all("1 of 7 documents are empty" in text for text in said.values())
    assert "fitting tail:2" in said["-v"]
    assert "fitting" not in said[""]


def test_quiet_shows_no_bar_and_an_error_is_said_all_the_same(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["-q", "search", "dnese"]) == 1
    assert "did you mean dense" in capsys.readouterr().err
    screen_ = Terminal()
    monkeypatch.setattr(sys, "stderr", screen_)
    with progress.bar("counting", 3) as advance:
        advance(3)
    assert screen_.getvalue() == ""
    logging.getLogger("rarityir").setLevel(logging.WARNING)
    with progress.bar("counting", 3) as advance:
        advance(3)
    assert "counting" in screen_.getvalue()
    assert main(["-q", "-v", "list"]) == 2


@pytest.mark.parametrize("width", ["50", "80", "200"])
def test_help_says_each_commands_first_sentence_whole_in_the_order_of_work(capsys, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", width)
    groups = [("", cli), *((name, command) for name, command in cli.commands.items() if isinstance(command, click.Group))]
    assert len(groups) > 6
    for name, group in groups:
        main([*name.split(), "--help"])
        said = " ".join(capsys.readouterr().out.partition("Commands:")[2].split())
        first = [(sub, " ".join(str(of.help).split("\n\n")[0].partition(". ")[0].split())) for sub, of in group.commands.items()]
        assert said == " ".join(f"{sub} {told.removesuffix('.')}." for sub, told in first)
    assert next(iter(cli.commands)) == "eval"
