"""Gram matrices of rows that stream by, accumulated in float64 on the CPU or a GPU, and their eigenvectors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rarityir.types import RarityError


def gram(
    blocks: Iterable[NDArray[Any]], width: int, mean_D: NDArray[np.float64] | None = None, device: str = "cpu"
) -> NDArray[np.float64]:
    """Returns Σ (row − mean)(row − mean)ᵀ over all rows, (D, D) in float64; one block at a time is held in float64."""
    if device != "cpu":
        return _on(device, blocks, width, mean_D)
    total_DD = np.zeros((width, width))
    for block in blocks:
        rows = block.astype(np.float64)
        if mean_D is not None:
            rows -= mean_D
        total_DD += rows.T @ rows
    return total_DD


def axes(gram_DD: NDArray[np.float64], device: str = "cpu") -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns the eigenvalues of a positive matrix in falling order and its eigenvectors as rows, their signs fixed."""
    if device == "cpu":
        squares, columns = np.linalg.eigh(gram_DD)
    else:
        import torch

        squares, columns = (part.cpu().numpy() for part in torch.linalg.eigh(torch.from_numpy(gram_DD).to(device)))
    rows_DD = columns.T[::-1]
    peaks = np.take_along_axis(rows_DD, np.abs(rows_DD).argmax(axis=1)[:, None], axis=1)
    return np.maximum(squares[::-1], 0.0), np.ascontiguousarray(rows_DD * np.where(peaks < 0, -1.0, 1.0))


def _on(device: str, blocks: Iterable[NDArray[Any]], width: int, mean_D: NDArray[np.float64] | None) -> NDArray[np.float64]:
    import torch

    try:
        total_DD = torch.zeros((width, width), dtype=torch.float64, device=device)
    except (RuntimeError, AssertionError) as error:  # torch raises either for a device that is not there
        raise RarityError(f"device {device!r} cannot be used ({str(error).splitlines()[0]}); leave it at cpu") from None
    mean = None if mean_D is None else torch.from_numpy(mean_D).to(device)
    for block in blocks:
        rows = torch.from_numpy(np.require(block, requirements=["C", "W"])).to(device).double()
        if mean is not None:
            rows -= mean
        total_DD.addmm_(rows.T, rows)
    return np.asarray(total_DD.cpu().numpy())
