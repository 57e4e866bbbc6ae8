"""`rarityir encode`, `index` and `search`: the steps of an experiment, one at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rarityir.cli.options import (
    dataset_option,
    encoder_options,
    indexes_option,
    json_option,
    planning_options,
    print_facts,
    subset_options,
)
from rarityir.cli.planning import planned


@click.command()
@dataset_option
@subset_options
@encoder_options
@planning_options
@indexes_option
@json_option
def encode(*, dry_run: bool, force: bool, as_json: bool, **options: Any) -> None:
    """Encode a dataset's documents; goes on where an earlier, stopped run was."""
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
