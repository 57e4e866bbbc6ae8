"""The right singular vectors of an unembedding, from its Gram matrix accumulated in float64, cached by content.

The thin SVD W = U S Vᵀ is not needed: V and S² are the eigenvectors and eigenvalues of WᵀW (D×D). Accumulating in
float64 is: in float32 the middle of a spectrum of condition 1e6 is lost altogether.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rarityir import checkpoints
from rarityir.filters.gram import axes, gram
from rarityir.filters.unembedding import AS_STORED, Reading, Unembedding
from rarityir.types import Floats, RarityError


@dataclass(frozen=True)
class Spectrum:
    """Singular values (D,) in falling order and their right singular vectors (D, D), one a row, in float64.

    `digest` is the SHA-256 over the matrix's float32 rows. Signs are fixed: the largest entry of a row is positive.
    """

    values: NDArray[np.float64]
    directions: NDArray[np.float64]
    digest: str
    vocabulary: int

    @property
    def divisors(self) -> NDArray[np.float64]:
        """The values, infinite where float32 rows cannot tell them from zero: such a direction is written by no token."""
        least = self.values[0] * np.sqrt(len(self.values)) * np.finfo(np.float32).eps
        return np.where(self.values > least, self.values, np.inf)


def spectrum(
    unembedding: Unembedding | Floats | str | Path, cache: Path | None = None, how: Reading = AS_STORED, device: str = "cpu"
) -> Spectrum:
    """Returns the spectrum of a (V, D) array, or of a model's unembedding by short name, hub id or path.

    Args:
        cache: the folder for computed spectra (default: the user's cache folder); a hit costs one pass for the digest.
        how: which rows are used, and whether they are centred or scaled.
        device: where the Gram matrix is accumulated, in float64: `cpu` or a torch device such as `cuda`.
    """
    matrix = unembedding if isinstance(unembedding, Unembedding) else Unembedding.of(unembedding)
    if matrix.turn is not None:  # depends on another filter: not worth a place in the cache
        return decompose(matrix, how, device)
    tag = f"-{how}".rstrip("-").replace("=yes", "").replace("=", "-").replace(",", "-")
    path = (cache or cache_folder()) / f"spectrum-{matrix.digest}{tag}{matrix.read_with(how)}.safetensors"
    found = _load(path, matrix)
    if found is None:
        found = decompose(matrix, how, device)
        checkpoints.write_tensors(path, {"values": found.values, "directions": found.directions})
    return found


def decompose(matrix: Unembedding, how: Reading = AS_STORED, device: str = "cpu") -> Spectrum:
    """Returns the spectrum of the rows a reading uses; never holds them in float64 together."""
    mean = None
    if how.center:
        used = matrix.used(how)
        mean = matrix.weighted(used / used.sum(), how)
    gram_DD = gram((rows for _, rows in matrix.blocks(how)), matrix.width, mean, device)
    if not np.isfinite(gram_DD).all():
        raise RarityError("the unembedding holds entries that are not finite; is the checkpoint whole?")
    if not gram_DD.any():
        raise RarityError("the unembedding's rows are all zero as they are read; there is nothing to fit a filter on")
    values, directions = axes(gram_DD, device)
    return Spectrum(np.sqrt(values), directions, matrix.digest, matrix.vocabulary)


def _load(path: Path, matrix: Unembedding) -> Spectrum | None:
    """A cached spectrum, or None where there is none or it is not whole: it is then computed anew."""
    try:
        tensors = checkpoints.read_tensors(path)
        if tensors["directions"].shape != (matrix.width, matrix.width):
            return None
        return Spectrum(tensors["values"], tensors["directions"], matrix.digest, matrix.vocabulary)
    except (OSError, ValueError, KeyError):
        return None


def cache_folder() -> Path:
    """Returns the folder for what is computed once for a matrix, in the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rarityir"
