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


def packed(model: Any, run: Callable[[], Any], head: Any = None) -> Any:
    """Makes the linear layers of a float32 model on the CPU multiply by their packed weights; returns the model.

    Those are packed that `run` calls, but for the head: a layer whose weight the model takes by itself, as Mamba its step's
    and LongCat its router's, stays as it is. The weights themselves are given up, so that memory holds them once: NaN of
    their shape, which take no memory, remain, so that a model that takes one all the same gives no embedding.
    """
    import torch

    for layer in _called(model, run):
        if layer is not head and layer.weight.dtype == torch.float32:
            layer.forward = product(layer.weight.detach(), None if layer.bias is None else layer.bias.detach())
            layer.weight = torch.nn.Parameter(torch.full((1, 1), torch.nan).expand(layer.weight.shape), requires_grad=False)
    return model


def _called(model: Any, run: Callable[[], Any]) -> list[Any]:
    """The linear layers that are called while `run` does its work."""
    import torch

    found: dict[Any, None] = {}
    layers = [layer for layer in model.modules() if type(layer) is torch.nn.Linear]
    hooks = [layer.register_forward_hook(lambda layer, *_: found.setdefault(layer)) for layer in layers]
    try:
        with torch.inference_mode():
            run()
    finally:
        for hook in hooks:
            hook.remove()
    return list(found)


def product(weight_KD: Any, bias_K: Any) -> Callable[[Any], Any]:
    """Returns what multiplies (…, D) float32 rows by a (K, D) weight, laid out once, and adds a (K,) bias or None."""
    import torch

    multiply = torch.ops.mkldnn._linear_pointwise
    laid_out = torch.ops.mkldnn._reorder_linear_weight(weight_KD.contiguous(), ROWS)
    return lambda x_BTD: multiply(x_BTD, laid_out, bias_K, "none", [], "")
