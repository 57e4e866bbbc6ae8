"""Every parser of the package: how valid input is written, how it is read and used, and what of it must come back."""

from __future__ import annotations

import hashlib
import json
import string
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np
from fuzz import foreign, stored
from fuzz.hostile import Files

from rarityir import registry, store
from rarityir.analogy import read_pairs
from rarityir.analogy.named import Named
from rarityir.datasets import load_dataset
from rarityir.doc_ids import DocIds, writing
from rarityir.experiment import Experiment, rebuild
from rarityir.geometry.labelling import read_labels
from rarityir.measures.names import Measure
from rarityir.modelmap.texts import TextSet
from rarityir.runs import Run, read_run
from rarityir.settings import IdfSettings, ImpactSettings
from rarityir.systems import System, expand, slug, split
from rarityir.types import Hits
from rarityir.vectors import reading
from rarityir.weights import read_table


class Parser(NamedTuple):
    """`write(folder, rng)` makes valid input there and returns what `read(folder)` must give back (None: nothing is compared).

    `seal` makes checksums true again, so that what lies behind them is reached.
    """

    write: Callable[[Path, Random], Any]
    read: Callable[[Path], Any]
    seal: Callable[[Path], None] | None = None


LETTERS = string.ascii_letters + string.digits + "-_.éß日本🜁"
PROSE = LETTERS + "  ,;:'\"<>&|%$#@!()[]{}\\/\u0301\u202e\u200b"


def word(rng: Random, letters: str = LETTERS) -> str:
    return "".join(rng.choice(letters) for _ in range(rng.randint(1, 9)))


def words(rng: Random, count: int) -> list[str]:
    """Distinct names."""
    found: dict[str, None] = {}
    while len(found) < count:
        found[word(rng)] = None
    return list(found)


def prose(rng: Random) -> str:
    return " ".join("".join(rng.choice(PROSE) for _ in range(rng.randint(1, 40))).split())


# Names and settings.


def _system(rng: Random, depth: int = 0) -> str:
    if depth < 2 and rng.random() < 0.3:
        parts = ",".join(_system(rng, depth + 1) for _ in range(rng.randint(2, 3)))
        return f"{rng.choice(('rrf', 'rrf:60', 'combsum'))}({parts})"
    index = rng.choice(
        ("bm25", "bm25:k1=0.9,b=0.4", "dense", "sparse:64", "sparse:64,query=both:16,weights=idf", "axes:5", "bm25-idf:probe")
    )
    taken = rng.sample(("edge:2", "tail:8", "pca:4", "abtt:1", "head:2+whiten:4"), rng.randint(0, 2))
    return index if index.startswith("bm25") else "+".join([index, *taken])


def _named(folder: Path, rng: Random) -> str:
    name = _system(rng)
    (folder / "name.txt").write_text(name, encoding="utf-8")
    return name


def _read_system(folder: Path) -> str:
    text = _text(folder / "name.txt")
    found = [System.parse(name) for piece in split(text) for name in expand(piece)]
    for system in found:
        assert System.parse(str(system)) == system
        assert len(system.slug.encode()) < 220
        assert "/" not in system.slug
        assert "\0" not in system.slug
    assert slug(text) not in ("", ".", "..")
    return ",".join(map(str, found))


def _settings(folder: Path, rng: Random) -> None:
    arg = rng.choice(
        (
            "64",
            "256,query=both:16,weights=idf",
            "16,style=promptreps",
            "8,stem=english,gamma=2",
            "probe,level=L0",
            "oracle,k1=1.2,b=0.75",
        )
    )
    (folder / "name.txt").write_text(arg, encoding="utf-8")


def _read_settings(folder: Path) -> None:
    from rarityir.types import RarityError

    text, said = _text(folder / "name.txt"), None
    for kind in (ImpactSettings, IdfSettings):
        try:
            found = kind.parse(text)
        except RarityError as error:
            said = error
        else:
            if isinstance(found, ImpactSettings):
                assert ImpactSettings.parse(found.stored).stored == found.stored
            return
    raise said if said else AssertionError


