"""Ray loses its driver, then an actor: every document is there once, as one machine has it."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from tiny import STORIES

from rarityir import store
from rarityir.cli import cli
from rarityir.cluster import Encoded
from rarityir.cluster.on_ray import NORMS, WORK, _best, _context, _joined, _largest, placement
from rarityir.cluster.shards import matrix
from rarityir.encoders import load_encoder
from rarityir.indexes.dense import DenseIndex
from rarityir.tokens import TokenLens
from rarityir.types import RarityError, StaleArtefact

ray = pytest.importorskip("ray")
pytest.importorskip("ray.data")
pa = pytest.importorskip("pyarrow")

BLOCK, WINDOW, WINDOWS = 16, 4, 32
COMMAND = f"""
import json, sys
import rarityir.embeddings
rarityir.embeddings.BLOCK, rarityir.embeddings.WINDOW = {BLOCK}, {WINDOW}
from rarityir.cli import main
sys.exit(main(json.loads(sys.argv[1])))
"""
SEARCH = """
import sys
import numpy as np
from rarityir.cluster import Encoded, on_ray
on_ray.BYTES = 4 * 32 * 300  # blocks of 300 documents
folder, queries, out = sys.argv[1:]
hits = on_ray.search(Encoded.open(folder), np.load(queries), 50)
np.savez(out, rows=hits.rows, scores=hits.scores)
"""


class Processes:
    """Commands, and all that they start: what a killed one leaves behind becomes a child of this process."""

    def __init__(self) -> None:
        ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER
        settings = {"OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}
        self.environment = {**os.environ, **settings, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}

    def start(self, code: str, *argv: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", code, *argv]
        return subprocess.Popen(command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def alive(self, named: str = "") -> list[int]:
        parents, titles = {}, {}
        for path in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                state, parent = (path / "stat").read_text().rpartition(")")[2].split()[:2]
                if state != "Z":
                    parents[int(path.name)], titles[int(path.name)] = int(parent), (path / "cmdline").read_text()
        own = {os.getpid()}
        while more := {pid for pid, parent in parents.items() if parent in own and pid not in own}:
            own |= more
        return [pid for pid in own - {os.getpid()} if named in titles[pid]]

    def end(self) -> None:
        """Ends all of them, as a machine that is switched off does."""
        for _ in range(100):
            for pid in self.alive():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if not self.alive():
                return
            time.sleep(0.1)


@pytest.fixture
def processes() -> Iterator[Processes]:
    found = Processes()
    yield found
    found.end()


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 240
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def finished(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate()
    assert process.returncode == 0, err
    return out


@pytest.mark.usefixtures("one_thread")
def test_driver_and_actor_killed_and_every_document_is_there_once_as_on_one_machine(
    many: Path, one: Any, stories: str, tmp_path: Path, processes: Processes
) -> None:
    out = tmp_path / "out"
    given = ["--dataset", str(many), "--encoder", stories, "--indexes", str(tmp_path / "indexes"), "--filter", "edge:2"]
    argv = json.dumps(["-q", "encode", *given, "--sparse", "8", "--cluster", "local", "--out", str(out), "--json"])

    def written() -> dict[int, int]:
        """The files of windows that are finished: which, and when it was written."""
        done = {path.stem for path in (out / WORK / "finished").glob("*.parquet") if ".pending" not in path.name}
        files = (out / WORK / "written").glob("*.parquet")
        return {path.stat().st_ino: path.stat().st_mtime_ns for path in files if path.stem.rpartition("-")[0] in done}

    driver = processes.start(COMMAND, argv)
    wait_for(lambda: len(written()) >= 0.3 * WINDOWS, driver)
    driver.kill()
    driver.communicate()
    processes.end()
    kept = written()
    assert 0.3 * WINDOWS <= len(kept) < 0.6 * WINDOWS
    with pytest.raises(StaleArtefact, match="holds no complete embeddings"):
        Encoded.open(out)

    driver = processes.start(COMMAND, argv)
    wait_for(lambda: len(written()) >= 0.6 * WINDOWS, driver)
    actors = processes.alive("ray::MapWorker")
    assert actors
    os.kill(actors[0], signal.SIGKILL)
    assert len(written()) < WINDOWS
    facts = json.loads(finished(driver))
    assert (facts["documents"], facts["shards"], facts["dim"]) == (1990, WINDOWS, 32)

    found = Encoded.open(out)
    store.verify(out)
    assert kept.items() <= {path.stat().st_ino: path.stat().st_mtime_ns for path in found.paths}.items()
    ids, vectors = zip(*found)
    assert [i for block in ids for i in block] == list(one.corpus.doc_ids)
    assert np.concatenate(vectors).tobytes() == one.vectors.tobytes()
    weights = np.concatenate([batch.column("weights").flatten().to_numpy() for batch in found.batches()])
    lens = TokenLens(one.encoder, one.filter)
    blocks = [lens.align(one.raw[at : at + BLOCK], 8).values for at in range(0, 1990, BLOCK)]
    assert weights.tobytes() == np.concatenate(blocks).tobytes()
    assert not (out / WORK).exists()
    assert found.identity["encoder.revision"] == one.encoder.identity()["revision"]

    queries = one.encoder.encode_query(list(one.source.dataset.topics.values()))
    np.save(tmp_path / "queries.npy", queries)
    finished(processes.start(SEARCH, str(out), str(tmp_path / "queries.npy"), str(tmp_path / "hits.npz")))
    hits, dense = np.load(tmp_path / "hits.npz"), DenseIndex.open("", one.folder).search(found.unit(queries), 50)
    assert np.array_equal(hits["rows"], dense.rows)
    assert hits["scores"].tobytes() == dense.scores.tobytes()
    scores_QN = found.unit(queries).astype(np.float64) @ one.vectors.T.astype(np.float64)
    assert hits["scores"] == pytest.approx(np.take_along_axis(scores_QN, hits["rows"], 1), abs=1e-6)

    there, searching = ["--cluster", "local", "--encoded", str(out)], given[:-2]
    for more, name in (([], "one.trec"), (there, "cluster.trec")):
        argv = json.dumps(["-q", "search", "dense+edge:2", *searching, *more, "--cutoff", "50", "--out", str(tmp_path / name)])
        finished(processes.start(COMMAND, argv))
    assert len((tmp_path / "one.trec").read_text().splitlines()) > 50
    assert (tmp_path / "cluster.trec").read_bytes() == (tmp_path / "one.trec").read_bytes()
    for system, changed, error in (
        ("dense", [], "holds vectors of dense+edge:2, not of dense"),
        ("dense+edge:2", ["--pooling", "last"], "was made of something else: encoder.pooling"),
        ("dense+edge:2", there[:2], "go together"),
    ):
        argv = json.dumps(["-q", "search", system, *searching, *changed, *(there if "together" not in error else [])])
        wrong = processes.start(COMMAND, argv)
        assert error in " ".join(wrong.communicate()[1].split()), error
        assert wrong.returncode

    raw = bytearray(found.paths[2].read_bytes())
    at = raw.find(vectors[2][1].tobytes())
    raw[at] ^= 1  # in an embedding: Parquet has no checksum of it
    found.paths[2].write_bytes(raw)
    assert at > 0
    wrong = processes.start(SEARCH, str(out), str(tmp_path / "queries.npy"), str(tmp_path / "wrong.npz"))
    assert f"RarityError: {found.paths[2]} is corrupt (checksum differs)" in wrong.communicate()[1]
    assert wrong.returncode
    assert not (tmp_path / "wrong.npz").exists()


@pytest.mark.parametrize(
    ("there", "device", "workers", "expected"),
    [
        ({"CPU": 4.0}, "auto", 0, ("cpu", 2)),
        ({"CPU": 4.0}, "cpu", 1, ("cpu", 1)),
        ({"CPU": 18.0, "GPU": 4.0}, "auto", 0, ("cuda", 4)),
        ({"CPU": 4.0, "GPU": 4.0}, "cuda:1", 0, ("cuda", 2)),
        ({"CPU": 18.0, "GPU": 4.0}, "cpu", 0, ("cpu", 16)),
        ({"CPU": 4.0}, "cpu", 3, "3 workers on a cluster of 4 CPUs and 0 GPUs; it has room for 2"),
        ({"CPU": 1.0}, "auto", 0, "1 workers on a cluster of 1 CPUs and 0 GPUs; it has room for 0"),
        ({"CPU": 8.0}, "cuda", 0, "8 CPUs and 0 GPUs; it has room for 0"),
    ],
)
def test_actors_never_hold_every_cpu(
    one: Any, monkeypatch: pytest.MonkeyPatch, there: dict[str, float], device: str, workers: int, expected: Any
) -> None:
    monkeypatch.setattr(ray, "cluster_resources", lambda: there)
    encoder = load_encoder(str(STORIES), device=device, workers=workers)
    if isinstance(expected, str):
        with pytest.raises(RarityError, match=expected):
            placement(encoder)
    else:
        placed, actors = placement(encoder)
        assert (placed.device, actors) == expected


def test_the_command_says_what_goes_together(many: Path, stories: str, tmp_path: Path) -> None:
    run = CliRunner().invoke(cli, ["encode", "--dataset", str(many), "--cluster", "local"])
    assert run.exit_code == 2
    assert "--cluster needs --out" in run.output
    for option in (["--out", str(tmp_path)], ["--filter", "edge:2"], ["--sparse", "8"]):
        run = CliRunner().invoke(cli, ["encode", "--dataset", str(many), *option])
        assert run.exit_code == 2
        assert "--out, --filter and --sparse go with --cluster" in run.output
    assert not (tmp_path / "indexes").exists()


def test_what_a_worker_says_is_wrong_comes_out_as_it_said_it() -> None:
    told = "ray::MapWorker()\n  File x\nrarityir.types.RarityError: one text does not fit; lower --max-length\n\nThe above …"
    with pytest.raises(RarityError, match=r"^one text does not fit; lower --max-length$"), _context():
        raise ray.exceptions.RayError(told)
    with pytest.raises(ray.exceptions.RayError, match="out of disk"), _context():
        raise ray.exceptions.RayError("out of disk")


def test_settings_of_one_job_are_not_those_of_the_next(tmp_path: Path) -> None:
    context = ray.data.DataContext.get_current()
    before = context.target_max_block_size
    with _context(target_max_block_size=None) as changed:
        changed.checkpoint_config = {"id_column": "row", "checkpoint_path": str(tmp_path)}
        assert context.target_max_block_size is None
    assert (context.target_max_block_size, context.checkpoint_config) == (before, None)


def test_the_best_of_blocks_joined_are_the_best_of_all_the_earlier_of_equals_first(one: Any) -> None:
    found = SimpleNamespace(documents=matrix)
    q_QK = one.vectors[[3, 700]]
    parts = []
    for rows in np.array_split(np.arange(1990), 5)[::-1]:
        emb = pa.FixedSizeListArray.from_arrays(pa.array(one.vectors[rows].ravel()), one.vectors.shape[1])
        parts.append(_best(pa.table({"row": rows, "emb": emb}), found, q_QK, 20))
    for query in range(2):
        kept = [np.concatenate([part[name][part["query"] == query] for part in parts]) for name in ("query", "row", "score")]
        joined = _joined(dict(zip(("query", "row", "score"), kept, strict=True)), 20)
        dense = DenseIndex.open("", one.folder).search(q_QK[query : query + 1], 20)
        assert np.array_equal(joined["row"], dense.rows[0])
        assert joined["score"].tobytes() == dense.scores[0].tobytes()
        assert (np.diff(joined["score"]) == 0).any()


@pytest.mark.parametrize("count", [1, NORMS, 5 * NORMS + 3])
def test_the_largest_norm_is_found_without_a_copy_of_all_vectors(count: int) -> None:
    x_NK = np.random.default_rng(0).standard_normal((count, 64), np.float32)
    tracemalloc.start()
    found = _largest(x_NK)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == float(np.linalg.norm(x_NK.astype(np.float64), axis=1).max())
    assert most < 4 * 8 * 64 * NORMS
