"""The Cranfield collection that ships inside the package, so that the default run needs no network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rarityir import store
from rarityir.datasets import reading
from rarityir.types import Dataset, Doc

NAME = "cranfield"
HOME = Path(__file__).parent.parent / "demo" / "cranfield"


def cranfield() -> Dataset:
    """Returns the Cranfield collection: 1,400 abstracts, 225 queries, 1,837 judgments (see `demo/cranfield/README.md`)."""
    docs, queries, qrels = (HOME / f"{part}.jsonl.gz" for part in ("docs", "queries", "qrels"))
    relevance: dict[str, dict[str, int]] = {}
    for _, record in reading.records(qrels):
        relevance.setdefault(record["query_id"], {})[record["doc_id"]] = record["relevance"]
    topics = {record["query_id"]: " ".join(record["text"].split()) for _, record in reading.records(queries)}
    return Dataset(
        name=NAME,
        corpus=NAME,
        identity={"source": "rarityir:cranfield", "documents": 1400, "sha256": store.digest_file(docs)},
        docs=lambda: _docs(docs),
        topics=topics,
        qrels=relevance,
        docs_count=1400,
    )


def _docs(path: Path) -> Iterator[Doc]:
    for _, record in reading.records(path):
        yield Doc(record["doc_id"], reading.document_text(record["title"], record["text"]))
