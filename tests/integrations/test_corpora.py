"""A system's documents and queries in the forms of other engines: loaded where the engine runs here, else computed by hand."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import rarityir as ri
from rarityir.cli.exporting import export as command
from rarityir.indexes.postings import SparseIndex
from rarityir.integrations import bodies, corpora
from rarityir.retrieval import Retriever
from rarityir.systems import System
from rarityir.types import MissingExtra, RarityError, UnknownName
from rarityir.vectors.rounding import Rounding, whole_queries

SPARSE, DENSE = "sparse:16,query=both:4,weights=idf+edge:2", "dense+edge:2"


@pytest.fixture
def source(beir, stories, tmp_path) -> Retriever:
    return Retriever(ri.load_dataset(str(beir)), ri.load_encoder(stories), tmp_path / "indexes")


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "out"


def lines(path: Path) -> list:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def exact(source: Retriever, name: str) -> list[list[tuple[str, float]]]:
    rows, scores = source.search(System.parse(name)).hits
    ids = source.corpus.doc_ids
    return [
        [(ids[row], score) for row, score in zip(*one, strict=True) if row >= 0]
        for one in zip(rows.tolist(), scores.tolist(), strict=True)
    ]


def check(found: list[list[tuple[str, float]]], source: Retriever, name: str) -> None:
    for ours, theirs in zip(exact(source, name), found, strict=True):
        assert [doc_id for doc_id, _ in theirs] == [doc_id for doc_id, _ in ours]
        np.testing.assert_allclose([score for _, score in theirs], [score for _, score in ours], rtol=1e-5, atol=1e-6)
        assert ours


@pytest.mark.parametrize("name", [SPARSE, DENSE])
def test_milvus_takes_settings_rows_and_requests_and_ranks_as_we_do(name, source, out, tmp_path) -> None:
    pymilvus = pytest.importorskip("pymilvus")
    pytest.importorskip("milvus_lite")
    corpora.export("milvus", source, System.parse(name), out)
    settings = json.loads((out / "settings.json").read_text())
    client = pymilvus.MilvusClient(str(tmp_path / "m.db"))
    schema = client.create_schema(auto_id=settings["schema"]["autoId"], enable_dynamic_field=False)
    kinds = {
        "Int64": pymilvus.DataType.INT64,
        "VarChar": pymilvus.DataType.VARCHAR,
        "FloatVector": pymilvus.DataType.FLOAT_VECTOR,
        "SparseFloatVector": pymilvus.DataType.SPARSE_FLOAT_VECTOR,
    }
    for field in settings["schema"]["fields"]:
        more = {key: int(value) for key, value in field.get("elementTypeParams", {}).items()}
        schema.add_field(field["fieldName"], kinds[field["dataType"]], is_primary=field.get("isPrimary", False), **more)
    indexes = client.prepare_index_params()
    for index in settings["indexParams"]:
        indexes.add_index(index["fieldName"], index_type=index["indexType"], metric_type=index["metricType"])
    client.create_collection(settings["collectionName"], schema=schema, index_params=indexes)
    rows = lines(out / "rows.jsonl")
    client.insert(settings["collectionName"], [_numbered(row) for row in rows])
    found = []
    for request in lines(out / "queries.jsonl"):
        body = request["body"]
        assert body["collectionName"] == settings["collectionName"]
        [data] = [_numbered({"tokens": vector})["tokens"] for vector in body["data"]]
        given = {"anns_field": body["annsField"], "limit": body["limit"], "output_fields": body["outputFields"]}
        [hits] = client.search(body["collectionName"], [data], **given, search_params={"metric_type": "IP"})
        found.append([(hit["entity"]["doc_id"], hit["distance"]) for hit in hits])
    check(found, source, name)
    client.close()
    from milvus_lite.server_manager import server_manager_instance

    server_manager_instance.release_server(str(tmp_path / "m.db"))


@pytest.mark.parametrize("name", [SPARSE, DENSE])
def test_milvus_can_import_the_same_rows_in_bulk(name, source, out) -> None:
    """Column types are those of Milvus' own example of a bulk import: int64, text, a list of float, or JSON text."""
    parquet = pytest.importorskip("pyarrow.parquet")
    corpora.export("milvus", source, System.parse(name), out)
    fields = {field["fieldName"] for field in json.loads((out / "settings.json").read_text())["schema"]["fields"]}
    table = parquet.read_table(out / "rows.parquet")
    field = "tokens" if name == SPARSE else "embedding"
    kinds = {"id": "int64", "doc_id": "string", field: "string" if name == SPARSE else "list<element: float>"}
    assert {column.name: str(column.type) for column in table.schema} == kinds
    assert {*kinds} == fields
    rows, expected = table.to_pylist(), lines(out / "rows.jsonl")
    assert len(rows) == len(expected) > 0
    for row, line in zip(rows, expected, strict=True):
        assert (row["id"], row["doc_id"]) == (line["id"], line["doc_id"])
        if name == SPARSE:
            assert json.loads(row["tokens"]) == line["tokens"]
        else:
            np.testing.assert_array_equal(np.float32(row["embedding"]), np.float32(line["embedding"]))


