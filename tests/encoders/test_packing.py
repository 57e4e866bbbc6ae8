"""Products by packed weights are the model's own, up to their last bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tiny import STORIES

from rarityir.encoders import load_encoder, packing

TEXTS = ["Once upon a time there was a cat.", "A dog", "", "The girl went to the park to play with her red ball. " * 6]

needs_onednn = pytest.mark.skipif(not packing.serves(), reason="this PyTorch has no oneDNN")


def plain(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(packing, "serves", lambda: False)
    return load_encoder(str(STORIES), device="cpu")


@needs_onednn
def test_packed_embeddings_are_the_models_own(monkeypatch):
    encoder = load_encoder(str(STORIES), device="cpu")
    found, states = encoder.encode_document(TEXTS), encoder.document_states(TEXTS)
    other = plain(monkeypatch)
    expected = other.encode_document(TEXTS)
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()
    for mine, theirs in zip(states, other.document_states(TEXTS), strict=True):
        assert np.abs(mine - theirs).max() < 1e-5 * np.abs(theirs).max()
    layers = [m for m in encoder._base.modules() if type(m) is torch.nn.Linear]
    assert layers
    assert all("forward" in vars(layer) for layer in layers), "a layer still multiplies as it did"
    assert not any("forward" in vars(m) for m in other._base.modules())


@needs_onednn
def test_a_layer_with_a_bias_and_the_head_are_as_they_were():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(7, 5), torch.nn.Linear(5, 3, bias=False))
    x_BTD = torch.randn(2, 4, 7)
    expected = model(x_BTD)
    head = model[1].weight
    packing.packed(model, model[1])
    with torch.inference_mode():
        assert torch.allclose(model(x_BTD), expected, atol=1e-6)
    assert model[1].weight is head
    assert "forward" not in vars(model[1])


@needs_onednn
def test_weights_are_held_once_and_counted_as_before(monkeypatch):
    encoder = load_encoder(str(STORIES), device="cpu")
    count = encoder.operations()
    assert encoder._base is not None
    assert encoder.operations() == count == plain(monkeypatch).operations()
    for layer in encoder._base.modules():
        if type(layer) is torch.nn.Linear:
            assert layer.weight.untyped_storage().nbytes() == 4
            assert layer.weight.device.type == "cpu"


def test_whoseproducts_they_are_is_part_of_the_identity(monkeypatch):
    said = load_encoder(str(STORIES), device="cpu").identity()
    assert ("products" in said) == packing.serves()
    assert "products" not in load_encoder(str(STORIES), device="cpu", dtype="bfloat16").identity()
    assert "products" not in load_encoder(str(STORIES), device="cpu", compile=True).identity()
    assert plain(monkeypatch).identity() == {name: value for name, value in said.items() if name != "products"}


def test_a_pytorch_that_lacks_them_or_has_them_wrong_is_left_alone(monkeypatch):
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert not packing.serves()
    monkeypatch.undo()
    for wrong in (lambda *_: lambda x: x[:, :6] + 1, lambda *_: (_ for _ in ()).throw(AttributeError("gone"))):
        monkeypatch.setattr(packing, "product", wrong)
        assert not packing.serves()
