"""`qdrant:sparse:64`, `qdrant:dense`, `qdrant:dense:hnsw,16`: Qdrant, in the index's folder or a server (extra `qdrant`).

Embedded it is Qdrant Edge, the server's own engine in this process. `RARITYIR_QDRANT=http://host:6333` names a server,
`RARITYIR_QDRANT_KEY` its key; the folder then holds the name of a collection, which stays there when the folder is removed.
`RARITYIR_QDRANT=local` is qdrant-client's own brute force in the folder, for tests.
"""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import numpy as np

from rarityir.indexes.engines import CONSTRUCTION, DenseEngine, Form, Held, Ranking, SparseEngine, address, keep_name, kept_name
from rarityir.types import Floats, Impacts, MissingExtra, RarityError

SERVER, KEY, LOCAL = "RARITYIR_QDRANT", "RARITYIR_QDRANT_KEY", "local"
_EDGE, _FILES = "edge", "local"
_VECTOR = "vector"
_SCANNED = 10  # kilobytes below which Qdrant looks at every vector instead of the graph, the least it takes
_PATIENCE = 3600  # seconds that a server's answer may take: the client's 5 and the server's 60 are for small collections
_EXACT = 8  # queries of one request to a server that looks at every vector
_WAIT = 0.2  # seconds between two looks at whether a server has indexed


class Qdrant:
    """Qdrant behind `engines.Engine`."""

    name, most, server = "qdrant", 2**32 - 1, SERVER

    def version(self) -> str:
        """Returns the release, and the server where there is one."""
        server = _server()
        package = "qdrant-client" if server else "qdrant-edge-py"
        try:
            return f"{package} {installed(package)}" + (f" at {server}" if server else "")
        except PackageNotFoundError:
            raise _missing() from None

    def create(self, folder: Path, form: Form) -> Held:
        """Begins anew; what an earlier build began here is dropped."""
        if not _server():
            shutil.rmtree(folder / _EDGE, ignore_errors=True)
            (folder / _EDGE).mkdir(parents=True)
            return Edge.create(folder / _EDGE, form)
        earlier, name = kept_name(folder), "rarityir_" + uuid.uuid4().hex
        found = Collection(folder, name, form)
        found.drop(earlier or name)  # which shows that the server answers, before anything is written
        keep_name(folder, name)  # not before the earlier one is gone, which nothing else names
        found.begin()
        return found

    def open(self, folder: Path, form: Form) -> Held:
        """Opens what was finished."""
        if _server():
            name = kept_name(folder)
            if not name:
                raise RarityError(f"{folder} names no collection of Qdrant; build it again")
            return Collection(folder, name, form)
        if not (folder / _EDGE / "edge_config.json").is_file():
            raise RarityError(f"{folder} holds no whole index of Qdrant; build it again")
        return Edge(_edge().EdgeShard.load(str(folder / _EDGE)), folder / _EDGE, form)


class Edge:
    """A shard of Qdrant Edge: numbered points, each with one vector."""

    def __init__(self, shard: Any, folder: Path, form: Form) -> None:
        self._shard, self._folder, self._form = shard, folder, form

    @classmethod
    def create(cls, folder: Path, form: Form) -> Edge:
        """Begins a shard. It keeps no log: a build that is stopped begins anew."""
        edge = _edge()
        if form.width:
            graph = edge.HnswIndexConfig(form.links, CONSTRUCTION, _SCANNED, max_indexing_threads=1)
            vectors = {_VECTOR: edge.EdgeVectorParams(form.width, edge.Distance.Dot, hnsw_config=graph)}
            kinds: dict[str, Any] = {"vectors": vectors}
        else:
            kinds = {"sparse_vectors": {_VECTOR: edge.EdgeSparseVectorParams()}}
        optimizers = edge.EdgeOptimizersConfig(indexing_threshold=1)  # whatever the size: what is measured is the index
        return cls(
            edge.EdgeShard.create(str(folder), edge.EdgeConfig(**kinds, optimizers=optimizers, wal_enabled=False)), folder, form
        )

    def insert(self, rows: Sequence[int], vectors: Floats | Impacts) -> None:
        """Adds documents."""
        edge = _edge()
        given = _sparse(edge, vectors) if isinstance(vectors, Impacts) else vectors.tolist()
        points = [edge.Point(row, {_VECTOR: vector}) for row, vector in zip(rows, given, strict=True)]
        self._shard.update(edge.UpdateOperation.upsert_points(points))

    def finish(self) -> int:
        """Indexes what was added, and returns how many documents the shard has."""
        edge = _edge()
        while self._shard.optimize():
            pass
        self._shard.flush()
        self._shard.close()
        self._shard = edge.EdgeShard.load(str(self._folder))  # its first opening adds to its settings, which then stay
        return int(self._shard.count(edge.CountRequest(exact=True)))

    def search(self, queries: Floats | Impacts, depth: int, ef: int) -> Iterator[Ranking]:
        """Returns rows and scores of each query's best."""
        edge = _edge()
        params = edge.SearchParams(hnsw_ef=ef) if self._form.links else edge.SearchParams(exact=True)
        asked = _sparse(edge, queries) if isinstance(queries, Impacts) else queries.tolist()
        requests = [edge.QueryRequest(depth, query=edge.Query.Nearest(x, using=_VECTOR), params=params) for x in asked]
        return map(_ranking, self._shard.query_batch(edge.QueryBatchRequest(requests)))

    def close(self) -> None:
        """Closes the shard."""
        if self._shard is not None:
            self._shard.close()
            self._shard = None


