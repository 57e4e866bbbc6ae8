"""A sparse index as Anserini's JSON vectors and as the rows that vector databases take: `rarityir sparse export`."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from rarityir import __version__, progress, registry, store
from rarityir.integrations import exports
from rarityir.types import Impacts, Json, RarityError, UnknownName
from rarityir.vectors import Collection, SparseVectors, write_sparse
from rarityir.vectors.folders import blocks, write_lines
from rarityir.vectors.rounding import LEVELS, Rounding, escaped, whole_queries
from rarityir.vectors.writing import rows, text

LONGEST = 255  # characters of a term: Lucene's tokenizer of white space cuts longer ones
FIELD = "tokens"  # the field, or vector, that holds the weights
Weights = Mapping[int, float]


class Form(NamedTuple):
    """How a database takes documents: the file, the lines of a document from row, doc_id, weights and terms, its settings."""

    file: str
    lines: Callable[[int, str, Weights, Sequence[str]], list[Json]]
    whole: bool  # whether weights are rounded unless told otherwise
    settings: Json


def _qdrant(row: int, doc_id: str, weights: Weights, terms: Sequence[str]) -> list[Json]:
    vector = {"indices": list(weights), "values": list(weights.values())}
    return [{"id": row, "vector": {FIELD: vector}, "payload": {"doc_id": doc_id}}]


def _milvus(row: int, doc_id: str, weights: Weights, terms: Sequence[str]) -> list[Json]:
    return [{"id": row, "doc_id": doc_id, FIELD: weights}]


def _bulk(row: int, doc_id: str, weights: Weights, terms: Sequence[str]) -> list[Json]:
    return [{"index": {"_id": doc_id}}, {FIELD: {terms[token]: weight for token, weight in weights.items()}}]


def _mapping(kind: str) -> Json:
    return {"mappings": {"properties": {FIELD: {"type": kind}}}}


FORMS = {
    "elasticsearch": Form("bulk.ndjson", _bulk, True, _mapping("sparse_vector")),
    "milvus": Form("rows.jsonl", _milvus, False, None),
    "opensearch": Form("bulk.ndjson", _bulk, True, _mapping("rank_features")),
    "qdrant": Form("points.jsonl", _qdrant, False, {"sparse_vectors": {FIELD: {}}}),
}
KINDS = ("anserini", *FORMS)


def check(kind: str, out: Path) -> None:
    """Raises `UnknownName` for an unknown kind, `RarityError` if `out` holds anything but an earlier export of it."""
    if kind not in KINDS:
        raise UnknownName(registry.unknown("export", kind, KINDS))
    exports.check_free(out, kind)


def anserini(
    collection: Collection, out: str | Path, *, levels: int = LEVELS, numbered: bool = False, rows_as_ids: bool = False
) -> dict[str, Json]:
    """Writes `corpus/documents.jsonl` for Anserini's `JsonVectorCollection` and returns what was lost.

    Index it with `-impact -pretokenized` (`rarityir.integrations.anserini.index`), then Lucene ranks as a `SparseIndex` of the
    same whole numbers does, as long as no score is above 2^24, float32's last whole number. Equal scores it orders by doc_id as
    text; with `rows_as_ids` an id is its row in ten digits, so ties too are as ours, and `doc_ids.txt` tells the ids.

    Args:
        levels: what the largest impact becomes; Lucene reads a pseudo-text with each term as often as it weighs.
        numbered: tokens are `t0`, `t1`, … instead of their names, escaped as `vectors.rounding.escaped` does; a name of more
            than 255 characters is a `RarityError` without it.
    """
    terms = _terms(collection.tokens, numbered=numbered)
    rounding = Rounding(collection.index, levels)
    ids = [f"{row:010d}" for row in range(len(collection.doc_ids))] if rows_as_ids else collection.doc_ids
    with _folder(Path(out), "anserini") as (folder, facts):
        parts = (SparseVectors(ids[at : at + len(block.indptr) - 1], rounding(block)) for at, block in _blocks(collection))
        write_sparse(folder / "corpus" / "documents.jsonl", parts, terms)
        write_lines(folder, collection.doc_ids, collection.tokens)
        facts.update(_facts(collection), **rounding.facts(), terms="t0, t1, …" if numbered else "escaped names")
        facts["ties"] = "by row" if ids == sorted(ids) else "by doc_id as text"
    return dict(facts)


def queries_as_terms(queries: Impacts, tokens: Sequence[str], *, numbered: bool = False) -> list[dict[str, int]]:
    """Returns queries as Lucene takes them: whole weights (`vectors.rounding.whole_queries`) by the terms of `anserini`."""
    terms = _terms(tokens, numbered=numbered)
    asked = rows(whole_queries(queries))
    return [{terms[token]: int(weight) for token, weight in zip(*query, strict=True)} for query in asked]


def rows_for(kind: str, collection: Collection, out: str | Path, *, levels: int | None = None) -> dict[str, Json]:
    """Writes a database's rows as JSON lines, and `settings.json` where it has any, and returns facts.

    Weights are impacts as they are stored, n/255 of a document's largest; with `levels`, and for Elasticsearch and OpenSearch,
    which keep 9 bits of a weight, whole numbers of one unit. Indices are token ids: `tokens.txt` names them.
    """
    check(kind, Path(out))
    form = FORMS[kind]
    terms = [escaped(name) for name in collection.tokens]
    rounding = Rounding(collection.index, levels or LEVELS) if levels or form.whole else None
    with _folder(Path(out), kind) as (folder, facts):
        with text(folder / form.file) as file:
            for at, block in _blocks(collection):
                for row, (tokens, values) in enumerate(rows(rounding(block) if rounding else block), start=at):
                    weights = dict(zip(tokens, values, strict=True))
                    for line in form.lines(row, collection.doc_ids[row], weights, terms):
                        file.write(json.dumps(line, ensure_ascii=False) + "\n")
        write_lines(folder, collection.doc_ids, collection.tokens)
        if form.settings is not None:
            store.write_json(folder / "settings.json", form.settings)
        facts.update(_facts(collection), **(rounding.facts() if rounding else {}))
    return dict(facts)


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


@contextmanager
def _folder(out: Path, kind: str) -> Iterator[tuple[Path, dict[str, Json]]]:
    """Gives a temporary folder and facts to fill; when the block ends well it gets its card and takes the name."""
    exports.check_free(out, kind)
    out = out.resolve()
    temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    facts: dict[str, Json] = {}
    try:
        yield temporary, facts
        store.write_json(temporary / exports.CARD, {"export": kind, **facts, "rarityir": __version__})
        if out.exists():
            shutil.rmtree(out)
        os.replace(temporary, out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
