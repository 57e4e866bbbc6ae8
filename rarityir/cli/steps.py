"""`rarityir encode`, `index` and `search`: the steps of an experiment, one at a time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rarityir.cli.clusters import cluster_options, encode_on_cluster, search_on_cluster, take_over
from rarityir.cli.options import (
    dataset_option,
    encoder_options,
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
    from rarityir.runs import Run
    from rarityir.systems import System
    from rarityir.types import Json


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
    encoded: Path | None,
    dry_run: bool,
    force: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Encode a dataset's documents; goes on where an earlier, stopped run was.

    \b
    rarityir encode --dataset msmarco-passage --cluster auto --out /shared/msmarco
    rarityir encode --dataset msmarco-passage --encoded /shared/msmarco
    """
    if encoded is not None and (dry_run or (cluster, out, filter_name, sparse) != (None,) * 4):
        raise click.UsageError("--encoded takes over what --cluster wrote, and goes with none of its options")
    if encoded is not None:
        take_over(retriever(options), encoded, as_json=as_json)
        return
    if cluster is not None:
        if out is None:
            raise click.UsageError("--cluster needs --out, the folder to write")
        if dry_run:
            raise click.UsageError("--dry-run plans for this machine; leave --cluster out")
        encode_on_cluster(retriever(options), cluster, out, filter_name, sparse, as_json=as_json)
        return
    if out is not None or filter_name is not None or sparse is not None:
        raise click.UsageError("--out, --filter and --sparse go with --cluster")
    source = planned(options, (), "encode", 0, dry_run=dry_run, force=force, as_json=as_json)
    if source is None:
        return
    found = source.embeddings
    facts = {"folder": str(found.folder), "blocks": len(found.paths), "seconds": found.seconds}
    print_facts(facts, f"{facts['folder']}: {facts['blocks']} blocks", as_json=as_json)


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
@click.option("--cluster", metavar="C", help="Search --encoded on Ray, exactly: local, auto, or ray://host:port.")
@click.option(
    "--encoded", type=click.Path(path_type=Path), help="With --cluster: the folder that rarityir encode --cluster wrote."
)
@dataset_option
@subset_options
@encoder_options
@planning_options
@indexes_option
@json_option
def search(
    system: str,
    cutoff: int,
    out: Path | None,
    cluster: str | None,
    encoded: Path | None,
    *,
    dry_run: bool,
    force: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Retrieve with SYSTEM for all topics of a dataset and write the TREC run.

    \b
    rarityir search sparse:64+edge:2 --dataset scifact --out sparse.trec
    rarityir search dense+edge:2 --dataset msmarco-dev --cluster auto --encoded /shared/msmarco --out dense.trec
    """
    from rarityir.runs import check_place
    from rarityir.systems import System

    parsed = System.parse(system)
    if out is not None:
        check_place(out)
    if (cluster is None) != (encoded is None):
        raise click.UsageError("--cluster and --encoded go together")
    if cluster is not None and dry_run:
        raise click.UsageError("--dry-run plans for this machine; leave --cluster out")
    if cluster is not None and encoded is not None:
        source = retriever(options)
        run, cost = search_on_cluster(source, parsed, encoded, cutoff, cluster), {}
    else:
        how = {"dry_run": dry_run, "force": force, "as_json": as_json}
        found = planned(options, [parsed], "search", cutoff, **how, timed=as_json or out is not None)
        if found is None:
            return
        source, run = found, found.run(parsed, cutoff)
        cost = {"cost": source.search(parsed, cutoff).cost}
    if out is None and not as_json:
        _print(run)
        return
    facts: dict[str, Any] = {
        "system": run.name,
        "dataset": source.dataset.name,
        "queries": len(run),
        "retrieved": len(run.rows),
    }
    if out is not None:
        facts["run"] = str(run.save(out, {**facts, **_provenance(source, parsed, options), "cutoff": cutoff, **cost}))
    print_facts({**facts, **cost}, str(out), as_json=as_json)


def _provenance(source: Retriever, system: System, options: dict[str, Any]) -> dict[str, Json]:
    """Returns what a run is of, in the words of eval's own, so that it can be put beside them."""
    from rarityir.datasets.reading import topics_sha256
    from rarityir.experiment import takes_model

    model = {"encoder_identity": source.encoder.identity(), "instruction": options["instruction"] or ""}
    return {
        "dataset": options["dataset"] or "cranfield",  # as it was given, so that it can be loaded again
        "encoder": source.encoder.name,
        **(model if takes_model(system) else {}),
        "documents": dict(source.dataset.identity),
        "topics_sha256": topics_sha256(source.dataset),
        "subset": dict(source.dataset.subset),
    }


def _print(run: Run) -> None:
    for query_id in run:
        for rank, (doc_id, score) in enumerate(run[query_id], start=1):
            click.echo(f"{query_id} Q0 {doc_id} {rank} {score:.9g} {run.name}")
