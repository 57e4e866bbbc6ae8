"""Encoding and exact search on Ray Data: actors hold the model, Ray schedules, restarts and resumes."""

from __future__ import annotations

import dataclasses
import logging
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rarityir import store
from rarityir.cluster.recipe import Recipe
from rarityir.cluster.shards import FILTER, SHARDS, Encoded, gather, stage
from rarityir.corpus import Corpus
from rarityir.filters import EmbedFilter
from rarityir.indexes.flat import FlatIndex
from rarityir.indexes.topk import pad
from rarityir.machine import cores
from rarityir.settings import ImpactSettings
from rarityir.types import Dataset, Floats, Hits, Json, MissingExtra, RarityError

if TYPE_CHECKING:
    import pyarrow as pa

WORK = "work"  # what is under way: staged documents, what Ray has written, which rows it has finished
BLOCK, BYTES = 1 << 16, 1 << 28  # documents searched at a time, and bytes of their float32 vectors, at most
NORMS = 4096  # documents whose norms are taken at a time, in float64
BESIDE = 2  # CPUs that no worker holds: one cuts the work into windows, one leaves out what is finished
SAID = re.compile(r"^rarityir\.types\.\w+: (.+)$", re.MULTILINE)


def encode(
    dataset: Dataset,
    corpus: Corpus,
    encoder: Any,
    out: Path,
    *,
    cluster: str = "local",
    filter: EmbedFilter | None = None,
    sparse: ImpactSettings | None = None,
) -> Encoded:
    """Encodes a corpus into the folder `out`, which every node must see under this name, and goes on where it was stopped.

    Args:
        cluster: `local` for this machine's cores or GPUs, `auto` for the cluster that this machine belongs to, or its address,
            `ray://host:port` where this machine is no node of it.
        filter: what embeddings are filtered with, and then brought to unit length; raw ones are written where there is none.
        sparse: how many tokens are read from each embedding, and how.
    """
    out = out.resolve()  # a cluster's processes have other working folders
    with connected(cluster):
        placed, actors = placement(encoder)
        recipe = Recipe.of(corpus, placed, filter, sparse)
        facts: dict[str, Json] = {"documents": recipe.documents, "dim": recipe.dim, "dtype": recipe.dtype, "workers": actors}
        with store.building(out, recipe.identity, facts) as needed:
            if needed:
                work = out / WORK
                windows = stage(dataset, recipe.documents, recipe.window, work / "documents")
                if filter:
                    filter.save(out / FILTER)
                _inside(cluster, _run, recipe, windows, work, actors)
                gather(work / "written", out / SHARDS, recipe.documents, recipe.window)
                shutil.rmtree(work)
    return Encoded.open(out)


def search(found: Encoded, queries: Floats, cutoff: int, *, cluster: str = "local") -> Hits:
    """Returns the best `cutoff` rows of each query, given as raw embeddings (Q, D), as a system `dense` ranks them.

    Every block of documents is searched exactly by inner product, and the best of all blocks are joined query by query.
    """
    q_QK = found.unit(queries)
    if not len(q_QK):
        return Hits(np.empty((0, 0), np.int64), np.empty((0, 0), np.float32))
    with connected(cluster):
        columns = _inside(cluster, _search, found, q_QK, cutoff)
    query, rows, scores = (np.concatenate([batch[name] for batch in columns]) for name in ("query", "row", "score"))
    order = np.lexsort((rows, -scores, query))
    ends = np.searchsorted(query[order], np.arange(1, len(q_QK)))
    return pad(list(zip(np.split(rows[order], ends), np.split(scores[order], ends), strict=True)), cutoff)


