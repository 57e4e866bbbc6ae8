"""A probe of a vocabulary of 150,000 rows: five folds, all penalties, all components, bands, permutations, intervals.

Rows are float16 in a file that is mapped, off the origin and with a spectrum that falls by a power law. Each side runs in a
process of its own and reports its most private memory (what is mapped of the file is the system's to take back). The peer is
scikit-learn's own route to the same numbers, on a matrix it survives: a scaler in each fold, `RidgeCV` over the penalties with
the permuted targets beside the target, and components with `PCA`, whose curve is made of 20 counts where ours has all. Both
must agree on R² of least squares. The head of Llama-3.1-8B's size (151,936 × 4096, 200 permutations) is asked for by
RARITYIR_BENCH_LARGE=probe.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

SMALL, MEDIUM, LARGE = (20_000, 512), (150_000, 1024), (151_936, 4096)
BLOCK = 8192

_OURS = """
import json, sys, time
from pathlib import Path
import numpy as np
from evals.bench.memory import peak
from rarityir.rarity.probe import RarityProbe
folder, permutations = Path(sys.argv[1]), int(sys.argv[2])
rows = np.load(folder / "rows.npy", mmap_mode="r")
y, counts, groups = (np.load(folder / f"{name}.npy") for name in ("y", "counts", "groups"))
started = time.perf_counter()
with peak() as most:
    probe = RarityProbe(permutations=permutations, leakage=sys.argv[3] == "leakage")
    result = probe.fit(rows, y, groups=groups, counts=counts).result
target = result.targets[0]
seconds = time.perf_counter() - started
np.save(folder / "folds.npy", result.folds)
text = json.dumps(result.json())
least, ridge = (target.fits[name].r2 for name in ("ols", "ridge"))
print(json.dumps([seconds, most.mib, least.type.value, ridge.type.value, ridge.occurrence.value]))
"""
_SKLEARN = """
import json, sys, time
from pathlib import Path
import numpy as np
from evals.bench.memory import peak
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression, RidgeCV
from sklearn.metrics import r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
folder, permutations = Path(sys.argv[1]), int(sys.argv[2])
rows = np.load(folder / "rows.npy", mmap_mode="r")
y, folds = np.load(folder / "y.npy"), np.load(folder / "folds.npy")
rng = np.random.default_rng(0)
shuffled = np.stack([y, *(rng.permutation(y) for _ in range(permutations))], axis=1)
started = time.perf_counter()
with peak() as most:
    x = rows.astype(np.float64)
    least = np.full(len(y), np.nan)
    for fold in range(5):
        train, held = (folds != fold) & (folds >= 0), folds == fold
        scaler = StandardScaler().fit(x[train])
        z, new = scaler.transform(x[train]), scaler.transform(x[held])
        RidgeCV(alphas=train.sum() * np.logspace(-6, 5, 34), alpha_per_target=True).fit(z, shuffled[train]).predict(new)
        least[held] = LinearRegression().fit(z, y[train]).predict(new)
        pca = PCA().fit(z)
        inside, outside = pca.transform(z), pca.transform(new)
        for k in np.linspace(1, x.shape[1], 20).astype(int):
            LinearRegression().fit(inside[:, :k], y[train]).predict(outside[:, :k])
used = folds >= 0
print(json.dumps([time.perf_counter() - started, most.mib, r2_score(y[used], least[used])]))
"""


def write(folder: Path, rows: int, width: int, seed: int = 0) -> None:
    """Rows off the origin with a falling spectrum, log rarity that they tell in part, counts by Zipf's law, small groups."""
    rng = np.random.default_rng(seed)
    turn = (
        np.linalg.qr(rng.standard_normal((width, width), dtype=np.float32))[0] * np.arange(1, width + 1, dtype=np.float32) ** -0.4
    )
    counts = np.maximum(np.round(1e7 / np.arange(1, rows + 1)), 1.0)
    rarity = np.log(counts.sum() / counts)
    direction = rng.standard_normal(width, dtype=np.float32) / np.sqrt(width, dtype=np.float32)
    out = np.lib.format.open_memmap(folder / "rows.npy", "w+", np.float16, (rows, width))
    for at in range(0, rows, BLOCK):
        part = rng.standard_normal((len(out[at : at + BLOCK]), width), dtype=np.float32) @ turn.T
        out[at : at + BLOCK] = part + np.outer(rarity[at : at + BLOCK] - rarity.mean(), direction).astype(np.float32) * 0.1 + 1
    out.flush()
    np.save(folder / "y.npy", rarity + rng.standard_normal(rows))
    np.save(folder / "counts.npy", counts)
    np.save(folder / "groups.npy", rng.integers(0, rows, rows))


def run(script: str, folder: Path, *more: str) -> list[float]:
    out = subprocess.run([sys.executable, "-c", script, str(folder), *more], check=True, capture_output=True, text=True).stdout
    found: list[float] = json.loads(out.splitlines()[-1])
    return found


def bench() -> dict[str, float | str]:
    figures: dict[str, float | str] = {"threads": os.environ.get("OMP_NUM_THREADS", str(len(os.sched_getaffinity(0))))}
    sizes = [(MEDIUM, "20", "leakage")]
    if os.environ.get("RARITYIR_BENCH_LARGE") == "probe":
        sizes.append((LARGE, "200", "plain"))
    for shape, permutations, mode in sizes:
        name = "x".join(map(str, shape))
        with tempfile.TemporaryDirectory() as place:
            write(Path(place), *shape)
            seconds, mib, _, by_type, by_occurrence = run(_OURS, Path(place), permutations, mode)
        figures |= {f"{name}, {permutations} permutations s": seconds, f"{name} MiB": mib}
        figures |= {f"{name} R2 type": by_type, f"{name} R2 occurrence": by_occurrence}
    name = "x".join(map(str, SMALL))
    with tempfile.TemporaryDirectory() as place:
        write(Path(place), *SMALL)
        seconds, mib, least, *_ = run(_OURS, Path(place), "20", "plain")
        theirs, their_mib, expected = run(_SKLEARN, Path(place), "20")
    figures |= {f"{name} s": seconds, f"{name} MiB": mib, f"{name} scikit-learn s": theirs, f"{name} scikit-learn MiB": their_mib}
    figures |= {f"{name} scikit-learn / ours": theirs / seconds, f"{name} R2 apart": abs(least - expected)}
    return figures
