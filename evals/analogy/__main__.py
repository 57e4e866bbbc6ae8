"""Makes what is kept beside this file.

    python -m evals.analogy named WORK QUESTIONS.txt CTD.tsv
    python -m evals.analogy offset WORK scifact nfcorpus cranfield

`named` reads Google's analogy questions and the drugs and genes of the Comparative Toxicogenomics Database, and scores each as
`rarityir analogy eval` does. `offset` learns on training topics, chooses clusters and scale there (leaving out each topic, and
also all that share a relevant document with it), and tests on test topics; Cranfield, which has one set of topics, is halved.
WORK holds what may be thrown away.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from rarityir import load_dataset, load_encoder
from rarityir.analogy.offsets import Judged, learn, tune
from rarityir.cli import main as rarityir
from rarityir.indexes.topk import pad, topk
from rarityir.measures import compare, evaluate
from rarityir.retrieval import Retriever
from rarityir.runs import Run
from rarityir.systems import System
from rarityir.types import Dataset, Scores

HERE = Path(__file__).parent
MEASURES = ["nDCG@10", "R@100", "AP"]
SCALES, CLUSTERS = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5), (1, 4, 16, 64)
TOPICS = {
    "scifact": ("beir/scifact/train", "beir/scifact/test"),
    "nfcorpus": ("beir/nfcorpus/train", "beir/nfcorpus/test"),
    "cranfield": ("cranfield", "cranfield"),
}
NEW, SEEN = "no relevant document is a training topic's", "some are"


def write(name: str, facts: object) -> None:
    (HERE / name).write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def topics(name: str) -> tuple[Dataset, Dataset]:
    """Training topics and test topics of a collection."""
    train, test = map(load_dataset, TOPICS[name])
    if train.name != test.name:
        return train, test
    order = np.random.default_rng(0).permutation(sorted(train.topics)).tolist()
    halves = [set(order[::2]), set(order[1::2])]
    one, two = (
        replace(
            train,
            topics={q: text for q, text in train.topics.items() if q in half},
            qrels={q: found for q, found in train.qrels.items() if q in half},
        )
        for half in halves
    )
    return one, two


def popular(train: Dataset, test: Dataset, doc_ids: list[str]) -> Run:
    """Documents by how many training topics they are relevant for."""
    at = {doc_id: row for row, doc_id in enumerate(doc_ids)}
    counts = np.zeros(len(doc_ids))
    for found in train.qrels.values():
        for doc_id, grade in found.items():
            counts[at[doc_id]] += grade > 0 and doc_id in at
    best = topk(counts, 1000, floor=0.0)
    return Run.from_hits("popularity", tuple(test.topics), doc_ids, pad([best] * len(test.topics), 1000))


def chosen(grid: dict[tuple[int, float], float]) -> tuple[int, float]:
    """The best of a grid; of equal ones the fewest clusters and the smallest scale."""
    return max(grid, key=lambda at: (grid[at], -at[0], -at[1]))


def variants(grids: dict[str, dict[tuple[int, float], float]]) -> dict[str, dict]:
    """Every offset that is tested, by its name: those chosen on training topics, plain ones, and controls."""
    found: dict[str, dict] = {"offset": {}, "16 clusters": {"clusters": 16}, "type-mean": {"scheme": "type-mean"}}
    for control in ("random", "shuffled", "unjudged"):
        found[control] = {"control": control}
        found[f"{control}, 16 clusters"] = {"control": control, "clusters": 16}
    for way, grid in grids.items():
        one = chosen({at: value for at, value in grid.items() if at[0] == 1})
        for clusters, scale in dict.fromkeys((one, chosen(grid))):
            how = {"clusters": clusters, "scale": scale}
            found[f"{clusters} clusters, scale {scale:g} (chosen, {way} left out)"] = how
            for control in ("shuffled", "random"):
                found[f"{control}, {clusters} clusters, scale {scale:g}"] = {**how, "control": control}
    return found


def table(rows: list[Scores], names: list[str]) -> dict[str, dict]:
    """Each row's means and its paired tests against the first, corrected by Holm's rule over rows."""
    tests = {name: {c.system: c for c in compare(rows, rows[0].system, name)} for name in names}
    found: dict[str, dict] = {}
    for row in rows:
        found[row.system] = {}
        for name in names:
            found[row.system][name] = {"mean": round(row.mean(name), 4)}
            if test := tests[name].get(row.system):
                p = {"p": round(test.fisher, 5), "p_holm": round(test.fisher_holm, 5)}
                found[row.system][name] |= {"difference": round(test.difference, 4), **p}
    return found


def apart(rows: list[Scores], learner: Dataset, asker: Dataset) -> dict[str, dict]:
    """The rows on topics none of whose relevant documents is a training topic's, and on the others."""
    seen = {d for found in learner.qrels.values() for d, grade in found.items() if grade > 0}
    ids = list(rows[0].query_ids)
    new = np.array([not any(d in seen for d, grade in asker.qrels[q].items() if grade > 0) for q in ids])
    found: dict[str, dict] = {}
    for what, kept in ((NEW, new), (SEEN, ~new)):
        found[what] = {"topics": int(kept.sum())}
        if kept.sum() > 1:
            part = [
                Scores(row.system, [q for q, k in zip(ids, kept, strict=True) if k], {m: row.values[m][kept] for m in MEASURES})
                for row in rows
            ]
            found[what]["rows"] = table(part, MEASURES[:1])
    return found


