"""`milvus:bm25`, `milvus:bm25:k1=1.2,b=0.75`: BM25 as Milvus counts it, of the terms that Lucene finds (extra `milvus`).

Milvus Lite splits words and does no more: it passes over the stemmer that it is asked for. So texts and queries are sent as the
terms of Anserini's English analyser with spaces between, to Lite and to a cluster alike, and what differs from `bm25` is what
Milvus makes of terms: lengths are counted in full there, where Lucene keeps them in a byte.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rarityir import store
from rarityir.indexes import java
from rarityir.indexes.bm25 import BM25Index
from rarityir.indexes.engines import FACTS, Form, Ranking, address, answered, arrived, facts_of, limited, on_disk
from rarityir.indexes.milvus import MILVUS, ROW, SERVER, VECTOR, Collection
from rarityir.types import Hits, Ints, Json, Takes

_TERMS, _MOST = "terms", 65_535  # bytes of a text that Milvus takes
_AT_ONCE = 512
log = logging.getLogger(__name__)


class TextCollection(Collection):
    """A collection of Milvus: rows, each with its terms, which Milvus counts; `settings` are k1 and b."""

    settings: tuple[float, float] = (0.9, 0.4)

    def _fields(self, schema: Any, milvus: Any) -> None:
        kinds, split = milvus.DataType, "standard" if self._path else "whitespace"  # Lite has no other for words
        schema.add_field(_TERMS, kinds.VARCHAR, max_length=_MOST, enable_analyzer=True, analyzer_params={"tokenizer": split})
        schema.add_field(VECTOR, kinds.SPARSE_FLOAT_VECTOR)
        counted = {"input_field_names": [_TERMS], "output_field_names": [VECTOR]}
        schema.add_function(milvus.Function(name="bm25", function_type=milvus.FunctionType.BM25, **counted))

    def _index(self) -> tuple[str, str, dict[str, Any]]:
        k1, b = self.settings
        return "SPARSE_INVERTED_INDEX", "BM25", {"bm25_k1": k1, "bm25_b": b}

    def insert_terms(self, rows: Sequence[int], texts: Sequence[str]) -> None:
        """Adds documents."""
        self._send([{ROW: row, _TERMS: text} for row, text in zip(rows, texts, strict=True)])

    def search_terms(self, texts: Sequence[str], depth: int) -> Iterator[Ranking]:
        """Returns rows and scores of each query's best. Lite says scores below zero, a cluster above."""
        for rows, scores in self._asked(list(texts), depth, "BM25", {"drop_ratio_search": 0.0}):
            yield rows, np.abs(scores)


class MilvusBM25:
    """BM25 of Milvus as an index of texts; k1 and b are stored with it."""

    takes: Takes = "text"

    def key(self, arg: str) -> str:
        """Returns `milvus:bm25` with k1 and b."""
        return "milvus:bm25:k1={k1:g},b={b:g}".format(**BM25Index.settings(arg))

    def version(self) -> str:
        """Returns what else the stored form depends on: Anserini's terms, Milvus' release, and its server."""
        return f"terms of {java.jar().stem}, {MILVUS.version()}"

    @property
    def elsewhere(self) -> bool:
        """Whether a server holds what is built, and keeps it when the folder is removed."""
        return bool(address(SERVER))

    def exact(self, arg: str) -> str:
        """Returns the index of the same terms, whose results Milvus' are measured against."""
        return f"bm25:{arg}" if arg else "bm25"

    def build(self, arg: str, blocks: Iterable[Sequence[str]], folder: Path) -> dict[str, Json]:
        """Gives Milvus the documents' terms, which come in row order, and returns their facts."""
        settings = BM25Index.settings(arg)
        rows = given = sent = shortened = 0
        held = MILVUS.begun(TextCollection, folder, Form())
        held.settings = settings["k1"], settings["b"]
        try:
            for block in blocks:
                found = [(rows + i, " ".join(terms)) for i, terms in enumerate(java.analysed(block)) if terms]
                for start in range(0, len(found), _AT_ONCE):  # a document without terms can be no hit
                    part = found[start : start + _AT_ONCE]
                    texts = [_fitting(text) for _, text in part]
                    held.insert_terms([row for row, _ in part], texts)
                    shortened += sum(len(a) < len(b) for a, (_, b) in zip(texts, part, strict=True))
                    sent += sum(len(text.encode()) for text in texts)
                rows, given = rows + len(block), given + len(found)
            arrived(MILVUS, held.finish(), given)
        finally:
            held.close()
        if shortened:
            log.warning("documents with more terms than the %d bytes that Milvus takes: %d; the rest is cut", _MOST, shortened)
        store.write_json(folder / FACTS, {"documents": rows, "width": 0})
        return {"dim": None, "bytes_per_doc": on_disk(folder, sent, rows)}

    def open(self, arg: str, folder: Path) -> TextHeld:
        """Opens what was built."""
        return TextHeld(MILVUS.opened(TextCollection, folder, Form()), facts_of(folder)["documents"])


class TextHeld:
    """Documents' terms in Milvus, to be searched."""

    takes: Takes = "text"

    def __init__(self, held: TextCollection, documents: int) -> None:
        self._held, self.documents = held, documents
        weakref.finalize(self, held.close)

    def search(self, queries: Sequence[str], cutoff: int) -> Hits:
        """Returns the best `cutoff` rows of each query text; a query without known terms finds nothing."""
        asked = [_fitting(" ".join(terms)) for terms in java.analysed(queries)]
        filled = np.flatnonzero([bool(text) for text in asked])
        limit = limited(MILVUS, cutoff, self.documents)

        def ask(numbers: Ints, depth: int) -> Iterator[Ranking]:
            for start in range(0, len(numbers), _AT_ONCE):
                part = filled[numbers[start : start + _AT_ONCE]]
                yield from self._held.search_terms([asked[number] for number in part], depth)

        return answered(ask, filled, len(asked), cutoff, limit)


def _fitting(text: str) -> str:
    """As many whole terms of a text as Milvus takes."""
    cut = text.encode()[: _MOST + 1]
    return text if len(cut) <= _MOST else cut[: cut.rindex(b" ") if b" " in cut else _MOST].decode(errors="ignore")


BM25 = MilvusBM25()
