"""Scores a task with ranx beside what needs no relation: no vector, popularity, random vectors, shuffled pairs.

Groups share answers, so a group's vector finds some of them whatever the vectors are; without these rows a score means nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rarityir import measures
from rarityir.analogy import searching
from rarityir.analogy.relation import ALL, IN_SAMPLE
from rarityir.analogy.task import Task
from rarityir.measures import Comparison
from rarityir.runs import Run
from rarityir.types import Json, RarityError, Scores

MEASURES = ("hit_rate@1", "hit_rate@10", "mrr")
REPEATS = 3
TIES = "equal scores stand in the candidates' order (the study counts them in the answer's favour)"


@dataclass(frozen=True)
class Evaluation:
    """The relation's scores, its baselines', and the paired tests of each baseline against it."""

    task: Task = field(repr=False)
    rows: tuple[Scores, ...]
    comparisons: tuple[Comparison, ...]
    in_sample: bool
    seed: int

    def json(self) -> dict[str, Json]:
        """Returns all of it as JSON."""
        task, names = self.task, list(self.rows[0].values)
        return {
            "setting": task.setting + (f"x{task.years}" if task.cut is not None else ""),
            "scheme": task.scheme,
            "centre": task.centre,
            "leave_out": "known answers" if task.later else task.leave_out or "nothing",
            "in_sample": self.in_sample,
            "pairs": len(task.fitted),
            "queries": len(self.rows[0].query_ids),
            "candidates": len(task.answers),
            "depth": min(task.k, len(task.answers)),
            "ties": TIES,
            "seed": self.seed,
            "scores": {row.system: {name: round(row.mean(name), 4) for name in names} for row in self.rows},
            "p_holm": {f"{c.system}, {c.measure}": c.fisher_holm for c in self.comparisons},
        }

    def __str__(self) -> str:
        facts, names = self.json(), list(self.rows[0].values)
        width = max(len(row.system) for row in self.rows)
        lines = [
            f"{facts['setting']}: {facts['queries']} queries, {facts['candidates']} candidates, {facts['pairs']} pairs, "
            f"left out: {facts['leave_out']}"
            + (" - in-sample figures, which say nothing of new pairs" if self.in_sample else ""),
            " " * width + "".join(f"{name:>13}" for name in names),
        ]
        marks = {(c.system, c.measure): "*" if c.fisher_holm < 0.05 else " " for c in self.comparisons}
        for row in self.rows:
            cells = (f"{row.mean(name):>12.3f}{marks.get((row.system, name), ' ')}" for name in names)
            lines.append(f"{row.system:<{width}}" + "".join(cells))
        lines.append(f"* differs from {self.rows[0].system} (paired randomisation, Holm, .05); {TIES}; depth {facts['depth']}")
        return "\n".join(lines)


def evaluate(
    task: Task,
    *,
    baselines: Sequence[str] = ("zero", "popularity", "random-vectors", "shuffled-pairs"),
    names: Sequence[str] = MEASURES,
    seed: int = 0,
    repeats: int = REPEATS,
) -> Evaluation:
    """Returns the relation's measures and those of baselines, which are drawn `repeats` times where they are drawn.

    A baseline is fitted, searched and scored as the relation is; so it takes the task, and not a run.
    """
    names = list(names)
    for name in baselines:
        if name not in BASELINES:
            raise RarityError(f"unknown baseline {name!r}; known: {', '.join(BASELINES)}")
    run = task.run()
    rows = [_scored(task, run, names, run.name)]
    for name in baselines:
        seeds = range(seed, seed + repeats) if name in DRAWN else [seed]
        drawn = [_scored(tried, found, names, name) for tried, found in (BASELINES[name](task, s) for s in seeds)]
        values = {m: np.mean([one.values[m] for one in drawn], axis=0) for m in names}
        rows.append(Scores(name, drawn[0].query_ids, values))
    tests = [test for m in names for test in measures.compare(rows, rows[0].system, m, seed)]
    return Evaluation(task, tuple(rows), tuple(tests), run.name == IN_SAMPLE, seed)


def zero(task: Task, seed: int) -> tuple[Task, Run]:
    """The query itself, moved by nothing."""
    asked = task.asked
    points_QD = task.queries.vectors[task.queries.find(asked.ids, "query")].astype(np.float64)
    run = searching.rank("zero", points_QD, asked, task.answers, centre=task.centre, k=task.k, exclude=task.exclude)
    return task, run


def popularity(task: Task, seed: int) -> tuple[Task, Run]:
    """Answers by how many queries they have in the group, then in all, what is left out of the relation left out here too.

    Where that is the group, they go by how many queries they have elsewhere.
    """
    relation, (ids, groups) = task.relation(), task._asked
    leave_out = task.left_out
    places = relation.places(len(ids), groups, leave_out).tolist()
    counts = np.zeros((len(relation.groups) + 1, len(task.answers)))
    np.add.at(counts, (relation.triples[:, 0], relation.triples[:, 2]), 1.0)
    own: dict[tuple[int, int], list[int]] = {}
    for group, query, answer in relation.triples.tolist():
        own.setdefault((group, query), []).append(answer)

    def counted(group: int, queries: list[int]) -> NDArray[np.float64]:
        found: NDArray[np.float64] = counts[group].copy()
        for query in queries:
            found[own.get((group, query), [])] -= 1
        return found

    def scores(rows: slice) -> NDArray[np.float64]:
        out = []
        for i in range(*rows.indices(len(ids))):
            left = relation.left_out(ids[i], leave_out)
            found = counted(ALL, left)
            if leave_out == "group":
                found -= counted(places[i], left)
            elif groups is not None:
                found = counted(places[i], left) + found / (1 + len(task.fitted))
            out.append(found)
        return np.array(out)

    return task, searching.scored("popularity", scores, task.asked, task.answers, k=task.k, exclude=task.exclude)


def random_vectors(task: Task, seed: int) -> tuple[Task, Run]:
    """The same relation of vectors drawn at random."""
    tried = task.drawn(seed)
    return tried, tried.run()


def shuffled_pairs(task: Task, seed: int) -> tuple[Task, Run]:
    """The same relation where answers are dealt anew to queries, to fit on and to find."""
    tried = task.shuffled(seed)
    return tried, tried.run()


BASELINES: dict[str, Callable[[Task, int], tuple[Task, Run]]] = {
    "zero": zero,
    "popularity": popularity,
    "random-vectors": random_vectors,
    "shuffled-pairs": shuffled_pairs,
}
DRAWN = ("random-vectors", "shuffled-pairs")


def _scored(task: Task, run: Run, names: Sequence[str], system: str) -> Scores:
    found = measures.evaluate(run, task.qrels, names)
    return Scores(system, found.query_ids, found.values)
