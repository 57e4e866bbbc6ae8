"""`rarityir alignment`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rarityir.cli.options import (
    dataset_option,
    encoder_options,
    given,
    indexes_option,
    json_option,
    names,
    print_facts,
    retriever,
)


@click.command()
@dataset_option
@encoder_options
@click.option("--filters", metavar="A,B", help="Filters to measure under.  [default: none,edge:2,tail:2,auto,random:2]")
@click.option("--topics", is_flag=True, help="Measure the topics, not the documents.")
@click.option("--sample", type=click.IntRange(0), default=0, help="Measure so many texts, drawn at random.  [default: all]")
@click.option("--k", "cutoff", type=click.IntRange(1), default=10, show_default=True, help="The K of Hit@K.")
@click.option("--counts", default="english", show_default=True, help="Token frequencies: english, corpus, or a file.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of sample, control and bootstrap.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for alignment.json and alignment.md.")
@indexes_option
@json_option
def alignment(
    filters: str | None,
    sample: int,
    cutoff: int,
    counts: str,
    seed: int,
    out: Path | None,
    *,
    topics: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Measure how far embeddings write their texts' own tokens: Hit@K, local and global alignment rate, with controls.

    \b
    rarityir alignment --dataset cranfield
    rarityir alignment --dataset scifact --filters none,edge:2,auto --sample 1000 --out evals/alignment/scifact

    Each figure stands beside the same lists' figure on another text's tokens, and the interval of the difference.
    """
    from rarityir.alignment import FILTERS, align, write
    from rarityir.retrieval import INDEXES

    source = retriever(options)
    table = align(
        source.dataset,
        source.encoder,
        names(filters) if filters else FILTERS,
        topics=topics,
        sample=sample,
        cutoff=cutoff,
        counts=counts,
        seed=seed,
        indexes=given(options).get("indexes", INDEXES),
    )
    if out is not None:
        write(table, out)
    print_facts(table.json(), table.text().rstrip(), as_json=as_json)
