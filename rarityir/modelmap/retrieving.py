"""Retrieval by layer: what each layer's states find, beside what each layer's lens says.

States are pooled as the encoder pools its last ones, as they are (`plain`) and after the model's final norm (`normed`), which is
how the lens reads them. After the last layer both are the encoder's own embeddings, so that row is `dense`. All scores of all
layers are held at once, 8 (L + 1) bytes a topic and document: for judged collections of some thousand documents.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from rarityir import measures
from rarityir.encoders import forward
from rarityir.encoders.batching import batches
from rarityir.encoders.prompts import POOLINGS
from rarityir.indexes.topk import pad, topk
from rarityir.modelmap.lens import proved_norm
from rarityir.runs import Run
from rarityir.types import Dataset, Encoder, Floats, RarityError, Scores

if TYPE_CHECKING:
    from rarityir.encoders.hf import HFEncoder

FORMS = ("plain", "normed")
TEXTS = 256  # laid out together
DEPTH = 1000


def by_layer(
    encoder: Encoder, dataset: Dataset, names: Sequence[str] = ("nDCG@10",), norm: str | None = None
) -> list[tuple[Scores, Scores]]:
    """Returns each layer's measures, from the input to the last: of its plain states and of its normed ones.

    Args:
        norm: the dotted path of the final norm, where it cannot be found by what it gives.

    Raises `RarityError` for an encoder that is no causal language model, and for token weights.
    """
    from rarityir.encoders.hf import HFEncoder

    if not isinstance(encoder, HFEncoder) or encoder.pooling not in POOLINGS:
        raise RarityError(f"{encoder.name}: layers are read of a causal language model with a pooling of {', '.join(POOLINGS)}")
    if not dataset.topics or not dataset.qrels:
        raise RarityError(f"{dataset.name} has no judged topics to retrieve for")
    module = proved_norm(encoder.causal()[0], norm)
    asked = [f"{encoder.instruction} {text}" if encoder.instruction else text for text in dataset.topics.values()]
    q_FLQD = np.concatenate(list(_blocks(encoder, module, asked)), axis=2)
    ids: list[str] = []

    def texts() -> Iterator[str]:
        for doc in dataset.docs():
            ids.append(doc.doc_id)
            yield doc.text

    scores_FLQN = np.concatenate(
        [np.einsum("flqd,flnd->flqn", q_FLQD, x_FLND) for x_FLND in _blocks(encoder, module, texts())], axis=3
    )
    return [
        (_scored(FORMS[0], plain, dataset, ids, names), _scored(FORMS[1], normed, dataset, ids, names))
        for plain, normed in zip(*scores_FLQN, strict=True)
    ]


def _blocks(encoder: HFEncoder, norm: Any, texts: Iterable[str]) -> Iterator[Floats]:
    """Unit vectors (2, L + 1, n, D) of texts, block by block: plain and normed, by layer."""
    base = encoder.causal()[0].base_model
    weighted = POOLINGS[encoder.pooling].states == "weighted-mean"

    def read(part: Sequence[Any]) -> Floats:
        states = _states(base, part)
        forms = ([*states], [norm(state) for state in states[:-1]] + [states[-1]])
        found = [[forward.pooled(state, part, weighted=weighted) for state in form] for form in forms]
        return np.array([[encoder.fetch(x_ND) for x_ND in form] for form in found])

    rest = iter(texts)
    while block := list(islice(rest, TEXTS)):
        laid_out = encoder.lay_out(block)
        out: Floats | None = None
        for rows in batches([len(s.ids) for s in laid_out], encoder.budget):
            part = np.concatenate(forward.fitting([laid_out[i] for i in rows], read, encoder.name), axis=2)
            if out is None:
                out = np.empty((*part.shape[:2], len(block), part.shape[3]), np.float32)
            out[:, :, rows] = part
        assert out is not None  # a block holds a text
        yield out / np.maximum(np.linalg.norm(out, axis=3, keepdims=True), np.finfo(np.float32).tiny)


def _states(base: Any, sequences: Sequence[Any]) -> Any:
    """The (B, T, D) states of the input and of every layer, the last after the final norm; padding stands on the right."""
    import torch

    ids_BT = forward.padded(base, [s.ids for s in sequences])
    with torch.inference_mode():
        return base(input_ids=ids_BT.to(base.device), use_cache=False, output_hidden_states=True).hidden_states


def _scored(name: str, scores_QN: Floats, dataset: Dataset, doc_ids: Sequence[str], names: Sequence[str]) -> Scores:
    query_ids = list(dataset.topics)
    if dataset.drops_query_document:
        at = {doc_id: row for row, doc_id in enumerate(doc_ids)}
        scores_QN = scores_QN.copy()
        for row, query_id in enumerate(query_ids):
            if query_id in at:
                scores_QN[row, at[query_id]] = -np.inf
    depth = min(DEPTH, len(doc_ids))
    hits = pad([topk(scores_N, depth, floor=-np.inf) for scores_N in scores_QN], depth)
    found = measures.evaluate(Run.from_hits(name, query_ids, doc_ids, hits), dataset.qrels, list(names))
    return Scores(name, found.query_ids, found.values)
