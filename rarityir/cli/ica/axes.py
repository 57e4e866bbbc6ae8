"""`rarityir ica axes`."""

from __future__ import annotations

from pathlib import Path

import click

from rarityir.cli.ica import rows
from rarityir.cli.options import indexes_option, json_option, print_facts


@click.command()
@rows.folder
@click.option("--first", type=click.IntRange(1), default=30, show_default=True, help="Axes shown.")
@click.option("--rarity", is_flag=True, help="Also each axis's rank correlation with its tokens' rarity, the strongest first.")
@rows.PICTURE
@rows.OUT
@indexes_option
@json_option
def axes(
    *, folder: Path, first: int, rarity: bool, picture: Path | None, out: Path | None, indexes: str | None, as_json: bool
) -> None:
    """Show axes: how skewed each is, how stable, and what stands at its end.

    \b
    rarityir ica axes axes/unembedding --rarity
    """
    from rarityir import store
    from rarityir.ica.telling import table

    found = rows.opened(folder)
    facts = {"fitted_on": found.fitted_on, "diagnostics": found.diagnostics.json(), "labels": [list(n) for n in found.labels]}
    correlation = None
    if rarity:
        import numpy as np

        from rarityir.counts import TokenCounts
        from rarityir.ica import rarity_correlation
        from rarityir.ica.rarity import of_values

        reader = rows.reader(found, None, indexes)
        kind = found.fitted_on["rows"]
        x = rows.token_rows(reader.encoder, "output" if kind == "documents" else str(kind))
        rare = -TokenCounts.english(reader.encoder.model, len(x)).log_probability()
        written = np.asarray(x, np.float64) @ found.writing.T
        correlation = of_values(written, rare) if kind == "documents" else rarity_correlation(found, x, rare)
        facts["rarity"] = {key: value.tolist() for key, value in correlation._asdict().items()}
    if out is not None:
        store.write_json(out, facts)
    if picture is not None:
        from rarityir.report import axes as drawing

        told = found.diagnostics
        drawing.tails(folder.name, told.skew.tolist(), told.kurtosis.tolist(), dict(zip(drawing.TAILS, told.reach)), picture)
    print_facts(facts, table(found, first, correlation), as_json=as_json)
