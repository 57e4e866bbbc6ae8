"""`rarityir filter fit` and `rarityir filter show`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from rarityir.cli.options import json_option


@click.group("filter")
def filter_() -> None:
    """Fit filters on a model's unembedding, and look at its spectrum."""


@filter_.command()
@click.argument("model")
@click.argument("band")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for filter.safetensors and its card.")
@json_option
def fit(model: str, band: str, out: Path, *, as_json: bool) -> None:
    """Fit BAND (edge:2, tail:2, head:2, mid:2, random:2) on MODEL and save it; the model itself is not loaded."""
    from rarityir.filters import EmbedFilter

    found = EmbedFilter.fit(model, band)
    found.save(out)
    facts = {"filter": band, "kept": found.basis.shape[0], "width": found.basis.shape[1], "folder": str(out), **found.fitted_on}
    click.echo(json.dumps(facts, indent=1) if as_json else f"{out}: {band} keeps {facts['kept']} of {facts['width']} directions")


@filter_.command()
@click.argument("model")
@click.option("--top", type=click.IntRange(1), default=8, show_default=True, help="Singular values shown at each end.")
@json_option
def show(model: str, top: int, *, as_json: bool) -> None:
    """Show the spectrum of MODEL's unembedding: singular values and how the energy is spread."""
    import numpy as np

    from rarityir.filters import spectrum

    found = spectrum(model)
    energy = np.cumsum(found.values**2) / np.sum(found.values**2)
    facts = {"model": model, "vocabulary": found.vocabulary, "width": len(found.values), "sha256": found.digest}
    if as_json:
        click.echo(json.dumps({**facts, "singular_values": found.values.tolist()}, indent=1))
        return
    click.echo(
        f"{model}: {found.vocabulary} x {len(found.values)}, condition {found.values[0] / max(found.values[-1], 1e-300):.3g}"
    )
    click.echo(f"{'rank':>6} {'singular value':>15} {'energy up to it':>16}")
    width = len(found.values)
    shown = list(range(width)) if width <= 2 * top else [*range(top), -1, *range(width - top, width)]
    for i in shown:
        click.echo("     …" if i < 0 else f"{i + 1:>6} {found.values[i]:>15.4f} {energy[i]:>16.4f}")
