"""Token weights of every source in BM25, in sparse queries and in pooling, beside IDF, none, and themselves permuted.

`python -m evals.informativeness --help`. The power of each weight is chosen on SciFact's training and NFCorpus's development
topics alone, by the mean of nDCG@10 over both; the curves over all powers are of test topics, and nothing is chosen from them.
Controls are permuted within bins of frequency. Writes `table.json`, `table.md` and `powers.svg` here.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

import rarityir as ri
from evals.informativeness.bench import CHOOSING, FORMS, JUDGED, MEASURE, SYSTEMS, Bench
from evals.informativeness.page import page, picture
from evals.informativeness.sources import SOURCES, Weights
from rarityir.measures import compare
from rarityir.powers import powers
from rarityir.types import Scores

FOLDER = Path(__file__).parent
GAMMAS = (0.5, 1.0, 2.0)  # 0 is no weights at all, which stands in the table
CURVE = (0.0, 0.5, 1.0, 2.0, 4.0)
PERMUTED = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="demo", help="[default: demo]")
    parser.add_argument("--sources", nargs="+", default=list(SOURCES), choices=SOURCES, help="[default: all]")
    parser.add_argument("--forms", nargs="+", default=list(FORMS), choices=FORMS, help="others are kept  [default: all]")
    parser.add_argument("--judged", nargs="+", default=list(JUDGED), choices=JUDGED, help="others are kept  [default: all]")
    parser.add_argument("--texts", type=int, default=200, help="documents whose states a model's weights are of  [default: 200]")
    parser.add_argument("--runs", type=int, default=3, help="shuffles that windows are corrected by  [default: 3]")
    parser.add_argument("--permuted", type=int, default=PERMUTED, help=f"[default: {PERMUTED}]")
    parser.add_argument("--indexes", type=Path, default=Path("indexes"))
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder to write")
    given = parser.parse_args()
    encoder = ri.load_encoder(given.encoder)
    bench = Bench(encoder, given.indexes, Weights(encoder, given.indexes / "@informativeness", given.texts, given.runs))
    given.out.mkdir(parents=True, exist_ok=True)
    file = given.out / "table.json"
    found = json.loads(file.read_text()) if file.exists() else {"cells": [], "weights": {}, "chosen": {}}
    sources = tuple(dict.fromkeys(("idf", *given.sources)))
    for form in given.forms:
        chosen = {source: choose(bench, form, source) for source in sources}
        found["chosen"] |= {f"{form}, {source}": one for source, one in chosen.items()}
        for name in given.judged:
            kept = [cell for cell in found["cells"] if (cell["form"], cell["dataset"]) != (form, name)]
            found["cells"] = kept + measured(bench, form, name, chosen, given.permuted)
            told = {f"{corpus} {source}": one for (corpus, source), one in bench.weights.told.items()}
            found["weights"] = dict(sorted({**found["weights"], **told}.items()))
            found |= {"encoder": given.encoder, "texts": given.texts, "runs": given.runs, "permuted": given.permuted}
            file.write_text(json.dumps(found, indent=1, allow_nan=False) + "\n")
    (given.out / "table.md").write_text(page(found))
    picture(found, given.out / "powers.svg")


def choose(bench: Bench, form: str, source: str) -> dict[str, Any]:
    """The power with the best mean over the collections to choose on, and what each power scores there."""
    means = {gamma: float(np.mean([bench.values(form, name, source, gamma).mean() for name in CHOOSING])) for gamma in GAMMAS}
    best = max(means, key=lambda gamma: means[gamma])
    print("chosen", form, source, best, means, flush=True)
    return {"gamma": best, "means": {str(gamma): round(value, 4) for gamma, value in means.items()}}


def measured(bench: Bench, form: str, name: str, chosen: dict[str, Any], permuted: int) -> list[dict[str, Any]]:
    """Every source on one collection: against the usual weights of the form, and against its own permutations.

    Usual is the IDF at γ = 1 for BM25 and sparse queries, none for pooling.
    """
    none = Scores("none", range(0), {MEASURE: bench.values(form, name, "idf", 0.0)})
    idf = Scores("idf γ=1", range(0), {MEASURE: bench.values(form, name, "idf", 1.0)})
    base, other = (idf, none) if form in SYSTEMS else (none, idf)
    found, controls = {}, {}
    for source, one in chosen.items():
        found[source] = bench.values(form, name, source, one["gamma"])
        controls[source] = np.mean([bench.values(form, name, source, one["gamma"], seed) for seed in range(permuted)], axis=0)
        print(name, form, source, f"{found[source].mean():.4f} control {controls[source].mean():.4f}", flush=True)
    scored = [Scores(source, range(0), {MEASURE: values}) for source, values in found.items()]
    against = {c.system: c for c in compare([base, other, *scored], base.system, MEASURE)}
    # A difference from its own control is a system whose baseline is nothing: Holm over the sources.
    zero = Scores("0", range(0), {MEASURE: np.zeros_like(base.values[MEASURE])})
    gains = [Scores(source, range(0), {MEASURE: found[source] - controls[source]}) for source in found]
    control = {c.system: c for c in compare([zero, *gains], "0", MEASURE)}
    cells = []
    for scores in (base, other, *scored):
        source = scores.system
        cell = {"dataset": name, "form": form, "source": source, "topics": len(scores.values[MEASURE]), "base": base.system}
        cell[MEASURE] = float(scores.values[MEASURE].mean())
        if source in found:
            rows = powers({gamma: bench.values(form, name, source, gamma) for gamma in CURVE})
            curve = {key: [round(getattr(row, key), 5) for row in rows] for key in ("gamma", "change", "low", "high", "p_holm")}
            cell |= {"gamma": chosen[source]["gamma"], "control": float(controls[source].mean())}
            cell |= {"p_control": control[source].fisher_holm, "curve": curve}
        if source != base.system:
            cell |= {"against": against[source].difference, "p": against[source].fisher_holm}
        cells.append(cell)
    return cells


if __name__ == "__main__":
    main()
