"""Any sentence-transformers model as an encoder (extra `st`); its word-embedding table stands in as the unembedding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from rarityir import checkpoints
from rarityir.encoders import forward
from rarityir.encoders.batching import Execution
from rarityir.encoders.vocabulary import surface_forms
from rarityir.types import Floats, Json, MissingExtra, RarityError


def load(
    name: str,
    *,
    pooling: str | None,
    instruction: str,
    max_length: int | None,
    device: str,
    dtype: str,
    batch_tokens: int,
    execution: Execution,
) -> SentenceTransformerEncoder:
    """Returns the encoder of a hub id, path or packaged model (`st:all-minilm-l6-v2`); pooling is the model's own."""
    if pooling:
        raise RarityError(f"st:{name} brings its own pooling; leave --pooling out")
    if dtype not in ("auto", "float32"):
        raise RarityError(f"st:{name} is read in float32; leave --dtype out")
    if execution.attention != "auto" or execution.compile or execution.workers > 1:
        raise RarityError(f"st:{name} is run by sentence-transformers; leave --workers, --attention and --compile out")
    if max_length is not None and max_length < 1:
        raise RarityError(f"max_length is {max_length}; at least one token of a text must be read")
    model = checkpoints.located(name)
    tag = f"st:{Path(name).resolve().name if Path(name).is_dir() else name}"
    tag += f"?max_length={max_length}" if max_length is not None else ""
    batch = max(1, (batch_tokens or 16384) // 512)
    return SentenceTransformerEncoder(tag, model, instruction, max_length, device, batch, execution)


@dataclass(frozen=True)
class SentenceTransformerEncoder:
    """Embeds texts as the model does, without its final normalisation (a filter comes first)."""

    name: str
    model: str
    instruction: str = ""
    max_length: int | None = None
    device: str = "auto"
    batch: int = 32
    execution: Execution = field(default_factory=Execution)

    @property
    def dim(self) -> int:
        """The embeddings' width D."""
        return int(self._rows.shape[1])

    def identity(self) -> dict[str, Json]:
        """Returns what an embedding depends on."""
        return {
            **self._weights,
            "pooling": "sentence-transformers",
            "max_length": self.max_length,
            "dtype": "float32",
            "batch": self.batch,
        }

    def encode_document(self, texts: Sequence[str]) -> Floats:
        """Returns the (N, D) float32 embeddings of documents, not normalised."""
        return self._encode(texts, "document")

    def encode_query(self, texts: Sequence[str]) -> Floats:
        """Returns the (N, D) float32 embeddings of queries, not normalised."""
        return self._encode([f"{self.instruction} {t}" for t in texts] if self.instruction else texts, "query")

    def unembedding(self) -> Floats:
        """Returns the (V, D) word-embedding table, the stand-in for an output head."""
        return self._rows.array()

    def unembedding_bias(self) -> Floats | None:
        """Returns None: a word-embedding table has no bias."""
        return None

    def tokens(self) -> Sequence[str | None]:
        """Returns each row's surface form; None for special and padded rows."""
        return surface_forms(self._st.tokenizer, self._rows.shape[0])

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Returns each text's token ids, without special tokens and not cut."""
        ids: list[list[int]] = self._st.tokenizer(list(texts), add_special_tokens=False)["input_ids"]
        return ids

    @cached_property
    def _rows(self) -> checkpoints.Rows:
        return checkpoints.unembedding(self.model)

    @cached_property
    def _weights(self) -> dict[str, str]:
        return checkpoints.fingerprint(self.model)

    @cached_property
    def _st(self) -> Any:
        _ = self._weights  # before they are read: what is in the folder later is another model
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError:
            raise MissingExtra(f"{self.name} needs sentence-transformers: pip install 'rarityir[st]'") from None
        forward.check_device(self.device)
        try:
            model = SentenceTransformer(
                self.model, device=None if self.device == "auto" else self.device, trust_remote_code=False
            )
        except (OSError, ValueError, RuntimeError, AssertionError) as error:
            raise RarityError(f"{self.model} does not load as a sentence-transformer ({str(error).splitlines()[0]})") from None
        while type(model[-1]).__name__ == "Normalize":  # the filter comes first, then one normalisation
            del model[-1]
        if self.max_length:
            model.max_seq_length = self.max_length
        return model

    def _encode(self, texts: Sequence[str], kind: str) -> Floats:
        width = self.dim  # first: it says best what an unknown or half model lacks
        if not texts:
            return np.empty((0, width), np.float32)
        encode = self._st.encode_query if kind == "query" else self._st.encode_document
        x = encode(list(texts), batch_size=self.batch, show_progress_bar=False, convert_to_numpy=True)
        if not np.isfinite(x).all():
            raise RarityError(f"{self.name} gave an embedding that is not finite")
        return np.ascontiguousarray(x, dtype=np.float32)
