"""One batch through a causal language model: padded, read, pooled; halved where it does not fit in memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from rarityir.encoders import files, packing
from rarityir.encoders.prompts import Templated
from rarityir.types import Floats, RarityError

R = TypeVar("R")
_FULL = ("can't allocate memory", "ALLOC_FAILED")  # what a plain RuntimeError says where memory is short


def fitting(sequences: Sequence[Templated], read: Callable[[Sequence[Templated]], R], name: str) -> list[R]:
    """Returns what `read` gives for the batch, or for its parts in order: a batch that does not fit in memory is halved.

    One part more stands for one halving. Raises `RarityError` where a single text does not fit.
    """
    try:
        return [read(sequences)]
    except (RuntimeError, MemoryError) as error:
        if not _out_of_memory(error):
            raise
    # Outside the handler: the error's traceback holds the tensors of the batch that failed.
    _free()
    if len(sequences) == 1:
        raise RarityError(
            f"{name}: one text of {len(sequences[0].ids)} tokens does not fit in memory; "
            "lower --max-length, or use --dtype bfloat16"
        )
    half = len(sequences) // 2
    return fitting(sequences[:half], read, name) + fitting(sequences[half:], read, name)


def states(model: Any, sequences: Sequence[Templated], layer: int | None = None) -> Any:
    """Returns the (B, T, D) states after the final norm, or after so many layers, on the model's device.

    Padding stands on the right, where no token of a causal model sees it: no mask is needed, and without one the fastest
    attention kernels serve.
    """
    import torch

    ids_BT = padded(model, [s.ids for s in sequences])
    with torch.inference_mode():
        ids_BT = _sent(ids_BT, model.device)
        if layer is None:
            return model(input_ids=ids_BT, use_cache=False).last_hidden_state
        return model(input_ids=ids_BT, use_cache=False, output_hidden_states=True).hidden_states[layer]


def padded(model: Any, token_ids: Sequence[Sequence[int]]) -> Any:
    """Returns texts' ids as a (B, T) tensor, 0 behind each text's end.

    Raises `RarityError` for an id beyond the model's matrix: torch would end there with an index, and lose a GPU.
    """
    import torch

    ids_BT = torch.zeros((len(token_ids), max(map(len, token_ids))), dtype=torch.long)
    for row, ids in enumerate(token_ids):
        ids_BT[row, : len(ids)] = torch.tensor(ids)
    rows, largest = model.get_input_embeddings().weight.shape[0], int(ids_BT.max())
    if largest >= rows:
        raise RarityError(
            f"{model.config.name_or_path}: its tokenizer gives a text the id {largest}, and its model has {rows} embeddings; "
            "take the model's own tokenizer files, or where tokens were added save the model with its embeddings resized"
        )
    return ids_BT


def pooled(states_BTD: Any, sequences: Sequence[Templated], weight_V: Any = None, *, weighted: bool) -> Any:
    """Returns the (B, D) float32 means over each sequence's span, weighted by position where asked, or by what tokens weigh.

    Where none of a span's tokens weighs anything, all weigh the same.
    """
    import torch

    weight_BT = torch.zeros(states_BTD.shape[:2])
    for row, s in enumerate(sequences):
        weight_BT[row, s.start : s.stop] = torch.arange(1.0, 1 + s.stop - s.start) if weighted else 1.0
        own_T = None if weight_V is None else weight_V[torch.tensor(s.ids[s.start : s.stop], dtype=torch.long)]
        if own_T is not None and bool(own_T.sum() > 0):
            weight_BT[row, s.start : s.stop] = own_T
    with torch.inference_mode():
        weight_BT = weight_BT / weight_BT.sum(1, keepdim=True)
        return torch.einsum("bt,btd->bd", _sent(weight_BT, states_BTD.device), states_BTD.float())


def _sent(x: Any, device: Any) -> Any:
    """A tensor of the CPU's on the model's device; to a GPU the copy runs beside the batch before, and nobody waits for it."""
    return x.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else x.to(device)


def array(found: Any, dtype: str, name: str) -> Floats:
    """Returns a tensor as an array; a value that is not finite is an error, never a zero."""
    import numpy as np

    values: Floats = found.cpu().numpy()
    if not np.isfinite(values).all():
        raise RarityError(f"{name} gave an embedding that is not finite in {dtype}; use --dtype float32 or bfloat16")
    return values


@contextmanager
def one_thread(device: str) -> Iterator[None]:
    """Runs a CPU's arithmetic in one thread: its sums then have one order, and it waits for no other thread."""
    import torch

    before = torch.get_num_threads()
    if device == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def check_device(device: str) -> None:
    """Raises `RarityError` unless torch can compute on a device, by its name; of a GPU that is there nothing is taken."""
    if device in ("auto", "cpu"):
        return
    import torch

    try:
        kind = torch.device(device)
    except RuntimeError:
        raise RarityError(
            f"device {device!r} cannot be used (torch knows none of that name); give cpu, cuda, cuda:1, mps or auto"
        ) from None
    try:
        if kind.type == "cuda" and torch.cuda.is_available():
            there = torch.cuda.device_count()
            reason = f"there are {there}, cuda:0 to cuda:{there - 1}" if (kind.index or 0) >= there else ""
        else:
            _ = torch.zeros(1, device=kind).cpu()
            reason = ""
    except (RuntimeError, AssertionError, ImportError) as error:  # by the kind of device that is not there
        reason = files.first_line(error)
    if reason:
        raise RarityError(f"device {device!r} cannot be used ({reason}); try --device cpu")


def matmul_rate(device: str, dtype: str) -> float:
    """Returns the floating-point operations a second of a square matmul here: the best of three."""
    import torch

    side = 1024 if device == "cpu" else 8192
    x = torch.ones((side, side), dtype=getattr(torch, dtype), device=device)
    packs = device == "cpu" and dtype == "float32" and packing.serves()  # as the encoder multiplies
    multiply = packing.product(x, None) if packs else x.matmul
    best = 0.0
    for _ in range(3):
        started = time.perf_counter()
        multiply(x)[0, 0].item()  # waits for the device
        best = max(best, 2 * side**3 / (time.perf_counter() - started))
    return best


def _out_of_memory(error: Exception) -> bool:
    import torch

    told = str(error)  # the CPU's allocator and cuBLAS have no class of their own
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(words in told for words in _FULL)


def _free() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def check_space(model: Any, name: str) -> None:
    """Raises unless head(last hidden state) ranks tokens as the logits do: the states are after the final norm."""
    import torch

    head = model.get_output_embeddings()
    if head is None:
        raise RarityError(f"{name} has no output head, so its embeddings cannot be read as tokens")
    ids = few(model)
    with torch.inference_mode():
        logits = model(input_ids=ids, use_cache=False).logits[0, -1].float()
        ours = head(model.base_model(input_ids=ids, use_cache=False).last_hidden_state)[0, -1].float()
    # A soft cap or a logit scale is monotone: the order of the logits must agree, not their size.
    best = ours.topk(8).indices
    if float((logits[best] - logits.topk(8).values).abs().max()) > 1e-2 * float(logits.abs().max()):
        raise RarityError(f"{name}: its last hidden state is not what its head multiplies; this architecture cannot be read")


def few(model: Any) -> Any:
    """A few tokens (1, T) that the model is tried on."""
    import torch

    return torch.arange(1, 9, device=model.device)[None] % model.config.get_text_config().vocab_size
