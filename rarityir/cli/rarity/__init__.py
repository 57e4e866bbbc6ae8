"""`rarityir rarity`."""

from __future__ import annotations

import click

from rarityir.cli.rarity.stats import stats


@click.group()
def rarity() -> None:
    """What a model's matrices know about how rare tokens are: statistics, probes, weights, pictures."""


COMMANDS: tuple[click.Command, ...] = (stats,)
for command in COMMANDS:
    rarity.add_command(command)
