"""Stored files that were cut off or have one bit that is another: the result is the same, or an error names the file."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from faults.harness import Done, contents, differing
from faults.stages import STAGES, Base, Stage, _on
from faults.table import Row

from rarityir import store
from rarityir.cluster.shards import SHARDS, Encoded, gather
from rarityir.types import Json, StaleArtefact

COMMAND = "python -m tests.faults damage"
PROMISE = "one line that names the file or its folder, or the same result; never another result"


@dataclass(frozen=True)
class Kept:
    """Stored files of some kind, the stages that make them, and the command that reads them."""

    what: str
    made_by: tuple[str, ...]
    files: str  # a pattern within the folder
    read_by: tuple[str, ...]  # whose files in `out`, or printed output, are the result


_SYSTEMS = ("dense", "dense:hnsw,8", "sparse:16+edge:2", "bm25", "bm25-idf")
_SEARCH = {name: _on("search", name, "--out", "out/run.trec") for name in _SYSTEMS}
_RESULTS = ("out/", "report/r", "filtered/", "scores/", "stats/")
_ENCODER = "indexes/many*/stories260K"
KEPT = (
    Kept("documents' ids", ("index dense",), "indexes/many*/documents/doc_id*", _SEARCH["dense"]),
    Kept("embeddings", ("encode",), f"{_ENCODER}/embeddings/*.npy", _SEARCH["dense"]),
    Kept("a dense index", ("index dense",), f"{_ENCODER}/dense/[!m]*", _SEARCH["dense"]),
    Kept("a FAISS index", ("index dense:hnsw",), f"{_ENCODER}/dense_hnsw,8/*.faiss", _SEARCH["dense:hnsw,8"]),
    Kept("a sparse index", ("index sparse",), f"{_ENCODER}/sparse_16+edge_2/[!m]*", _SEARCH["sparse:16+edge:2"]),
    Kept("a Lucene index", ("index bm25",), "indexes/many*/bm25/lucene/[!w]*", _SEARCH["bm25"]),
    Kept("an index of token frequencies", ("index bm25-idf",), f"{_ENCODER}/bm25-idf/[!m]*", _SEARCH["bm25-idf"]),
    Kept("a filter under `indexes`", ("index sparse",), f"{_ENCODER}/filters/edge_2/[fm]*[nr]s*", _SEARCH["sparse:16+edge:2"]),
    Kept("manifests", ("index sparse",), f"{_ENCODER}/*/manifest.json", _SEARCH["sparse:16+edge:2"]),
    Kept("a saved filter", ("encode", "filter fit"), "filter/[fm]*", STAGES["filter apply"].argv),
    Kept(
        "embeddings that are filtered",
        ("encode", "filter fit"),
        "indexes/many*/stories260K/embeddings/*.npy",
        STAGES["filter apply"].argv,
    ),
    Kept("runs", ("eval",), "report/runs/*.trec", ("report", "report", "--json")),
    Kept("runs' provenance", ("eval",), "report/runs/*.json", ("report", "report", "--json")),
    Kept("token statistics", ("rarity stats",), "stats/*", STAGES["rarity stats"].argv),
    Kept(
        "vectors by name", ("sparse build",), "vectors/*", ("sparse", "search", "vectors", "topics.tsv", "--out", "out/run.trec")
    ),
    Kept("a set of texts", ("modelmap texts",), "texts.json", STAGES["modelmap score"].argv),
    Kept("scored texts", ("modelmap score",), "scores/a/*", STAGES["modelmap score"].argv),
)


def flip(path: Path, rng: random.Random) -> str:
    """Turns one bit of a file."""
    held = bytearray(path.read_bytes())
    at, bit = rng.randrange(len(held)), rng.randrange(8)
    held[at] ^= 1 << bit
    path.write_bytes(held)
    return f"bit {bit} of byte {at} of {path.name} ({len(held)} bytes)"


def cut(path: Path, rng: random.Random) -> str:
    """Cuts a file off somewhere, or empties it."""
    size = path.stat().st_size
    at = rng.choice([0, rng.randrange(size)])
    with path.open("r+b") as file:
        file.truncate(at)
    return f"{path.name} cut at {at} of {size} bytes"


def rows(base: Base, place: Path, count: int, rng: random.Random, stages: Sequence[Stage] = ()) -> Iterator[Row]:
    """Yields two rows for each kind of file: one bit turned, and cut off."""
    named = {stage.name for stage in stages}
    for kept in KEPT:
        if named and not named & set(kept.made_by):
            continue
        for verb, damage in (("one bit of {} turned", flip), ("{} cut off", cut)):
            row = Row(verb.format(kept.what), PROMISE, COMMAND)
            for _ in range(count if damage is flip else max(1, count // 2)):
                damaged(base, kept, place, row, damage, rng)
            yield row
    if not stages and find_spec("pyarrow"):
        yield from shards(place, count, rng)


def shards(place: Path, count: int, rng: random.Random) -> Iterator[Row]:
    """Yields the rows of what a cluster wrote: Parquet, read by the library."""
    whole = place.with_name("shards")
    wanted = cluster(whole)
    for verb, damage in (("one bit of {} turned", flip), ("{} cut off", cut)):
        row = Row(verb.format("a cluster's Parquet files"), PROMISE, COMMAND)
        for _ in range(count if damage is flip else max(1, count // 2)):
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(whole, place)
            path = rng.choice(sorted((place / SHARDS).glob("*.parquet")))
            what = damage(path, rng)
            try:
                found = [(ids, x_NK.tobytes()) for ids, x_NK in Encoded.open(place)]
                row.count("" if found == wanted else f"{what}: another result, and nothing says so")
            except StaleArtefact as error:
                row.count("" if path.name in str(error) else f"{what}: the error names it not: {error}")
            except Exception as error:
                row.count(f"{what}: {type(error).__name__}: {error}")
        yield row


def cluster(folder: Path) -> list[tuple[list[str], bytes]]:
    """Writes a folder as a cluster leaves it; returns its documents' ids and embeddings."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng, made = np.random.default_rng(1), []
    identity: dict[str, Json] = {"filter": None}
    with store.building(folder, identity, {"documents": 60}) as needed:
        assert needed
        (folder / "written").mkdir()
        for first in range(0, 60, 16):
            rows = np.arange(first, min(first + 16, 60))
            x_ND = rng.standard_normal((len(rows), 8)).astype(np.float32)
            ids = [f"d{row}" for row in rows]
            emb = pa.FixedSizeListArray.from_arrays(pa.array(x_ND.ravel()), 8)
            table = pa.table({"id": ids, "row": rows, "emb": emb})
            pq.write_table(table, folder / "written" / f"{first}.parquet", compression="none")
            made.append((ids, x_ND.tobytes()))
        gather(folder / "written", folder / SHARDS, 60, 16)
        (folder / "written").rmdir()
    return made


