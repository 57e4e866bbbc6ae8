"""A relation as a vector: the mean of answer minus query over its pairs, kept as sums, so that any query is left out exactly.

Source: Yamagiwa, Hashimoto, Arakane et al., "Predicting drug-gene relations via analogy tasks with word embeddings",
Scientific Reports 15:17240 (2025). Its mean over pairs ("pair-mean") counts a query once for each of its answers; "type-mean"
is the answers' mean minus the queries', each counted once. Both are a mean of answers minus a mean of queries: which answer
belongs to which query changes nothing but what is left out, and what stands in which group.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rarityir.analogy import searching
from rarityir.analogy.named import Named
from rarityir.runs import Run
from rarityir.types import Ints, RarityError

SCHEMES = ("pair-mean", "type-mean")
NAME, IN_SAMPLE = "analogy", "analogy:in-sample"
ALL = 0  # the group of all pairs
Vectors = NDArray[np.float64]
LeaveOut = Literal["query", "shared", "group"] | None


class Sums(NamedTuple):
    """Of M owners: their answers' and queries' sums (M, D), and how many were summed (M, 2)."""

    answers: Vectors
    queries: Vectors
    counts: Ints

    def vectors(self) -> tuple[Vectors, NDArray[np.bool_]]:
        """Returns mean answer minus mean query (M, D), and whether there were any to take means of; zeros where not."""
        there: NDArray[np.bool_] = np.all(self.counts > 0, axis=1)
        n = np.where(there[:, None], self.counts, 1).astype(np.float64)
        found = self.answers / n[:, :1] - self.queries / n[:, 1:]
        return np.where(there[:, None], found, 0.0), there


class Moves(NamedTuple):
    """A vector (D,) for each query, and whose it is: "group", "all" where the group is unknown or left empty, or "none"."""

    vectors: Vectors
    source: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Relation:
    """What is known of a relation: `sums` of all pairs (row 0) and of each group, and what of those is each query's own."""

    scheme: str
    centre: bool
    query_ids: tuple[str, ...] = field(repr=False)
    answer_ids: tuple[str, ...] = field(repr=False)
    groups: tuple[str, ...] = field(repr=False)
    triples: Ints = field(repr=False)  # (T, 3) of group (0: all), query, answer, each once
    sums: Sums = field(repr=False)
    owners: Ints = field(repr=False)  # (M, 2) of group and query
    own: Sums = field(repr=False)
    parts: Sums = field(repr=False)  # of each group in the sums of all pairs

    @classmethod
    def fit(
        cls,
        Q: Named,
        A: Named,
        pairs: Sequence[tuple[str, str]],
        groups: Sequence[str] | None = None,
        *,
        scheme: str = "pair-mean",
        centre: bool = True,
    ) -> Relation:
        """Returns the relation of (query, answer) pairs; a pair that stands twice in a group counts once.

        Args:
            groups: the group of each pair (default: one group of all); all pairs together always make one more.
            centre: whether searches take the candidates' mean off both sides before the cosine.
        """
        if scheme not in SCHEMES:
            raise RarityError(f"unknown scheme {scheme!r}; known: {', '.join(SCHEMES)}")
        if Q.width != A.width:
            raise RarityError(f"queries are {Q.width} wide, answers {A.width}; a relation needs one space")
        if not pairs:
            raise RarityError("a relation needs at least one pair")
        if groups is not None and len(groups) != len(pairs):
            raise RarityError(f"{len(groups)} groups for {len(pairs)} pairs; each pair has one")
        asked = np.array(Q.find((pair[0] for pair in pairs), "query"), np.int64)
        answer = np.array(A.find((pair[1] for pair in pairs), "answer"), np.int64)
        names = tuple(sorted(set(groups or ())))
        place = {name: number for number, name in enumerate(names, start=1)}
        every = np.stack([np.zeros_like(asked), asked, answer], axis=1)
        grouped = np.stack(
            [np.array([place[name] for name in groups or ()], np.int64), *every[: len(groups or ()), 1:].T], axis=1
        )
        triples = np.unique(np.concatenate([every, grouped]), axis=0)
        of_groups = triples[triples[:, 0] > ALL]
        q_D, a_D = Q.vectors.astype(np.float64), A.vectors.astype(np.float64)
        owners, owner = np.unique(triples[:, :2], axis=0, return_inverse=True)
        owner = owner.reshape(-1)
        each = scheme == "pair-mean"
        sums = _sums(q_D, a_D, triples, triples[:, 0], len(names) + 1, triples, each=each, exclusive=False)
        own = _sums(q_D, a_D, triples, owner, len(owners), triples, each=each, exclusive=True)
        whole = np.concatenate([np.zeros((len(of_groups), 1), np.int64), of_groups[:, 1:]], axis=1)
        everything = triples[triples[:, 0] == ALL]
        parts = _sums(q_D, a_D, whole, of_groups[:, 0], len(names) + 1, everything, each=each, exclusive=True)
        return cls(scheme, centre, Q.ids, A.ids, names, triples, sums, owners, own, parts)

    @property
    def width(self) -> int:
        """D."""
        return int(self.sums.answers.shape[1])

    @cached_property
    def _group_rows(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.groups, start=1)}

    @cached_property
    def _owner_rows(self) -> dict[tuple[int, int], int]:
        return {(group, query): row for row, (group, query) in enumerate(self.owners.tolist())}

    @cached_property
    def _pairs(self) -> Ints:
        """How many pairs each owner has (M,)."""
        return np.asarray(np.unique(self.triples[:, :2], axis=0, return_counts=True)[1], np.int64)

    @cached_property
    def _query_rows(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.query_ids)}

    @cached_property
    def known(self) -> dict[str, set[str]]:
        """The answers of each query that the relation was fitted on, in any group."""
        found: dict[str, set[str]] = {}
        for group, query, answer in self.triples.tolist():
            if group == ALL:
                found.setdefault(self.query_ids[query], set()).add(self.answer_ids[answer])
        return found

    @cached_property
    def _sharing(self) -> dict[int, list[int]]:
        """Each query's rows of those that have an answer of its own, itself among them."""
        of: dict[int, set[int]] = {}
        for _, query, answer in self.triples[self.triples[:, 0] == ALL].tolist():
            of.setdefault(answer, set()).add(query)
        found: dict[int, set[int]] = {}
        for queries in of.values():
            for query in queries:
                found.setdefault(query, set()).update(queries)
        return {query: sorted(others) for query, others in found.items()}

    def left_out(self, query_id: str, leave_out: LeaveOut) -> list[int]:
        """Returns the rows of queries whose pairs are left out for a query: none, its own, or all that share an answer."""
        row = self._query_rows.get(query_id, -1)
        if leave_out == "shared":
            return self._sharing.get(row, [row])
        return [] if leave_out is None else [row]

    def places(self, count: int, groups: Sequence[str] | None, leave_out: LeaveOut) -> Ints:
        """Returns the row of each of `count` queries' group (count,), that of all pairs where it is none or unknown.

        Raises:
            RarityError: where a group is to be left out that is none or unknown, for then nothing would be.
        """
        if leave_out == "group":
            if groups is None:
                raise RarityError("leave_out='group' needs each query's group; give groups (of a task: setting P1 or P2)")
            if unknown := sorted({*groups} - {*self.groups}):
                raise RarityError(f"leave_out='group': no pair is of group {unknown[0]!r}; known: {', '.join(self.groups[:5])}")
        names = [None] * count if groups is None else groups
        return np.array([ALL if name is None else self._group_rows.get(name, ALL) for name in names], np.int64)

    def vector(self, group: str | None = None) -> Vectors:
        """Returns the (D,) vector of a group, or of all pairs; a group without pairs has that of all."""
        row = ALL if group is None else self._group_rows.get(group, ALL)
        vectors_GD, _ = self.sums.vectors()
        found: Vectors = vectors_GD[row]
        return found

    def leave_one_out(self, query_ids: Sequence[str], groups: Sequence[str] | None = None) -> Moves:
        """Returns what `fit` would give without each query, to rounding, in a time that does not depend on the pairs."""
        return self.moves(query_ids, groups, leave_out="query")

    def moves(self, query_ids: Sequence[str], groups: Sequence[str] | None = None, leave_out: LeaveOut = "query") -> Moves:
        """Returns each query's vector: its group's, without the pairs of the query, or all pairs' where that is empty.

        Args:
            groups: the group each query is asked in (default: that of all pairs).
            leave_out: "query" the query's own pairs, "shared" also those of every query that shares an answer with it, "group"
                also all pairs of its group (wherever else they stand), None nothing.

        Raises:
            RarityError: for "group" where a group is not given or unknown, or a type-mean has pairs of the query in others; for
                "shared" of a type-mean.
        """
        if leave_out not in ("query", "shared", "group", None):
            raise RarityError(f"unknown leave_out {leave_out!r}; known: query, shared, group, None")
        if leave_out == "shared" and self.scheme != "pair-mean":
            raise RarityError("queries that share answers are left out of a mean over pairs; use scheme pair-mean")
        at, of_all = self.places(len(query_ids), groups, leave_out), np.full(len(query_ids), ALL)
        if leave_out == "group":
            found, there = self._without_groups(at, query_ids).vectors()
            return Moves(found, tuple("all" if ok else "none" for ok in there))
        rows = [self.left_out(name, leave_out) for name in query_ids]
        found, there = self._without(at, rows).vectors()
        backup, backed = self._without(of_all, rows).vectors()
        source = tuple(
            "group" if ok and group else "all" if backed_up else "none"
            for ok, backed_up, group in zip(there, backed, at.tolist(), strict=True)
        )
        return Moves(np.where(there[:, None], found, backup), source)

    def _without(self, at: Ints, rows: list[list[int]]) -> Sums:
        """The sums of groups, each without what is its own of some queries."""
        kept = Sums(self.sums.answers[at], self.sums.queries[at], self.sums.counts[at])
        for place, (group, queries) in enumerate(zip(at.tolist(), rows, strict=True)):
            owners = [row for query in queries if (row := self._owner_rows.get((group, query), -1)) >= 0]
            for sums, own in zip(kept, self.own, strict=True):
                sums[place] -= own[owners].sum(axis=0)
        return kept

    def _without_groups(self, at: Ints, query_ids: Sequence[str]) -> Sums:
        """The sums of all pairs, each without those of a group and, in whatever group they stand, those of a query."""
        whole, parts = self.sums, self.parts
        kept = Sums(
            whole.answers[[ALL]] - parts.answers[at],
            whole.queries[[ALL]] - parts.queries[at],
            whole.counts[[ALL]] - parts.counts[at],
        )
        for place, (group, name) in enumerate(zip(at.tolist(), query_ids, strict=True)):
            query = self._query_rows.get(name, -1)
            every, inside = ([row] if (row := self._owner_rows.get((g, query), -1)) >= 0 else [] for g in (ALL, group))
            if self._pairs[every].sum() == self._pairs[inside].sum():
                continue  # the group holds all of them, and is out
            if self.scheme != "pair-mean":  # what only both hold together is in neither's sums
                raise RarityError(f"{name!r} has pairs in other groups too; leave its group out of a mean over pairs: pair-mean")
            for sums, own in zip(kept, self.own, strict=True):
                sums[place] -= own[every].sum(axis=0) - own[inside].sum(axis=0)
        return kept

    def in_sample(
        self, query_ids: Sequence[str], leave_out: LeaveOut, exclude: Mapping[str, Collection[str]] | None = None
    ) -> bool:
        """Whether an answer that a vector was fitted on may be found: nothing is left out, and not all of them are excluded."""
        excluded = exclude or {}
        return leave_out is None and any(self.known.get(name, set()) - set(excluded.get(name, ())) for name in query_ids)

    def search(
        self,
        queries: Named,
        answers: Named,
        *,
        asked: Sequence[str] | None = None,
        groups: Sequence[str] | None = None,
        k: int = 100,
        exclude: Mapping[str, Collection[str]] | None = None,
        leave_out: LeaveOut = "query",
    ) -> Run:
        """Returns the answers nearest to each query moved by its vector: cosine, the candidates' mean taken off both.

        A query asked in a group is `query@group` in the run. A run that may find what it was fitted on says in-sample in its
        name.

        Args:
            asked: ids of the queries to ask (default: each once), the same one again for another group.
            groups: the group each is asked in, as in `moves`.
            exclude: answers by query that are not to be found, such as `known`.
        """
        ids = queries.ids if asked is None else tuple(asked)
        name = IN_SAMPLE if self.in_sample(ids, leave_out, exclude) else NAME
        points_QD = queries.vectors[queries.find(ids, "query")].astype(np.float64) + self.moves(ids, groups, leave_out).vectors
        named = searching.Asked.of(ids, groups)
        return searching.rank(name, points_QD, named, answers, centre=self.centre, k=k, exclude=exclude)


