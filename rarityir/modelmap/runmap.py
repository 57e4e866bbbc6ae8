"""A map of retrieval systems: the same distance between their distributions over shared documents, with no language model.

A run's scores of a topic's pooled documents, over a temperature, are a distribution by softmax: p_i(d | q). Half the variance of
two systems' log p within a topic is near KL(p_i ‖ p_j). Documents are finitely many here, so the true one stands beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from rarityir.modelmap.agreement import Mismatch, pairs, spearman
from rarityir.modelmap.distances import Matrix, embedded, squared
from rarityir.runs import Run
from rarityir.types import Ints, RarityError


@dataclass(frozen=True)
class RunMap:
    """K systems' log p(d | q) on C pooled (topic, document) columns; topic i's are `indptr[i]:indptr[i+1]`.

    `weights` sum to 1 within a topic. A document that a system did not retrieve has the lowest score it gave for that topic;
    `missing` is the share of those.
    """

    names: tuple[str, ...]
    query_ids: tuple[str, ...] = field(repr=False)
    indptr: Ints = field(repr=False)
    logs: Matrix = field(repr=False)  # (K, C)
    weights: Matrix = field(repr=False)  # (C,)
    temperatures: tuple[float, ...]
    missing: tuple[float, ...]
    dropped: int = 0  # topics that some system has no ranking for

    @classmethod
    def from_runs(
        cls, runs: Mapping[str, Run], pool: str = "union@100", tau: str | float = "per-run-std", weights: str = "mixture"
    ) -> RunMap:
        """Returns the map of named runs.

        Args:
            runs: name → run, over documents with the same ids.
            pool: `union@N`, the N best documents of any run for a topic.
            tau: what scores are divided by: `per-run-std`, the run's standard deviation within topics over the pool, or a number.
            weights: of documents in the variance: `mixture`, the mean of all systems' p(d | q), or `uniform`.
        """
        depth = _depth(pool)
        if len(runs) < 2:
            raise RarityError(f"{len(runs)} runs; a map needs two or more")
        if weights not in ("mixture", "uniform"):
            raise RarityError(f"unknown weights {weights!r}; known: mixture, uniform")
        shared = _shared(runs)
        scores, missing, indptr = _pooled(list(runs.values()), shared, depth)
        temperatures = [_temperature(row, indptr, tau, name) for name, row in zip(runs, scores, strict=True)]
        logs = _log_softmax(scores / np.array(temperatures)[:, None], indptr)
        sizes = np.diff(indptr)
        spread = np.exp(logs).mean(axis=0) if weights == "mixture" else np.repeat(1 / sizes, sizes)
        lost = len({q for run in runs.values() for q in run.query_ids}) - len(shared)
        return cls(
            tuple(runs), tuple(shared), indptr, logs, spread, tuple(temperatures), tuple(missing.mean(axis=1).tolist()), lost
        )

    def coords(self) -> Matrix:
        """Returns places (K, C) whose squared distances are `kl()`."""
        x_KC = self.logs - np.repeat(np.add.reduceat(self.logs * self.weights, self.indptr[:-1], axis=1), self._sizes, axis=1)
        x_KC *= np.sqrt(self.weights / (2 * len(self.query_ids)))
        return np.asarray(x_KC - x_KC.mean(axis=0))

    def kl(self) -> Matrix:
        """Returns half the variance within topics of every pair's difference, a mean over topics (K, K), in nats a topic."""
        return squared(self.coords())

    def by_topic(self, one: int, two: int) -> Matrix:
        """Returns two systems' distance by topic (Q,), in nats; its mean is `kl()[one, two]`."""
        apart = self.logs[one] - self.logs[two]
        mean = np.add.reduceat(apart * self.weights, self.indptr[:-1])
        return np.asarray(np.add.reduceat(self.weights * (apart - np.repeat(mean, self._sizes)) ** 2, self.indptr[:-1]) / 2)

    def exact(self) -> Matrix:
        """Returns the mean over topics of (KL(p_i ‖ p_j) + KL(p_j ‖ p_i)) / 2 over the pooled documents (K, K), in nats."""
        cross = np.exp(self.logs) @ self.logs.T / len(self.query_ids)
        own = np.diag(cross)
        found = (own[:, None] + own - cross - cross.T) / 2
        np.fill_diagonal(found, 0)
        return np.asarray(np.maximum(found, 0))

    def check(self) -> Mismatch:
        """Compares the variance distance with the true divergence: median ratio and rank correlation over pairs."""
        estimated, true = pairs(self.kl()), pairs(self.exact())
        keep = true > 0
        if keep.sum() < 3:
            raise RarityError("fewer than three pairs of systems differ, so the distance cannot be checked")
        return Mismatch(float(np.median(estimated[keep] / true[keep])), spearman(estimated[keep], true[keep]), int(keep.sum()))

    def embed(self, method: str = "pca", dims: int = 2) -> tuple[Matrix, Matrix]:
        """Returns places (K, dims) and what they hold, as `embedded` says."""
        return embedded(self.coords(), method, dims)

    @property
    def _sizes(self) -> Ints:
        return np.diff(self.indptr)


