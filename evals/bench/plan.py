"""A plan against the work itself: a hundredth of MS MARCO's passages, planned by `--dry-run`, then evaluated, step by step.

88,418 passages of 56 words in the mean, as MS MARCO's are (BEIR, Table 1), made of the sentences of Cranfield, and of NFCorpus
and SciFact where they are on this machine, under 70 of their topics. The demo model reads them. Takes about a quarter of an hour
on two cores; RARITYIR_BENCH_PASSAGES makes fewer, RARITYIR_BENCH_FOLDER keeps them.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evals.bench.goals import about
from rarityir.datasets.outline import outline
from rarityir.types import RarityError

PASSAGES, TOPICS, WORDS = int(os.environ.get("RARITYIR_BENCH_PASSAGES", "88418")), 70, 56
SYSTEMS = "bm25,dense,dense+edge:2,sparse:64"
GOALS = {"in all, planned / measured": about(1, 0.25)}


def bench() -> dict[str, float | str]:
    with tempfile.TemporaryDirectory(prefix="rarityir-plan-") as name:
        place = Path(os.environ.get("RARITYIR_BENCH_FOLDER", name)).absolute()
        if not (place / "slice").is_dir():
            write(place / "slice", PASSAGES)
        work = Path(name) / "work"
        work.mkdir(parents=True)
        planned = json.loads(_run([*_eval(place / "slice"), "--dry-run", "--json"], work)[0])
        print(f"  planned: {planned['seconds']:,.0f} s", flush=True)
        _, seconds = _run([*_eval(place / "slice"), "--json"], work)
        return compared(planned, measured(work), seconds)


def compared(planned: dict[str, Any], done: dict[str, float], seconds: float) -> dict[str, float | str]:
    """Returns planned and measured seconds of each step that was timed, and of all, with their ratio."""
    steps = {step["name"]: step["seconds"] for step in planned["steps"]}
    found: dict[str, float | str] = {"passages": planned["documents"], "tokens": planned["tokens"]}
    for name, took in {**done, "in all": seconds}.items():
        expected = planned["seconds"] if name == "in all" else steps[name]
        found[f"{name}, planned s"], found[f"{name}, measured s"] = expected, took
        found[f"{name}, planned / measured"] = expected / took
    return found


def measured(work: Path) -> dict[str, float]:
    """Returns the seconds of an evaluation's steps: what the manifests say of building, and the report of searching."""
    built = {path.parent: json.loads(path.read_text())["facts"] for path in (work / "indexes").rglob("manifest.json")}
    took = {folder.name: facts["build_seconds"] for folder, facts in built.items()}
    (report,) = (work / "evals").glob("*/report.json")
    encoded = took["embeddings"]
    for row in json.loads(report.read_text())["systems"]:
        name = row["name"]
        took[name] = row["build_seconds"] - (encoded if name != "bm25" else 0.0) + TOPICS / row["qps"]
    return {name: took[name] for name in ("documents", "embeddings", *SYSTEMS.split(","))}


def write(folder: Path, count: int) -> None:
    """Writes the passages, the topics and a judgment each as a folder in BEIR's layout."""
    rng, sentences, topics = random.Random(0), list(_sentences()), list(_topics())
    (folder / "qrels").mkdir(parents=True)
    with (folder / "corpus.jsonl").open("w") as file:
        for i in range(count):
            length, words = max(8, round(rng.gauss(WORDS - 11.5, 22))), []
            while len(words) < length:
                words += rng.choice(sentences).split()
            file.write(json.dumps({"_id": str(i), "title": "", "text": " ".join(words)}) + "\n")
    chosen = rng.sample(topics, TOPICS)
    (folder / "queries.jsonl").write_text("".join(json.dumps({"_id": f"q{i}", "text": t}) + "\n" for i, t in enumerate(chosen)))
    rows = [f"q{i}\t{rng.randrange(count)}\t1" for i in range(TOPICS)]
    (folder / "qrels" / "test.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *rows]) + "\n")


def _here() -> Iterator[Any]:
    for name in ("cranfield", "nfcorpus", "scifact"):
        try:
            dataset = outline(name)
            next(dataset.docs())
        except RarityError:
            continue
        yield dataset


def _sentences() -> Iterator[str]:
    for dataset in _here():
        for doc in dataset.docs():
            yield from (part.strip() + "." for part in doc.text.split(". ") if 3 <= len(part.split()) <= 40)


def _topics() -> Iterator[str]:
    for dataset in _here():
        yield from (" ".join(text.split()[:6]) for text in dataset.topics.values())


def _eval(folder: Path) -> list[str]:
    return ["eval", "--dataset", str(folder), "--encoder", "demo", "--systems", SYSTEMS, "--measures", "nDCG@10,RR@10,R@1000"]


def _run(arguments: list[str], work: Path) -> tuple[str, float]:
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-m", "rarityir", *arguments], cwd=work, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout, time.monotonic() - started
