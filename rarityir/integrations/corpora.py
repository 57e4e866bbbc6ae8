"""An evaluated system's documents and queries as another engine reads them: `rarityir export MODEL --system S --dataset D`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rarityir import progress, registry, store
from rarityir.doc_ids import IDS
from rarityir.embeddings import identify
from rarityir.indexes.dense import EXACT
from rarityir.indexes.flat import FlatIndex
from rarityir.integrations import bodies, bulk, exports, impacts
from rarityir.retrieval import Retriever
from rarityir.systems import System
from rarityir.types import Floats, Json, MissingExtra, RarityError, UnknownName
from rarityir.vectors import SparseVectors, opened_corpus
from rarityir.vectors.folders import Collection, blocks
from rarityir.vectors.rounding import LEVELS
from rarityir.vectors.writing import text

FILES = {"milvus": "rows.jsonl", "opensearch": "bulk.ndjson", "qdrant": "points.jsonl", "vespa": "feed.jsonl"}
DENSE, SPARSE = ("faiss", "parquet", *FILES), ("parquet", *impacts.KINDS)
KINDS = sorted({*DENSE, *SPARSE})
DOCUMENTS, QUERIES = "documents.parquet", "queries.parquet"
_ROWS = 4096  # documents at a time


def check(kind: str, system: System, out: Path) -> None:
    """Raises what is wrong before anything is encoded: an unknown kind, a system it cannot hold, an `out` that is taken."""
    if kind not in KINDS:
        raise UnknownName(registry.unknown("export of a system", kind, KINDS))
    name, arg = (system.index.name, system.index.arg) if system.index else ("", "")
    if name not in ("dense", "sparse") or (name == "dense" and arg not in EXACT):
        raise RarityError(
            f"{system} holds no vectors to export; give dense or sparse:K with its filters, such as sparse:64+edge:2"
        )
    takers, other = (DENSE, "sparse:64") if name == "dense" else (SPARSE, "dense")
    if kind not in takers:
        raise RarityError(f"{kind} takes no vectors of {name}; export {other}, or to one of: {', '.join(sorted(takers))}")
    exports.check_free(out, kind)


def export(
    kind: str, retriever: Retriever, system: System, out: str | Path, *, levels: int | None = None, cutoff: int = 100
) -> dict[str, Json]:
    """Writes the documents' vectors or impacts of a dense or sparse system, and the topics', and returns facts.

    What is not encoded or indexed yet is. Vectors are filtered and of unit length; impacts are those of the sparse index.

    Args:
        kind: one of `KINDS`; `anserini` takes impacts alone, `faiss` vectors alone.
        levels: for impacts, the whole number that the largest becomes, as in `impacts.rows_for`.
        cutoff: how many documents the requests of `queries.jsonl` ask for.
    """
    out = Path(out)
    check(kind, system, out)
    (folder,) = retriever.index(system)
    ids = list(retriever.dataset.topics)
    asked: Any = retriever.queries(system) if ids else None
    if system.index and system.index.name == "sparse":
        found = opened_corpus(folder, retriever.encoder)
        queries = SparseVectors(ids, asked) if ids else None
        if kind == "parquet":
            return _table(found, queries, retriever, system, out)
        about = _facts(retriever, system)
        if kind == "anserini":
            return impacts.anserini(found, out, levels=levels or LEVELS, queries=queries, about=about)
        return impacts.rows_for(kind, found, out, levels=levels, queries=queries, cutoff=cutoff, about=about)
    x_NK = FlatIndex.open(folder).vectors
    with exports.written(out, kind) as (temporary, facts):
        facts.update(_facts(retriever, system), documents=len(x_NK), dim=x_NK.shape[1])
        _WRITERS.get(kind, _rows)(kind, retriever, x_NK, ids, asked, temporary, cutoff)
    return dict(facts)


def _rows(kind: str, retriever: Retriever, x_NK: Floats, ids: list[str], asked: Any, folder: Path, cutoff: int) -> None:
    """A database's rows, its settings, and a request for each topic."""
    doc_ids = retriever.corpus.doc_ids
    with text(folder / FILES[kind]) as file:
        for first, x_BK in _blocks(x_NK):
            for row, x_K in enumerate(_digits(x_BK), start=first):
                for line in bodies.document(kind, row, doc_ids[row], x_K):
                    file.write(json.dumps(line, ensure_ascii=False) + "\n")
    if kind == "milvus":
        bulk.write(folder / FILES[kind], x_NK.shape[1])
    store.write_lines(folder / IDS, doc_ids)
    if ids:
        pairs = zip(ids, _digits(asked), strict=True)
        requests = ((query_id, bodies.dense_query(kind, x_K, cutoff)) for query_id, x_K in pairs)
        impacts.write_requests(folder / impacts.QUERIES, requests)
    impacts.write_settings(folder, bodies.settings(kind, x_NK.shape[1]))


