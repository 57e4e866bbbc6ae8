"""Encoders turn texts into raw embeddings and give the unembedding that reads them."""

from __future__ import annotations

import inspect
from typing import Any

from rarityir import registry
from rarityir.encoders.batching import Execution
from rarityir.types import Encoder, RarityError

__all__ = ["load_encoder"]


def load_encoder(
    name: str,
    *,
    pooling: str | None = None,
    instruction: str = "",
    max_length: int | None = None,
    device: str = "auto",
    dtype: str = "auto",
    batch_tokens: int = 0,
    workers: int = 0,
    attention: str = "auto",
    compile: bool = False,
    store_dtype: str = "float32",
) -> Encoder:
    """Returns the encoder of a short name (`demo`), a hub id or a local path; `st:` before it loads a sentence-transformer.

    Args:
        pooling: `mean`, `weighted-mean`, `last`, `prompteol`, `echo`, or `weighted:FOLDER`, by what tokens weigh (the short
            name's own, else `mean`).
        instruction: text put before every query, documents are left alone.
        max_length: tokens of a text that are read (the rest is cut before any template is filled).
        device: `cpu`, `cuda`, `cuda:1`, `mps`, or `auto` for the best there is.
        dtype: `float32`, `bfloat16`, `float16`, or `auto` (float32 on a CPU, bfloat16 on a GPU).
        batch_tokens: tokens in one forward pass, padding included; 0 for what suits the device.
        workers: processes that read a corpus, 0 for one a core or GPU; they change no byte.
        attention: `sdpa`, `eager` or `flash_attention_2`, as transformers names them; `auto` leaves it to the model.
        compile: whether torch compiles the model, which pays for large corpora.
        store_dtype: in what a corpus's embeddings are kept, `float32` or `float16`.
    """
    if batch_tokens < 0:
        raise RarityError(f"batch_tokens is {batch_tokens}; give the tokens of one forward pass, or 0 for what suits the device")
    kind, colon, rest = name.partition(":")
    if not colon or kind not in registry.table("encoders"):
        kind, rest = "hf", name
    load = registry.resolve("encoders", kind)
    encoder = load(
        rest,
        pooling=pooling,
        instruction=instruction,
        max_length=max_length,
        device=device,
        dtype=dtype,
        batch_tokens=batch_tokens,
        execution=Execution(workers, attention, compile, store_dtype),
    )
    return _whole(encoder, f"{kind}:{rest}")


_METHODS = ("identity", "encode_document", "encode_query", "unembedding", "unembedding_bias", "tokens", "tokenize")


def _whole(encoder: Any, name: str) -> Encoder:
    """An encoder, once it is known to have all that `Encoder` says: one of another package may lack a part."""
    lacking = [attribute for attribute in ("name", "model", "dim") if not _has(encoder, attribute)]
    lacking += [f"{method}()" for method in _METHODS if not callable(getattr(encoder, method, None))]
    if lacking:
        raise RarityError(f"encoder {name} lacks {', '.join(lacking)}; add what Encoder in rarityir/types.py says it must have")
    found: Encoder = encoder
    return found


def _has(encoder: Any, attribute: str) -> bool:
    """Whether there is an attribute; a property is not asked, as it may read a model for the answer."""
    unknown = object()
    return inspect.getattr_static(encoder, attribute, unknown) is not unknown or (
        inspect.getattr_static(type(encoder), "__getattr__", None) is not None and hasattr(encoder, attribute)
    )
