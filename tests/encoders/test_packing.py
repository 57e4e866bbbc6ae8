"""Products by packed weights are the model's own, up to their last bits."""

from __future__ import annotations

import shutil
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
    packing.packed(model, lambda: model(x_BTD), model[1])
    with torch.inference_mode():
        assert torch.allclose(model(x_BTD), expected, atol=1e-6)
    assert model[1].weight is head
    assert "forward" not in vars(model[1])


class Routed(torch.nn.Module):
    """Calls one layer, and takes another's weight by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.gate = torch.nn.Linear(4, 4), torch.nn.Linear(4, 3)

    def forward(self, x_BD):
        return self.first(x_BD) @ self.gate.weight.T + self.gate.bias


@needs_onednn
def test_a_layer_whose_weight_the_model_takes_by_itself_keeps_it():
    torch.manual_seed(0)
    model, x_BD = Routed(), torch.randn(5, 4)
    expected = model(x_BD)
    packing.packed(model, lambda: model(x_BD))
    assert "forward" in vars(model.first)
    assert torch.isnan(model.first.weight).all()  # whoever takes it all the same finds out
    with torch.inference_mode():
        assert torch.allclose(model(x_BD), expected, atol=1e-6)


@needs_onednn
def test_a_state_space_model_reads_as_it_does_without(tmp_path, monkeypatch):
    from transformers import MambaConfig, MambaForCausalLM

    torch.manual_seed(0)
    config = MambaConfig(vocab_size=512, hidden_size=16, num_hidden_layers=2, state_size=4, pad_token_id=0, eos_token_id=2)
    model = MambaForCausalLM(config)
    for matrix in (parameter for parameter in model.parameters() if parameter.ndim == 2):
        torch.nn.init.normal_(matrix, std=0.5)  # as it comes, the step hardly depends on the text
    model.save_pretrained(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(STORIES / name, tmp_path)
    found = load_encoder(str(tmp_path), device="cpu").encode_document(TEXTS)
    monkeypatch.setattr(packing, "serves", lambda: False)
    expected = load_encoder(str(tmp_path), device="cpu").encode_document(TEXTS)
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()


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
