"""Variants of a matrix: what is taken off its rows before their neighbours are sought, and what only looks like them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rarityir import registry
from rarityir.geometry.families import RANK, seeded
from rarityir.geometry.rows import ENTRIES, Mask, Vectors, matrix, moments, principal
from rarityir.rarity.subspaces import split
from rarityir.types import RarityError, UnknownName

VARIANTS = {
    "raw": "the rows as they are stored",
    "centred": "less their mean",
    "zipf": "less their mean weighted by how often each token occurs",
    "whitened": "less their mean, every principal axis at one variance",
    "filtered": "what a filter keeps of them",
    "shuffled": "each column in an order of its own: the same entries, no token",
    "gaussian": "normal rows with exactly the rows' mean and covariance: no token",
}
NULLS = ("shuffled", "gaussian")  # rows that are no token's any more


@dataclass(frozen=True, eq=False)
class Variant:
    """Rows (V, D) of a variant, and the (D, D) map that takes vectors of the stored space into its space (None: as they are)."""

    name: str
    rows: NDArray[Any] = field(repr=False)
    turn: Vectors | None = field(default=None, repr=False)

    def turned(self, vectors_MD: NDArray[Any]) -> Vectors:
        """Returns vectors of the stored space in this variant's space."""
        x_MD = np.asarray(vectors_MD, np.float64)
        return x_MD if self.turn is None else x_MD @ self.turn


def variant(
    rows_VD: NDArray[Any],
    name: str,
    *,
    allowed: Mask | None = None,
    counts: NDArray[Any] | None = None,
    basis: NDArray[Any] | None = None,
    seed: int = 0,
) -> Variant:
    """Returns a variant of (V, D) rows.

    Args:
        name: one of `VARIANTS`.
        allowed: (V,) the rows that moments are taken of, and that are shuffled (default: all).
        counts: (V,) occurrences of the tokens, for `zipf` (Zipfian whitening, NeurIPS 2024, takes moments so).
        basis: (K, D) of a filter, for `filtered`.

    Raises:
        RarityError: if the name is unknown, or what it needs is not given.
    """
    x_VD = matrix(rows_VD)
    check(name)
    if name == "raw":
        return Variant(name, x_VD)
    if name == "filtered":
        if basis is None or np.shape(basis)[1:] != x_VD.shape[1:]:
            raise RarityError(f"variant 'filtered' needs a filter's basis of shape (K, {x_VD.shape[1]}); fit one on this model")
        kept = split(basis).kept
        turn = kept.T @ kept
        return Variant(name, _mapped(x_VD, np.zeros(x_VD.shape[1]), turn), turn)
    if name == "shuffled":
        return Variant(name, _shuffled(x_VD, allowed, seeded(seed, name)))
    if name == "zipf":
        if counts is None or np.shape(counts) != (len(x_VD),):
            raise RarityError(f"variant 'zipf' needs how often each of the {len(x_VD)} tokens occurs; give counts")
        return Variant(name, _mapped(x_VD, moments(x_VD, allowed, np.asarray(counts, np.float64)).mean, None))
    found = moments(x_VD, allowed)
    if name == "centred":
        return Variant(name, _mapped(x_VD, found.mean, None))
    values, axes_DD = principal(found)
    if name == "whitened":
        real = values > values[0] * RANK
        turn = (axes_DD.T * np.where(real, 1 / np.sqrt(np.where(real, values, 1.0)), 0.0)) @ axes_DD
        return Variant(name, _mapped(x_VD, found.mean, turn), turn)
    return Variant(name, _gaussian(x_VD, allowed, found.mean, values, axes_DD, seeded(seed, name)))


def check(name: str) -> None:
    """Raises `UnknownName` unless there is such a variant."""
    if name not in VARIANTS:
        raise UnknownName(registry.unknown("variant", name, VARIANTS))


def _mapped(x_VD: NDArray[Any], offset_D: Vectors, turn: Vectors | None) -> NDArray[Any]:
    """(x − offset) @ turn a block at a time, in the rows' own precision, at least float32."""
    found = np.empty(x_VD.shape, np.promote_types(x_VD.dtype, np.float32))
    for part in _parts(x_VD):
        y_BD = x_VD[part].astype(np.float64) - offset_D
        found[part] = y_BD if turn is None else y_BD @ turn
    return found


def _shuffled(x_VD: NDArray[Any], allowed: Mask | None, rng: np.random.Generator) -> NDArray[Any]:
    found = np.array(x_VD)
    ids = np.arange(len(x_VD)) if allowed is None else np.flatnonzero(allowed)
    for column in range(x_VD.shape[1]):
        found[ids, column] = x_VD[rng.permutation(ids), column]
    return found


def _gaussian(
    x_VD: NDArray[Any], allowed: Mask | None, mean_D: Vectors, values: Vectors, axes_DD: Vectors, rng: np.random.Generator
) -> NDArray[Any]:
    """Normal rows with exactly that mean and covariance: drawn, made white by their own moments, and coloured.

    Given mean and covariance normal rows are distributed so, whatever they were drawn from; those not allowed are zero.
    """
    ids = np.arange(len(x_VD)) if allowed is None else np.flatnonzero(allowed)
    rank = min(int((values > values[0] * RANK).sum()), len(ids) - 1)
    found = np.zeros(x_VD.shape, np.promote_types(x_VD.dtype, np.float32))
    parts = [ids[part] for part in _parts(x_VD) if len(ids[part])]
    for part in parts:
        found[part, :rank] = rng.standard_normal((len(part), rank))
    mean_R, covariance_RR = moments(found[:, :rank], allowed)
    own, own_RR = np.linalg.eigh(covariance_RR)
    turn_RD = ((own_RR / np.sqrt(own)) @ own_RR.T * np.sqrt(values[:rank])) @ axes_DD[:rank]
    for part in parts:
        found[part] = mean_D + (found[part, :rank].astype(np.float64) - mean_R) @ turn_RD
    return found


def _parts(x_VD: NDArray[Any]) -> list[slice]:
    step = max(1, ENTRIES // x_VD.shape[1])
    return [slice(start, start + step) for start in range(0, len(x_VD), step)]
