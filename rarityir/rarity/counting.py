"""One pass over a dataset's documents that counts tokens by several processes, and goes on where it was stopped.

Documents are cut into chunks by the documents alone, and a chunk's counts are integers that add up in any order: so the sums
are the same whatever the number of processes and however often the pass was stopped.
"""

from __future__ import annotations

import hashlib
import itertools
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rarityir import checkpoints, progress
from rarityir.machine import cores
from rarityir.rarity.tokenizing import Encode
from rarityir.types import BadInput, Dataset, Ints, RarityError, StaleArtefact

DOCUMENTS, CHARACTERS = 1024, 2**20  # after which a chunk ends, whichever comes first
FEW = 2048  # documents for which no process is started unasked
KEEP_SECONDS = 10.0  # what a kill costs at most
ROWS = ("df", "cf", "squares", "df2")


class Tally(NamedTuple):
    """The counts (4, U) of U tokens in some documents, in the order of `ROWS`."""

    token_ids: Ints
    counts: Ints


class Chunk(NamedTuple):
    """Documents that follow one another in a corpus, and the SHA-256 over their ids and texts."""

    number: int
    first: int
    texts: list[str]
    digest: bytes


def tally(found: Sequence[Sequence[int]]) -> Tally:
    """Counts documents given as token ids: in how many each token is, how often, Σ tf², and in how many twice or more."""
    lengths = np.fromiter(map(len, found), np.int64, len(found))
    ids_T = np.fromiter(itertools.chain.from_iterable(found), np.int64, int(lengths.sum()))
    if not len(ids_T):
        return Tally(ids_T, np.zeros((4, 0), np.int64))
    if ids_T.min() < 0:
        raise RarityError(f"the tokenizer gives the id {ids_T.min()}; ids are 0 or more")
    width = int(ids_T.max()) + 1
    pairs, tf = np.unique(np.repeat(np.arange(len(found)), lengths) * width + ids_T, return_counts=True)
    token_ids, place = np.unique(pairs % width, return_inverse=True)
    # Weighted counts are float64, and whole numbers up to 2⁵³ are exact in it: far more than a chunk holds.
    rows = [np.bincount(place), *(np.bincount(place, weight) for weight in (tf, tf * tf, tf > 1))]
    return Tally(token_ids, np.stack([row.astype(np.int64) for row in rows]))


@dataclass
class Sums:
    """Counts (4, V) so far, and the digest of each chunk that they hold; V grows with the ids where it is not fixed."""

    counts: Ints
    fixed: bool
    chunks: dict[int, bytes] = field(default_factory=dict)
    kept: float = field(default_factory=time.monotonic)

    @classmethod
    def found(cls, path: Path | None, vocabulary: int) -> Sums:
        """Returns what an earlier, stopped pass kept, or nothing counted; `StaleArtefact` for a file that is not whole."""
        self = cls(np.zeros((4, vocabulary), np.int64), vocabulary > 0)
        if path is not None and path.exists():
            try:
                kept = checkpoints.read_tensors(path)
                counts, numbers, digests = kept["counts"], kept["numbers"], kept["digests"]
                if kept["check"].tobytes() != _check(counts, numbers, digests):
                    raise ValueError("checksum differs")
            except (ValueError, KeyError) as error:
                raise StaleArtefact(
                    f"{path} is corrupt ({error}); remove the folder to count anew: rm -r {path.parent}"
                ) from None
            self.counts = counts.astype(np.int64)
            self.chunks = {int(n): digest.tobytes() for n, digest in zip(numbers, digests, strict=True)}
        return self

    def take(self, chunk: Chunk, found: Tally) -> None:
        """Adds a chunk's counts; ids beyond a fixed vocabulary are left out."""
        token_ids, counts = found
        width = self.counts.shape[1]
        if self.fixed:
            inside = token_ids < width
            token_ids, counts = token_ids[inside], counts[:, inside]
        elif len(token_ids) and token_ids[-1] >= width:
            self.counts = np.pad(self.counts, ((0, 0), (0, int(token_ids[-1]) + 1 - width)))
        self.counts[:, token_ids] += counts
        self.chunks[chunk.number] = chunk.digest

    def keep(self, path: Path | None) -> None:
        """Writes what has been counted so far, whole or not at all."""
        if path is not None:
            numbers = np.array(list(self.chunks), np.int64)
            digests = np.frombuffer(b"".join(self.chunks.values()), np.uint8).reshape(len(numbers), 32)
            check = np.frombuffer(_check(self.counts, numbers, digests), np.uint8)
            tensors = {"counts": self.counts, "numbers": numbers, "digests": digests, "check": check}
            checkpoints.write_tensors(path, tensors)
        self.kept = time.monotonic()


def count(
    dataset: Dataset, encode: Encode, vocabulary: int, *, limit: int = 0, workers: int = 0, journal: Path | None = None
) -> tuple[Ints, int, str]:
    """Returns the counts (4, V) of a dataset's documents in the order of `ROWS`, how many there are, and their SHA-256.

    `limit` takes the first documents only; `workers` 0 is one process a core. What has been counted is kept in `journal`
    every `KEEP_SECONDS`, and chunks found there are read, compared and not tokenised again. Raises `StaleArtefact` if they
    have other texts now, and `RarityError` if a worker dies.
    """
    sums = Sums.found(journal, vocabulary)
    read = _Reading(dataset, limit)
    total = dataset.docs_count if not limit else min(limit, dataset.docs_count or limit)
    with progress.bar("counting tokens", total) as advance:

        def wanted() -> Iterator[Chunk]:
            for chunk in read.chunks():
                known = sums.chunks.get(chunk.number)
                if known is None:
                    yield chunk
                elif known == chunk.digest:
                    advance(len(chunk.texts))
                else:
                    raise StaleArtefact(_changed(dataset, chunk, journal))

        try:
            for chunk, found in _tallies(wanted(), encode, process_count(workers, total)):
                sums.take(chunk, found)
                advance(len(chunk.texts))
                if time.monotonic() - sums.kept > KEEP_SECONDS:
                    sums.keep(journal)
        finally:
            sums.keep(journal)
    if not read.documents:
        raise BadInput(f"{dataset.name}: the corpus has no documents")
    if len(sums.chunks) != read.count:
        raise StaleArtefact(
            f"{dataset.name} has fewer documents now ({read.documents}) than were counted in {_folder(journal)}; remove it"
        )
    return sums.counts, read.documents, read.digest.hexdigest()


