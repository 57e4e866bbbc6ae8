"""Axes of 100,000 rows of 256: beside scikit-learn's own FastICA of the same rows, to the same number of iterations.

Each side runs in a process of its own. Both whiten and turn; ours also takes signs, order and diagnostics. The iterations are so
many on both sides that the search is what costs, and neither ends before. RARITYIR_BENCH_SMALL=ica runs a tenth of the rows.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from evals.bench.goals import at_most

SHAPE, ITERATIONS = (100_000, 256), 20

_OURS = """
import json, logging, sys, time
import numpy as npfrom evals.bench.memory import peak
from rarityir.ica import ICA
import sklearn.decomposition
logging.disable(logging.CRITICAL)
x = np.load(sys.argv[1])
started = time.perf_counter()
with peak() as most:
    axes = ICA(None, int(sys.argv[2]), 1e-30).fit(x)
print(json.dumps([time.perf_counter() - started, most.mib, float(np.abs(axes.diagnostics.skew).mean())]))
"""
_SKLEARN = """
import json, sys, time, warnings
import numpy as np
from evals.bench.memory import peak
from sklearn.decomposition import FastICA
warnings.simplefilter("ignore")
x = np.load(sys.argv[1])
w = np.random.default_rng(0).standard_normal((x.shape[1],) * 2)
started = time.perf_counter()
with peak() as most:
    s = FastICA(whiten="unit-variance", max_iter=int(sys.argv[2]), tol=1e-30, w_init=w, whiten_solver="eigh").fit_transform(x)
print(json.dumps([time.perf_counter() - started, most.mib, float(np.abs((s**3).mean(axis=0)).mean())]))
"""
GOALS = {r"ours / scikit-learn .*": at_most(1.2)}


def run(script: str, *arguments: str) -> list[float]:
    out = subprocess.run([sys.executable, "-c", script, *arguments], check=True, capture_output=True, text=True).stdout
    found: list[float] = json.loads(out.splitlines()[-1])
    return found


def bench() -> dict[str, float | str]:
    rows, width = SHAPE if os.environ.get("RARITYIR_BENCH_SMALL") != "ica" else (SHAPE[0] // 10, SHAPE[1])
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "x.npy"
        np.save(path, (rng.exponential(size=(rows, width)) - 1) @ rng.standard_normal((width, width)) + 1)
        ours, mib, skew = run(_OURS, str(path), str(ITERATIONS))
        theirs, their_mib, their_skew = run(_SKLEARN, str(path), str(ITERATIONS))
    name = f"{rows}x{width}, {ITERATIONS} iterations"
    return {
        "threads": os.environ.get("OMP_NUM_THREADS", str(len(os.sched_getaffinity(0)))),
        f"{name} s": ours,
        f"{name} MiB": mib,
        "scikit-learn s": theirs,
        "scikit-learn MiB": their_mib,
        "ours / scikit-learn (at most 1.2)": ours / theirs,
        "mean |skew|": skew,
        "scikit-learn mean |skew|": their_skew,
    }
