"""Embeddings pooled by what tokens weigh, beside the plain mean and permuted weights: `python -m evals.informativeness.pooling`.

Weights as they are, nothing chosen. Writes `pooling.json` and `pooling.md`.
"""

from __future__ import annotations

import argparse
import json
from itertools import islice
from pathlib import Path

import rarityir as ri
from rarityir.informativeness import from_corpus, from_model
from rarityir.measures import compare, evaluate
from rarityir.retrieval import Retriever
from rarityir.systems import System
from rarityir.types import Scores

FOLDER = Path(__file__).parent
MEASURE, TEXTS = "nDCG@10", 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datasets", nargs="+", default=["cranfield"], help="[default: cranfield]")
    parser.add_argument("--indexes", type=Path, default=Path("indexes"))
    given = parser.parse_args()
    rows = [row for name in given.datasets for row in table(name, given.indexes)]
    (FOLDER / "pooling.json").write_text(json.dumps(rows, indent=1) + "\n")
    lines = [
        "# Dense retrieval by pooling", "",
        f"Encoder demo, {MEASURE}; p: Fisher's randomisation test against the mean, Holm over the other poolings.", "",
        f"| collection | system | weights | {MEASURE} | − mean | p |", "|---|---|---|---|---|---|",
    ]  # fmt: skip
    lines += [
        f"| {r['dataset']} | {r['system']} | {r['weights']} | {r[MEASURE]:.4f} | {r['against']:+.4f} | {r['p']:.4f} |"
        for r in rows
    ]
    (FOLDER / "pooling.md").write_text("\n".join(lines) + "\n")


def table(name: str, indexes: Path) -> list[dict]:
    dataset, plain = ri.load_dataset(name), ri.load_encoder("demo")
    document = from_corpus(dataset, plain)
    exact = from_model(plain, [doc.text for doc in islice(dataset.docs(), TEXTS)])
    tables = {"document": document, "document, permuted": document.permuted(0), "model-exact": exact}
    tables["model-exact, permuted"] = exact.permuted(0)
    encoders = {"mean": plain}
    home = indexes / "@informativeness" / dataset.corpus.replace("/", "--")
    for key, weights in tables.items():
        folder = weights.save(home / f"pooling-{key.replace(', ', '-')}")
        encoders[key] = ri.load_encoder("demo", pooling=f"weighted:{folder}")
    rows = []
    for system in ("dense", "dense+edge:2"):
        found = []
        for key, encoder in encoders.items():
            run = Retriever(dataset, encoder, indexes).run(System.parse(system), 100)
            scores = evaluate(run, dataset.qrels, [MEASURE])
            found.append(Scores(key, scores.query_ids, scores.values))
            print(name, system, key, f"{scores.mean(MEASURE):.4f}", flush=True)
        against = {c.system: c for c in compare(found, "mean", MEASURE)}
        for scores in found:
            one = against.get(scores.system)
            tested = {"against": one.difference if one else 0.0, "p": one.fisher_holm if one else 1.0}
            rows.append({"dataset": name, "system": system, "weights": scores.system, MEASURE: scores.mean(MEASURE), **tested})
    return rows


if __name__ == "__main__":
    main()
