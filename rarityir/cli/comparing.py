"""`rarityir compare`."""

from __future__ import annotations

from pathlib import Path

import click

from rarityir.cli.options import json_option, names, print_facts

_REPORT = click.Path(path_type=Path)


@click.command()
@click.argument("a", type=_REPORT)
@click.argument("b", type=_REPORT)
@click.option("--measures", metavar="M,N", help="Measures of both reports.  [default: all they share]")
@click.option("--dataset", metavar="D", help="What runs are scored on, in the place of stored scores by topic.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the randomisation test.")
@click.option("--fail-on-loss", is_flag=True, help="Exit with 1 where a system is significantly worse in B, or cannot be tested.")
@click.option("--markdown", is_flag=True, help="Print Markdown.")
@json_option
def compare(
    a: Path,
    b: Path,
    measures: str | None,
    dataset: str | None,
    seed: int,
    *,
    fail_on_loss: bool,
    markdown: bool,
    as_json: bool,
) -> None:
    """Say what changed from experiment A to experiment B, and whether it is significant.

    A and B are folders of `rarityir eval`, or the report.json in them: another model, another version, another filter. Systems
    of one name are paired; each is tested over the topics that both scored (paired randomisation test, Holm-corrected).

    \b
    rarityir compare evals/scifact-gpt2 evals/scifact-demo
    rarityir compare main/report.json branch/report.json --measures nDCG@10 --fail-on-loss
    """
    from rarityir.changes import compare as changes
    from rarityir.types import RarityError

    if markdown and as_json:
        raise click.UsageError("--markdown and --json are two forms; give one of them")
    found = changes(a, b, names(measures) if measures else (), dataset or "", seed)
    print_facts(found.json(), found.markdown() if markdown else str(found), as_json=as_json)
    if not fail_on_loss:
        return
    if found.losses:
        raise RarityError(f"{b} is significantly worse than {a}: {', '.join(found.losses)}")
    if untested := found.untested:
        raise RarityError(f"whether {b} is worse than {a} cannot be told: nothing was tested of {', '.join(untested)}")
