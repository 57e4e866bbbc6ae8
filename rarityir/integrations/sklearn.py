"""A filter as a scikit-learn transformer, for pipelines and searches over parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from rarityir.filters import EmbedFilter, Source, Unembedding


class EmbedFilterTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Maps raw embeddings (N, D) to the filter's (N, K) coordinates, not normalised.

    Args:
        filter: a name such as `edge:2` or `pca:64`, an `EmbedFilter`, or the folder of a saved one.
        model: short name, hub id or path whose unembedding a name is fitted on; not needed where documents are enough
            (`center`, `abtt`, `pca`, `whiten`) or nothing is (`truncate`, `randproj`).

    After `fit`, `filter_` is the `EmbedFilter`. Float32 and float64 keep their type.
    """

    def __init__(self, filter: str | Path | EmbedFilter = "center", model: str | Path | None = None) -> None:
        self.filter = filter
        self.model = model

    def fit(self, X: Any, y: Any = None) -> EmbedFilterTransformer:
        """Fits the filter, on the (N, D) embeddings X where it is fitted on documents; y is not used.

        A filter that needs a model where none is given is a `RarityError`; embeddings of another width than the filter's
        are a `ValueError`, as scikit-learn has it.
        """
        x_ND = validate_data(self, X, dtype=[np.float64, np.float32])
        self.filter_ = self._fitted(x_ND)
        if self.filter_.basis.shape[1] != x_ND.shape[1]:
            raise ValueError(
                f"filter {self.filter_.name} was fitted on width {self.filter_.basis.shape[1]}, X has {x_ND.shape[1]} features"
            )
        self._n_features_out = len(self.filter_.basis)  # what names the features that come out
        return self

    def transform(self, X: Any) -> NDArray[np.floating[Any]]:
        """Returns (X − mean) @ basis.T, (N, K), in X's own type."""
        check_is_fitted(self)
        x_ND = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        found = self.filter_
        centred = x_ND if found.mean is None else x_ND - found.mean.astype(x_ND.dtype)
        return np.asarray(centred @ found.basis.T.astype(x_ND.dtype))

    def _fitted(self, x_ND: NDArray[np.floating[Any]]) -> EmbedFilter:
        if isinstance(self.filter, EmbedFilter):
            return self.filter
        if isinstance(self.filter, Path) or (Path(self.filter) / "filter.json").is_file():
            return EmbedFilter.load(self.filter)
        unembedding = None if self.model is None else Unembedding.of(self.model)
        source = Source(unembedding, documents=lambda: iter([x_ND]))
        return EmbedFilter.fit(source, self.filter)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
