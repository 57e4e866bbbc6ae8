"""`rarityir sparse build | search | merge | stats | export`: sparse vectors of any origin, indexed and searched exactly."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rarityir.cli.commands import Commands
from rarityir.cli.options import json_option, print_facts

if TYPE_CHECKING:
    from rarityir.vectors import Collection

FOLDER = click.Path(path_type=Path)
ENCODER = click.option(
    "--encoder", metavar="E", help="The encoder of an index that `rarityir index` built, whose tokens' names it has."
)


@click.group("sparse", cls=Commands)
def sparse() -> None:
    """Index, search, join and export sparse vectors, such as SPLADE's or uniCOIL's.

    VECTORS are Anserini's JSON vectors, {"id": …, "vector": {token: weight}} a line, plain or gzipped, or a folder of such files.
    INDEX is a folder of `sparse build`, or one that `rarityir index` built for sparse:K, then with --encoder.
    """


@sparse.command()
@click.argument("vectors", type=FOLDER)
@click.argument("out", type=FOLDER)
@json_option
def build(vectors: Path, out: Path, *, as_json: bool) -> None:
    """Index VECTORS into the folder OUT, as 8-bit impacts.

    VECTORS are a file of Anserini's JSON vectors, {"id": …, "vector": {token: weight}} a line, plain or gzipped, or a folder of
    such files.

    \b
    rarityir sparse build splade/ indexes/splade
    rarityir sparse search indexes/splade topics.splade-v3.tsv.gz --out splade.trec
    """
    from rarityir.vectors import build as built

    _told(built(vectors, out), as_json=as_json)


@sparse.command()
@click.argument("index", type=FOLDER)
@click.argument("topics", type=FOLDER)
@click.option("--out", type=FOLDER, required=True, help="The run file to write.")
@click.option("--cutoff", type=click.IntRange(1), default=1000, show_default=True, help="Documents retrieved for a query.")
@click.option("--threads", type=click.IntRange(1), help="Threads to search with.  [default: all cores]")
@click.option("--tag", help="The run's name.  [default: the index's folder]")
@ENCODER
@json_option
def search(
    index: Path, topics: Path, out: Path, cutoff: int, threads: int | None, tag: str | None, encoder: str | None, *, as_json: bool
) -> None:
    """Retrieve for TOPICS, exactly, and write the TREC run.

    TOPICS are lines of query_id, tab, and terms that stand as often as they weigh, or JSON vectors.
    """
    import time

    from rarityir import vectors
    from rarityir.runs import Run, check_place

    check_place(out)
    found = _opened(index, encoder)
    asked = vectors.topics(topics, {name: token for token, name in enumerate(found.tokens)})
    queries = vectors.known(asked, len(found.tokens))
    started = time.monotonic()
    hits = found.index.search(queries.impacts, cutoff, threads)
    seconds = time.monotonic() - started
    run = Run.from_hits(tag or found.folder.resolve().name, queries.ids, found.doc_ids, hits)
    facts: dict[str, Any] = {
        "index": str(index),
        "topics": str(topics),
        "queries": len(run),
        "retrieved": len(run.rows),
        "cutoff": cutoff,
        "query_tokens": len(asked.impacts.token_ids),
        "unknown_tokens": len(asked.impacts.token_ids) - len(queries.impacts.token_ids),
    }
    facts["run"] = str(run.save(out, facts))
    facts["seconds"] = round(seconds, 3)
    print_facts(facts, f"{out}: {len(run.rows)} documents for {len(run)} queries in {seconds:.2f} s", as_json=as_json)


@sparse.command()
@click.argument("parts", type=FOLDER, nargs=-1, required=True)
@click.option("--out", type=FOLDER, required=True, help="Folder to write.")
@json_option
def merge(parts: tuple[Path, ...], out: Path, *, as_json: bool) -> None:
    """Join folders of `sparse build` into one: their documents one after another, tokens of one name as one."""
    from rarityir.vectors import merge as merged

    _told(merged(parts, out), as_json=as_json)


@sparse.command()
@click.argument("index", type=FOLDER)
@click.option("--top", type=click.IntRange(0), default=10, show_default=True, help="Tokens in the most documents to name.")
@ENCODER
@json_option
def stats(index: Path, top: int, encoder: str | None, *, as_json: bool) -> None:
    """Print how large INDEX is and how its postings are spread over tokens."""
    import numpy as np

    found = _opened(index, encoder)
    counts = found.index.document_frequencies
    frequent = {found.tokens[token]: int(counts[token]) for token in np.argsort(-counts, kind="stable")[:top] if counts[token]}
    facts = {**found.index.statistics(), "frequent": frequent}
    lines = [f"{name:>22}  {value}" for name, value in facts.items() if name != "frequent"]
    lines += [f"{count:>22}  {name!r}" for name, count in frequent.items()]
    print_facts(facts, "\n".join(lines), as_json=as_json)


@sparse.command()
@click.argument("index", type=FOLDER)
@click.option("--to", "kind", metavar="T", required=True, help="anserini, elasticsearch, milvus, opensearch, qdrant or vespa.")
@click.option("--out", type=FOLDER, required=True, help="Folder to write; an earlier export of this kind is replaced.")
@click.option(
    "--levels",
    type=click.IntRange(1),
    help="The whole number that the largest impact becomes.  [default: 255; milvus and qdrant get impacts as they are]",
)
@click.option("--numbered", is_flag=True, help="anserini: tokens as t0, t1, … instead of their names.")
@click.option("--rows", "rows_as_ids", is_flag=True, help="anserini: rows as ids, so that ties are as ours.")
@ENCODER
@json_option
def export(
    index: Path,
    kind: str,
    out: Path,
    levels: int | None,
    encoder: str | None,
    *,
    numbered: bool,
    rows_as_ids: bool,
    as_json: bool,
) -> None:
    """Write INDEX as another engine reads it, and say what rounding lost."""
    from rarityir.integrations import impacts
    from rarityir.vectors.rounding import LEVELS

    impacts.check(kind, out)
    if kind != "anserini" and (numbered or rows_as_ids):
        raise click.UsageError("--numbered and --rows are for --to anserini")
    found = _opened(index, encoder)
    if kind == "anserini":
        facts = impacts.anserini(found, out, levels=levels or LEVELS, numbered=numbered, rows_as_ids=rows_as_ids)
    else:
        facts = impacts.rows_for(kind, found, out, levels=levels)
    lost = "impacts as they are"
    if "unit" in facts:
        lost = f"impacts changed by at most {facts['largest_change']} of {facts['levels']} units, {facts['raised']} raised to 1"
    print_facts({"folder": str(out), "export": kind, **facts}, f"{out}: {facts['documents']} documents, {lost}", as_json=as_json)


def _opened(folder: Path, encoder: str | None) -> Collection:
    from rarityir import vectors

    if encoder is None:
        return vectors.opened(folder)
    from rarityir.encoders import load_encoder

    return vectors.opened_corpus(folder, load_encoder(encoder))


def _told(found: Collection, *, as_json: bool) -> None:
    facts = {"folder": str(found.folder), **found.index.statistics()}
    print_facts(facts, f"{found.folder}: {facts['documents']} documents, {facts['postings']} postings", as_json=as_json)
