"""Fits axes: white rows, turned by FastICA, signs and order made the same every time (by the rows that were searched on)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rarityir.ica.axes import Axes
from rarityir.ica.diagnostics import Diagnostics, agreement, moments
from rarityir.ica.rotation import rotate
from rarityir.ica.whitening import Whitening, blocks, checked, unweighted, whiten
from rarityir.types import Json, RarityError

Vectors = NDArray[np.float64]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ICA:
    """How axes are fitted.

    Args:
        n_components: how many; all directions in which the rows vary where it is None. Fewer keeps the strongest principal ones.
        max_iter: iterations of the search at most.
        tol: how little an axis turns in one when the search ends.
        seed: where it begins, and which rows are drawn.
        seeds: searches altogether; of two or more the diagnostics tell how well they agree.
        sample: rows that the rotation is searched on, drawn without replacement; 0 is all of them. Mean and covariance, which
            make the coordinates white, are of all rows; signs, order and diagnostics (skewness among them) of the sample.
    """

    n_components: int | None = None
    max_iter: int = 10_000
    tol: float = 1e-10
    seed: int = 0
    seeds: int = 1
    sample: int = 0

    def fit(self, X: NDArray[Any], weights: Any = None, facts: Mapping[str, Json] | None = None) -> Axes:
        """Returns the axes of rows X (N, D); weighted rows count as if they stood there that often.

        Raises:
            RarityError: where there are fewer rows or directions than axes, or entries are not finite.
        """
        x_ND, weights_N = checked(X, weights)
        self._check()
        white = whiten(blocks(x_ND, weights_N), self.n_components)
        drawn = self._drawn(np.arange(len(x_ND)) if weights_N is None else np.flatnonzero(weights_N))
        share_N = None if weights_N is None else weights_N[drawn]
        return self._turned(white, np.asarray(x_ND[drawn], np.float64), share_N, facts)

    def stream(self, read: Callable[[], Iterable[NDArray[Any]]], facts: Mapping[str, Json] | None = None) -> Axes:
        """Returns the axes of rows that come in blocks, read twice; only the sample is held."""
        self._check()
        white = whiten(unweighted(read()), self.n_components)
        drawn, first, parts = self._drawn(np.arange(white.rows)), 0, []
        for block in read():
            inside = drawn[(drawn >= first) & (drawn < first + len(block))] - first
            first += len(block)
            parts.append(np.asarray(block[inside], np.float64))
        return self._turned(white, np.concatenate(parts), None, facts)

    def _check(self) -> None:
        if (self.n_components is not None and self.n_components < 1) or self.seeds < 1 or self.max_iter < 1 or self.sample < 0:
            raise RarityError(f"{self}: components, seeds and iterations are from 1 on, the sample from 0 on")

    def _turned(self, white: Whitening, x_ND: Vectors, share_N: Vectors | None, facts: Mapping[str, Json] | None) -> Axes:
        """The axes of white rows, from the rows that were drawn."""
        z_NK = (x_ND - white.mean) @ white.down.T
        searches = [rotate(z_NK, share_N, seed=self.seed + i, max_iter=self.max_iter, tol=self.tol) for i in range(self.seeds)]
        first = searches[0]
        skew, kurtosis, cosh, exp = moments(z_NK @ first.matrix.T, share_N)
        order = np.argsort(-np.abs(skew), kind="stable")
        matrix_KK = np.ascontiguousarray((first.matrix * np.where(skew < 0, -1.0, 1.0)[:, None])[order])
        stability = None
        if self.seeds > 1:
            stability = np.mean([agreement(matrix_KK, other.matrix) for other in searches[1:]], axis=0)
        diagnostics = Diagnostics(
            white.rows,
            len(z_NK),
            first.n_iter,
            first.converged,
            first.orth_error,
            self.seed,
            self.seeds,
            float(white.variances.sum() / white.total),
            np.abs(skew)[order],
            kurtosis[order],
            cosh[order],
            exp[order],
            stability,
        )
        for flag in diagnostics.flags:
            log.warning("ica: %s", flag)
        return Axes(white.mean, matrix_KK @ white.down, matrix_KK @ white.up, diagnostics, dict(facts or {}))

    def _drawn(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows the rotation is searched on, in rising order."""
        if not 0 < self.sample < len(rows):
            return rows
        return np.sort(np.random.default_rng(self.seed).choice(rows, self.sample, replace=False))
