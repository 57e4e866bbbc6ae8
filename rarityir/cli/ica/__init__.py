"""`rarityir ica`."""

from __future__ import annotations

import click

from rarityir.cli.commands import Commands
from rarityir.cli.ica.ablate import ablate
from rarityir.cli.ica.axes import axes
from rarityir.cli.ica.explain import explain
from rarityir.cli.ica.fit import fit
from rarityir.cli.ica.ideal import ideal
from rarityir.cli.ica.match import match
from rarityir.cli.ica.sparsity import sparsity
from rarityir.cli.ica.tree import tree


@click.group(cls=Commands)
def ica() -> None:
    """Independent axes of embeddings: what a cosine is made of, what each axis is worth, what hangs together."""


COMMANDS: tuple[click.Command, ...] = (ablate, axes, explain, fit, ideal, match, sparsity, tree)
for command in COMMANDS:
    ica.add_command(command)
