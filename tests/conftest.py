"""What the tests share: a small trained model, a tiny judged collection, and real collections where they are at hand."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

_HOME = tempfile.mkdtemp(prefix="rarityir-tests-")  # removed at the end of the session
os.environ["IR_DATASETS_HOME"] = f"{_HOME}/irds"  # before ir_datasets is imported: it reads this once
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TQDM_DISABLE"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

settings.register_profile("steady", deadline=None)  # a busy machine is no failure
settings.load_profile("steady")

STORIES = Path(__file__).parent / "models" / "stories260K"
# Real collections in ir_datasets' layout; the tests that need them are skipped where the folder is not there.
COLLECTIONS = Path(os.environ.get("RARITYIR_TEST_COLLECTIONS", Path(__file__).parents[2] / "shared" / "data" / "irds_home"))

STORIES_DOCS = {
    "d1": ("The cat", "The black cat sat on the mat and looked at the big red ball."),
    "d2": ("The dog", "A little dog ran to the park and found a shiny stone near the tree."),
    "d3": ("", "Lily and Tom went to the beach. They made a castle from the sand."),
    "d4": ("The bird", "The bird sang a happy song in the tree. The sun was warm."),
    "d5": ("Rain", "It started to rain. Mom said we must go home now and drink warm milk."),
    "d6": ("The ball", "Tom lost his red ball. The dog found the ball under the car."),
}
STORIES_QUERIES = {"q1": "red ball", "q2": "bird song in the tree", "q3": "sand castle at the beach"}
STORIES_QRELS = {"q1": {"d1": 1, "d6": 2}, "q2": {"d4": 2, "d2": 0}, "q3": {"d3": 1}}


def write_beir(folder: Path, docs=STORIES_DOCS, queries=STORIES_QUERIES, qrels=STORIES_QRELS) -> Path:
    """Writes a BEIR folder."""
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"_id": i, "title": title, "text": text}) for i, (title, text) in docs.items()]
    (folder / "corpus.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "queries.jsonl").write_text("".join(json.dumps({"_id": i, "text": t}) + "\n" for i, t in queries.items()))
    rows = [f"{q}\t{d}\t{r}" for q, judged in qrels.items() for d, r in judged.items()]
    (folder / "qrels" / "test.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *rows]) + "\n")
    return folder


@pytest.fixture
def beir(tmp_path: Path) -> Path:
    """A tiny judged collection in BEIR's layout: 6 documents, 3 queries."""
    return write_beir(tmp_path / "tiny")


@pytest.fixture(scope="session")
def stories() -> str:
    """The path of a small, really trained causal language model."""
    return str(STORIES)


@pytest.fixture(scope="session")
def collections() -> Path:
    """A writable ir_datasets home with SciFact and NFCorpus."""
    if not COLLECTIONS.is_dir():
        pytest.skip(f"no collections at {COLLECTIONS} (RARITYIR_TEST_COLLECTIONS names another folder)")
    home = Path(os.environ["IR_DATASETS_HOME"])
    shutil.copytree(COLLECTIONS, home, dirs_exist_ok=True)
    for path in home.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return home


def pytest_unconfigure() -> None:
    shutil.rmtree(_HOME, ignore_errors=True)