def _search(found: Encoded, q_QK: Floats, cutoff: int) -> list[dict[str, Any]]:
    import ray

    rows = max(1, min(BLOCK, BYTES // (4 * max(1, q_QK.shape[1]))))
    with _context():
        best = (
            ray.data.from_items([{"name": path.relative_to(found.folder).as_posix()} for path in found.paths])
            .map_batches(_whole, fn_args=(found.folder,), batch_size=1, batch_format="pyarrow")
            .map_batches(_best, fn_args=(found, q_QK, cutoff), batch_size=rows, batch_format="pyarrow")
            .groupby("query")
            .map_groups(_joined, fn_args=(cutoff,), batch_format="numpy")
        )
        return list(best.iter_batches(batch_size=None, batch_format="numpy"))


def _whole(names: pa.Table, folder: Path) -> pa.Table:
    """Reads shards, whose bytes a worker compares with their checksums first: Ray would tell of others by a traceback."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    named = names.column("name").to_pylist()
    store.check(folder, *named)
    return pa.concat_tables([pq.read_table(folder / name, columns=["row", "emb"]) for name in named])


def _best(block: pa.Table, found: Encoded, q_QK: Floats, cutoff: int) -> dict[str, Any]:
    x_NK = np.ascontiguousarray(found.documents(block.column("emb").combine_chunks()))
    hits = FlatIndex(x_NK, _largest(x_NK)).search(q_QK, cutoff)
    width = hits.rows.shape[1]
    row = block.column("row").to_numpy()[hits.rows.ravel()]
    return {"query": np.repeat(np.arange(len(q_QK)), width), "row": row, "score": hits.scores.ravel()}


def _largest(x_NK: Floats) -> float:
    """The largest norm of a row, without a float64 copy of all of them."""
    parts = (x_NK[at : at + NORMS].astype(np.float64) for at in range(0, len(x_NK), NORMS))
    return max(float(np.linalg.norm(part, axis=1).max()) for part in parts)


def _joined(group: dict[str, Any], cutoff: int) -> dict[str, Any]:
    kept = np.lexsort((group["row"], -group["score"]))[:cutoff]
    return {name: values[kept] for name, values in group.items()}


def check() -> None:
    """Raises `MissingExtra` where Ray is not installed."""
    if find_spec("ray") is None:
        raise MissingExtra("a cluster needs Ray: pip install 'rarityir[cluster]'")


@contextmanager
def connected(cluster: str) -> Iterator[None]:
    """Connects to a cluster, starting one on this machine for `local`; keeps a connection that there already is."""
    check()
    import ray

    if ray.is_initialized():
        yield
        return
    quiet = {"log_to_driver": False, "logging_level": "warning"}
    with redirect_stdout(sys.stderr):  # where Ray is to tell of workers that died, from the first on
        try:
            if cluster == "local":
                # More than there are cores: actors compute, what runs beside them hardly does.
                ray.init(address="local", num_cpus=cores() + BESIDE, include_dashboard=False, **quiet)
            else:
                ray.init(address=cluster, **quiet)
        except (ConnectionError, ValueError, RuntimeError) as error:
            told = str(error).splitlines()[0][:160]
            raise RarityError(f"no Ray cluster at {cluster} ({told}); start one, or use local") from None
        try:
            yield
        finally:
            ray.shutdown()


def placement(encoder: Any) -> tuple[Any, int]:
    """Returns the encoder as actors load it, with its device named, and how many actors there are.

    With every CPU of a cluster held by actors Ray waits forever for one to read with, and does not say so: some are left.
    """
    import ray

    there = ray.cluster_resources()
    cpus, gpus = int(there.get("CPU", 0)), int(there.get("GPU", 0))
    on_gpu = encoder.device.startswith("cuda") or (encoder.device == "auto" and gpus > 0)
    most = min(gpus, cpus - BESIDE) if on_gpu else cpus - BESIDE
    wanted = encoder.execution.workers or most
    if not 1 <= wanted <= most:
        raise RarityError(
            f"{max(1, wanted)} workers on a cluster of {cpus} CPUs and {gpus} GPUs; "
            f"it has room for {max(0, most)}, with {BESIDE} CPUs beside them"
        )
    return dataclasses.replace(encoder, device="cuda" if on_gpu else "cpu"), wanted


class Worker:
    """An actor: holds the model, reads staged windows and gives their embeddings."""

    def __init__(self, recipe: Recipe) -> None:
        recipe.check_process()
        self._recipe = recipe

    def __call__(self, windows: pa.Table) -> pa.Table:
        """Returns the embeddings of the windows that the table names."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        found = [pq.read_table(path).combine_chunks().to_batches()[0] for path in windows.column("path").to_pylist()]
        return pa.Table.from_batches([self._recipe.encode_batch(batch) for batch in found])


def _run(recipe: Recipe, windows: Path, work: Path, actors: int) -> None:
    """Encodes the windows whose rows no earlier run has finished."""
    import ray
    from ray.data.checkpoint import CheckpointConfig

    gpu = {"num_gpus": 1} if getattr(recipe.encoder, "device", "") == "cuda" else {}
    with _context(target_max_block_size=None) as context:  # a window is one block and one file, and finished as one
        context.checkpoint_config = CheckpointConfig("row", str(work / "finished"), delete_checkpoint_on_success=False)
        context.checkpoint_config.checkpoint_actor_pool_max_size = 1  # each would hold one CPU more
        (
            ray.data.read_parquet(str(windows), num_cpus=0)
            .repartition(target_num_rows_per_block=1)
            .map_batches(
                Worker,
                fn_constructor_args=(recipe,),
                compute=ray.data.ActorPoolStrategy(size=actors),
                batch_size=1,
                batch_format="pyarrow",
                num_cpus=1,
                **gpu,
            )
            .write_parquet(str(work / "written"), ray_remote_args={"num_cpus": 0}, compression="none")
        )


def _inside(cluster: str, job: Callable[..., Any], *args: Any) -> Any:
    """Returns what a job gives: where a client (`ray://`) asks, as a task of the cluster, because Ray Data must run on a node."""
    import ray

    if not cluster.startswith("ray://"):
        return job(*args)
    with _said():
        return ray.get(ray.remote(num_cpus=0)(job).remote(*args))


@contextmanager
def _said() -> Iterator[None]:
    """What a worker says is wrong comes out as it said it: Ray gives it as the text of its traceback."""
    import ray

    try:
        yield
    except ray.exceptions.RayError as error:
        told = SAID.search(str(error))
        if told is None:
            raise
        raise RarityError(told[1]) from None


@contextmanager
def _context(**changed: Any) -> Iterator[Any]:
    """Ray Data's settings for one job."""
    from ray.data import DataContext

    context = DataContext.get_current()
    names = (*changed, "checkpoint_config", "enable_progress_bars")
    before = {name: getattr(context, name) for name in names}
    context.enable_progress_bars = sys.stderr.isatty()
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    for name, value in changed.items():
        setattr(context, name, value)
    try:
        with _said():
            yield context
    finally:
        for name, value in before.items():
            setattr(context, name, value)
