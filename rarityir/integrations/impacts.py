"""A sparse index as Anserini's JSON vectors and as the rows that vector databases take: `rarityir sparse export`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from rarityir import progress, registry, store
from rarityir.doc_ids import IDS
from rarityir.integrations import bodies, bulk, exports
from rarityir.types import Impacts, Json, RarityError, UnknownName
from rarityir.vectors import Collection, SparseVectors, write_sparse
from rarityir.vectors.folders import blocks, write_tokens
from rarityir.vectors.rounding import LEVELS, Rounding, escaped, whole_queries
from rarityir.vectors.writing import rows, text

LONGEST = 255  # characters of a term: Lucene's tokenizer of white space cuts longer ones
FIELD = bodies.TOKENS  # the field, or vector, that holds the weights
QUERIES = "queries.jsonl"
Weights = Mapping[int, float]


class Form(NamedTuple):
    """How a database takes documents: the file, and the lines of a document from row, doc_id, weights and terms."""

    file: str
    lines: Callable[[int, str, Weights, Sequence[str]], list[Json]]
    whole: bool  # whether weights are rounded unless told otherwise


def _qdrant(row: int, doc_id: str, weights: Weights, terms: Sequence[str]) -> list[Json]:
    vector = {"indices": list(weights), "values": list(weights.values())}
    return [{"id": row, "vector": {FIELD: vector}, "payload": {"doc_id": doc_id}}]


def _milvus(row: int, doc_id: str, weights: Weights, terms: Sequence[str]) -> list[Json]:
    return [{"id": row, "doc_id": doc_id, FIELD: weights}] if weights else []  # it takes no vector without a weight


def _bulk(row: int, doc_id: str, weights: Weights, terms: Sequence[str]) -> list[Json]:
    return [{"index": {"_id": doc_id}}, {FIELD: {terms[token]: weight for token, weight in weights.items()}}]


def _vespa(row: int, doc_id: str, weights: Weights, terms: Sequence[str]) -> list[Json]:
    return [{"put": f"id:{bodies.NAME}:{bodies.NAME}::{doc_id}", "fields": {"doc_id": doc_id, FIELD: weights}}]


FORMS = {
    "elasticsearch": Form("bulk.ndjson", _bulk, True),
    "milvus": Form("rows.jsonl", _milvus, False),
    "opensearch": Form("bulk.ndjson", _bulk, True),
    "qdrant": Form("points.jsonl", _qdrant, False),
    "vespa": Form("feed.jsonl", _vespa, True),
}
KINDS = ("anserini", *FORMS)


def check(kind: str, out: Path) -> None:
    """Raises `UnknownName` for an unknown kind, `RarityError` if `out` holds anything but an earlier export of it."""
    if kind not in KINDS:
        raise UnknownName(registry.unknown("export", kind, KINDS))
    exports.check_free(out, kind)


def anserini(
    collection: Collection,
    out: str | Path,
    *,
    levels: int = LEVELS,
    numbered: bool = False,
    rows_as_ids: bool = False,
    queries: SparseVectors | None = None,
    about: Mapping[str, Json] | None = None,
) -> dict[str, Json]:
    """Writes `corpus/documents.jsonl` for Anserini's `JsonVectorCollection` and returns what was lost.

    Index it with `-impact -pretokenized` (`rarityir.integrations.anserini.index`), then Lucene ranks as a `SparseIndex` of the
    same whole numbers does, as long as no score is above 2^24, float32's last whole number. Equal scores it orders by doc_id as
    text; with `rows_as_ids` an id is its row in ten digits, so ties too are as ours, and `doc_ids.txt` tells the ids.

    Args:
        levels: what the largest impact becomes; Lucene reads a pseudo-text with each term as often as it weighs.
        numbered: tokens are `t0`, `t1`, … instead of their names, escaped as `vectors.rounding.escaped` does; a name of more
            than 255 characters is a `RarityError` without it.
        queries: written to `queries.jsonl` beside it, in whole weights.
        about: what else `export.json` is to say.
    """
    terms = _terms(collection.tokens, numbered=numbered)
    rounding = Rounding(collection.index, levels)
    ids = [f"{row:010d}" for row in range(len(collection.doc_ids))] if rows_as_ids else collection.doc_ids
    with exports.written(Path(out), "anserini") as (folder, facts):
        parts = (SparseVectors(ids[at : at + len(block.indptr) - 1], rounding(block)) for at, block in _blocks(collection))
        write_sparse(folder / "corpus" / "documents.jsonl", parts, terms)
        if queries:
            write_sparse(folder / QUERIES, [SparseVectors(queries.ids, whole_queries(queries.impacts))], terms)
        store.write_lines(folder / IDS, collection.doc_ids)
        write_tokens(folder, collection.tokens)
        facts.update(
            {**(about or {}), **_facts(collection)}, **rounding.facts(), terms="t0, t1, …" if numbered else "escaped names"
        )
        facts["ties"] = "by row" if all(one < other for one, other in pairwise(ids)) else "by doc_id as text"
    return dict(facts)


def queries_as_terms(queries: Impacts, tokens: Sequence[str], *, numbered: bool = False) -> list[dict[str, int]]:
    """Returns queries as Lucene takes them: whole weights (`vectors.rounding.whole_queries`) by the terms of `anserini`."""
    terms = _terms(tokens, numbered=numbered)
    asked = rows(whole_queries(queries))
    return [{terms[token]: int(weight) for token, weight in zip(*query, strict=True)} for query in asked]


def rows_for(
    kind: str,
    collection: Collection,
    out: str | Path,
    *,
    levels: int | None = None,
    queries: SparseVectors | None = None,
    cutoff: int = 100,
    about: Mapping[str, Json] | None = None,
) -> dict[str, Json]:
    """Writes a database's rows as JSON lines, the settings of a collection, and returns facts.

    Weights are impacts as they are stored, n/255 of a document's largest; with `levels`, and for Elasticsearch and OpenSearch,
    which keep 9 bits of a weight, and Vespa, which keeps whole ones, whole numbers of one unit. Indices are token ids:
    `tokens.txt` names them. Of each of the `queries`, `queries.jsonl` holds the request for `cutoff` documents;
    `about` is what else `export.json` is to say.
    """
    check(kind, Path(out))
    form = FORMS[kind]
    terms = [escaped(name) for name in collection.tokens]
    rounding = Rounding(collection.index, levels or LEVELS) if levels or form.whole else None
    with exports.written(Path(out), kind) as (folder, facts):
        with text(folder / form.file) as file:
            for at, block in _blocks(collection):
                for row, (tokens, values) in enumerate(rows(rounding(block) if rounding else block), start=at):
                    weights = dict(zip(tokens, values, strict=True))
                    for line in form.lines(row, collection.doc_ids[row], weights, terms):
                        file.write(json.dumps(line, ensure_ascii=False) + "\n")
        if kind == "milvus":
            bulk.write(folder / form.file)
        store.write_lines(folder / IDS, collection.doc_ids)
        write_tokens(folder, collection.tokens)
        if queries:
            _requests(kind, queries, terms, cutoff, folder / QUERIES)
        write_settings(folder, bodies.settings(kind))
        facts.update({**(about or {}), **_facts(collection)}, **(rounding.facts() if rounding else {}))
    return dict(facts)


def write_settings(folder: Path, files: Mapping[str, Json]) -> None:
    """Writes what `bodies.settings` gives."""
    for name, content in files.items():
        (store.write_text if isinstance(content, str) else store.write_json)(folder / name, content)


def write_requests(path: Path, requests: Iterable[tuple[str, Json]]) -> None:
    """Writes the request of each query, `{"query_id": …, "body": …}` a line."""
    with text(path) as file:
        for query_id, body in requests:
            file.write(json.dumps({"query_id": query_id, "body": body}, ensure_ascii=False) + "\n")


def _requests(kind: str, queries: SparseVectors, terms: Sequence[str], cutoff: int, path: Path) -> None:
    asked = whole_queries(queries.impacts) if kind == "vespa" else queries.impacts
    weights = (dict(zip(*query, strict=True)) for query in rows(asked))
    pairs = zip(queries.ids, weights, strict=True)
    write_requests(path, ((query_id, bodies.sparse_query(kind, query, terms, cutoff)) for query_id, query in pairs))


def _blocks(collection: Collection) -> Iterator[tuple[int, Impacts]]:
    """Blocks of impacts with the row each begins at."""
    at = 0
    with progress.bar("writing documents", len(collection.doc_ids)) as advance:
        for block in blocks(collection.index):
            yield at, block
            at += len(block.indptr) - 1
            advance(len(block.indptr) - 1)


def _terms(tokens: Sequence[str], *, numbered: bool) -> list[str]:
    if numbered:
        return [f"t{token}" for token in range(len(tokens))]
    terms = [escaped(name) for name in tokens]
    longest = max(terms, key=_length, default="")
    if _length(longest) > LONGEST:
        raise RarityError(
            f"token {longest[:40]!r}… has {_length(longest)} characters, a Lucene term {LONGEST}; number the tokens (--numbered)"
        )
    return terms


def _length(term: str) -> int:
    """Characters as Java counts them: one beyond the first 65,536 is two."""
    return len(term.encode("utf-16-le")) // 2


def _facts(collection: Collection) -> dict[str, Json]:
    index = collection.index
    return {"documents": index.documents, "tokens": index.vocabulary, "postings": index.postings}
