"""`rarityir list`."""

from __future__ import annotations

import json
from collections.abc import Callable

import click

from rarityir.cli.options import Choice, json_option

_INDEXES = {
    "axes": "each document's largest coordinates on independent axes: axes:10+ica:256",
    "bm25": "Lucene with Anserini's English analyser: bm25:k1=0.9,b=0.4",
    "bm25-idf": "BM25 over the model's own tokens, its IDF from anywhere: bm25-idf:probe,level=L0",
    "dense": "inner product of normalised embeddings, exact or approximate: dense, dense:hnsw,32, dense:ivf4096,pq64",
    "milvus:bm25": "BM25 by Milvus, of the terms of bm25 (extra milvus): milvus:bm25:k1=0.9,b=0.4",
    "milvus:dense": "the vectors of dense in Milvus (extra milvus)",
    "milvus:sparse": "the impacts of sparse in Milvus (extra milvus)",
    "qdrant:dense": "the vectors of dense in Qdrant (extra qdrant)",
    "qdrant:sparse": "the impacts of sparse in Qdrant (extra qdrant)",
    "seismic": "the impacts of sparse searched approximately (extra seismic): seismic:64",
    "sparse": "each document's best canonical tokens: sparse:64, sparse:64,style=promptreps",
}
# What takes a system's documents; what takes a filter is in the registry.
EXPORTS = {
    "anserini": "JSON vectors that Lucene indexes as impacts: --system sparse:64",
    "elasticsearch": "the mapping, bulk lines and requests: --system sparse:64",
    "faiss": "an exact index with its ids and the topics' vectors: --system dense",
    "milvus": "the schema, rows and requests: --system dense or sparse:64",
    "opensearch": "the mapping, bulk lines and requests: --system dense or sparse:64",
    "parquet": "a table of documents and one of topics: --system dense or sparse:64",
    "qdrant": "the collection, points and requests: --system dense or sparse:64",
    "vespa": "the application package, feed and requests: --system dense or sparse:64",
}
_MEASURES = {
    "nDCG@10": "discounted gain of the best 10 by grade, as a share of the ideal order's",
    "RR@10": "1 / rank of the first relevant document among the best 10",
    "R@100": "share of the relevant documents among the best 100",
    "R@1000": "share of the relevant documents among the best 1000",
    "AP": "mean over the relevant documents of the precision at their ranks; AP(rel=2) counts grades from 2",
    "P@10": "share of the best 10 that is relevant",
    "Rprec": "precision at as many documents as are relevant",
    "Success@10": "whether any of the best 10 is relevant",
    "…": "and any name ranx knows, such as hit_rate@5 or rbp.95",
}


def indexes() -> dict[str, str]:
    """Every index, also those that other packages add."""
    from rarityir import registry

    return dict(sorted({**registry.described("indexes"), **_INDEXES}.items()))


def encoders() -> dict[str, str]:
    """The models that have a short name."""
    from rarityir.checkpoints import DEMO, MODELS, PACKAGED

    own = {name: how["model"] if how["model"] != str(DEMO) else "the small model of the package" for name, how in MODELS.items()}
    short = {name: f"{model}, pooled by {MODELS[name]['pooling']}" for name, model in own.items()}
    packaged = {f"st:{name}": "a sentence-transformer from a registry package (extra st)" for name in PACKAGED}
    return {**short, **packaged, "…": "and any hub id or folder of a causal model, and st:NAME of a sentence-transformer"}


def poolings() -> dict[str, str]:
    """What is written around a text, and which states are averaged."""
    from rarityir.encoders.prompts import POOLINGS, WEIGHTED

    states = {"mean": "mean of the text's tokens", "weighted-mean": "mean weighted by position", "last": "the last token"}
    found = {
        name: states[p.states] + (f", after {' … '.join(filter(None, p.template))!r}" if any(p.template) else "")
        for name, p in sorted(POOLINGS.items())
    }
    return {**found, f"{WEIGHTED}:FOLDER": "mean of the text's tokens, each weighing what the folder says"}


def datasets() -> dict[str, str]:
    """The collections that have a short name."""
    from rarityir.datasets import ALIASES
    from rarityir.datasets.embedded import NAME

    return {
        NAME: "1,400 abstracts of aerodynamics and 225 judged queries, in the package",
        **ALIASES,
        "…": "and any ir_datasets id, or a folder in BEIR's or TREC's layout",
    }


def measures() -> dict[str, str]:
    """The field's names of measures."""
    return _MEASURES


def targets() -> dict[str, str]:
    """How rare tokens are said to be."""
    from rarityir.rarity.stats import TARGETS

    return dict(TARGETS)


def exports() -> dict[str, str]:
    """What a filter is written for, and what a system's documents and topics are, with the option that says which."""
    from rarityir import registry

    found = {
        name: f"{line.rstrip('.')}: --filter edge:2".removeprefix(": ") for name, line in registry.described("exports").items()
    }
    both = {name: f"{found[name]}; or {EXPORTS[name]}" for name in found if name in EXPORTS}
    return dict(sorted({**found, **EXPORTS, **both}.items()))


def _described(kind: str) -> Callable[[], dict[str, str]]:
    def found() -> dict[str, str]:
        from rarityir import registry

        return registry.described(kind)

    return found


KINDS: dict[str, Callable[[], dict[str, str]]] = {
    "indexes": indexes,
    "filters": _described("filters"),
    "fusions": _described("fusions"),
    "encoders": encoders,
    "poolings": poolings,
    "datasets": datasets,
    "measures": measures,
    "targets": targets,
    "exports": exports,
}


@click.command("list")
@click.argument("kind", type=Choice([*KINDS]), required=False, metavar="[KIND]")
@json_option
def list_(kind: str | None, *, as_json: bool) -> None:
    """List the parts that exist, one a line: those of KIND, or of every kind.

    KIND is indexes, filters, fusions, encoders, poolings, datasets, measures, targets or exports.

    \b
    rarityir list
    rarityir list filters
    """
    found = {name: parts() for name, parts in KINDS.items() if kind in (None, name)}
    if as_json:
        click.echo(json.dumps(found, indent=1, ensure_ascii=False))
        return
    blocks = []
    for name, parts in found.items():
        width = max(map(len, parts))
        blocks.append("\n".join([name, *(f"  {part:<{width}}  {line}".rstrip() for part, line in parts.items())]))
    click.echo("\n\n".join(blocks))