def result(base: Base, kept: Kept, place: Path) -> tuple[Done, dict[str, str]]:
    """Runs the command that reads the files; returns what it printed and wrote."""
    done = base.launch(base.filled(kept.read_by, place), place, faults={"frozen": True})
    written = {name: held for name, held in contents(place).items() if name.startswith(_RESULTS)}
    return done, {**written, "printed": done.out}


def prepared(base: Base, kept: Kept, place: Path) -> Path:
    """Copies what the stages have made to a place."""
    shutil.rmtree(place, ignore_errors=True)
    for name in kept.made_by:
        shutil.copytree(base.result(STAGES[name]), place, dirs_exist_ok=True)
    shutil.rmtree(place / "filtered", ignore_errors=True)
    (place / "topics.tsv").write_text("q0\tcat dog dog\nq1\tmilk\n")
    (place / "out").mkdir()
    return place


_wanted: dict[str, dict[str, str]] = {}


def damaged(
    base: Base, kept: Kept, place: Path, row: Row, damage: Callable[[Path, random.Random], str], rng: random.Random
) -> None:
    """Damages one file and counts whether the command that reads it kept its promise."""
    folder = prepared(base, kept, place)
    if kept.what not in _wanted:
        done, _wanted[kept.what] = result(base, kept, folder)
        assert done.status == 0, f"{kept.what}: {done.err}"
        folder = prepared(base, kept, place)
    files = sorted(path for path in folder.glob(kept.files) if path.is_file() and path.stat().st_size)
    assert files, kept.what
    path = rng.choice(files)
    what = damage(path, rng)
    done, found = result(base, kept, folder)
    if done.status == 0:
        named = path.name in done.err  # a warning, which the same result goes with or a changed one is told by
        wrong = differing(found, _wanted[kept.what])
        row.count(f"{what}: {wrong[:2]} differ, and nothing says so" if wrong and not named else "")
    elif not done.told:
        row.count(f"{what}: ended with {done.status}: {done.err[-400:]}")
    else:
        names = (path.name, path.stem, path.parent.name, *(part.name for part in path.parents if part != folder))
        row.count("" if any(name in done.err for name in names) else f"{what}: the error names it not: {done.err}")
