"""The right singular vectors of an unembedding, from its Gram matrix accumulated in float64, cached by content.

The thin SVD W = U S Vᵀ is not needed: V and S² are the eigenvectors and eigenvalues of WᵀW (D×D). Accumulating in
float64 is: in float32 the middle of a spectrum of condition 1e6 is lost altogether.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rarityir import checkpoints
from rarityir.types import Floats, RarityError

BLOCK = 16384


@dataclass(frozen=True)
class Spectrum:
    """Singular values (D,) in falling order and their right singular vectors (D, D), one a row, in float64.

    `digest` is the SHA-256 over the matrix's float32 rows. Signs are fixed: the largest entry of a row is positive.
    """

    values: NDArray[np.float64]
    directions: NDArray[np.float64]
    digest: str
    vocabulary: int


def spectrum(unembedding: Floats | str | Path, cache: Path | None = None) -> Spectrum:
    """Returns the spectrum of a (V, D) array, or of a model's unembedding by short name, hub id or path.

    Args:
        cache: the folder for computed spectra (default: the user's cache folder); a hit costs one pass for the digest.
    """
    blocks = _blocks(unembedding)
    digest, shape = _digest(blocks())
    path = (cache or _cache()) / f"spectrum-{digest}.safetensors"
    found = _load(path, digest, shape)
    if found is None:
        found = decompose(blocks(), digest, shape)
        checkpoints.write_tensors(path, {"values": found.values, "directions": found.directions})
    return found


def decompose(blocks: Iterable[Floats], digest: str, shape: tuple[int, int]) -> Spectrum:
    """Returns the spectrum of the matrix whose rows the blocks are; never holds it in float64."""
    vocabulary, width = shape
    gram_DD = np.zeros((width, width))
    for block in blocks:
        rows = block.astype(np.float64)
        gram_DD += rows.T @ rows
    if not np.isfinite(gram_DD).all():
        raise RarityError("the unembedding holds entries that are not finite; is the checkpoint whole?")
    squares, columns = np.linalg.eigh(gram_DD)
    rows_DD = columns.T[::-1]
    peaks = np.take_along_axis(rows_DD, np.abs(rows_DD).argmax(axis=1)[:, None], axis=1)
    directions = np.ascontiguousarray(rows_DD * np.where(peaks < 0, -1.0, 1.0))
    return Spectrum(np.sqrt(np.maximum(squares[::-1], 0.0)), directions, digest, vocabulary)


def _blocks(unembedding: Floats | str | Path):  # type: ignore[no-untyped-def]
    if isinstance(unembedding, str | Path):
        return checkpoints.unembedding(str(unembedding)).blocks
    matrix = np.asarray(unembedding)
    if matrix.ndim != 2 or not matrix.size:
        raise RarityError(f"an unembedding is a (V, D) matrix; this array has shape {matrix.shape}")

    def blocks() -> Iterator[Floats]:
        for start in range(0, len(matrix), BLOCK):
            yield matrix[start : start + BLOCK].astype(np.float32, copy=False)

    return blocks


def _digest(blocks: Iterable[Floats]) -> tuple[str, tuple[int, int]]:
    total, rows, width = hashlib.sha256(), 0, 0
    for block in blocks:
        total.update(np.ascontiguousarray(block).data)
        rows, width = rows + len(block), block.shape[1]
    total.update(json.dumps([rows, width]).encode())
    return total.hexdigest(), (rows, width)


def _load(path: Path, digest: str, shape: tuple[int, int]) -> Spectrum | None:
    """A cached spectrum, or None where there is none or it is not whole: it is then computed anew."""
    try:
        tensors = checkpoints.read_tensors(path)
        if tensors["directions"].shape != (shape[1], shape[1]):
            return None
        return Spectrum(tensors["values"], tensors["directions"], digest, shape[0])
    except (OSError, ValueError, KeyError):
        return None


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rarityir"
