"""Raw document embeddings, block by block: kept under `indexes/<corpus>/<encoder>/embeddings`, resumed after a kill."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from rarityir import parsing, progress, store
from rarityir.corpus import Corpus
from rarityir.encoders.batching import Execution
from rarityir.encoders.forward import matmul_rate, one_thread
from rarityir.encoders.hf import HFEncoder
from rarityir.encoders.workers import Piece, Read, Window, worker_count
from rarityir.filters import EmbedFilter
from rarityir.systems import slug
from rarityir.types import Dataset, Encoder, Floats, Json, RarityError

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK = 512  # documents in a file
WINDOW = 8  # files whose documents are sorted by length and batched together
KEEP_SECONDS = 30.0  # after which what has come of a window is kept: what a kill costs at most
log = logging.getLogger(__name__)


@dataclass
class Unfinished:
    """A window whose embeddings (N, D) come in piece by piece; what has come is kept on disk every KEEP_SECONDS."""

    paths: tuple[Path, ...]
    block: int
    embeddings: NDArray[Any]
    done: NDArray[np.bool_]
    kept: float

    @classmethod
    def found(cls, paths: tuple[Path, ...], block: int, shape: tuple[int, int], dtype: np.dtype[Any]) -> Unfinished:
        """Returns the window as an earlier, stopped run left it, or an empty one."""
        self = cls(paths, block, np.zeros(shape, dtype), np.zeros(shape[0], bool), time.monotonic())
        if store.kept(self.journal):
            found = parsing.arrays(self.journal)
            self.embeddings[:], self.done[:] = found["embeddings"], found["done"]
        for i, path in enumerate(paths):
            if path.exists():
                rows = slice(i * block, (i + 1) * block)
                self.embeddings[rows], self.done[rows] = parsing.array(path), True
        return self

    @property
    def journal(self) -> Path:
        """Where the unfinished window is kept."""
        return _journal(self.paths)

    def take(self, rows: list[int], x_BD: Floats) -> int:
        """Takes some rows and returns how many of them are new; `RarityError` for a value too large for the store."""
        values_BD = kept_as(self.embeddings.dtype, x_BD)
        new = int((~self.done[rows]).sum())
        self.embeddings[rows], self.done[rows] = values_BD, True
        if time.monotonic() - self.kept > KEEP_SECONDS and not self.done.all():
            self.keep()
        return new

    def keep(self) -> None:
        """Writes what has come so far, whole or not at all."""
        with store.keeping(self.journal) as temporary, temporary.open("wb") as file:
            np.savez(file, embeddings=self.embeddings, done=self.done)
        self.kept = time.monotonic()

    def finish(self) -> None:
        """Writes the blocks that are not there yet, and drops what was kept of the window."""
        for i, path in enumerate(self.paths):
            if not path.exists():
                _write(path, self.embeddings[i * self.block : (i + 1) * self.block])
        self.journal.unlink(missing_ok=True)


class Speed:
    """Tokens a second since the first were read, and the share of the machine's measured matmul rate that they take.

    A token costs two operations a parameter of the layers; what attention adds is left out.
    """

    def __init__(self) -> None:
        self.started, self.tokens, self.operations, self.rate = time.monotonic(), 0, 0, 0.0

    def said(self) -> str:
        """Returns both as words; nothing where tokens are not counted."""
        if not self.tokens:
            return ""
        per_second = self.tokens / max(time.monotonic() - self.started, 1e-9)
        share = f", {per_second * self.operations / self.rate:.0%} of the matmul rate" if self.rate else ""
        return f"{per_second:,.0f} tokens/s{share}"


@dataclass(frozen=True)
class Blocks(Sequence[Path]):
    """The files of blocks, in row order; of millions of documents there are too many to be held by name."""

    folder: Path
    blocks: int

    def __len__(self) -> int:
        return self.blocks

    @overload
    def __getitem__(self, number: int) -> Path: ...
    @overload
    def __getitem__(self, number: slice) -> tuple[Path, ...]: ...
    def __getitem__(self, number: int | slice) -> Path | tuple[Path, ...]:
        at = range(self.blocks)[number]
        return self._path(at) if isinstance(at, int) else tuple(map(self._path, at))

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06d}.npy"


@dataclass(frozen=True)
class Embeddings:
    """The (N, D) float32 embeddings of a corpus in row order, block by block, memory-mapped unless stored as float16."""

    folder: Path
    paths: Blocks
    identity: dict[str, Json]
    seconds: float

    def __iter__(self) -> Iterator[Floats]:
        for path in self.paths:
            store.check(self.folder, path.name)
            yield _floats(path)


def identify(corpus: Corpus, encoder: Encoder, *, elsewhere: bool = False) -> dict[str, Json]:
    """Returns what stored embeddings depend on: the documents' digest, the encoder's identity, the type they are kept in.

    Its arithmetic is its device's: one that is not here is a `RarityError`, unless documents are read `elsewhere`, and not
    taken for another encoder than what is there was built with.
    """
    if isinstance(encoder, HFEncoder) and not elsewhere:
        encoder.check_device()
    facts = {"documents": corpus.digest, "block": BLOCK, **{f"encoder.{k}": v for k, v in encoder.identity().items()}}
    return facts if store_dtype(encoder) == "float32" else {**facts, "store_dtype": store_dtype(encoder)}


def embed(dataset: Dataset, corpus: Corpus, encoder: Encoder) -> Embeddings:
    """Returns the corpus's embeddings, encoding only the blocks that are not there yet."""
    folder = corpus.folder / slug(encoder.name) / "embeddings"
    identity = identify(corpus, encoder)
    count = len(corpus.doc_ids)
    paths = Blocks(folder, -(-count // BLOCK))
    facts: dict[str, Json] = {"documents": count, "dim": encoder.dim}
    with store.building(folder, identity, facts) as needed:
        if needed:
            _encode(dataset, encoder, paths, count)
    return _complete(folder, paths, identity)


def take(corpus: Corpus, encoder: Encoder, made: Iterable[Floats], seconds: float) -> Embeddings:
    """Keeps embeddings that were made elsewhere as `embed` keeps its own, which then has nothing to encode.

    Args:
        corpus: the documents, whose rows they are.
        encoder: what made them; that it did is the caller's to see to.
        made: raw (n, D) float32 matrices in the order of rows, n a multiple of BLOCK but in the last.
        seconds: what making them took.

    Blocks that are there stay. Raises `RarityError` where there are more or fewer rows than documents.
    """
    folder, identity, count = corpus.folder / slug(encoder.name) / "embeddings", identify(corpus, encoder), len(corpus.doc_ids)
    paths = Blocks(folder, -(-count // BLOCK))
    facts: dict[str, Json] = {"documents": count, "dim": encoder.dim, "build_seconds": seconds}
    with store.building(folder, identity, facts) as needed:
        if needed:
            _keep(paths, made, (count, encoder.dim), store_dtype(encoder))
            for journal in folder.glob("*.unfinished.npz"):  # of an encoding here that was stopped
                journal.unlink()
    return _complete(folder, paths, identity)


def read_window(encoder: Encoder, texts: list[str]) -> Floats:
    """Returns the (N, D) float32 embeddings of WINDOW * BLOCK documents, the last window's fewer, to the bits that `embed` has.

    An `HFEncoder` must be one of a single worker.
    """
    window = Window(0, texts, np.ones(len(texts), bool))
    out = np.empty((len(texts), encoder.dim), np.float32)
    reading = encoder.reading(len(texts)) if isinstance(encoder, HFEncoder) else nullcontext(partial(_block_by_block, encoder))
    with reading as read:
        for piece in read([window]):
            out[piece.rows] = piece.embeddings
    return out


def kept_as(dtype: Any, x_BD: Floats) -> NDArray[Any]:
    """Returns embeddings in the type that they are kept in; `RarityError` for a value too large for it."""
    with np.errstate(over="ignore"):
        values_BD: NDArray[Any] = x_BD.astype(dtype)
    if not np.isfinite(values_BD).all():
        raise RarityError(f"an embedding holds {abs(x_BD).max():.3g}, too large for float16; use --store-dtype float32")
    return values_BD


def filtered(folder: Path, chosen: EmbedFilter, out: Path) -> dict[str, Json]:
    """Writes a folder of raw embeddings through a filter, block by block, and returns the new folder's facts.

    What was stopped goes on where it was. Raises `RarityError`, naming both models, if the filter was fitted on another
    model than the embeddings are of.
    """
    try:
        if not (folder / store.MANIFEST).is_file():
            raise FileNotFoundError
        stored = store.described(folder)
        identity, count = dict(stored["identity"]), int(stored["facts"]["documents"])
        names = sorted(name for name in stored["files"] if name.endswith(".npy"))
    except parsing.BROKEN:
        raise RarityError(f"{folder} holds no complete embeddings; make them with rarityir encode") from None
    fitted, given = chosen.fitted_on.get("revision"), identity.get("encoder.revision")
    if fitted is not None and fitted != given:
        raise RarityError(
            f"filter {chosen.name} was fitted on {chosen.fitted_on.get('model')} ({fitted[:12]}), "
            f"these embeddings are of {identity.get('encoder.model')} ({str(given)[:12]}); fit it on that model"
        )
    pooled = chosen.fitted_on.get("documents", {}).get("pooling")
    if pooled not in (None, identity.get("encoder.pooling")):
        raise RarityError(
            f"filter {chosen.name} was fitted on embeddings pooled by {pooled}, these are by {identity.get('encoder.pooling')}"
        )
    facts: dict[str, Json] = {"documents": count, "dim": len(chosen.basis)}
    with store.building(out, {**identity, "filter": chosen.name, "filter_sha256": chosen.digest}, facts) as needed:
        if needed:
            with progress.bar(f"filtering with {chosen.name}", len(names)) as advance:
                for name in names:
                    if not store.kept(out / name):
                        store.check(folder, name)
                        with store.keeping(out / name) as temporary, temporary.open("wb") as file:
                            np.save(file, chosen(_floats(folder / name)))
                    advance(1)
    return {"folder": str(out), **facts}


def _floats(path: Path) -> Floats:
    x_ND: Floats = parsing.array(path, mapped=True)
    return x_ND if x_ND.dtype == np.float32 else x_ND.astype(np.float32)


def store_dtype(encoder: Encoder) -> str:
    """Returns the type that an encoder's embeddings are kept in."""
    return getattr(encoder, "execution", Execution()).store_dtype


def _encode(dataset: Dataset, encoder: Encoder, paths: Blocks, count: int) -> None:
    there = min(count, sum(store.kept(path) for path in paths) * BLOCK)
    if there:
        log.info("resuming: %d of %d documents are encoded", there, count)
    started, speed, halved, new = time.monotonic(), Speed(), 0, 0
    opened: dict[int, Unfinished] = {}
    with _reading(encoder, count - there, speed) as read:
        try:
            with progress.bar(f"encoding with {encoder.name}", count, there, speed.said) as advance:
                for piece in read(_windows(dataset, encoder, paths, opened)):
                    speed.tokens += piece.tokens
                    halved += piece.halved
                    taken = opened[piece.window].take(piece.rows, piece.embeddings)
                    new += taken
                    advance(taken)
                    if opened[piece.window].done.all():
                        opened.pop(piece.window).finish()
        finally:
            for unfinished in opened.values():
                unfinished.keep()
    if halved:
        log.warning("batches did not fit in memory and were halved %d times; a lower --batch-tokens saves that", halved)
    log.info("encoded %d documents in %.1f s (%s)", new, time.monotonic() - started, speed.said())


def _windows(dataset: Dataset, encoder: Encoder, paths: Blocks, opened: dict[int, Unfinished]) -> Iterator[Window]:
    """The windows that lack a block, each opened as it is given out."""
    docs = dataset.docs()
    dtype = np.dtype(store_dtype(encoder))
    for number, first in enumerate(range(0, len(paths), WINDOW)):
        texts = [doc.text for doc in islice(docs, WINDOW * BLOCK)]
        blocks = paths[first : first + WINDOW]
        if all(path.exists() for path in blocks):
            _journal(blocks).unlink(missing_ok=True)  # a kill fell between the last block and this
            continue
        opened[number] = Unfinished.found(blocks, BLOCK, (len(texts), encoder.dim), dtype)
        yield Window(number, texts, ~opened[number].done)


def _keep(paths: Blocks, made: Iterable[Floats], shape: tuple[int, int], dtype: str) -> None:
    """Writes matrices that are (N, D) together, block by block."""
    there = 0
    with progress.bar("taking embeddings over", shape[0]) as advance:
        for x_ND in made:
            if there % BLOCK or x_ND.shape[1] != shape[1] or there + len(x_ND) > shape[0]:
                raise RarityError(f"embeddings {x_ND.shape} from row {there} on are no part of {shape}")
            for start in range(0, len(x_ND), BLOCK):
                if not store.kept(path := paths[(there + start) // BLOCK]):
                    _write(path, kept_as(dtype, x_ND[start : start + BLOCK]))
            there += len(x_ND)
            advance(len(x_ND))
    if there != shape[0]:
        raise RarityError(f"{there} embeddings of {shape[0]} documents")


def _complete(folder: Path, paths: Blocks, identity: dict[str, Json]) -> Embeddings:
    found = store.manifest(folder, identity)
    return Embeddings(folder, paths, identity, float(found["facts"]["build_seconds"]) if found else 0.0)


def _write(path: Path, values_BD: NDArray[Any]) -> None:
    with store.keeping(path) as temporary, temporary.open("wb") as file:
        np.save(file, values_BD)


def _journal(paths: tuple[Path, ...]) -> Path:
    return paths[0].with_suffix(".unfinished.npz")


@contextmanager
def _reading(encoder: Encoder, documents: int, speed: Speed) -> Iterator[Read]:
    """What reads windows with an encoder: by its own workers where it has some, block by block where not."""
    if not isinstance(encoder, HFEncoder):
        yield lambda windows: _block_by_block(encoder, windows)
        return
    with encoder.reading(documents) as read:
        if sys.stderr.isatty() or log.isEnabledFor(logging.INFO):
            speed.operations = encoder.operations()
            with one_thread(encoder.torch_device):
                speed.rate = matmul_rate(encoder.torch_device, encoder.arithmetic) * worker_count(encoder, documents)
        yield read


def _block_by_block(encoder: Encoder, windows: Iterable[Window]) -> Iterator[Piece]:
    for window in windows:
        for start in range(0, len(window.texts), BLOCK):
            rows = list(range(start, min(start + BLOCK, len(window.texts))))
            if window.wanted[rows].any():
                yield Piece(window.number, rows, encoder.encode_document([window.texts[i] for i in rows]), 0, 0)
