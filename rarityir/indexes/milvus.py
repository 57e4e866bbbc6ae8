"""`milvus:sparse:64`, `milvus:dense`, `milvus:dense:hnsw,32`: Milvus, in the index's folder or a cluster (extra `milvus`).

Milvus Lite and a cluster are spoken to by the same client. Lite keeps an index in memory and one process at a time opens it.
`RARITYIR_MILVUS=http://host:19530` names a cluster, `RARITYIR_MILVUS_TOKEN` what it asks for; the folder then holds the name of
a collection, which stays there when the folder is removed.
"""

from __future__ import annotations

import logging
import os
import shutil
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from rarityir.indexes.engines import CONSTRUCTION, DenseEngine, Form, Ranking, SparseEngine, address, keep_name, kept_name
from rarityir.types import Floats, Impacts, MissingExtra, RarityError

SERVER, TOKEN = "RARITYIR_MILVUS", "RARITYIR_MILVUS_TOKEN"
_FILE = "milvus.db"
ROW, VECTOR = "row", "vector"
_opened: Counter[str] = Counter()  # Lite serves a file once in a process, whoever asks


_Kind = TypeVar("_Kind", bound="Collection")


class Milvus:
    """Milvus behind `engines.Engine`."""

    name, most, server = "milvus", 16384, SERVER

    def version(self) -> str:
        """Returns the releases, and the server where there is one."""
        server = address(SERVER)
        try:
            own = f"pymilvus {installed('pymilvus')}"
            return f"{own} at {server}" if server else f"{own}, milvus-lite {installed('milvus-lite')}"
        except PackageNotFoundError:
            raise _missing() from None

    def create(self, folder: Path, form: Form) -> Collection:
        """Begins a collection of vectors; one that an earlier build began here is dropped."""
        return self.begun(Collection, folder, form)

    def open(self, folder: Path, form: Form) -> Collection:
        """Opens a collection of vectors and loads it."""
        return self.opened(Collection, folder, form)

    def begun(self, kind: type[_Kind], folder: Path, form: Form) -> _Kind:
        """Begins a collection of a kind; one that an earlier build began here is dropped."""
        earlier = kept_name(folder)
        if not address(SERVER):
            shutil.rmtree(folder / _FILE, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        name = "rarityir_" + uuid.uuid4().hex
        found = kind(folder, name, form)
        if earlier:
            found.drop(earlier)
        keep_name(folder, name)  # not before the earlier one is gone, which nothing else names
        found.begin()
        return found

    def opened(self, kind: type[_Kind], folder: Path, form: Form) -> _Kind:
        """Opens a collection of a kind and loads it."""
        name = kept_name(folder)
        if not name or not (address(SERVER) or (folder / _FILE).is_dir()):
            raise RarityError(f"{folder} holds no whole index of Milvus; build it again")
        found = kind(folder, name, form)
        found.load()
        return found


class Collection:
    """A collection of Milvus: rows, each with one vector."""

    def __init__(self, folder: Path, name: str, form: Form) -> None:
        self._name, self._form = name, form
        self._path = "" if address(SERVER) else str((folder / _FILE).absolute())
        self._client: Any = _client(self._path, folder)

    def begin(self) -> None:
        """Makes the collection."""
        milvus = _pymilvus()
        schema = self._client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field(ROW, milvus.DataType.INT64, is_primary=True)
        self._fields(schema, milvus)
        with self._told():
            self._client.create_collection(self._name, schema=schema, consistency_level="Strong")

    def _fields(self, schema: Any, milvus: Any) -> None:
        """Adds what a row holds beside its number."""
        kinds = milvus.DataType
        if self._form.width:
            schema.add_field(VECTOR, kinds.FLOAT_VECTOR, dim=self._form.width)
        else:
            schema.add_field(VECTOR, kinds.SPARSE_FLOAT_VECTOR)

    def _index(self) -> tuple[str, str, dict[str, Any]]:
        """The kind of index, its metric, and its settings."""
        if self._form.links:
            return "HNSW", "IP", {"M": self._form.links, "efConstruction": CONSTRUCTION}
        return "FLAT" if self._form.width else "SPARSE_INVERTED_INDEX", "IP", {}

    def insert(self, rows: Sequence[int], vectors: Floats | Impacts) -> None:
        """Adds documents."""
        given: Any = _maps(vectors) if isinstance(vectors, Impacts) else vectors
        self._send([{ROW: row, VECTOR: vector} for row, vector in zip(rows, given, strict=True)])

    def _send(self, rows: list[dict[str, Any]]) -> None:
        with self._told():
            self._client.insert(self._name, rows)

    def finish(self) -> int:
        """Indexes what was added, and returns how many documents the collection has."""
        kind, metric, params = self._index()
        wanted = self._client.prepare_index_params()
        if self._path and params:
            params = {"params": params}  # Lite reads them in one, and passes over those that the client sends singly
        wanted.add_index(VECTOR, index_type=kind, metric_type=metric, params=params)
        with self._told():
            self._client.flush(self._name)
            self._client.create_index(self._name, wanted)
            self.load()
            return int(self._client.query(self._name, filter="", output_fields=["count(*)"])[0]["count(*)"])

    def load(self) -> None:
        """Makes the collection ready to be searched."""
        with self._told():
            self._client.load_collection(self._name)

    def drop(self, name: str) -> None:
        """Removes another collection, if it is there."""
        with self._told():
            if self._client.has_collection(name):
                self._client.drop_collection(name)

    def search(self, queries: Floats | Impacts, depth: int, ef: int) -> Iterator[Ranking]:
        """Returns rows and scores of each query's best."""
        data = _maps(queries) if isinstance(queries, Impacts) else list(queries)
        # Nothing is left out: drop_ratio_search would skip a query's light tokens.
        params = {"ef": ef} if self._form.links else {} if self._form.width else {"drop_ratio_search": 0.0}
        yield from self._asked(data, depth, "IP", params)

    def _asked(self, data: list[Any], depth: int, metric: str, params: dict[str, Any]) -> Iterator[Ranking]:
        given = {"anns_field": VECTOR, "output_fields": [ROW], "search_params": {"metric_type": metric, "params": params}}
        with self._told():
            found = self._client.search(self._name, data, limit=depth, **given)
        for hits in found:
            yield np.array([hit[ROW] for hit in hits], np.int64), np.array([hit["distance"] for hit in hits], np.float32)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What Milvus says, in one line."""
        try:
            yield
        except _pymilvus().MilvusException as error:
            why = " ".join(str(error.message).split())[:200]
            raise RarityError(f"Milvus at {self._path or address(SERVER)} failed ({why}); see to it and try again") from None

    def close(self) -> None:
        """Frees the client, and what Lite holds in memory of a file that nobody else here has open."""
        if self._client is None:
            return
        self._client.close()
        self._client = None
        if self._path:
            _opened[self._path] -= 1
            if not _opened[self._path]:
                from milvus_lite.server_manager import server_manager_instance

                server_manager_instance.release_server(self._path)


MILVUS = Milvus()
SPARSE, DENSE = SparseEngine(MILVUS), DenseEngine(MILVUS)


def _client(path: str, folder: Path) -> Any:
    """A client of the file, or of the server."""
    milvus = _pymilvus()
    try:
        if not path:
            return milvus.MilvusClient(uri=address(SERVER), token=os.environ.get(TOKEN, ""))
        found = milvus.MilvusClient(path)
    except milvus.MilvusException as error:
        why = "another process has it open" if path else str(getattr(error, "message", error))
        raise RarityError(f"Milvus cannot open {folder if path else address(SERVER)} ({why}); try again, or see to it") from None
    _opened[path] += 1
    return found


def _maps(impacts: Impacts) -> list[dict[int, float]]:
    """Each row as token → weight."""
    tokens, values = impacts.token_ids.tolist(), impacts.values.tolist()
    spans = [slice(*pair) for pair in zip(impacts.indptr[:-1].tolist(), impacts.indptr[1:].tolist(), strict=True)]
    return [dict(zip(tokens[span], values[span], strict=True)) for span in spans]


def _pymilvus() -> Any:
    try:
        import pymilvus
    except ImportError:
        raise _missing() from None
    for name in ("pymilvus", "milvus_lite", "grpc._server"):  # they log what is raised as well, and what Lite does without
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return pymilvus


def _missing() -> MissingExtra:
    return MissingExtra(
        "milvus needs pymilvus and milvus-lite: pip install 'rarityir[milvus]'; sparse and dense search the same exactly"
    )
