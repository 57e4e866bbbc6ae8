"""Two Ray nodes, each in a network namespace of its own, encode to the bytes that one machine gives.

Where this is not root's, or there is no `ip`, the two nodes share the machine's network (`ray.cluster_utils`).
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from evals.bench.goals import exactly
from rarityir import embeddings
from rarityir.cluster import Encoded
from rarityir.cluster.on_ray import check
from rarityir.corpus import prepare
from rarityir.datasets import load_dataset
from rarityir.encoders import load_encoder
from rarityir.types import Doc

DOCUMENTS, WORDS, BLOCK, WINDOW = 1024, 40, 16, 2  # 32 windows
NAMES, ADDRESSES, PORT = ("rarityir-a", "rarityir-b"), ("10.213.77.1", "10.213.77.2"), 6399
CPUS = (2, 2)  # two are left for what runs beside the workers, and one node cannot hold all
GOALS = {"bytes of one machine": exactly("yes")}


def bench() -> dict[str, float | str]:
    check()
    alone = hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("ip") is not None
    with tempfile.TemporaryDirectory(prefix="rr-") as place:
        _small()
        raw = np.concatenate([np.array(x) for x in embeddings.embed(*_parts(Path(place)))])
        out = Path(place) / "out"
        seen = (_in_namespaces if alone else _on_one_network)(Path(place), out)
        found = Encoded.open(out)
        same = np.concatenate([x for _, x in found]).tobytes() == raw.tobytes()
        return {
            "two nodes": "in network namespaces of their own" if alone else "on one machine's network",
            "nodes that workers ran on": seen["nodes"],
            "documents": float(len(raw)),
            "shards": float(len(found.paths)),
            "bytes of one machine": "yes" if same else "no",
            "seconds": seen["seconds"],
        }


def drive(place: Path, out: Path, address: str) -> None:
    """Encodes on the cluster at an address, and says on how many nodes workers were seen, and in how many seconds."""
    from rarityir.cluster.on_ray import encode

    _small()
    seen: set[str] = set()
    over = threading.Event()
    threading.Thread(target=_watch, args=(seen, over), daemon=True).start()
    started = time.monotonic()
    encode(*_parts(place), out, cluster=address)
    over.set()
    print(json.dumps({"nodes": float(len(seen)), "seconds": round(time.monotonic() - started, 1)}))


def _small() -> None:
    embeddings.BLOCK, embeddings.WINDOW = BLOCK, WINDOW


def _parts(place: Path) -> tuple[Any, Any, Any]:
    """The first documents of the demo collection, cut short, their corpus and the demo encoder."""
    whole = load_dataset("cranfield")

    def docs() -> Iterator[Doc]:
        return (Doc(doc.doc_id, " ".join(doc.text.split()[:WORDS])) for doc in islice(whole.docs(), DOCUMENTS))

    dataset = replace(whole, corpus="short", identity={"id": "short", "documents": DOCUMENTS}, docs=docs, docs_count=DOCUMENTS)
    return dataset, prepare(dataset, place / "indexes"), load_encoder("demo", device="cpu")


def _watch(seen: set[str], over: threading.Event) -> None:
    """Collects what workers of this machine hang on: their network namespace and the raylet that started them."""
    while not over.wait(0.2):
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if "ray::MapWorker" in (path / "cmdline").read_text():
                    parent = (path / "stat").read_text().rpartition(")")[2].split()[1]
                    seen.add(f"{os.readlink(path / 'ns' / 'net')} {parent}")


def _in_namespaces(place: Path, out: Path) -> dict[str, float]:
    """A head in one namespace, a node in the other, the driver beside the head."""
    environment = {**os.environ, "RAY_TMPDIR": str(place), "RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1"}
    environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}  # of these two nodes alone
    environment["PYTHONPATH"] = os.pathsep.join(path or os.getcwd() for path in sys.path)

    def within(name: str, *command: str) -> str:
        done = subprocess.run(
            ["ip", "netns", "exec", name, *command], env=environment, capture_output=True, text=True, timeout=300
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr[-2000:]}")
        return done.stdout

    def ray(name: str, *options: str) -> None:
        start = [sys.executable, "-c", "from ray.scripts.scripts import main; main()", "start", "--disable-usage-stats"]
        within(
            name, *start, "--node-ip-address", ADDRESSES[NAMES.index(name)], "--num-cpus", str(CPUS[NAMES.index(name)]), *options
        )

    try:
        _ip("link", "add", "rarityir-va", "type", "veth", "peer", "name", "rarityir-vb")
        for name, address, link in zip(NAMES, ADDRESSES, ("rarityir-va", "rarityir-vb"), strict=True):
            _ip("netns", "add", name)
            _ip("link", "set", link, "netns", name)
            within(name, "ip", "address", "add", f"{address}/24", "dev", link)
            within(name, "ip", "link", "set", link, "up")
            within(name, "ip", "link", "set", "lo", "up")
        ray(NAMES[0], "--head", "--port", str(PORT), "--include-dashboard=false")
        ray(NAMES[1], "--address", f"{ADDRESSES[0]}:{PORT}")
        code = "import sys, pathlib; from evals.bench.cluster import drive; drive(*map(pathlib.Path, sys.argv[1:3]), sys.argv[3])"
        told = within(NAMES[0], sys.executable, "-c", code, str(place), str(out), f"{ADDRESSES[0]}:{PORT}")
        found: dict[str, float] = json.loads(told.strip().splitlines()[-1])
        return found
    finally:
        _away()


def _away() -> None:
    """Ends what runs in the two namespaces, and removes them; the pair of links goes with them."""
    for name in NAMES:
        listed = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True, check=False).stdout.split()
        for pid in listed:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)
    subprocess.run(["ip", "link", "delete", "rarityir-va"], capture_output=True, check=False)


def _ip(*command: str) -> None:
    subprocess.run(["ip", *command], check=True, capture_output=True)


def _on_one_network(place: Path, out: Path) -> dict[str, float]:
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": CPUS[0]})
    try:
        cluster.add_node(num_cpus=CPUS[1])
        code = "import sys, pathlib; from evals.bench.cluster import drive; drive(*map(pathlib.Path, sys.argv[1:3]), sys.argv[3])"
        command = [sys.executable, "-c", code, str(place), str(out), cluster.address]
        told = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stdout
        found: dict[str, float] = json.loads(told.strip().splitlines()[-1])
        return found
    finally:
        cluster.shutdown()
