"""What is fitted, what is asked and what is right: the settings of the drug-gene study, for any pairs.

G: all pairs make one relation. P1: a query is asked in each group it has answers in, moved by that group's vector, and the
group's answers are right. P2: the same ranking, and all its answers are right. With a time to cut at, Y1 takes the pairs known
by then alone; Y2 fits on those and asks for the later ones, the known ones taken out of the ranking.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from rarityir.analogy.named import Named
from rarityir.analogy.pairs import Pair, split
from rarityir.analogy.relation import LeaveOut, Relation
from rarityir.analogy.searching import Asked, asked
from rarityir.types import RarityError

if TYPE_CHECKING:
    from rarityir.runs import Run

SETTINGS, YEARS = ("G", "P1", "P2"), ("Y1", "Y2")


@dataclass(frozen=True, eq=False)
class Task:
    """Pairs to fit on and pairs to find, with vectors for both. Every answer with a vector is a candidate."""

    queries: Named
    answers: Named
    fitted: tuple[Pair, ...] = field(repr=False)
    judged: tuple[Pair, ...] = field(repr=False)
    setting: str = "G"
    cut: float | None = None
    years: str = "Y2"
    scheme: str = "pair-mean"
    centre: bool = True
    leave_out: LeaveOut = "query"
    k: int = 1000

    def __post_init__(self) -> None:
        if self.setting not in SETTINGS:
            raise RarityError(f"unknown setting {self.setting!r}; known: {', '.join(SETTINGS)}")
        if self.years not in YEARS:
            raise RarityError(f"unknown setting of years {self.years!r}; known: {', '.join(YEARS)}")
        if self.setting != "G" and not all(pair.group for pair in (*self.fitted, *self.judged)):
            raise RarityError(f"setting {self.setting} needs a group for every pair; name the column of groups")
        if self.cut is not None:
            late = [pair for pair in self.fitted if pair.time is None or pair.time > self.cut]
            if late:
                raise RarityError(f"{len(late)} pairs to fit on are not of {self.cut:g} or before, such as {late[0]}")

    @classmethod
    def of(
        cls,
        queries: Named,
        answers: Named,
        pairs: Sequence[Pair],
        *,
        setting: str = "G",
        cut: float | None = None,
        years: str = "Y2",
        scheme: str = "pair-mean",
        centre: bool = True,
        leave_out: LeaveOut = "query",
        k: int = 1000,
    ) -> Task:
        """Returns the task of a setting; with a cut, by default, of the years after it."""
        fitted, judged = list(pairs), list(pairs)
        if cut is not None:
            fitted, judged = split(pairs, cut)
            judged = fitted if years == "Y1" else judged
        return cls(
            queries, answers, tuple(fitted), tuple(judged), setting, cut, years, scheme, centre, leave_out, k
        )  # fmt: skip

    @property
    def later(self) -> bool:
        """Whether what is asked for became known after what is fitted on."""
        return self.cut is not None and self.years == "Y2"

    @property
    def asked(self) -> Asked:
        """The queries as a run names them, each once, in the pairs' order."""
        ids, groups = self._asked
        return Asked.of(ids, groups)

    @property
    def _asked(self) -> tuple[list[str], list[str] | None]:
        if self.setting == "G":
            return list(dict.fromkeys(pair.query for pair in self.judged)), None
        both = list(dict.fromkeys((pair.query, pair.group) for pair in self.judged))
        return [query for query, _ in both], [group for _, group in both]

    @property
    def qrels(self) -> dict[str, dict[str, int]]:
        """What is right for each query as a run names it."""
        ids, groups = self._asked
        found: dict[tuple[str, str], dict[str, int]] = {}
        for pair in self.judged:
            found.setdefault((pair.query, pair.group if self.setting == "P1" else ""), {})[pair.answer] = 1
        if groups is None:
            return {query: found[query, ""] for query in ids}
        inside = self.setting == "P1"
        return {asked(q, g): found[q, g if inside else ""] for q, g in zip(ids, groups, strict=True)}

    @property
    def exclude(self) -> Mapping[str, set[str]] | None:
        """Answers that are known already, where only later ones are asked for."""
        if not self.later:
            return None
        found: dict[str, set[str]] = {}
        for pair in self.fitted:
            found.setdefault(pair.query, set()).add(pair.answer)
        return found

    def relation(self) -> Relation:
        """Returns the relation fitted on the pairs to fit on."""
        pairs = [pair[:2] for pair in self.fitted]
        groups = None if self.setting == "G" else [pair.group for pair in self.fitted]
        return Relation.fit(self.queries, self.answers, pairs, groups, scheme=self.scheme, centre=self.centre)

    def run(self) -> Run:
        """Returns the relation's run."""
        ids, groups = self._asked
        return self.relation().search(
            self.queries, self.answers, asked=ids, groups=groups, k=self.k, exclude=self.exclude, leave_out=self.left_out
        )

    @property
    def left_out(self) -> LeaveOut:
        """What is left out of each query's vector: nothing where what is fitted on is known, and so excluded."""
        return None if self.later else self.leave_out

    def shuffled(self, seed: int) -> Task:
        """Returns the task with answers dealt anew to queries, so that nothing is left to find but how often each occurs.

        Where known answers are taken out of the ranking, no later pair is one of them, as far as exchanging answers can do that:
        what cannot be found would make this baseline weaker than chance.
        """
        rng = np.random.default_rng(seed)
        fitted = _dealt(self.fitted, rng)
        judged = fitted if self.judged == self.fitted else _dealt(self.judged, rng)
        if self.later:
            judged = _exchanged(judged, {pair[:2] for pair in fitted}, rng)
        return replace(self, fitted=fitted, judged=judged)

    def drawn(self, seed: int) -> Task:
        """Returns the task with random vectors; a name that is both query and answer keeps one vector."""
        names = tuple(dict.fromkeys((*self.queries.ids, *self.answers.ids)))
        both = Named.drawn(names, self.queries.width, seed)
        return replace(self, queries=both.of(self.queries.ids), answers=both.of(self.answers.ids))


def _dealt(pairs: Sequence[Pair], rng: np.random.Generator) -> tuple[Pair, ...]:
    order = rng.permutation(len(pairs))
    return tuple(pair._replace(answer=pairs[at].answer) for pair, at in zip(pairs, order, strict=True))


def _exchanged(pairs: Sequence[Pair], known: Set[tuple[str, str]], rng: np.random.Generator) -> tuple[Pair, ...]:
    """The pairs, each that is known with its answer exchanged for another's so that neither is; as it was where there is none."""
    found = list(pairs)
    for at, pair in enumerate(pairs):
        if found[at][:2] not in known:
            continue
        for other in rng.permutation(len(found)).tolist():
            answer, given = found[other].answer, found[at].answer
            if (pair.query, answer) not in known and (found[other].query, given) not in known:
                found[at], found[other] = pair._replace(answer=answer), found[other]._replace(answer=given)
                break
    return tuple(found)
