"""Exact dense search from disk against FAISS's flat index in memory; how cost falls with the width; FAISS's kinds and recall."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from evals.bench.goals import Goal, at_least, exactly
from evals.bench.turns import fewest

BLOCK, QUERIES, CHECKED = 10_000, 1000, 50
GOALS = {
    **{f".* / {tau}: (bytes fewer|faster)": Goal(least=0.9 * tau) for tau in (2, 4, 8)},
    r".* / \d: recall of the exact 10": exactly(1.0),
    "1000k x 64, .*: against FAISS": at_least(1.0),
    ".*: the same documents": at_least(0.9999),  # places change where scores are within rounding
}


def bench() -> dict[str, float | str]:
    found: dict[str, float | str] = {}
    with tempfile.TemporaryDirectory() as place:
        for documents, width in ((1_000_000, 64), (100_000, 768)):
            found |= _beside_faiss(documents, width, Path(place) / f"{width}")
        for width in (2048, 4096):  # the hidden widths of models of about 1.5 and 7 billion parameters
            found |= _narrower(Path(place), width)
        found |= _kinds(Path(place))
    return found


def _beside_faiss(documents: int, width: int, folder: Path) -> dict[str, float | str]:
    """Seconds for all queries, each side's best of three, in turn."""
    import faiss

    from rarityir.indexes.dense import DenseIndex
    from rarityir.retrieval import recall

    DenseIndex.build("", _unit(documents, width, seed=0), folder)
    ours, theirs = DenseIndex.open("", folder), faiss.IndexFlatIP(width)
    for x_NK in _unit(documents, width, seed=0):
        theirs.add(x_NK)
    q_QK = next(_unit(QUERIES, width, seed=1))
    found: dict[str, float | str] = {}
    for cutoff in (10, 1000):
        us, them = fewest(lambda c=cutoff: ours.search(q_QK, c), lambda c=cutoff: theirs.search(q_QK, c))
        name = f"{documents // 1000}k x {width}, k={cutoff}"
        found |= {f"{name}: s": us, f"{name}: FAISS s": them, f"{name}: against FAISS": them / us}
        found[f"{name}: the same documents"] = recall(ours.search(q_QK, cutoff).rows, theirs.search(q_QK, cutoff)[1])
    return found


def _narrower(place: Path, width: int, documents: int = 200_000) -> dict[str, float | str]:
    """Bytes and queries per second of a half, a quarter, an eighth of the width, relative to all of it."""
    from rarityir.indexes.dense import DenseIndex
    from rarityir.retrieval import recall

    opened, sizes, q_QD = {}, {}, next(_unit(QUERIES, width, seed=1))
    for tau in (1, 2, 4, 8):
        folder = place / f"{width}-{tau}"
        DenseIndex.build("", (_cut(x_NK, width // tau) for x_NK in _unit(documents, width, seed=0)), folder)
        opened[tau], sizes[tau] = DenseIndex.open("", folder), (folder / "vectors.npy").stat().st_size
    searches = [lambda t=t: opened[t].search(_cut(q_QD, width // t), 10) for t in opened]
    seconds = dict(zip(opened, fewest(*searches), strict=True))
    found: dict[str, float | str] = {f"{documents // 1000}k x {width}, k=10: s": seconds[1]}
    for tau in (2, 4, 8):
        name = f"{width} / {tau}"
        found |= {f"{name}: bytes fewer": sizes[1] / sizes[tau], f"{name}: faster": seconds[1] / seconds[tau]}
        q_CK = _cut(q_QD[:CHECKED], width // tau)
        x_blocks = (_cut(x_NK, width // tau) for x_NK in _unit(documents, width, seed=0))
        found[f"{name}: recall of the exact 10"] = recall(opened[tau].search(q_CK, 10).rows, _exact(q_CK, x_blocks, 10))
    return found


def _exact(q_QK: Any, x_blocks: Iterator[Any], cutoff: int) -> Any:
    """Each query's best rows by products in float64, of which all are sorted: a route of its own."""
    scores_QN = np.concatenate([q_QK.astype(np.float64) @ x_NK.T.astype(np.float64) for x_NK in x_blocks], axis=1)
    return np.argsort(-scores_QN, axis=1, kind="stable")[:, :cutoff]


def _kinds(place: Path, documents: int = 100_000, width: int = 128) -> dict[str, float | str]:
    """Recall at 100 and queries per second on 500 groups of documents, and what is stored for a document."""
    from rarityir.indexes.dense import DenseIndex
    from rarityir.retrieval import recall

    rng = np.random.default_rng(0)
    centres = rng.standard_normal((500, width))
    x_ND = _normal(centres[rng.integers(0, 500, documents)] + 0.7 * rng.standard_normal((documents, width)))
    q_QD = _normal(centres[rng.integers(0, 500, QUERIES)] + 0.7 * rng.standard_normal((QUERIES, width)))
    found: dict[str, float | str] = {}
    exact = np.empty((0, 0))
    for kind in ("flat", "hnsw,32", "ivf512", "ivf512,pq32", "sq8", "pq32"):
        folder = place / kind
        started = time.perf_counter()
        facts = DenseIndex.build(kind, iter(np.array_split(x_ND, 10)), folder)
        built, index = time.perf_counter() - started, DenseIndex.open(kind, folder)
        (seconds,) = fewest(lambda i=index: i.search(q_QD, 100))
        rows = index.search(q_QD, 100).rows
        exact = rows if kind == "flat" else exact
        found[f"100k x 128, {kind}"] = ", ".join(
            [f"recall {recall(rows, exact):.3f}", f"{QUERIES / seconds:,.0f} queries/s", f"{facts['bytes_per_doc']} bytes",
             f"built in {built:.1f} s"]
        )  # fmt: skip
    return found


def _unit(count: int, width: int, seed: int) -> Iterator[Any]:
    rng = np.random.default_rng(seed)
    for start in range(0, count, BLOCK):
        yield _normal(rng.standard_normal((min(BLOCK, count - start), width), dtype=np.float32))


def _cut(x_NK: Any, width: int) -> Any:
    return _normal(x_NK[:, :width])


def _normal(x_NK: Any) -> Any:
    return np.asarray(x_NK / np.linalg.norm(x_NK, axis=1, keepdims=True), np.float32)
