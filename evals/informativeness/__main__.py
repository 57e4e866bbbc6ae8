"""Token weights of every source in queries and in BM25, beside IDF, none, and themselves permuted within bins of frequency.

`python -m evals.informativeness --help`. The power of each weight is chosen on SciFact's training and NFCorpus's development
topics alone, by the mean of nDCG@10 over both. Writes `table.json` and `table.md` here.
"""

from __future__ import annotations

import argparse
import json
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

import rarityir as ri
from rarityir.informativeness import TokenInformation, from_corpus, from_model
from rarityir.measures import compare, evaluate
from rarityir.retrieval import Retriever
from rarityir.systems import System
from rarityir.types import Scores

FOLDER = Path(__file__).parent
CHOOSING = ("beir/nfcorpus/dev", "beir/scifact/train")
JUDGED = ("cranfield", "beir/nfcorpus/test", "beir/scifact/test")
GAMMAS = (0.5, 1.0, 2.0)  # 0 is no weights at all, which stands in the table
PERMUTED = 5
MEASURE, CUTOFF = "nDCG@10", 100
SOURCES = ("idf", "document", "document quantile", "window", "model-exact", "model-quadratic", "norm")
FORMS = {"bm25": "bm25-idf:{},gamma={}", "sparse": "sparse:64,weights={},gamma={}"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="demo", help="[default: demo]")
    parser.add_argument("--sources", nargs="+", default=list(SOURCES), choices=SOURCES, help=f"[default: {' '.join(SOURCES)}]")
    parser.add_argument("--forms", nargs="+", default=list(FORMS), choices=list(FORMS), help="others are kept  [default: both]")
    parser.add_argument("--texts", type=int, default=200, help="documents whose states a model's weights are of  [default: 200]")
    parser.add_argument("--runs", type=int, default=3, help="shuffles that windows are corrected by  [default: 3]")
    parser.add_argument("--permuted", type=int, default=PERMUTED, help=f"[default: {PERMUTED}]")
    parser.add_argument("--indexes", type=Path, default=Path("indexes"))
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder to write")
    given = parser.parse_args()
    encoder = ri.load_encoder(given.encoder)
    retrievers = {name: Retriever(ri.load_dataset(name), encoder, given.indexes) for name in (*CHOOSING, *JUDGED)}
    weights = Weights(encoder, given.indexes / "@informativeness", given.texts, given.runs)
    chosen = {
        (form, source): choose(retrievers, weights, form, source) for form in given.forms for source in ("idf", *given.sources)
    }
    cells = [cell for name in JUDGED for form in given.forms for cell in measured(retrievers[name], weights, form, chosen, given)]
    given.out.mkdir(parents=True, exist_ok=True)
    kept = json.loads((given.out / "table.json").read_text())["cells"] if (given.out / "table.json").exists() else []
    cells = [cell for cell in kept if cell["form"] not in given.forms] + cells  # of forms that were measured before
    fits = {f"{name} {source}": told for (name, source), told in sorted(weights.told.items())}
    found = {"encoder": given.encoder, "texts": given.texts, "cells": cells, "weights": fits}
    (given.out / "table.json").write_text(json.dumps(found, indent=1, allow_nan=False) + "\n")
    (given.out / "table.md").write_text(page(found))


class Weights:
    """Folders of weights by corpus and source, each made once."""

    def __init__(self, encoder: ri.Encoder, home: Path, texts: int, runs: int) -> None:
        self.encoder, self.home, self.texts, self.runs = encoder, home, texts, runs
        self.told: dict[tuple[str, str], dict[str, Any]] = {}
        self._made: dict[tuple[str, str], TokenInformation] = {}

    def folder(self, retriever: Retriever, source: str, permuted: int | None = None) -> Path:
        """The folder of a source's weights, or of one of their permutations."""
        corpus = retriever.dataset.corpus.replace("/", "--")
        name = f"{source}{'' if permuted is None else f'-permuted-{permuted}'}".replace(" ", "-")
        path = self.home / corpus / name
        found = self.made(retriever, source)
        return (found if permuted is None else found.permuted(permuted)).save(path)

    def made(self, retriever: Retriever, source: str) -> TokenInformation:
        """A source's weights of a corpus."""
        key = (retriever.dataset.corpus, source)
        if key not in self._made:
            print("weights", *key, flush=True)
            found = self._made[key] = self._make(retriever, source)
            idf = retriever._ready(System.parse("bm25-idf"))[0].idf
            told = found.compare(np.asarray(idf, np.float64))._asdict()
            self.told[key] = {**told, **found.facts, "method": found.method, "correction": found.correction}
        return self._made[key]

    def _make(self, retriever: Retriever, source: str) -> TokenInformation:
        dataset, encoder = retriever.dataset, self.encoder
        if source == "idf":
            index = retriever._ready(System.parse("bm25-idf"))[0]
            idf = np.asarray(index.idf, np.float64)
            return from_corpus(dataset, encoder).replaced(idf, "the corpus's own IDF, of BM25 in Lucene's form")
        if source.startswith("document"):
            return from_corpus(dataset, encoder, correct="quantile" if source.endswith("quantile") else "none")
        if source == "window":
            return from_corpus(dataset, encoder, "window:10", "shuffle", runs=self.runs)
        texts = [doc.text for doc in islice(dataset.docs(), self.texts)]
        if source == "norm":
            return from_model(encoder, texts, "norm").correct("quantile")
        return from_model(encoder, texts, source.removeprefix("model-"))