def _depth(pool: str) -> int:
    kind, _, number = pool.partition("@")
    if kind != "union" or not number.isdigit() or int(number) < 2:
        raise RarityError(f"pool {pool!r} should read union@N, the N best documents of every run, N at least 2")
    return int(number)


def _shared(runs: Mapping[str, Run]) -> list[str]:
    """Topics that every run ranks documents for, in the first run's order."""
    ranked = [{q for q, n in zip(run.query_ids, np.diff(run.indptr), strict=True) if n} for run in runs.values()]
    shared = [q for q in next(iter(runs.values())).query_ids if all(q in topics for topics in ranked)]
    if not shared:
        raise RarityError("no topic is ranked by all runs; they are of different collections")
    return shared


def _pooled(runs: Sequence[Run], query_ids: Sequence[str], depth: int) -> tuple[Matrix, Matrix, Ints]:
    """Each run's scores of the pooled columns (K, C), which of them it did not retrieve, and where topics begin."""
    known: dict[str, int] = {}
    places = [np.array([known.setdefault(doc_id, len(known)) for doc_id in run.doc_ids], np.int64) for run in runs]
    at = [{q: i for i, q in enumerate(run.query_ids)} for run in runs]
    scores, absent, indptr = [], [], [0]
    row = np.empty(len(known))
    for query_id in query_ids:
        parts = [slice(*run.indptr[[i := at[k][query_id], i + 1]]) for k, run in enumerate(runs)]
        docs = [places[k][run.rows[part]] for k, (run, part) in enumerate(zip(runs, parts, strict=True))]
        pool = np.unique(np.concatenate([found[:depth] for found in docs]))
        block = np.empty((len(runs), len(pool)))
        for k, (run, part) in enumerate(zip(runs, parts, strict=True)):
            row[pool] = np.nan
            row[docs[k]] = run.scores[part]
            block[k] = row[pool]
        lowest = np.array([run.scores[part][-1] for run, part in zip(runs, parts, strict=True)], np.float64)
        absent.append(np.isnan(block))
        scores.append(np.where(absent[-1], lowest[:, None], block))
        indptr.append(indptr[-1] + len(pool))
    return np.concatenate(scores, axis=1), np.concatenate(absent, axis=1).astype(np.float64), np.array(indptr, np.int64)


def _temperature(scores_C: Matrix, indptr: Ints, tau: str | float, name: str) -> float:
    if tau != "per-run-std":
        try:
            value = float(tau)
        except ValueError:
            value = 0.0
        if not 0 < value < np.inf:
            raise RarityError(f"tau {tau!r} is neither per-run-std nor a number above 0")
        return value
    sizes = np.diff(indptr)
    means = np.add.reduceat(scores_C, indptr[:-1]) / sizes
    value = float(np.sqrt(np.mean((scores_C - np.repeat(means, sizes)) ** 2)))
    if not value > 0:
        raise RarityError(f"{name} gives all pooled documents one score, so it has no distribution to compare; leave it out")
    return value


def _log_softmax(scores_KC: Matrix, indptr: Ints) -> Matrix:
    starts, sizes = indptr[:-1], np.diff(indptr)
    highest = np.repeat(np.maximum.reduceat(scores_KC, starts, axis=1), sizes, axis=1)
    total = np.add.reduceat(np.exp(scores_KC - highest), starts, axis=1)
    return np.asarray(scores_KC - highest - np.repeat(np.log(total), sizes, axis=1))
