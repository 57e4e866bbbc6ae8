"""`rarityir completion`, and what a shell is offered where a command takes a name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

import click
from click.shell_completion import CompletionItem, ShellComplete, get_completion_class

from rarityir.cli.options import Choice

VARIABLE = "_RARITYIR_COMPLETE"


@click.command()
@click.argument("shell", type=Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script by which SHELL completes commands, options and the names of systems, filters, models and collections.

    \b
    bash  ~/.bashrc: eval "$(rarityir completion bash)"
    zsh   ~/.zshrc, after compinit: eval "$(rarityir completion zsh)"
    fish  once: rarityir completion fish > ~/.config/fish/completions/rarityir.fish
    """
    kind = get_completion_class(shell) or ShellComplete  # click has all three
    # Of bash itself click asks the version, which a script that is only printed does not need.
    click.echo(ShellComplete.source(kind(ctx.find_root().command, {}, "rarityir", VARIABLE)))


class Named(click.types.StringParamType):
    """A text that a shell completes: one name, or several between commas."""

    def __init__(self, names: Callable[[], Iterable[str]], *, several: bool = False, joined: bool = False) -> None:
        self.names, self.several, self.joined = names, several, joined

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Returns the names that begin as the last piece does, behind what stands before it; then files and folders."""
        head = ""
        if self.several:
            head = incomplete[: _start(incomplete)]
        if self.joined and "+" in incomplete[len(head) :]:
            head, names = incomplete[: incomplete.rindex("+") + 1], filters()
        else:
            names = self.names()
        piece = incomplete[len(head) :]
        found = [CompletionItem(head + name) for name in names if name.startswith(piece)]
        return found or [CompletionItem(incomplete, type="file")]


def systems() -> Iterable[str]:
    """The names that a system begins with."""
    from rarityir import registry

    return [*sorted(registry.table("indexes")), *(f"{name}(" for name in sorted(registry.table("fusions")))]


def filters() -> Iterable[str]:
    """The names of filters."""
    from rarityir import registry

    return sorted(registry.table("filters"))


def encoders() -> Iterable[str]:
    """The short names of models."""
    from rarityir.checkpoints import MODELS, PACKAGED

    return [*MODELS, *(f"st:{name}" for name in PACKAGED)]


def datasets() -> Iterable[str]:
    """The short names of collections."""
    from rarityir.datasets import ALIASES
    from rarityir.datasets.embedded import NAME

    return [NAME, *ALIASES]


def measures() -> Iterable[str]:
    """Measures that are shown where none are asked for, and others of the field."""
    from rarityir.measures.names import DEFAULT

    return dict.fromkeys([*DEFAULT, "AP(rel=2)", "P@10", "RR@10", "Rprec", "Success@1", "nDCG@100"])


def poolings() -> Iterable[str]:
    """The names of poolings."""
    from rarityir.encoders.prompts import POOLINGS, WEIGHTED

    return [*sorted(POOLINGS), f"{WEIGHTED}:"]


def exports() -> Iterable[str]:
    """The stacks that filters, or a system's documents, are written for."""
    from rarityir import registry
    from rarityir.cli.listing import EXPORTS

    return sorted({*registry.table("exports"), *EXPORTS})


def engines() -> Iterable[str]:
    """The engines that impacts are written for."""
    from rarityir.cli.listing import EXPORTS

    return [name for name in EXPORTS if name not in ("faiss", "parquet")]


def targets() -> Iterable[str]:
    """The measures of how rare tokens are."""
    from rarityir.rarity.stats import TARGETS

    return TARGETS


def sources() -> Iterable[str]:
    """Where an IDF comes from."""
    from rarityir.settings import IDFS

    return IDFS


# By option, or by an argument's name as help writes it.
_KINDS: Mapping[str, Named] = {
    "--baseline": Named(systems, joined=True),
    "--dataset": Named(datasets),
    "--encoder": Named(encoders),
    "--filter": Named(filters, joined=True),
    "--filters": Named(filters, several=True, joined=True),
    "--measures": Named(measures, several=True),
    "--pooling": Named(poolings),
    "--share-of": Named(systems, joined=True),
    "--system": Named(systems, joined=True),
    "--systems": Named(systems, several=True, joined=True),
    "--target": Named(targets),
    "--targets": Named(targets, several=True),
    "--to": Named(exports),
    "FILTER": Named(filters, joined=True),
    "MODEL": Named(encoders),
    "SYSTEM": Named(systems, joined=True),
}
_OWN: Mapping[tuple[str, ...], Named] = {
    ("rarity", "idf", "--systems"): Named(sources, several=True),
    ("sparse", "export", "--to"): Named(engines),
}


def complete(command: click.Command, path: Sequence[str] = ()) -> None:
    """Lets a shell complete the names that a command and all below it take."""
    for param in command.params:
        name = param.opts[0] if isinstance(param, click.Option) else param.human_readable_name
        if param.type is click.STRING and name in _KINDS:
            param.type = _OWN.get((*path, name), _KINDS[name])
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            complete(inner, (*path, name))


def _start(text: str) -> int:
    """Where the last of several names begins: behind a comma that stands in no bracket and goes on with no argument."""
    depth = start = 0
    for position, letter in enumerate(text):
        depth += (letter in "({") - (letter in ")}")
        if letter == "," and depth <= 0 and not re.match(r"\w+=|\d", text[position + 1 :]):
            start = position + 1
    return start
