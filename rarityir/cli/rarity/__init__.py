"""`rarityir rarity`."""

from __future__ import annotations

import click

from rarityir.cli.commands import Commands
from rarityir.cli.rarity.bands import bands
from rarityir.cli.rarity.heatmap import heatmap
from rarityir.cli.rarity.idf import idf
from rarityir.cli.rarity.layers import layers
from rarityir.cli.rarity.probe import probe
from rarityir.cli.rarity.stats import stats
from rarityir.cli.rarity.undertrained import undertrained


@click.group(cls=Commands)
def rarity() -> None:
    """What a model's matrices know about how rare tokens are: statistics, probes, weights, pictures."""


COMMANDS: tuple[click.Command, ...] = (bands, heatmap, idf, layers, probe, stats, undertrained)
for command in COMMANDS:
    rarity.add_command(command)
