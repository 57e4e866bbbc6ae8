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
@rows.SEED
@rows.OUT
@dataset_option
@indexes_option
@json_option
def match(
    *, a: Path, b: Path, paired: tuple[Path, Path] | None, method: str, seed: int, out: Path | None, dataset: str | None,
    indexes: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Find which axis of A is which of B, over texts that both encoders have read.

    \b
    rarityir ica match axes/demo axes/minilm --dataset cranfield

    The last line is the control: what matching finds where the texts' rows are shuffled.
    """
    from rarityir import store
    from rarityir.ica import match as matched

    one, two = rows.opened(a), rows.opened(b)
    if paired:
        xa, xb = (rows.array(path) for path in paired)
    else:
        xa, xb = (rows.documents(rows.reader(axes, dataset, indexes)) for axes in (one, two))
    found = matched(one, two, (xa, xb), method, seed=seed)
    facts = {"method": method, "texts": len(xa), **found.json()}
    if out is not None:
        store.write_json(out, facts)
    lines = [f"{'a':>5} {'b':>5} {'r':>7}"]
    for pair in facts["pairs"]:
        lines.append(f"{pair['a']:>5} {pair['b']:>5} {pair['r']:>7.3f}  {one.label(pair['a'])} | {two.label(pair['b'])}")
    lines.append(f"shuffled texts: at most {facts['chance_max']:.3f}, {facts['chance_mean']:.3f} on the mean")
    print_facts(facts, "\n".join(lines), as_json=as_json)
