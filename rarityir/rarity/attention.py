"""A first layer's query and key projections of input rows, read from the checkpoint without loading the model.

What stands before the projection is that layer's own norm, applied to the input row alone: no position is added (learned
positions are not part of a row) and none is turned in (the projections are before RoPE), and norms of single heads, which come
after the projection, are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rarityir import checkpoints
from rarityir.types import Floats, RarityError

_LAYERS = (
    "model.layers.0.", "transformer.h.0.", "h.0.", "gpt_neox.layers.0.", "model.decoder.layers.0.",
    "model.language_model.layers.0.", "layers.0.",
)  # fmt: skip
_NORMS = ("input_layernorm", "ln_1", "self_attn_layer_norm")
_APART = ("self_attn.{0}_proj", "attn.{0}_proj")
# Query and key in one matrix: GPT-2 keeps inputs as rows, GPT-NeoX turns from head to head, Phi-3 puts one behind the other.
_COLUMNS, _BY_HEAD, _STACKED = "attn.c_attn", "attention.query_key_value", "self_attn.qkv_proj"


@dataclass(frozen=True, eq=False)
class Projection:
    """The map of input rows x to W n(scale · x) + b: n is the first layer's norm, W (K, D) its query or key weight."""

    weight: Floats = field(repr=False)
    bias: Floats | None = field(repr=False)
    gain: Floats = field(repr=False)
    shift: Floats | None = field(repr=False)
    epsilon: float
    centres: bool
    scale: float = 1.0

    def __call__(self, x_BD: Floats) -> Floats:
        """Returns (B, K) float32."""
        x = x_BD * np.float32(self.scale)
        if self.centres:
            x = x - x.mean(axis=1, keepdims=True)
        x = x / np.sqrt((x**2).mean(axis=1, keepdims=True) + np.float32(self.epsilon)) * self.gain
        if self.shift is not None:
            x = x + self.shift
        found = x @ self.weight.T
        return np.asarray(found if self.bias is None else found + self.bias, np.float32)


def projection(model: str, which: str) -> Projection:
    """Returns a model's first query (`q`) or key (`k`) projection with the norm before it.

    Raises:
        RarityError: if the checkpoint has no first layer of a form that is known here.
    """
    config = checkpoints.config(model)
    kind = str(config.get("model_type", ""))
    parts = [*_NORMS, *(name.format(which) for name in _APART), _COLUMNS, _BY_HEAD, _STACKED]
    wanted = [f"{layer}{part}.{end}" for layer in _LAYERS for part in parts for end in ("weight", "bias")]
    found = checkpoints.tensors(model, wanted)
    layer = next((name for name in _LAYERS if any(key.startswith(name) for key in found)), "")
    own = {key.removeprefix(layer): tensor for key, tensor in found.items() if key.startswith(layer)}
    norm = next((name for name in _NORMS if f"{name}.weight" in own), None)
    if not layer or norm is None or config.get("do_layer_norm_before") is False:
        raise RarityError(f"{model}: no norm stands before its first attention, or none that is known; use input rows")
    weight, bias = _weights(model, own, which, config)
    gain, shift = own[f"{norm}.weight"], own.get(f"{norm}.bias")
    centres = shift is not None or checkpoints.centres(kind)
    named = ("layer_norm_epsilon", "layer_norm_eps") if centres else ("rms_norm_eps", "layer_norm_eps")
    epsilon = next((config[name] for name in (*named, "norm_eps") if config.get(name) is not None), 1e-5 if centres else 1e-6)
    scale = float(config["hidden_size"]) ** 0.5 if kind.startswith("gemma") else float(config.get("embedding_multiplier", 1.0))
    gain = gain + 1.0 if checkpoints.gains_from_one(kind) else gain
    return Projection(weight, bias, gain, shift, float(epsilon), centres, scale)


def _weights(model: str, own: Mapping[str, Floats], which: str, config: Mapping[str, Any]) -> tuple[Floats, Floats | None]:
    """The (K, D) weight and the (K,) bias of one projection, cut out where several share a matrix."""
    for name in (part.format(which) for part in _APART):
        if f"{name}.weight" in own:
            return own[f"{name}.weight"], own.get(f"{name}.bias")
    place = "qk".index(which)
    name = next((name for name in (_COLUMNS, _BY_HEAD, _STACKED) if f"{name}.weight" in own), "")
    if not name:
        raise RarityError(f"{model}: no query and key projections in its first layer, or none that are known; use input rows")
    weight, bias = own[f"{name}.weight"], own.get(f"{name}.bias")
    if name == _COLUMNS:
        weight = weight.T
    heads = int(config.get("num_attention_heads") or config.get("n_head") or 1)
    if name == _BY_HEAD:
        wide = len(weight) // (3 * heads)
        rows = (np.arange(heads)[:, None] * 3 * wide + place * wide + np.arange(wide)).ravel()
    elif name == _COLUMNS:
        rows = np.arange(len(weight) // 3) + place * (len(weight) // 3)
    else:
        grouped = int(config.get("num_key_value_heads") or heads)
        wide = len(weight) // (heads + 2 * grouped)
        rows = np.arange(heads * wide) if which == "q" else heads * wide + np.arange(grouped * wide)
    return np.ascontiguousarray(weight[rows]), None if bias is None else bias[rows]
