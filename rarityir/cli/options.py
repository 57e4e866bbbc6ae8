"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

Command = Callable[..., Any]


def encoder_options(command: Command) -> Command:
    """Adds the options that say which encoder reads texts, and how."""
    for option in reversed(
        (
            click.option("--encoder", metavar="E", help="Short name, hub id or folder of a causal LM; st:NAME for a "
                         "sentence-transformer.  [default: demo]"),
            click.option("--pooling", help="mean, weighted-mean, last, prompteol or echo.  [default: the encoder's own]"),
            click.option("--instruction", help="Text put before every query."),
            click.option("--max-length", type=int, help="Tokens of a text that are read."),
            click.option("--device", help="cpu, cuda, cuda:1, mps or auto."),
            click.option("--dtype", help="float32, bfloat16, float16 or auto."),
            click.option("--batch-tokens", type=int, help="Tokens in one forward pass.  [default: 16384]"),
        )
    ):  # fmt: skip
        command = option(command)
    return command


def dataset_option(command: Command) -> Command:
    """Adds --dataset."""
    text = "Alias (scifact), ir_datasets id (beir/scifact/test) or folder.  [default: cranfield]"
    return click.option("--dataset", metavar="D", help=text)(command)


def indexes_option(command: Command) -> Command:
    """Adds --indexes."""
    return click.option("--indexes", metavar="DIR", help="Where everything built is kept.  [default: indexes]")(command)


def json_option(command: Command) -> Command:
    """Adds --json."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")(command)


def names(text: str) -> list[str]:
    """Splits a comma-separated list of systems or measures; commas inside a system's parentheses stay."""
    from rarityir.systems import split

    return split(text)


def given(values: dict[str, Any]) -> dict[str, Any]:
    """Returns the options that were given."""
    return {key: value for key, value in values.items() if value is not None}
