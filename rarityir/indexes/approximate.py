"""FAISS's approximate indexes by name: `hnsw,32`, `ivf4096`, `ivf4096,pq64`, `ivf4096,sq8`, `pq64`, `sq8`.

Vectors lie on disk until the index is trained, on a sample drawn with a fixed seed, and are added in blocks of one size; so
what is built depends on the vectors and their order alone, not on the blocks they come in. The index itself is in memory.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rarityir import parsing, registry, store, unfinished
from rarityir.indexes.flat import write
from rarityir.indexes.topk import pad
from rarityir.types import Floats, Hits, Json, RarityError

EF, NPROBE, LINKS = 64, 32, 32
CODES = 256  # centroids of a byte of a product quantizer
FEWEST, MOST = 39, 256  # training vectors FAISS asks for, and takes, for a centroid
_FILE, _BLOCK, _SEED = "index.faiss", 1 << 14, 0
_KINDS = "hnsw,32; ivf4096; ivf4096,pq64; ivf4096,sq8; pq64; sq8; with ef= for hnsw, nprobe= for ivf"
log = logging.getLogger(__name__)


_COUNT = r"([1-9]\d{0,8})"
_FORM = re.compile(rf"(hnsw)(?:,?{_COUNT})?|(?=[ips])(?:ivf{_COUNT})?(?:(?:^|,)(?:(sq8)|pq{_COUNT}))?")


@dataclass(frozen=True)
class Kind:
    """An approximate index: links of a graph, or cells, and how a vector is coded; `ef` and `nprobe` are of searching alone."""

    links: int = 0  # of a node of the graph (HNSW), 0: no graph
    cells: int = 0  # of an inverted file, 0: none
    bytes: int = 0  # of a product quantizer's code, 0: none
    scalar: bool = False  # a byte a coordinate
    ef: int = EF
    nprobe: int = NPROBE

    @classmethod
    def parse(cls, arg: str) -> Kind:
        """Reads what follows `dense:`; what FAISS would not build is a `RarityError` of one line."""
        names = arg.split(",")
        given = [name for name in names if "=" in name]
        shape = ",".join(names[: len(names) - len(given)])
        match = _FORM.fullmatch(shape)
        if match is None or any("=" not in name for name in names[len(names) - len(given) :]):
            raise RarityError(f"dense:{arg}: unknown kind of index; known: flat (exact); {_KINDS}")
        option = "ef" if match[1] else "nprobe" if match[3] else ""
        if given and not option:
            raise RarityError(f"dense:{arg}: {shape} takes no options; ef= is of hnsw, nprobe= of ivf")
        values = registry.options(",".join(given), {option: int}, f"dense:{shape}") if given else {}
        if any(value < 1 for value in values.values()):
            raise RarityError(f"dense:{arg}: {option} must be at least 1")
        links = int(match[2] or LINKS) if match[1] else 0
        if links == 1:
            raise RarityError(f"dense:{arg}: a graph of 1 link a node does not hold together; write hnsw,{LINKS}")
        return cls(links, int(match[3] or 0), int(match[5] or 0), bool(match[4]), **values)

    @property
    def stored(self) -> str:
        """The kind as a name, without what searching alone depends on."""
        if self.links:
            return f"hnsw,{self.links}"
        code = "sq8" if self.scalar else f"pq{self.bytes}" if self.bytes else ""
        return ",".join(part for part in (f"ivf{self.cells}" if self.cells else "", code) if part)

    @property
    def factory(self) -> str:
        """FAISS's own name of the kind."""
        if self.links:
            return f"HNSW{self.links},Flat"
        code = "SQ8" if self.scalar else f"PQ{self.bytes}" if self.bytes else "Flat"
        return f"IVF{self.cells},{code}" if self.cells else code

    def check(self, documents: int, width: int) -> None:
        """Raises where this many documents of this width are too few or do not fit, and warns where they are few."""
        self.refuse(documents, width)
        if self.bytes and documents < FEWEST * CODES:
            log.warning("dense:%s: %d documents are few to learn from; FAISS asks for %d", self.stored, documents, FEWEST * CODES)

    def refuse(self, documents: int, width: int) -> None:
        """Raises where this many documents of this width are too few or do not fit."""
        where = f"dense:{self.stored}"
        if self.bytes and width % self.bytes:
            fitting = ", ".join(f"pq{n}" for n in range(width, 0, -1) if width % n == 0)
            raise RarityError(f"{where}: {self.bytes} bytes do not divide {width} coordinates; choose one of: {fitting}")
        if self.bytes and documents < CODES:
            raise RarityError(f"{where}: a product quantizer learns from {CODES} documents at least, not {documents}; use dense")
        if documents < FEWEST * self.cells:
            fewer = f"at most ivf{documents // FEWEST}" if documents >= FEWEST else "dense"
            raise RarityError(
                f"{where}: {self.cells} cells want {FEWEST * self.cells} documents ({FEWEST} each), not {documents}; use {fewer}"
            )


