"""`rarityir rarity probe`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rarityir.cli.options import json_option, names
from rarityir.cli.rarity.probing import FILTERS, print_study, probing_options, studied


@click.command()
@probing_options
@click.option(
    "--targets",
    metavar="A,B",
    default="log_idf",
    show_default=True,
    help="log_idf, log_icf, bm25_idf, burstiness, ridf, …; stop_word, punctuation, digit, fragment; coin.",
)
@click.option("--permutations", type=click.IntRange(0), default=0, help="Permuted targets, 199 or more for a p-value.")
@click.option("--components", type=click.IntRange(1), default=400, show_default=True, help="Of the arm on principal components.")
@click.option(
    "--repair",
    default="none",
    show_default=True,
    help="balanced or occurrence: also a probe whose head is repaired, for both kinds of R² or for running text alone.",
)
@click.option("--filters", metavar="F,G", help=f"Filters to tie to rarity; '' for none.  [default: {FILTERS}]")
@json_option
def probe(
    *, model: str, matrix: str, targets: str, permutations: int, components: int, repair: str, filters: str | None,
    out: Path | None, as_json: bool, **how: Any,
) -> None:  # fmt: skip
    """Say how well MATRIX's rows tell how rare tokens are: over types, and over running text.

    \b
    rarityir rarity probe
    rarityir rarity probe --model Qwen/Qwen2.5-0.5B --matrix output --stats stats/scifact --targets log_idf,stop_word
    rarityir rarity probe --matrix type:2 --permutations 199 --out probes/type-2

    Every R² is out of fold and stands beside its twin over occurrences, with 95 % intervals; forms of one word are never parted.
    A uniform control, what the token's name alone tells, and the bias by frequency come with it. Labels are told by AUROC and
    average precision.
    """
    from rarityir.rarity.tables import text

    asked = {"targets": tuple(names(targets)), "permutations": permutations, "components": components, "repair": repair}
    found = studied(model, matrix, asked, filters=filters, **how)
    print_study(found, text(found), "probe", out, as_json=as_json)
