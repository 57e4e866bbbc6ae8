"""What each axis is worth to a ranking: it is taken out of every cosine, exactly, and the topics are scored again.

score(q ⊖ ℓ, d) = cos(q, d) − ŝ_q[ℓ] ŝ_d[ℓ], nothing normalised again. An axis's Δ means little alone: it stands beside that of
another axis of like variance, drawn at random, and of directions drawn at random in the same space.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rarityir.doc_ids import rows_of
from rarityir.ica.axes import Axes
from rarityir.indexes.topk import pad, topk
from rarityir.measures import Measure, evaluate
from rarityir.measures.significance import holm, randomisation
from rarityir.runs import Run
from rarityir.types import Ints, Json, Qrels, RarityError

Vectors = NDArray[np.float64]
NEAR = 10  # axes of nearest variance, one of which is the control
REPLICATES, DIRECTIONS = 2000, 20


class Effect(NamedTuple):
    """What taking out some axes does: mean Δ over topics, its 95 % interval, p and p by Holm; as many other axes, their Δ.

    `drawn` are Δ of further groups of like variance, `p_control` how often |Δ| of such a group is as large; None of none drawn.
    """

    axes: tuple[int, ...]
    difference: float
    low: float
    high: float
    p: float
    p_holm: float
    controls: tuple[int, ...]
    control_difference: float
    drawn: tuple[float, ...] = ()
    p_control: float | None = None


@dataclass(frozen=True)
class Sweep:
    """A measure's mean with all axes, the effect of each that was taken out, and Δ of random directions."""

    measure: str
    full: float
    topics: int
    effects: tuple[Effect, ...] = field(repr=False)
    directions: tuple[float, ...] = field(repr=False)

    def json(self) -> dict[str, Json]:
        """Returns everything as JSON values."""
        effects = [{key: list(v) if isinstance(v, tuple) else v for key, v in e._asdict().items()} for e in self.effects]
        return {
            "measure": self.measure,
            "full": self.full,
            "topics": self.topics,
            "effects": effects,
            "directions": list(self.directions),
        }


@dataclass(frozen=True, eq=False)
class Judged:
    """Topics' and documents' normalised coordinates with their judgments: what any ablation is scored on.

    `drops_query_document` is the dataset's: a topic that is itself a document does not find itself.
    """

    queries: Vectors  # (Q, K)
    documents: Vectors  # (N, K)
    query_ids: Sequence[str]
    doc_ids: Sequence[str]
    qrels: Qrels
    measure: str = "nDCG@10"
    drops_query_document: bool = False

    @classmethod
    def of(
        cls,
        axes: Axes,
        q_QD: NDArray[Any],
        x_ND: NDArray[Any],
        *named: Any,
        measure: str = "nDCG@10",
        drops_query_document: bool = False,
    ) -> Judged:
        """Takes raw embeddings, and `query_ids`, `doc_ids`, `qrels`."""
        query_ids, doc_ids, qrels = named
        if (len(q_QD), len(x_ND)) != (len(query_ids), len(doc_ids)):
            raise RarityError(f"{len(q_QD)} and {len(x_ND)} rows are not of {len(query_ids)} topics and {len(doc_ids)} documents")
        q_QK, x_NK = axes.transform(q_QD, normalize=True), axes.transform(x_ND, normalize=True)
        return cls(q_QK, x_NK, query_ids, doc_ids, qrels, measure, drops_query_document)

    def scores(self) -> Vectors:
        """Returns all cosines (Q, N)."""
        return np.asarray(self.queries @ self.documents.T)

    @cached_property
    def _own(self) -> tuple[Ints, Ints]:
        """The topics that do not find themselves, and the documents that they are: rows of scores, and columns."""
        own = rows_of(self.doc_ids, self.query_ids) if self.drops_query_document else {}
        asked = [row for row, name in enumerate(self.query_ids) if name in own]
        return np.array(asked, np.int64), np.array([own[self.query_ids[row]] for row in asked], np.int64)

    def values(self, scores_QN: Vectors) -> Vectors:
        """Returns the measure of each topic (Q,) for scores of all documents, by as many of them as the measure looks at."""
        depth = Measure.parse(self.measure).cutoff or len(self.doc_ids)
        scores = scores_QN.astype(np.float32)
        scores[self._own] = -np.inf
        hits = pad([topk(row, depth, floor=-np.inf) for row in scores], depth)
        run = Run.from_hits("axes", tuple(self.query_ids), self.doc_ids, hits)
        return evaluate(run, self.qrels, [self.measure], list(self.query_ids)).values[self.measure]


