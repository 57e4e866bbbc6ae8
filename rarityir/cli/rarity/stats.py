"""`rarityir rarity stats`."""

from __future__ import annotations

from pathlib import Path

import click

from rarityir.cli.options import json_option, print_facts


@click.command()
@click.option(
    "--dataset", metavar="D", help="Alias (scifact), ir_datasets id or folder whose documents are counted.  [default: cranfield]"
)
@click.option("--model", metavar="M", default="demo", show_default=True, help="Whose tokens: short name, hub id or folder.")
@click.option("--limit", type=click.IntRange(1), help="Read the first so many documents only.")
@click.option(
    "--words", type=click.Path(path_type=Path), help="A file of word counts (word, tab or space, count) instead of documents."
)
@click.option("--workers", type=click.IntRange(0), default=0, help="Processes that tokenise.  [default: one a core]")
@click.option("--top", type=click.IntRange(1), default=20, show_default=True, help="Commonest tokens shown.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder for the statistics, stats.json, pictures and one page; a stopped pass goes on there.",
)
@json_option
def stats(
    dataset: str | None,
    model: str,
    limit: int | None,
    words: Path | None,
    workers: int,
    top: int,
    out: Path | None,
    *,
    as_json: bool,
) -> None:
    """Count how often each token occurs in a dataset's documents, and in how many of them.

    \b
    rarityir rarity stats
    rarityir rarity stats --dataset scifact --model Qwen/Qwen2.5-0.5B --out stats/scifact
    rarityir rarity stats --words counts.tsv --model demo

    One pass, in as many processes as there are cores; memory does not grow with the corpus. With --out a stopped pass goes on
    where it was, and statistics that are there already are shown without counting. Word counts give occurrences (cf) alone.
    """
    from rarityir import store
    from rarityir.rarity.forms import Forms
    from rarityir.rarity.overview import Overview
    from rarityir.rarity.stats import TokenStats

    if words is not None and (dataset is not None or limit is not None):
        raise click.UsageError("--words stands instead of --dataset and --limit; leave one of them out")
    forms = Forms.of(model)
    if words is None:
        found = TokenStats.from_dataset(dataset or "cranfield", model, limit=limit or 0, workers=workers, folder=out)
    else:
        found = TokenStats.from_words(words, model)
        if out is not None:
            found.save(out)
    overview = Overview.of(found, forms, top)
    if out is not None:
        from rarityir.rarity.overview_page import write

        store.write_json(out / "stats.json", overview.facts)
        write(found, forms, overview, out)
    print_facts(overview.facts, overview.text(), as_json=as_json)
