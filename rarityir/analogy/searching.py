"""Ranks named candidates by their cosine with points, after the candidates' mean is taken off both."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rarityir.analogy.named import Named
from rarityir.indexes.topk import pad, topk
from rarityir.runs import Run
from rarityir.types import RarityError

BLOCK = 256  # queries scored together
AT = "@"


class Asked(NamedTuple):
    """Queries as a run names them, and each one's own id."""

    names: tuple[str, ...]
    ids: tuple[str, ...]

    @classmethod
    def of(cls, ids: Sequence[str], groups: Sequence[str] | None = None) -> Asked:
        """Returns `query@group` where there are groups."""
        if groups is not None and len(groups) != len(ids):
            raise RarityError(f"{len(groups)} groups for {len(ids)} queries; each query is asked in one")
        return cls(tuple(ids) if groups is None else tuple(map(asked, ids, groups)), tuple(ids))


def asked(query: str, group: str) -> str:
    """Returns the name in a run of a query that is asked in a group."""
    return f"{query}{AT}{group}"


def rank(
    name: str,
    points_QD: NDArray[np.float64],
    queries: Asked,
    answers: Named,
    *,
    centre: bool,
    k: int,
    exclude: Mapping[str, Collection[str]] | None = None,
) -> Run:
    """Returns the best k candidates of each point; equal scores stand in the candidates' order.

    A point that is the mean itself, or a vector of zeros, scores 0 with every candidate.
    """
    c_ND = answers.vectors.astype(np.float64)
    if points_QD.shape[1] != c_ND.shape[1]:
        raise RarityError(f"points are {points_QD.shape[1]} wide, the candidates {c_ND.shape[1]}")
    mean = c_ND.mean(axis=0) if centre else 0.0
    unit_ND, point_QD = _unit(c_ND - mean), _unit(points_QD - mean)
    return scored(name, lambda rows: point_QD[rows] @ unit_ND.T, queries, answers, k=k, exclude=exclude)


def scored(
    name: str,
    scores: Callable[[slice], NDArray[np.float64]],
    queries: Asked,
    answers: Named,
    *,
    k: int,
    exclude: Mapping[str, Collection[str]] | None = None,
) -> Run:
    """Returns the run of any scores: `scores(slice of queries)` gives (Q, N)."""
    if k < 1:
        raise RarityError(f"k is {k}; at least one answer must be asked for")
    found = []
    for start in range(0, len(queries.ids), BLOCK):
        rows = slice(start, start + BLOCK)
        block_QN = np.array(scores(rows), np.float32)
        for query, scores_N in zip(queries.ids[rows], block_QN, strict=True):
            out = [answers.rows[one] for one in (exclude or {}).get(query, ()) if one in answers.rows]
            scores_N[out] = -np.inf
            found.append(topk(scores_N, min(k, len(answers)), floor=-np.inf))
    return Run.from_hits(name, queries.names, answers.ids, pad(found, min(k, len(answers))))


def _unit(x_ND: NDArray[np.float64]) -> NDArray[np.float64]:
    norms = np.linalg.norm(x_ND, axis=1, keepdims=True)
    return x_ND / np.where(norms > 0, norms, 1.0)
