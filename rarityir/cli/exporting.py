"""`rarityir export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rarityir.cli.options import fitted, indexes_option, json_option, print_facts, reader, reading_options, retriever

if TYPE_CHECKING:
    from rarityir.filters import EmbedFilter
    from rarityir.types import Encoder


@click.command("export")
@click.argument("model")
@click.option("--filter", "name", metavar="F", required=True, help="edge:2, tail:2+pca:64, …, or the folder of a saved filter.")
@click.option("--to", "kind", metavar="T", required=True, help="faiss, onnx, pytorch or sentence-transformers.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write.")
@click.option("--dataset", metavar="D", help="Documents for filters that are fitted on embeddings.")
@reading_options
@indexes_option
@json_option
def export(model: str, name: str, kind: str, out: Path, *, as_json: bool, **options: Any) -> None:
    """Write MODEL's filter as another library reads it, without rarityir.

    \b
    rarityir export demo --pooling prompteol --filter edge:2 --to sentence-transformers --out demo-edge
    rarityir export Qwen/Qwen2.5-0.5B --filter filters/auto --to faiss --out qwen-faiss
    rarityir export st:all-minilm-l6-v2 --filter pca:128 --dataset cranfield --to onnx --out minilm-onnx

    sentence-transformers: the model with the filter inside. faiss: an empty index that takes raw embeddings. onnx, pytorch:
    the filter alone. An earlier export in --out is replaced, anything else is left alone.
    """
    from rarityir.integrations import exports

    write = exports.exporter(kind)
    exports.check_free(out, kind)
    encoder, found = _fitted(model, name, options)
    write(encoder, found, out)
    kept, width = found.basis.shape
    files = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    facts = {"folder": str(out), "export": kind, "encoder": encoder.name, "filter": found.name, "kept": kept, "width": width}
    print_facts({**facts, "files": files}, f"{out}: {encoder.name} with {found.name}, {width} to {kept}", as_json=as_json)


def _fitted(model: str, name: str, options: dict[str, Any]) -> tuple[Encoder, EmbedFilter]:
    from rarityir.filters import Source, Unembedding

    if options.get("dataset") is not None:
        documents = retriever({**options, "encoder": model})
        encoder, source = documents.encoder, documents.source
    else:
        encoder, source = reader(model, options), None
    return encoder, fitted(source or Source(Unembedding.of(encoder.unembedding(), encoder.model)), name)
