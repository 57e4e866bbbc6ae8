"""Scoring a run of MS MARCO's size against pytrec_eval: 6,980 topics, 1,000 documents each, all default measures.

Ours is what an evaluation does for a system: every measure of every topic from a `Run`, then the paired tests against a baseline
whose scores are there. Theirs is `RelevanceEvaluator.evaluate` alone, of dictionaries that are made before the clock starts. Both
have run once before; the fewest seconds of five rounds, in turn. Every topic's measures must be equal to 1e-6.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from evals.bench.goals import at_most
from evals.bench.turns import fewest

TOPICS, CUTOFF, DOCUMENTS, ROUNDS = 6980, 1000, 8_841_823, 5
PEER = {"nDCG@10": "ndcg_cut_10", "R@100": "recall_100", "R@1000": "recall_1000", "AP": "map"}  # it has no RR@10
GOALS = {"ours, measures and tests: of pytrec_eval's time": at_most(1.5)}


def bench() -> dict[str, float | str]:
    import pytrec_eval

    from rarityir.measures import DEFAULT, compare, evaluate

    qrels = _judged()
    run, other = _run("drawn", qrels, 0), _run("baseline", qrels, 1)
    theirs = {query_id: dict(run[query_id]) for query_id in run}
    peer = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.10", "recall.100,1000", "map", "recip_rank"})
    base = evaluate(other, qrels, DEFAULT)

    def scored() -> Any:
        return evaluate(run, qrels, DEFAULT)

    def tested() -> Any:
        mine = scored()
        return mine, [compare([base, mine], "baseline", measure) for measure in DEFAULT]

    sides = {"ours, measures": scored, "ours, measures and tests": tested, "pytrec_eval, measures": lambda: peer.evaluate(theirs)}
    values = {name: side() for name, side in sides.items()}
    _same(values["ours, measures"], values["pytrec_eval, measures"])
    best = dict(zip(sides, fewest(*sides.values(), repeats=ROUNDS), strict=True))
    found: dict[str, float | str] = {f"{name}: s": value for name, value in best.items()}
    for name in list(sides)[:2]:
        found[f"{name}: of pytrec_eval's time"] = best[name] / best["pytrec_eval, measures"]
    return found


def _judged() -> dict[str, dict[str, int]]:
    rng = np.random.default_rng(2)
    return {f"q{i}": {f"d{row}": 1 for row in rng.integers(0, DOCUMENTS, 1 + i % 3).tolist()} for i in range(TOPICS)}


def _run(name: str, qrels: dict[str, dict[str, int]], seed: int) -> Any:
    """Random documents, and where a topic's first relevant one is found, anywhere among them."""
    from rarityir.runs import Run
    from rarityir.types import Hits

    rng = np.random.default_rng(seed)
    rows = np.stack([rng.choice(DOCUMENTS, CUTOFF, replace=False, shuffle=False) for _ in range(TOPICS)])
    for i, judged in enumerate(qrels.values()):
        row = int(next(iter(judged))[1:])
        if row not in rows[i]:
            rows[i, int(rng.integers(0, CUTOFF))] = row
    scores = np.sort(rng.random((TOPICS, CUTOFF), dtype=np.float32))[:, ::-1]
    ids = [f"d{row}" for row in range(DOCUMENTS)]
    return Run.from_hits(name, list(qrels), ids, Hits(rows.astype(np.int64), scores))


def _same(mine: Any, theirs: dict[str, dict[str, float]]) -> None:
    for measure, name in PEER.items():
        other = np.array([theirs[query_id][name] for query_id in mine.query_ids])
        assert np.abs(mine.values[measure] - other).max() < 1e-6, f"{measure} differs from pytrec_eval's {name}"
