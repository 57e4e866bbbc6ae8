"""A dataset's topics answered on a cluster, as the run that one machine writes."""

from __future__ import annotations

from rarityir.cluster.on_ray import connected, search
from rarityir.cluster.recipe import check_made
from rarityir.cluster.shards import Encoded
from rarityir.indexes.offset import moved
from rarityir.indexes.topk import pad, without_own
from rarityir.retrieval import Retriever, tagged
from rarityir.runs import Run
from rarityir.systems import System
from rarityir.types import RarityError

QUERIES = 256  # asked together: each block of documents sends its best `cutoff` for every one of them


def answer(source: Retriever, system: System, found: Encoded, cutoff: int, cluster: str = "local") -> Run:
    """Returns the run of `dense`, or of `dense` behind the filter of the folder, for all topics: exactly one machine's.

    Raises `StaleArtefact` for a folder of other documents or another encoder than the source's, and `RarityError` for a system
    that it does not hold.
    """
    if system.index is not None and moved(system.index.arg)[1]:
        raise RarityError(f"{system}: a cluster moves no queries by an offset; search it on one machine, without --cluster")
    held = "+".join(["dense", *([str(found.identity["filter"])] if found.identity["filter"] else [])])
    if str(system).replace("dense:flat", "dense") != held:
        raise RarityError(f"{found.folder} holds vectors of {held}, not of {system}; search {held}, or encode with that filter")
    check_made(found.identity, source.corpus, source.encoder, found.folder)
    own = source.dataset.drops_query_document
    q_QD = source.encoder.encode_query(list(source.dataset.topics.values()))
    with connected(cluster):
        parts = [search(found, q_QD[at : at + QUERIES], cutoff + own, cluster=cluster) for at in range(0, len(q_QD), QUERIES)]
    hits = pad([pair for part in parts for pair in zip(part.rows, part.scores, strict=True)], cutoff + own)
    if own:
        hits = without_own(hits, list(source.dataset.topics), source.corpus.doc_ids, cutoff)
    return Run.from_hits(tagged(str(system), source.dataset), tuple(source.dataset.topics), source.corpus.doc_ids, hits)
