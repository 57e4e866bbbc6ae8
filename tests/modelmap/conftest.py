"""What the tests of maps share."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def rng() -> np.random.Generator:
    """Another seed every run; it is printed where a test fails."""
    seed = int(np.random.SeedSequence().generate_state(1)[0])
    print(f"seed {seed}")  # noqa: T201
    return np.random.default_rng(seed)
