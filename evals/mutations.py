"""Changes chosen lines one at a time, in a copy of the tree, and says which test notices: `python -m evals.mutations`.

A change that no test notices is lost, and so is one that is noticed by a test which also fails without it.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from rarityir import store

ROOT = Path(__file__).parent.parent
OUT = Path(__file__).parent / "reliability" / "mutations.json"
COPIED = ("rarityir", "tests", "evals", "docs", "pyproject.toml", "README.md")


class Mutation(NamedTuple):
    """One line of the package changed, and the tests that are to notice."""

    what: str
    file: str
    line: str
    changed: str
    tests: str


MUTATIONS = (
    Mutation(
        "the side of the spectrum that tail keeps", "filters/tail.py",
        "lambda width, k: np.arange(k))", "lambda width, k: np.arange(width - k, width))", "tests/filters/test_bands.py",
    ),
    Mutation(
        "the edge that a band begins at", "filters/edge.py",
        "np.arange((width - k) // 2, (width - k) // 2 + k)", "np.arange((width - k + 1) // 2, (width - k + 1) // 2 + k)",
        "tests/filters/test_bands.py",
    ),
    Mutation(
        "which of equal scores is cut off", "indexes/topk.py", "kept = scores >= threshold", "kept = scores > threshold",
        "tests/indexes/test_topk.py",
    ),
    Mutation(
        "which of equal scores ranks first", "indexes/topk.py",
        'order = np.argsort(-scores, kind="stable")[:cutoff]', 'order = np.argsort(scores, kind="stable")[::-1][:cutoff]',
        "tests/indexes/test_topk.py",
    ),
    Mutation(
        "scores of a run that must fall", "runs.py", "np.minimum(scores[:, column], below, out=scores[:, column])", "pass",
        "tests/test_runs.py",
    ),
    Mutation(
        "the length of a document's impacts", "tokens/lens.py",
        "norms = np.linalg.norm(weights_BK, axis=1, keepdims=True)",
        "norms = np.linalg.norm(weights_BK, 1, axis=1, keepdims=True)", "tests/tokens/test_lens.py",
    ),
    Mutation(
        "the mean that models lose on a map", "modelmap/distances.py",
        "l_KN - l_KN.mean(axis=1, keepdims=True)", "l_KN - l_KN.mean(axis=0, keepdims=True)", "tests/modelmap/test_distances.py",
    ),
    Mutation(
        "the cutoff of RR@10", "measures/names.py",
        "stem + f\"{at or ''}{cutoff or ''}\"", 'stem + ("" if stem == "mrr" else f"{at or \'\'}{cutoff or \'\'}")',
        "tests/measures/test_names.py tests/measures/test_scoring.py",
    ),
    Mutation(
        "the order of Holm's factors", "measures/significance.py", "np.arange(len(p), 0, -1)", "np.arange(1, len(p) + 1)",
        "tests/measures/test_significance.py",
    ),
    Mutation(
        "the one of (b + 1) / (B + 1)", "measures/significance.py",
        "(extreme + 1) / (permutations + 1)", "extreme / permutations", "tests/measures/test_significance.py",
    ),
    Mutation(
        "the sign in BM25's idf", "rarity/stats.py",
        "np.log1p((stats.documents - stats.df + s)", "np.log1p((stats.documents + stats.df + s)", "tests/rarity/test_stats.py",
    ),
    Mutation(
        "the smoothing of an idf", "rarity/stats.py",
        "np.log(found.documents + 1) - np.log(found.df + s)", "np.log(found.documents + 1) - np.log(found.df + 1)",
        "tests/rarity/test_stats.py",
    ),
    Mutation(
        "k1 and b of BM25", "indexes/subword.py", "saturating.normalise(lengths, k1, b, mean,",
        "saturating.normalise(lengths, b, k1, mean,", "tests/indexes/test_subword.py",
    ),
    Mutation(
        "a query's own pairs, left out of its vector", "analogy/relation.py",
        "sums[place] -= own[owners].sum(axis=0)", "sums[place] += own[owners].sum(axis=0)", "tests/analogy/test_relation.py",
    ),
    Mutation(
        "the side of an independent axis that is positive", "ica/fitting.py", "np.where(skew < 0, -1.0, 1.0)",
        "np.where(skew < 0, 1.0, -1.0)", "tests/ica/test_fitting.py",
    ),
)  # fmt: skip


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--only", default="", help="mutations whose name holds this")
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="rarityir-mutations-") as scratch:
        copy = Path(scratch)
        for name in COPIED:
            source = ROOT / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, copy / name)
        rows = [tried(mutation, copy) for mutation in MUTATIONS if given.only in mutation.what]
    if not given.only:
        store.write_json(OUT, rows)
    sys.exit(any(row["lost"] for row in rows))


def tried(mutation: Mutation, copy: Path) -> dict[str, object]:
    """Changes a line, runs its tests, changes it back, runs the test that noticed again, and returns the row of the table."""
    path = copy / "rarityir" / mutation.file
    text = path.read_text(encoding="utf-8")
    if text.count(mutation.line) != 1:
        sys.exit(
            f"{mutation.file} holds {mutation.line!r} {text.count(mutation.line)} times; choose a line that stands there once"
        )
    path.write_text(text.replace(mutation.line, mutation.changed), encoding="utf-8")
    failed = failing(mutation.tests.split(), copy)
    path.write_text(text, encoding="utf-8")
    caught = bool(failed) and not failing([failed], copy)
    print(f"{mutation.what}: {failed if caught else 'NOT CAUGHT'}", flush=True)
    return {
        "fault": f"{mutation.file}: {mutation.what}",
        "promise": f"a test fails: {failed}" if caught else "a test fails",
        "injected": 1,
        "lost": int(not caught),
        "command": "python -m evals.mutations",
    }


def failing(tests: list[str], copy: Path) -> str:
    """Returns the first test that fails, empty where all pass."""
    command = [sys.executable, "-m", "pytest", "-n", "0", "-x", "-q", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(command, cwd=copy, env={**os.environ, "PYTHONPATH": str(copy)}, capture_output=True, text=True)
    found = re.search(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
    if done.returncode not in (0, 1) or (done.returncode == 1 and found is None):
        sys.exit(f"the tests {tests} do not run: {(done.stdout + done.stderr)[-500:]}")
    return found[1] if found else ""


if __name__ == "__main__":
    main()
