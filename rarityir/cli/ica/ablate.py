"""`rarityir ica ablate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rarityir.cli.ica import rows
from rarityir.cli.options import dataset_option, indexes_option, json_option, print_facts

if TYPE_CHECKING:
    from rarityir.ica import Axes, Sweep


@click.command()
@rows.folder
@click.option("--axes", "chosen", default="all", show_default=True, help="all: each by itself; 3,17: these together.")
@click.option("--clusters", type=click.IntRange(2), help="Instead: so many clusters of the tree of axes, each as a whole.")
@click.option("--measure", default="nDCG@10", show_default=True)
@click.option("--directions", type=click.IntRange(0), default=20, show_default=True, help="Random directions, the control.")
@click.option("--draws", type=click.IntRange(0), default=0, show_default=True, help="More groups of like axes, for p others.")
@click.option("--first", type=click.IntRange(1), default=20, show_default=True, help="Effects shown, the largest.")
@rows.SEED
@rows.PICTURE
@rows.OUT
@dataset_option
@indexes_option
@json_option
def ablate(
    *, folder: Path, chosen: str, clusters: int | None, measure: str, directions: int, draws: int, first: int, seed: int,
    picture: Path | None, out: Path | None, dataset: str | None, indexes: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Take axes out of every cosine and score the topics again.

    \b
    rarityir ica ablate axes/cranfield --dataset cranfield
    rarityir ica ablate axes/cranfield --clusters 8 --draws 39

    Beside each effect stands that of other axes of like variance, drawn at random; below, that of random directions. With more
    draws, `p others` is how often as many other axes change the measure as much.
    """
    from rarityir import store
    from rarityir.ica import higher_order, spanning_tree, sweep
    from rarityir.ica.sweeping import Judged
    from rarityir.ica.telling import effects

    axes = rows.opened(folder)
    reader = rows.reader(axes, dataset, indexes)
    q_QD = reader.encoder.encode_query(list(reader.dataset.topics.values()))
    x_ND = rows.documents(reader)
    groups = None if chosen == "all" else [rows.numbers(chosen)]
    if clusters is not None:
        white = axes.transform(rows.fitted_rows(axes, indexes))
        groups = spanning_tree(higher_order(white)).groups(clusters, seed)
    if groups is not None:
        for group in groups:
            axes.chosen(group)
    ids = list(reader.dataset.topics), reader.corpus.doc_ids, reader.dataset.qrels
    own = reader.dataset.drops_query_document
    judged = Judged.of(axes, q_QD, x_ND, *ids, measure=measure, drops_query_document=own)
    found = sweep(judged, groups, seed=seed, directions=directions, draws=draws)
    facts = {"dataset": reader.dataset.name, **found.json()}
    if out is not None:
        store.write_json(out, facts)
    if picture is not None:
        _draw(found, axes, reader.dataset.name, picture)
    print_facts(facts, effects(found, axes, first), as_json=as_json)


def _draw(found: Sweep, axes: Axes, dataset: str, path: Path) -> None:
    from rarityir.report import axes as drawing

    changes = []
    for effect in found.effects:
        name = ",".join(map(str, effect.axes[:4])) + (" …" if len(effect.axes) > 4 else "")
        words = axes.label(effect.axes[0], 2) if effect.axes else ""
        others = effect.drawn or (effect.control_difference,)
        beyond = effect.p_holm < 0.05
        changes.append(drawing.Change(f"{name} {words}".strip(), effect.difference, effect.low, effect.high, others, beyond))
    drawing.effects(f"{len(axes)} axes, {dataset}", found.measure, changes, found.directions, path)
