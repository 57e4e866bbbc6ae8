"""`rarityir informativeness`."""

from __future__ import annotations

import click

from rarityir.cli.commands import Commands
from rarityir.cli.informativeness.angles import angles
from rarityir.cli.informativeness.fit import fit
from rarityir.cli.informativeness.gamma import gamma
from rarityir.cli.informativeness.regress import regress
from rarityir.cli.informativeness.weights import corpus, correct, model, report


@click.group(cls=Commands)
def informativeness() -> None:
    """What tokens tell: weights for queries, poolings and BM25, from a corpus or a model."""


COMMANDS: tuple[click.Command, ...] = (corpus, model, correct, report, gamma, fit, regress, angles)
for command in COMMANDS:
    informativeness.add_command(command)
