"""`rarityir variation`: how a fine-tuned twin moves its backbone's texts, and the filter that moves them so."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rarityir.cli.options import (
    dataset_option,
    given,
    indexes_option,
    json_option,
    print_facts,
    reader,
    reading_options,
    retriever,
)

if TYPE_CHECKING:
    from rarityir.filters.components import Components
    from rarityir.report.variation import Reading, Twins
    from rarityir.retrieval import Retriever
    from rarityir.types import Dataset


@click.command()
@click.argument("backbone")
@click.argument("twin")
@click.option("--sample", type=click.IntRange(1), help="Read the first so many documents alone.")
@click.option("--text", "texts", multiple=True, help="A text whose tokens' logits are split into u_1's and the rest; repeatable.")
@click.option("--top", type=click.IntRange(1), default=10, show_default=True, help="Components shown, and tokens of a text.")
@click.option("--twin-pooling", help="The twin's pooling, where it is not the backbone's.")
@click.option("--picture", type=click.Path(path_type=Path), help="Also draw it: .svg, .png or .pdf.")
@dataset_option
@reading_options
@indexes_option
@json_option
def variation(
    backbone: str,
    twin: str,
    sample: int | None,
    texts: tuple[str, ...],
    top: int,
    twin_pooling: str | None,
    picture: Path | None,
    *,
    as_json: bool,
    **options: Any,
) -> None:
    """Compare TWIN, fine-tuned from BACKBONE, with it on a dataset's documents.

    \b
    rarityir variation EleutherAI/gpt-neo-1.3B Muennighoff/SGPT-1.3B-weightedmean-nli --sample 1000
    rarityir variation demo path/to/finetuned-demo --text "flow past a blunt body"
    rarityir variation demo demo --twin-pooling last

    Prints how far the twin moves documents along each uncentred principal direction u_j of the backbone's embeddings (mean and
    standard deviation of (h' - h) u_j), and the filter pc1:LAMBDA that moves every text along u_1 by that mean. What is
    encoded is kept and used again. Both encoders read texts as the options say.
    """
    from rarityir.report.variation import check_picture, text
    from rarityir.report.variation import picture as draw

    if picture is not None:
        check_picture(picture)
    one, two = _pair(backbone, twin, sample, twin_pooling, options)
    found = _compare(one, two, texts, top, folder=str(two.embeddings.folder) if sample is None else "")
    if picture is not None:
        draw(found, picture)
    print_facts(found.json(), text(found, top).rstrip(), as_json=as_json)


def _pair(
    backbone: str, twin: str, sample: int | None, twin_pooling: str | None, options: dict[str, Any]
) -> tuple[Retriever, Retriever]:
    """Both encoders over the same documents, checked to be two encoders of one width before anything is encoded."""
    from rarityir.retrieval import Retriever
    from rarityir.types import RarityError

    one = retriever({**options, "encoder": backbone})
    encoder = reader(twin, {**options, **given({"pooling": twin_pooling})})
    if one.encoder.dim != encoder.dim:
        raise RarityError(
            f"{one.encoder.name} is {one.encoder.dim} wide, {encoder.name} is {encoder.dim}: "
            "only models of one width, one fine-tuned from the other, can be compared"
        )
    if one.encoder.name == encoder.name:
        same = one.encoder.identity() == encoder.identity()
        do = "name another model, or --twin-pooling" if same else "what is stored goes by that name; rename one folder"
        raise RarityError(f"both encoders are called {encoder.name}; {do}")
    dataset = one.dataset if sample is None else _first(one.dataset, sample)
    return Retriever(dataset, one.encoder, one.indexes), Retriever(dataset, encoder, one.indexes)


def _first(dataset: Dataset, count: int) -> Dataset:
    """The dataset with its first documents alone, which are kept apart from those of the whole."""
    from dataclasses import replace
    from itertools import islice

    return replace(
        dataset,
        corpus=f"{dataset.corpus}?first={count}",
        identity={**dataset.identity, "first": count},
        docs=lambda: islice(dataset.docs(), count),
        docs_count=None if dataset.docs_count is None else min(count, dataset.docs_count),
    )


def _compare(one: Retriever, two: Retriever, texts: tuple[str, ...], top: int, *, folder: str) -> Twins:
    from rarityir.filters.components import components
    from rarityir.filters.components import variation as moves
    from rarityir.report.variation import Twins

    found = components(one.source)
    moved = moves(found, lambda: iter(one.embeddings), lambda: iter(two.embeddings))
    return Twins(
        backbone=one.encoder.name,
        twin=two.encoder.name,
        dataset=one.dataset.name,
        documents=found.count,
        folder=folder,
        shares=found.shares,
        coefficients=found.coefficients,
        variation=moved.means,
        spread=moved.spreads,
        texts=_readings(one, two, texts, top, found, float(moved.means[0])) if texts else (),
    )


def _readings(
    one: Retriever, two: Retriever, texts: tuple[str, ...], top: int, found: Components, move: float
) -> tuple[Reading, ...]:
    """Each text's best tokens under the backbone's unembedding: of the backbone, of the backbone moved, of the twin."""
    import numpy as np

    from rarityir.filters.components import split
    from rarityir.report.variation import Contribution, Reading

    unembed_VD, forms, first_D = one.encoder.unembedding(), one.encoder.tokens(), found.directions[0]
    ids = np.array([i for i, form in enumerate(forms) if form is not None])
    h_BD = one.encoder.encode_document(texts)
    best: list[list[tuple[Contribution, ...]]] = []
    for x_BD in (h_BD, h_BD + move * first_D, two.encoder.encode_document(texts)):
        parts = split(unembed_VD, first_D, x_BD)
        total = parts.total
        chosen = ids[np.argsort(-total[:, ids], axis=1, kind="stable")[:, :top]]
        best.append(
            [
                tuple(
                    Contribution(str(forms[v]), float(total[b, v]), float(parts.first[b, v]), float(parts.rest[b, v]))
                    for v in row
                )
                for b, row in enumerate(chosen)
            ]
        )
    return tuple(Reading(text, *(kind[b] for kind in best)) for b, text in enumerate(texts))
