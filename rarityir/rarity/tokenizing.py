"""What turns texts into token ids: a model's tokenizer by name, a tokenizer object, or any function of texts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rarityir import checkpoints
from rarityir.counts import readable, tokenizer_of
from rarityir.types import Json, RarityError

Encode = Callable[[Sequence[str]], Sequence[Sequence[int]]]


@dataclass(frozen=True)
class Tokenizing:
    """A function from texts to their token ids, the V ids it has (0: as many as are seen), and what makes it this one."""

    encode: Encode
    vocabulary: int
    name: str
    identity: Mapping[str, Json]
    backend: Any = None  # the `tokenizers` object where there is one

    @classmethod
    def of(cls, tokenizer: Any) -> Tokenizing:
        """Returns what tokenises as a short name, hub id or folder says, as a tokenizer object does, or as a function does.

        An object is one of `tokenizers`, or a fast one of transformers. Nothing is cut, and nothing is put before a text.
        Raises `RarityError` for what is none of these.
        """
        if isinstance(tokenizer, str | Path):
            return cls._backed(tokenizer_of(str(tokenizer)), checkpoints.called(str(tokenizer)))
        backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
        if hasattr(backend, "encode_batch_fast"):
            copy = type(backend).from_str(backend.to_str())  # the caller's own may cut and pad
            copy.no_truncation()
            copy.no_padding()
            name = str(getattr(tokenizer, "name_or_path", ""))
            return cls._backed(copy, checkpoints.called(name) if name else "a tokenizer")
        if callable(tokenizer):
            name = str(getattr(tokenizer, "__qualname__", type(tokenizer).__qualname__))
            identity = getattr(getattr(tokenizer, "__self__", None), "identity", None)
            if identity is not None:  # an encoder's own function is told by what the encoder is
                return cls(tokenizer, 0, name, {"tokenizer": _digest(json.dumps(identity(), sort_keys=True))})
            return cls(tokenizer, 0, name, {"tokenizer": f"function {name}"})
        raise RarityError(f"a {type(tokenizer).__name__} is no tokenizer; give a model's name, or a function of a list of texts")

    @classmethod
    def _backed(cls, backend: Any, name: str) -> Tokenizing:
        def encode(texts: Sequence[str]) -> list[list[int]]:
            with readable(name):
                return [found.ids for found in backend.encode_batch_fast(list(texts), add_special_tokens=False)]

        vocabulary = 1 + max(backend.get_vocab(with_added_tokens=True).values(), default=-1)
        return cls(encode, vocabulary, name, {"tokenizer": _digest(backend.to_str())}, backend)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
