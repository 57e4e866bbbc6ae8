"""Encoders turn texts into raw embeddings and give the unembedding that reads them."""

from __future__ import annotations

from rarityir import registry
from rarityir.encoders.batching import Execution
from rarityir.types import Encoder

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
    kind, colon, rest = name.partition(":")
    if not colon or kind not in registry.table("encoders"):
        kind, rest = "hf", name
    load = registry.resolve("encoders", kind)
    encoder: Encoder = load(
        rest,
        pooling=pooling,
        instruction=instruction,
        max_length=max_length,
        device=device,
        dtype=dtype,
        batch_tokens=batch_tokens,
        execution=Execution(workers, attention, compile, store_dtype),
    )
    return encoder
