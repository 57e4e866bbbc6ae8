"""BM25, sparse and dense over a synthetic corpus of MS MARCO's size and shape, all 6,980 dev topics, on this machine.

`RARITYIR_BENCH_TOPICS` names the folder of the topics' term files (see `passages`); `RARITYIR_BENCH_PASSAGES` sets another size,
`RARITYIR_BENCH_PLACE` where indexes are written (about 8 GB). Each system is a process of its own. Seconds are those of the index
alone: what drawing the passages takes is told beside them. Sparse and dense results of some topics are compared with a search of
all passages, computed here in float64, passage by passage.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from evals.bench.goals import exactly
from evals.bench.memory import peak
from evals.bench.passages import KEEP, PASSAGES, Passages
from rarityir.types import Floats, Hits, Impacts, RarityError

CUTOFF, CHECKED = 1000, 32
TOPICS = os.environ.get("RARITYIR_BENCH_TOPICS", "")
GOALS = {"(sparse|dense): share of the exact .*": exactly(1.0)}


def bench() -> dict[str, float | str]:
    if not TOPICS:
        raise RarityError("RARITYIR_BENCH_TOPICS names no folder; give that of the topics' vectors")
    passages = _passages()
    found: dict[str, float | str] = {"passages": passages.count, "topics": len(passages.query_ids), "cutoff": CUTOFF}
    for name in SIDES:
        command = [sys.executable, "-m", "evals.bench.msmarco", name]
        out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]).stdout
        facts: dict[str, float | str] = json.loads(out.splitlines()[-1])
        found |= {f"{name}: {what}": value for what, value in facts.items()}
        print("\n".join(f"  {key}: {value}" for key, value in found.items() if key.startswith(name)), flush=True)
    return found


def measured(name: str) -> dict[str, float | str]:
    """Does one system in this process."""
    passages = _passages()
    with tempfile.TemporaryDirectory(dir=os.environ.get("RARITYIR_BENCH_PLACE")) as place:
        _one(name, Passages(passages.folder, 10_000), Path(place) / "warm")  # libraries, compiled kernels, Java
        facts, hits = _one(name, passages, Path(place) / name)
        if name in EXACT:
            facts[f"share of the exact {CUTOFF} found"] = _checked(passages, name, hits)
    return facts


def _passages() -> Passages:
    return Passages(Path(TOPICS), int(os.environ.get("RARITYIR_BENCH_PASSAGES", str(PASSAGES))))


def _one(name: str, passages: Passages, folder: Path) -> tuple[dict[str, float | str], Hits]:
    from rarityir import registry
    from rarityir.measures import evaluate
    from rarityir.runs import Run

    part, documents, queries = SIDES[name]
    index, _, arg = part.partition(":")
    kind = registry.resolve("indexes", index)
    folder.mkdir()
    drawing = Drawing(documents(passages))
    with peak() as building:
        started = time.perf_counter()
        kind.build(arg, drawing, folder)
        built = time.perf_counter() - started - drawing.seconds
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    opened, asked = kind.open(arg, folder), queries(passages)
    with peak() as searching:
        started = time.perf_counter()
        hits: Hits = opened.search(asked, CUTOFF)
        took = time.perf_counter() - started
    run = Run.from_hits(name, passages.query_ids, Rows(passages.count), hits)
    scores = evaluate(run, passages.qrels, ["RR@10", "R@1000"])
    facts: dict[str, float | str] = {
        "build s": built,
        "drawing s": drawing.seconds,
        "passages a second": passages.count / built,
        "bytes": size,
        "bytes a passage": size / passages.count,
        "build MiB": building.mib,
        "search s": took,
        "queries a second": len(passages.query_ids) / took,
        "search MiB": searching.mib,
        "planted RR@10": scores.mean("RR@10"),
        "planted R@1000": scores.mean("R@1000"),
    }
    return facts, hits


def _checked(passages: Passages, name: str, hits: Hits) -> float:
    """Returns the share of the exact best rows that were found, over some topics; equal scores stand in row order."""
    topics = np.linspace(0, len(passages.query_ids) - 1, CHECKED).astype(int)
    exact = [(np.empty(0), np.empty(0, np.int64)) for _ in topics]
    start, asked = 0, EXACT[name][1](passages, topics)
    for impacts in passages.impacts():
        scores_QN = asked @ EXACT[name][0](passages, impacts)
        for i, scores_N in enumerate(scores_QN):
            scores = np.concatenate([exact[i][0], scores_N])
            rows = np.concatenate([exact[i][1], start + np.arange(len(scores_N))])
            best = np.lexsort((rows, -scores))[:CUTOFF]
            exact[i] = scores[best], rows[best]
        start += len(impacts.indptr) - 1
    both = sum(len(np.intersect1d(hits.rows[topic], rows)) for topic, (_, rows) in zip(topics, exact, strict=True))
    if name == "sparse":  # whole weights: sums are exact in float32, so scores and order must be the same too
        assert all(np.array_equal(hits.rows[t], rows) for t, (_, rows) in zip(topics, exact, strict=True))
        assert all(np.array_equal(hits.scores[t], scores) for t, (scores, _) in zip(topics, exact, strict=True))
    return both / (CHECKED * CUTOFF)


def _csr(impacts: Impacts) -> Any:
    return sp.csr_matrix(
        (impacts.values.astype(np.float64), impacts.token_ids, impacts.indptr), (len(impacts.indptr) - 1, impacts.vocabulary)
    )


def _sparse_queries(passages: Passages, topics: Any) -> Any:
    return _csr(passages.weighted)[topics].toarray()


def _dense_queries(passages: Passages, topics: Any) -> Any:
    return passages.vectors(passages.weighted)[topics].astype(np.float64)


EXACT: dict[str, tuple[Callable[[Passages, Impacts], Any], Callable[[Passages, Any], Any]]] = {
    "sparse": (lambda passages, impacts: _csr(impacts).T, _sparse_queries),
    "dense": (lambda passages, impacts: passages.vectors(impacts).astype(np.float64).T, _dense_queries),
}
SIDES: dict[str, tuple[str, Callable[[Passages], Iterable[Any]], Callable[[Passages], Any]]] = {
    "bm25": ("bm25", Passages.texts, lambda passages: passages.queries),
    "sparse": (f"sparse:{KEEP}", Passages.impacts, lambda passages: passages.weighted),
    "dense": ("dense", lambda passages: map(passages.vectors, passages.impacts()), lambda p: p.vectors(p.weighted)),
}


class Drawing:
    """Blocks, and the seconds that drawing them took."""

    def __init__(self, blocks: Iterable[Floats]) -> None:
        self._blocks, self.seconds = iter(blocks), 0.0

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        started = time.perf_counter()
        try:
            return next(self._blocks)
        finally:
            self.seconds += time.perf_counter() - started


class Rows:
    """doc_ids that are the rows themselves."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, row: int) -> str:
        return str(row)

    def __iter__(self) -> Iterator[str]:
        return map(str, range(self._count))


if __name__ == "__main__":
    print(json.dumps(measured(sys.argv[1])))
