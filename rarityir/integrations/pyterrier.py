"""A filter as a PyTerrier transformer: `encoder >> EmbedFilterTransformer(filter) >> index` (extra `pyterrier`)."""

from __future__ import annotations

from typing import Any

import numpy as np

from rarityir.retrieval import normalised
from rarityir.types import Filter, MissingExtra

try:
    import pyterrier as pt
except ImportError:
    raise MissingExtra("rarityir.integrations.pyterrier needs PyTerrier: pip install 'rarityir[pyterrier]'") from None

VECTORS = ("query_vec", "doc_vec")


class EmbedFilterTransformer(pt.Transformer):  # type: ignore[misc]
    """Filters the columns `query_vec` and `doc_vec`, whichever a frame has, from (D,) to (K,) float32 vectors.

    The vectors come out with unit length, so that the default dot product of dense indexes is the cosine; `normalise=False`
    leaves their length. Put the same filter before the index and before the retriever. Vectors of another width than the
    filter's are a `RarityError`; a frame with neither column is PyTerrier's own `InputValidationError`.
    """

    def __init__(self, filter: Filter, *, normalise: bool = True) -> None:
        self.filter = filter
        self.normalise = normalise

    def transform(self, inp: Any) -> Any:
        """Returns the data frame with its vectors filtered."""
        columns = self._present(inp)
        return inp.assign(**{column: self._filtered(inp[column]) for column in columns}) if len(inp) else inp

    def transform_inputs(self) -> list[list[str]]:
        """Returns the columns of which one is needed; PyTerrier validates pipelines with them."""
        return [[column] for column in VECTORS]

    def transform_outputs(self, input_columns: list[str]) -> list[str]:
        """Returns the same columns: none is added or taken away."""
        self._present(input_columns)
        return input_columns

    def _present(self, columns: Any) -> list[str]:
        with pt.validate.any(columns) as found:
            for column in VECTORS:
                found.columns(includes=[column])
        return [column for column in VECTORS if column in columns]

    def _filtered(self, vectors: Any) -> list[Any]:
        x_BK = self.filter(np.stack(list(vectors)))
        return list(normalised(x_BK) if self.normalise else x_BK)