def _parts(folder: Path, rng: Random) -> None:
    names = [*sorted(registry.table("filters")), "bm25", "axes", "seismic", "dense"]
    arg = rng.choice(
        ("", "2", "64,center=yes", "1-5", "0.5", "corpus", "twin=x", "k1=1", "10,query=all", "ivf16,pq4", "hnsw32", "saved:x")
    )
    (folder / "name.txt").write_text(f"{rng.choice(names)}:{arg}", encoding="utf-8")


def _read_part(folder: Path) -> None:
    name, _, arg = _text(folder / "name.txt").partition(":")
    if name in registry.table("filters"):
        registry.resolve("filters", name)(arg)
    elif name in registry.table("indexes"):
        registry.resolve("indexes", name).key(arg)
    else:
        System.parse(f"dense+{name}:{arg}" if arg else f"dense+{name}")


def _measure(folder: Path, rng: Random) -> None:
    (folder / "name.txt").write_text(rng.choice(("nDCG@10", "RR(rel=2)@10", "AP(rel=2)", "rbp.95", "hit_rate@5-l2", "R@1000")))


# Text files of lines.


def _run(folder: Path, rng: Random) -> list[tuple[str, str, float]]:
    queries, docs = words(rng, rng.randint(1, 4)), words(rng, 9)
    rows = np.array([rng.sample(range(9), 5) for _ in queries], np.int64)
    scores = np.sort(np.array([[rng.uniform(-5, 5) for _ in range(5)] for _ in queries], np.float32), axis=1)[:, ::-1]
    run = Run.from_hits(word(rng), queries, docs, Hits(rows, scores))
    run.save(folder / "run.trec")
    return [(q, d, s) for q in run for d, s in run[q]]


def _read_run(folder: Path) -> list[tuple[str, str, float]]:
    run = read_run(folder / "run.trec")
    assert all((np.diff(run.scores[a:b]) < 0).all() for a, b in zip(run.indptr[:-1], run.indptr[1:], strict=True))
    return [(q, d, s) for q in run for d, s in run[q]]


def _dataset(folder: Path) -> tuple[Any, ...]:
    found = load_dataset(str(folder))
    return list(found.docs()), dict(found.topics), {q: dict(j) for q, j in found.qrels.items()}


def _tsv(folder: Path, rng: Random) -> tuple[Any, ...]:
    docs, queries, qrels = _collection(rng)
    (folder / "docs.tsv").write_text("".join(f"{i}\t{t}\n" for i, t in docs.items()), encoding="utf-8")
    (folder / "queries.tsv").write_text("".join(f"{i}\t{t}\n" for i, t in queries.items()), encoding="utf-8")
    lines = (f"{q} 0 {d} {grade}\n" for q, judged in qrels.items() for d, grade in judged.items())
    (folder / "qrels.txt").write_text("".join(lines), encoding="utf-8")
    return [(i, t) for i, t in docs.items()], queries, qrels


def _beir(folder: Path, rng: Random) -> tuple[Any, ...]:
    docs, queries, qrels = _collection(rng)
    (folder / "qrels").mkdir()
    for name, texts in (("corpus", docs), ("queries", queries)):
        lines = (json.dumps({"_id": i, "text": t, "title": ""}, ensure_ascii=rng.random() < 0.5) + "\n" for i, t in texts.items())
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    rows = [f"{q}\t{d}\t{grade}\n" for q, judged in qrels.items() for d, grade in judged.items()]
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(rows), encoding="utf-8")
    return [(i, t) for i, t in docs.items()], queries, qrels


def _collection(rng: Random) -> tuple[dict[str, str], dict[str, str], dict[str, dict[str, int]]]:
    docs = {i: prose(rng) for i in words(rng, rng.randint(1, 5))}
    queries = {i: prose(rng) for i in words(rng, rng.randint(1, 3))}
    least = [1, *[0] * (len(queries) - 1)]  # one query has a relevant document: without any there is nothing to measure
    qrels = {q: {d: rng.randint(low, 3) for d in rng.sample(list(docs), 1)} for q, low in zip(queries, least, strict=True)}
    return docs, queries, qrels


