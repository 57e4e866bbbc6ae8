"""Workers change no byte, leave nobody behind, and fail in one line; what does not fit is halved."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from multiprocessing import connection
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import STORIES

from rarityir import RarityError, load_encoder
from rarityir.encoders import forward, workers
from rarityir.encoders.batching import ahead
from rarityir.encoders.prompts import Templated
from rarityir.encoders.workers import Read, Window

WORDS = [f"{a} {b}" for a in ("the", "red", "big", "sad") for b in ("cat", "ball", "tree", "sun")]
TEXTS = [" ".join(WORDS[(i * k) % len(WORDS)] for k in range(1 + i * 7 % 40)) for i in range(60)]
linux = pytest.mark.skipif(sys.platform != "linux", reason="a CPU's workers are forks")


def windows(texts: list[str], size: int = 25) -> Iterator[Window]:
    for start in range(0, len(texts), size):
        part = texts[start : start + size]
        yield Window(start // size, part, np.ones(len(part), bool))


def gathered(read: Read, texts: list[str], size: int = 25) -> np.ndarray:
    out, seen = np.empty((len(texts), 64), np.float32), np.zeros(len(texts), int)
    for piece in read(windows(texts, size)):
        rows = [piece.window * size + row for row in piece.rows]
        out[rows] = piece.embeddings
        seen[rows] += 1
    assert (seen == 1).all()
    return out


def embedded(count: int, **options: object) -> np.ndarray:
    encoder = load_encoder(str(STORIES), device="cpu", batch_tokens=128, workers=count, **options)
    with encoder.reading(len(TEXTS)) as read:
        return gathered(read, TEXTS)


@linux
@pytest.mark.parametrize("pooling", ["mean", "weighted-mean", "last"])
def test_the_number_of_workers_changes_no_byte(pooling):
    one = embedded(1, pooling=pooling)
    assert np.array_equal(one, embedded(2, pooling=pooling))
    assert np.array_equal(one, embedded(3, pooling=pooling))
    np.testing.assert_allclose(one, load_encoder(str(STORIES), pooling=pooling).encode_document(TEXTS), atol=1e-5)


@linux
def test_the_same_workers_read_again():
    encoder = load_encoder(str(STORIES), device="cpu", batch_tokens=128, workers=2)
    with encoder.reading(len(TEXTS)) as read:
        first = gathered(read, TEXTS)
        assert np.array_equal(gathered(read, TEXTS), first)
        np.testing.assert_allclose(gathered(read, TEXTS[:1]), first[:1], atol=1e-5)


def test_only_batches_with_a_wanted_document_are_read():
    encoder = load_encoder(str(STORIES), device="cpu", batch_tokens=64, workers=1)
    wanted = np.zeros(len(TEXTS), bool)
    wanted[[3, 40]] = True
    with encoder.reading(len(TEXTS)) as read:
        pieces = list(read([Window(0, TEXTS, wanted)]))
    assert 1 <= len(pieces) <= 2
    assert {3, 40} <= {row for piece in pieces for row in piece.rows}
    ids = encoder.tokenize([TEXTS[row] for piece in pieces for row in piece.rows])
    assert sum(piece.tokens for piece in pieces) == sum(1 + len(text) for text in ids)  # bos stands before each


@linux
def test_a_worker_that_dies_is_one_line_and_no_process_is_left():
    encoder = load_encoder(str(STORIES), device="cpu", batch_tokens=64, workers=2)
    before = children()
    with encoder.reading(len(TEXTS)) as read:
        pieces = read(windows(TEXTS * 30))
        next(pieces)
        os.kill(min(children() - before), signal.SIGKILL)
        with pytest.raises(RarityError, match=r"a worker of stories260K ended with signal 9 .*fewer --workers") as caught:
            list(pieces)
    assert "\n" not in str(caught.value)
    assert children() == before


@linux
def test_a_worker_that_hangs_up_and_has_not_ended_is_one_line_too(monkeypatch):
    monkeypatch.setattr(workers, "wait", lambda given, timeout=None: [] if timeout else connection.wait(given))
    encoder = load_encoder(str(STORIES), device="cpu", batch_tokens=64, workers=2)
    before = children()
    with encoder.reading(len(TEXTS)) as read:
        pieces = read(windows(TEXTS * 30))
        next(pieces)
        os.kill(min(children() - before), signal.SIGKILL)
        with pytest.raises(RarityError, match=r"^a worker of stories260K ended; what is encoded stays"):
            list(pieces)


@linux
def test_an_error_in_a_worker_comes_out_as_it_is(monkeypatch):
    def broken(*_: object) -> None:
        raise RarityError("this text is too long")

    monkeypatch.setattr(forward, "states", broken)
    with pytest.raises(RarityError, match=r"^this text is too long$"):
        embedded(2)


def children() -> set[int]:
    return {int(pid) for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()}


LEFT_ALONE = """
import os, signal, sys, time
from rarityir import load_encoder
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job is born deaf to it
encoder = load_encoder(sys.argv[1], device="cpu", workers=2)
with encoder.reading(10**6) as read:
    print(*open(f"/proc/self/task/{os.getpid()}/children").read().split(), flush=True)
    time.sleep(60)
