"""`rarityir informativeness regress`."""

from __future__ import annotations

from pathlib import Path

import click

from rarityir.cli.informativeness.weights import DATASET
from rarityir.cli.options import json_option, print_facts


@click.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path))
@DATASET
@click.option("--model", metavar="M", default="demo", show_default=True, help="Whose rows are probed: name, hub id or folder.")
@click.option("--matrix", metavar="X", default="output", show_default=True, help="input, output, q or k.")
@click.option("--folds", type=click.IntRange(2), default=5, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the folds.")
@click.option("--out", type=click.Path(path_type=Path), help="File for the JSON.")
@json_option
def regress(
    folders: tuple[Path, ...], dataset: str, model: str, matrix: str, folds: int, seed: int, out: Path | None, *, as_json: bool
) -> None:
    """Hold weights beside the linear probe of rarity, also beyond log frequency.

    \b
    rarityir informativeness regress weights/document weights/exact --matrix output

    Left: how a weight goes with the IDF of the documents. Right: what a ridge of the model's rows tells of the weight, out of
    fold; its first line is the probe of the IDF itself. `beyond n` is Spearman's with log frequency partialled out.
    """
    from rarityir import store
    from rarityir.informativeness import TokenInformation
    from rarityir.informativeness.regressing import regress as regressed
    from rarityir.rarity.rows import rows
    from rarityir.rarity.sample import Sample
    from rarityir.rarity.stats import TokenStats

    weights = {str(folder): TokenInformation.load(folder).values for folder in folders}
    sample = Sample.of(model, TokenStats.from_dataset(dataset, model), rows(model, matrix))
    found = regressed(sample, weights, folds, seed)
    facts = {"model": model, "matrix": matrix, "dataset": dataset, "rows": [row.json() for row in found]}
    if out is not None:
        store.write_json(out, facts)
    head = f"{'with the IDF':^24} | {f'{matrix} rows, out of fold':^24}"
    lines = [f"{'':>26} {'':>7} {head}", f"{'':>26} {'tokens':>7}" + f" {'R²':>7} {'ρ':>7} {'beyond n':>8}" * 2]
    for row in found:
        own, told = row.with_idf, row.with_probe
        left = f" {own.r2:>7.3f} {own.spearman:>7.3f} {own.partial:>8.3f}"
        right = f" {row.r2:>7.3f} {told.spearman:>7.3f} {told.partial:>8.3f}"
        lines.append(f"{row.name[-26:]:>26} {own.tokens:>7}{left}{right}")
    print_facts(facts, "\n".join(lines), as_json=as_json)
