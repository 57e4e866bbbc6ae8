"""What filters are fitted on: an unembedding, how often tokens occur, and documents' embeddings, each read when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rarityir.counts import TokenCounts
from rarityir.filters.gram import gram
from rarityir.filters.spectrum import Spectrum, spectrum
from rarityir.filters.unembedding import AS_STORED, Reading, Unembedding
from rarityir.types import Floats, Json, RarityError

Vectors = NDArray[np.float64]


class Affine(NamedTuple):
    """The map x ↦ (x − mean) @ basis.T in float64, and what it says about how it was fitted."""

    basis: Vectors
    mean: Vectors | None
    facts: Mapping[str, Json]

    def __call__(self, x_BD: Vectors | Floats) -> Vectors:
        """Returns (B, K)."""
        return (x_BD if self.mean is None else x_BD - self.mean) @ self.basis.T

    def then(self, later: Affine) -> Affine:
        """Returns one map that does both: B₂(B₁(x − m₁) − m₂) = B₂B₁(x − m₁ − B₁⁺m₂)."""
        mean = self.mean
        if later.mean is not None:
            moved = np.linalg.pinv(self.basis) @ later.mean
            mean = moved if mean is None else mean + moved
        return Affine(later.basis @ self.basis, mean, {**self.facts, **later.facts})


Fit = Callable[["Source"], Affine]


@dataclass(frozen=True)
class Moments:
    """Documents' embeddings summed up: how many, their mean (D,) and covariance (D, D)."""

    count: int
    mean: Vectors
    covariance: Vectors


@dataclass(frozen=True, eq=False)
class Source:
    """What filters of one model may be fitted on. What is missing is an error only for the filter that needs it."""

    unembedding: Unembedding | None = None
    counts: Callable[[str], TokenCounts] | None = field(default=None, repr=False)
    documents: Callable[[], Iterator[Floats]] | None = field(default=None, repr=False)
    documents_facts: Mapping[str, Json] = field(default_factory=dict)
    cache: Path | None = None
    device: str = "cpu"
    before: Affine | None = field(default=None, repr=False)
    _spectra: dict[Reading, Spectrum] = field(default_factory=dict, repr=False)

    def after(self, earlier: Affine) -> Source:
        """Returns the same source in the coordinates that an earlier filter gives."""
        turned = self.unembedding.turned(np.linalg.pinv(earlier.basis)) if self.unembedding else None
        before = earlier if self.before is None else self.before.then(earlier)
        return replace(self, unembedding=turned, before=before, _spectra={})

    @property
    def matrix(self) -> Unembedding:
        """The unembedding; `RarityError` where there is none."""
        if self.unembedding is None:
            raise RarityError("this filter is fitted on an unembedding; give a model or its (V, D) matrix")
        return self.unembedding

    def spectrum(self, how: Reading = AS_STORED) -> Spectrum:
        """Returns the unembedding's spectrum, computed once for every reading of it."""
        if how not in self._spectra:
            self._spectra[how] = spectrum(self.matrix, self.cache, how, self.device)
        return self._spectra[how]

    def frequencies(self, table: str) -> TokenCounts:
        """Returns the token counts of a table: `english`, `corpus`, or a file of counts."""
        if table not in ("english", "corpus"):
            found = TokenCounts.load(table)
        elif self.counts is not None:
            found = self.counts(table)
        elif table == "english":
            found = TokenCounts.english(self.matrix.known("counts=english"), self.matrix.vocabulary)
        else:
            raise RarityError("counts=corpus needs documents; give a dataset, or a table of counts")
        if len(found.counts) != self.matrix.vocabulary:
            raise RarityError(
                f"the counts ({found.source}) are of {len(found.counts)} token ids, the unembedding has {self.matrix.vocabulary}"
            )
        if not np.ptp(found.counts):
            raise RarityError(f"the counts ({found.source}) are all equal, so they say nothing of how frequent a token is")
        return found

    @cached_property
    def moments(self) -> Moments:
        """Mean and covariance of the documents' embeddings, in two passes over them."""
        if self.documents is None:
            raise RarityError("this filter is fitted on documents' embeddings; give a dataset (--dataset) or embeddings")
        apply = self.before or (lambda x: x)
        count, total = 0, np.zeros(1)
        for block in self.documents():
            if block.ndim != 2 or (self.before is not None and block.shape[1] != self.before.basis.shape[1]):
                width = "D" if self.before is None else self.before.basis.shape[1]
                raise RarityError(f"embeddings to fit a filter on are (N, {width}) here; these have shape {block.shape}")
            y = np.asarray(apply(block), np.float64)
            count, total = count + len(y), total + y.sum(axis=0)
        if not count:
            raise RarityError("there are no embeddings to fit a filter on")
        mean = total / count
        if not np.isfinite(mean).all():
            raise RarityError("some embeddings are not finite; encode them again")
        covariance = gram((apply(block) for block in self.documents()), len(mean), mean, self.device) / count
        if not np.isfinite(covariance).all():
            raise RarityError("some embeddings are not finite; encode them again")
        return Moments(count, mean, covariance)

    def read_documents(self) -> dict[str, Json]:
        """Returns what a filter fitted on the documents says it was fitted on."""
        return {"documents": {"count": self.moments.count, **self.documents_facts}}

    def read_unembedding(self) -> dict[str, Json]:
        """Returns what a filter fitted on the unembedding says it was fitted on."""
        return {"unembedding_sha256": self.matrix.digest, "vocabulary": self.matrix.vocabulary}

    def read_counts(self, counts: TokenCounts) -> dict[str, Json]:
        """Returns what a filter fitted on token counts says it was fitted on."""
        return {"counts": {"source": counts.source, "tokens": counts.total, "sha256": counts.digest}}

    @property
    def width(self) -> int:
        """The width D of the embeddings to filter."""
        return self.matrix.width if self.unembedding is not None else len(self.moments.mean)
