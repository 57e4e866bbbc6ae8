"""What engines are told beside the documents: the settings of a collection, and the request that asks one query of it.

Bodies are those of the engines' HTTP interfaces. OpenSearch, Elasticsearch and Vespa were not run: what is written here is
checked against their documentation (docs.opensearch.org 3.9, elastic.co 9, docs.vespa.ai) and computed by hand in the tests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rarityir.types import Json

NAME, TOKENS, EMBEDDING = "documents", "tokens", "embedding"
LINKS, CONSTRUCTION = 16, 128  # of a graph (HNSW) where an engine looks at no vectors without one
Weights = Mapping[int, float]


def settings(kind: str, width: int = 0) -> dict[str, Json]:
    """Returns files by name, of JSON or text: a collection of vectors of a width, or of impacts (width 0)."""
    field = EMBEDDING if width else TOKENS
    if kind == "milvus":
        return {"settings.json": _milvus(field, width)}
    if kind == "qdrant":
        return {
            "settings.json": {"vectors": {field: {"size": width, "distance": "Dot"}}}
            if width
            else {"sparse_vectors": {field: {}}}
        }
    if kind == "vespa":
        return {"documents.sd": _schema(width)}
    if not width:
        return {"settings.json": {"mappings": {"properties": {field: {"type": _SPARSE[kind]}}}}}
    parameters = {"m": LINKS, "ef_construction": CONSTRUCTION}
    method = {"name": "hnsw", "engine": "faiss", "space_type": "innerproduct", "parameters": parameters}
    vector = {"type": "knn_vector", "dimension": width, "method": method}
    return {"settings.json": {"settings": {"index": {"knn": True}}, "mappings": {"properties": {field: vector}}}}


_SPARSE = {"elasticsearch": "sparse_vector", "opensearch": "rank_features"}


def document(kind: str, row: int, doc_id: str, x_K: Sequence[float]) -> list[Json]:
    """Returns the lines of a document's vector."""
    if kind == "milvus":
        return [{"id": row, "doc_id": doc_id, EMBEDDING: x_K}]
    if kind == "qdrant":
        return [{"id": row, "vector": {EMBEDDING: x_K}, "payload": {"doc_id": doc_id}}]
    if kind == "vespa":
        return [{"put": f"id:{NAME}:{NAME}::{doc_id}", "fields": {"doc_id": doc_id, EMBEDDING: x_K}}]
    return [{"index": {"_id": doc_id}}, {EMBEDDING: x_K}]


def dense_query(kind: str, x_K: Sequence[float], cutoff: int) -> Json:
    """Returns the request for the documents whose vectors have the largest inner products with a query's."""
    if kind == "milvus":
        return _searched(EMBEDDING, x_K, cutoff)
    if kind == "qdrant":
        return {"query": x_K, "using": EMBEDDING, "params": {"exact": True}, **_limited(cutoff)}
    if kind == "vespa":
        nearest = f"{{targetHits: {cutoff}, approximate: false}}nearestNeighbor({EMBEDDING}, q)"
        return {**_yql(nearest, cutoff), "input.query(q)": x_K}
    return {"size": cutoff, "_source": False, "query": {"knn": {EMBEDDING: {"vector": x_K, "k": cutoff}}}}


def sparse_query(kind: str, weights: Weights, terms: Sequence[str], cutoff: int) -> Json:
    """Returns the request for the documents whose impacts add up to most; `terms` are the tokens' names there."""
    if kind == "milvus":
        return _searched(TOKENS, weights, cutoff)
    if kind == "qdrant":
        query = {"indices": list(weights), "values": list(weights.values())}
        return {"query": query, "using": TOKENS, **_limited(cutoff)}
    if kind == "vespa":
        pairs = ", ".join(f'"{token}": {weight}' for token, weight in weights.items())
        return _yql(f"dotProduct({TOKENS}, {{{pairs}}})", cutoff)
    named = {terms[token]: weight for token, weight in weights.items()}
    if not named:  # no clause at all would be every document
        query = {"match_none": {}}
    elif kind == "elasticsearch":  # by default it drops frequent tokens, which rarity is about
        query = {"sparse_vector": {"field": TOKENS, "query_vector": named, "prune": False}}
    else:
        ranked = [{"rank_feature": {"field": f"{TOKENS}.{term}", "linear": {}, "boost": boost}} for term, boost in named.items()]
        query = {"bool": {"should": ranked}}
    return {"size": cutoff, "_source": False, "query": query}


def _milvus(field: str, width: int) -> Json:
    vector: Json = {"fieldName": field, "dataType": "SparseFloatVector"}
    if width:
        vector = {"fieldName": field, "dataType": "FloatVector", "elementTypeParams": {"dim": str(width)}}
    row = {"fieldName": "id", "dataType": "Int64", "isPrimary": True}
    name = {"fieldName": "doc_id", "dataType": "VarChar", "elementTypeParams": {"max_length": "65535"}}
    kind = "FLAT" if width else "SPARSE_INVERTED_INDEX"
    index = {"fieldName": field, "indexName": field, "metricType": "IP", "indexType": kind}
    schema = {"autoId": False, "enableDynamicField": False, "fields": [row, name, vector]}
    return {"collectionName": NAME, "schema": schema, "indexParams": [index]}


def _searched(field: str, vector: Json, cutoff: int) -> Json:
    asked = {"collectionName": NAME, "annsField": field, "data": [vector], "limit": cutoff}
    return {**asked, "outputFields": ["doc_id"], "searchParams": {"metricType": "IP", "params": {}}}


def _limited(cutoff: int) -> dict[str, Json]:
    return {"limit": cutoff, "with_payload": ["doc_id"]}


def _yql(where: str, cutoff: int) -> dict[str, Json]:
    return {"yql": f"select doc_id from {NAME} where {where}", "hits": cutoff, "ranking": "inner"}


def _schema(width: int) -> str:
    """A schema of Vespa, whose rank profile `inner` is the inner product."""
    if width:
        kind, score = f"tensor<float>(x[{width}])", f"sum(query(q) * attribute({EMBEDDING}))"
        field, inputs = EMBEDDING, f"        inputs {{\n            query(q) tensor<float>(x[{width}])\n        }}\n"
        attribute = "            distance-metric: prenormalized-angular\n"
    else:
        kind, score, field, inputs, attribute = "weightedset<int>", f"rawScore({TOKENS})", TOKENS, "", "            fast-search\n"
    return (
        f"schema {NAME} {{\n"
        f"    document {NAME} {{\n"
        "        field doc_id type string {\n            indexing: summary | attribute\n        }\n"
        f"        field {field} type {kind} {{\n            indexing: attribute\n"
        f"            attribute {{\n    {attribute}            }}\n        }}\n"
        "    }\n"
        f"    rank-profile inner {{\n{inputs}        first-phase {{\n            expression: {score}\n        }}\n    }}\n"
        "}\n"
    )
