"""Reads a folder on disk: BEIR's layout, or TSV documents and queries with TREC qrels."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from rarityir import store
from rarityir.datasets import reading
from rarityir.datasets.reading import document_text, grade, identifier, intern, lines, records, text_field
from rarityir.types import BadInput, Dataset, Doc, Qrels


def load(folder: Path, split: str = "") -> Dataset:
    """Returns the dataset of a folder; `split` names one of BEIR's `qrels/<split>.tsv` (test where nothing is said)."""
    beir = _first(folder, "corpus.jsonl", "corpus.jsonl.gz")
    if beir:
        return _beir(folder, beir, split)
    tsv = _first(folder, "docs.tsv", "docs.tsv.gz", "collection.tsv", "collection.tsv.gz")
    if tsv and split:
        raise BadInput(f"{folder} holds TSV files, which have no splits; leave out ':{split}'")
    if tsv:
        return _tsv(folder, tsv)
    raise BadInput(f"{folder} holds neither corpus.jsonl (BEIR's layout) nor docs.tsv (doc_id, tab, text)")


def _beir(folder: Path, corpus: Path, split: str) -> Dataset:
    queries = _first(folder, "queries.jsonl", "queries.jsonl.gz")
    if queries is None:
        raise BadInput(f"{folder} holds a corpus but no queries.jsonl")
    splits = {path.stem: path for path in sorted((folder / "qrels").glob("*.tsv"))}
    split = split or ("test" if "test" in splits else next(iter(splits), ""))
    if split not in splits:
        raise BadInput(f"{folder} has no qrels/{split or 'test'}.tsv; splits there: {', '.join(splits) or 'none'}")
    qrels = _beir_qrels(splits[split])
    topics = reading.collect_topics(
        (text_field(r, ("_id", "id"), f"{queries}:{n}"), text_field(r, ("text",), f"{queries}:{n}"), f"{queries}:{n}")
        for n, r in records(queries)
    )
    kept = reading.judged({q: t for q, t in topics.items() if len(splits) == 1 or q in qrels}, qrels, f"{folder}:{split}")
    return _dataset(folder, f"{folder.resolve().name}/{split}", corpus, lambda: _beir_docs(corpus), kept, qrels)


def _beir_docs(path: Path) -> Iterator[Doc]:
    for number, record in records(path):
        where = f"{path}:{number}"
        doc_id = identifier(text_field(record, ("_id", "id", "doc_id"), where), where)
        title = text_field(record, ("title",), where, needed=False)
        yield Doc(doc_id, document_text(title, text_field(record, ("text", "contents"), where)))


def _beir_qrels(path: Path) -> Qrels:
    """Three columns under a header (query-id, corpus-id, score)."""
    qrels: dict[str, dict[str, int]] = {}
    for number, line in lines(path):
        fields = line.split("\t")
        if number == 1 and fields[-1].strip().lower() in ("score", "relevance", "label"):
            continue
        if len(fields) != 3:
            raise BadInput(f"{path}:{number}: {len(fields)} columns instead of BEIR's 3 (query-id, corpus-id, score)")
        query_id, doc_id, relevance = (field.strip() for field in fields)
        qrels.setdefault(query_id, {})[intern(doc_id)] = grade(relevance, f"{path}:{number}")
    return _some(qrels, path)


def _tsv(folder: Path, docs: Path) -> Dataset:
    queries = _first(folder, "queries.tsv", "topics.tsv", "queries.tsv.gz")
    judgments = _first(folder, "qrels.txt", "qrels.trec", "qrels.tsv", "qrels")
    if queries is None or judgments is None:
        raise BadInput(f"{folder} needs queries.tsv (query_id, tab, query) and qrels.txt (TREC's 4 columns) beside {docs.name}")
    qrels = _trec_qrels(judgments)
    topics = reading.collect_topics((*_pair(queries, n, line), f"{queries}:{n}") for n, line in lines(queries))
    name = folder.resolve().name
    return _dataset(folder, name, docs, lambda: _tsv_docs(docs), reading.judged(topics, qrels, name), qrels)


def _tsv_docs(path: Path) -> Iterator[Doc]:
    for number, line in lines(path):
        doc_id, text = _pair(path, number, line)
        yield Doc(identifier(doc_id, f"{path}:{number}"), document_text("", text.replace("\t", " ")))


def _trec_qrels(path: Path) -> Qrels:
    qrels: dict[str, dict[str, int]] = {}
    for number, line in lines(path):
        fields = line.split()
        if len(fields) != 4:
            raise BadInput(f"{path}:{number}: {len(fields)} columns instead of TREC's 4 (query_id 0 doc_id relevance)")
        qrels.setdefault(fields[0], {})[intern(fields[2])] = grade(fields[3], f"{path}:{number}")
    return _some(qrels, path)


def _pair(path: Path, number: int, line: str) -> tuple[str, str]:
    key, tab, text = line.partition("\t")
    if not tab:
        raise BadInput(f"{path}:{number}: no tab between id and text")
    return key.strip(), text


def _dataset(folder: Path, name: str, corpus: Path, docs, topics, qrels) -> Dataset:  # type: ignore[no-untyped-def]
    return Dataset(
        name=name,
        # Two folders of one name are two corpora; the digest in the identity tells when one changes.
        corpus=f"{folder.resolve().name}@{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:8]}",
        identity={"source": corpus.name, "sha256": store.digest_file(corpus)},
        docs=docs,
        topics=topics,
        qrels=qrels,
        drops_query_document=reading.queries_are_documents(folder.resolve().name),
    )


def _first(folder: Path, *names: str) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _some(qrels: dict[str, dict[str, int]], path: Path) -> Qrels:
    if not qrels:
        raise BadInput(f"{path} holds no judgments")
    return qrels
