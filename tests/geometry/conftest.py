"""Seeds drawn anew for every test, and printed, so that a failure can be had again."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def seed() -> int:
    found = int(np.random.SeedSequence().entropy % 2**32)
    print(f"seed {found}")  # noqa: T201
    return found


@pytest.fixture
def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)
