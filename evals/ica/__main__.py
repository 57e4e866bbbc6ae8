"""Filters of independent axes against EmbedFilter at equal width, and what axes are worth: `python -m evals.ica --help`.

Every width and every option stands fixed here; nothing is chosen on the topics that are scored. Controls: axes drawn at random,
singular directions drawn at random, five draws each; for clusters of axes 39 groups of other axes. Writes `filters.json`,
`ablation-*.json`, `clusters-*.json`, `sparsity-*.json` and `match.json` here, which `python -m evals.ica.report` reads.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from evals.ica.report import CONTROLLED
from rarityir.datasets import load_dataset
from rarityir.encoders import load_encoder
from rarityir.ica import ICA, Axes, higher_order, match, spanning_tree, sweep
from rarityir.ica.sparsity import anyhow, curve, principal, turned
from rarityir.ica.sweeping import Judged
from rarityir.measures import compare, evaluate
from rarityir.measures.significance import holm, randomisation
from rarityir.retrieval import Retriever
from rarityir.systems import System
from rarityir.types import Scores

FOLDER = Path(__file__).parent
DATASETS = ("beir/scifact/test", "beir/nfcorpus/test", "cranfield")
DRAWS, AXES = 5, 64
TAUS = ("1.0322", "1.142", "2", "4")  # of 256 directions 248, 224, 128 and 64 are kept
MEASURE = "nDCG@10"
CONTROLS = {name: control for name, (_, control) in CONTROLLED.items()}
CLUSTERS, GROUPS = 10, 39  # groups of other axes that each cluster is held against
FEW, ENTRIES = (1, 2, 5, 10, 20, 50), (8, 16, 64)  # coordinates kept: of 64 axes by themselves, and in an index of 256
OTHER, MATCHED, SHUFFLES = "st:all-minilm-l6-v2", 32, 99


def systems(tau: str) -> dict[str, str]:
    """Rivals and controls at one width, by what the table calls them."""
    drawn = {f"random axes {i}": f"dense+ica-drop:random,tau={tau},draw={i}" for i in range(DRAWS)}
    theirs = {f"random axes of documents {i}": f"dense+ica-drop:random,tau={tau},on=documents,draw={i}" for i in range(DRAWS)}
    directions = {f"random directions {i}": f"dense+random:{tau},seed={i}" for i in range(DRAWS)}
    return {
        "edge": f"dense+edge:{tau}",
        "tail": f"dense+tail:{tau}",
        "ICA-drop": f"dense+ica-drop:rarity,tau={tau}",
        "ICA-drop, axes of documents": f"dense+ica-drop:rarity,tau={tau},on=documents",
        **drawn,
        **theirs,
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
        for kind in (*CONTROLS.values(), "random directions"):
            values[kind] = np.mean([values.pop(f"{kind} {i}") for i in range(DRAWS)], axis=0)
        pairs = [
            (ours, rival)
            for ours, control in CONTROLS.items()
            for rival in ("edge", "tail", control, "random directions", "none")
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


class Collection:
    """A collection's embeddings by the demo model, its topics, and 64 axes of its documents."""

    def __init__(self, name: str, indexes: Path) -> None:
        self.retriever = retriever = Retriever(load_dataset(name), load_encoder("demo"), indexes)
        self.x_ND = np.concatenate(list(retriever.embeddings))
        self.q_QD = retriever.encoder.encode_query(list(retriever.dataset.topics.values()))
        self.axes: Axes = ICA(AXES, 1000, 1e-5, seeds=2).fit(self.x_ND)
        written = np.argsort(-(retriever.encoder.unembedding() @ self.axes.writing.T), axis=0)[:5].T
        tokens = retriever.encoder.tokens()
        self.writes = [[tokens[i] for i in row] for row in written]
        self.ids = list(retriever.dataset.topics), retriever.corpus.doc_ids, retriever.dataset.qrels

    def judged(self) -> Judged:
        return Judged.of(self.axes, self.q_QD, self.x_ND, *self.ids, measure=MEASURE)


def ablation(name: str, indexes: Path) -> dict[str, Any]:
    """What each of 64 axes of a collection's documents is worth, with the tokens it writes."""
    found = Collection(name, indexes)
    swept = sweep(found.judged()).json()
    for effect in swept["effects"]:
        effect["writes"] = found.writes[effect["axes"][0]]
        del effect["drawn"], effect["p_control"]  # none were drawn
    diagnostics = found.axes.diagnostics.json()
    shown = {key: diagnostics[key] for key in ("rows", "n_iter", "converged", "variance_kept", "flags", "stability")}
    return {"dataset": name, "axes": AXES, "diagnostics": shown, **swept}


def clusters(name: str, indexes: Path) -> dict[str, Any]:
    """What clusters of the tree of the same axes are worth, beside as many other axes of like variance."""
    found = Collection(name, indexes)
    tree = spanning_tree(higher_order(found.axes.transform(found.x_ND)))
    swept = sweep(found.judged(), tree.groups(CLUSTERS), directions=0, draws=GROUPS).json()
    for effect in swept["effects"]:
        effect["writes"] = [found.writes[axis][0] for axis in effect["axes"]]
    strongest = sorted(zip(tree.weights.tolist(), tree.edges.tolist(), strict=True), reverse=True)[:5]
    edges = [
        {"h": h, "axes": (two := [int(tree.nodes[i]) for i in edge]), "writes": [found.writes[axis][:3] for axis in two]}
        for h, edge in strongest
    ]
    return {"dataset": name, "axes": AXES, "clusters": CLUSTERS, "edges": edges, **swept}


