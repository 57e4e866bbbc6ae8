"""`rarityir ica match`."""

from __future__ import annotations

from pathlib import Path

import click

from rarityir.cli.ica import rows
from rarityir.cli.options import Choice, dataset_option, indexes_option, json_option, print_facts


@click.command()
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@click.option("--paired", type=click.Path(path_type=Path), nargs=2, help="Two .npy files, row i of each of the same text.")
@click.option("--method", type=Choice(["greedy", "hungarian"]), default="greedy", show_default=True)
@click.option("--permutations", type=click.IntRange(1), default=99, show_default=True, help="Shuffles of the texts.")
@rows.SEED
@rows.OUT
@dataset_option
@indexes_option
@json_option
def match(
    *, a: Path, b: Path, paired: tuple[Path, Path] | None, method: str, permutations: int, seed: int, out: Path | None,
    dataset: str | None, indexes: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Find which axis of A is which of B, over texts that both encoders have read.

    \b
    rarityir ica match axes/demo axes/minilm --dataset cranfield

    The last line is the control: what matching finds where the texts' rows are shuffled. p is how often the best pair of a
    shuffle correlates as much.
    """
    from rarityir import store
    from rarityir.ica import match as matched

    one, two = rows.opened(a), rows.opened(b)
    if paired:
        xa, xb = (rows.array(path) for path in paired)
    else:
        xa, xb = (rows.documents(rows.reader(axes, dataset, indexes)) for axes in (one, two))
    found = matched(one, two, (xa, xb), method, seed=seed, permutations=permutations)
    facts = {"method": method, "texts": len(xa), **found.json()}
    if out is not None:
        store.write_json(out, facts)
    lines = [f"{'a':>5} {'b':>5} {'r':>7} {'p':>6}"]
    for pair in facts["pairs"]:
        i, j = pair["a"], pair["b"]
        lines.append(f"{i:>5} {j:>5} {pair['r']:>7.3f} {pair['p']:>6.3f}  {one.label(i)} | {two.label(j)}")
    control = f"at most {facts['chance_max']:.3f}, {facts['chance_mean']:.3f} on the mean"
    lines.append(f"{permutations} times shuffled texts: {control}")
    print_facts(facts, "\n".join(lines), as_json=as_json)
