"""What a cluster encoded becomes a machine's own: then everything that one machine can do with embeddings begins there."""

from __future__ import annotations

from rarityir import embeddings
from rarityir.cluster.recipe import check_made
from rarityir.cluster.shards import Encoded
from rarityir.embeddings import Embeddings
from rarityir.retrieval import Retriever
from rarityir.types import RarityError


def take(source: Retriever, found: Encoded) -> Embeddings:
    """Copies a folder's raw embeddings to where `rarityir encode` keeps those of the same documents and encoder.

    What was stopped goes on where it was. Their time is the cluster's. Raises `StaleArtefact` for a folder of other documents
    or another encoder, and `RarityError` for filtered ones, from which nothing else can be had.
    """
    if name := found.identity["filter"]:
        raise RarityError(f"{found.folder} holds vectors behind {name}; encode without --filter, filters are then fitted here")
    check_made(found.identity, source.corpus, source.encoder, found.folder)
    rows = (x_ND for _, x_ND in found)
    return embeddings.take(source.corpus, source.encoder, rows, float(found.facts["build_seconds"]))
