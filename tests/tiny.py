"""A tiny judged collection, and how to write one in BEIR's layout."""

from __future__ import annotations

import json
import os
from pathlib import Path

# Real collections in ir_datasets' layout; the tests that need them are skipped where the folder is not there.
COLLECTIONS = Path(os.environ.get("RARITYIR_TEST_COLLECTIONS", Path(__file__).parents[2] / "shared" / "data" / "irds_home"))

STORIES = Path(__file__).parent / "models" / "stories260K"

STORIES_DOCS = {
    "d1": ("The cat", "The black cat sat on the mat and looked at the big red ball."),
    "d2": ("The dog", "A little dog ran to the park and found a shiny stone near the tree."),
    "d3": ("", "Lily and Tom went to the beach. They made a castle from the sand."),
    "d4": ("The bird", "The bird sang a happy song in the tree. The sun was warm."),
    "d5": ("Rain", "It started to rain. Mom said we must go home now and drink warm milk."),
    "d6": ("The ball", "Tom lost his red ball. The dog found the ball under the car."),
}
STORIES_QUERIES = {"q1": "red ball", "q2": "bird song in the tree", "q3": "sand castle at the beach"}
STORIES_QRELS = {"q1": {"d1": 1, "d6": 2}, "q2": {"d4": 2, "d2": 0}, "q3": {"d3": 1}}


def write_beir(folder: Path, docs=STORIES_DOCS, queries=STORIES_QUERIES, qrels=STORIES_QRELS) -> Path:
    """Writes a BEIR folder."""
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"_id": i, "title": title, "text": text}) for i, (title, text) in docs.items()]
    (folder / "corpus.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "queries.jsonl").write_text("".join(json.dumps({"_id": i, "text": t}) + "\n" for i, t in queries.items()))
    rows = [f"{q}\t{d}\t{r}" for q, judged in qrels.items() for d, r in judged.items()]
    (folder / "qrels" / "test.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *rows]) + "\n")
    return folder
