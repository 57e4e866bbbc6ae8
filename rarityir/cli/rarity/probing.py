"""Options and work that `rarity probe` and `rarity bands` share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rarityir.cli.options import Command, names, print_facts

if TYPE_CHECKING:
    from rarityir.rarity.study import Study

FILTERS = "edge:2,tail:2,auto"
OPTIONS = (
    click.option("--model", metavar="M", default="demo", show_default=True, help="Short name, hub id or folder."),
    click.option(
        "--matrix", metavar="X", default="input", show_default=True,
        help="input, output, q, k (first-layer query or key), type:L, context:L or context-mean:L (states after L layers).",
    ),
    click.option("--gain", is_flag=True, help="Fold the final norm's gain into output rows."),
    click.option("--stats", metavar="DIR", type=click.Path(path_type=Path), help="Token statistics of `rarity stats`."),
    click.option("--dataset", metavar="D", help="Documents to count and read in context.  [default: cranfield]"),
    click.option("--limit", type=click.IntRange(1), help="Count the first so many documents only."),
    click.option("--pool", default="seen", show_default=True, help="seen: tokens that occur; all: the unseen ones too."),
    click.option("--folds", type=click.IntRange(2), default=5, show_default=True),
    click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of folds, resamples, samples."),
    click.option("--documents", type=click.IntRange(1), default=500, show_default=True, help="Documents read in context."),
    click.option("--device", default="auto", show_default=True, help="Where states are computed."),
    click.option("--out", type=click.Path(path_type=Path), help="Folder for the JSON."),
)  # fmt: skip


def probing_options(command: Command) -> Command:
    """Adds the options that say which rows are probed, against which statistics, and how."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def studied(
    model: str, matrix: str, asked: dict[str, Any], *, bands: bool = False, filters: str | None = None, **how: Any
) -> Study:
    """Reads the rows, counts where it has to, and probes; `how` are the options of `probing_options`."""
    from rarityir.datasets import load_dataset
    from rarityir.rarity.rows import rows
    from rarityir.rarity.sample import Sample
    from rarityir.rarity.stats import TokenStats
    from rarityir.rarity.study import Asked, study

    if how["stats"] is not None and how["limit"] is not None:
        raise click.UsageError("--stats are counted already; leave --limit out")
    wanted = matrix.startswith("context")
    if wanted and how["stats"] is not None and how["dataset"] is None:
        raise click.UsageError(f"--matrix {matrix} needs --dataset, whose documents are read in context")
    dataset = load_dataset(how["dataset"] or "cranfield") if wanted or how["stats"] is None else None
    if how["stats"] is not None and dataset is None and how["dataset"] is not None:
        raise click.UsageError("--stats stand instead of --dataset; leave one of them out")
    texts = (doc.text for doc in dataset.docs()) if dataset is not None and wanted else None
    x = rows(model, matrix, gain=how["gain"], texts=texts, documents=how["documents"], seed=how["seed"], device=how["device"])
    if how["stats"] is not None:
        found = TokenStats.load(how["stats"])
    else:
        found = TokenStats.from_dataset(dataset or "cranfield", model, limit=how["limit"] or 0)
    sample = Sample.of(model, found, x, pool=how["pool"])
    chosen = FILTERS if filters is None and x.stream and not how["gain"] else filters or ""
    given = Asked(folds=how["folds"], seed=how["seed"], filters=tuple(names(chosen) if chosen else ()), **asked)
    return study(model, sample, given, bands=bands)


def print_study(found: Study, text: str, name: str, out: Path | None, *, as_json: bool) -> None:
    """Prints a study and keeps its JSON."""
    from rarityir import store

    facts = found.json()
    if out is not None:
        store.write_json(out / f"{name}.json", facts)
    print_facts(facts, text, as_json=as_json)
