"""What rows add to surface features: ridge on the features alone, and on features and rows together.

Both from what is there already: with the rows' λ and components at hand, the joint ridge for a penalty α is a system of as many
equations as there are features (Schur's complement). The features keep the penalty that is best for them alone; the rows'
penalty is chosen for what they add. So rows of noise are shrunk away without the features being shrunk with them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rarityir.rarity.grams import Moments, Vectors
from rarityir.rarity.ridge import Rotation, best, generalised, rotate


class Joint(NamedTuple):
    """Coefficients of the rows' components (R, T) and of the features (F, T), with the penalty of the rows' part."""

    components: Vectors
    features: Vectors
    chosen: Vectors
    train: Vectors


def surface_rotation(train: Moments, targets: int, features: int, y_mean: Vectors) -> Rotation:
    """Returns the components of the features, from the products of the first columns of the Grams."""
    part = slice(targets, targets + features)
    gram = np.asfortranarray(train.outer[part, part])
    cross = train.outer[part, :targets]
    none = np.zeros((0, 0))
    moments = Moments(train.mass, train.y_sums[part], gram, cross, train.y_sums[:targets], train.y_squares[:targets], none)
    return rotate(moments, y_mean[part])


def alone(surface: Rotation, alphas_A: Vectors) -> Joint:
    """Returns ridge on the features alone; the penalty is by generalised cross-validation."""
    at = alphas_A[best(generalised(surface, alphas_A))]
    found = surface.ridge(at)
    train = 2 * (found * surface.cross).sum(axis=0) - surface.squares @ found**2
    return Joint(np.zeros((0, len(at))), surface.turn @ found, at, _share(train, surface.total))


def joint(rows: Rotation, surface: Rotation, mixed_RS: Vectors, kept_T: Vectors, alphas_A: Vectors) -> Joint:
    """Returns ridge on rows and features together, the features under their own penalties `kept_T`.

    `mixed_RS` are the products of the rows' components with the features' components.
    """
    targets = len(rows.total)
    components, features = np.empty((rows.rank, targets)), np.empty((surface.rank, targets))
    chosen, train = np.empty(targets), np.empty(targets)
    for t in range(targets):
        kept = max(kept_T[t], np.finfo(np.float64).eps * len(rows.x_mean) * surface.squares[0])
        tried = [_solved(rows, surface, mixed_RS, t, kept, alpha) for alpha in alphas_A]
        place = int(best(np.array([[error] for *_, error in tried]))[0])
        components[:, t], features[:, t], train[t], _ = tried[place]
        chosen[t] = alphas_A[place]
    return Joint(components, surface.turn @ features, chosen, _share(train, rows.total))


def _solved(
    rows: Rotation, surface: Rotation, mixed: Vectors, t: int, kept: float, alpha: float
) -> tuple[Vectors, Vectors, float, float]:
    """Coefficients for one target and penalty, the sum of squares they explain, and generalised cross-validation's error."""
    inverse = 1 / (rows.squares + alpha)
    pulled = inverse[:, None] * mixed
    complement = np.diag(surface.squares + kept) - mixed.T @ pulled
    within = np.linalg.inv(complement)
    s = within @ (surface.cross[:, t] - pulled.T @ rows.cross[:, t])
    x = inverse * (rows.cross[:, t] - mixed @ s)
    explained = 2 * (x @ rows.cross[:, t] + s @ surface.cross[:, t])
    explained -= rows.squares @ x**2 + 2 * x @ mixed @ s + surface.squares @ s**2
    # df is the trace of (G + P)⁻¹G = R + S − tr P(G + P)⁻¹, P the penalties; the inverse's blocks are those of the complement.
    penalised = alpha * (inverse.sum() + np.einsum("rs,su,ru->", pulled, within, pulled)) + kept * np.trace(within)
    left = 1 - (1 + rows.rank + surface.rank - penalised) / rows.rows
    error = max(rows.total[t] - explained, 0.0) / left**2 if left > 1e-9 else np.inf
    return x, s, float(explained), float(error)


def _share(explained: Vectors, total: Vectors) -> Vectors:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(explained / total)
