"""What a command will take: printed by `--dry-run`, and said in a line before a long one begins."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rarityir.cli.options import given, retriever

if TYPE_CHECKING:
    from rarityir.planning.plan import Job
    from rarityir.retrieval import Retriever
    from rarityir.systems import System

log = logging.getLogger(__name__)


def planned(
    options: dict[str, Any],
    systems: Sequence[System],
    until: str,
    cutoff: int,
    *,
    dry_run: bool,
    force: bool,
    as_json: bool,
    timed: bool = False,
) -> Retriever | None:
    """Returns what answers a dataset's topics, having said what it will take; None where that was all that was asked for."""
    from rarityir.datasets.outline import outline
    from rarityir.encoders import load_encoder
    from rarityir.planning.plan import Job
    from rarityir.retrieval import INDEXES, check
    from rarityir.subcollection import check as check_subset

    values = given(options)
    for system in systems:
        check(system)
    subset = {key: values.pop(key, "") for key in ("pool", "sample")}
    check_subset(**subset)
    name, indexes = values.pop("dataset", "cranfield"), Path(values.pop("indexes", INDEXES))
    encoder = load_encoder(values.pop("encoder", "demo"), **values)

    def job() -> Job:
        return Job(outline(name), encoder, systems, cutoff, indexes, **subset, until=until)

    stop = stops(job, dry_run=dry_run, force=force, as_json=as_json)
    return None if stop else retriever(options, encoder, timed=timed)


def stops(job: Callable[[], Job], *, dry_run: bool, force: bool, as_json: bool) -> bool:
    """Prints the plan of a job and returns that all is done, or says in a line what a long one will take.

    Raises `RarityError` if it does not fit, unless forced. A collection that is neither here nor known is left to be downloaded.
    """
    from rarityir.planning.plan import begin, plan
    from rarityir.types import RarityError

    before = logging.root.manager.disable
    try:
        if not dry_run:  # the work itself says what is odd about the topics
            logging.disable(logging.WARNING)
        asked = job()
    except RarityError:
        if dry_run:
            raise
        return False
    finally:
        logging.disable(before)
    if dry_run:
        from rarityir.report.matching import json_shown, lines_shown

        found = plan(asked)
        click.echo(json_shown(found.dumps()) if as_json else lines_shown(str(found)))
        if not force and (lacking := found.lacking()):
            raise RarityError(lacking)
    elif line := begin(asked, force=force):
        log.warning("%s", line)
    return dry_run