class _Reading:
    """A dataset's documents in chunks; how many there were and their digest once they are read."""

    def __init__(self, dataset: Dataset, limit: int) -> None:
        self.dataset, self.limit = dataset, limit
        self.documents, self.count, self.digest = 0, 0, hashlib.sha256()

    def chunks(self) -> Iterator[Chunk]:
        docs = iter(self.dataset.docs())
        for number in itertools.count():
            texts, size, own = [], 0, hashlib.sha256()
            for doc in itertools.islice(docs, DOCUMENTS if not self.limit else min(DOCUMENTS, self.limit - self.documents)):
                line = f"{doc.doc_id}\t{doc.text}\n".encode()
                self.digest.update(line)
                own.update(line)
                texts.append(doc.text)
                size += len(doc.text)
                if size >= CHARACTERS:
                    break
            if not texts:
                return
            self.documents, self.count = self.documents + len(texts), number + 1
            yield Chunk(number, self.documents - len(texts), texts, own.digest())


def process_count(workers: int, documents: int | None) -> int:
    """Returns how many processes count so many documents: as many as are asked for, else one a core, one for few documents."""
    if workers < 0:
        raise RarityError(f"{workers} workers cannot count; give 0 for one a core, or more")
    if sys.platform != "linux":  # a process that is started anew would not know a function given as tokenizer
        return 1
    few = documents is not None and documents <= FEW
    return workers or (1 if few else cores())


def _tallies(chunks: Iterator[Chunk], encode: Encode, workers: int) -> Iterator[tuple[Chunk, Tally]]:
    if workers == 1:
        for chunk in chunks:
            yield chunk, _tally(chunk, encode)
        return
    crew: dict[Connection, Any] = {}
    try:
        for _ in range(workers):
            _start(encode, crew)
        yield from _shared(chunks, crew)
    finally:
        for pipe in crew:
            pipe.close()
        for process in crew.values():
            process.join(5)
            if process.is_alive():
                process.kill()
                process.join()


def _tally(chunk: Chunk, encode: Encode) -> Tally:
    where = f"documents {chunk.first + 1} to {chunk.first + len(chunk.texts)}"
    try:
        found = encode(chunk.texts)
    except Exception as error:  # a tokenizer may raise anything
        raise RarityError(f"the tokenizer fails on {where} ({type(error).__name__}: {error})") from error
    if len(found) != len(chunk.texts):
        raise RarityError(f"the tokenizer gives {len(found)} lists of ids for {len(chunk.texts)} texts ({where})")
    return tally(found)


def _start(encode: Encode, crew: dict[Connection, Any]) -> None:
    ours, theirs = multiprocessing.Pipe()
    # A fork holds copies of the pipes of the processes before it; they must not outlive the main process in it.
    context = multiprocessing.get_context("fork")
    process = context.Process(target=_serve, args=(encode, theirs, [ours, *crew]), daemon=True)
    process.start()
    theirs.close()
    crew[ours] = process


def _shared(chunks: Iterator[Chunk], crew: dict[Connection, Any]) -> Iterator[tuple[Chunk, Tally]]:
    """Gives each idle process the next chunk, read ahead; a busy one gets none, so no pipe is ever full on both sides."""
    under_way: dict[Connection, Chunk] = {}
    upcoming = next(chunks, None)
    try:
        while upcoming or under_way:
            for pipe in crew:
                if upcoming and pipe not in under_way:
                    pipe.send(upcoming)
                    under_way[pipe] = upcoming
                    upcoming = next(chunks, None)
            ready = wait(list(under_way))
            for pipe in [pipe for pipe in crew if pipe in ready]:
                found = pipe.recv()
                if isinstance(found, str):
                    raise RarityError(found)
                yield under_way.pop(pipe), found
    except (EOFError, ConnectionError):
        raise RarityError(
            "a process that counts tokens has ended (a lack of memory ends them often); what is counted stays: "
            "give the command again, with fewer workers"
        ) from None


def _serve(encode: Encode, pipe: Connection, inherited: list[Connection]) -> None:
    """A process's life: chunks in, counts out, until the pipe is closed, however the main process ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process decides what Ctrl-C means
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the processes are the parallelism
    for other in inherited:
        other.close()
    try:
        while True:
            chunk = pipe.recv()
            try:
                pipe.send(_tally(chunk, encode))
            except RarityError as error:
                pipe.send(str(error))
    except (EOFError, OSError):
        os._exit(0)


def _check(*arrays: NDArray[Any]) -> bytes:
    total = hashlib.sha256()
    for array in arrays:
        total.update(np.ascontiguousarray(array).tobytes())
    return total.digest()


def _changed(dataset: Dataset, chunk: Chunk, journal: Path | None) -> str:
    where = f"documents {chunk.first + 1} to {chunk.first + len(chunk.texts)} of {dataset.name}"
    return f"{where} have changed since they were counted in {_folder(journal)}; remove it to count anew"


def _folder(journal: Path | None) -> str:
    return str(journal.parent) if journal else "memory"
