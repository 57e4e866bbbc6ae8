"""A hub that answers 404, 429, 500 or half a file: one line, never half a model, and later the same command succeeds."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from faults.harness import MODEL, contents, differing, launched
from faults.stages import STAGES, Base, Stage
from faults.table import Row

COMMAND = "python -m tests.faults hub"
NAME, COMMIT = "someone/stories", "0123456789abcdef0123456789abcdef01234567"
WEIGHTS = "model.safetensors"
LATER = "one line that names the cause; later the same command succeeds, with the same embeddings as of the model's folder"


class Hub:
    """What the server does next: `fault` for requests of files whose names hold `of`, so often."""

    fault, of, times = "", "", 10**9

    def strikes(self, name: str) -> str:
        """Returns the fault that this request meets."""
        if not self.fault or self.of not in name or self.times < 1:
            return ""
        self.times -= 1
        return self.fault


class Answer(BaseHTTPRequestHandler):
    """Serves one model as the hub does."""

    hub: Hub

    def log_message(self, *args: Any) -> None:
        """Says nothing."""

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, *, body: bool) -> None:
        name = self.path.partition("?")[0].rpartition("/resolve/")[2].partition("/")[2]
        path = MODEL / name if "/resolve/" in self.path and name else None
        fault = self.hub.strikes(name or self.path)
        if fault.isdecimal():
            self.status(int(fault), {"Retry-After": "1"})
        elif path is None and self.path.startswith("/api/models/") and "/tree/" not in self.path:
            files = [{"rfilename": file.name} for file in sorted(MODEL.iterdir())]
            self.send({}, json.dumps({"id": NAME, "sha": COMMIT, "siblings": files, "tags": []}).encode(), body=body)
        elif path is None or not path.is_file():
            self.status(404, {"X-Error-Code": "EntryNotFound"})
        else:
            held = path.read_bytes()
            headers = {"ETag": f'"{hashlib.sha256(held).hexdigest()}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
            given = self.headers.get("Range", "")
            start = int(given.removeprefix("bytes=").partition("-")[0]) if given.startswith("bytes=") else 0
            self.send(headers, held[start:], body=body, short=fault if body else "", part=(start, len(held)) if given else None)

    def status(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": "0", **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def send(
        self, headers: dict[str, str], held: bytes, *, body: bool, short: str = "", part: tuple[int, int] | None = None
    ) -> None:
        """Sends a file, or half of it: `half` says its whole length, `less` the half's."""
        sent = held[: len(held) // 2] if short else held
        self.send_response(206 if part else 200)
        if part:
            self.send_header("Content-Range", f"bytes {part[0]}-{part[1] - 1}/{part[1]}")
        for name, value in {"Content-Length": str(len(sent if short == "less" else held)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(sent)
        if short:
            self.close_connection = True


@contextmanager
def serving(kind: type[Answer] = Answer) -> Iterator[tuple[Hub, str]]:
    """Runs the server; gives what rules it, and its address."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (kind,), {"hub": hub}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub, f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


# What the server does, for which files, how often, and what the error must name.
FAULTS = (
    ("answers 404 to everything", "404", "", 10**9, "stories"),
    ("lacks the weights (404)", "404", WEIGHTS, 10**9, "safetensors"),
    ("answers 429 to everything", "429", "", 10**9, "429"),
    ("answers 429 for the weights", "429", WEIGHTS, 10**9, "429"),
    ("answers 500 to everything", "500", "", 10**9, "500"),
    ("answers 500 for the tokenizer", "500", "tokenizer", 10**9, ""),
    ("breaks off half-way through the weights", "half", WEIGHTS, 10**9, ""),
    ("sends half of the weights as if they were all", "less", WEIGHTS, 10**9, ""),
    ("sends half of the tokenizer as if it were all", "less", "tokenizer.json", 10**9, ""),
    ("sends half of the configuration as if it were all", "less", "config.json", 10**9, ""),
    ("breaks off once", "half", WEIGHTS, 1, ""),
    ("answers 429 once", "429", WEIGHTS, 1, ""),
)


def rows(base: Base, place: Path, count: int, rng: random.Random, stages: Sequence[Stage] = ()) -> Iterator[Row]:
    """Yields a row for each thing that a hub does."""
    wanted = embeddings(base.result(STAGES["encode"]))
    home = base.home / "hub"
    with serving() as (hub, address), launched(home, HF_ENDPOINT=address, HF_HUB_OFFLINE="0", HF_HOME=str(home / "hf")) as launch:
        online = Base(launch, base.home / "online", base.many)
        argv = [NAME if word == str(MODEL) else word for word in online.argv(STAGES["encode"], place)]
        for what, hub.fault, hub.of, times, named in FAULTS:
            row = Row(f"the hub {what}", LATER, COMMAND)
            fault = hub.fault
            for _ in range(max(1, count // 6)):
                hub.fault, hub.times = fault, times
                folder = online.fresh(STAGES["encode"], place)
                shutil.rmtree(home / "hf", ignore_errors=True)
                done = launch(argv, folder, faults={"frozen": True})
                wrong = ""
                if done.status == 0:
                    wrong = ", ".join(differing(embeddings(folder), wanted))
                elif not (done.told and named in done.err):
                    wrong = f"ended with {done.status}: {done.err[-600:]}"
                hub.fault = ""
                done = launch(argv, folder, faults={"frozen": True})
                if done.status:
                    wrong = wrong or f"later it ends with {done.status}: {done.err[-600:]}"
                row.count(wrong or ", ".join(differing(embeddings(folder), wanted)))
            yield row


def embeddings(folder: Path) -> dict[str, str]:
    """Returns the blocks of embeddings under a folder."""
    return {
        name.rpartition("/")[2]: held for name, held in contents(folder).items() if name.endswith(".npy") and "doc_id" not in name
    }
