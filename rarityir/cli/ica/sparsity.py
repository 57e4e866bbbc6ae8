"""`rarityir ica sparsity`."""

from __future__ import annotations

from pathlib import Path

import click

from rarityir.cli.ica import rows
from rarityir.cli.options import dataset_option, indexes_option, json_option, print_facts


@click.command()
@rows.folder
@click.option("--p", "ps", default="1,2,5,10,50", show_default=True, help="Coordinates kept of each row.")
@click.option("--measure", default="nDCG@10", show_default=True)
@rows.SEED
@rows.PICTURE
@rows.OUT
@dataset_option
@indexes_option
@json_option
def sparsity(
    *,
    folder: Path,
    ps: str,
    measure: str,
    seed: int,
    picture: Path | None,
    out: Path | None,
    dataset: str | None,
    indexes: str | None,
    as_json: bool,
) -> None:
    """Say how much of a ranking each row's p largest coordinates hold: on these axes, on principal ones, on random ones.

    \b
    rarityir ica sparsity axes/cranfield --p 1,5,20

    With all coordinates the three rank alike, being rotations of one space.
    """
    from rarityir import store
    from rarityir.ica.sparsity import curve

    axes = rows.opened(folder)
    reader = rows.reader(axes, dataset, indexes)
    q_QD = reader.encoder.encode_query(list(reader.dataset.topics.values()))
    wanted = sorted({min(p, len(axes)) for p in rows.numbers(ps)} | {len(axes)})
    named = list(reader.dataset.topics), reader.corpus.doc_ids, reader.dataset.qrels
    own = reader.dataset.drops_query_document
    x_ND = rows.documents(reader)
    facts = curve(axes, q_QD, x_ND, wanted, named=named, measure=measure, drops_query_document=own, seed=seed)
    if out is not None:
        store.write_json(out, facts)
    if picture is not None:
        from rarityir.report import axes as drawing

        drawing.few(
            f"{reader.encoder.name}, {reader.dataset.name}", wanted, {key: facts[key] for key in ("overlap@10", measure)}, picture
        )
    kinds = ("ica", "pca", "random")
    lines = [
        f"{'':>5} {'overlap@10':>24}   {measure:>24}",
        f"{'p':>5}" + (" " + "".join(f"{kind:>8}" for kind in kinds) + "  ") * 2,
    ]
    for i, p in enumerate(wanted):
        parts = ["".join(f"{facts[of][kind][i]:>8.3f}" for kind in kinds) for of in ("overlap@10", measure)]
        lines.append(f"{p:>5} {parts[0]}   {parts[1]}")
    print_facts(facts, "\n".join(lines), as_json=as_json)
