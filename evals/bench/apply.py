"""Applying a saved filter to 1 M embeddings of width 64 in a process without torch, against a numpy product of the shape."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from evals.bench.goals import at_least

STORIES = Path(__file__).parents[2] / "tests" / "models" / "stories260K"
_APPLY = """
import json, sys, time
import numpy as np
from rarityir.filters import EmbedFilter
found = EmbedFilter.load(sys.argv[1])
x = np.random.default_rng(0).standard_normal((1_000_000, 64), dtype=np.float32)
columns = np.ascontiguousarray(found.basis.T)
ours, theirs = [], []
for _ in range(7):
    started = time.perf_counter(); found(x); ours.append(time.perf_counter() - started)
    started = time.perf_counter(); x @ columns; theirs.append(time.perf_counter() - started)
assert "torch" not in sys.modules
print(json.dumps([sorted(ours)[3], sorted(theirs)[3]]))
"""
GOALS = {"speed against numpy": at_least(0.5)}


def bench() -> dict[str, float | str]:
    from rarityir.filters import EmbedFilter

    with tempfile.TemporaryDirectory() as place:
        EmbedFilter.fit(STORIES, "edge:2", cache=Path(place)).save(Path(place) / "filter")
        out = subprocess.run(
            [sys.executable, "-c", _APPLY, str(Path(place) / "filter")], check=True, capture_output=True, text=True
        ).stdout
    ours, theirs = json.loads(out.splitlines()[-1])
    return {"filter 1M x 64 s": ours, "numpy product s": theirs, "speed against numpy": theirs / ours}
