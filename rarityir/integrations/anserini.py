"""Indexes Anserini's JSON vectors with Lucene and searches them as Pyserini's `LuceneImpactSearcher` does, without its start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rarityir.indexes import java
from rarityir.machine import cores
from rarityir.types import RarityError


def index(corpus: str | Path, out: str | Path, threads: int = 1) -> Path:
    """Indexes a folder of JSON vectors (`-impact -pretokenized`) and returns `out`; documents without tokens drop out."""
    autoclass = java.classes()
    argv = ["-collection", "JsonVectorCollection", "-generator", "DefaultLuceneDocumentGenerator", "-impact", "-pretokenized"]
    places = ["-input", str(Path(corpus).absolute()), "-index", str(Path(out).absolute()), "-threads", str(threads), "-quiet"]
    with java.asking(f"Lucene could not index {corpus}", "give the command again"):
        autoclass("io.anserini.index.IndexCollection").main([*argv, *places])
    return Path(out)


class ImpactSearcher:
    """Anserini's `SimpleImpactSearcher`, which is what `LuceneImpactSearcher(folder, encoder, min_idf=-1)` calls.

    Equal scores come in the order of doc_ids as text (code points). Its scores of equals are lowered by 1e-6 each, which float32
    cannot hold above 30 or so: keep the order, not the scores.
    """

    def __init__(self, folder: str | Path) -> None:
        autoclass = java.classes()
        with java.asking(f"Lucene cannot open {folder}", "index the vectors again"):
            self._searcher: Any = autoclass("io.anserini.search.SimpleImpactSearcher")(str(Path(folder).absolute()))

    def search(self, queries: Sequence[Mapping[str, int]], cutoff: int) -> list[list[tuple[str, float]]]:
        """Returns (doc_id, score) of each query of terms and whole weights, best first; another weight is a `RarityError`."""
        autoclass = java.classes()
        maps, integer, lists = autoclass("java.util.HashMap"), autoclass("java.lang.Integer"), autoclass("java.util.ArrayList")
        asked, names = lists(), lists()
        for number, query in enumerate(queries):
            terms = maps()
            for term, weight in query.items():
                if weight != int(weight):
                    raise RarityError(f"term {term!r} weighs {weight}, which Lucene would cut to {int(weight)}; round it first")
                terms.put(term, integer(int(weight)))
            asked.add(terms)
            names.add(str(number))
        with java.asking("Lucene could not search", "index the vectors again"):
            found = self._searcher.batch_search(asked, names, cutoff, cores())
        return [[(hit.docid, float(hit.score)) for hit in found.get(str(number)) or ()] for number in range(len(queries))]
