"""The tutorial says what its code prints: every cell is run in order, and its text held against what is stored."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from blocks import ROOT
from printed import alike

NOTEBOOK = ROOT / "docs" / "tutorial.ipynb"
ALL = os.environ.get("RARITYIR_DOCS") == "all"


def cells(path: Path) -> list[tuple[str, str]]:
    """Each code cell, and the text that it is stored with."""
    found = [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    return [("".join(cell["source"]), "".join(text(given) for given in cell["outputs"])) for cell in found]


def text(given: dict) -> str:
    return "".join(given["text"]) if given["output_type"] == "stream" and given["name"] == "stdout" else ""


def test_the_notebook_is_stored_with_what_it_shows_and_is_small() -> None:
    stored = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    code = [cell for cell in stored["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    assert all(cell["outputs"] for cell in code)
    kinds = {kind for cell in code for given in cell["outputs"] for kind in given.get("data", {})}
    assert {"image/png", "text/html"} <= kinds
    assert not any(given["output_type"] == "error" for cell in code for given in cell["outputs"])
    assert NOTEBOOK.stat().st_size < 300_000


def test_every_cell_prints_what_is_stored(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib

    matplotlib.use("agg")
    (tmp_path / "indexes").symlink_to(shared / "indexes", target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(shared / "cache"))
    space: dict[str, object] = {"__name__": "__main__"}
    for number, (code, stored) in enumerate(cells(NOTEBOOK), 1):
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            shown = run(code, space)
        assert alike(stored, said.getvalue()), f"cell {number}: stored\n{stored}\nprinted\n{said.getvalue()}"
        assert shown is None or "<table" in shown._repr_html_()


def run(code: str, space: dict[str, object]) -> object:
    """Runs a cell and gives the value of its last line, as a notebook does."""
    tree = ast.parse(code)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), space)
    return eval(compile(ast.Expression(last.value), "cell", "eval"), space) if isinstance(last, ast.Expr) else None


@pytest.mark.skipif(not ALL, reason="RARITYIR_DOCS=all runs the notebook in a kernel of its own too")
def test_a_kernel_of_its_own_gives_the_same(tmp_path: Path) -> None:
    out = tmp_path / "again.ipynb"
    subprocess.run([sys.executable, "-m", "evals.tutorial", "--out", str(out)], cwd=ROOT, check=True, capture_output=True)
    for (code, stored), (again, printed) in zip(cells(NOTEBOOK), cells(out), strict=True):
        assert code == again
        assert alike(stored, printed)
