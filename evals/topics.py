"""Do drawn topics separate systems that the plan has not seen? `python -m evals.topics DATASET OUT.json RUN.trec …`

Systems are halved at random 40 times. A plan is fitted on one half's nDCG@10 by topic; topics are drawn, and the other half's
mean nDCG@10 is estimated from them alone: rank correlation with the mean over all topics, its error, and the distances' error.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from rarityir.datasets import load_dataset
from rarityir.measures import evaluate
from rarityir.modelmap import ResamplePlan, spearman
from rarityir.modelmap.distances import squared
from rarityir.runs import read_run

SPLITS, SEEDS, DRAWS = 40, 5, (20, 40, 80)


def one(seen_KQ: np.ndarray, new_KQ: np.ndarray, method: str, n: int, seed: int) -> list[float]:
    plan = ResamplePlan.fit(seen_KQ, method, clip=0, centre=False)
    sample = plan.draw(n, seed)
    drawn = new_KQ[:, sample.indices]
    weights = sample.factors**2 / (sample.factors**2).sum()
    true, estimated = new_KQ.mean(axis=1), drawn @ weights
    apart = squared(new_KQ)
    missed = np.linalg.norm(sample.distances(drawn) - apart) / np.linalg.norm(apart)
    return [sample.unique, spearman(true, estimated), float(np.sqrt(np.mean((true - estimated) ** 2))), float(missed)]


def main() -> None:
    qrels = load_dataset(sys.argv[1]).qrels
    runs = [read_run(path) for path in sys.argv[3:]]
    values = np.array([evaluate(run, qrels, ["nDCG@10"]).values["nDCG@10"] for run in runs])
    rng = np.random.default_rng(0)
    halves = [rng.permutation(len(values)) for _ in range(SPLITS)]
    names = ("topics read", "rank r", "rms error", "distance error")
    rows = []
    for n in DRAWS:
        for method in ("uniform", "ls", "kl"):
            found = []
            for split, order in enumerate(halves):
                seen, new = np.sort(order[: len(order) // 2]), np.sort(order[len(order) // 2 :])
                found += [one(values[seen], values[new], method, n, 1000 * split + seed) for seed in range(SEEDS)]
            rows.append({"draws": n, "method": method, **dict(zip(names, np.mean(found, axis=0).round(4).tolist(), strict=True))})
            print(rows[-1], flush=True)
    facts = {"dataset": sys.argv[1], "measure": "nDCG@10", "systems": len(values), "splits": SPLITS, "seeds": SEEDS, "rows": rows}
    Path(sys.argv[2]).write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
