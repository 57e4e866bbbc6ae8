"""What the tests of the documentation share: one place for all that pages build."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all pages keep what they build: it is built once, whichever process comes first."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "documentation"
    (folder / "indexes").mkdir(parents=True, exist_ok=True)
    return folder