def sweep(
    judged: Judged,
    groups: Iterable[Sequence[int]] | None = None,
    *,
    seed: int = 0,
    directions: int = DIRECTIONS,
    draws: int = 0,
    advance: Callable[[int], None] | None = None,
) -> Sweep:
    """Returns what each axis, or each group of axes, is worth to a judged collection.

    Args:
        groups: axes taken out together; each axis by itself where it is None.
        seed: of bootstrap, tests, control axes and directions.
        directions: random directions taken out, one at a time.
        draws: more groups of other axes drawn for each, that its Δ is held against.
        advance: told how many groups are done.
    """
    rng, again, full_QN = np.random.default_rng(seed), np.random.default_rng([seed, 1]), judged.scores()
    base = judged.values(full_QN)
    width = judged.documents.shape[1]
    wanted = [tuple(group) for group in (groups if groups is not None else ([i] for i in range(width)))]
    variances = judged.documents.var(axis=0)
    known: dict[tuple[int, ...], Vectors] = {}

    def moved(group: tuple[int, ...]) -> Vectors:
        if group not in known:
            part = list(group)
            known[group] = judged.values(full_QN - judged.queries[:, part] @ judged.documents[:, part].T) - base
        return known[group]

    found, picks = [], rng.integers(0, len(base), (REPLICATES, len(base)))
    for done, group in enumerate(wanted, start=1):
        d = moved(group)
        low, high = np.quantile(d[picks].mean(axis=1), [0.025, 0.975])
        controls = _controls(variances, group, rng)
        other = float(moved(controls).mean()) if controls else 0.0
        effect = Effect(group, float(d.mean()), float(low), float(high), randomisation(d, seed=seed), 1.0, controls, other)
        others = [_controls(variances, group, again) for _ in range(draws)]
        found.append(_held(effect, tuple(float(moved(drawn).mean()) for drawn in others if drawn)))
        if advance is not None:
            advance(done)
    corrected = holm([effect.p for effect in found])
    effects = tuple(effect._replace(p_holm=p) for effect, p in zip(found, corrected, strict=True))
    drawn = []
    for _ in range(directions):
        v = np.asarray(rng.standard_normal(width))
        v /= float(np.linalg.norm(v))
        drawn.append(float((judged.values(full_QN - np.outer(judged.queries @ v, judged.documents @ v)) - base).mean()))
    return Sweep(judged.measure, float(base.mean()), len(base), effects, tuple(drawn))


def _held(effect: Effect, drawn: tuple[float, ...]) -> Effect:
    """The effect with those of other groups; equal ones, to rounding, count as as large."""
    if not drawn:
        return effect
    as_large = sum(abs(value) >= abs(effect.difference) - 1e-12 for value in drawn)
    return effect._replace(drawn=drawn, p_control=(1 + as_large) / (1 + len(drawn)))


def _controls(variances_K: Vectors, group: Sequence[int], rng: np.random.Generator) -> tuple[int, ...]:
    """As many other axes as a group has, each drawn among those of variance nearest to one of the group's."""
    free = np.ones(len(variances_K), bool)
    free[list(group)] = False
    found: list[int] = []
    for axis in group:
        if free.any():
            apart = np.where(free, np.abs(variances_K - variances_K[axis]), np.inf)
            near = np.argsort(apart, kind="stable")[: min(NEAR, int(free.sum()))]
            found.append(int(rng.choice(near)))
            free[found[-1]] = False
    return tuple(sorted(found))
