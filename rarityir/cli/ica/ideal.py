"""`rarityir ica ideal`."""

from __future__ import annotations

from pathlib import Path

import click

from rarityir.cli.ica import rows
from rarityir.cli.options import dataset_option, indexes_option, json_option, print_facts


@click.command()
@rows.folder
@click.option("--axes", "chosen", required=True, metavar="A,B", help="Axes that the ideal query stands on.")
@click.option("--cutoff", type=click.IntRange(1), default=10, show_default=True, help="Documents shown.")
@rows.OUT
@dataset_option
@indexes_option
@json_option
def ideal(
    *, folder: Path, chosen: str, cutoff: int, out: Path | None, dataset: str | None, indexes: str | None, as_json: bool
) -> None:
    """Search with a query that stands on some axes alike and on no other.

    \b
    rarityir ica ideal axes/cranfield --axes 12,40
    """
    from rarityir import store
    from rarityir.ica import ideal as indicator
    from rarityir.indexes.topk import topk

    axes = rows.opened(folder)
    target = indicator(axes, rows.numbers(chosen))
    reader = rows.reader(axes, dataset, indexes)
    places, scores = topk(axes.transform(rows.documents(reader), normalize=True) @ target, cutoff)
    texts = dict.fromkeys(places.tolist(), "")
    for i, doc in enumerate(reader.dataset.docs()):
        if i in texts:
            texts[i] = " ".join(doc.text.split())[:100]
    hits = [
        {"doc_id": reader.corpus.doc_ids[i], "score": float(score), "text": texts[i]}
        for i, score in zip(places.tolist(), scores, strict=True)
    ]
    facts = {"axes": rows.numbers(chosen), "labels": [axes.label(i) for i in rows.numbers(chosen)], "documents": hits}
    if out is not None:
        store.write_json(out, facts)
    lines = [" + ".join(facts["labels"]), *(f"{hit['score']:>7.3f} {hit['doc_id']:>8}  {hit['text']}" for hit in hits)]
    print_facts(facts, "\n".join(lines), as_json=as_json)
