"""The best documents of every system for every topic, with what was judged, as much of it as a page can hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rarityir.doc_ids import rows_of
from rarityir.report.overview import Rankings
from rarityir.report.overview_data import clipped, embedded, rankings
from rarityir.runs import Run
from rarityir.types import Dataset, RarityError, Scores


@dataclass(frozen=True)
class Bounds:
    """How much of an experiment its page holds."""

    depth: int = 10  # documents of a ranking
    bytes: int = 3_000_000  # of rankings and texts; where they take more, they are shortened step by step
    documents: int = 1_000_000  # the largest collection whose texts are read
    systems: int = 20  # tested against each other

    def __post_init__(self) -> None:
        if self.depth < 1 or self.bytes < 0:
            raise RarityError(
                f"a page shows at least 1 document a ranking and 0 bytes of them, not {self.depth} and {self.bytes}"
            )


# Documents of a ranking, characters of a text, relevant documents further down: what is tried until it fits.
_LEVELS = ((1000, 160, 20), (1000, 80, 10), (10, 80, 10), (5, 60, 5), (5, 40, 0), (3, 0, 0))


@dataclass(frozen=True)
class Ranked:
    """One system's best documents, and the ranks of the relevant ones it retrieved, by topic."""

    best: tuple[tuple[str, ...], ...]
    ranks: tuple[Mapping[str, int], ...]


def ranked(run: Run, dataset: Dataset, depth: int = Bounds.depth) -> Ranked:
    """Returns what a page shows of a run, which is not needed any more then; a topic that it lacks has no documents."""
    at = {query_id: i for i, query_id in enumerate(run.query_ids)}
    wanted = {doc_id for query_id in dataset.topics for doc_id in relevant(dataset, query_id)}
    row_of = rows_of(run.doc_ids, wanted)
    best, ranks = [], []
    for query_id in dataset.topics:
        i = at.get(query_id)
        rows = run.rows[run.indptr[i] : run.indptr[i + 1]] if i is not None else np.empty(0, np.int64)
        best.append(tuple(run.doc_ids[int(row)] for row in rows[:depth]))
        names = {row_of[doc_id]: doc_id for doc_id in relevant(dataset, query_id) if doc_id in row_of}
        places = np.flatnonzero(np.isin(rows, list(names)))
        ranks.append({names[int(rows[place])]: int(place) + 1 for place in places})
    return Ranked(tuple(best), tuple(ranks))


def relevant(dataset: Dataset, query_id: str) -> list[str]:
    """Returns the documents judged relevant to a topic, of any grade above 0."""
    return [doc_id for doc_id, grade in dataset.qrels.get(query_id, {}).items() if grade > 0]


def bounded(scores: Sequence[Scores], found: Sequence[Ranked], dataset: Dataset, measure: str, bounds: Bounds) -> Rankings:
    """Returns the rankings with documents' texts, as many and as long as the bound on bytes lets in."""
    depth = min(bounds.depth, max((len(rows) for one in found for rows in one.best), default=0))
    texts, notes = _texts(dataset, found, bounds)
    topics = list(range(len(dataset.topics)))
    shown = Rankings(0, (), (), (), (), (), (), ())
    for deepest, letters, further in _LEVELS:
        shown = _rankings(found, dataset, topics, min(depth, deepest), further, texts, letters)
        if _size(shown) <= bounds.bytes:
            break
    else:
        # Those on which systems differ most come first.
        spread = np.ptp([s.values[measure] for s in scores], axis=0)
        order = np.argsort(-spread, kind="stable").tolist()
        share = bounds.bytes / _size(shown)
        while topics and _size(shown) > bounds.bytes:
            topics = sorted(order[: int(len(dataset.topics) * share)])
            shown = _rankings(found, dataset, topics, min(depth, deepest), further, texts, letters)
            share *= 0.9
        notes.append(f"Rankings are of {len(topics):,} of {len(dataset.topics):,} topics, those on which systems differ most.")
    if shown.depth < depth or (texts and letters < _LEVELS[0][1]):
        notes.append(f"So that the page stays small, it holds {shown.depth} documents a ranking and {letters} letters of a text.")
    return replace(shown, notes=tuple(notes))


def _size(found: Rankings) -> int:
    return len(embedded(rankings(found)))


def _texts(dataset: Dataset, found: Sequence[Ranked], bounds: Bounds) -> tuple[dict[str, str], list[str]]:
    """The beginnings of the texts of all documents that may be shown, and why there are none."""
    if (dataset.docs_count or 0) > bounds.documents:
        return {}, [f"Texts are left out: the collection has {dataset.docs_count:,} documents."]
    wanted = {doc_id for one in found for rows in one.best for doc_id in rows}
    wanted |= {doc_id for query_id in dataset.topics for doc_id in relevant(dataset, query_id)}
    try:
        return {doc.doc_id: clipped(doc.text[:2000], _LEVELS[0][1]) for doc in dataset.docs() if doc.doc_id in wanted}, []
    except (RarityError, OSError) as error:
        return {}, [f"Texts are left out: the collection cannot be read ({error})."]


def _rankings(
    found: Sequence[Ranked],
    dataset: Dataset,
    topics: Sequence[int],
    depth: int,
    further: int,
    texts: Mapping[str, str],
    letters: int,
) -> Rankings:
    """The rankings of some topics to a depth, their documents numbered as they are met."""
    queries = list(dataset.topics)
    rows: dict[str, int] = {}
    best: list[list[tuple[int, ...]]] = [[] for _ in found]
    ranks: list[list[tuple[int, ...]]] = [[] for _ in found]
    grades, told, counts = [], [], []
    for t in topics:
        judged, right = dataset.qrels.get(queries[t], {}), relevant(dataset, queries[t])
        highest = {d: min((one.ranks[t][d] for one in found if d in one.ranks[t]), default=1 << 30) for d in right}
        chosen = sorted(right, key=lambda d: (highest[d], d))[:further]
        shown = dict.fromkeys([d for one in found for d in one.best[t][:depth]] + chosen)
        for doc_id in shown:
            rows.setdefault(doc_id, len(rows))
        for s, one in enumerate(found):
            best[s].append(tuple(rows[d] for d in one.best[t][:depth]))
            ranks[s].append(tuple(one.ranks[t].get(d, 0) for d in chosen))
        grades.append({rows[d]: judged[d] for d in shown if d in judged})
        told.append(tuple(rows[d] for d in chosen))
        counts.append(len(right))
    documents = tuple((d, clipped(texts.get(d, ""), letters) if letters else "") for d in rows)
    held = tuple(map(tuple, best)), tuple(grades), tuple(told), tuple(map(tuple, ranks)), tuple(counts)
    return Rankings(depth, tuple(topics), documents, *held)
