"""The rules every source of documents shares: one text per document, and what is wrong with a line."""

from __future__ import annotations

import gzip
import hashlib
import logging
import sys
import zlib
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from rarityir import parsing
from rarityir.types import BadInput, Dataset, Json, Qrels, RarityError, Topics

LONGEST = 1 << 26  # bytes of a line
log = logging.getLogger(__name__)


def document_text(title: str, text: str) -> str:
    """Returns the one text of a document: title + " " + text, with every run of white space as one space."""
    return " ".join(f"{title} {text}".split())


def queries_are_documents(collection: str) -> bool:
    """Returns whether a collection's queries are documents of the same id, which must not find themselves (BEIR's rule)."""
    return collection.lower().removeprefix("nano-").startswith(("arguana", "quora"))


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yields (line number, line) of a UTF-8 file, plain or gzipped, without line ends; blank lines are passed over."""
    if not path.exists():
        raise BadInput(f"no file {path}")
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        for number, raw in enumerate(_unzipped(file, path), start=1):
            if len(raw) >= LONGEST:
                raise BadInput(f"{path}:{number}: a line of more than {LONGEST >> 20} MiB; is this file what its name says?")
            try:
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
            except UnicodeDecodeError as error:
                raise BadInput(
                    f"{path}:{number}: byte {error.start} is not UTF-8; convert the file first (iconv -t UTF-8)"
                ) from None
            if line.strip():
                yield number, line


def _unzipped(file: Any, path: Path) -> Iterator[bytes]:
    """The lines of a file, none longer than is read: a small gzip file may hold one of any length."""
    try:
        yield from iter(partial(file.readline, LONGEST), b"")
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise BadInput(f"{path} is not a whole gzip file ({error}); compress or download it again") from None


def records(path: Path) -> Iterator[tuple[int, dict[str, Json]]]:
    """Yields (line number, object) of a JSON-lines file."""
    for number, line in lines(path):
        try:
            record = parsing.loads(line)
        except ValueError as error:
            raise BadInput(f"{path}:{number}: not JSON ({error})") from None
        if not isinstance(record, dict):
            raise BadInput(f"{path}:{number}: a JSON object per line is needed, this is a {type(record).__name__}")
        yield number, record


def text_field(record: dict[str, Json], names: Iterable[str], where: str, *, needed: bool = True) -> str:
    """Returns the first of the named fields as text; a needed one that is absent is a `BadInput`."""
    for name in names:
        value = record.get(name)
        if value is not None:
            if isinstance(value, dict | list):
                raise BadInput(f"{where}: field {name!r} must be text, it is a {type(value).__name__}")
            try:
                return str(value).encode().decode()
            except UnicodeEncodeError:
                raise BadInput(f"{where}: field {name!r} holds half of a surrogate pair, which is no character") from None
    if needed:
        raise BadInput(f"{where}: no field {' or '.join(map(repr, names))}")
    return ""


def identifier(value: str, where: str) -> str:
    """Returns an id that can stand in a TREC run: not empty, no white space."""
    if not value or value.split() != [value]:
        raise BadInput(f"{where}: id {value!r} is empty or holds white space, which TREC runs cannot carry")
    return value


def grade(value: str, where: str) -> int:
    """Returns a relevance grade; TREC's integers only."""
    try:
        return int(value)
    except ValueError:
        raise BadInput(f"{where}: relevance {value!r} is not an integer") from None


def collect_topics(pairs: Iterable[tuple[str, str, str]]) -> Topics:
    """Returns topics from (query_id, query, where) triples; a query_id given twice is an error, empty ones are counted."""
    topics: dict[str, str] = {}
    for query_id, query, where in pairs:
        if identifier(query_id, where) in topics:
            raise BadInput(f"{where}: duplicate query_id {query_id!r}")
        topics[query_id] = " ".join(query.split())
    warn_count(sum(not query for query in topics.values()), "empty query", "nothing useful can be found for it")
    return topics


def judged(topics: Topics, qrels: Qrels, name: str) -> Topics:
    """Returns the topics that have judgments, in order, and counts those left out on either side as warnings.

    Topics without a relevant document are counted too, where there are others; what measures calls `check_measurable`.
    """
    kept = {query_id: topics[query_id] for query_id in topics if qrels.get(query_id)}
    if qrels:
        if not kept:
            raise BadInput(f"{name}: no query has a judgment; do queries and qrels use the same query_ids?")
        warn_count(len(topics) - len(kept), f"query without judgments in {name}", "left out of the evaluation")
        warn_count(sum(q not in topics for q in qrels), f"judged query without a text in {name}", "left out")
        bare = sum(all(grade < 1 for grade in qrels[query_id].values()) for query_id in kept)
        warn_count(bare % len(kept), f"query without a relevant document in {name}", "every measure of it is 0")
        return kept
    return topics


def check_measurable(dataset: Dataset) -> None:
    """Raises `RarityError` for a collection by which nothing can be measured: not judged, or without a relevant document."""
    if not dataset.qrels:
        raise RarityError(f"{dataset.name} has no judgments, so nothing can be measured; use rarityir search for runs")
    if all(grade < 1 for query_id in dataset.topics for grade in dataset.qrels.get(query_id, {}).values()):
        raise BadInput(f"{dataset.name}: no query has a relevant document, every grade is below 1; are these the right qrels?")


def topics_sha256(dataset: Dataset) -> str:
    """Returns the SHA-256 of what a dataset asks, by which one evaluation is told from another."""
    found = hashlib.sha256()
    for query_id, text in dataset.topics.items():
        found.update(f"{query_id}\t{text}\n".encode())
    return found.hexdigest()


def qrels_sha256(dataset: Dataset) -> str:
    """Returns the SHA-256 of what is judged of a dataset's topics, whatever the order of a topic's documents."""
    found = hashlib.sha256()
    for query_id in dataset.topics:
        for doc_id, grade in sorted(dataset.qrels.get(query_id, {}).items()):
            found.update(f"{query_id} 0 {doc_id} {grade}\n".encode())
    return found.hexdigest()


def warn_count(count: int, what: str, consequence: str) -> None:
    """Logs a counted warning, or nothing for zero."""
    if count:
        first, _, rest = what.partition(" ")
        many = f"{first} {rest}" if count == 1 else f"{_plural(what)}"
        log.warning("%d %s: %s", count, many, consequence)


def intern(text: str) -> str:
    """Returns the one copy of an id that stands in many judgments."""
    return sys.intern(text)


def _plural(what: str) -> str:
    head, gap, tail = what.partition(" ")
    if head == "judged":
        noun, gap2, tail2 = tail.partition(" ")
        return f"{head} {_plural(noun)}{gap2}{tail2}"
    if head == "empty":
        return f"{head} {_plural(tail)}"
    return f"{head[:-1]}ies{gap}{tail}" if head.endswith("y") else f"{head}s{gap}{tail}"
