"""`rarityir filter fit | select | show | apply | count`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rarityir.cli.commands import Commands
from rarityir.cli.options import (
    dataset_option,
    encoder_options,
    fitted,
    given,
    indexes_option,
    json_option,
    names,
    print_facts,
    reader,
    reading_options,
    retriever,
)

if TYPE_CHECKING:
    from rarityir.filters import EmbedFilter, Source

OUT = click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write.")
FILE = click.option("--out", type=click.Path(path_type=Path), required=True, help="File to write.")
COUNTS = click.option(
    "--counts", default="english", show_default=True, help="Token frequencies: english, or a file of `filter count`."
)
DATA = click.option("--dataset", metavar="D", help="Documents for filters that are fitted on embeddings, and for counts=corpus.")


@click.group("filter", cls=Commands)
def filter_() -> None:
    """Fit, choose, explain and apply filters of a model's embeddings."""


@filter_.command()
@click.argument("model")
@click.argument("name", metavar="FILTER")
@OUT
@DATA
@reading_options
@indexes_option
@json_option
def fit(model: str, name: str, out: Path, *, as_json: bool, **options: Any) -> None:
    """Fit FILTER on MODEL and save it: weights, card and README.

    \b
    rarityir filter fit demo edge:2 --out filters/edge
    rarityir filter fit Qwen/Qwen2.5-0.5B auto --out filters/auto
    rarityir filter fit demo tail:2+whiten:64 --dataset cranfield --out filters/white

    The model itself is loaded only where documents are to be encoded (--dataset).
    """
    from rarityir.filters import EmbedFilter

    EmbedFilter.check_place(out)
    _saved(fitted(_source(model, options), name), out, as_json=as_json)


@filter_.command()
@click.option("--filters", metavar="A,B", help="Filters to choose from.  [default: bands, auto, frequency-aware]")
@click.option("--index", default="dense", show_default=True, help="The index to choose for, such as dense or sparse:64.")
@click.option("--measure", default="nDCG@10", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="Folder to save the best one in.")
@dataset_option
@encoder_options
@indexes_option
@json_option
def select(filters: str | None, index: str, measure: str, out: Path | None, *, as_json: bool, **options: Any) -> None:
    """Choose a filter by its measure on a development split; a test split is refused."""
    from rarityir.filters import EmbedFilter
    from rarityir.retrieval import INDEXES
    from rarityir.selection import CANDIDATES, check_split
    from rarityir.selection import select as choose

    if out is not None:
        EmbedFilter.check_place(out)
    source = retriever(options)
    check_split(source.dataset.name)
    wanted = names(filters) if filters else CANDIDATES
    found, best = choose(
        source.dataset, source.encoder, wanted, index=index, measure=measure, indexes=given(options).get("indexes", INDEXES)
    )
    saved = str(best.save(out)) if out is not None and best is not None else None
    lines = [f"{measure} over {found.topics} topics of {found.dataset}"]
    lines += [f"{c.value:8.4f}  {c.dim:>5}  {index}{'+' if c.filter else ''}{c.filter}" for c in found.candidates]
    chosen = found.candidates[0].filter
    lines.append(f"best: {chosen or 'no filter'}{f', saved in {saved}' if saved else ''}")
    if out is not None and saved is None:
        lines[-1] += "; nothing is saved"
    print_facts({**found.json(), "chosen": chosen, "folder": saved}, "\n".join(lines), as_json=as_json)


