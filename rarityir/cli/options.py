"""Options that several commands share."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rarityir.filters import EmbedFilter, Source
    from rarityir.retrieval import Retriever
    from rarityir.types import Encoder

Command = Callable[..., Any]


class Choice(click.Choice[str]):
    """One of some words; of a misspelt one it is said which was meant."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Returns the word."""
        from rarityir import registry

        if value not in self.choices and isinstance(value, str):
            self.fail(registry.unknown("choice", value, self.choices), param, ctx)
        return super().convert(value, param, ctx)


class Folder(click.Path):
    """A folder that may be there or not; of a file it is said in which folder it is."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Returns the folder."""
        folder = Path(str(super().convert(value, param, ctx)))
        if folder.is_file():
            self.fail(f"{folder} is a file; give its folder: {folder.parent}", param, ctx)
        return folder


ENCODER = click.option(
    "--encoder",
    metavar="E",
    help="Short name, hub id or folder of a causal LM; st:NAME for a sentence-transformer.  [default: demo]",
)
READING = (
    click.option(
        "--pooling", help="mean, weighted-mean, last, prompteol, echo or weighted:FOLDER.  [default: the encoder's own]"
    ),
    click.option("--instruction", help="Text put before every query."),
    click.option("--max-length", type=int, help="Tokens of a text that are read."),
    click.option("--device", help="cpu, cuda, cuda:1, mps or auto."),
    click.option("--dtype", help="float32, bfloat16, float16 or auto."),
    click.option("--batch-tokens", type=int, help="Tokens in one forward pass.  [default: 1024 on a CPU, 16384 on a GPU]"),
    click.option("--workers", type=int, help="Processes that read a corpus.  [default: one a core or GPU]"),
    click.option("--attention", help="auto (the model's own choice), sdpa, eager or flash_attention_2.  [default: auto]"),
    click.option("--compile", is_flag=True, default=None, help="Let torch compile the model."),
    click.option("--store-dtype", help="float32 or float16, in which embeddings are kept.  [default: float32]"),
)


def encoder_options(command: Command) -> Command:
    """Adds the options that say which encoder reads texts, and how."""
    return ENCODER(reading_options(command))


def reading_options(command: Command) -> Command:
    """Adds the options that say how a model given otherwise reads texts."""
    for option in reversed(READING):
        command = option(command)
    return command


def dataset_option(command: Command) -> Command:
    """Adds --dataset."""
    text = "Alias (scifact), ir_datasets id (beir/scifact/test) or folder.  [default: cranfield]"
    return click.option("--dataset", metavar="D", help=text)(command)


def subset_options(command: Command) -> Command:
    """Adds --pool and --sample."""
    pool = "Keep the documents that a text system ranks that high for any topic, and the judged ones; bm25:100."
    sample = "Keep N random documents and the judged ones; N,seed=S draws others."
    return click.option("--pool", metavar="A:N", help=pool)(click.option("--sample", metavar="N", help=sample)(command))


def indexes_option(command: Command) -> Command:
    """Adds --indexes."""
    return click.option("--indexes", metavar="DIR", help="Where everything built is kept.  [default: indexes]")(command)


def json_option(command: Command) -> Command:
    """Adds --json."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")(command)


def planning_options(command: Command) -> Command:
    """Adds --dry-run and --force."""
    dry = "Print what it will take (tokens, bytes, time, what is reused), and stop."
    command = click.option("--force", is_flag=True, help="Go on where disk or memory seem too small.")(command)
    return click.option("--dry-run", is_flag=True, help=dry)(command)


def names(text: str) -> list[str]:
    """Splits a comma-separated list of systems or measures; commas inside a system's parentheses stay, braces are written out."""
    from rarityir.systems import expand, split

    return [name for piece in split(text) for name in expand(piece)]


def given(values: dict[str, Any]) -> dict[str, Any]:
    """Returns the options that were given."""
    return {key: value for key, value in values.items() if value is not None}


def retriever(options: dict[str, Any], encoder: Encoder | None = None, *, timed: bool = False) -> Retriever:
    """Returns what answers a dataset's topics with an encoder, from the options that name them, or the one given.

    Costs can be compared only where it is `timed`.
    """
    from rarityir.datasets import load_dataset
    from rarityir.encoders import load_encoder
    from rarityir.retrieval import INDEXES, Retriever
    from rarityir.subcollection import check, narrow

    values = given(options)
    subset = {key: values.pop(key, "") for key in ("pool", "sample")}
    check(**subset)
    dataset = load_dataset(values.pop("dataset", "cranfield"))
    indexes = Path(values.pop("indexes", INDEXES))
    encoder = encoder or load_encoder(values.pop("encoder", "demo"), **values)
    return narrow(Retriever(dataset, encoder, indexes, timed=timed), **subset)


def reader(model: str, options: dict[str, Any]) -> Encoder:
    """Returns the encoder of a model given by name, from the options that say how it reads texts."""
    from rarityir.encoders import load_encoder

    return load_encoder(model, **{key: value for key, value in given(options).items() if key not in ("dataset", "indexes")})


def screen() -> dict[str, Any]:
    """Returns how wide to print and whether in colour: as wide as it gets where nobody looks, plain where NO_COLOR says so.

    FORCE_COLOR and CLICOLOR_FORCE colour what is no terminal (no-color.org, bixense.com/clicolors).
    """
    seen, told = sys.stdout.isatty(), os.environ.get
    forced = any(told(name, "0") not in ("", "0") for name in ("FORCE_COLOR", "CLICOLOR_FORCE"))
    plain = bool(told("NO_COLOR")) or (not forced and (not seen or told("TERM") == "dumb" or told("CLICOLOR") == "0"))
    return {"colour": not plain, **({"width": shutil.get_terminal_size().columns} if seen else {})}


def print_facts(facts: dict[str, Any], text: str, *, as_json: bool) -> None:
    """Prints facts as one JSON object, or the text that says the same."""
    from rarityir.report.matching import as_json as told
    from rarityir.report.matching import lines_shown

    click.echo(told(facts) if as_json else lines_shown(text))


def fitted(source: Source, name: str) -> EmbedFilter:
    """Returns the filter of a name, fitted on a source, or the one that was saved in the folder of that name."""
    from rarityir.filters import EmbedFilter

    if (Path(name) / "filter.json").is_file():
        found = EmbedFilter.load(name)
        found.check_model(source.matrix.model or "this model", source.matrix.digest)
        return found
    if "/" in name and ":" not in name:
        raise click.UsageError(f"there is no saved filter in {name}, and it is no filter's name")
    return EmbedFilter.fit(source, name)
