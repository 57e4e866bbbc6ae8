"""`rarityir rarity bands`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rarityir.cli.options import json_option
from rarityir.cli.rarity.probing import FILTERS, print_study, probing_options, studied


@click.command()
@probing_options
@click.option("--target", default="log_idf", show_default=True, help="What is read in each band.")
@click.option("--bands", "count", type=click.IntRange(1), default=20, show_default=True, help="Bands of equal width.")
@click.option("--filters", metavar="F,G", help=f"Filters whose share of each band is shown; '' for none.  [default: {FILTERS}]")
@json_option
def bands(
    *, model: str, matrix: str, target: str, count: int, filters: str | None, out: Path | None, as_json: bool, **how: Any
) -> None:
    """Say which bands of the unembedding's spectrum tell how rare tokens are, each band by itself.

    \b
    rarityir rarity bands
    rarityir rarity bands --matrix output --bands 10 --filters edge:2

    Directions are those that filters cut, by falling singular value. R² of each band's coordinates alone is over types and over
    occurrences; R² of bands need not add up.
    """
    from rarityir.rarity import tables

    asked = {"targets": (target,), "bands": count, "draws": 0}
    found = studied(model, matrix, asked, bands=True, filters=filters, **how)
    parts = (tables.heading(found), tables.pairs(found), tables.bands(found), tables.angles(found))
    print_study(found, "\n\n".join("\n".join(part) for part in parts if part), "bands", out, as_json=as_json)