def _toml(folder: Path, rng: Random) -> Experiment:
    systems = [_system(rng) for _ in range(rng.randint(1, 3))]
    said = Experiment(systems=tuple(systems), baseline=systems[0], cutoff=rng.randint(1, 1000), seed=rng.randint(0, 9))
    lines = [
        f"systems = {json.dumps(systems)}",
        f"baseline = {json.dumps(systems[0])}",
        f"cutoff = {said.cutoff}  # {word(rng)}",
        f"seed = {said.seed}",
        rng.choice(("", 'pool = "bm25:100"', "[x]", "share_of = ''", 'measures = ["nDCG@10"]'))[:0],
    ]
    (folder / "experiment.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return said


def _read_toml(folder: Path) -> Experiment:
    found = Experiment.load(folder / "experiment.toml")
    found.check()
    from dataclasses import replace

    return replace(found, systems=tuple(found.systems))


def _weights(folder: Path, rng: Random) -> dict[str, float]:
    found = {name: rng.choice((rng.random() * 10, 0.0, 1e300, 5e-324)) for name in words(rng, 5)}
    (folder / "weights.tsv").write_text("".join(f"{name}\t{weight!r}\n" for name, weight in found.items()), encoding="utf-8")
    return found


def _pairs(folder: Path, rng: Random) -> list[tuple[Any, ...]]:
    rows = [(word(rng), word(rng), word(rng), float(rng.randint(1900, 2030))) for _ in range(4)]
    lines = ["drug\tgene\tpathway\tyear", *("\t".join(map(str, row)) for row in rows)]
    (folder / "pairs.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return rows


def _labels(folder: Path, rng: Random) -> None:
    (folder / "labels.tsv").write_text("".join(f"{w}\t{word(rng)}\n" for w in ["cat", *words(rng, 4)]), encoding="utf-8")


def _glove(folder: Path, rng: Random) -> list[str]:
    names = words(rng, 4)
    lines = [" ".join([name, *(f"{rng.uniform(-1, 1):.6f}" for _ in range(3))]) for name in names]
    (folder / "vectors.txt").write_text("\n".join(["4 3"] * rng.randint(0, 1) + lines) + "\n", encoding="utf-8")
    return names


def _npz(folder: Path, rng: Random) -> list[str]:
    names = words(rng, 4)
    save = rng.choice((np.savez, np.savez_compressed))
    save(folder / "vectors.npz", names=np.array(names), vectors=np.array([[rng.random()] * 3 for _ in names], np.float32))
    return names


def _json_vectors(folder: Path, rng: Random) -> list[Any]:
    rows = [(name, {w: float(np.float32(rng.uniform(0.1, 9))) for w in words(rng, 3)}) for name in words(rng, 4)]
    lines = (json.dumps({"id": i, "contents": "", "vector": vector}, ensure_ascii=False) + "\n" for i, vector in rows)
    (folder / "vectors.jsonl").write_text("".join(lines), encoding="utf-8")
    return rows


def _read_json_vectors(folder: Path) -> list[Any]:
    names: dict[str, int] = {}
    blocks = list(reading.documents(folder / "vectors.jsonl", names))
    found, called = [], list(names)
    for ids, impacts in blocks:
        for row, name in enumerate(ids):
            part = slice(impacts.indptr[row], impacts.indptr[row + 1])
            pairs = zip(impacts.token_ids[part].tolist(), impacts.values[part].tolist(), strict=True)
            found.append((name, {called[token]: weight for token, weight in pairs}))
    return found


def _repeated(folder: Path, rng: Random) -> None:
    lines = (f"{name}\t{' '.join(rng.choices(words(rng, 3), k=6))}\n" for name in words(rng, 3))
    (folder / "topics.tsv").write_text("".join(lines), encoding="utf-8")


def _dense_lines(folder: Path, rng: Random) -> None:
    lines = (json.dumps({"qid": name, "vector": [rng.uniform(-1, 1) for _ in range(3)]}) + "\n" for name in words(rng, 3))
    (folder / "vectors.jsonl").write_text("".join(lines), encoding="utf-8")


def _texts(folder: Path, rng: Random) -> list[str]:
    found = [prose(rng) or "x" for _ in range(3)]
    (folder / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in found), encoding="utf-8")
    return found


def _ids(folder: Path, rng: Random) -> list[str]:
    found = words(rng, 6)
    with writing(folder) as take:
        for name in found:
            take(name)
    return found


def _read_ids(folder: Path) -> list[str]:
    found = DocIds(folder)
    found.repeated()
    wanted = [found[row] for row in range(len(found))]
    assert len(list(found)) <= len((folder / "doc_ids.txt").read_bytes()) + 1
    found.rows([*wanted, "no such id"])
    return wanted


def _report(folder: Path, rng: Random) -> None:
    (folder / "runs").mkdir()
    run = Run.from_hits(
        "bm25", ("1", "2"), ["184", "29", "31"], Hits(np.array([[0, 1], [2, 0]]), np.array([[2.0, 1.0], [3.0, 1.0]], np.float32))
    )
    said = {
        "dataset": "cranfield",
        "baseline": "bm25",
        "measures": ["nDCG@10"],
        "cutoff": 10,
        "seed": 0,
        "order": 0,
        "encoder": "demo",
    }
    run.save(folder / "runs" / "bm25.trec", {**said, "cost": {"bytes_per_doc": 3.0}, "subset": {}, "instruction": ""})


def _read_report(folder: Path) -> None:
    rebuild(folder)


def _text(path: Path) -> str:
    """What a command line gives: bytes that are no UTF-8 come as half characters."""
    return path.read_bytes().decode("utf-8", "surrogateescape").replace("\0", "") if path.exists() else ""


PARSERS: dict[str, Parser] = {
    "system names": Parser(_named, _read_system),
    "settings of indexes": Parser(_settings, _read_settings),
    "arguments of parts": Parser(_parts, _read_part),
    "measures": Parser(_measure, lambda folder: Measure.parse(_text(folder / "name.txt"))),
    "TREC runs": Parser(_run, _read_run),
    "TSV documents, topics, TREC qrels": Parser(_tsv, _dataset),
    "BEIR folders": Parser(_beir, _dataset),
    "experiments (TOML)": Parser(_toml, _read_toml),
    "weights of tokens": Parser(_weights, lambda folder: dict(read_table(folder / "weights.tsv"))),
    "relation pairs": Parser(
        _pairs, lambda folder: [tuple(pair) for pair in read_pairs(folder / "pairs.tsv", group="pathway", time="year")]
    ),
    "labels of tokens": Parser(_labels, lambda folder: read_labels(folder / "labels.tsv", ["cat", " Cat", None])),
    "named vectors (text)": Parser(_glove, lambda folder: list(Named.read(folder / "vectors.txt").ids)),
    "named vectors (npz)": Parser(_npz, lambda folder: list(Named.read(folder / "vectors.npz").ids)),
    "JSON vectors": Parser(_json_vectors, _read_json_vectors),
    "topics of repeated terms": Parser(_repeated, lambda folder: reading.topics(folder / "topics.tsv", {})),
    "dense vectors (JSON lines)": Parser(_dense_lines, lambda folder: reading.dense(folder / "vectors.jsonl")),
    "text sets (lines)": Parser(_texts, lambda folder: list(TextSet.from_file(folder / "texts.jsonl").texts)),
    "document ids": Parser(_ids, _read_ids),
    "runs and their sidecars": Parser(_report, _read_report),
    **{name: Parser(*made) for name, made in (stored.PARSERS | foreign.PARSERS).items()},
}


def taken(folder: Path) -> Files:
    """The files of a folder, in memory."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def placed(files: Files, folder: Path) -> Path:
    """Files in a folder."""
    for name, raw in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(raw)
    return folder


def digest(files: Files) -> str:
    """What tells one input from another."""
    return hashlib.sha256(b"\0".join(name.encode() + b"\0" + raw for name, raw in sorted(files.items()))).hexdigest()


__all__ = ["PARSERS", "Parser", "digest", "placed", "store", "taken"]
