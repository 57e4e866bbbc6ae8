"""What `encode` and `search` do with `--cluster` and with what it wrote."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rarityir.cli.options import fitted, print_facts

if TYPE_CHECKING:
    from rarityir.retrieval import Retriever
    from rarityir.runs import Run
    from rarityir.systems import System

OPTIONS = (
    click.option("--cluster", metavar="C", help="Encode on Ray into --out: local, auto, or ray://host:port."),
    click.option("--out", type=click.Path(path_type=Path), help="With --cluster: the folder to write; every node must see it."),
    click.option("--filter", "filter_name", metavar="F", help="With --cluster: a filter, or a saved one's folder."),
    click.option("--sparse", metavar="K", help="With --cluster: also write each document's K best tokens."),
    click.option("--encoded", type=click.Path(path_type=Path), help="Instead of encoding: take over what --cluster wrote there."),
)


def cluster_options(command: Any) -> Any:
    """Adds --cluster and what goes with it when documents are encoded."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def encode_on_cluster(
    source: Retriever, cluster: str, out: Path, filter_name: str | None, sparse: str | None, *, as_json: bool
) -> None:
    """Encodes on a Ray cluster and prints what was written."""
    from dataclasses import replace

    from rarityir.cluster.on_ray import check, encode
    from rarityir.settings import ImpactSettings

    check()  # before the documents are read
    # Without documents: a filter that is fitted on them would have this machine encode them all.
    chosen = fitted(replace(source.source, documents=None), filter_name) if filter_name else None
    settings = ImpactSettings.parse(sparse) if sparse else None
    found = encode(source.dataset, source.corpus, source.encoder, out, cluster=cluster, filter=chosen, sparse=settings)
    facts = {"folder": str(out), "shards": len(found.paths), "emb": found.identity["emb"], **found.facts}
    text = f"{out}: {facts['documents']} documents in {facts['shards']} shards, {facts['emb']}"
    print_facts(facts, text, as_json=as_json)


def take_over(source: Retriever, folder: Path, *, as_json: bool) -> None:
    """Copies what a cluster encoded to where one machine keeps its own, and prints where."""
    from rarityir.cluster.shards import Encoded
    from rarityir.cluster.taking import take

    found = take(source, Encoded.open(folder))
    facts = {"folder": str(found.folder), "blocks": len(found.paths), "seconds": found.seconds}
    print_facts(facts, f"{facts['folder']}: {facts['blocks']} blocks, from {folder}", as_json=as_json)


def search_on_cluster(source: Retriever, system: System, folder: Path, cutoff: int, cluster: str) -> Run:
    """Returns the run of a dense system over the embeddings that a cluster wrote into a folder."""
    from rarityir.cluster.answers import answer
    from rarityir.cluster.on_ray import check
    from rarityir.cluster.shards import Encoded

    check()
    return answer(source, system, Encoded.open(folder), cutoff, cluster)
