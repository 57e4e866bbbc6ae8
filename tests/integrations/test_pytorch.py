"""The filter as a torch layer, alone and folded into the layer before it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import rarityir as ri
from rarityir.integrations.pytorch import WEIGHTS, export, fold_into, linear
from rarityir.retrieval import normalised
from rarityir.types import RarityError


def applied(layer: torch.nn.Module, x: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return layer(torch.from_numpy(x)).numpy()


def test_the_layer_ranks_as_rarityir_does(contract) -> None:
    layer = linear(contract.filter)
    documents = normalised(applied(layer, contract.documents_ND))
    contract.check_scores(normalised(applied(layer, contract.queries_QD)) @ documents.T)
    assert (layer.bias is None) == (contract.filter.mean is None)


def test_folding_is_the_layer_and_then_the_filter(contract) -> None:
    torch.manual_seed(3)
    for bias in (True, False):
        before = torch.nn.Linear(40, 256, bias=bias)
        weight = before.weight.detach().clone()
        x = np.random.default_rng(0).standard_normal((5, 40), np.float32)
        folded = fold_into(contract.filter, before)
        np.testing.assert_allclose(applied(folded, x), contract.filter(applied(before, x)), atol=1e-5)
        assert (folded.bias is None) == (not bias and contract.filter.mean is None)
        assert torch.equal(before.weight, weight)


def test_a_folded_layer_keeps_its_type(contract) -> None:
    assert fold_into(contract.filter, torch.nn.Linear(8, 256).double()).weight.dtype == torch.float64


def test_a_layer_of_another_width_is_an_error(contract) -> None:
    with pytest.raises(RarityError, match="fitted on width 256, this layer gives 255"):
        fold_into(contract.filter, torch.nn.Linear(8, 255))


def test_the_exported_weights_load_into_a_plain_layer(contract, tmp_path) -> None:
    state = load_file(export(contract.encoder, contract.filter, tmp_path / "out") / WEIGHTS)
    layer = torch.nn.Linear(256, 128, bias="bias" in state)
    layer.load_state_dict(state)
    np.testing.assert_allclose(applied(layer, contract.queries_QD), contract.filter(contract.queries_QD), atol=1e-5)


def test_a_filter_of_another_model_is_refused_and_nothing_is_written(contract, stories, tmp_path) -> None:
    other = ri.EmbedFilter.fit(stories, "edge:2", cache=tmp_path / "spectra")
    with pytest.raises(RarityError, match=r"stories260K.*demo"):
        export(contract.encoder, other, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_filter_of_another_width_is_refused(contract, tmp_path) -> None:
    narrow = ri.EmbedFilter("cut", contract.filter.basis[:, :64])
    with pytest.raises(RarityError, match=r"width 64.*gives 256"):
        export(contract.encoder, narrow, tmp_path / "out")
