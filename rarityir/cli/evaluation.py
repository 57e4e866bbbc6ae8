"""`rarityir eval` and `rarityir report`."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rarityir.cli.options import (
    Choice,
    Folder,
    dataset_option,
    encoder_options,
    given,
    indexes_option,
    json_option,
    names,
    planning_options,
    print_facts,
    screen,
    subset_options,
)
from rarityir.cli.planning import stops
from rarityir.cli.reading import check_free

if TYPE_CHECKING:
    from rarityir.experiment import Experiment
    from rarityir.report import Report

log = logging.getLogger(__name__)


@click.command("eval")
@dataset_option
@subset_options
@encoder_options
@click.option("--systems", metavar="A,B,C", help="Systems to compare, such as bm25,dense,dense+edge:2,sparse:64.")
@click.option("--measures", metavar="M,N", help="Measures, such as nDCG@10,RR@10,R@100,AP, or any name ranx knows.")
@click.option("--baseline", metavar="A", help="The system all others are tested against.  [default: bm25]")
@click.option("--share-of", metavar="A", help="A system, such as dense, whose first measure the others' is given as a share of.")
@click.option("--cutoff", type=int, help="Documents retrieved for a query.  [default: 1000]")
@click.option("--seed", type=int, help="Seed of the randomisation test.  [default: 0]")
@click.option("--experiment", type=click.Path(path_type=Path), help="An experiment file (TOML); options go before it.")
@click.option("--out", metavar="DIR", help="Where runs and tables go.  [default: evals/<dataset>-<encoder>]")
@click.option("--open", "opened", is_flag=True, help="Show the page report.html in a browser when it is done.")
@planning_options
@indexes_option
@json_option
def eval_(
    experiment: Path | None,
    systems: str | None,
    measures: str | None,
    *,
    opened: bool,
    dry_run: bool,
    force: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Compare systems on a judged collection: runs, measures, significance, costs, as one table.

    Where a file evals/D.toml of the working folder is named for --dataset D, it says what is not given here, unless
    --experiment names another.

    \b
    rarityir eval
    rarityir eval --dataset scifact --encoder Qwen/Qwen2.5-0.5B --systems "bm25,dense,dense+edge:2,rrf(bm25,dense+edge:2)"
    """
    from rarityir.experiment import perform
    from rarityir.planning.plan import Job

    values = given(options)
    if {"pool", "sample"} & set(values) and "out" not in values:
        values["out"] = ""  # a sub-collection's figures never go where the whole's are
    base = _base(experiment, {**values, **given({"systems": systems, "measures": measures})})
    if systems is not None:
        values["systems"] = names(systems)
        if options["baseline"] is None and base.baseline not in values["systems"] and values["systems"]:
            values["baseline"] = values["systems"][0]
    if measures is not None:
        values["measures"] = names(measures)
    chosen = base.replace("rarityir eval", **values)
    chosen.check()
    if not stops(lambda: Job.of(chosen), dry_run=dry_run, force=force, as_json=as_json):
        found = perform(chosen)
        show(found, as_json=as_json)
        if found.page:
            log.warning("%s: %s, report.md, runs", found.page.parent, found.page.name)
        if opened and found.page:
            open_page(found.page)


