"""A relation looked at from its parts: pairs on a plane, scores by group and by year, an offset's gain by cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rarityir.analogy.named import Named
from rarityir.analogy.pairs import Pair
from rarityir.analogy.scoring import Evaluation, evaluate
from rarityir.analogy.searching import AT
from rarityir.analogy.task import Task
from rarityir.indexes.offset import Offset
from rarityir.types import Floats, RarityError, Scores

DRAWS = 2000  # bootstraps of a cluster's mean


class Plane(NamedTuple):
    """Pairs on the plane of the largest variance: queries (P, 2), answers (P, 2), each pair's group, the plane's share of it."""

    queries: NDArray[np.float64]
    answers: NDArray[np.float64]
    groups: tuple[str, ...]
    share: float


def plane(task: Task) -> Plane:
    """Returns the fitted pairs on the first two principal axes of their queries and answers together.

    The sign of an axis is such that what lies furthest out along it is on its positive side.
    """
    pairs = list(dict.fromkeys((pair.query, pair.answer, pair.group) for pair in task.fitted))
    q_PD = task.queries.vectors[task.queries.find(query for query, _, _ in pairs)].astype(np.float64)
    a_PD = task.answers.vectors[task.answers.find(answer for _, answer, _ in pairs)].astype(np.float64)
    both = np.concatenate([q_PD, a_PD])
    mean_D = both.mean(axis=0)
    left, values, axes_KD = np.linalg.svd(both - mean_D, full_matrices=False)
    axes_KD *= np.where(left[np.abs(left).argmax(axis=0), range(len(values))] < 0, -1, 1)[:, None]
    if not values.any():
        raise RarityError("all names stand on one place, so there is no plane to draw them on")
    q_P2, a_P2 = ((x - mean_D) @ axes_KD[:2].T for x in (q_PD, a_PD))
    return Plane(q_P2, a_P2, tuple(group for _, _, group in pairs), float((values[:2] ** 2).sum() / (values**2).sum()))


def by_group(found: Evaluation, measure: str) -> dict[str, dict[str, float]]:
    """Returns each row's mean over the queries asked in a group, row → group → mean; `RarityError` where there are no groups."""
    if found.task.setting == "G":
        raise RarityError("setting G asks in no group; score groups with P1 or P2")
    table: dict[str, dict[str, float]] = {}
    for row in found.rows:
        values: dict[str, list[float]] = {}
        for name, value in zip(row.query_ids, row.values[measure].tolist(), strict=True):
            values.setdefault(name.rpartition(AT)[2], []).append(value)
        table[row.system] = {group: float(np.mean(of)) for group, of in sorted(values.items())}
    return table


def sizes(task: Task) -> dict[str, int]:
    """Returns how many pairs are fitted on in each group."""
    found: dict[str, int] = {}
    for _, _, group in {(pair.query, pair.answer, pair.group) for pair in task.fitted}:
        found[group] = found.get(group, 0) + 1
    return found


class Year(NamedTuple):
    """What a cut gives: pairs known by then, pairs that came later, and every row's measures."""

    cut: float
    known: int
    later: int
    scores: dict[str, dict[str, float]]


def by_year(
    queries: Named,
    answers: Named,
    pairs: Sequence[Pair],
    cuts: Sequence[float],
    *,
    setting: str = "G",
    scheme: str = "pair-mean",
    centre: bool = True,
    seed: int = 0,
    repeats: int = 1,
) -> list[Year]:
    """Returns what is found of the pairs later than each cut by those known at it, as `Task.of` has them (Y2)."""
    found = []
    for cut in sorted(set(cuts)):
        task = Task.of(queries, answers, pairs, setting=setting, cut=cut, scheme=scheme, centre=centre)
        told = evaluate(task, seed=seed, repeats=repeats).json()
        found.append(Year(cut, len(task.fitted), len(task.judged), told["scores"]))
    return found


class Gain(NamedTuple):
    """A cluster of topics: how many, the mean difference of a measure, and its 95% interval by the bootstrap."""

    cluster: int
    topics: int
    mean: float
    low: float
    high: float


def by_cluster(offset: Offset, q_QK: Floats, before: Scores, after: Scores, measure: str, *, seed: int = 0) -> list[Gain]:
    """Returns what an offset changes in each of its clusters, of the topics that both are scored on, rows of q_QK.

    A cluster without topics is left out; one of a single topic has no interval but its value.
    """
    if list(before.query_ids) != list(after.query_ids) or len(q_QK) != len(before.query_ids):
        raise RarityError("both are to be scored on the same topics, in one order")
    change = np.asarray(after.values[measure], np.float64) - before.values[measure]
    at, rng = offset.clusters(q_QK), np.random.default_rng(seed)
    found = []
    for cluster in range(len(offset.vectors)):
        own = change[at == cluster]
        if len(own):
            means = own[rng.integers(len(own), size=(DRAWS, len(own)))].mean(axis=1)
            low, high = np.quantile(means, (0.025, 0.975))
            found.append(Gain(cluster, len(own), float(own.mean()), float(low), float(high)))
    return found
