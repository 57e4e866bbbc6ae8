"""`rarityir informativeness angles`."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rarityir.cli.informativeness.weights import DATASET, LIMIT
from rarityir.cli.options import encoder_options, json_option, names, print_facts, reader

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rarityir.types import Encoder


@click.command()
@DATASET
@click.option("--directions", type=click.IntRange(1), default=8, show_default=True, help="Leading eigenvectors of G.")
@click.option("--filters", default="edge:2,tail:2", show_default=True, help="What these remove; '' for none.")
@click.option("--matrix", metavar="X", default="output", show_default=True, help="Rows that rarity is probed in: input, output.")
@click.option("--axes", "folder", type=click.Path(path_type=Path), metavar="DIR", help="Axes of `ica fit`.")
@click.option("--first", type=click.IntRange(1), default=8, show_default=True, help="Axes: those most correlated with rarity.")
@click.option("--draws", type=click.IntRange(1), default=99, show_default=True, help="Spaces drawn at random.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="File for the JSON.")
@LIMIT
@encoder_options
@json_option
def angles(
    dataset: str, directions: int, filters: str, matrix: str, folder: Path | None, first: int, draws: int, seed: int,
    out: Path | None, limit: int | None, *, as_json: bool, **reading: Any,
) -> None:  # fmt: skip
    """Say how four things lie to each other in a model's space, pair by pair, beside spaces drawn at random.

    \b
    rarityir informativeness angles --limit 100
    rarityir informativeness angles --limit 100 --filters edge:2 --axes axes/unembedding --first 16

    They are: the directions that move the next token's distribution most (eigenvectors of G), what filters remove, the
    direction of the linear probe of log IDF, and with --axes what the axes most correlated with rarity write.
    """
    from rarityir import store
    from rarityir.datasets import load_dataset
    from rarityir.filters import EmbedFilter, Source, Unembedding
    from rarityir.informativeness.angles import overlaps, sensitive
    from rarityir.rarity.subspaces import split

    encoder = reader(reading.pop("encoder", None) or "demo", reading)
    texts = (doc.text for doc in islice(load_dataset(dataset).docs(), limit))
    leading, values = sensitive(encoder, texts, directions)
    energy = float(values[:directions].sum() / values.sum())
    spaces = {f"G:{directions}": leading, f"rarity of {matrix} rows": _rarity(encoder.model, matrix, dataset, seed)[None]}
    source = Source(Unembedding.of(encoder.model))
    for name in names(filters) if filters else ():
        spaces[f"removed by {name}"] = split(EmbedFilter.fit(source, name).basis).removed
    if folder is not None:
        spaces[f"{first} axes of {folder.name}"] = _axes(encoder, folder, first)
    found = overlaps(spaces, draws, seed)
    facts = {"encoder": encoder.name, "dataset": dataset, "energy_of_g": energy, "pairs": [pair.json() for pair in found]}
    if out is not None:
        store.write_json(out, facts)
    lines = [
        f"{directions} directions have {energy:.1%} of G's trace in {encoder.name}; angles in degrees, by chance in brackets",
        f"{'':>26} {'':>26} {'widths':>9} {'smallest':>15} {'median':>7} {'largest':>7} {'shared':>17} {'p':>6}",
    ]
    for pair in found:
        degrees = sorted(pair.angles.tolist())
        ends = f"{degrees[0]:>6.1f} ({pair.smallest:>5.1f}) {degrees[len(degrees) // 2]:>8.1f} {degrees[-1]:>7.1f}"
        width = f"{pair.widths[0]}, {pair.widths[1]}"
        shared = f"{pair.share:.3f} ({pair.expected:.3f})"
        lines.append(f"{pair.one[-26:]:>26} {pair.other[-26:]:>26} {width:>9} {ends} {shared:>17} {pair.p:>6.3f}")
    print_facts(facts, "\n".join(lines), as_json=as_json)


def _rarity(model: str, matrix: str, dataset: str, seed: int) -> NDArray[np.float64]:
    """The direction (D,) of the ridge that tells log IDF from a model's rows."""
    import numpy as np

    from rarityir.informativeness.regressing import TARGET
    from rarityir.rarity.probe import RarityProbe
    from rarityir.rarity.rows import rows
    from rarityir.rarity.sample import Sample
    from rarityir.rarity.stats import TokenStats

    sample = Sample.of(model, TokenStats.from_dataset(dataset, model), rows(model, matrix))
    probe = RarityProbe(TARGET, seed=seed, bands=1, replicates=1, leakage=False)
    probe.fit(sample.x, sample.target(TARGET), groups=sample.groups, counts=sample.counts)
    return np.asarray(probe.result.targets[0].direction)


def _axes(encoder: Encoder, folder: Path, first: int) -> NDArray[np.float64]:
    """What the axes (first, D) write that go most with how rare tokens are in running English."""
    import numpy as np

    from rarityir.counts import TokenCounts
    from rarityir.ica import Axes
    from rarityir.ica.rarity import of_values
    from rarityir.types import RarityError

    axes, rows = Axes.load(folder), encoder.unembedding()
    if axes.width != rows.shape[1]:
        raise RarityError(f"the axes of {folder} are {axes.width} wide, {encoder.name}'s rows {rows.shape[1]}; fit them on it")
    rare = -TokenCounts.english(encoder.model, len(rows)).log_probability()
    documents = axes.fitted_on.get("rows") == "documents"  # whose axes are known by what they write into logits
    along = np.asarray(rows, np.float64) @ axes.writing.T if documents else axes.transform(rows)
    return np.asarray(axes.writing[of_values(along, rare).order[:first]])
