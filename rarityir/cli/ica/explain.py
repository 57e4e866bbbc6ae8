"""`rarityir ica explain`."""

from __future__ import annotations

from pathlib import Path

import click

from rarityir.cli.ica import rows
from rarityir.cli.options import json_option, print_facts


@click.command()
@rows.folder
@click.option("--query", required=True, help="A query's text.")
@click.option("--doc", required=True, help="A document's text.")
@click.option("--alpha", type=float, default=0.05, show_default=True, help="Level, divided by the number of axes (Bonferroni).")
@click.option("--first", type=click.IntRange(1), default=10, show_default=True, help="Axes shown.")
@rows.OUT
@json_option
def explain(*, folder: Path, query: str, doc: str, alpha: float, first: int, out: Path | None, as_json: bool) -> None:
    """Say which axes make a query's cosine with a document.

    \b
    rarityir ica explain axes/cranfield --query "boundary layer" --doc "laminar flow over a flat plate"

    The contributions of all axes sum to the cosine on the axes, which is that of whitened embeddings. A star marks what
    products of random directions would not give.
    """
    from rarityir import store

    axes = rows.opened(folder)
    encoder = rows.reader(axes, None, None).encoder
    q, d = encoder.encode_query([query])[0], encoder.encode_document([doc])[0]
    hits = axes.explain(q, d, alpha=alpha)
    total = sum(hit.contribution for hit in hits)
    facts = {"cosine": total, "alpha": alpha, "axes": [hit._asdict() for hit in hits]}
    if out is not None:
        store.write_json(out, facts)
    lines = [f"cosine {total:.4f} on {len(axes)} axes", f"{'axis':>5} {'part':>8} {'p':>9}"]
    for hit in hits[:first]:
        lines.append(f"{hit.axis:>5} {hit.contribution:>8.4f} {hit.p:>9.2g}{'*' if hit.significant else ' '} {hit.label}")
    lines.append(f"{'rest':>5} {sum(hit.contribution for hit in hits[first:]):>8.4f}")
    print_facts(facts, "\n".join(lines), as_json=as_json)
