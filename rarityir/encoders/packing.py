"""A CPU's matrix products by oneDNN, with weights laid out for it once.

PyTorch multiplies float32 matrices by MKL, which leaves half and more of the vector units of AMD's processors idle (100 of 240
GFLOP/s a core measured on a Zen 5); oneDNN, which PyTorch brings too, is as fast on all. Sums are taken in another order, so
embeddings differ in their last bits, and an encoder's identity says which it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

ROWS = 1024  # of a product that the layout is chosen for: a CPU's batch


def serves() -> bool:
    """Returns whether this PyTorch has oneDNN's packed products, and they are right."""
    import torch

    if not torch.backends.mkldnn.is_available():
        return False
    weight_KD = torch.arange(96.0).reshape(6, 16) / 96
    x_BD = torch.arange(64.0).reshape(4, 16) / 64
    try:
        with torch.inference_mode():
            found_BK = product(weight_KD, None)(x_BD)
    except (RuntimeError, AttributeError, TypeError):  # PyTorch promises nothing of how these are called
        return False
    return bool(torch.allclose(found_BK, x_BD @ weight_KD.T, rtol=1e-5))


def packed(model: Any, head: Any = None) -> Any:
    """Makes every linear layer of a float32 model on the CPU, but its head, multiply by its packed weight; returns the model.

    The weights themselves are given up, so that memory holds them once: zeros of their shape, which take no memory, remain.
    """
    import torch

    for layer in model.modules():
        if type(layer) is torch.nn.Linear and layer is not head and layer.weight.dtype == torch.float32:
            layer.forward = product(layer.weight.detach(), None if layer.bias is None else layer.bias.detach())
            layer.weight = torch.nn.Parameter(torch.zeros(1, 1).expand(layer.weight.shape), requires_grad=False)
    return model


def product(weight_KD: Any, bias_K: Any) -> Callable[[Any], Any]:
    """Returns what multiplies (…, D) float32 rows by a (K, D) weight, laid out once, and adds a (K,) bias or None."""
    import torch

    multiply = torch.ops.mkldnn._linear_pointwise
    laid_out = torch.ops.mkldnn._reorder_linear_weight(weight_KD.contiguous(), ROWS)
    return lambda x_BTD: multiply(x_BTD, laid_out, bias_K, "none", [], "")