def _numbered(row: dict) -> dict:
    """JSON's keys are text; the Python client wants numbers."""
    if isinstance(row.get("tokens"), dict):
        return {**row, "tokens": {int(token): weight for token, weight in row["tokens"].items()}}
    return row


@pytest.mark.parametrize("name", [SPARSE, DENSE])
def test_qdrant_takes_settings_points_and_requests_and_ranks_as_we_do(name, source, out) -> None:
    models = pytest.importorskip("qdrant_client.models")
    client = pytest.importorskip("qdrant_client").QdrantClient(":memory:")
    corpora.export("qdrant", source, System.parse(name), out)
    settings = models.CreateCollection(**json.loads((out / "settings.json").read_text()))
    given = {"vectors_config": settings.vectors or {}, "sparse_vectors_config": settings.sparse_vectors}
    client.create_collection("documents", **given)
    client.upsert("documents", [models.PointStruct(**point) for point in lines(out / "points.jsonl")])
    found = []
    for request in lines(out / "queries.jsonl"):
        request["body"].pop("params", None)  # the client's brute force is exact, and warns of those it does not heed
        body = models.QueryRequest(**request["body"])
        given = {"query": body.query, "using": body.using, "limit": body.limit, "with_payload": body.with_payload}
        points = client.query_points("documents", **given).points
        found.append([(point.payload["doc_id"], point.score) for point in points])
    check(found, source, name)


def added_up(kind: str, out: Path) -> list[list[tuple[str, float]]]:
    """What an engine that does as its request says would rank: whole weights, so sums are exact."""
    documents = {}
    if kind == "vespa":
        for line in lines(out / "feed.jsonl"):
            assert line["put"] == f"id:documents:documents::{line['fields']['doc_id']}"
            documents[line["fields"]["doc_id"]] = line["fields"]["tokens"]
    else:
        body = lines(out / "bulk.ndjson")
        documents = {a["index"]["_id"]: b["tokens"] for a, b in zip(body[::2], body[1::2], strict=True)}
    found = []
    for request in lines(out / "queries.jsonl"):
        body = request["body"]
        if kind == "vespa":
            head, _, rest = body["yql"].partition("dotProduct(tokens, ")
            assert head == "select doc_id from documents where "
            weights, cutoff = json.loads(rest.removesuffix(")")), body["hits"]
        elif kind == "elasticsearch":
            asked = body["query"]["sparse_vector"]
            assert (asked["field"], asked["prune"]) == ("tokens", False)
            weights, cutoff = asked["query_vector"], body["size"]
        else:
            should = [clause["rank_feature"] for clause in body["query"]["bool"]["should"]]
            assert all(clause["linear"] == {} for clause in should)
            weights, cutoff = {clause["field"].removeprefix("tokens."): clause["boost"] for clause in should}, body["size"]
        scores = {d: sum(w * tokens[t] for t, w in weights.items() if t in tokens) for d, tokens in documents.items()}
        ranked = sorted((pair for pair in scores.items() if pair[1] > 0), key=lambda pair: -pair[1])
        found.append(ranked[:cutoff])
    return found


@pytest.mark.parametrize("kind", ["vespa", "elasticsearch", "opensearch"])
def test_requests_of_engines_that_are_not_here_add_up_to_our_ranking(kind, source, out) -> None:
    system = System.parse(SPARSE)
    facts = corpora.export(kind, source, system, out, cutoff=4)
    index = SparseIndex.load(source.index(system)[0])
    whole = Rounding(index)(index.impacts(0, index.documents))
    assert facts["unit"] == Rounding(index).unit
    queries = source.queries(system)
    if kind == "vespa":
        queries = whole_queries(queries)
        assert all(isinstance(w, int) for line in lines(out / "feed.jsonl") for w in line["fields"]["tokens"].values())
    rows, scores = SparseIndex.build(whole).search(queries, 4)
    for ours, mine, theirs in zip(rows.tolist(), scores.tolist(), added_up(kind, out), strict=True):
        wanted = [source.corpus.doc_ids[row] for row in ours if row >= 0]
        assert [doc_id for doc_id, _ in theirs] == wanted != []
        np.testing.assert_allclose([score for _, score in theirs], mine[: len(wanted)], rtol=1e-6)


