"""Fewer texts for the same map: columns drawn by how much they tell models apart (arXiv 2505.15428).

A plan is fitted on reference models and stays conditional on them: a model unlike them may differ where no text was drawn.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rarityir import parsing, store
from rarityir.modelmap.distances import Matrix, centred, floor, matrix, squared
from rarityir.types import Ints, Json, RarityError, StaleArtefact, UnknownName

METHODS = ("uniform", "ls", "kl")


@dataclass(frozen=True)
class Sample:
    """Columns drawn: `indices` (U,) without repeats, each with the factor √(count / (draws · probability))."""

    indices: Ints = field(repr=False)
    factors: Matrix = field(repr=False)
    draws: int
    texts: int  # N, of which they were drawn
    centre: bool = True  # whether rows lose their mean

    @property
    def unique(self) -> int:
        """How many texts must be read."""
        return len(self.indices)

    def distances(self, l_KU: ArrayLike, *, centre: bool | None = None) -> Matrix:
        """Returns estimates of Σ_s (q_is − q_js)² over all N texts from the drawn columns (K, K).

        Rows lose their mean, weighted as the columns are, unless they are centred already (`centre=False`).
        """
        values = matrix(l_KU)
        if values.shape[1] != self.unique:
            raise RarityError(
                f"{values.shape[1]} columns for a sample of {self.unique} texts; give the drawn texts' alone, in order"
            )
        wanted = self.centre if centre is None else centre
        return squared(centred(values, self.factors) if wanted else values * self.factors)


@dataclass(frozen=True)
class ResamplePlan:
    """Probabilities of N texts, the threshold that clips, and what they were fitted on."""

    method: str
    probabilities: Matrix = field(repr=False)
    floor: float
    centre: bool = True
    facts: Mapping[str, Json] = field(default_factory=dict)

    @classmethod
    def fit(
        cls,
        l_KN: ArrayLike,
        method: str = "ls",
        *,
        clip: float = 0.02,
        centre: bool = True,
        facts: Mapping[str, Json] | None = None,
    ) -> ResamplePlan:
        """Returns the plan of reference models' values.

        Args:
            l_KN: log-likelihoods of K models on N texts; or any values of K systems on N topics.
            method: `uniform`; `ls`, in proportion to Σ_i Q_is²; `kl`, to √Σ_ij (Q_is − Q_js)⁴. Q has centred columns.
            clip: share of the values that is raised to its threshold, which the plan keeps for models to come.
            centre: whether rows lose their mean, as for log-likelihoods; topics' measures keep it.
            facts: what the values are of, kept with the plan.
        """
        if method not in METHODS:
            raise UnknownName(f"unknown resampling {method!r}; known: {', '.join(METHODS)}")
        values = matrix(l_KN)
        low = floor(values, clip)
        values = np.maximum(values, low)
        q_KN = centred(values) if centre else values
        q_KN = q_KN - q_KN.mean(axis=0)
        weights = np.ones(q_KN.shape[1]) if method == "uniform" else spread(q_KN, method)
        if not weights.sum() > 0:
            raise RarityError("the reference models are the same on every text, so no text tells them apart")
        return cls(method, weights / weights.sum(), low, centre, {**(facts or {}), "models": len(values), "clip": clip})

    def draw(self, n: int, seed: int = 0) -> Sample:
        """Returns the columns of n draws with replacement, repeats counted."""
        if n < 1:
            raise RarityError(f"{n} draws; at least 1 is needed")
        drawn = np.random.default_rng(seed).choice(len(self.probabilities), size=n, p=self.probabilities)
        indices, counts = np.unique(drawn, return_counts=True)
        factors = np.sqrt(counts / (n * self.probabilities[indices]))
        return Sample(indices.astype(np.int64), factors, n, len(self.probabilities), self.centre)

    def clipped(self, l_KU: ArrayLike) -> Matrix:
        """Returns values raised to the threshold that the plan was fitted with, never to one of their own."""
        return np.maximum(matrix(l_KU), self.floor)

    def save(self, path: str | Path) -> Path:
        """Writes the plan as one JSON file with a checksum; floats come back bit for bit."""
        path, body = Path(path), self._body()
        store.write_json(path, {**body, "sha256": _digest(body)})
        return path

    @classmethod
    def load(cls, path: str | Path) -> ResamplePlan:
        """Reads a plan; one that was changed or cut is a `StaleArtefact`."""
        try:
            found = parsing.value(Path(path))
            wanted = found.pop("sha256")
            good = wanted == _digest(found)
            low = -math.inf if found["floor"] is None else float(found["floor"])
            shares = np.array(found["probabilities"], np.float64)
            parsing.need(
                parsing.finite(shares, None) and (shares >= 0).all() and abs(shares.sum() - 1) < 1e-8, "no probabilities"
            )
            parsing.need(not math.isnan(low) and low < math.inf, "no threshold")
            plan = cls(str(found["method"]), shares, low, bool(found["centre"]), dict(found["facts"]))
        except parsing.BROKEN as error:
            raise StaleArtefact(f"{path} is not a stored plan ({type(error).__name__}); fit it again") from None
        if not good:
            raise StaleArtefact(f"{path} is not as it was written (checksum differs); fit it again")
        return plan

    def _body(self) -> dict[str, Json]:
        return {
            "method": self.method,
            "probabilities": self.probabilities.tolist(),
            "floor": None if math.isinf(self.floor) else self.floor,
            "centre": self.centre,
            "facts": dict(self.facts),
        }


def _digest(body: Mapping[str, Json]) -> str:
    import hashlib

    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def spread(q_KN: Matrix, method: str) -> NDArray[np.float64]:
    """Returns each column's weight: Σ_i q², or √Σ_ij (q_i − q_j)⁴ from sums of powers in O(KN)."""
    if method == "ls":
        return np.asarray((q_KN**2).sum(axis=0))
    squares_KN = q_KN * q_KN  # products, as powers take twenty times as long
    s1, s2 = q_KN.sum(axis=0), squares_KN.sum(axis=0)
    s3, s4 = (np.einsum("ij,ij->j", squares_KN, of) for of in (q_KN, squares_KN))
    return np.asarray(np.sqrt(np.maximum(2 * len(q_KN) * s4 - 8 * s1 * s3 + 6 * s2**2, 0)))


