"""Filters of independent axes against EmbedFilter at equal width, and what each axis is worth: `python -m evals.ica --help`.

Every width and every option stands fixed here; nothing is chosen on the topics that are scored. Controls: axes drawn at random,
singular directions drawn at random, five draws each. Writes `filters.json`, `ablation-*.json` and `report.md` here.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from rarityir.datasets import load_dataset
from rarityir.encoders import load_encoder
from rarityir.ica import ICA, sweep
from rarityir.ica.sweeping import Judged
from rarityir.measures import evaluate
from rarityir.measures.significance import holm, randomisation
from rarityir.retrieval import Retriever
from rarityir.systems import System

FOLDER = Path(__file__).parent
DATASETS = ("beir/scifact/test", "beir/nfcorpus/test", "cranfield")
DRAWS, AXES = 5, 64
TAUS = ("1.0322", "1.142", "2", "4")  # of 256 directions 248, 224, 128 and 64 are kept
MEASURE = "nDCG@10"


def systems(tau: str) -> dict[str, str]:
    """Rivals and controls at one width, by what the table calls them."""
    drawn = {f"random axes {i}": f"dense+ica-drop:random,tau={tau},draw={i}" for i in range(DRAWS)}
    directions = {f"random directions {i}": f"dense+random:{tau},seed={i}" for i in range(DRAWS)}
    return {
        "edge": f"dense+edge:{tau}",
        "tail": f"dense+tail:{tau}",
        "ICA-drop": f"dense+ica-drop:rarity,tau={tau}",
        "ICA-drop, axes of documents": f"dense+ica-drop:rarity,tau={tau},on=documents",
        **drawn,
        **directions,
    }


def filters(name: str, indexes: Path, taus: tuple[str, ...]) -> list[dict[str, Any]]:
    """Rows of the table of one collection: every system's mean, and both ICA-drops against each rival."""
    retriever = Retriever(load_dataset(name), load_encoder("demo"), indexes)

    def scored(system: str) -> np.ndarray:
        run = retriever.run(System.parse(system))
        return evaluate(run, retriever.dataset.qrels, [MEASURE], list(retriever.dataset.topics)).values[MEASURE]

    raw, rows = scored("dense"), []
    for tau in taus:
        values = {label: scored(system) for label, system in systems(tau).items()}
        for kind in ("random axes", "random directions"):
            values[kind] = np.mean([values.pop(f"{kind} {i}") for i in range(DRAWS)], axis=0)
        pairs = [
            (ours, rival)
            for ours in ("ICA-drop", "ICA-drop, axes of documents")
            for rival in ("edge", "tail", "random axes", "random directions", "none")
        ]
        apart = {pair: values[pair[0]] - (raw if pair[1] == "none" else values[pair[1]]) for pair in pairs}
        p = [randomisation(apart[pair]) for pair in pairs]
        tests = [
            {"of": a, "against": b, "difference": float(apart[a, b].mean()), "p": one, "p_holm": corrected}
            for (a, b), one, corrected in zip(pairs, p, holm(p), strict=True)
        ]
        means = {label: float(found.mean()) for label, found in values.items()}
        rows.append({"dataset": name, "tau": tau, "none": float(raw.mean()), "means": means, "tests": tests})
        print(name, tau, json.dumps(means), flush=True)
    return rows


def ablation(name: str, indexes: Path) -> dict[str, Any]:
    """What each of 64 axes of a collection's documents is worth, with the tokens it writes."""
    retriever = Retriever(load_dataset(name), load_encoder("demo"), indexes)
    x_ND = np.concatenate(list(retriever.embeddings))
    q_QD = retriever.encoder.encode_query(list(retriever.dataset.topics.values()))
    axes = ICA(AXES, 1000, 1e-5, seeds=2).fit(x_ND)
    tokens = retriever.encoder.tokens()
    written = np.argsort(-(retriever.encoder.unembedding() @ axes.writing.T), axis=0)[:5].T
    ids = list(retriever.dataset.topics), retriever.corpus.doc_ids, retriever.dataset.qrels
    found = sweep(Judged.of(axes, q_QD, x_ND, *ids, measure=MEASURE)).json()
    for effect in found["effects"]:
        effect["writes"] = [tokens[i] for i in written[effect["axes"][0]]]
    diagnostics = axes.diagnostics.json()
    shown = {key: diagnostics[key] for key in ("rows", "n_iter", "converged", "variance_kept", "flags", "stability")}
    return {"dataset": name, "axes": AXES, "diagnostics": shown, **found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datasets", nargs="+", default=list(DATASETS), help=f"[default: {' '.join(DATASETS)}]")
    parser.add_argument("--taus", nargs="+", default=list(TAUS), help="widths are D/τ")
    parser.add_argument("--indexes", type=Path, default=Path("indexes"), help="where embeddings are kept")
    parser.add_argument("--only", choices=["filters", "ablation"], help="[default: both]")
    given = parser.parse_args()
    if given.only != "ablation":
        rows = [row for name in given.datasets for row in filters(name, given.indexes, tuple(given.taus))]
        (FOLDER / "filters.json").write_text(json.dumps(rows, indent=1, allow_nan=False) + "\n")
    if given.only != "filters":
        for name in given.datasets:
            found = ablation(name, given.indexes)
            place = FOLDER / f"ablation-{name.split('/')[1] if '/' in name else name}.json"
            place.write_text(json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
            print(name, found["full"], found["diagnostics"]["flags"], flush=True)


if __name__ == "__main__":
    main()