class Collection:
    """A collection of a Qdrant server: numbered points, each with one vector."""

    def __init__(self, folder: Path, name: str, form: Form) -> None:
        client, self._models = _clients()
        self._name, self._form = name, form
        self._scans = local = _server() == LOCAL
        given: dict[str, Any] = {"path": str(folder / _FILES)}
        if not local:
            given = {"url": _server(), "api_key": os.environ.get(KEY) or None, "timeout": _PATIENCE}
        self._client: Any = client(**given, check_compatibility=False)  # it would ask at once, and warn where nobody answers

    def begin(self) -> None:
        """Makes the collection."""
        models, form = self._models, self._form
        if form.width:
            graph = models.HnswConfigDiff(m=form.links, ef_construct=CONSTRUCTION, full_scan_threshold=_SCANNED)
            vectors = {_VECTOR: models.VectorParams(size=form.width, distance=models.Distance.DOT, hnsw_config=graph)}
            kinds: dict[str, Any] = {"vectors_config": vectors}
        else:
            kinds = {"vectors_config": {}, "sparse_vectors_config": {_VECTOR: models.SparseVectorParams()}}
        optimizers = models.OptimizersConfigDiff(indexing_threshold=1)
        with _told():
            self._client.create_collection(self._name, optimizers_config=optimizers, **kinds)

    def insert(self, rows: Sequence[int], vectors: Floats | Impacts) -> None:
        """Adds documents."""
        models = self._models
        given = _sparse(models, vectors) if isinstance(vectors, Impacts) else vectors.tolist()
        points = [models.PointStruct(id=row, vector={_VECTOR: vector}) for row, vector in zip(rows, given, strict=True)]
        with _told():
            self._client.upsert(self._name, points, wait=True)

    def finish(self) -> int:
        """Waits until what was added is indexed, and returns how many documents the collection has."""
        status = self._models.CollectionStatus
        with _told():
            while (found := self._client.get_collection(self._name).status) != status.GREEN:
                if found == status.RED:
                    raise RarityError(f"Qdrant at {_server()} could not index collection {self._name}; its log says why")
                time.sleep(_WAIT)
            return int(self._client.count(self._name, exact=True).count)

    def drop(self, name: str) -> None:
        """Removes another collection, if it is there."""
        with _told():
            if self._client.collection_exists(name):
                self._client.delete_collection(name)

    def search(self, queries: Floats | Impacts, depth: int, ef: int) -> Iterator[Ranking]:
        """Returns rows and scores of each query's best."""
        models = self._models
        params = models.SearchParams(hnsw_ef=ef) if self._form.links else models.SearchParams(exact=True)
        params = None if self._scans else params  # it warns of those it does not heed
        asked = _sparse(models, queries) if isinstance(queries, Impacts) else queries.tolist()
        requests = [models.QueryRequest(query=x, using=_VECTOR, limit=depth, params=params) for x in asked]
        step = max(1, len(requests)) if self._scans or self._form.links else _EXACT
        for start in range(0, len(requests), step):
            with _told():
                found = self._client.query_batch_points(self._name, requests[start : start + step], timeout=_PATIENCE)
            yield from (_ranking(one.points) for one in found)

    def close(self) -> None:
        """Frees the client."""
        if self._client is not None:
            self._client.close()
            self._client = None


QDRANT = Qdrant()
SPARSE, DENSE = SparseEngine(QDRANT), DenseEngine(QDRANT)


def _server() -> str:
    found = address(SERVER)
    if found and found != LOCAL and "://" not in found:
        raise RarityError(f"{SERVER}={found} is no address; give it as http://host:6333, or unset it for Qdrant in the folder")
    return found


def _sparse(library: Any, impacts: Impacts) -> list[Any]:
    """Each row as the library's sparse vector."""
    tokens, values = impacts.token_ids.tolist(), impacts.values.tolist()
    spans = [slice(*pair) for pair in zip(impacts.indptr[:-1].tolist(), impacts.indptr[1:].tolist(), strict=True)]
    return [library.SparseVector(indices=tokens[span], values=values[span]) for span in spans]


def _ranking(points: Sequence[Any]) -> Ranking:
    return np.array([point.id for point in points], np.int64), np.array([point.score for point in points], np.float32)


def _edge() -> Any:
    try:
        import qdrant_edge
    except ImportError:
        raise _missing() from None
    return qdrant_edge


@contextmanager
def _told() -> Iterator[None]:
    """What a server says, or that none answers, in one line."""
    from qdrant_client.http.exceptions import ApiException

    try:
        yield
    except ApiException as error:
        why = " ".join(str(error).split())[:200]
        raise RarityError(f"Qdrant at {_server()} failed ({why}); see that it runs, or unset {SERVER}") from None


def _clients() -> tuple[Any, Any]:
    try:
        from qdrant_client import QdrantClient, models
    except ImportError:
        raise _missing() from None
    return QdrantClient, models


def _missing() -> MissingExtra:
    return MissingExtra(
        "qdrant needs qdrant-edge-py and qdrant-client: pip install 'rarityir[qdrant]'; sparse and dense search the same exactly"
    )
