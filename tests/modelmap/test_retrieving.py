"""Retrieval by layer: each layer's states pooled by hand, the last layer the encoder itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny import STORIES

from rarityir.datasets import load_dataset
from rarityir.encoders import load_encoder
from rarityir.modelmap import by_layer
from rarityir.modelmap import retrieving as module
from rarityir.types import RarityError

MEASURES = ["RR", "nDCG@3"]


def by_hand(encoder, dataset, layer: int, *, normed: bool, weighted: bool) -> list[float]:
    """Each topic's reciprocal rank, one text at a time."""
    model, _ = encoder.causal()

    def vector(text: str) -> np.ndarray:
        (laid,) = encoder.lay_out([text])
        with torch.inference_mode():
            states = model(input_ids=torch.tensor([laid.ids]), output_hidden_states=True).hidden_states
            state = states[layer] if not normed or layer == len(states) - 1 else model.model.norm(states[layer])
        x = state[0, laid.start : laid.stop].double().numpy()
        weights = np.arange(1, len(x) + 1) if weighted else np.ones(len(x))
        x = weights @ x
        return x / np.linalg.norm(x)

    docs = {doc.doc_id: vector(doc.text) for doc in dataset.docs()}
    found = []
    for query_id, text in dataset.topics.items():
        q = vector(text)
        order = sorted(docs, key=lambda d: -float(q @ docs[d]))
        relevant = {d for d, grade in dataset.qrels[query_id].items() if grade > 0}
        found.append(1 / next(rank for rank, d in enumerate(order, 1) if d in relevant))
    return found


@pytest.mark.parametrize("pooling", ["mean", "weighted-mean"])
def test_each_layer_is_its_own_states_pooled(beir, stories: str, monkeypatch, pooling: str) -> None:
    monkeypatch.setattr(module, "TEXTS", 4)  # blocks that end within the collection
    encoder, dataset = load_encoder(stories, pooling=pooling, batch_tokens=40), load_dataset(str(beir))
    found = by_layer(encoder, dataset, MEASURES)
    assert len(found) == 6
    for layer, pair in enumerate(found):
        for scores, normed in zip(pair, (False, True), strict=True):
            assert list(scores.query_ids) == list(dataset.topics)
            wanted = by_hand(encoder, dataset, layer, normed=normed, weighted=pooling != "mean")
            np.testing.assert_allclose(scores.values["RR"], wanted)


def test_layers_are_turned_apart_from_the_last_and_the_last_is_the_encoder(beir, stories: str) -> None:
    encoder, dataset = load_encoder(stories), load_dataset(str(beir))
    texts = [doc.text for doc in dataset.docs()]
    norm = encoder.causal()[0].model.norm
    (x_FLND,) = module._blocks(encoder, norm, texts)
    own_ND = encoder.encode_document(texts)
    own_ND = own_ND / np.linalg.norm(own_ND, axis=1, keepdims=True)
    for form in x_FLND:
        np.testing.assert_allclose(form[-1], own_ND, atol=1e-5)
        assert all(np.abs(form[layer] - form[-1]).max() > 0.01 for layer in range(5))
    assert np.abs(x_FLND[0, :-1] - x_FLND[1, :-1]).max() > 0.001


def test_what_has_no_layers_to_read_is_said(beir, stories: str) -> None:
    dataset = load_dataset(str(beir))

    class Other:
        name = "st:other"

    with pytest.raises(RarityError, match="st:other: layers are read of a causal language model"):
        by_layer(Other(), dataset)
    with pytest.raises(RarityError, match="no module 'norm'"):
        by_layer(load_encoder(str(STORIES)), dataset, norm="norm")


def test_a_query_that_is_a_document_does_not_find_itself(beir, stories: str) -> None:
    from dataclasses import replace

    dataset = load_dataset(str(beir))
    texts = {doc.doc_id: doc.text for doc in dataset.docs()}
    own = replace(
        dataset,
        topics={"d1": texts["d1"], "d6": texts["d6"]},
        qrels={"d1": {"d1": 1}, "d6": {"d1": 1}},
        drops_query_document=True,
    )
    for pair in by_layer(load_encoder(stories), own, ["RR"]):
        assert [scores.values["RR"][0] for scores in pair] == [0.0, 0.0]
        assert all(scores.values["RR"][1] > 0 for scores in pair)
