"""A process that imports what is heavy once and forks for each command; the fork is a process of its own, and faults are its own.

A line on standard input is a command as JSON: `argv`, `cwd`, `out` and `err` (files for its streams), `env`, and `faults`. Two
lines come back: the process id, and the exit status. Documents stand in small blocks, so that there are many of them.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import signal
import sys
import threading
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

# Calls after which, and before which, a process is stopped: whatever changes what is on the disk.
CALLS = {
    "write", "writelines", "flush", "fsync", "truncate", "tofile", "replace", "rename", "unlink", "remove", "mkdir", "rmdir",
    "flock",
}  # fmt: skip
STREAMS = {"<stdout>", "<stderr>"}
FILES = (io.FileIO, io.BufferedWriter, io.BufferedRandom, io.TextIOWrapper)


def main() -> None:
    warm()
    print("ready", flush=True)
    for line in sys.stdin:
        given = json.loads(line)
        begun, begins = os.pipe()
        child = os.fork()
        if not child:
            serve(given, begins)
        os.close(begins)
        os.read(begun, 1)  # returns when the command has begun: before, nothing is promised to a signal
        os.close(begun)
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def warm() -> None:
    """Imports what commands import, and makes blocks small."""
    import faiss  # noqa: F401
    import matplotlib.font_manager  # noqa: F401
    import ranx  # noqa: F401
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerFast  # noqa: F401

    torch.set_num_threads(1)
    import rarityir.cli
    import rarityir.embeddings
    import rarityir.experiment
    import rarityir.impacts
    import rarityir.modelmap.scoring
    import rarityir.rarity.counting
    import rarityir.rarity.stats

    rarityir.embeddings.BLOCK, rarityir.embeddings.WINDOW, rarityir.embeddings.KEEP_SECONDS = 32, 2, -1.0
    rarityir.impacts.BLOCK, rarityir.modelmap.scoring.BLOCK = 32, 8
    rarityir.rarity.counting.DOCUMENTS, rarityir.rarity.counting.KEEP_SECONDS = 64, -1.0


def serve(given: dict[str, Any], begins: int) -> None:
    """The life of a fork: its streams, its faults, its command; `beside` is another command at the same time.

    What `begins` is a handle of is closed as the command begins.
    """
    other, status_file = 0, ""
    if "beside" in given:
        status_file = given["beside"]["status"]
        other = os.fork()
        if not other:
            given = {**given, **given["beside"]}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(given["cwd"])
    os.environ.update(given.get("env", {}))
    for number, key in ((0, None), (1, "out"), (2, "err")):
        path = given.get(key) if key else os.devnull
        handle = os.open(path or os.devnull, os.O_RDWR | os.O_CREAT, 0o666) if not isinstance(path, int) else path
        os.dup2(handle, number)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    status = 70
    try:
        arm(given.get("faults", {}))
        from rarityir.cli import main as command

        os.close(begins)
        status = command(given["argv"])
        sys.stdout.flush()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:  # what would be a traceback on a user's screen is one here
        import traceback

        traceback.print_exc()
    with contextlib.suppress(OSError):
        sys.stderr.flush()
    sys.setprofile(None)
    if other:
        Path(status_file).write_text(str(os.waitstatus_to_exitcode(os.waitpid(other, 0)[1])))
    if "count" in given.get("faults", {}):
        Path(given["faults"]["count"]).write_text(" ".join(Boundaries.passed))
    os._exit(status)


def arm(faults: dict[str, Any]) -> None:
    """Puts faults in their places."""
    if faults.get("frozen"):
        time.monotonic = lambda: 0.0
    if "clock" in faults:
        jumping(*faults["clock"])
    if "fsize" in faults:
        resource.setrlimit(resource.RLIMIT_FSIZE, (faults["fsize"], resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    for name in faults.get("absent", ()):
        sys.modules[name] = None  # type: ignore[assignment]
    if "downloads" in faults:
        downloading(*faults["downloads"])
    if "jar" in faults:
        from rarityir.indexes import java

        java.jar = lambda: Path(faults["jar"])
    if "address" in faults:
        held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (held + faults["address"], resource.getrlimit(resource.RLIMIT_AS)[1]))
    if "memory" in faults:
        short_of_memory(faults["memory"])
    if faults.get("plain"):
        without_rights()
    if "at" in faults or "count" in faults:
        Boundaries.watch(faults.get("at", 0), faults.get("signal", signal.SIGKILL), faults.get("errno", 0))


class Boundaries:
    """Counts the moments just before and just after each call that changes the disk; one gets a signal, or fails."""

    passed: list[str] = []  # noqa: RUF012

    @classmethod
    def watch(cls, at: int, number: int, error: int = 0) -> None:
        own = os.getpid()

        def seen(frame: Any, event: str, called: Any) -> None:
            if event in ("c_call", "c_return") and called.__name__ in CALLS and os.getpid() == own:
                holder = called.__self__
                if isinstance(holder, ModuleType | np.ndarray) or (isinstance(holder, FILES) and holder.name not in STREAMS):
                    cls.passed.append(called.__name__)
                    if len(cls.passed) == at and error:
                        raise OSError(error, os.strerror(error))
                    if len(cls.passed) == at:
                        os.kill(own, number)

        threading.setprofile(seen)
        sys.setprofile(seen)


def without_rights() -> None:
    """Takes from this process what lets root pass over the rights of files."""
    import ctypes

    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # the third version of the interface, this process
    rights = (ctypes.c_uint32 * 6)()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.capget(header, rights):
        raise OSError(ctypes.get_errno(), "capget")
    for place in (0, 1, 2):  # effective, permitted, inherited; CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER
        rights[place] &= ~0b1110
    if libc.capset(header, rights):
        raise OSError(ctypes.get_errno(), "capset")


def downloading(dataset: str, url: str, md5: str) -> None:
    """Lets ir_datasets find a collection's archive at another address, with another checksum; all else is its own."""
    import ir_datasets

    archive = ir_datasets.load(dataset).docs_handler().docs_dlc._streamer._streamer
    archive.mirrors, archive.expected_md5, archive._size_hint = [ir_datasets.util.RequestsDownload(url)], md5, None


def jumping(back: float, every: int) -> None:
    """Lets the wall clock jump back by so many seconds at every so many-th look at it, and forward the next time."""
    real, looks = time.time, [0]

    def looked() -> float:
        looks[0] += 1
        return real() - (back if looks[0] // every % 2 else -back)

    time.time = looked


def short_of_memory(texts: int) -> None:
    """Lets every batch of more than so many texts end as torch ends one that does not fit."""
    import torch

    from rarityir.encoders import forward

    own = forward.states

    def states(model: Any, sequences: Any, layer: int | None = None) -> Any:
        if len(sequences) > texts:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB (a fault that was put here)")
        return own(model, sequences, layer)

    forward.states = states


if __name__ == "__main__":
    main()