@pytest.mark.parametrize("kind", ["vespa", "opensearch"])
def test_vectors_of_engines_that_are_not_here_have_our_inner_products(kind, source, out) -> None:
    system = System.parse(DENSE)
    facts = corpora.export(kind, source, system, out, cutoff=3)
    if kind == "vespa":
        fields = [line["fields"] for line in lines(out / "feed.jsonl")]
        documents = {field["doc_id"]: field["embedding"] for field in fields}
        asked = [(r["body"]["input.query(q)"], r["body"]) for r in lines(out / "queries.jsonl")]
        assert all("{targetHits: 3, approximate: false}nearestNeighbor(embedding, q)" in body["yql"] for _, body in asked)
    else:
        body = lines(out / "bulk.ndjson")
        documents = {a["index"]["_id"]: b["embedding"] for a, b in zip(body[::2], body[1::2], strict=True)}
        asked = [(r["body"]["query"]["knn"]["embedding"]["vector"], r["body"]) for r in lines(out / "queries.jsonl")]
        assert all(body["query"]["knn"]["embedding"]["k"] == body["size"] == 3 for _, body in asked)
    assert list(documents) == list(source.corpus.doc_ids)
    x_NK = np.array([*documents.values()], np.float32)
    assert x_NK.shape == (facts["documents"], facts["dim"])
    np.testing.assert_allclose(np.linalg.norm(x_NK, axis=1), 1, rtol=1e-6)
    assert np.array([x for x, _ in asked], np.float32).tobytes() == source.queries(system).tobytes()
    ours = exact(source, DENSE)
    for (x_K, _), best in zip(asked, ours, strict=True):
        scores = x_NK @ np.array(x_K, np.float32)
        ranked = [source.corpus.doc_ids[row] for row in np.argsort(-scores, kind="stable")]
        assert ranked == [doc_id for doc_id, _ in best]


def test_settings_and_requests_stay_as_they_are() -> None:
    weights, terms = {3: 2, 5: 0.5}, ["a", "b", "c", "%2E", "e", "heat"]
    assert bodies.sparse_query("opensearch", weights, terms, 7) == {
        "size": 7,
        "_source": False,
        "query": {
            "bool": {
                "should": [
                    {"rank_feature": {"field": "tokens.%2E", "linear": {}, "boost": 2}},
                    {"rank_feature": {"field": "tokens.heat", "linear": {}, "boost": 0.5}},
                ]
            }
        },
    }
    for kind in ("opensearch", "elasticsearch"):  # a topic without tokens finds nothing
        assert bodies.sparse_query(kind, {}, terms, 7) == {"size": 7, "_source": False, "query": {"match_none": {}}}
    assert bodies.sparse_query("vespa", {3: 2, 5: 255}, terms, 7) == {
        "yql": 'select doc_id from documents where dotProduct(tokens, {"3": 2, "5": 255})',
        "hits": 7,
        "ranking": "inner",
    }
    assert bodies.sparse_query("qdrant", weights, terms, 7) == {
        "query": {"indices": [3, 5], "values": [2, 0.5]},
        "using": "tokens",
        "limit": 7,
        "with_payload": ["doc_id"],
    }
    assert bodies.sparse_query("milvus", weights, terms, 7) == {
        "collectionName": "documents",
        "annsField": "tokens",
        "data": [weights],
        "limit": 7,
        "outputFields": ["doc_id"],
        "searchParams": {"metricType": "IP", "params": {}},
    }
    assert bodies.settings("opensearch") == {"settings.json": {"mappings": {"properties": {"tokens": {"type": "rank_features"}}}}}
    [mapping] = bodies.settings("opensearch", 8).values()
    assert mapping["settings"] == {"index": {"knn": True}}
    assert mapping["mappings"]["properties"]["embedding"] == {
        "type": "knn_vector",
        "dimension": 8,
        "method": {
            "name": "hnsw",
            "engine": "faiss",
            "space_type": "innerproduct",
            "parameters": {"m": 16, "ef_construction": 128},
        },
    }
    assert bodies.dense_query("qdrant", [0.5], 7)["params"] == {"exact": True}
    assert " ".join(bodies.settings("vespa")["documents.sd"].split()) == (
        "schema documents { document documents { field doc_id type string { indexing: summary | attribute } "
        "field tokens type weightedset<int> { indexing: attribute attribute { fast-search } } } "
        "rank-profile inner { first-phase { expression: rawScore(tokens) } } }"
    )
    assert " ".join(bodies.settings("vespa", 8)["documents.sd"].split()) == (
        "schema documents { document documents { field doc_id type string { indexing: summary | attribute } "
        "field embedding type tensor<float>(x[8]) { indexing: attribute attribute { distance-metric: prenormalized-angular } } } "
        "rank-profile inner { inputs { query(q) tensor<float>(x[8]) } "
        "first-phase { expression: sum(query(q) * attribute(embedding)) } } }"
    )


