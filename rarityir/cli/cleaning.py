"""`rarityir clean`."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rarityir.cli.options import json_option, print_facts

if TYPE_CHECKING:
    from rarityir.cleaning import Built

_FOLDER = click.Path(path_type=Path)


@click.command()
@click.argument("patterns", nargs=-1, metavar="[PATTERN]...")
@click.option("--stale", is_flag=True, help="Free what would be refused now: of other documents, another release, or broken.")
@click.option("--partial", is_flag=True, help="Free what was begun and could be gone on with, and files left half written.")
@click.option("--all", "everything", is_flag=True, help="Free what is whole and of use too.")
@click.option("--yes", is_flag=True, help="Free it; without this it is only shown.")
@click.option("--indexes", type=_FOLDER, default="indexes", show_default=True, help="Where everything built is kept.")
@click.option("--results", type=_FOLDER, default="evals", show_default=True, help="Where half-written files are looked for too.")
@json_option
def clean(
    patterns: tuple[str, ...],
    indexes: Path,
    results: Path,
    *,
    stale: bool,
    partial: bool,
    everything: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Show what was built and what of it can be freed; free it with --yes.

    What is of no use is chosen: stale, broken, left half written. What was begun and not finished stays, as the same command
    goes on with it, unless --partial or --all says so, or a PATTERN names it. A PATTERN such as cranfield/demo or '*/dense*'
    chooses what it matches, whole or not; with --stale, --partial or --all only that of it. Results are never freed, nor is
    anything that was not built here, nor what another process is building.

    \b
    rarityir clean
    rarityir clean --stale --yes
    rarityir clean 'beir--scifact/*' --yes
    """
    from rarityir import cleaning

    states = ["stale", "broken"] * stale + ["partial", "leftover"] * partial
    states = [*cleaning.STATES] if everything else states
    found = cleaning.survey(indexes) if indexes.is_dir() else []
    if results.is_dir():
        halves = [built for built in cleaning.survey(results) if built.state == "leftover"]
        found += [dataclasses.replace(built, name=str(built.path)) for built in halves]
    chosen = cleaning.choose(found, states, patterns)
    freed, notes = _free(chosen) if yes else (0, [])
    facts: dict[str, Any] = {
        "indexes": str(indexes),
        "chosen_bytes": sum(built.bytes for built in chosen),
        "freed_bytes": freed,
        "found": [{**built.json(), "chosen": built in chosen} for built in found],
        "notes": notes,
    }
    told = [*_table(found, chosen), *_begun(found, chosen), _total(found, chosen, freed, yes=yes), *notes]
    print_facts(facts, "\n".join(told), as_json=as_json)


def _free(chosen: Sequence[Built]) -> tuple[int, list[str]]:
    from rarityir import cleaning
    from rarityir.types import RarityError

    total, notes = 0, []
    for built in chosen:
        try:
            freed, left = cleaning.free(built)
        except RarityError as error:
            notes.append(f"{error}; it was left")
            continue
        total += freed
        if left:
            shown = ", ".join(left[:4]) + (f" and {len(left) - 4} more" if len(left) > 4 else "")
            notes.append(f"{built.path} keeps what was not built with it: {shown}; move it before building there again")
    return total, notes


def _table(found: Sequence[Built], chosen: Sequence[Built]) -> list[str]:
    from rarityir.report.matching import visible
    from rarityir.report.render import cost

    rows = [["", "size", "last used", "kind", "state", "what"]]
    for built in found:
        used = time.strftime("%Y-%m-%d", time.localtime(built.used))
        what = visible(f"{built.name} ({built.why})" if built.why else built.name)
        rows.append(["free" if built in chosen else "", cost("index_bytes", built.bytes), used, built.kind, built.state, what])
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    return ["  ".join([*(f"{c:{'>' if i == 1 else '<'}{widths[i]}}" for i, c in enumerate(row[:5])), row[5]]) for row in rows]


def _begun(found: Sequence[Built], chosen: Sequence[Built]) -> list[str]:
    """What is kept because the same command goes on with it, in a line that says how it is freed."""
    from rarityir.report.render import cost

    kept = [built for built in found if built.state == "partial" and built not in chosen]
    if not kept:
        return []
    size = cost("index_bytes", sum(built.bytes for built in kept))
    return [f"{size} begun and not finished stay, and the same command goes on with them; free them with --partial"]


def _total(found: Sequence[Built], chosen: Sequence[Built], freed: int, *, yes: bool) -> str:
    from rarityir.report.render import cost

    whole = cost("index_bytes", sum(built.bytes for built in found))
    if yes:
        return f"freed {cost('index_bytes', freed)} of {whole}"
    if not chosen:
        return f"nothing to free of {whole}; name what is to go, such as '*/dense*', or give --all"
    return f"would free {cost('index_bytes', sum(built.bytes for built in chosen))} of {whole}; free it with --yes"
