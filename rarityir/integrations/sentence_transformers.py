"""A filter as a layer of a sentence-transformer, and an encoder with its filter as a folder that loads without rarityir."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from rarityir import store
from rarityir.filters import EmbedFilter
from rarityir.integrations import exports, portable
from rarityir.integrations.model_card import model_card
from rarityir.types import Encoder, MissingExtra


def to_dense(filter: EmbedFilter) -> Any:
    """Returns the sentence-transformers `Dense` module D → K that is this filter; put it before `Normalize`.

    Raises `MissingExtra` without sentence-transformers.
    """
    import torch

    try:
        import sentence_transformers
    except ImportError:
        raise MissingExtra("to_dense needs sentence-transformers: pip install 'rarityir[st]'") from None
    try:
        from sentence_transformers.base.modules import Dense
    except ImportError:  # before release 6
        Dense = sentence_transformers.models.Dense
    kept, width = filter.basis.shape
    bias = None if filter.mean is None else torch.from_numpy(filter.bias)
    weight = torch.from_numpy(np.array(filter.basis))
    return Dense(width, kept, bias=bias is not None, activation_function=None, init_weight=weight, init_bias=bias)


def export(encoder: Encoder, filter: EmbedFilter, out: str | Path) -> Path:
    """Writes a folder that `SentenceTransformer(out)` loads: the encoder, the filter as its `Dense`, normalisation.

    A causal LM is written with the template of its pooling inside its tokenizer; `last`, `prompteol` and `mean` can be
    expressed, another pooling is a `RarityError`. Texts are cut as by the encoder, but with `prompteol` they are read as
    far as the model's positions go: cut inside its template, a text would lose the mark that closes it. A
    sentence-transformer keeps its modules and gets the filter before its normalisation. The encoder's instruction becomes
    the prompt `query`.
    """
    exports.check(encoder, filter)
    with exports.folder(Path(out), "sentence-transformers", encoder, filter) as folder:
        modules = portable.written(encoder, folder)
        modules.append(portable.dense(filter, folder, f"{len(modules)}_Dense"))
        modules.append(portable.module("Normalize", f"{len(modules)}_Normalize"))
        store.write_json(folder / "modules.json", [{**m, "idx": i, "name": str(i)} for i, m in enumerate(modules)])
        store.write_text(folder / "README.md", model_card(encoder, filter))
    return Path(out)