def offset(work: Path, name: str) -> None:
    train, test = topics(name)
    encoder = load_encoder("demo")
    learner, asker = (Retriever(dataset, encoder, work / "indexes") for dataset in (train, test))
    result: dict[str, object] = {
        "train": train.name, "test": test.name, "encoder": "demo", "pooling": "mean", "seed": 0,
        "left_out": "nDCG@10 on training topics",
    }  # fmt: skip
    systems: dict[str, dict] = {}
    for filters in ("", "+edge:2"):
        plain = System.parse("dense" + filters)
        judged = Judged.of(learner, plain)
        grids: dict[str, dict[tuple[int, float], float]] = {}
        for way, left in (("topic", "query"), ("sharing topics", "shared")):
            grids[way] = {}
            for clusters in CLUSTERS:
                scores = tune(learner, plain, judged, SCALES, clusters=clusters, measure=MEASURES[0], leave_out=left)
                grids[way] |= {(clusters, scale): round(one.mean(MEASURES[0]), 4) for scale, one in scores.items()}
            print(name, plain, way, "chosen", chosen(grids[way]), grids[way][chosen(grids[way])], flush=True)
        runs = {"none": asker.run(plain), "popularity": popular(train, test, list(asker.corpus.doc_ids))}
        norms = {}
        for variant, how in variants(grids).items():
            learned = learn(judged, **how)
            norms[variant] = learned.learned_on["norms"][:4]
            folder = learned.save(work / "offsets" / re.sub(r"[^\w.]+", "-", f"{name}{filters}-{variant}"))
            runs[variant] = asker.run(System.parse(f"dense:offset={folder}{filters}"))
        rows = []
        for variant, run in runs.items():
            found = evaluate(run, test.qrels, MEASURES, list(test.topics))
            rows.append(Scores(variant, found.query_ids, found.values))
        systems[str(plain)] = {
            "topics": judged.facts["topics"],
            "pairs": judged.facts["pairs"],
            "left_out": {w: {f"{c} clusters, scale {s:g}": v for (c, s), v in g.items()} for w, g in grids.items()},
            "norms": norms,
            "test": table(rows, MEASURES),
            "apart": apart(rows, train, test),
        }
        if not filters:
            clusters, scale = chosen(grids["sharing topics"])
            where = work / "offsets" / f"{name}-gain"
            learn(judged, clusters=clusters, scale=scale).save(where)
            gain(name, where, test.name, work)
        for row in rows:
            print(f"  {row.system:50}", *(f"{row.mean(m):.4f}" for m in MEASURES), flush=True)
        write(f"offset-{name}.json", {**result, "systems": systems})


def gain(name: str, where: Path, dataset: str, work: Path) -> None:
    """What the chosen clusters gain, one by one; of a collection that was halved, on all its topics."""
    words = ["analogy", "gain", str(where), "--dataset", dataset, "--indexes", str(work / "indexes"), "--json"]
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        status = rarityir([*words, "--picture", str(HERE / f"gain-{name}.svg")])
    if status:
        raise SystemExit(status)
    found = json.loads(out.getvalue())
    write(f"gain-{name}.json", {key: value for key, value in found.items() if key not in ("offset", "picture")})


def named(work: Path, questions: Path, drugs: Path) -> None:
    work.mkdir(parents=True, exist_ok=True)
    found, kind = [], ""
    for line in questions.read_text(encoding="utf-8").splitlines():
        if line.startswith(":"):
            kind = line[1:].strip()
        else:
            one, other, three, four = line.split()
            found += [(one, other, kind), (three, four, kind)]
    tables = {"google": [("word", "answer", "kind"), *dict.fromkeys(found)]}
    with drugs.open(encoding="utf-8", newline="") as file:
        rows = [
            (row["id"], [gene for gene in row["pos_rel_genes"].split(",") if gene])
            for row in csv.DictReader(file, delimiter="\t")
        ]
    few = sorted((drug, genes) for drug, genes in rows if 0 < len(genes) <= 20)
    drawn = [few[at] for at in np.sort(np.random.default_rng(0).permutation(len(few))[:1500])]
    tables["drug-gene"] = [("drug", "gene"), *((drug, gene) for drug, genes in drawn for gene in genes)]
    for name, table_ in tables.items():
        (work / f"{name}.tsv").write_text("\n".join(map("\t".join, table_)) + "\n", encoding="utf-8")
    google, group = ["--pairs", str(work / "google.tsv")], ["--group-col", "kind"]
    for vectors in ("", "tokens:input", "tokens:output"):
        how = ["--vectors", vectors, "--encoder", "demo"] if vectors else []
        tag = vectors.replace("tokens:", "-")
        for setting in ("G", "P1"):
            grouped = group if setting == "P1" else []
            drawn = setting == "P1" and vectors != "tokens:output"
            draw = ["--pictures", str(HERE / f"google{tag}-{setting}")] if drawn else []
            say(*google, *grouped, *how, *draw, "--setting", setting, "--out", HERE / f"google{tag}-{setting}.json")
    for name, reverse in (("drug-gene", []), ("gene-drug", ["--reverse"])):
        pairs = ["--pairs", work / "drug-gene.tsv", "--vectors", "random:300", *reverse]
        say(*pairs, "--out", HERE / f"{name}-random.json")


def say(*words: object) -> None:
    print("rarityir analogy eval", *words, flush=True)
    if status := rarityir(["analogy", "eval", *map(str, words)]):
        raise SystemExit(status)


def main() -> None:
    part, work, rest = sys.argv[1], Path(sys.argv[2]), sys.argv[3:]
    if part == "named":
        named(work, Path(rest[0]), Path(rest[1]))
    else:
        for name in rest:
            offset(work, name)


if __name__ == "__main__":
    main()
