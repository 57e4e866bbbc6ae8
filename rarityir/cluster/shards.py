"""The files between: documents cut into windows for the cluster, and what comes back, one Parquet file a window."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rarityir import parsing, progress, store
from rarityir.filters import EmbedFilter
from rarityir.retrieval import normalised
from rarityir.types import Dataset, Floats, Json, StaleArtefact

if TYPE_CHECKING:
    import pyarrow as pa

SHARDS = "embeddings"  # the folder of the shards, which are all that is in it
FILTER = "filter"  # the folder of the filter, where there is one
STAGED = "windows.parquet"  # names the staged windows


@dataclass(frozen=True)
class Encoded:
    """A folder that a cluster wrote: its manifest's identity and facts, and the shards in the order of rows."""

    folder: Path
    identity: dict[str, Json]
    facts: dict[str, Json]
    paths: tuple[Path, ...]

    @classmethod
    def open(cls, folder: str | Path) -> Encoded:
        """Opens a complete folder; `StaleArtefact` if it is not, or a row is missing or there twice."""
        folder = Path(folder).resolve()  # shards are named within it, and a cluster's processes have other working folders
        if not (folder / store.MANIFEST).is_file():
            raise StaleArtefact(f"{folder} holds no complete embeddings; give the command that writes it again")
        found = store.described(folder)
        identity = found["identity"]
        store.manifest(folder, identity)
        paths = check_rows(folder / SHARDS, int(found["facts"]["documents"]))
        return cls(folder, identity, found["facts"], paths)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yields every shard as a batch: id, row, emb, and tokens and weights where they were asked for."""
        import pyarrow.parquet as pq

        for path in self.paths:
            store.check(self.folder, path.relative_to(self.folder).as_posix())
            yield pq.read_table(path).combine_chunks().to_batches()[0]

    def __iter__(self) -> Iterator[tuple[list[str], Floats]]:
        """Yields the doc_ids and (n, K) float32 embeddings of every shard, in the order of rows."""
        for batch in self.batches():
            yield batch.column("id").to_pylist(), matrix(batch.column("emb"))

    def documents(self, emb: Any) -> Floats:
        """Returns a column of embeddings as (n, K) float32 vectors to search: raw ones brought to unit length."""
        return matrix(emb) if self.identity["filter"] else normalised(matrix(emb))

    def unit(self, x_QD: Floats) -> Floats:
        """Returns queries' raw embeddings (Q, D) as (Q, K) vectors that search the documents: filtered too, of unit length."""
        return normalised(EmbedFilter.load(self.folder / FILTER)(x_QD) if self.identity["filter"] else x_QD)


def matrix(emb: Any) -> Floats:
    """Returns a column of embeddings as (n, K) float32."""
    values = emb.flatten().to_numpy(zero_copy_only=False)
    return np.asarray(values, np.float32).reshape(len(emb), -1)


def stage(dataset: Dataset, documents: int, window: int, folder: Path) -> Path:
    """Writes id, row and text of every window to a file of its own, those left out that are there; returns what names them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    docs, paths = dataset.docs(), []
    with progress.bar("writing documents for the cluster", documents) as advance:
        for start in range(0, documents, window):
            found = list(islice(docs, window))
            paths.append(folder / f"{start // window:06d}.parquet")
            if not store.kept(paths[-1]):
                rows = np.arange(start, start + len(found))
                columns = {"id": [doc.doc_id for doc in found], "row": rows, "text": [doc.text for doc in found]}
                with store.keeping(paths[-1]) as temporary:
                    pq.write_table(pa.table(columns), temporary)
            advance(len(found))
    with store.replacing(folder / STAGED) as temporary:
        first = np.arange(0, documents, window)
        pq.write_table(pa.table({"row": first, "path": [str(path.resolve()) for path in paths]}), temporary)
    return folder / STAGED


def gather(written: Path, folder: Path, documents: int, window: int) -> None:
    """Moves what was written, in any order and under any names, to one file a window; `StaleArtefact` for what is no window.

    A window that was written twice, as by a worker that outlived its driver, is the same bytes and becomes one file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(written.glob("*.parquet")):
        rows = _rows(path)
        first = int(rows[0]) if len(rows) else -1
        if first % window or not np.array_equal(rows, np.arange(first, min(first + window, documents))):
            raise StaleArtefact(f"{path} holds no whole window of rows; remove {folder.parent} and encode again")
        place = folder / f"{first // window:06d}.parquet"
        if place.exists() and store.digest_file(place) != store.digest_file(path):
            raise StaleArtefact(f"{path} and {place} hold the same rows and differ; remove {folder.parent} and encode again")
        os.replace(path, place)
    check_rows(folder, documents)


def check_rows(folder: Path, documents: int) -> tuple[Path, ...]:
    """Returns the shards in the order of rows; `StaleArtefact` unless every row is there once."""
    paths = tuple(sorted(folder.glob("*.parquet")))
    expected = 0
    for path in paths:
        rows = _rows(path)
        if not np.array_equal(rows, np.arange(expected, expected + len(rows))):
            raise StaleArtefact(f"{path} does not go on at row {expected}: rows are missing or there twice; encode again")
        expected += len(rows)
    if expected != documents:
        raise StaleArtefact(f"{folder} holds {expected} rows of {documents}; remove {folder.parent} and encode again")
    return paths


def _rows(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(path, columns=["row"]).column("row").to_numpy()
    except (pa.ArrowException, *parsing.BROKEN) as error:
        told = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:160]}"
        raise StaleArtefact(f"{path} is no whole shard ({told}); remove {path.parent.parent} and encode again") from None