def test_parquet_holds_ids_and_vectors_to_the_last_bit(source, out, stories) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    corpora.export("parquet", source, System.parse(DENSE), out)
    x_NK = np.load(source.index(System.parse(DENSE))[0] / "vectors.npy")
    for name, ids, vectors in (
        ("documents", list(source.corpus.doc_ids), x_NK),
        ("queries", list(source.dataset.topics), source.queries(System.parse(DENSE))),
    ):
        table = parquet.read_table(out / f"{name}.parquet")
        kind = table.schema.field("emb").type
        assert (str(kind.value_type), kind.list_size) == ("float", vectors.shape[1])
        assert table["id"].to_pylist() == ids
        assert np.array(table["emb"].to_pylist(), np.float32).tobytes() == vectors.tobytes()
    half = Retriever(source.dataset, ri.load_encoder(stories, store_dtype="float16"), source.indexes / "half")
    corpora.export("parquet", half, System.parse("dense"), out)
    table = parquet.read_table(out / "documents.parquet")
    assert str(table.schema.field("emb").type.value_type) == "halffloat"
    x_NK = np.load(half.index(System.parse("dense"))[0] / "vectors.npy")
    assert np.array_equal(np.array(table["emb"].to_pylist(), np.float16), x_NK.astype(np.float16))


def test_parquet_holds_tokens_and_weights_of_the_index(source, out, monkeypatch) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr("rarityir.vectors.folders._AT_ONCE", 4)
    system = System.parse(SPARSE)
    facts = corpora.export("parquet", source, system, out)
    index = SparseIndex.load(source.index(system)[0])
    table = parquet.read_table(out / "documents.parquet").to_pydict()
    assert table["id"] == list(source.corpus.doc_ids)
    assert len(table["id"]) == facts["documents"]
    names: dict[str, int] = {}
    for row, (tokens, weights) in enumerate(zip(table["tokens"], table["weights"], strict=True)):
        ids, values = index.vector(row)
        assert np.array(weights, np.float32).tobytes() == values.tobytes()
        names |= dict(zip(tokens, ids.tolist(), strict=True))
    assert len(names) == len({*names.values()}) == int((index.document_frequencies > 0).sum())
    asked = parquet.read_table(out / "queries.parquet").to_pydict()
    assert asked["id"] == list(source.dataset.topics)
    assert np.concatenate(asked["weights"]).astype(np.float32).tobytes() == source.queries(system).values.tobytes()


def test_faiss_is_searched_as_pyserini_opens_it(source, out) -> None:
    import faiss

    corpora.export("faiss", source, System.parse(DENSE), out)
    index, ids = faiss.read_index(str(out / "index")), (out / "docid").read_text().splitlines()
    scores, rows = index.search(np.load(out / "queries.npy"), len(ids))
    found = [[(ids[row], score) for row, score in zip(*one, strict=True)] for one in zip(rows, scores, strict=True)]
    check(found, source, DENSE)
    assert (out / "query_ids.txt").read_text().splitlines() == list(source.dataset.topics)


def test_anserini_gets_whole_queries_by_the_documents_terms(source, out) -> None:
    corpora.export("anserini", source, System.parse(SPARSE), out)
    documents, queries = lines(out / "corpus" / "documents.jsonl"), lines(out / "queries.jsonl")
    assert [document["id"] for document in documents] == list(source.corpus.doc_ids)
    assert [query["id"] for query in queries] == list(source.dataset.topics)
    for query in queries:
        assert all(type(weight) is int for weight in query["vector"].values())
        assert max(query["vector"].values()) == 255
    known = {term for document in documents for term in document["vector"]}
    assert any(term in known for query in queries for term in query["vector"])


