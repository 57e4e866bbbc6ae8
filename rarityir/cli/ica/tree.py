"""`rarityir ica tree`."""

from __future__ import annotations

import json
import math
from pathlib import Path

import click

from rarityir.cli.ica import rows
from rarityir.cli.options import Choice, indexes_option


@click.command()
@rows.folder
@click.option("--nodes", type=click.IntRange(2), default=150, show_default=True, help="The most coherent axes.")
@click.option("--clusters", type=click.IntRange(1), default=10, show_default=True)
@click.option("--permutations", type=click.IntRange(0), default=0, show_default=True, help="Of columns, for p-values of edges.")
@click.option("--format", "form", type=Choice(["dot", "json", "svg"]), default="json", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="File to write instead of standard output.")
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@rows.SEED
@indexes_option
def tree(
    *, folder: Path, nodes: int, clusters: int, permutations: int, form: str, out: Path | None, as_json: bool, seed: int,
    indexes: str | None,
) -> None:  # fmt: skip
    """Join the axes that fire together into a tree, and cut it into clusters.

    \b
    rarityir ica tree axes/unembedding --nodes 60 --format svg --out tree.svg

    An edge is E[s_i² s_j²], 1 where two axes are independent; p-values are of columns permuted one by one.
    """
    from rarityir import store
    from rarityir.ica import coherence, higher_order, spanning_tree

    axes = rows.opened(folder)
    x = rows.fitted_rows(axes, indexes)
    white = axes.transform(x)
    found = higher_order(white, permutations=permutations, seed=seed)
    together = coherence(white, x, seed=seed)
    drawn = spanning_tree(found, together.top(nodes), [axes.label(i) for i in range(len(axes))] if axes.labels else ())
    of = drawn.clusters(min(clusters, len(drawn.nodes)), seed)
    if form == "json" or as_json:
        facts = drawn.json(of.tolist())
        for node in facts["nodes"]:
            value = float(together.values[node["axis"]])
            node["coherence"] = value if math.isfinite(value) else None
        if found.p is not None and found.p_family is not None:
            for edge in facts["edges"]:
                edge["p"], edge["p_family"] = (float(table[edge["a"], edge["b"]]) for table in (found.p, found.p_family))
        text = json.dumps(facts, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    else:
        text = drawn.dot(of.tolist()) if form == "dot" else drawn.svg(of.tolist())
    if out is not None:
        store.write_text(out, text)
    else:
        from rarityir.report.matching import json_shown

        click.echo(json_shown(text), nl=False)
