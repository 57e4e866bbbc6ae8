"""The rotation that makes white rows independent: FastICA, symmetric, log-cosh contrast.

Source: Hyvärinen, IEEE Transactions on Neural Networks 10(3), 1999; settings of Yamagiwa et al., EMNLP 2023 (arXiv 2305.13175).
scikit-learn does the work. It knows no weights; for weighted rows the same fixed point is iterated here, every mean weighted.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float64]


class Rotation(NamedTuple):
    """Rows of `matrix` (K, K) are the axes in white coordinates, orthonormal; how far they were from that when it stopped."""

    matrix: Vectors
    n_iter: int
    converged: bool
    orth_error: float


def orthogonalised(matrix_KK: Vectors) -> Vectors:
    """Returns the nearest orthogonal matrix, (M Mᵀ)^(−1/2) M."""
    u, _, vt = np.linalg.svd(matrix_KK)
    return np.asarray(u @ vt)


def start(width: int, seed: int) -> Vectors:
    """Returns where the search begins: entries from N(0, 1)."""
    return np.random.default_rng(seed).standard_normal((width, width))


def rotate(z_NK: Vectors, weights_N: Vectors | None, *, seed: int, max_iter: int, tol: float) -> Rotation:
    """Returns the rotation of white rows; one that has not converged says so."""
    width = z_NK.shape[1]
    if width == 1:
        return Rotation(np.ones((1, 1)), 0, True, 0.0)
    if weights_N is not None:
        found, n_iter, converged = _weighted(z_NK, weights_N / weights_N.sum(), start(width, seed), max_iter, tol)
    else:
        from sklearn.decomposition import FastICA
        from sklearn.exceptions import ConvergenceWarning

        search = FastICA(whiten=False, fun="logcosh", max_iter=max_iter, tol=tol, w_init=start(width, seed))
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            search.fit(z_NK)
        converged = not any(issubclass(warning.category, ConvergenceWarning) for warning in said)
        found, n_iter = np.asarray(search.components_, np.float64), int(search.n_iter_)
    error = float(np.abs(found @ found.T - np.eye(width)).max())
    return Rotation(orthogonalised(found), n_iter, converged, error)


def _weighted(z_NK: Vectors, share_N: Vectors, first_KK: Vectors, max_iter: int, tol: float) -> tuple[Vectors, int, bool]:
    """The fixed point w ← E[z g(wᵀz)] − E[g′(wᵀz)] w for all axes at once, g = tanh, means by the rows' shares."""
    w = orthogonalised(first_KK)
    heavy = z_NK * share_N[:, None]
    for step in range(1, max_iter + 1):
        g = np.tanh(z_NK @ w.T)
        moved = orthogonalised(g.T @ heavy - (share_N @ (1 - g**2))[:, None] * w)
        apart = float(np.abs(np.abs(np.einsum("ij,ij->i", moved, w)) - 1).max())
        w = moved
        if apart < tol:
            return w, step, True
    return w, max_iter, False