def sparsity(name: str, indexes: Path) -> dict[str, Any]:
    """Rankings by few coordinates: on ICA, principal and random axes; and as indexes beside dense and tokens, with tests."""
    found = Collection(name, indexes)
    named = {"named": found.ids, "measure": MEASURE}
    alone = curve(found.axes, found.q_QD, found.x_ND, [*FEW, AXES], **named)
    width = found.x_ND.shape[1]
    cut = [f"axes:{p}+{kind}:{width}" for p in ENTRIES for kind in ("ica", "whiten")]
    systems = ["dense", "dense+edge:2", f"dense+whiten:{width}", f"dense+ica:{width}", *cut, *(f"sparse:{p}" for p in ENTRIES)]
    rows = []
    for system in systems:
        run = found.retriever.run(System.parse(system))
        scores = evaluate(run, found.retriever.dataset.qrels, [MEASURE], found.ids[0])
        rows.append(Scores(system, scores.query_ids, scores.values))
    against = {c.system: c for c in compare(rows, "dense", MEASURE)}
    pairs = [(f"axes:{p}+ica:{width}", f"axes:{p}+whiten:{width}") for p in ENTRIES]
    by = {row.system: row.values[MEASURE] for row in rows}
    p = holm([randomisation(by[a] - by[b]) for a, b in pairs])
    return {
        "dataset": name, "curve": alone,
        "systems": [
            {"system": row.system, MEASURE: row.mean(MEASURE)}
            | ({"against": against[row.system].difference, "p": against[row.system].fisher_holm} if row.system in against else {})
            for row in rows
        ],
        "ica_against_whiten": [
            {"p_entries": n, "difference": float((by[a] - by[b]).mean()), "p_holm": q}
            for n, (a, b), q in zip(ENTRIES, pairs, p, strict=True)
        ],
    }  # fmt: skip


def matched(indexes: Path, name: str = "cranfield") -> dict[str, Any]:
    """Which axes of the demo model's documents are which of a sentence encoder's, beside shuffled texts and two demo searches."""
    rows = {}
    for encoder in ("demo", OTHER):
        retriever = Retriever(load_dataset(name), load_encoder(encoder), indexes)
        texts = np.array([bool(doc.text.strip()) for doc in retriever.dataset.docs()])
        rows[encoder] = np.concatenate(list(retriever.embeddings))[texts]
    axes = {encoder: ICA(MATCHED, 1000, 1e-5, seeds=2).fit(x) for encoder, x in rows.items()}
    again = ICA(MATCHED, 1000, 1e-5, seed=7).fit(rows["demo"])
    demo, tokens = load_encoder("demo"), load_encoder("demo").tokens()
    written = np.argsort(-(demo.unembedding() @ axes["demo"].writing.T), axis=0)[:5].T
    both = rows["demo"], rows[OTHER]
    found = match(axes["demo"], axes[OTHER], both, "hungarian", permutations=SHUFFLES)
    rivals = {
        kind: match(*(skewed(turn(axes[encoder]), x) for encoder, x in rows.items()), both, "hungarian").r.tolist()
        for kind, turn in (("principal", principal), ("random", anyhow))
    }
    itself = match(axes["demo"], again, (rows["demo"], rows["demo"]), "hungarian")
    titles = [" ".join(doc.text.split())[:60] for doc in load_dataset(name).docs() if doc.text.strip()]
    s = axes[OTHER].transform(rows[OTHER], normalize=True)
    pairs = found.json()
    for pair in pairs["pairs"]:
        pair["writes"] = [tokens[i] for i in written[pair["a"]]]
        pair["text"] = titles[int(s[:, pair["b"]].argmax())]
    flags = {encoder: list(one.diagnostics.flags) for encoder, one in axes.items()}
    return {
        "dataset": name, "encoders": ["demo", OTHER], "axes": MATCHED, "texts": len(rows["demo"]), "flags": flags, **pairs,
        "rivals": {**rivals, "demo's own, searched again": itself.r.tolist()},
    }  # fmt: skip


def skewed(axes: Axes, x_ND: np.ndarray) -> Axes:
    """Axes each turned so that its long tail is positive, as a search leaves them."""
    s_NK = axes.transform(x_ND)
    return turned(axes, np.diag(np.where((s_NK**3).mean(axis=0) < 0, -1.0, 1.0)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datasets", nargs="+", default=list(DATASETS), help=f"[default: {' '.join(DATASETS)}]")
    parser.add_argument("--taus", nargs="+", default=list(TAUS), help="widths are D/τ")
    parser.add_argument("--indexes", type=Path, default=Path("indexes"), help="where embeddings are kept")
    parser.add_argument("--only", choices=["filters", *PARTS, "match"], help="[default: all]")
    given = parser.parse_args()
    if given.only in (None, "filters"):
        write("filters", [row for name in given.datasets for row in filters(name, given.indexes, tuple(given.taus))])
    for part, of in PARTS.items():
        for name in given.datasets if given.only in (None, part) else ():
            write(f"{part}-{name.split('/')[1] if '/' in name else name}", of(name, given.indexes))
    if given.only in (None, "match"):
        write("match", matched(given.indexes))


PARTS = {"ablation": ablation, "clusters": clusters, "sparsity": sparsity}


def write(name: str, found: Any) -> None:
    """Writes a JSON file here."""
    (FOLDER / f"{name}.json").write_text(json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    print("wrote", name, flush=True)


if __name__ == "__main__":
    main()
