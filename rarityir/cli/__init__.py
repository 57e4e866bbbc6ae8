"""The command line: parses a command, calls one function, prints what it returns."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Sequence

import click

from rarityir import __version__
from rarityir.cli import (
    alignment,
    analogy,
    cleaning,
    comparing,
    completing,
    evaluation,
    exporting,
    filtering,
    geometry,
    inspection,
    listing,
    modelmap,
    reading,
    sparse,
    steps,
    stopping,
    variation,
)
from rarityir.cli.commands import Commands
from rarityir.cli.ica import ica
from rarityir.cli.informativeness import informativeness
from rarityir.cli.rarity import rarity
from rarityir.types import RarityError

_SAID_FIRST = ("-q", "--quiet", "-v", "--verbose")  # how much is said, by whatever command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="rarityir")
@click.option("-v", "--verbose", is_flag=True, help="Say what is being done.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
def cli(*, verbose: bool, quiet: bool) -> None:
    """Retrieval evaluation of token rarity in language models' embeddings.

    The main job, on the collection and the model that come with the package:

        rarityir eval

    Results go to standard output, progress and warnings to standard error.
    """
    if verbose and quiet:
        raise click.UsageError("-v says more and -q says nothing; give one of them")
    if quiet:
        warnings.simplefilter("ignore")
    level = logging.INFO if verbose else logging.ERROR if quiet else logging.WARNING
    logging.basicConfig(stream=sys.stderr, format="%(message)s", level=logging.ERROR, force=True)
    logging.getLogger().handlers[0].setFormatter(_Shown())
    logging.getLogger("rarityir").setLevel(level)
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


for command in (
    evaluation.eval_,
    evaluation.report,
    comparing.compare,
    steps.encode,
    steps.index,
    steps.search,
    filtering.filter_,
    alignment.alignment,
    variation.variation,
    rarity,
    geometry.geometry,
    informativeness,
    analogy.analogy,
    ica,
    reading.align,
    reading.explain,
    exporting.export,
    sparse.sparse,
    modelmap.modelmap,
    cleaning.clean,
    listing.list_,
    inspection.doctor,
    completing.completion,
):
    cli.add_command(command)
completing.complete(cli)


class _Shown(logging.Formatter):
    """A log's lines, in which nothing that a file or a name holds acts on a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        from rarityir.report.matching import lines_shown

        return lines_shown(super().format(record))


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit status: 0, 1 for an error a user can put right, 2 for wrong usage."""
    try:
        with stopping.terminable():
            status = cli.main(args=None if argv is None else list(argv), prog_name="rarityir", standalone_mode=False)
    except RarityError as error:
        return _fail(f"rarityir: {error}", 1)
    except click.UsageError as error:
        error = _placed(error)
        error.show()
        return error.exit_code
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        return _fail(f"rarityir: {error.format_message()}", 1)
    except (click.Abort, KeyboardInterrupt) as end:
        return _fail("rarityir: stopped; the same command goes on where this one was", stopping.status(end))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        # Disk full, no permission, read-only: the reader's to put right, and nothing half-written keeps its name.
        return _fail(f"rarityir: {error.strerror or error}{f': {error.filename}' if error.filename else ''}", 1)
    return status if isinstance(status, int) else 0  # click gives back what a command exits with


def _placed(error: click.UsageError) -> click.UsageError:
    """The error, or of an option that only stands before a command the one that says so."""
    if not isinstance(error, click.NoSuchOption) or error.option_name not in _SAID_FIRST or error.ctx is None:
        return error
    command = error.ctx.command_path.partition(" ")[2]
    said = f"{error.option_name} stands before the command: rarityir {error.option_name} {command}"
    return click.UsageError(said, error.ctx)


def _fail(message: str, status: int) -> int:
    print(" ".join(message.split()), file=sys.stderr)
    return status