"""


@linux
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_workers_end_with_the_process_that_started_them_however_it_ends(how):
    process = subprocess.Popen(
        [sys.executable, "-c", LEFT_ALONE, str(STORIES)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    started = [int(pid) for pid in process.stdout.readline().split()]
    assert len(started) == 2
    process.send_signal(how)
    process.wait(120)
    deadline = time.monotonic() + 120
    while any(alive(pid) for pid in started) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in started if alive(pid)]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"workers": -1}, "workers is -1"),
        ({"attention": "flesh_attention_2"}, "did you mean flash_attention_2"),
        ({"store_dtype": "float61"}, "did you mean float16"),
    ],
)
def test_an_execution_that_cannot_be_is_one_line(options, named):
    with pytest.raises(RarityError, match=named):
        load_encoder(str(STORIES), **options)


def test_few_documents_start_no_worker_unasked_and_all_cores_read_many():
    encoder = load_encoder(str(STORIES), device="cpu")
    assert workers.worker_count(encoder, workers.FEW) == 1
    if sys.platform == "linux":
        assert workers.worker_count(encoder, workers.FEW + 1) == len(os.sched_getaffinity(0))
        assert workers.worker_count(load_encoder(str(STORIES), device="cpu", workers=5), 1) == 5


def test_attention_and_compilation_are_part_of_the_identity_and_workers_are_not():
    plain = load_encoder(str(STORIES)).identity()
    assert load_encoder(str(STORIES), workers=3, attention="auto").identity() == plain
    assert load_encoder(str(STORIES), attention="eager").identity() == {**plain, "attention": "eager"}
    plain.pop("products", None)  # what is compiled chooses its own
    assert load_encoder(str(STORIES), compile=True).identity() == {**plain, "compile": True}


def test_both_attentions_give_the_same_embedding():
    eager = load_encoder(str(STORIES), attention="eager").encode_document(TEXTS)
    np.testing.assert_allclose(eager, load_encoder(str(STORIES)).encode_document(TEXTS), atol=1e-5)


@pytest.mark.parametrize("room", [1, 2, 3, 100])
@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA"),
        RuntimeError("can't allocate memory: you tried"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_a_batch_that_does_not_fit_is_halved_until_it_does_and_keeps_its_order(room, error):
    def read(part):
        if len(part) > room:
            raise error
        return [s.ids[0] for s in part]

    parts = forward.fitting([Templated([i], 0, 1) for i in range(7)], read, "m")
    assert [i for part in parts for i in part] == list(range(7))
    assert max(map(len, parts)) <= room
    assert len(parts) == {1: 7, 2: 4, 3: 3, 100: 1}[room]


def test_halved_batches_are_counted_and_change_no_embedding(monkeypatch):
    whole, states = embedded(1), forward.states

    def small(model, sequences):
        if len(sequences) > 4:
            raise torch.OutOfMemoryError("no room")
        return states(model, sequences)

    monkeypatch.setattr(forward, "states", small)
    encoder = load_encoder(str(STORIES), device="cpu", batch_tokens=10_000, workers=1)
    with encoder.reading(len(TEXTS)) as read:
        pieces = list(read([Window(0, TEXTS, np.ones(len(TEXTS), bool))]))
    assert [piece.halved for piece in pieces] == [15]  # 60 texts become 16 parts of 3 or 4
    found = np.empty_like(whole)
    found[pieces[0].rows] = pieces[0].embeddings
    np.testing.assert_allclose(found, whole, atol=1e-5)
    np.testing.assert_allclose([s.mean(0) for s in encoder.document_states(TEXTS)], whole, atol=1e-5)


def test_a_single_text_that_does_not_fit_is_one_line_and_another_error_passes():
    def raising(error):
        def read(part):
            raise error

        return read

    with pytest.raises(RarityError, match=r"^m: one text of 5 tokens does not fit in memory; lower --max-length"):
        forward.fitting([Templated([1] * 5, 0, 5)] * 2, raising(torch.OutOfMemoryError("x")), "m")
    with pytest.raises(RuntimeError, match="shapes"):
        forward.fitting([Templated([1], 0, 1)], raising(RuntimeError("shapes differ")), "m")


def test_one_thread_is_for_the_cpu_and_for_its_time_alone():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with forward.one_thread("cpu"):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
        with forward.one_thread("cuda"):
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_items_are_made_ready_ahead_in_order_and_an_error_comes_in_its_place():
    made, ready = [], threading.Event()

    def items():
        for i in range(4):
            made.append(i)
            if i == 1:
                ready.set()
            yield i
        raise ValueError("the fifth")

    found = ahead(items())
    assert next(found) == 0
    assert ready.wait(10)  # while nobody asked for the second
    assert [next(found) for _ in range(3)] == [1, 2, 3]
    with pytest.raises(ValueError, match="the fifth"):
        next(found)
    assert list(ahead([])) == []


def test_several_gpus_load_the_model_in_their_own_processes_alone(stories, monkeypatch) -> None:
    plain = load_encoder(stories)
    wanted, laid_out = plain.operations(), plain.lay_out(["A red ball."])
    assert "_loaded" not in plain.__dict__  # texts are laid out and operations counted without the weights
    plain.encode_document(["A red ball."])
    assert (plain.operations(), plain.lay_out(["A red ball."])) == (wanted, laid_out)
    for count in (2, 1):
        encoder = load_encoder(stories)
        monkeypatch.setattr(workers, "worker_count", lambda *_, count=count: count)
        monkeypatch.setattr(workers, "reading", lambda *_: "read")
        monkeypatch.setitem(encoder.__dict__, "torch_device", "cuda" if count > 1 else "cpu")
        assert encoder.reading(10_000) == "read"
        assert ("_loaded" in encoder.__dict__) == (count == 1)


UNGUARDED = """
import sys
import numpy as np
from rarityir import RarityError, load_encoder
from rarityir.encoders import workers
print("once", flush=True)
encoder = load_encoder(sys.argv[1])
encoder.__dict__["torch_device"] = "cuda"
workers.worker_count = lambda *_: 2
script = sys.modules["__main__"]
with encoder.reading(1000) as read:
    assert sys.modules["__main__"] is script
    try:
        print(sum(len(piece.rows) for piece in read([workers.Window(0, ["A red ball."], np.ones(1, bool))])))
    except RarityError as error:
        print(error)
"""


def test_a_script_without_a_guard_is_not_run_again_by_what_is_spawned(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(UNGUARDED)
    command = [sys.executable, str(tmp_path / "script.py"), str(STORIES)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    told = run.stdout.splitlines()
    assert told[:1] == ["once"], run.stderr
    assert len(told) == 2, run.stderr  # what a worker answered: one embedding, or that there is no GPU
    assert told[1] == "1" or "device 'cuda:0' cannot be used" in told[1]
