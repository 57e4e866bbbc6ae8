"""`rarityir rarity`."""

from __future__ import annotations

import click

from rarityir.cli.rarity.bands import bands
from rarityir.cli.rarity.probe import probe
from rarityir.cli.rarity.stats import stats
from rarityir.cli.rarity.undertrained import undertrained


@click.group()
def rarity() -> None:
    """What a model's matrices know about how rare tokens are: statistics, probes, weights, pictures."""


COMMANDS: tuple[click.Command, ...] = (bands, probe, stats, undertrained)
for command in COMMANDS:
    rarity.add_command(command)