@click.command()
@click.argument("folder", type=Folder(), required=False)
@click.option(
    "--against",
    metavar="WHOLE",
    type=click.Path(path_type=Path),
    help="Print FOLDER's figures, of a judged sub-collection, beside those of the whole in the folder WHOLE.",
)
@click.option("--published", metavar="PAPER", help="Print a paper's figures (embedfilter, alignment) beside ours under FOLDER.")
@dataset_option
@click.option("--baseline", metavar="A", help="The system all others are tested against.  [default: as evaluated]")
@click.option("--measures", metavar="M,N", help="Measures, also others than were evaluated.")
@click.option("--seed", type=click.IntRange(0), help="Seed of the randomisation test.  [default: as evaluated]")
@click.option("--html", metavar="[FILE]", is_flag=False, flag_value="", help="Write the page too, to FILE or FOLDER/report.html.")
@click.option("--depth", type=click.IntRange(1), default=10, show_default=True, help="Documents of a ranking on the page.")
@click.option("--bytes", "size", type=click.IntRange(0), default=3_000_000, show_default=True, help="Of the page's rankings.")
@click.option("--form", type=Choice(["text", "markdown", "latex", "csv", "json"]), default="text", show_default=True)
@json_option
def report(
    folder: Path | None,
    against: Path | None,
    published: str | None,
    dataset: str | None,
    baseline: str | None,
    measures: str | None,
    seed: int | None,
    html: str | None,
    depth: int,
    size: int,
    form: str,
    *,
    as_json: bool,
) -> None:
    """Rebuild the tables of FOLDER from its runs (also runs of other tools, given --dataset).

    Shown are the systems of its report.json, in that order, and runs that other commands and tools put there; where there is no
    report.json, all.
    With --against, the order of the systems is compared too (Kendall's tau). With --published, FOLDER holds evaluated
    folders and defaults to evals.
    """
    if published is not None:
        _published(published, folder, as_json=as_json)
        return
    if folder is None and html and Path(html).is_dir():  # `--html FOLDER` says the same as `FOLDER --html`
        folder, html = Path(html), ""
    if folder is None:
        raise click.UsageError("FOLDER is missing: the folder of an evaluation, such as evals/cranfield-demo")
    wanted = names(measures) if measures else ()
    if against is not None:
        _against(folder, against, wanted, form, as_json=as_json)
        return
    from rarityir.experiment import rebuild
    from rarityir.overview import PAGE, Bounds
    from rarityir.report import render

    page = None if html is None else Path(html) if html else (folder.parent if folder.name == "runs" else folder) / PAGE
    check_free(page)
    found = rebuild(folder, dataset or "", baseline or "", wanted, seed, page=page, bounds=Bounds(depth, size))
    if page is not None:
        log.warning("wrote %s", page)
    if as_json or form == "text":
        show(found, as_json=as_json)
    else:
        click.echo(render(found, form), nl=False)


def _published(paper: str, folder: Path | None, *, as_json: bool) -> None:
    from rarityir.published import FOLDER, compare

    compared = compare(paper, folder or FOLDER)
    print_facts(compared.json(), str(compared), as_json=as_json)


def _against(folder: Path, whole: Path, measures: Sequence[str], form: str, *, as_json: bool) -> None:
    from rarityir.report import bias

    shown = bias.compare(folder, whole, measures)
    if form not in ("text", "markdown", "json"):
        raise click.UsageError("--against is printed as text, markdown or json")
    print_facts(shown.json(), shown.markdown() if form == "markdown" else str(shown), as_json=as_json or form == "json")


def _base(experiment: Path | None, values: dict[str, Any]) -> Experiment:
    """The experiment that the options change: the file given, the one named for the dataset in evals/, or the defaults."""
    from rarityir.experiment import Experiment

    name = values.get("dataset", "")
    named = Path("evals") / f"{name}.toml"
    if experiment is None and not (name and Path(name).name == name and named.is_file()):
        return Experiment()
    base = Experiment.load(experiment or named)
    if experiment is None:
        log.warning("%s says what is not given here", named)
        if set(values) - {"dataset"}:  # another experiment than the file's own: its folder is left alone
            base = base.replace(str(named), out="")
    return base


def open_page(page: Path) -> None:
    """Opens a page in the browser; where there is no display or no browser, says where the page is."""
    import os
    import webbrowser

    address = page.resolve().as_uri()
    display = sys.platform != "linux" or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))
    if not (display and webbrowser.open(address)):
        log.warning("no browser to open it in; the page is %s", address)


def show(report: Report, *, as_json: bool) -> None:
    """Prints a report: JSON, or the table, as wide as the terminal is and in bold where it may be."""
    from rarityir.report.render import on_terminal

    where = screen()
    click.echo(report.json() if as_json else on_terminal(report, **where), nl=False, color=where["colour"])
