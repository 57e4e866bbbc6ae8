"""Intra-class correlation of tokens' cosines with a random direction, in closed form and by drawing directions.

Rows are unit vectors u_w, a cluster i of share p_i has the mean m_i, all rows the mean m. For v uniform on the sphere
E⟨a, v⟩² = ‖a‖²/D, so that over v
    the variance of the cosines is     (1 − ‖m‖²) / D,
    that within cluster i              (1 − ‖m_i‖²) / D,
    that between the clusters          (Σ p_i ‖m_i‖² − ‖m‖²) / D,
and the expected intra-class correlation is the last by the first. Labels in random order make it (C − 1) / (V − 1) on the
average for C clusters of V rows, which `adjusted` takes off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rarityir.geometry.families import seeded
from rarityir.geometry.rows import ENTRIES, Mask, Vectors, matrix, unit_blocks
from rarityir.types import Json, RarityError

DRAWS, PERMUTATIONS = 300, 199


@dataclass(frozen=True)
class Cluster:
    """One label's rows: how many, ‖m_i‖², and the variance of their cosines expected and drawn."""

    label: str
    size: int
    squared_mean: float
    within: float
    within_drawn: float


@dataclass(frozen=True, eq=False)
class ICCTable:
    """The intra-class correlation of V rows in D dimensions under one system of labels.

    `value` is the closed form, `drawn` ± `error` the ratio of mean variances over random directions with its standard error,
    `low` and `high` its 95% interval, `spread` the 2.5% and 97.5% quantiles over single directions. `between` and `within` are
    variances in closed form. `shuffled` holds the closed form under labels in random order, `p` its one-sided test.
    """

    rows: int
    width: int
    squared_mean: float
    value: float
    between: float
    within: float
    drawn: float
    error: float
    low: float
    high: float
    spread: tuple[float, float]
    p: float
    clusters: tuple[Cluster, ...] = field(repr=False)
    shuffled: Vectors = field(repr=False)

    @property
    def expected(self) -> float:
        """What labels in random order give on the average: (C − 1) / (V − 1)."""
        return (len(self.clusters) - 1) / (self.rows - 1)

    @property
    def adjusted(self) -> float:
        """The value less what random labels give, 1 where every cluster is one point."""
        return (self.value - self.expected) / (1 - self.expected) if self.expected < 1 else 0.0

    def json(self, most: int = 20) -> dict[str, Json]:
        """Returns the table as JSON values, the largest clusters alone."""
        names = (
            "rows", "width", "squared_mean", "value", "adjusted", "expected", "between", "within", "drawn", "error",
            "low", "high", "p",
        )  # fmt: skip
        largest = sorted(self.clusters, key=lambda c: (-c.size, c.label))[:most]
        return {
            **{name: getattr(self, name) for name in names},
            "spread": list(self.spread),
            "shuffled": {"mean": float(self.shuffled.mean()), "highest": float(self.shuffled.max())}
            if len(self.shuffled)
            else {},
            "count": len(self.clusters),
            "clusters": [vars(cluster) for cluster in largest],
        }


