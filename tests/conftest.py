"""What the tests share: a small trained model, a tiny judged collection, and real collections where they are at hand."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import seeds
from hypothesis import settings
from tiny import COLLECTIONS, STORIES, write_beir

_HOME = tempfile.mkdtemp(prefix="rarityir-tests-")  # removed at the end of the session
os.environ["IR_DATASETS_HOME"] = f"{_HOME}/irds"  # before ir_datasets is imported: it reads this once
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TQDM_DISABLE"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.pop("RARITYIR_TRUST", None)  # tests of damage compare checksums

# The same inputs each time (`seeds` says how to draw others), and a busy machine is no failure.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, print_blob=True)
settings.load_profile("explore" if seeds.BASE else "steady")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, exitstatus: int) -> None:
    if exitstatus and seeds.BASE:
        terminalreporter.write_line(f"RARITYIR_SEED={seeds.BASE} draws these inputs again")


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """The test's own seed, below 2³²."""
    return seeds.seed(request.node.nodeid)


@pytest.fixture
def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture
def beir(tmp_path: Path) -> Path:
    """A tiny judged collection in BEIR's layout: 6 documents, 3 queries."""
    return write_beir(tmp_path / "tiny")


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test works in an empty folder with an empty cache, and leaves logging as it was."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root, own = logging.getLogger(), logging.getLogger("rarityir")
    before = (root.handlers[:], root.level, own.level)
    yield
    root.handlers[:], root.level, own.level = before


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
