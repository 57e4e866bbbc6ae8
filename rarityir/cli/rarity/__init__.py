"""`rarityir rarity`."""

from __future__ import annotations

import click

from rarityir.cli.rarity import idf


@click.group()
def rarity() -> None:
    """What a model's matrices know about how rare tokens are: statistics, probes, weights, pictures."""


COMMANDS: tuple[click.Command, ...] = (idf.idf,)
for command in COMMANDS:
    rarity.add_command(command)
