"""`rarityir rarity idf`: BM25 by the IDF of every source, on judged collections."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rarityir.cli.options import encoder_options, given, indexes_option, json_option, reader


@click.command("idf")
@click.option("--dataset", "datasets", metavar="D[,D]", default="cranfield", show_default=True, help="Judged collections.")
@click.option(
    "--systems", metavar="A,B", help="uniform, id-zipf, transfer, probe, probe-repaired, oracle, shuffled.  [default: all]"
)
@click.option("--levels", metavar="L,L", default="L0,L1", show_default=True, help="What is known of a collection: L0, L1, L2.")
@click.option("--source", default="english", show_default=True, help="english, a folder of rarity stats, or a dataset to read.")
@click.option("--options", metavar="K=V,…", default="", help="More of each system: rows=input, k1=, b=, pieces=last, length=.")
@click.option("--measures", metavar="M,N", help="The first is compared by stratum.  [default: nDCG@10,R@100,RR@10,AP]")
@click.option("--cutoff", type=click.IntRange(1), default=1000, show_default=True, help="Documents retrieved for a query.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the tests and of the bootstrap.")
@click.option("--shuffles", type=click.IntRange(1), default=10, show_default=True, help="Permutations behind `shuffled`.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Folder for idf.json, idf.md, pictures and one page.")
@encoder_options
@indexes_option
@json_option
def idf(
    datasets: str,
    systems: str | None,
    levels: str,
    source: str,
    options: str,
    measures: str | None,
    cutoff: int,
    seed: int,
    shuffles: int,
    out: Path | None,
    *,
    as_json: bool,
    **reading: Any,
) -> None:
    """Compare IDFs that need no corpus with the corpus's own, in one BM25 over the encoder's tokens.

    \b
    rarityir rarity idf --dataset cranfield,nfcorpus,scifact --out evals/rarity/idf
    rarityir rarity idf --dataset scifact --systems uniform,transfer,oracle --source nfcorpus

    A table a collection: measures, tests against uniform IDF and against the source's own counts (transfer), the share of the gap
    between uniform and the corpus's own IDF (oracle) that each recovers, and the topics with tokens that the source never saw. L0
    looks at nothing of the collection, L1 at its size and mean length; the oracle's IDF is the collection's own at any level.
    """
    from rarityir.datasets import load_dataset
    from rarityir.report.weighing_page import write
    from rarityir.retrieval import INDEXES
    from rarityir.settings import IDFS
    from rarityir.weighing import MEASURES, Asked, weigh

    asked = Asked(
        _names(systems) or IDFS, _names(levels) or ("L0",), source, options, _names(measures) or MEASURES, cutoff, seed, shuffles
    )
    asked.check()
    if not _names(datasets):
        raise click.UsageError("--dataset names no collection; give one that has judgments, such as cranfield")
    values = given(reading)
    indexes = Path(values.pop("indexes", INDEXES))
    encoder = reader(values.pop("encoder", "demo"), values)
    found = weigh([load_dataset(name) for name in _names(datasets)], encoder, asked, indexes)
    if out is not None:
        write(found, out)
    from rarityir.report.matching import json_shown, lines_shown

    click.echo(json_shown(found.dumps()) if as_json else lines_shown(found.markdown()), nl=False)


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name for name in (text or "").split(",") if name)
