"""Any ir_datasets id, lazily: topics and qrels when loaded, documents when iterated (this module owns ir_datasets)."""

from __future__ import annotations

import logging
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from lzma import LZMAError
from os.path import isfile
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from rarityir import registry
from rarityir.datasets import reading
from rarityir.datasets.aliases import ALIASES
from rarityir.types import BadInput, Dataset, Doc, RarityError, UnknownName

log = logging.getLogger(__name__)
_BROKEN = (
    OSError,
    RuntimeError,
    ValueError,
    KeyError,
    ImportError,
    EOFError,
    BadZipFile,
    zlib.error,
    LZMAError,
)


def load(name: str) -> Dataset:
    """Returns the dataset of an ir_datasets id. Downloads what is missing from where ir_datasets finds it."""
    import ir_datasets

    # Its notes and bars are kept for a terminal whose user asked for them; downloads still show theirs there.
    if log.getEffectiveLevel() > logging.INFO:
        ir_datasets.log.easy().logger().setLevel(logging.WARNING)
    try:
        source = ir_datasets.load(name)
    except KeyError:
        if isfile(name):
            raise BadInput(f"{name} is a file; a dataset is a folder: give {_home(Path(name))}") from None
        known = {*ALIASES, "cranfield", *ir_datasets.registry}
        raise UnknownName(registry.unknown("dataset", name, known) if name.strip() else "a dataset needs a name") from None
    if not source.has_docs():
        raise RarityError(f"{name} has no documents in ir_datasets")
    corpus = ir_datasets.docs_parent_id(name)
    with _readable(name):
        pairs = ((q.query_id, _query_text(q), name) for q in source.queries_iter()) if source.has_queries() else ()
        topics = reading.collect_topics(pairs)
        qrels: dict[str, dict[str, int]] = {}
        for q in source.qrels_iter() if source.has_qrels() else ():
            qrels.setdefault(sys.intern(q.query_id), {})[sys.intern(q.doc_id)] = int(q.relevance)
        count = _count(ir_datasets.load(corpus))
    return Dataset(
        name=name,
        corpus=corpus,
        identity={"source": f"ir_datasets:{corpus}", "documents": count},
        docs=lambda: _docs(name, source),
        topics=reading.judged(topics, qrels, name),
        qrels=qrels,
        docs_count=count,
        drops_query_document=reading.queries_are_documents(corpus.partition("beir/")[2]),
    )


def _home(path: Path) -> Path:
    """The folder that a file of a dataset is in, of its splits the one above."""
    return path.parent.parent if path.parent.name == "qrels" else path.parent


def _docs(name: str, source: Any) -> Iterator[Doc]:
    with _readable(name):
        for doc in source.docs_iter():
            yield Doc(reading.identifier(doc.doc_id, name), _document_text(doc))


def _document_text(doc: Any) -> str:
    if hasattr(doc, "title") and hasattr(doc, "text"):
        return reading.document_text(doc.title or "", doc.text or "")
    return reading.document_text("", doc.default_text() or "")


def _query_text(query: Any) -> str:
    return str(query.default_text() if hasattr(query, "default_text") else query.text)


def _count(source: Any) -> int | None:
    """The documents' count from ir_datasets' own metadata, so that nothing is read; None where it has none."""
    found = source.metadata().get("docs", {}).get("count")
    return None if found is None else int(found)


@contextmanager
def _readable(name: str) -> Iterator[None]:
    """Turns whatever a download or a parser raises into one line that says what to do."""
    try:
        yield
    except RarityError:
        raise
    except _BROKEN as error:
        raise RarityError(
            f"{name} cannot be read ({_reason(error)}); check the network, or place its files under IR_DATASETS_HOME"
        ) from error


def _reason(error: BaseException) -> str:
    """The first line of what went wrong: of several servers, with the last, which is the mirror where there is one."""
    told = error.args[1] if len(error.args) == 2 else None
    if isinstance(told, list) and told and isinstance(told[-1][-1], Exception):
        error = told[-1][-1]
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    # ir_datasets looks at no status: the page that says 404 or 429 is a file of another checksum to it.
    return f"its server sent an error page, half a file or another one: {reason}" if reason.startswith("Expected md5") else reason
