"""Inputs led by coverage, where atheris is installed: all are given, what breaks the promise is kept, and can be given again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("atheris")
ROOT = Path(__file__).parents[2]
BUG = """
import evals.guided, fuzz.parsers
from fuzz.parsers import Parser

def write(folder, rng):
    (folder / "a.txt").write_text("valid")

def read(folder):
    raw = (folder / "a.txt").read_bytes()
    if raw[:1] > b"v":
        {how}

fuzz.parsers.PARSERS["planted"] = Parser(write, read)
evals.guided.main()
"""


def ran(code: list[str], *argv: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    return subprocess.run([sys.executable, *code, *argv], cwd=ROOT, env=environment, capture_output=True, text=True)


def test_a_parser_gets_all_of_its_inputs(tmp_path: Path) -> None:
    done = ran(["-m", "evals.guided"], "--only", "measures", "--inputs", "300", "--out", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("measures: 300 inputs, 0 broken, ")
    assert (tmp_path / "measures" / "given").read_text() == "300"
    assert not list(tmp_path.rglob("*.bin"))


@pytest.mark.parametrize("how", ["raise KeyError(raw)", "import os; os.kill(os.getpid(), 11)"])
def test_what_breaks_the_promise_is_kept_and_given_again(how: str, tmp_path: Path) -> None:
    code, out = ["-c", BUG.format(how=how)], tmp_path / "planted"
    out.mkdir()
    argv = ["--parser", "planted", "--out", str(out)]
    done = ran(code, *argv, "--inputs", "2000")
    kept = [*out.glob("*.bin"), *out.glob("crash-*")]
    assert kept, done.stderr[-2000:]
    assert (done.returncode == 0) == ("KeyError" in how)
    again = ran(code, *argv, "--replay", str(kept[0]))
    assert again.returncode == (1 if "KeyError" in how else -11)
    assert "KeyError" not in how or again.stderr.startswith("a.txt: KeyError: ")