def _faiss(kind: str, retriever: Retriever, x_NK: Floats, ids: list[str], asked: Any, folder: Path, cutoff: int) -> None:
    """An exact index in memory, `index`, and its ids, `docid`: what Pyserini's `FaissSearcher` opens; queries as `.npy`."""
    import faiss

    index = faiss.IndexFlatIP(x_NK.shape[1])
    for _, x_BK in _blocks(x_NK):
        index.add(np.ascontiguousarray(x_BK))
    with store.replacing(folder / "index") as temporary:
        faiss.write_index(index, str(temporary))
    store.write_lines(folder / "docid", retriever.corpus.doc_ids)
    if ids:
        with store.replacing(folder / "queries.npy") as temporary, temporary.open("wb") as file:
            np.save(file, asked)
        store.write_lines(folder / "query_ids.txt", ids)


def _parquet(kind: str, retriever: Retriever, x_NK: Floats, ids: list[str], asked: Any, folder: Path, cutoff: int) -> None:
    """Tables of id and emb: float16 where that is how embeddings are stored."""
    arrow, parquet = _pyarrow()
    half = identify(retriever.corpus, retriever.encoder).get("store_dtype") == "float16"
    width = x_NK.shape[1]
    schema = arrow.schema([("id", arrow.string()), ("emb", arrow.list_(arrow.float16() if half else arrow.float32(), width))])

    def batch(names: Sequence[str], x_BK: Floats) -> Any:
        flat = np.ascontiguousarray(x_BK, np.float16 if half else np.float32).ravel()
        emb = arrow.FixedSizeListArray.from_arrays(arrow.array(flat), width)
        return arrow.record_batch([arrow.array(names, arrow.string()), emb], schema=schema)

    doc_ids = retriever.corpus.doc_ids
    with parquet.ParquetWriter(folder / DOCUMENTS, schema, compression="none", use_dictionary=False) as writer:
        for first, x_BK in _blocks(x_NK):
            writer.write_batch(batch(doc_ids[first : first + len(x_BK)], x_BK))
    if ids:
        with parquet.ParquetWriter(folder / QUERIES, schema, compression="none", use_dictionary=False) as writer:
            writer.write_batch(batch(ids, asked))


_WRITERS = {"faiss": _faiss, "parquet": _parquet}


def _table(found: Collection, queries: SparseVectors | None, retriever: Retriever, system: System, out: Path) -> dict[str, Json]:
    """Tables of id, tokens and weights."""
    arrow, parquet = _pyarrow()
    columns = [("id", arrow.string()), ("tokens", arrow.list_(arrow.string())), ("weights", arrow.list_(arrow.float32()))]
    schema, names = arrow.schema(columns), np.array(found.tokens, object)

    def batch(ids: Sequence[str], block: Any) -> Any:
        spans = arrow.array(block.indptr, arrow.int32())
        tokens = arrow.ListArray.from_arrays(spans, arrow.array(names[block.token_ids], arrow.string()))
        weights = arrow.ListArray.from_arrays(spans, arrow.array(block.values, arrow.float32()))
        return arrow.record_batch([arrow.array(ids, arrow.string()), tokens, weights], schema=schema)

    with exports.written(out, "parquet") as (folder, facts):
        with parquet.ParquetWriter(folder / DOCUMENTS, schema) as writer:
            first = 0
            for block in blocks(found.index):
                count = len(block.indptr) - 1
                writer.write_batch(batch(found.doc_ids[first : first + count], block))
                first += count
        if queries:
            with parquet.ParquetWriter(folder / QUERIES, schema) as writer:
                writer.write_batch(batch(queries.ids, queries.impacts))
        facts.update(_facts(retriever, system), documents=found.index.documents, tokens=found.index.vocabulary)
    return dict(facts)


def _facts(retriever: Retriever, system: System) -> dict[str, Json]:
    """What the vectors were made of."""
    fitted = retriever.filter(system.filters)
    identity = identify(retriever.corpus, retriever.encoder)
    return {"system": str(system), "made_of": identity, "filter": fitted.digest if fitted else None}


def _blocks(x_NK: Floats) -> Iterator[tuple[int, Floats]]:
    """The vectors some at a time, with the first one's row."""
    with progress.bar("writing documents", len(x_NK)) as advance:
        for first in range(0, len(x_NK), _ROWS):
            x_BK = np.asarray(x_NK[first : first + _ROWS])
            yield first, x_BK
            advance(len(x_BK))


def _digits(x_BK: Floats) -> Iterator[list[float]]:
    """Each row's numbers with no more digits than float32 needs."""
    for row in x_BK.tolist():
        yield [float(f"{value:.9g}") for value in row]


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingExtra("Parquet needs pyarrow: pip install 'rarityir[parquet]'") from None
    return pyarrow, pyarrow.parquet