class FaissIndex:
    """An approximate index of FAISS; scores are its own, right as far as its code of a vector is."""

    def __init__(self, index: Any, kind: Kind) -> None:
        self._index, self._kind = index, kind

    @classmethod
    def build(cls, kind: Kind, blocks: Iterable[Floats], folder: Path) -> dict[str, Json]:
        """Writes the index of (n, K) blocks, which come in row order, and returns its facts."""
        import faiss

        path = unfinished.beside(folder / "vectors.npy")
        try:
            documents, width, _ = write(blocks, path)
            kind.check(documents, width)
            x_NK = parsing.array(path, mapped=True)
            index = faiss.index_factory(width, kind.factory, faiss.METRIC_INNER_PRODUCT)
            _train(index, kind, x_NK)
            with _threads(1 if kind.links else 0):  # a graph that threads grow together depends on who comes first
                for first in range(0, documents, _BLOCK):
                    index.add(np.ascontiguousarray(x_NK[first : first + _BLOCK]))
            with store.replacing(folder / _FILE) as temporary:
                faiss.write_index(index, str(temporary))
        finally:
            path.unlink(missing_ok=True)
        return {"dim": width, "bytes_per_doc": round((folder / _FILE).stat().st_size / documents, 1)}

    @classmethod
    def open(cls, kind: Kind, folder: Path) -> FaissIndex:
        """Reads a built index into memory."""
        import faiss

        try:
            return cls(faiss.read_index(str(folder / _FILE)), kind)
        except RuntimeError:
            raise RarityError(f"{folder / _FILE} is not a FAISS index; remove the folder: rm -r {folder}") from None

    def search(self, queries: Floats, cutoff: int) -> Hits:
        """Returns about the best `cutoff` rows of each (Q, K) query; of equal scores found the earlier row comes first."""
        import faiss

        parameters: Any = None
        if self._kind.links:
            parameters = faiss.SearchParametersHNSW(  # type: ignore[attr-defined]
                efSearch=max(self._kind.ef, cutoff)
            )
        elif self._kind.cells:
            parameters = faiss.SearchParametersIVF(nprobe=min(self._kind.nprobe, self._kind.cells))  # type: ignore[call-arg]
        q_QK = np.ascontiguousarray(queries, dtype=np.float32)
        scores_QD, rows_QD = self._index.search(q_QK, min(cutoff, self._index.ntotal), params=parameters)
        found = []
        for rows, scores in zip(rows_QD, scores_QD, strict=True):
            rows, scores = rows[rows >= 0], scores[rows >= 0]
            order = np.lexsort((rows, -scores))
            found.append((rows[order], scores[order]))
        return pad(found, cutoff)


def _train(index: Any, kind: Kind, x_NK: Floats) -> None:
    """Trains an index on as many vectors as its centroids take, drawn with a fixed seed."""
    if index.is_trained:
        return
    for clusters in (getattr(index, "cp", None), getattr(getattr(index, "pq", None), "cp", None)):
        if clusters is not None:
            clusters.seed, clusters.min_points_per_centroid = _SEED, 1  # few are told of by `check`, in one line
    sample = MOST * max(kind.cells, CODES)
    chosen = np.sort(np.random.default_rng(_SEED).permutation(len(x_NK))[:sample])
    index.train(np.ascontiguousarray(x_NK[chosen]))


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Lets FAISS use so many threads meanwhile; 0: as many as it does."""
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(count or before)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
