"""The README of an exported sentence-transformer: what it is, how to load it, what to mind."""

from __future__ import annotations

from rarityir.encoders.hf import HFEncoder
from rarityir.filters import EmbedFilter
from rarityir.types import Encoder

_CARD = """\
---
library_name: sentence-transformers
pipeline_tag: sentence-similarity
tags: [sentence-transformers, feature-extraction, rarityir]
---

# {name} + {filter}

{name} with the filter `{filter}` as its last linear layer: {width} coordinates become {kept}, then unit length.

```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("path/to/this/folder")
documents = model.encode_document(["..."])
queries = model.encode_query(["..."])
scores = model.similarity(queries, documents)
```

All modules are standard ones of sentence-transformers; no other code is needed.{notes}
What the filter was fitted on, and how texts are read, is in `export.json`.
"""
_TEMPLATE = (
    " What is written around a text is in `tokenizer.json`: copy the folder as it is, as a library that builds the tokenizer "
    "anew, or saves it again, may leave that out, and then gives other embeddings."
)
_NOTES = {
    "last": _TEMPLATE,
    "mean": f"{_TEMPLATE} The mean leaves out the token that begins a text, by the module `WordWeights`.",
    "prompteol": f"{_TEMPLATE} Texts are read as far as the model's positions go; cut there, one loses the closing mark.",
}


def model_card(encoder: Encoder, filter: EmbedFilter) -> str:
    """Returns the README in Markdown."""
    kept, width = filter.basis.shape
    notes = _NOTES.get(encoder.pooling, "") if isinstance(encoder, HFEncoder) else " The base model's card is `README.base.md`."
    return _CARD.format(name=encoder.name.partition("?")[0], filter=filter.name, width=width, kept=kept, notes=notes)
