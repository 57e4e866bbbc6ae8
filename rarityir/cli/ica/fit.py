"""`rarityir ica fit`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rarityir.cli.ica import rows
from rarityir.cli.options import Choice, dataset_option, encoder_options, indexes_option, json_option, print_facts, retriever


@click.command()
@click.option("--rows", "kind", type=Choice(rows.ROWS), default="documents", show_default=True, help="Rows of what.")
@click.option("--embeddings", type=click.Path(path_type=Path), help="A .npy file of rows instead.")
@click.option("--components", type=click.IntRange(1), help="How many axes.  [default: every direction in which rows vary]")
@click.option("--seeds", type=click.IntRange(1), default=2, show_default=True, help="Searches that must agree.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the first search.")
@click.option("--iterations", type=click.IntRange(1), default=1000, show_default=True, help="Of a search at most.")
@click.option("--tol", type=click.FloatRange(0, min_open=True), default=1e-6, show_default=True, help="Where a search ends.")
@click.option("--sample", type=click.IntRange(0), default=100_000, show_default=True, help="Rows searched on; 0: all.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write.")
@dataset_option
@encoder_options
@indexes_option
@json_option
def fit(
    *, kind: str, embeddings: Path | None, components: int | None, seeds: int, seed: int, iterations: int, tol: float,
    sample: int, out: Path, as_json: bool, **options: Any,
) -> None:  # fmt: skip
    """Find the independent axes of embeddings.

    \b
    rarityir ica fit --dataset cranfield --components 64 --out axes/cranfield
    rarityir ica fit --rows output --out axes/unembedding
    rarityir ica fit --embeddings enc.npy --components 256 --seeds 3 --out axes/mine

    What speaks against reading the axes (no convergence, seeds that disagree, Gaussian rows) is printed first.
    """
    import numpy as np

    from rarityir.ica import ICA
    from rarityir.ica.axes import tops
    from rarityir.ica.telling import table

    search = ICA(components, iterations, tol, seed, seeds, sample)
    if embeddings is not None:
        found = search.fit(rows.array(embeddings), facts={"rows": str(embeddings)})
    else:
        reader = retriever(options)
        facts = {"rows": kind, "dataset": options["dataset"] or "cranfield", **rows.read_by(reader.encoder, options)}
        x = rows.documents(reader) if kind == "documents" else rows.token_rows(reader.encoder, kind)
        found = search.fit(x, facts=facts)
        tokens = [token or "" for token in reader.encoder.tokens()]
        if kind == "documents":  # the tokens that an axis makes a document write
            written = tops(np.asarray(reader.encoder.unembedding() @ found.writing.T, np.float64), 10)
            found = found.named([[tokens[i] for i in row] for row in written])
        else:
            found = found.labelled(x, tokens)
    found.save(out)
    facts = {"axes": len(found), "sha256": found.digest, "fitted_on": found.fitted_on, "diagnostics": found.diagnostics.json()}
    print_facts(facts, table(found, 20), as_json=as_json)
