"""Every command and every block of code in README and docs: known to the program as it stands, and run where it can be.

What a mark in the page leaves out (`<!-- run: no, … -->`, `<!-- run: all, … -->`) is parsed all the same, and counted below.
RARITYIR_DOCS=all runs what only takes long, or needs a package or a collection that is here.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import glob
import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import click
import pytest
from blocks import LANGUAGES, ROOT, Block, Command, blocks, inline, pages
from printed import alike
from tiny import COLLECTIONS

from rarityir import registry
from rarityir.cli import cli, main
from rarityir.cli.options import names
from rarityir.datasets.aliases import ALIASES
from rarityir.experiment import Experiment
from rarityir.systems import System
from rarityir.types import RarityError

PAGES = pages()
ALL = os.environ.get("RARITYIR_DOCS") == "all"
RUN = [page for page in PAGES if "evals" not in page.relative_to(ROOT).parts]  # what evals/ tells of took hours
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
PLACEHOLDER = re.compile(r"path/to/|FOLDER|…|[*<>]")
KNOWN = {*ALIASES, "cranfield"}

# How many blocks are marked, by why: a further one is a decision, not an accident.
MARKED = {
    ("no", "a cluster"): 5,
    ("no", "a model of the hub"): 2,
    ("no", "a server"): 2,
    ("no", "your own files and models"): 1,
}

# Packages and collections that RARITYIR_DOCS=all uses where they are: what asks for a network or a large installation.
NEEDS = {"beir/nfcorpus", "beir/scifact", "pymilvus", "qdrant_edge", "sentence_transformers"}


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def every(kind: str = "") -> list[Command]:
    found = [c for page in PAGES for b in blocks(page) if b.language in ("commands", "console") for c in b.commands()]
    return [command for command in found if command.text.startswith(kind)]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_block_is_of_a_known_kind(page: Path) -> None:
    assert [block.where for block in blocks(page) if block.language not in LANGUAGES] == []
    for block in blocks(page):
        if block.language == "python":
            ast.parse(block.text)
        if block.language == "toml":
            tomllib.loads(block.text)
        if block.language == "json":
            [json.loads(line) for line in block.text.splitlines()]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_no_sentence_turns_into_a_list(page: Path) -> None:
    """A line of a paragraph that begins with + or - is an item to Markdown."""
    lines = re.sub(
        r"^```.*?^```", lambda m: "\n" * m[0].count("\n"), page.read_text(encoding="utf-8"), flags=re.M | re.S
    ).splitlines()
    item = re.compile(r"\s*(?:[-+*]|\d+\.) |#|<!--|  ")
    turned = [
        i + 1 for i in range(1, len(lines)) if re.match(r"[-+*] ", lines[i]) and lines[i - 1] and not item.match(lines[i - 1])
    ]
    assert turned == []


def test_what_is_not_run_is_marked_and_counted() -> None:
    found = Counter((b.run, b.why.split(":")[0]) for page in RUN for b in blocks(page) if b.run == "no")
    assert dict(found) == MARKED
    slow = [b for page in RUN for b in blocks(page) if b.run == "all"]
    assert all(re.fullmatch(r"([\w/ ]+, )?\d+ s", b.why) for b in slow), [b.where for b in slow]
    assert {need for b in slow for need in needs(b)} <= NEEDS


def parse(words: list[str]) -> click.Context:
    """Parses a command line as far as the command that would run, and gives what it would be called with."""
    context = cli.make_context("rarityir", list(words))
    while isinstance(context.command, click.Group):
        arguments = [*context._protected_args, *context.args]
        if not arguments:
            break
        found, command, rest = context.command.resolve_command(context, arguments)
        assert command is not None
        context = command.make_context(found, rest, parent=context)
    return context


def check(command: Command) -> None:
    """A line for the shell is one that its program takes."""
    words = command.words
    match words[0].removeprefix(".venv/bin/"):
        case "rarityir":
            with contextlib.suppress(click.exceptions.Exit):  # --help
                given = parse(words[1:]).params
                if not any(block.file == "pyproject.toml" for block in blocks(command.block.page)):  # which adds names
                    values(given)
        case "make":
            done = subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
        case "pip":
            (named,) = re.findall(r"rarityir\[(.+?)\]", command.text)
            assert set(named.split(",")) <= EXTRAS.keys()
        case "python":
            module(words[2:])
        case other:
            assert command.block.run == "no", f"{other} is not ours: why is it not run?"


def values(given: dict[str, object]) -> None:
    """Names of systems, experiments and datasets are known."""
    for key in ("systems", "system", "baseline"):
        text = given.get(key)
        for one in names(text) if isinstance(text, str) else ():
            System.parse(one)
    for one in str(given.get("dataset") or "cranfield").split(","):
        if not PLACEHOLDER.search(one) and one not in KNOWN and not one.startswith("mine"):
            import ir_datasets

            assert one in ir_datasets.registry, one


class Parsed(Exception):
    """A program of evals/ took its arguments."""


def module(words: list[str]) -> None:
    """`python -m evals.…`: the program is there and takes these arguments."""
    assert find_spec(words[0]), words[0]
    read = argparse.ArgumentParser.parse_args

    def parse_args(self, args=None, namespace=None):
        read(self, args, namespace)
        raise Parsed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", words)
        patch.setattr(argparse.ArgumentParser, "parse_args", parse_args)
        with contextlib.suppress(Parsed):
            runpy.run_module(words[0], run_name="__main__", alter_sys=True)
            raise AssertionError(f"{words[0]} reads no arguments")


@pytest.mark.parametrize("command", every(), ids=lambda command: command.where)
def test_a_program_takes_the_command(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT)
    check(command)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_within_sentences_name_what_there_is(page: Path) -> None:
    """`rarityir filter count` and the like: the commands are there, and so is every option."""
    for line, text in inline(page):
        words = [word for word in shlex.split(text, comments=True)[1:] if word not in ("…", "...")]
        command: click.Command = cli
        while isinstance(command, click.Group) and words and not words[0].startswith("-"):
            found = command.get_command(click.Context(command), words.pop(0))
            assert found is not None, f"{name(page)}:{line}: {text}"
            command = found
        known = {flag for p in command.params for flag in (*p.opts, *p.secondary_opts)} | {"-h", "--help", "--version"}
        asked = {word.partition("=")[0] for word in words if re.match(r"--\w", word)}
        assert asked <= known, f"{name(page)}:{line}: {text}: {sorted(asked - known)}"


@pytest.fixture
def place(
    page: Path, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Path]:
    """An empty folder as a reader of the page has it: in a checkout where the page speaks of evals/."""
    if any("/" in need for block in blocks(page) if runs(block) for need in needs(block)):
        request.getfixturevalue("collections")
    (tmp_path / "indexes").symlink_to(shared / "indexes", target_is_directory=True)
    if "evals/" in page.read_text(encoding="utf-8"):
        shutil.copytree(ROOT / "evals", tmp_path / "evals", ignore=shutil.ignore_patterns("__pycache__", "runs"))
        (tmp_path / "tests").mkdir()
        (tmp_path / "tests" / "models").symlink_to(ROOT / "tests" / "models", target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(shared / "cache"))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    yield tmp_path
    registry.table.cache_clear()
    sys.modules.pop("parts", None)


def needs(block: Block) -> list[str]:
    """Packages, by the names they are imported by, and collections, by the start of their ids."""
    return block.why.rpartition(", ")[0].split() if block.run == "all" else []


def here(need: str) -> bool:
    """Whether the package is installed, or the collection among those at hand."""
    if "/" not in need:
        return find_spec(need) is not None
    return (COLLECTIONS / need).is_dir()


def runs(block: Block) -> bool:
    return block.run == "yes" or (block.run == "all" and ALL and all(map(here, needs(block))))


@pytest.mark.parametrize("page", [page for page in RUN if any(map(runs, blocks(page)))], ids=name)
def test_the_page_does_what_it_says(page: Path, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    space: dict[str, object] = {"__name__": page.stem}
    for block in filter(runs, blocks(page)):
        if block.file:
            write(place / block.file, block.text)
        elif block.language == "python" and page.parent.name != "integrations":  # those are run beside the stacks' own tests
            exec(compile("\n" * (block.line - 1) + block.text, str(page), "exec"), space)
        elif block.language == "toml":
            (place / "experiment.toml").write_text(block.text)
            Experiment.load(place / "experiment.toml").check()
        elif block.language in ("commands", "console"):
            for command in block.commands():
                execute(command, capsys)
    missing = sorted({need for block in blocks(page) for need in needs(block) if ALL and not here(need)})
    if missing:
        pytest.skip(f"all but the blocks that need {', '.join(missing)}")


def write(path: Path, text: str) -> None:
    """Writes a file that a page shows; the parts that a pyproject.toml names are known from then on, as after an installation."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    if path.name == "pyproject.toml":
        said = tomllib.loads(text)["project"]
        installed = path.parent / f"{said['name']}-{said['version']}.dist-info"
        installed.mkdir()
        (installed / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {said['name']}\nVersion: {said['version']}\n")
        groups = said["entry-points"].items()
        lines = [line for group, points in groups for line in (f"[{group}]", *(f"{k} = {v}" for k, v in points.items()))]
        (installed / "entry_points.txt").write_text("\n".join(lines) + "\n")
        registry.table.cache_clear()


def execute(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """Runs `rarityir …`, and holds what it prints against the page."""
    if command.words[0].removeprefix(".venv/bin/") != "rarityir":
        return
    capsys.readouterr()
    status = main([path for word in command.words[1:] for path in (sorted(glob.glob(word)) or [word])])
    out, err = capsys.readouterr()
    if command.prints.startswith("rarityir: "):
        assert (status, err.strip()) == (1, command.prints), command.where
        return
    assert status == 0, f"{command.where}: {command.text}\n{err}"
    if command.prints:
        assert alike(command.prints, out), f"{command.where}: {command.text}\n{out}"


def page_of(tmp_path: Path, text: str) -> list[Block]:
    """The blocks of a page that says this; its path is one of the repository's, as every page's is."""
    path = tmp_path / "page.md"
    path.write_text(text, encoding="utf-8")
    return [replace(block, page=ROOT / "README.md") for block in blocks(path)]


def test_much_is_found() -> None:
    """A reader of pages that finds nothing would pass everything."""
    kinds = Counter(block.language for page in PAGES for block in blocks(page))
    assert all(kinds[kind] >= least for kind, least in {"commands": 45, "python": 30, "console": 10, "math": 10}.items()), kinds
    assert len(every()) >= 110
    assert sum(len(inline(page)) for page in PAGES) >= 60
    assert len([c for c in every() if c.prints]) >= 15
    run = [c for page in RUN for b in blocks(page) if runs(b) and b.language in ("commands", "console") for c in b.commands()]
    assert len([c for c in run if c.words[0] == "rarityir"]) >= 35


def test_a_page_is_read_as_it_is_written(tmp_path: Path) -> None:
    said = """# A

    rarityir list  # all

- item

    goes on

<!-- run: all, beir/scifact torch, 3 s -->
```console
$ rarityir a
out

more
$ rarityir b
```

<!-- run: no, a server -->

    curl x

<!-- file: f/x.tsv -->
```text
a	b
```
"""
    first, second, third, fourth = page_of(tmp_path, said)
    assert [c.words for c in first.commands()] == [["rarityir", "list"]]
    assert [(c.text, c.prints, c.line) for c in second.commands()] == [("rarityir a", "out\n\nmore", 11), ("rarityir b", "", 15)]
    assert (second.run, needs(second)) == ("all", ["beir/scifact", "torch"])
    assert (third.run, third.why, fourth.file, fourth.text) == ("no", "a server", "f/x.tsv", "a\tb\n")
    assert not runs(third)
    assert here("json")
    assert not here("no_such_package")
    assert not here("beir/no-such-collection")


@pytest.mark.parametrize(
    "line",
    [
        "rarityir eval --no-such-flag",
        "rarityir evaluate",
        "rarityir eval --systems dense+egde:2",
        "rarityir eval --dataset scifct",
        "rarityir eval --cutoff many",
        "make no-such-target",
        "pip install 'rarityir[no-such-extra]'",
        "python -m evals.no_such_program",
        "python -m evals.pictures --no-such-flag",
        "curl localhost",
    ],
)
def test_a_line_that_no_program_takes_is_caught(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT)
    (block,) = page_of(tmp_path, f"# A\n\n    {line}\n")
    with pytest.raises((AssertionError, click.ClickException, RarityError, SystemExit)):
        check(block.commands()[0])


@pytest.mark.parametrize(
    "said",
    [
        "$ rarityir list no-such-kind",
        "$ rarityir list filters\n…\nno such filter\n…",
        "$ rarityir list filters\nrarityir: an error that does not come",
        "$ rarityir list no-such-kind\nrarityir: another error",
    ],
)
def test_what_does_not_come_out_is_caught(said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = page_of(tmp_path, f"```console\n{said}\n```\n")
    with pytest.raises(AssertionError):
        execute(block.commands()[0], capsys)
