"""`rarityir export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rarityir.cli.options import fitted, given, indexes_option, json_option, print_facts, reader, reading_options, retriever

if TYPE_CHECKING:
    from rarityir.filters import EmbedFilter
    from rarityir.types import Encoder


@click.command("export")
@click.argument("model")
@click.option("--filter", "name", metavar="F", help="edge:2, tail:2+pca:64, …, or the folder of a saved filter.")
@click.option("--system", metavar="S", help="Instead of a filter: dense or sparse:64 with its filters, sparse:64+edge:2.")
@click.option("--to", "kind", metavar="T", required=True, help="Another library or engine, see above.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write.")
@click.option("--dataset", metavar="D", help="The documents to export, or those a filter is fitted on.")
@click.option(
    "--levels", type=click.IntRange(1), help="With --system sparse:K, the whole number that the largest impact becomes."
)
@click.option("--cutoff", type=click.IntRange(1), help="With --system, documents that each request asks for.  [default: 100]")
@reading_options
@indexes_option
@json_option
def export(
    model: str,
    name: str | None,
    system: str | None,
    kind: str,
    out: Path,
    levels: int | None,
    cutoff: int | None,
    *,
    as_json: bool,
    **options: Any,
) -> None:
    """Write MODEL's filter, or what a system makes of documents and topics, as another library reads it, without rarityir.

    \b
    rarityir export demo --pooling prompteol --filter edge:2 --to sentence-transformers --out demo-edge
    rarityir export Qwen/Qwen2.5-0.5B --filter filters/auto --to faiss --out qwen-faiss
    rarityir export st:all-minilm-l6-v2 --filter pca:128 --dataset cranfield --to onnx --out minilm-onnx
    rarityir export demo --system sparse:64+edge:2 --dataset cranfield --to parquet --out cranfield-sparse

    A filter: sentence-transformers, the model with the filter inside; faiss, an empty index that takes raw embeddings; onnx,
    pytorch, the filter alone. A system's documents and topics: milvus, qdrant, opensearch, vespa, parquet; of sparse:K also
    anserini and elasticsearch; of dense also faiss. An earlier export in --out is replaced, anything else is left alone.
    """
    if system is not None and name is not None:
        raise click.UsageError("--filter is part of the system's name: --system sparse:64+edge:2")
    _check(kind, system, name)
    if system is not None:
        _system(system, kind, out, {"levels": levels, "cutoff": cutoff}, {**options, "encoder": model}, as_json=as_json)
        return
    if name is None or levels or cutoff:
        raise click.UsageError("give --filter or --system" if name is None else "--levels and --cutoff are for --system")
    from rarityir.integrations import exports

    write = exports.exporter(kind)
    exports.check_free(out, kind)
    encoder, found = _fitted(model, name, options)
    write(encoder, found, out)
    kept, width = found.basis.shape
    facts = {"folder": str(out), "export": kind, "encoder": encoder.name, "filter": found.name, "kept": kept, "width": width}
    text = f"{out}: {encoder.name} with {found.name}, {width} to {kept}"
    print_facts({**facts, "files": _files(out)}, text, as_json=as_json)


def _check(kind: str, system: str | None, filter: str | None) -> None:
    """Raises what is wrong with the name of an export: one that nobody knows, or of the other option."""
    from rarityir import registry
    from rarityir.integrations import corpora
    from rarityir.types import UnknownName

    filters = registry.table("exports")
    if kind not in filters and kind not in corpora.KINDS:
        raise UnknownName(registry.unknown("export", kind, {*filters, *corpora.KINDS}))
    if filter is not None and kind not in filters:
        raise click.UsageError(f"{kind} takes --system, not --filter")
    if system is not None and kind not in corpora.KINDS:
        raise click.UsageError(f"{kind} takes --filter, not --system")


def _system(name: str, kind: str, out: Path, how: dict[str, Any], options: dict[str, Any], *, as_json: bool) -> None:
    from rarityir.integrations import corpora, impacts
    from rarityir.systems import System

    system = System.parse(name)
    corpora.check(kind, system, out)
    if how["levels"] and (kind not in impacts.KINDS or not (system.index and system.index.name == "sparse")):
        raise click.UsageError(f"--levels is for impacts in whole numbers, which {kind} does not get of {system}")
    if how["cutoff"] and kind not in impacts.FORMS:
        raise click.UsageError(f"--cutoff is for requests, and {kind} gets none")
    if options.get("dataset") is None:
        raise click.UsageError("a system reads documents; give --dataset")
    facts = corpora.export(kind, retriever(options), system, out, **given(how))
    facts = {"folder": str(out), "export": kind, "encoder": options["encoder"], **facts, "system": name, "files": _files(out)}
    print_facts(facts, f"{out}: {facts['documents']} documents of {system}", as_json=as_json)


def _files(out: Path) -> list[str]:
    return sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())


def _fitted(model: str, name: str, options: dict[str, Any]) -> tuple[Encoder, EmbedFilter]:
    from rarityir.filters import Source, Unembedding

    if options.get("dataset") is not None:
        documents = retriever({**options, "encoder": model})
        encoder, source = documents.encoder, documents.source
    else:
        encoder, source = reader(model, options), None
    return encoder, fitted(source or Source(Unembedding.of(encoder.unembedding(), encoder.model)), name)
