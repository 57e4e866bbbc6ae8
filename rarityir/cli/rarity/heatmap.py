"""`rarityir rarity heatmap`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rarityir.cli.options import Choice, json_option, screen
from rarityir.cli.reading import check_free, given_texts
from rarityir.types import RarityError

if TYPE_CHECKING:
    from rarityir.rarity.stats import TokenStats
    from rarityir.report.heatmap import HeatMap

_PICTURES = (".png", ".svg", ".pdf")


@click.command()
@click.argument("texts", nargs=-1, metavar="TEXT...")
@click.option("--model", metavar="M", default="demo", show_default=True, help="Short name, hub id or folder.")
@click.option("--target", default="log_idf", show_default=True, help="log_idf, log_icf, bm25_idf, ridf, …")
@click.option("--matrix", metavar="X", default="input", show_default=True, help="input, output, q, k or type:L.")
@click.option("--gain", is_flag=True, help="Fold the final norm's gain into output rows.")
@click.option("--stats", metavar="DIR", type=click.Path(path_type=Path), help="Token statistics of `rarity stats`.")
@click.option("--dataset", metavar="D", help="Count these documents instead.  [default: cranfield]")
@click.option("--limit", type=click.IntRange(1), help="Count the first so many documents only.")
@click.option("--repair", default="none", show_default=True, help="balanced or occurrence: also a row with the head repaired.")
@click.option("--layers", is_flag=True, help="Also a row for up to six layers of the model.")
@click.option("--clamp", type=float, help="The value from which on the colour is the same.  [default: the vocabulary's greatest]")
@click.option("--classic", is_flag=True, help="A red bar over a blue one, from black, and no error.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the folds.")
@click.option("--device", default="auto", show_default=True, help="Where states are computed.")
@click.option("--html", "page", type=click.Path(path_type=Path), help="Also write it as one HTML page.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Also draw it: a .png, .svg or .pdf file, or a folder for all there is."
)
@click.option("--colours", type=Choice(["auto", "true", "256", "none"]), default="auto", help="Of the terminal.")
@click.option("--ascii", is_flag=True, help="Print ASCII alone, without colours.")
@json_option
def heatmap(
    texts: tuple[str, ...], *, stats: Path | None, dataset: str | None, limit: int | None, layers: bool, page: Path | None,
    out: Path | None, colours: str, ascii: bool, as_json: bool, **how: Any,
) -> None:  # fmt: skip
    """Show each TEXT (- for lines of standard input) with how rare its tokens are, and how rare the model's rows say they are.

    \b
    rarityir rarity heatmap "the boundary layer of a flat plate"
    rarityir rarity heatmap "Shares fell on Tuesday." --stats stats/scifact --model Qwen/Qwen2.5-0.5B --html page.html
    rarityir rarity heatmap "the flow past a body" --repair balanced --layers --out maps
    rarityir rarity heatmap "the flow past a body" --classic --out seed.png

    Actual values are counted in the dataset. Predictions are of a ridge on MATRIX's rows that has seen neither the token nor any
    form of its word; tokens that never occur are predicted from all that do. The error is predicted less actual: orange where
    the rows make a token rarer than it is, violet where they make it commoner.
    """
    from rarityir.rarity.heat import heat_maps, spread_layers
    from rarityir.report import heatmap_terminal
    from rarityir.report.matching import as_json as shown
    from rarityir.report.matching import lines_shown

    chosen = given_texts(texts)
    check_free(page)
    _check_out(out)
    counted = _counted(how["model"], stats, dataset, limit)
    found = heat_maps(chosen, stats=counted, layers=spread_layers(how["model"]) if layers else (), **how)
    notes = _notes(counted, **how)
    facts = {**how, "statistics": {"source": counted.source, "sha256": counted.digest}, "maps": [one.json() for one in found]}
    _write(found, notes, facts, page, out)
    if as_json:
        click.echo(shown(facts))
        return
    width, depth = _terminal(colours)
    maps = [heatmap_terminal.render(one, width=width, depth=depth, ascii=ascii) for one in found]
    click.echo("\n".join([*map(lines_shown, notes), "", *maps]), nl=False, color=depth != "none")


def _counted(model: str, stats: Path | None, dataset: str | None, limit: int | None) -> TokenStats:
    from rarityir.rarity.stats import TokenStats

    if stats is None:
        return TokenStats.from_dataset(dataset or "cranfield", model, limit=limit or 0)
    if dataset is not None or limit is not None:
        raise click.UsageError("--stats stand instead of --dataset and --limit; leave one of them out")
    return TokenStats.load(stats)


def _notes(stats: TokenStats, *, model: str, target: str, matrix: str, gain: bool, **_: Any) -> list[str]:
    """What is shown, in two lines."""
    from rarityir import checkpoints
    from rarityir.rarity.stats import SYNONYMS, TARGETS

    rows = f"{matrix} rows{' with the norm folded in' * gain} of {checkpoints.called(model)}"
    return [
        f"actual: {target}, {TARGETS[SYNONYMS.get(target, target)]}, in {stats.source}",
        f"predicted: from {rows}, by a ridge that has not seen the token or a form of its word",
    ]


def _check_out(out: Path | None) -> None:
    if out is not None and out.suffix and out.suffix not in _PICTURES and not out.is_dir():
        raise RarityError(f"--out {out} is neither a picture (.png, .svg, .pdf) nor a folder's name; choose another")
    if out is not None and out.suffix not in _PICTURES:
        check_free(out / "heatmap.html")


def _write(found: list[HeatMap], notes: list[str], facts: dict[str, Any], page: Path | None, out: Path | None) -> None:
    from rarityir import store
    from rarityir.report import heatmap_page, heatmap_picture

    title = f"How rare each token is, and how rare {facts['model']} says it is"
    pictures = [] if out is None else [out] if out.suffix in _PICTURES else [out / f"heatmap{kind}" for kind in (".png", ".svg")]
    pages = [page] if page is not None else []
    if out is not None and out.suffix not in _PICTURES:
        store.write_json(out / "heatmap.json", facts)
        pages.append(out / "heatmap.html")
    for path in pages:
        store.write_text(path, heatmap_page.render(found, title, notes))
    for path in pictures:
        heatmap_picture.picture(found, path, notes=notes)


def _terminal(colours: str) -> tuple[int, Any]:
    """How wide to print and in which colours."""
    where = screen()
    width = int(where.get("width", 100))
    if colours != "auto":
        return width, colours
    if not where["colour"]:
        return width, "none"
    return width, "true" if os.environ.get("COLORTERM") in ("truecolor", "24bit") else "256"
