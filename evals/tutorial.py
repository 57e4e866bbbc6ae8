"""Runs docs/tutorial.ipynb in a kernel of its own, in an empty folder, and stores what comes out: `python -m evals.tutorial`."""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

NOTEBOOK = Path(__file__).resolve().parent.parent / "docs" / "tutorial.ipynb"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=NOTEBOOK, help="where the notebook goes  [default: docs/tutorial.ipynb]")
    out = parser.parse_args().out
    import nbformat
    from nbclient import NotebookClient

    os.environ["PYTHONWARNINGS"] = "ignore"
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(notebook, timeout=600, resources={"metadata": {"path": folder}}).execute()
    for cell in notebook.cells:  # neither times nor what belongs to a terminal is kept
        cell.metadata.clear()
        if cell.cell_type == "code":
            cell.outputs = [given for given in cell.outputs if given.get("name") != "stderr"]
    nbformat.write(notebook, out)
    print(f"{out}: {len(notebook.cells)} cells, {out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