def test_the_command_writes_what_it_says_and_replaces_its_own(beir, stories, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    args = [stories, "--dataset", str(beir), "--system", "sparse:16+edge:2", "--to", "qdrant", "--out", "out", "--cutoff", "3"]
    for _ in range(2):
        done = CliRunner().invoke(command, [*args, "--json"], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        facts = json.loads(done.output)
        assert facts["files"] == sorted(path.name for path in Path("out").iterdir())
        assert (facts["documents"], facts["system"], facts["export"]) == (6, "sparse:16+edge:2", "qdrant")
    assert {line["body"]["limit"] for line in lines(Path("out/queries.jsonl"))} == {3}
    card = json.loads(Path("out/export.json").read_text())
    assert (card["export"], card["system"], card["documents"]) == ("qdrant", "sparse:16+edge:2", 6)
    assert card["made_of"]["encoder.pooling"] == "mean"
    assert len(card["filter"]) == 64


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--to", "qdrant"], "give --filter or --system"),
        (["--to", "faiss", "--filter", "edge:2", "--system", "dense"], "--filter is part of the system's name"),
        (["--to", "vespa", "--filter", "edge:2"], "vespa takes --system, not --filter"),
        (["--to", "onnx", "--system", "dense"], "onnx takes --filter, not --system"),
        (["--to", "faiss", "--filter", "edge:2", "--cutoff", "3"], "--levels and --cutoff are for --system"),
        (["--to", "qdrant", "--system", "dense"], "a system reads documents; give --dataset"),
        (["--to", "vespa", "--system", "dense+edge:2", "--levels", "9"], "which vespa does not get of dense+edge:2"),
        (["--to", "parquet", "--system", "sparse:8", "--levels", "9"], "which parquet does not get of sparse:8"),
        (["--to", "anserini", "--system", "sparse:8", "--cutoff", "9"], "--cutoff is for requests, and anserini gets none"),
    ],
)
def test_options_that_do_not_go_together_are_told_of(args, words, tmp_path) -> None:
    done = CliRunner().invoke(command, ["demo", *args, "--out", str(tmp_path / "out")])
    assert done.exit_code == 2
    assert words in done.output


@pytest.mark.parametrize(
    ("kind", "system", "words"),
    [
        ("qdrnt", "dense", "unknown export of a system 'qdrnt'; did you mean qdrant"),
        ("onnx", "dense", "unknown export of a system 'onnx'"),
        ("anserini", "dense", "anserini takes no vectors of dense; export sparse:64, or to one of: faiss, milvus"),
        ("elasticsearch", "dense", "elasticsearch takes no vectors of dense"),
        ("faiss", "sparse:64", "faiss takes no vectors of sparse; export dense, or to one of: anserini, elasticsearch"),
        ("qdrant", "bm25", "bm25 holds no vectors to export; give dense or sparse:K"),
        ("qdrant", "dense:hnsw,32", "holds no vectors to export"),
        ("qdrant", "qdrant:sparse:64", "holds no vectors to export"),
        ("qdrant", "rrf(bm25,dense)", "holds no vectors to export"),
    ],
)
def test_what_cannot_be_exported_is_one_line_before_anything_is_encoded(kind, system, words, tmp_path) -> None:
    with pytest.raises(RarityError, match=rf"^[^\n]*{words}[^\n]*$"):
        corpora.check(kind, System.parse(system), tmp_path / "out")
    if "unknown" in words:
        with pytest.raises(UnknownName):
            corpora.check(kind, System.parse(system), tmp_path / "out")


def test_what_is_not_ours_stays_and_a_failed_export_leaves_nothing(source, out, monkeypatch) -> None:
    out.mkdir()
    (out / "mine").touch()
    with pytest.raises(RarityError, match="is there already and is no vespa export"):
        corpora.export("vespa", source, System.parse(DENSE), out)
    assert not source.indexes.exists()  # nothing was encoded for it
    monkeypatch.setattr(bodies, "document", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        corpora.export("vespa", source, System.parse(DENSE), out.with_name("other"))
    assert sorted(path.name for path in out.parent.iterdir() if path.name.startswith((".", "o"))) == ["out"]


def test_without_pyarrow_one_line_names_the_extra(source, out, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for name in (SPARSE, DENSE):
        with pytest.raises(MissingExtra, match=r"^Parquet needs pyarrow: pip install 'rarityir\[parquet\]'$"):
            corpora.export("parquet", source, System.parse(name), out)
    assert not out.exists()


def test_the_help_names_every_kind() -> None:
    text = " ".join(CliRunner().invoke(command, ["--help"]).output.split())
    assert [kind for kind in corpora.KINDS if kind not in text] == []