def system(form: str, folder: Path, gamma: float) -> System:
    return System.parse(FORMS[form].format(folder, gamma))


def scored(retriever: Retriever, found: System, name: str) -> Scores:
    dataset = retriever.dataset
    scores = evaluate(retriever.run(found, CUTOFF), dataset.qrels, [MEASURE], [q for q in dataset.topics if q in dataset.qrels])
    return Scores(name, scores.query_ids, scores.values)


def choose(retrievers: dict[str, Retriever], weights: Weights, form: str, source: str) -> tuple[float, dict[str, float]]:
    """The power with the best mean over the collections to choose on, and what each power scores there."""
    means = {}
    for gamma in GAMMAS:
        some = [retrievers[name] for name in CHOOSING]
        found = [scored(r, system(form, weights.folder(r, source), gamma), "").mean(MEASURE) for r in some]
        means[gamma] = float(np.mean(found))
    best = max(means, key=lambda gamma: means[gamma])
    print("chosen", form, source, best, means, flush=True)
    return best, {str(gamma): round(value, 4) for gamma, value in means.items()}


def measured(
    retriever: Retriever, weights: Weights, form: str, chosen: dict[tuple[str, str], tuple[float, dict[str, float]]], given: Any
) -> list[dict[str, Any]]:
    """Every source on one collection: against IDF as it is, and against its own permutations."""
    name, folder = retriever.dataset.name, weights.folder(retriever, "idf")
    base = scored(retriever, system(form, folder, 1.0), "idf γ=1")
    none = scored(retriever, system(form, folder, 0.0), "none")
    found, controls = {}, {}
    for source in dict.fromkeys(("idf", *given.sources)):
        gamma = chosen[form, source][0]
        found[source] = scored(retriever, system(form, weights.folder(retriever, source), gamma), source)
        runs = [
            scored(retriever, system(form, weights.folder(retriever, source, seed), gamma), "") for seed in range(given.permuted)
        ]
        mean = np.mean([run.values[MEASURE] for run in runs], axis=0)
        controls[source] = Scores(source, base.query_ids, {MEASURE: mean})
        print(name, form, source, f"{found[source].mean(MEASURE):.4f} control {mean.mean():.4f}", flush=True)
    against = {c.system: c for c in compare([base, none, *found.values()], base.system, MEASURE)}
    # A difference from its own control is a system whose baseline is nothing: Holm over the sources.
    zero = Scores("0", base.query_ids, {MEASURE: np.zeros(len(base.query_ids))})
    gains = [Scores(s, base.query_ids, {MEASURE: found[s].values[MEASURE] - controls[s].values[MEASURE]}) for s in found]
    control = {c.system: c for c in compare([zero, *gains], "0", MEASURE)}
    cells = []
    for source, scores in {"idf γ=1": base, "none": none, **found}.items():
        cell = {"dataset": name, "form": form, "source": source, "topics": len(base.query_ids), MEASURE: scores.mean(MEASURE)}
        if source in found:
            cell |= {"gamma": chosen[form, source][0], "choosing": chosen[form, source][1]}
            cell |= {"control": controls[source].mean(MEASURE), "p_control": control[source].fisher_holm}
        if source != base.system:
            cell |= {"against_idf": against[source].difference, "p_idf": against[source].fisher_holm}
        cells.append(cell)
    return cells


def page(found: dict[str, Any]) -> str:
    """The tables as Markdown."""
    lines = [
        "# Token weights by what tokens tell", "",
        f"Encoder {found['encoder']}; {MEASURE}, {CUTOFF} documents a topic. γ is chosen on NFCorpus dev and SciFact train.",
        "p: Fisher's randomisation test over topics, Holm over a table's rows. Control: the weights permuted within bins",
        "of frequency.",
    ]  # fmt: skip
    for name in JUDGED:
        for form in dict.fromkeys(cell["form"] for cell in found["cells"]):
            cells = [cell for cell in found["cells"] if (cell["dataset"], cell["form"]) == (name, form)]
            if cells:
                lines += ["", f"## {name}, {form} ({cells[0]['topics']} topics)", ""]
                lines += [f"| weights | γ | {MEASURE} | − IDF | p | control | p |", "|---|---|---|---|---|---|---|"]
                lines += [row(cell) for cell in cells]
    lines += ["", "## How they go with the IDF", "", "| corpus, source | tokens | R² | Spearman | beyond log n | with log n |"]
    lines += ["|---|---|---|---|---|---|"]
    for key, told in found["weights"].items():
        lines.append(
            f"| {key} | {told['tokens']} | {told['r2']:.3f} | {told['spearman']:.3f} | {told['partial']:.3f} | "
            f"{told['with_log_n']:.3f} |"
        )
    return "\n".join(lines) + "\n"


def row(cell: dict[str, Any]) -> str:
    def shown(key: str, form: str) -> str:
        return format(cell[key], form) if key in cell else "–"

    tested = [shown("against_idf", "+.4f"), shown("p_idf", ".4f"), shown("control", ".4f"), shown("p_control", ".4f")]
    return f"| {cell['source']} | {shown('gamma', 'g')} | {cell[MEASURE]:.4f} | {' | '.join(tested)} |"


if __name__ == "__main__":
    main()
