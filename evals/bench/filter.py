"""Fitting a filter on heads of Qwen2.5-0.5B's and Llama-3.1-8B's size: blocked float64 Gram and `eigh` against a full SVD.

The head is one tensor of a safetensors shard that holds another one too. Each side runs in a process of its own, which reports
its peak resident memory (mapped pages of the shard count). The peer is `torch.linalg.svd` in float32; for the large head it
is left out unless RARITYIR_BENCH_LARGE=svd, as it takes long. The projector of `edge:2` is compared with that of a float64 SVD
of the same matrix for the small head.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from evals.bench.goals import at_least

HEADS = {"151936x896": (151_936, 896), "128256x4096": (128_256, 4096)}

# A child's `ru_maxrss` begins at its parent's; the high-water mark does not.
_PEAK = """
from pathlib import Path
def peak():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 2**20
"""
_OURS = """
import json, sys, time
from pathlib import Path
import torch  # which reads the shard: both sides have it loaded before the clock starts
from rarityir.filters import EmbedFilter
started = time.perf_counter()
found = EmbedFilter.fit(sys.argv[1], "edge:2", cache=Path(sys.argv[1]) / "cache")
seconds = time.perf_counter() - started
found.save(Path(sys.argv[1]) / "filter")
print(json.dumps([seconds, peak()]))
"""
_SVD = """
import json, sys, time
from pathlib import Path
import torch
from safetensors.torch import load_file
started = time.perf_counter()
head = load_file(sys.argv[1] + "/model.safetensors")["lm_head.weight"].float()
torch.linalg.svd(head, full_matrices=False)
print(json.dumps([time.perf_counter() - started, peak()]))
"""
_EXACT = """
import json, sys
import numpy as np, scipy.linalg
from safetensors.numpy import load_file
head = load_file(sys.argv[1] + "/model.safetensors")["lm_head.weight"].astype(np.float64)
kept = scipy.linalg.svd(head, full_matrices=False, overwrite_a=True)[2][head.shape[1] // 4 :][: head.shape[1] // 2]
basis = load_file(sys.argv[1] + "/filter/model.safetensors")["basis"].astype(np.float64)
print(json.dumps([float(np.linalg.norm(basis.T @ basis - kept.T @ kept, ord=2))]))
"""
GOALS = {".* ratio": at_least(15)}


def write(folder: Path, rows: int, width: int, seed: int = 0) -> None:
    """A model folder whose head has singular values that fall by a power law, in random directions."""
    rng = np.random.default_rng(seed)
    right = np.linalg.qr(rng.standard_normal((width, width)))[0]
    scale = 300 * np.arange(1, width + 1) ** -0.7 / np.sqrt(rows)
    turn = (scale[:, None] * right.T).astype(np.float32)
    head = np.empty((rows, width), np.float32)
    for start in range(0, rows, 8192):
        head[start : start + 8192] = rng.standard_normal((len(head[start : start + 8192]), width), dtype=np.float32) @ turn
    other = rng.standard_normal((4096, width), dtype=np.float32)
    save_file({"lm_head.weight": head, "model.layers.0.mlp.up_proj.weight": other}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "tie_word_embeddings": False}))


def run(script: str, folder: Path) -> list[float]:
    out = subprocess.run([sys.executable, "-c", _PEAK + script, str(folder)], check=True, capture_output=True, text=True).stdout
    found: list[float] = json.loads(out.splitlines()[-1])
    return found


def bench() -> dict[str, float | str]:
    figures: dict[str, float | str] = {"threads": str(len(os.sched_getaffinity(0)))}
    for name, shape in HEADS.items():
        large = shape[1] > 1024
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            write(folder, *shape)
            seconds, memory = run(_OURS, folder)
            cached, _ = run(_OURS, folder)
            figures |= {f"{name} fit s": seconds, f"{name} fit GiB": memory, f"{name} cached s": cached}
            if not large or os.environ.get("RARITYIR_BENCH_LARGE") == "svd":
                theirs, peak = run(_SVD, folder)
                figures |= {f"{name} svd s": theirs, f"{name} svd GiB": peak, f"{name} ratio": theirs / seconds}
            if not large:
                figures[f"{name} projector error"] = run(_EXACT, folder)[0]
    return figures