def error_estimate(l_KN: ArrayLike, plan: ResamplePlan, n: int, *, runs: int = 100, seed: int = 0) -> dict[str, float]:
    """Returns how far n draws miss the distances on all N texts, as means over runs.

    `relative` is ‖G* − G‖ / ‖G‖ (Frobenius), `rms` the root mean square of |Δ| / max(G, 0.001) over pairs, `unique` the texts
    read. `floor` is the relative error of a uniform bootstrap of all N: what the text set itself leaves open. `total` adds the
    two as independent errors.
    """
    values = plan.clipped(l_KN)
    everything = np.ones(values.shape[1])
    true_KK = squared(centred(values, everything) if plan.centre else values)
    norm = float(np.linalg.norm(true_KK))
    if norm == 0:
        raise RarityError("the models are the same on every text, so there is no error to estimate")
    uniform = ResamplePlan("uniform", everything / len(everything), plan.floor, plan.centre)
    upper = np.triu_indices(len(values), k=1)
    relative, rms, unique, bootstrap = [], [], [], []
    for run in range(runs):
        sample = plan.draw(n, seed + run)
        missed = sample.distances(values[:, sample.indices]) - true_KK
        relative.append(np.linalg.norm(missed) / norm)
        rms.append(np.sqrt(np.mean((missed[upper] / np.maximum(true_KK[upper], 1e-3)) ** 2)))
        unique.append(sample.unique)
        again = uniform.draw(len(everything), seed + run + runs)
        bootstrap.append(np.linalg.norm(again.distances(values[:, again.indices]) - true_KK) / norm)
    found = {"relative": relative, "rms": rms, "unique": unique, "floor": bootstrap}
    means = {name: float(np.mean(of)) for name, of in found.items()}
    return {**means, "total": math.hypot(means["relative"], means["floor"])}