@filter_.command("show")
@click.argument("model")
@click.option("--filter", "name", metavar="F", default="", help="The filter to explain, such as edge:2 or auto.")
@click.option("--text", "texts", multiple=True, help="A text whose energy and tokens are shown before and after; repeatable.")
@click.option("--sample", type=click.IntRange(0), default=0, help="With --dataset: so many of its documents as texts.")
@click.option("--top", type=click.IntRange(1), default=8, show_default=True, help="Directions at each end, tokens of a zone.")
@click.option("--picture", type=click.Path(path_type=Path), help="Also draw it: .svg, .png or .pdf.")
@COUNTS
@DATA
@reading_options
@indexes_option
@json_option
def show_(
    model: str,
    name: str,
    texts: tuple[str, ...],
    sample: int,
    top: int,
    picture: Path | None,
    counts: str,
    *,
    as_json: bool,
    **options: Any,
) -> None:
    """Explain what MODEL's unembedding says of frequency and what a filter removes.

    \b
    rarityir filter show demo --filter edge:2 --text "flow past a blunt body"
    rarityir filter show Qwen/Qwen2.5-0.5B --filter auto --picture auto.svg
    """
    from rarityir.explain import explain
    from rarityir.report.spectrum import picture as draw
    from rarityir.report.spectrum import text

    source = _source(model, options)
    chosen = fitted(source, name) if name else None
    encoder = reader(model, options)
    read = list(texts) + _sampled(options, sample)
    found = explain(
        chosen,
        source,
        encoder.tokens(),
        texts=read,
        embeddings_ND=encoder.encode_document(read) if read else None,
        counts=counts,
        top=top,
    )
    if picture is not None:
        draw(found, picture)
    print_facts(found.json(), text(found, top).rstrip(), as_json=as_json)


@filter_.command("apply")
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("embeddings", type=click.Path(path_type=Path))
@OUT
@json_option
def apply_(folder: Path, embeddings: Path, out: Path, *, as_json: bool) -> None:
    """Filter a folder of EMBEDDINGS (of `rarityir encode`) with the saved filter in FOLDER, block by block."""
    from rarityir.embeddings import filtered
    from rarityir.filters import EmbedFilter

    facts = filtered(embeddings, EmbedFilter.load(folder), out)
    print_facts(facts, f"{out}: {facts['documents']} documents, {facts['dim']} wide", as_json=as_json)


@filter_.command()
@click.argument("model")
@FILE
@dataset_option
@json_option
def count(model: str, out: Path, dataset: str | None, *, as_json: bool) -> None:
    """Count the tokens of a dataset's documents in MODEL's vocabulary, for --counts and counts=FILE."""
    if out.is_dir():
        raise click.UsageError(f"--out {out} is a folder; counts are one file, such as {out}/counts.safetensors")
    found = retriever({"encoder": model, **given({"dataset": dataset})}).source.frequencies("corpus")
    found.save(out)
    facts = {"file": str(out), "source": found.source, "tokens": found.total, "seen": int((found.counts > 0).sum())}
    print_facts(facts, f"{out}: {found.total} tokens, {facts['seen']} of {len(found.counts)} ids seen", as_json=as_json)


def _source(model: str, options: dict[str, Any]) -> Source:
    """What filters of a model are fitted on: its checkpoint alone, or with a dataset its documents' embeddings too."""
    from rarityir.filters import Source, Unembedding

    if options.get("dataset") is None:
        device = options.get("device") or "cpu"
        return Source(Unembedding.of(model.removeprefix("st:")), device="cpu" if device == "auto" else device)
    return retriever({**options, "encoder": model}).source


def _sampled(options: dict[str, Any], sample: int) -> list[str]:
    from itertools import islice

    from rarityir.datasets import load_dataset

    if not sample:
        return []
    if options.get("dataset") is None:
        raise click.UsageError("--sample needs --dataset, whose documents are taken")
    return [doc.text for doc in islice(load_dataset(options["dataset"]).docs(), sample)]


def _saved(found: EmbedFilter, out: Path, *, as_json: bool) -> None:
    found.save(out)
    kept, width = found.basis.shape
    facts = {"filter": found.name, "kept": kept, "width": width, "folder": str(out), **found.fitted_on}
    print_facts(facts, f"{out}: {found.name} keeps {kept} of {width} directions", as_json=as_json)