def _sums(
    q_ND: Vectors, a_ND: Vectors, triples: Ints, owner: Ints, owners: int, whole: Ints, *, each: bool, exclusive: bool
) -> Sums:
    """Sums of the owners' answers and queries over triples: each time they stand there, or once.

    What is an owner's exclusively, when things count once, is what stands in no triple of `whole` but the owner's.
    """
    out = [_summed(x, triples[:, (0, column)], owner, owners, whole[:, (0, column)], each=each, exclusive=exclusive)
           for x, column in ((a_ND, 2), (q_ND, 1))]  # fmt: skip
    return Sums(out[0][0], out[1][0], np.stack([out[0][1], out[1][1]], axis=1))


def _summed(
    x_ND: Vectors, things: Ints, owner: Ints, owners: int, whole: Ints, *, each: bool, exclusive: bool
) -> tuple[Vectors, Ints]:
    if not each:
        held = np.concatenate([owner[:, None], things], axis=1)
        kept, times = np.unique(held, axis=0, return_counts=True)
        if exclusive and len(kept):
            span = int(max(whole[:, 1].max(), kept[:, 2].max())) + 1
            standing = np.bincount(whole[:, 0] * span + whole[:, 1])
            kept = kept[times == standing[kept[:, 1] * span + kept[:, 2]]]
        owner, things = kept[:, 0], kept[:, 1:]
    out = np.zeros((owners, x_ND.shape[1]))
    np.add.at(out, owner, x_ND[things[:, 1]])
    return out, np.bincount(owner, minlength=owners).astype(np.int64)
