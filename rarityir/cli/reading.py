"""`rarityir align` and `rarityir explain`: texts read as tokens, and a document's score taken apart."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rarityir.cli.options import encoder_options, fitted, indexes_option, json_option, reader, retriever, screen
from rarityir.types import RarityError

if TYPE_CHECKING:
    from rarityir.filters import Source
    from rarityir.types import Encoder

DATASET = "Alias (scifact), ir_datasets id (beir/scifact/test) or folder."
TOKENS = click.option("--k", type=click.IntRange(1), default=10, show_default=True, help="Tokens read of each text.")
PAGE = click.option("--html", "page", type=click.Path(path_type=Path), help="Also write it as one HTML page.")


@click.command()
@click.argument("texts", nargs=-1, metavar="TEXT...")
@click.option("--filter", "name", metavar="F", help="edge:2, tail:2+pca:64, …, or the folder of a saved filter.")
@TOKENS
@click.option("--weighting", metavar="W", default="minus-next", show_default=True, help="How tokens are weighed: log1p, raw, …")
@click.option("--split", is_flag=True, help="Also each logit's part from the first component of --dataset's documents.")
@click.option("--dataset", metavar="D", help=f"{DATASET} For --split, and for filters that are fitted on embeddings.")
@encoder_options
@indexes_option
@PAGE
@json_option
def align(
    texts: tuple[str, ...],
    name: str | None,
    k: int,
    weighting: str,
    *,
    split: bool,
    page: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Show which tokens the encoder writes of each TEXT (- for lines of standard input), before and after a filter.

    \b
    rarityir align "heat transfer to a blunt body" --filter edge:2
    rarityir align "a red ball" --instruction "Name the colour:"
    rarityir align "a red ball" --dataset cranfield --split

    Marked are the tokens that the text itself has, and those that the filter or the instruction moved in and out. --split says
    how much of each logit comes from the part of the embedding along the documents' first uncentred component.
    """
    from rarityir import store
    from rarityir.filters.components import components
    from rarityir.reading import read
    from rarityir.report import matching, terminal
    from rarityir.report import page as pages
    from rarityir.tokens import check_weighting

    found = given_texts(texts)
    if split and options["dataset"] is None:
        raise click.UsageError("--split needs --dataset, whose documents' embeddings have a first component")
    check_weighting(weighting)
    check_free(page)
    instruction = whole(options.pop("instruction") or "")
    encoder, source = _opened(options)
    filter = fitted(source, name) if name else None
    first_D = components(source).directions[0] if split else None
    readings = read(found, encoder, filter, k=k, weighting=weighting, instruction=instruction, first_D=first_D)
    facts = {"encoder": encoder.name, "filter": name or "", "weighting": weighting, "k": k, "instruction": instruction}
    title = ", ".join([encoder.name, f"weighting {weighting}", *([f"instruction {instruction!r}"] if instruction else [])])
    if page is not None:
        store.write_text(page, pages.readings(readings, title))
    if as_json:
        click.echo(matching.as_json({**facts, "readings": [reading.json() for reading in readings]}))
    else:
        click.echo(terminal.readings(readings, title, **screen()), nl=False)


@click.command()
@click.argument("query")
@click.argument("document", metavar="DOC")
@click.option("--system", default="sparse:64+auto", show_default=True, help="An index with its filters; sparse or dense.")
@click.option("--against", metavar="E", help="Another encoder, whose cosines and tokens are shown beside.")
@TOKENS
@click.option("--dataset", metavar="D", help=f"{DATASET} QUERY and DOC are then its query_id and doc_id.")
@encoder_options
@indexes_option
@PAGE
@json_option
def explain(
    query: str, document: str, system: str, against: str | None, k: int, *, page: Path | None, as_json: bool, **options: Any
) -> None:
    """Explain why SYSTEM scores DOC as it does for QUERY: two texts, or with --dataset two ids.

    \b
    rarityir explain "heat transfer" "the rate of heat transfer to a blunt body"
    rarityir explain 1 184 --dataset cranfield --system sparse:64,query=both:16,weights=idf+edge:2
    rarityir explain "I like apples" "I do not like apples" --against st:all-minilm-l6-v2 --system dense+edge:2

    Shows a sparse score token by token, cosines without and with the filter, and the tokens that query and document write. With
    --dataset the index over all its documents is used, and built where it is not there.
    """
    from rarityir import store
    from rarityir.matching import match, match_stored
    from rarityir.report import matching, terminal
    from rarityir.report import page as pages

    check_free(page)
    query, document, instruction = whole(query), whole(document), whole(options.pop("instruction") or "")
    other: Encoder | None = None
    if against is not None:
        other = reader(against, {name: options[name] for name in ("device", "dtype", "batch_tokens")})
    more: dict[str, Any] = {"against": other, "instruction": instruction, "k": k}
    if options["dataset"] is None:
        encoder = reader(options["encoder"] or "demo", {**options, "encoder": None})
        found = match(query, document, encoder, system, **more)
    else:
        found = match_stored(retriever(options), query, document, system, **more)
    if page is not None:
        store.write_text(page, pages.match(found))
    if as_json:
        click.echo(matching.as_json(found.json()))
    else:
        click.echo(terminal.match(found, **screen()), nl=False)


def _opened(options: dict[str, Any]) -> tuple[Encoder, Source]:
    """The encoder, and what filters are fitted on: its unembedding, and a dataset's embeddings where one is given."""
    from rarityir.filters import Source, Unembedding

    if options["dataset"] is not None:
        documents = retriever(options)
        return documents.encoder, documents.source
    encoder = reader(options["encoder"] or "demo", {**options, "encoder": None})
    return encoder, Source(Unembedding(lambda: Unembedding.of(encoder.unembedding()).read(), encoder.model))


def given_texts(given: tuple[str, ...]) -> list[str]:
    """The texts of the command line, and the lines of standard input in place of a dash."""
    found: list[str] = []
    for text in given:
        if text != "-":
            found.append(whole(text))
            continue
        try:
            found += [line for line in sys.stdin.buffer.read().decode("utf-8").splitlines() if line.strip()]
        except UnicodeDecodeError as error:
            raise RarityError(f"standard input is not UTF-8 at byte {error.start}; convert it first") from None
    if not found:
        raise click.UsageError("TEXT is missing: one or more texts, or - for the lines of standard input")
    return found


def whole(text: str) -> str:
    """A text of the command line; bytes that are no text are an error here and not inside a tokenizer."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise RarityError(f"{text[:60]!r} is not UTF-8; convert it first") from None
    return text


def check_free(path: Path | None) -> None:
    """Raises for a place that a page cannot be written to; a file that is no such page is left alone."""
    from rarityir.report.page import BEGINNING

    if path is None or not path.exists():
        return
    if path.is_dir():
        raise click.UsageError(f"--html {path} is a folder; a page is one file, such as {path / 'page.html'}")
    if not path.read_bytes().startswith(BEGINNING.encode()):
        raise RarityError(f"{path} is there and is no page of this command; choose another name")
