"""A filter as a `torch.nn.Linear`, alone or folded into the linear layer that stands before it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rarityir import checkpoints
from rarityir.filters import EmbedFilter
from rarityir.integrations import exports
from rarityir.types import Encoder, RarityError

if TYPE_CHECKING:
    import torch

WEIGHTS = "linear.safetensors"


def linear(filter: EmbedFilter) -> torch.nn.Linear:
    """Returns the layer D → K in float32 that is this filter; it has a bias only if the filter has a mean."""
    bias = None if filter.mean is None else filter.bias
    return _layer(filter.basis, bias)


def fold_into(filter: EmbedFilter, linear: torch.nn.Linear) -> torch.nn.Linear:
    """Returns one layer that does both: W' = A W, b' = A b − A mean, multiplied in float64.

    It has `linear`'s type and device, and a bias if `linear` or the filter has one; `linear` stays as it is. Raises
    `RarityError` if `linear` gives another width than the filter takes.
    """
    width = filter.basis.shape[1]
    if linear.out_features != width:
        raise RarityError(f"filter {filter.name} was fitted on width {width}, this layer gives {linear.out_features}")
    basis = filter.basis.astype(np.float64)
    weight = basis @ linear.weight.detach().double().cpu().numpy()
    bias = None
    if linear.bias is not None or filter.mean is not None:
        bias = filter.bias.astype(np.float64)
        if linear.bias is not None:
            bias = bias + basis @ linear.bias.detach().double().cpu().numpy()
    return _layer(weight, bias).to(device=linear.weight.device, dtype=linear.weight.dtype)


def export(encoder: Encoder, filter: EmbedFilter, out: str | Path) -> Path:
    """Writes `linear.safetensors` with `weight` (K, D) and, for a filter with a mean, `bias` (K,), both float32."""
    exports.check(encoder, filter)
    with exports.folder(Path(out), "pytorch", encoder, filter) as folder:
        tensors = {"weight": filter.basis} if filter.mean is None else {"weight": filter.basis, "bias": filter.bias}
        checkpoints.write_tensors(folder / WEIGHTS, tensors)
    return Path(out)


def _layer(weight_KD: np.ndarray, bias_K: np.ndarray | None) -> torch.nn.Linear:
    import torch

    kept, width = weight_KD.shape
    layer = torch.nn.Linear(width, kept, bias=bias_K is not None)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weight_KD))
        if bias_K is not None:
            layer.bias.copy_(torch.from_numpy(bias_K))
    return layer
