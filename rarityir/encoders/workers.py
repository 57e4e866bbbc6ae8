"""A corpus read by all cores or all GPUs: the main process tokenises ahead and batches, workers run the model.

Batches are cut from windows of documents, in an order that the documents and the token budget alone decide, and a CPU's
worker computes in one thread: so the same documents give the same bytes whatever the number of workers.

On a CPU workers are forks, which share the weights that are loaded already; on GPUs each starts anew and loads its own. A
worker ends as soon as its pipe is closed, however the main process ended, so none is ever left behind.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from multiprocessing.connection import Connection, wait
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rarityir.encoders import forward
from rarityir.encoders.batching import ahead, batches
from rarityir.encoders.prompts import Templated
from rarityir.machine import cores
from rarityir.types import Floats, RarityError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rarityir.encoders.hf import HFEncoder

FEW = 512  # documents for which no worker is started unasked
AHEAD = 2  # batches a worker is given before it has returned the first


class Window(NamedTuple):
    """Documents that are batched together, and which of them (N,) are still to be read."""

    number: int
    texts: list[str]
    wanted: NDArray[np.bool_]


class Piece(NamedTuple):
    """The (B, D) embeddings of some rows of a window, the tokens read for them, and how often their batch was halved."""

    window: int
    rows: list[int]
    embeddings: Floats
    tokens: int
    halved: int


class Batch(NamedTuple):
    """Rows of a window and how they are laid out."""

    window: int
    rows: list[int]
    sequences: list[Templated]


Read = Callable[[Iterable[Window]], Iterator[Piece]]


def worker_count(encoder: HFEncoder, documents: int) -> int:
    """Returns how many workers read so many documents; `RarityError` for more than there can be."""
    wanted, there, what = encoder.execution.workers, 1, "process here"
    if encoder.torch_device == "cpu" and sys.platform == "linux":
        there, what = max(wanted, cores()), "processes"
    elif encoder.torch_device == "cuda":
        import torch

        there, what = torch.cuda.device_count(), f"GPU{'s' * (torch.cuda.device_count() != 1)}"
    if wanted > there:
        raise RarityError(f"{wanted} workers on {encoder.torch_device}, but {there} {what}; give --workers {there} or fewer")
    return wanted or (1 if documents <= FEW else there)


@contextmanager
def reading(encoder: HFEncoder, documents: int) -> Iterator[Read]:
    """Gives what reads windows of documents, by as many workers as the encoder asks for, and ends them afterwards.

    Pieces come in any order. Raises `RarityError` if a worker dies.
    """
    count = worker_count(encoder, documents)
    if count == 1:
        yield lambda windows: _here(encoder, cut(encoder, windows))
        return
    workers: list[tuple[Any, Connection]] = []
    try:
        for i in range(count):
            _start(encoder, i, workers)
        yield lambda windows: _crew(encoder, cut(encoder, windows), workers)
    finally:
        for _, pipe in workers:
            pipe.close()
        for process, _ in workers:
            process.join(5)
            if process.is_alive():
                process.kill()
                process.join()


def cut(encoder: HFEncoder, windows: Iterable[Window]) -> Iterator[Batch]:
    """Yields the batches of each window that hold a wanted document; the window after is tokenised meanwhile."""
    laid_out = ((window, encoder.lay_out(window.texts)) for window in windows)
    for window, sequences in ahead(laid_out):
        for rows in batches([len(s.ids) for s in sequences], encoder.budget):
            if window.wanted[rows].any():
                yield Batch(window.number, rows, [sequences[i] for i in rows])


def _here(encoder: HFEncoder, given: Iterator[Batch]) -> Iterator[Piece]:
    """Reads in this process. On a GPU the next batch is under way before the results of one are fetched."""
    before: Callable[[], Piece] | None = None
    while True:
        batch = next(given, None)
        with forward.one_thread(encoder.torch_device):  # not while the caller has its turn
            after = None if batch is None else _launched(encoder, batch)
            piece = before() if before else None
        if piece is not None:
            yield piece
        if after is None:
            return
        before = after


def _launched(encoder: HFEncoder, batch: Batch) -> Callable[[], Piece]:
    parts = encoder.launch(batch.sequences)

    def fetched() -> Piece:
        x_BD = np.concatenate([encoder.fetch(part) for part in parts])
        return Piece(batch.window, batch.rows, x_BD, sum(len(s.ids) for s in batch.sequences), len(parts) - 1)

    return fetched


def _start(encoder: HFEncoder, i: int, workers: list[tuple[Any, Connection]]) -> None:
    ours, theirs = multiprocessing.Pipe()
    if encoder.torch_device == "cpu":
        # A fork holds copies of the pipes of the workers before it; they must not outlive the main process in it.
        inherited = [ours, *(pipe for _, pipe in workers)]
        process: Any = multiprocessing.get_context("fork").Process(target=_serve, args=(encoder, theirs, inherited), daemon=True)
    else:
        fresh = dataclasses.replace(encoder, device=f"cuda:{i}")  # without the model that this process may have loaded
        process = multiprocessing.get_context("spawn").Process(target=_serve, args=(fresh, theirs, []), daemon=True)
    with nullcontext() if encoder.torch_device == "cpu" or type(encoder).__module__ == "__main__" else _without_script():
        process.start()
    theirs.close()
    workers.append((process, ours))


@contextmanager
def _without_script() -> Iterator[None]:
    """Hides the user's script from what is spawned, which needs nothing of it.

    Else each worker runs it first, and where no `if __name__ == "__main__"` guards it begins to encode again and waits for the
    folder that this process holds.
    """
    script = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script


def _crew(encoder: HFEncoder, given: Iterator[Batch], workers: list[tuple[Any, Connection]]) -> Iterator[Piece]:
    pipes = [pipe for _, pipe in workers]
    under_way = dict.fromkeys(pipes, 0)
    try:
        for _ in range(AHEAD):
            for pipe in pipes:
                under_way[pipe] += _give(pipe, given)
        while sum(under_way.values()):
            ready = wait([pipe for pipe, count in under_way.items() if count])
            for pipe in (pipe for pipe in under_way if pipe in ready):
                found = pipe.recv()
                if isinstance(found, str):
                    raise RarityError(found)
                under_way[pipe] += _give(pipe, given) - 1
                yield found
    except (EOFError, ConnectionError):
        raise RarityError(
            f"a worker of {encoder.name} ended{_how([process for process, _ in workers])}; what is encoded stays: "
            "give the command again, with fewer --workers"
        ) from None


def _give(pipe: Connection, given: Iterator[Batch]) -> int:
    batch = next(given, None)
    pipe.send(batch)  # None: there is no more, so what is under way is to be returned
    return batch is not None


def _how(processes: list[Any]) -> str:
    """How the first of them that is gone within a second ended; nothing where none is."""
    gone = wait([process.sentinel for process in processes], 1)
    ended = next((process for process in processes if process.sentinel in gone), None)
    if ended is None:
        return ""
    ended.join(1)
    code = ended.exitcode or 0
    return f" with {f'signal {-code}' if code < 0 else f'status {code}'} (9 is often a lack of memory)"


def _serve(encoder: HFEncoder, pipe: Connection, inherited: list[Connection]) -> None:
    """A worker's life: batches in, pieces out, until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process decides what Ctrl-C means
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for other in inherited:
        other.close()
    given: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
    threading.Thread(target=partial(_listen, pipe, given), daemon=True).start()
    try:
        while True:  # a reading after the other
            for piece in _here(encoder, iter(given.get, None)):
                pipe.send(piece)
    except RarityError as error:
        pipe.send(str(error))
    except ConnectionError:  # the main process is gone
        os._exit(0)
    threading.Event().wait()  # until the pipe is closed


def _listen(pipe: Connection, given: queue.SimpleQueue[Batch | None]) -> None:
    """Takes batches off the pipe at once, so that neither side ever waits for the other with a full pipe."""
    try:
        while True:
            given.put(pipe.recv())
    except (EOFError, OSError):
        os._exit(0)
