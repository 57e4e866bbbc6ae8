"""The documents of a dataset as rows: read once, checked, and numbered for every index over them."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, field
from pathlib import Path

from rarityir import progress, store
from rarityir.doc_ids import DocIds, writing
from rarityir.systems import slug
from rarityir.types import BadInput, Dataset, Json

log = logging.getLogger(__name__)
FORM = 2  # of the files that doc_ids are kept in
TEXT = "title + text, white space as one space"  # the rule datasets make a document's text by


@dataclass(frozen=True)
class Corpus:
    """Row i is the document `doc_ids[i]`; `digest` is the SHA-256 over all ids and texts."""

    folder: Path
    doc_ids: DocIds = field(repr=False, compare=False)  # the digest says as much
    digest: str


def prepare(dataset: Dataset, indexes: Path) -> Corpus:
    """Returns the corpus under `indexes/<corpus>`, reading all documents the first time.

    Raises `BadInput` for a doc_id given twice or a corpus without documents; counts empty texts as a warning.
    """
    root = indexes / slug(dataset.corpus)
    folder, facts = root / "documents", {"documents": 0, "empty": 0, "sha256": ""}
    identity = identify(dataset)
    with store.building(folder, identity, facts, resumes=False) as needed:
        if needed:
            _read(dataset, folder, facts)
    found = store.opened(folder, identity)
    if found["facts"]["empty"]:
        log.warning("%d of %d documents are empty: they are kept as rows", found["facts"]["empty"], found["facts"]["documents"])
    return Corpus(root, DocIds(folder), str(found["facts"]["sha256"]))


def check_judged(dataset: Dataset, corpus: Corpus) -> int:
    """Returns how many judged doc_ids the corpus lacks, and says so: they count as relevant but cannot be found."""
    judged = {doc_id for relevance in dataset.qrels.values() for doc_id in relevance}
    absent = judged - corpus.doc_ids.rows(judged).keys()
    if absent:
        log.warning("%d judged doc_ids are not in the corpus (first: %s): they cannot be found", len(absent), min(absent))
    return len(absent)


def identify(dataset: Dataset) -> dict[str, Json]:
    """Returns what the documents kept of a dataset depend on."""
    return {**dataset.identity, "text": TEXT, "form": FORM}


def _read(dataset: Dataset, folder: Path, facts: dict[str, object]) -> None:
    digest, count, empty = hashlib.sha256(), 0, 0
    with progress.bar("reading documents", dataset.docs_count) as advance, writing(folder) as take:
        for doc in dataset.docs():
            take(doc.doc_id)
            count += 1
            empty += not doc.text
            digest.update(f"{doc.doc_id}\t{doc.text}\n".encode())
            advance(1)
        if not count:
            raise BadInput(f"{dataset.name}: the corpus has no documents")
    twice = DocIds(folder).repeated()
    if twice:
        first, second = twice
        raise BadInput(f"{dataset.name}: duplicate doc_id {DocIds(folder)[first]!r} (documents {first + 1} and {second + 1})")
    facts.update(documents=count, empty=empty, sha256=digest.hexdigest())
