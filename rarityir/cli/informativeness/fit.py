"""`rarityir informativeness fit`."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import click

from rarityir.cli.informativeness.weights import DATASET, LIMIT
from rarityir.cli.options import encoder_options, json_option, print_facts, reader


@click.command()
@DATASET
@click.option("--reference", default="mean", show_default=True, help="mean or argmin: the state that the form is around.")
@click.option("--checked", type=click.IntRange(0), default=2000, show_default=True, help="States drawn; 0 all.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of which states those are.")
@click.option("--picture", type=click.Path(path_type=Path), metavar="FILE", help="Draw it: .svg, .png or .pdf.")
@LIMIT
@encoder_options
@json_option
def fit(
    dataset: str, reference: str, checked: int, seed: int, picture: Path | None, limit: int | None, *, as_json: bool,
    **reading: Any,
) -> None:  # fmt: skip
    """Say how far the second order is from the exact divergence of a model's states: slope and R², beside the plain norm's.

    \b
    rarityir informativeness fit --limit 50 --picture fit.svg
    """
    from rarityir.datasets import load_dataset
    from rarityir.informativeness.fit import fit as fitted
    from rarityir.report import informativeness as drawing

    encoder = reader(reading.pop("encoder", None) or "demo", reading)
    texts = (doc.text for doc in islice(load_dataset(dataset).docs(), limit))
    found = fitted(encoder, texts, reference, checked=checked, seed=seed)
    if picture is not None:
        title = f"{encoder.name}, {dataset}"
        drawing.orders(drawing.Orders(title, found.exact, found.second, found.n, found.slope, found.r2), picture)
    facts = {"encoder": encoder.name, "dataset": dataset, "reference": reference, **found.json()}
    text = (
        f"{len(found.exact)} states of {encoder.name} on {dataset}: mean KL {found.exact.mean():.3f} nats, "
        f"to second order {found.second.mean():.3f}\n"
        f"second order on exact: slope {found.slope:.3f}, R² {found.r2:.3f}; plain squared norm: R² {found.r2_of_norm:.3f}"
    )
    print_facts(facts, text, as_json=as_json)
