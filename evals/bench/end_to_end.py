"""From texts to scores: dense retrieval evaluated by rarityir and by sentence-transformers' `InformationRetrievalEvaluator`.

The same model (the demo model, written by `rarityir export` as sentence-transformers reads it), Cranfield, the same measures.
Each side is a process of its own, from the start of Python to the printed RR@10 (the evaluator's nDCG knows no grades), with all
cores; ours also writes embeddings, index, run, tests, tables and provenance. A second run of ours reuses what the first stored.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DATASET = "cranfield"
_OURS = """
import json, sys
import rarityir
made = rarityir.Experiment(dataset=sys.argv[1], systems=["dense"], baseline="dense", measures=["nDCG@10", "RR@10", "AP"],
                           indexes=sys.argv[2] + "/indexes", out=sys.argv[2] + "/out")
print(json.dumps(rarityir.perform(made).rows[0].measures["RR@10"]))
"""
_ST = """
import json, os, sys
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.evaluation import InformationRetrievalEvaluator
from rarityir.datasets import load_dataset
torch.set_num_threads(len(os.sched_getaffinity(0)))
data = load_dataset(sys.argv[1])
relevant = {q: {d for d, grade in judged.items() if grade > 0} for q, judged in data.qrels.items()}
documents = {doc.doc_id: doc.text for doc in data.docs()}
depths = dict(mrr_at_k=[10], ndcg_at_k=[10], map_at_k=[1000], accuracy_at_k=[10], precision_recall_at_k=[10])
evaluator = InformationRetrievalEvaluator(dict(data.topics), documents, relevant, write_csv=False, **depths)
found = evaluator(SentenceTransformer(sys.argv[2] + "/st", device="cpu"))
print(json.dumps(next(value for name, value in found.items() if name.endswith("cosine_mrr@10"))))
"""


def bench() -> dict[str, float | str]:
    from evals.bench.encode import export
    from rarityir import load_encoder

    with tempfile.TemporaryDirectory() as place:
        export(load_encoder("demo", device="cpu"), Path(place) / "st")
        theirs, score = _timed(_ST, place)
        first, ours = _timed(_OURS, place)
        again, _ = _timed(_OURS, place)
    assert abs(ours - score) < 0.002, f"RR@10 {ours} and {score}"
    figures: dict[str, float | str] = {"rarityir: s": first, "rarityir again: s": again, "sentence-transformers: s": theirs}
    figures |= {"RR@10, rarityir": ours, "RR@10, sentence-transformers": score}
    return figures | {"rarityir / sentence-transformers": theirs / first, "again / sentence-transformers": theirs / again}


def _timed(script: str, place: str) -> tuple[float, float]:
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", script, DATASET, place], check=True, capture_output=True, text=True, env=os.environ
    )
    return time.perf_counter() - started, float(json.loads(done.stdout.splitlines()[-1]))
