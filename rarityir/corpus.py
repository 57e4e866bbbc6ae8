"""The documents of a dataset as rows: read once, checked, and numbered for every index over them."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, field
from pathlib import Path

from rarityir import progress, store
from rarityir.systems import slug
from rarityir.types import BadInput, Dataset

log = logging.getLogger(__name__)
TEXT = "title + text, white space as one space"  # the rule datasets make a document's text by


@dataclass(frozen=True)
class Corpus:
    """Row i is the document `doc_ids[i]`; `digest` is the SHA-256 over all ids and texts."""

    folder: Path
    doc_ids: list[str] = field(repr=False)
    digest: str


def prepare(dataset: Dataset, indexes: Path) -> Corpus:
    """Returns the corpus under `indexes/<corpus>`, reading all documents the first time.

    Raises `BadInput` for a doc_id given twice or a corpus without documents; counts empty texts as a warning.
    """
    root = indexes / slug(dataset.corpus)
    folder, facts = root / "documents", {"documents": 0, "empty": 0, "sha256": ""}
    identity = {**dataset.identity, "text": TEXT}
    with store.building(folder, identity, facts) as needed:
        if needed:
            _read(dataset, folder / "doc_ids.txt", facts)
    found = store.manifest(folder, identity)
    assert found is not None  # `building` has just seen to it
    if found["facts"]["empty"]:
        log.warning("%d of %d documents are empty: they are kept as rows", found["facts"]["empty"], found["facts"]["documents"])
    doc_ids = (folder / "doc_ids.txt").read_text(encoding="utf-8").splitlines()
    return Corpus(root, doc_ids, str(found["facts"]["sha256"]))


def check_judged(dataset: Dataset, corpus: Corpus) -> int:
    """Returns how many judged doc_ids the corpus lacks, and says so: they count as relevant but cannot be found."""
    known = set(corpus.doc_ids)
    absent = {doc_id for judged in dataset.qrels.values() for doc_id in judged if doc_id not in known}
    if absent:
        log.warning("%d judged doc_ids are not in the corpus (first: %s): they cannot be found", len(absent), min(absent))
    return len(absent)


def _read(dataset: Dataset, path: Path, facts: dict[str, object]) -> None:
    rows: dict[str, int] = {}
    digest, empty = hashlib.sha256(), 0
    with progress.bar("reading documents", dataset.docs_count) as advance:
        for doc in dataset.docs():
            if doc.doc_id in rows:
                raise BadInput(
                    f"{dataset.name}: duplicate doc_id {doc.doc_id!r} (documents {rows[doc.doc_id] + 1} and {len(rows) + 1})"
                )
            rows[doc.doc_id] = len(rows)
            empty += not doc.text
            digest.update(f"{doc.doc_id}\t{doc.text}\n".encode())
            advance(1)
    if not rows:
        raise BadInput(f"{dataset.name}: the corpus has no documents")
    facts.update(documents=len(rows), empty=empty, sha256=digest.hexdigest())
    store.write_text(path, "\n".join(rows) + "\n")
