"""A server of a collection that answers 404, 429, 500, half a file, another file or nothing, as ir_datasets meets it."""

from __future__ import annotations

import hashlib
import io
import random
import shutil
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from faults.harness import DOCUMENTS, MODEL, WORDS, launched
from faults.hub import Answer, embeddings, serving
from faults.stages import Base, Stage
from faults.table import Row

COMMAND = "python -m tests.faults downloads"
NAME = "vaswani"  # of which one archive holds documents, topics and judgements
LATER = "one line that names the collection and the cause; later the same command succeeds, with the same embeddings"
ENCODE = ("encode", "--dataset", NAME, "--encoder", str(MODEL), "--device", "cpu", "--indexes", "indexes", "--force")
# What the server does, how often, and what the error must name.
FAULTS = (
    ("answers 404", "404", 10**9, "error page"),
    ("answers 429", "429", 10**9, "error page"),
    ("answers 500", "500", 10**9, "error page"),
    ("breaks off half-way", "half", 10**9, ""),
    ("sends half as if it were all", "less", 10**9, "half a file"),
    ("sends a file of another checksum", "other", 10**9, "half a file"),
    ("closes the connection", "close", 10**9, ""),
    ("is not there (no network)", "gone", 10**9, ""),
    ("breaks off once", "half", 1, ""),
)


def archive(seed: int) -> bytes:
    """Returns a small collection in the form of the one that stands in for."""
    rng, held = random.Random(seed), io.BytesIO()
    texts = [" ".join(rng.choices(WORDS, k=rng.randint(3, 7))) for _ in range(DOCUMENTS)]
    files = {
        "doc-text": "".join(f"{row}\n{text}\n   /\n" for row, text in enumerate(texts, start=1)),
        "query-text": "".join(f"{number}\n{' '.join(rng.sample(WORDS, 2))}\n/\n" for number in range(1, 5)),
        "rlv-ass": "".join(f"{number}\n{number} {number + 7}\n   /\n" for number in range(1, 5)),
    }
    with tarfile.open(fileobj=held, mode="w:gz") as file:
        for name, text in files.items():
            facts = tarfile.TarInfo(name)
            facts.size = len(text)
            file.addfile(facts, io.BytesIO(text.encode()))
    return held.getvalue()


class Archive(Answer):
    """Serves the archive."""

    right, other = archive(1), archive(2)

    def answer(self, *, body: bool) -> None:
        fault = self.hub.strikes(self.path)
        if fault.isdecimal():
            self.status(int(fault), {"Retry-After": "1"})
        elif fault == "close":
            self.close_connection = True
        else:
            short = fault if fault in ("half", "less") else ""
            self.send({}, self.other if fault == "other" else self.right, body=body, short=short)


def rows(base: Base, place: Path, count: int, rng: random.Random, stages: Sequence[Stage] = ()) -> Iterator[Row]:
    """Yields a row for each thing that the server does."""
    home = base.home / "downloads"
    md5 = hashlib.md5(Archive.right, usedforsecurity=False).hexdigest()
    with serving(Archive) as (hub, address), launched(home, IR_DATASETS_DL_DISABLE_PBAR="true") as launch:
        online = Base(launch, base.home / "collections", base.many)

        def encode(folder: Path, *, there: bool = True) -> tuple[str, bool, str]:
            where = address if there else "http://127.0.0.1:9"  # which nothing listens on
            done = launch(ENCODE, folder, faults={"frozen": True, "downloads": [NAME, f"{where}/npl.tar.gz", md5]})
            return f"ended with {done.status}: {done.err[-600:]}", done.status == 0, done.err if done.told else ""

        def fresh() -> Path:
            shutil.rmtree(home / "irds", ignore_errors=True)
            shutil.rmtree(place, ignore_errors=True)
            return Path(shutil.copytree(online.home / "empty", place))

        folder = fresh()
        said, whole, _ = encode(folder)
        assert whole, said
        wanted = embeddings(folder)
        for what, fault, times, named in FAULTS:
            row = Row(f"the collection's server {what}", LATER, COMMAND)
            for _ in range(max(1, count // 6)):
                hub.fault, hub.times = "" if fault == "gone" else fault, times
                folder = fresh()
                said, whole, told = encode(folder, there=fault != "gone")
                right = whole if times == 1 else NAME in told and named in told and not embeddings(folder)
                hub.fault = ""
                later, whole, _ = encode(folder)
                wrong = "" if right else said
                row.count(wrong or ("" if whole and embeddings(folder) == wanted else f"later it {later}"))
            yield row
