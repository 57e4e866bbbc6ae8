"""The README that travels with a saved filter: what it is, what it was fitted on, how to use it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rarityir.filters.embed_filter import EmbedFilter

_CARD = """\
---
library_name: rarityir
tags: [rarityir, embeddings, retrieval]
---

# {name}

A linear map of embeddings from {width} to {kept} coordinates: `(x - mean) @ basis.T`, in float32.{mean}

```python
from rarityir import EmbedFilter

smaller = EmbedFilter.load("path/to/this/folder")(embeddings)  # (N, {width}) to (N, {kept}); normalise afterwards
```

`model.safetensors` holds `basis`{also}; any library that reads safetensors can apply it. Only for raw embeddings of the model
below, before normalisation; with those of another model it means nothing.

Fitted on:

```json
{facts}
```
"""


def readme(found: EmbedFilter) -> str:
    """Returns the card of a filter in Markdown."""
    kept, width = found.basis.shape
    return _CARD.format(
        name=found.name,
        width=width,
        kept=kept,
        mean="" if found.mean is not None else " This filter has no mean.",
        also=" and `mean`" if found.mean is not None else "",
        facts=json.dumps(found.fitted_on, indent=1, sort_keys=True, ensure_ascii=False),
    )