def icc(
    rows_VD: NDArray[Any],
    labels: Sequence[Any] | NDArray[Any],
    *,
    draws: int = DRAWS,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
    allowed: Mask | None = None,
    centre: Vectors | None = None,
) -> ICCTable:
    """Returns how much of the variance of cosines with a random direction lies between clusters of tokens.

    Args:
        rows_VD: any (V, D) array; rows are taken at unit length, those of no length left out.
        labels: (V,) one label a row, of any kind; a row whose label is None or NaN is left out.
        draws: random directions of the Monte Carlo beside the closed form.
        permutations: orders of the labels for the null.

    Raises:
        RarityError: if labels and rows differ in number, or fewer than two clusters or rows are left.
    """
    x_VD = matrix(rows_VD)
    if len(labels) != len(x_VD) or draws < 2:
        raise RarityError(f"{len(labels)} labels for {len(x_VD)} rows, {draws} draws; give a label a row, and two draws or more")
    named = np.array([label is not None and not (isinstance(label, float | np.floating) and np.isnan(label)) for label in labels])
    u_VD, codes, names = _gathered(x_VD, labels, named if allowed is None else named & allowed, centre)
    rows, width = u_VD.shape
    sizes = np.bincount(codes, minlength=len(names))
    if rows < 2 or len(names) < 2:
        raise RarityError(f"{rows} rows under {len(names)} labels have no intra-class correlation; two clusters are needed")
    squares = ((_members(codes, len(names)) @ u_VD) ** 2).sum(axis=1)
    overall = float((u_VD.mean(axis=0) ** 2).sum())
    if not overall < 1 - 1e-12:
        raise RarityError("all rows point the same way, so their cosines have no variance to divide")
    weighted = float(sizes @ squares / rows)
    value = (weighted - overall) / (1 - overall)
    between, total, within = _draw(u_VD, codes, sizes, draws, seeded(seed, "icc"))
    drawn = float(between.mean() / total.mean())
    error = float(np.std(between - drawn * total, ddof=1) / np.sqrt(draws) / total.mean())
    shuffled = _shuffled(u_VD, codes, sizes, overall, permutations, seeded(seed, "icc-null"))
    clusters = tuple(
        Cluster(str(name), int(size), float(square), float((1 - square) / width), float(mean))
        for name, size, square, mean in zip(names, sizes, squares, within, strict=True)
    )
    low, high = np.quantile(between / total, [0.025, 0.975])
    return ICCTable(
        rows, width, overall, value, (weighted - overall) / width, (1 - weighted) / width,
        drawn, error, drawn - 1.96 * error, drawn + 1.96 * error, (float(low), float(high)),
        float((1 + (shuffled >= value).sum()) / (1 + permutations)), clusters, shuffled,
    )  # fmt: skip


def _gathered(
    x_VD: NDArray[Any], labels: Sequence[Any] | NDArray[Any], wanted: Mask, centre: Vectors | None
) -> tuple[Vectors, NDArray[np.int64], list[Any]]:
    """Unit rows, their clusters' codes in order of first appearance, and the labels that codes stand for."""
    blocks = list(unit_blocks(x_VD, wanted, centre))
    ids = np.concatenate([part for part, _ in blocks])
    codes_of: dict[Any, int] = {}
    codes = np.array([codes_of.setdefault(labels[i], len(codes_of)) for i in ids], np.int64)
    return np.concatenate([part for _, part in blocks]), codes, list(codes_of)


def _members(codes: NDArray[np.int64], clusters: int) -> Any:
    """The sparse (C, V) matrix whose product with rows averages them over each cluster."""
    from scipy.sparse import csr_array

    starts = np.concatenate([[0], np.cumsum(np.bincount(codes, minlength=clusters))])
    weights = 1.0 / np.repeat(np.diff(starts), np.diff(starts))
    return csr_array((weights, np.argsort(codes, kind="stable"), starts), shape=(clusters, len(codes)))


def _draw(
    u_VD: Vectors, codes: NDArray[np.int64], sizes: NDArray[np.int64], draws: int, rng: np.random.Generator
) -> tuple[Vectors, Vectors, Vectors]:
    """Variance between clusters and in all (draws,), and within each cluster averaged over draws (C,)."""
    rows, members = len(u_VD), _members(codes, len(sizes))
    between, total, within = [], [], np.zeros(len(sizes))
    step = max(1, ENTRIES // rows)
    for start in range(0, draws, step):
        v_nD = rng.standard_normal((min(step, draws - start), u_VD.shape[1]))
        c_Vn = u_VD @ (v_nD / np.sqrt((v_nD**2).sum(axis=1, keepdims=True))).T
        c_Vn -= c_Vn.mean(axis=0)
        means = members @ c_Vn
        between.append(sizes @ means**2 / rows)
        total.append((c_Vn**2).mean(axis=0))
        within += (members @ c_Vn**2 - means**2).sum(axis=1)
    return np.concatenate(between), np.concatenate(total), within / draws


def _shuffled(
    u_VD: Vectors, codes: NDArray[np.int64], sizes: NDArray[np.int64], overall: float, times: int, rng: np.random.Generator
) -> Vectors:
    found = []
    for _ in range(times):
        means = _members(codes[rng.permutation(len(codes))], len(sizes)) @ u_VD
        found.append((sizes @ (means**2).sum(axis=1) / len(codes) - overall) / (1 - overall))
    return np.array(found)
