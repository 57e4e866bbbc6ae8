"""What is done with a window of documents, wherever it is done: an Arrow batch of texts in, one of embeddings out.

A window is what one machine reads together (`embeddings.py`), because batches are cut from it: the same window gives the
same bytes in any process. So a window is never split, and a batch that is no whole window is refused.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rarityir import embeddings, impacts, retrieval, store
from rarityir.corpus import Corpus
from rarityir.encoders.batching import Execution
from rarityir.filters import EmbedFilter
from rarityir.settings import ImpactSettings
from rarityir.tokens import TokenLens, Vocabulary
from rarityir.types import Encoder, Floats, Impacts, Json, RarityError, StaleArtefact

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray


ENCODED = ("corpus", "window", "emb", "filter", "filter_sha256", "sparse")  # what an identity says beside the embeddings'


def check_made(identity: dict[str, Json], corpus: Corpus, encoder: Encoder, folder: Path) -> None:
    """Raises `StaleArtefact` where what a cluster wrote into a folder is of other documents or another encoder."""
    made = {key: value for key, value in identity.items() if key not in ENCODED}
    if difference := store.differing(made, embeddings.identify(corpus, encoder)):
        raise StaleArtefact(f"{folder} was made of something else: {difference}")


@dataclass(frozen=True, eq=False)
class Recipe:
    """An encoder, a filter or none, and tokens or none, for a corpus of so many documents; sent to every process.

    `encoder` is not loaded yet and reads in one process; `identity` is what its vectors depend on.
    """

    encoder: Encoder
    documents: int
    identity: dict[str, Json]
    filter: EmbedFilter | None = None
    sparse: ImpactSettings | None = None
    block: int = embeddings.BLOCK
    window: int = embeddings.BLOCK * embeddings.WINDOW

    @classmethod
    def of(cls, corpus: Corpus, encoder: Any, filter: EmbedFilter | None = None, sparse: ImpactSettings | None = None) -> Recipe:
        """Returns the recipe for a corpus; `RarityError` for a filter or tokens that need more than a document's embedding."""
        if sparse:
            impacts.check(sparse)
        if sparse and sparse.style != "aligned":
            raise RarityError(f"a cluster writes tokens of style aligned; for {sparse.style} use rarityir index on one machine")
        pooled = filter and filter.fitted_on.get("documents", {}).get("pooling")
        if pooled not in (None, encoder.identity().get("pooling")):
            raise RarityError(
                f"filter {filter and filter.name} was fitted on embeddings pooled by {pooled}, not by {encoder.name}'s"
            )
        alone = Execution(**{**vars(getattr(encoder, "execution", Execution())), "workers": 1})
        fresh = dataclasses.replace(encoder, execution=alone)
        size = embeddings.BLOCK * embeddings.WINDOW
        identity = {
            **embeddings.identify(corpus, encoder, elsewhere=True),
            "corpus": corpus.folder.name,
            "window": size,
            "emb": "filtered, unit length" if filter else "raw",
            "filter": filter.name if filter else None,
            "filter_sha256": filter.digest if filter else None,
            "sparse": sparse.stored if sparse else None,
        }
        return cls(fresh, len(corpus.doc_ids), identity, filter, sparse, embeddings.BLOCK, size)

    @property
    def dtype(self) -> str:
        """float32 or float16, in which embeddings are kept."""
        return embeddings.store_dtype(self.encoder)

    @property
    def dim(self) -> int:
        """The width of the embeddings that come out."""
        return self.encoder.dim if self.filter is None else len(self.filter.basis)

    @property
    def schema(self) -> pa.Schema:
        """What comes out: id, row, emb, and with tokens their names, best first, and weights."""
        import pyarrow as pa

        value = pa.float16() if self.dtype == "float16" else pa.float32()
        fields = [("id", pa.string()), ("row", pa.int64()), ("emb", pa.list_(value, self.dim))]
        tokens = [("tokens", pa.list_(pa.string())), ("weights", pa.list_(pa.float32()))] if self.sparse else []
        return pa.schema(fields + tokens)

    def check_process(self) -> None:
        """Raises `RarityError` where this process would give other vectors: other weights, other releases, other arithmetic."""
        expected = {name[8:]: value for name, value in self.identity.items() if name.startswith("encoder.")}
        difference = store.differing(expected, self.encoder.identity())
        if difference:
            raise RarityError(f"a worker has another encoder than this machine: {difference}; install the same on all")

    def encode_batch(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Returns the embeddings of one whole window: id, row and text in, `schema` out, row by row.

        What is stored as float16 is filtered and read as tokens from its float16 values, as on one machine.
        """
        import pyarrow as pa
        from threadpoolctl import threadpool_limits

        self._check_whole(batch.column("row").to_numpy())
        x_ND = embeddings.kept_as(self.dtype, embeddings.read_window(self.encoder, batch.column("text").to_pylist()))
        blocks = [np.asarray(x_ND[at : at + self.block], np.float32) for at in range(0, len(x_ND), self.block)]
        columns = [batch.column("id"), batch.column("row")]
        with threadpool_limits(1):  # the bits of NumPy's products depend on how many threads share them
            columns.append(self._vectors(x_ND, blocks))
            if self._lens is not None and self.sparse is not None:
                columns += _lists(list(impacts.aligned(self._lens, self.sparse, blocks)), self._names)
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def _check_whole(self, rows: NDArray[Any]) -> None:
        first = int(rows[0]) if len(rows) else -1
        whole = np.arange(first, min(first + self.window, self.documents))
        if first < 0 or first % self.window or not np.array_equal(rows, whole):
            raise RarityError(
                f"{len(rows)} documents from row {first} are no whole window; give {self.window} of them, in the order of rows"
            )

    def _vectors(self, x_ND: NDArray[Any], blocks: list[Floats]) -> pa.Array:
        import pyarrow as pa

        if self.filter is not None:  # block by block, as an index is built: a product's bits depend on its size
            x_ND = np.concatenate([embeddings.kept_as(self.dtype, retrieval.normalised(self.filter(x))) for x in blocks])
        return pa.FixedSizeListArray.from_arrays(pa.array(x_ND.ravel()), self.dim)

    @cached_property
    def _lens(self) -> TokenLens | None:
        if self.sparse is None:
            return None
        return TokenLens(
            self.encoder.unembedding(),
            self.filter,
            vocabulary=Vocabulary.of(self.encoder.tokens(), self.sparse.stem),
            bias=self.encoder.unembedding_bias(),
            weighting=self.sparse.weighting,
            unit=self.sparse.scale == "unit",
        )

    @cached_property
    def _names(self) -> NDArray[Any]:
        return np.array(self._lens.vocabulary.names if self._lens else (), dtype=object)


def _lists(found: list[Impacts], names: NDArray[Any]) -> list[pa.Array]:
    import pyarrow as pa

    counts = np.concatenate([np.diff(part.indptr) for part in found])
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))
    tokens = pa.array(names[np.concatenate([part.token_ids for part in found])], pa.string())
    weights = pa.array(np.concatenate([part.values for part in found]))
    return [pa.ListArray.from_arrays(offsets, tokens), pa.ListArray.from_arrays(offsets, weights)]
