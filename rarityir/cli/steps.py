"""`rarityir encode`, `index` and `search`: the steps of an experiment, one at a time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rarityir.cli.options import (
    dataset_option,
    encoder_options,
    fitted,
    indexes_option,
    json_option,
    planning_options,
    print_facts,
    retriever,
    subset_options,
)
from rarityir.cli.planning import planned

if TYPE_CHECKING:
    from rarityir.retrieval import Retriever

CLUSTER = (
    click.option("--cluster", metavar="C", help="Encode on Ray into --out: local, auto, or ray://host:port."),
    click.option("--out", type=click.Path(path_type=Path), help="With --cluster: the folder to write; every node must see it."),
    click.option("--filter", "filter_name", metavar="F", help="With --cluster: a filter, or a saved one's folder."),
    click.option("--sparse", metavar="K", help="With --cluster: also write each document's K best tokens."),
)


def cluster_options(command: Any) -> Any:
    """Adds --cluster and what goes with it."""
    for option in reversed(CLUSTER):
        command = option(command)
    return command


@click.command()
@dataset_option
@subset_options
@encoder_options
@planning_options
@indexes_option
@cluster_options
@json_option
def encode(
    *,
    cluster: str | None,
    out: Path | None,
    filter_name: str | None,
    sparse: str | None,
    dry_run: bool,
    force: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Encode a dataset's documents; goes on where an earlier, stopped run was.

    \b
    rarityir encode --dataset msmarco-passage --cluster auto --out /shared/msmarco --filter edge:2
    """
    if cluster is not None:
        if out is None:
            raise click.UsageError("--cluster needs --out, the folder to write")
        if dry_run:
            raise click.UsageError("--dry-run plans for this machine; leave --cluster out")
        on_cluster(retriever(options), cluster, out, filter_name, sparse, as_json=as_json)
        return
    if out is not None or filter_name is not None or sparse is not None:
        raise click.UsageError("--out, --filter and --sparse go with --cluster")
    source = planned(options, (), "encode", 0, dry_run=dry_run, force=force, as_json=as_json)
    if source is None:
        return
    found = source.embeddings
    facts = {"folder": str(found.folder), "blocks": len(found.paths), "seconds": found.seconds}
    print_facts(facts, f"{facts['folder']}: {facts['blocks']} blocks", as_json=as_json)


def on_cluster(source: Retriever, cluster: str, out: Path, filter_name: str | None, sparse: str | None, *, as_json: bool) -> None:
    """Encodes on a Ray cluster and prints what was written."""
    from dataclasses import replace

    from rarityir.cluster.on_ray import encode
    from rarityir.settings import ImpactSettings

    # Without documents: a filter that is fitted on them would have this machine encode them all.
    chosen = fitted(replace(source.source, documents=None), filter_name) if filter_name else None
    settings = ImpactSettings.parse(sparse) if sparse else None
    found = encode(source.dataset, source.corpus, source.encoder, out, cluster=cluster, filter=chosen, sparse=settings)
    facts = {"folder": str(out), "shards": len(found.paths), "emb": found.identity["emb"], **found.facts}
    text = f"{out}: {facts['documents']} documents in {facts['shards']} shards, {facts['emb']}"
    print_facts(facts, text, as_json=as_json)


@click.command()
@click.argument("system")
@dataset_option
@subset_options
@encoder_options
@planning_options
@indexes_option
@json_option
def index(system: str, *, dry_run: bool, force: bool, as_json: bool, **options: Any) -> None:
    """Build everything SYSTEM needs, such as bm25 or sparse:64+edge:2, and print its folders."""
    from rarityir.systems import System

    parsed = System.parse(system)
    source = planned(options, [parsed], "index", 0, dry_run=dry_run, force=force, as_json=as_json)
    if source is None:
        return
    folders = [str(folder) for folder in source.index(parsed)]
    print_facts({"system": str(parsed), "folders": folders}, "\n".join(folders), as_json=as_json)


@click.command()
@click.argument("system")
@click.option("--cutoff", type=click.IntRange(1), default=1000, show_default=True, help="Documents retrieved for a query.")
@click.option("--out", type=click.Path(path_type=Path), help="The run file.  [default: standard output]")
@dataset_option
@subset_options
@encoder_options
@planning_options
@indexes_option
@json_option
def search(system: str, cutoff: int, out: Path | None, *, dry_run: bool, force: bool, as_json: bool, **options: Any) -> None:
    """Retrieve with SYSTEM for all topics of a dataset and write the TREC run."""
    from rarityir.runs import check_place
    from rarityir.systems import System

    parsed = System.parse(system)
    if out is not None:
        check_place(out)
    source = planned(options, [parsed], "search", cutoff, dry_run=dry_run, force=force, as_json=as_json)
    if source is None:
        return
    run = source.run(parsed, cutoff)
    if out is None and not as_json:
        for query_id in run:
            for rank, (doc_id, score) in enumerate(run[query_id], start=1):
                click.echo(f"{query_id} Q0 {doc_id} {rank} {score:.9g} {run.name}")
        return
    facts: dict[str, Any] = {
        "system": run.name,
        "dataset": source.dataset.name,
        "queries": len(run),
        "retrieved": len(run.rows),
    }
    if out is not None:
        facts["run"] = str(run.save(out, {**facts, "encoder": source.encoder.name, "cutoff": cutoff}))
    print_facts({**facts, "cost": source.search(parsed, cutoff).cost}, str(out), as_json=as_json)
