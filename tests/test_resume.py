"""A kill at any moment costs only the work in hand: the same command goes on, and ends with the same bytes."""

from __future__ import annotations

import json
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import write_beir

from rarityir import embeddings, store
from rarityir.corpus import prepare
from rarityir.datasets import load_dataset
from rarityir.encoders.batching import Execution
from rarityir.types import RarityError, StaleArtefact

DOCUMENTS, BLOCKS = 2000, 32
WORDS = (
    "cat",
    "dog",
    "bird",
    "tree",
    "ball",
    "sun",
    "rain",
    "park",
    "boat",
    "fish",
    "moon",
    "star",
    "cake",
    "door",
    "rock",
    "leaf",
    "bear",
    "frog",
    "nest",
    "milk",
)
# Starting torch takes seconds and is not what is tested: one process imports it once and forks for each command.
# The fork is a process of its own, which is killed as any other. Small blocks, so that there are many of them.
LAUNCHER = """
import json, os, sys
import faiss, torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerFast
torch.set_num_threads(1)
import rarityir.embeddings
rarityir.embeddings.BLOCK, rarityir.embeddings.WINDOW, rarityir.embeddings.KEEP_SECONDS = 64, 4, 0.02
from rarityir.cli import main
print("ready", flush=True)
for line in sys.stdin:
    child = os.fork()
    if not child:
        os.dup2(2, 1)
        os._exit(main(json.loads(line)))
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
Launch = Callable[..., int]
INDEXES = {"index sparse:16+edge:2": ("sparse_16+edge_2", "filters"), "index dense": ("dense",)}  # command → what it builds


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = random.Random(0)
    docs = {f"d{i:05d}": ("", " ".join(rng.choices(WORDS, k=rng.randint(3, 7)))) for i in range(DOCUMENTS)}
    return write_beir(tmp_path_factory.mktemp("resume") / "many", docs, {"q1": "cat dog"}, {"q1": {"d00000": 1}})


@pytest.fixture(scope="module")
def launch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launch]:
    """Runs a command to its end, or kills it with signal 9 after some seconds or blocks; returns the exit status."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache"))}
    launcher = subprocess.Popen(
        [sys.executable, "-c", LAUNCHER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    assert launcher.stdin is not None
    assert launcher.stdout is not None
    assert launcher.stdout.readline() == "ready\n"

    def run(argv: list[str], kill_after: float | None = None, kill_at: int = 0) -> int:
        launcher.stdin.write(json.dumps(argv) + "\n")
        launcher.stdin.flush()
        child = int(launcher.stdout.readline())
        if kill_after is not None:
            started = time.monotonic()
            if kill_at:
                while len(blocks(Path(argv[-1]))) < kill_at and time.monotonic() - started < 60:
                    time.sleep(0.002)
            else:
                time.sleep(kill_after)
            with suppress(ProcessLookupError):  # it was faster
                os.kill(child, signal.SIGKILL)
        return int(launcher.stdout.readline())

    yield run
    launcher.kill()
    launcher.wait(30)


def command(name: str, dataset: Path, stories: str, indexes: Path) -> list[str]:
    return ["-q", *name.split(), "--dataset", str(dataset), "--encoder", stories, "--device", "cpu", "--indexes", str(indexes)]


def contents(indexes: Path) -> dict[str, object]:
    """Every file's bytes; a manifest without how long the building took."""
    found: dict[str, object] = {}
    for path in indexes.rglob("*"):
        if path.is_file() and path.name not in (".lock", "partial.json", store.PARTS):
            found[path.relative_to(indexes).as_posix()] = path.read_bytes()
        if path.name == "manifest.json":
            facts = json.loads(path.read_text())
            facts["facts"].pop("build_seconds")
            facts.pop("sha256")  # over those seconds too
            found[path.relative_to(indexes).as_posix()] = facts
    return found


def note(folder: Path) -> None:
    """Writes what a build that is under way has noted of its blocks."""
    lines = [f"{store.digest_file(path)}  {path.name}\n" for path in sorted(folder.glob("*.npy"))]
    (folder / store.PARTS).write_text("".join(lines))


def blocks(indexes: Path) -> dict[Path, tuple[int, int]]:
    """The finished blocks, with when each was written and as which file."""
    found = indexes.rglob("embeddings/??????.npy")
    return {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in found}


@pytest.fixture(scope="module")
def whole(
    dataset: Path, stories: str, launch: Launch, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path, dict[str, float]]:
    """What undisturbed commands build: all of it, the part that encoding builds, and the seconds each command took."""
    home = tmp_path_factory.mktemp("whole")
    seconds = {}
    for name in ("encode", *INDEXES):
        started = time.monotonic()
        assert launch(command(name, dataset, stories, home / "all")) == 0
        seconds[name] = time.monotonic() - started
        if name == "encode":
            shutil.copytree(home / "all", home / "encoded")
    assert len(blocks(home / "all")) == BLOCKS
    return home / "all", home / "encoded", seconds


def test_a_kill_at_any_moment_of_encoding_or_indexing_is_resumed_to_the_same_bytes(
    dataset: Path, stories: str, launch: Launch, whole: tuple[Path, Path, dict[str, float]], tmp_path: Path
) -> None:
    everything, encoded, seconds = whole
    expected = contents(everything)
    rng = random.Random(20240607)
    killed, resumed = 0, 0
    for number, name in enumerate(["encode"] * 4 + [*INDEXES] * 3):
        indexes, length = tmp_path / f"round{number}", seconds["encode"]
        if number >= 6:  # the documents are encoded already, so the indexing itself is killed
            shutil.copytree(encoded, indexes)
            length = seconds[name]
        argv = command(name, dataset, stories, indexes)
        moment = rng.uniform(0.05, 0.95) * length
        # Two kills are counted in blocks: how fast they come depends on what else the machine does.
        killed += launch(argv, moment, kill_at=rng.randint(1, BLOCKS // 2) if number in (1, 3) else 0) == -signal.SIGKILL
        there = blocks(indexes)
        resumed += 0 < len(there) < BLOCKS
        where = f"{name}, killed after {moment:.2f} s with {len(there)} blocks"
        assert launch(argv) == 0, where

        now = blocks(indexes)
        assert {path: now[path] for path in there} == there, where
        found = contents(indexes)
        parts = ("documents", "embeddings", *INDEXES.get(name, ()))
        wanted = {path for path in expected if any(f"/{part}/" in path for part in parts)}
        assert found.keys() == wanted, where
        assert found == {path: expected[path] for path in wanted}, where
    assert killed >= 6, "most kills came too late to test anything"
    assert resumed >= 2, "hardly a kill fell between two blocks"


def test_a_killed_encode_goes_on_with_its_blocks_after_what_is_of_no_use_was_freed(
    dataset: Path, stories: str, launch: Launch, whole: tuple[Path, Path, dict[str, float]], tmp_path: Path
) -> None:
    argv = command("encode", dataset, stories, tmp_path / "indexes")
    assert launch(argv, 0.0, kill_at=4) == -signal.SIGKILL
    there = blocks(tmp_path / "indexes")
    assert len(there) >= 4
    assert launch(["clean", "--yes", "--indexes", str(tmp_path / "indexes")]) == 0
    assert blocks(tmp_path / "indexes") == there
    assert launch(argv) == 0
    now = blocks(tmp_path / "indexes")
    assert {path: now[path] for path in there} == there
    assert contents(tmp_path / "indexes") == contents(whole[1])


def test_one_worker_and_three_write_the_same_bytes(
    dataset: Path, stories: str, launch: Launch, whole: tuple[Path, Path, dict[str, float]], tmp_path: Path
) -> None:
    for workers in ("1", "3"):
        assert launch([*command("encode", dataset, stories, tmp_path / workers), "--workers", workers]) == 0
        assert contents(tmp_path / workers) == contents(whole[1])


class Interrupted:
    """An encoder whose texts count, and which is stopped once after some batches."""

    name = model = "counted"
    dim = 3

    def __init__(self, stop: int | None, largest: float = 1.0, **execution: Any) -> None:
        self.stop, self.largest, self.read, self.execution = stop, largest, 0, Execution(**execution)

    def identity(self) -> dict[str, str]:
        return {"model": "counted"}

    def encode_document(self, texts: list[str]) -> np.ndarray:
        if self.read == self.stop:
            raise KeyboardInterrupt
        self.read += 1
        return np.array([[len(text), 0.1, self.largest] for text in texts], np.float32)


def test_what_was_read_of_a_window_is_kept_when_reading_stops(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(embeddings, "BLOCK", 64)
    data = load_dataset(str(dataset))
    corpus = prepare(data, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        embeddings.embed(data, corpus, Interrupted(11))
    folder = tmp_path / corpus.folder.name / "counted" / "embeddings"
    assert len(list(folder.glob("??????.npy"))) == 8  # the first window; three blocks of the second are kept beside it
    again = Interrupted(None)
    with caplog.at_level(logging.INFO, "rarityir"):
        found = np.concatenate(list(embeddings.embed(data, corpus, again)))
    assert again.read == BLOCKS - 11
    assert f"encoded {DOCUMENTS - 11 * 64} documents" in caplog.text
    assert found[:, 0].tolist() == [len(doc.text) for doc in data.docs()]
    assert not list(folder.glob("*.npz"))


@pytest.mark.parametrize("part", ["000000.npy", "000008.unfinished.npz"])
def test_a_part_of_a_stopped_build_that_was_damaged_since_is_made_again(
    part: str, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(embeddings, "BLOCK", 64)
    data = load_dataset(str(dataset))
    corpus = prepare(data, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        embeddings.embed(data, corpus, Interrupted(11))
    damaged = tmp_path / corpus.folder.name / "counted" / "embeddings" / part
    held = bytearray(damaged.read_bytes())
    held[len(held) // 2] ^= 1
    damaged.write_bytes(held)
    again = Interrupted(None)
    found = np.concatenate(list(embeddings.embed(data, corpus, again)))
    assert again.read == BLOCKS - 11 + (3 if part.endswith("npz") else 1)
    assert f"{part} is damaged" in caplog.text
    assert found[:, 0].tolist() == [len(doc.text) for doc in data.docs()]


def test_what_was_kept_of_a_window_that_is_whole_goes(dataset: Path, tmp_path: Path) -> None:
    data = load_dataset(str(dataset))
    corpus = prepare(data, tmp_path)
    folder = embeddings.embed(data, corpus, Interrupted(None)).folder
    whole = contents(folder)
    note(folder)
    (folder / store.MANIFEST).unlink()  # as a kill leaves it that falls between the last block and what was kept
    store.write_json(folder / store.PARTIAL, embeddings.identify(corpus, Interrupted(None)))
    (folder / "000000.unfinished.npz").touch()
    again = Interrupted(None)
    embeddings.embed(data, corpus, again)
    assert again.read == 0
    assert contents(folder) == whole


def test_embeddings_stored_as_float16_are_read_as_float32_and_are_another_store(dataset: Path, tmp_path: Path) -> None:
    data = load_dataset(str(dataset))
    corpus = prepare(data, tmp_path)
    half = embeddings.embed(data, corpus, Interrupted(None, store_dtype="float16"))
    assert {np.load(path).dtype for path in half.paths} == {np.dtype(np.float16)}
    assert {x_ND.dtype for x_ND in half} == {np.dtype(np.float32)}
    assert next(iter(half))[0, 1] == np.float32(np.float16(0.1))
    with pytest.raises(StaleArtefact, match="store_dtype"):
        embeddings.embed(data, corpus, Interrupted(None))
    shutil.rmtree(half.folder)
    with pytest.raises(RarityError, match=r"holds 7e\+04, too large for float16; use --store-dtype float32"):
        embeddings.embed(data, corpus, Interrupted(None, 70_000.0, store_dtype="float16"))


def test_a_finished_command_given_again_writes_nothing(
    dataset: Path, stories: str, launch: Launch, whole: tuple[Path, Path, dict[str, float]], tmp_path: Path
) -> None:
    shutil.copytree(whole[0], tmp_path / "indexes")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file() and path.name != ".lock"}
    for name in ("encode", "index dense"):
        assert launch(command(name, dataset, stories, tmp_path / "indexes")) == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file() and path.name != ".lock"} == before


def test_a_block_that_a_kill_left_half_written_is_never_taken_for_a_whole_one(
    dataset: Path, stories: str, launch: Launch, whole: tuple[Path, Path, dict[str, float]], tmp_path: Path
) -> None:
    indexes = tmp_path / "indexes"
    shutil.copytree(whole[1], indexes)
    (manifest,) = indexes.rglob("embeddings/manifest.json")
    identity = json.loads(manifest.read_text())["identity"]
    note(manifest.parent)
    # As a kill inside the thirtieth block leaves it: those before, half of it under its temporary name, no manifest.
    block = manifest.with_name("000029.npy")
    (manifest.parent / ".000029.npy.tmp").write_bytes(block.read_bytes()[:100])
    for path in manifest.parent.glob("*.npy"):
        if path.name >= block.name:
            path.unlink()
    manifest.unlink()
    (manifest.parent / "partial.json").write_text(json.dumps(identity))
    there = blocks(indexes)
    assert len(there) == 29
    assert launch(command("encode", dataset, stories, indexes)) == 0
    assert contents(indexes) == contents(whole[1])
    assert {path: blocks(indexes)[path] for path in there} == there
