"""A run is a ranking decided once: every tie is broken here, so no evaluator ever meets one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rarityir import notebook, store
from rarityir.types import BadInput, Floats, Hits, Ints, Json, RarityError

if TYPE_CHECKING:
    import pandas as pd

FLOAT32 = float(np.finfo(np.float32).max)
_SHOWN = 10  # queries of a run in a notebook


@dataclass(frozen=True)
class Run:
    """One system's ranking of documents for every query, with strictly decreasing float32 scores.

    Held flat: query i's documents are `doc_ids[row]` for `row` in `rows[indptr[i]:indptr[i+1]]`, best first.
    """

    name: str
    query_ids: tuple[str, ...] = field(repr=False)
    indptr: Ints = field(repr=False)
    rows: Ints = field(repr=False)
    scores: Floats = field(repr=False)
    doc_ids: Sequence[str] = field(repr=False)

    @classmethod
    def from_hits(cls, name: str, query_ids: Sequence[str], doc_ids: Sequence[str], hits: Hits) -> Run:
        """Returns the run of (Q, cutoff) hits whose equal scores stand in the order in which they are to rank."""
        found = hits.rows >= 0
        indptr = np.concatenate([[0], np.cumsum(found.sum(axis=1))]).astype(np.int64)
        scores = strictly_decreasing(np.where(found, hits.scores, -np.inf).astype(np.float32))
        return cls(name, tuple(query_ids), indptr, hits.rows[found], scores[found], doc_ids)

    def __len__(self) -> int:
        return len(self.query_ids)

    def __iter__(self) -> Iterator[str]:
        return iter(self.query_ids)

    def __getitem__(self, query_id: str) -> list[tuple[str, float]]:
        """Returns (doc_id, score) pairs, best first."""
        try:
            i = self.query_ids.index(query_id)
        except ValueError:
            raise KeyError(query_id) from None
        part = slice(self.indptr[i], self.indptr[i + 1])
        return [(self.doc_ids[row], float(score)) for row, score in zip(self.rows[part], self.scores[part], strict=True)]

    def to_frame(self) -> pd.DataFrame:
        """Returns a DataFrame of `query_id`, `doc_id`, `rank` (from 1) and `score` (float32), in the run's order."""
        counts = np.diff(self.indptr)
        rows, places = np.unique(self.rows, return_inverse=True)
        names = np.array([self.doc_ids[int(row)] for row in rows], dtype=object)
        return notebook.frame(
            {
                "query_id": np.repeat(np.array(self.query_ids, dtype=object), counts),
                "doc_id": names[places],
                "rank": np.arange(len(self.rows)) - np.repeat(self.indptr[:-1], counts) + 1,
                "score": self.scores,
            }
        )

    def _repr_html_(self) -> str:
        """The best documents of the first queries, for a notebook."""
        rows = []
        for i, query_id in enumerate(self.query_ids[:_SHOWN]):
            best = range(self.indptr[i], min(self.indptr[i] + 3, self.indptr[i + 1]))
            cells = [f"{self.doc_ids[self.rows[at]]} ({self.scores[at]:.4g})" for at in best]
            rows.append([query_id, f"{self.indptr[i + 1] - self.indptr[i]:,}", *cells, *[""] * (3 - len(cells))])
        title = f"{self.name}: {len(self):,} queries, {len(self.rows):,} documents retrieved"
        more = [f"… and {len(self) - _SHOWN:,} queries more"] * (len(self) > _SHOWN)
        return notebook.table(title, ("query_id", "documents", "1", "2", "3"), rows, more)

    def save(self, path: str | Path, provenance: Json = None) -> Path:
        """Writes TREC's six columns (query_id Q0 doc_id rank score tag), and `provenance` as JSON beside the file."""
        path = Path(path)
        check_place(path)
        tag = self.name.replace(" ", "")
        with store.replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
            for i, query_id in enumerate(self.query_ids):
                for rank, at in enumerate(range(self.indptr[i], self.indptr[i + 1]), start=1):
                    file.write(f"{query_id} Q0 {self.doc_ids[self.rows[at]]} {rank} {float(self.scores[at]):.9g} {tag}\n")
        if provenance is not None:
            store.write_json(path.with_suffix(".json"), store.sealed({**provenance, "run_sha256": store.digest_file(path)}))
        return path


def check_place(path: str | Path) -> None:
    """Raises `RarityError` unless a run and its provenance (the same name with `.json`) can be written over what is there."""
    path = Path(path)
    if str(path) == "-":
        raise RarityError("a run is written to a file, with its provenance beside it; name one instead of -, such as run.trec")
    side = path.with_suffix(".json")
    if side == path:
        raise RarityError(f"{path} is the name of a run's provenance; name the run itself, such as {path.with_suffix('.trec')}")
    store.check_folder(path.parent)
    if side.is_file() and b'"run_sha256"' not in side.read_bytes():
        raise RarityError(f"{side} would be written over by the run's provenance; choose another name than {path}")
    if path.is_file():
        with path.open("rb") as file:
            first = file.readline(1 << 16)
        if first and len(first.split()) != 6:
            raise RarityError(f"{path} is no run and would be written over; choose another file")


def strictly_decreasing(scores_QN: Floats) -> Floats:
    """Returns scores each below its predecessor: one that is not is lowered to the next float32 under it."""
    scores = scores_QN.copy()
    for column in range(1, scores.shape[1]):
        below = np.nextafter(scores[:, column - 1], np.float32(-np.inf))
        np.minimum(scores[:, column], below, out=scores[:, column])
    return scores


def read_run(path: str | Path, name: str = "") -> Run:
    """Reads a TREC run of any origin: score descending, equal scores by the file's rank column, then made strict.

    A file without a line is an error unless a `name` says whose run it is, which then has found nothing.
    Raises `BadInput` naming the line on a wrong number of columns, a score that is no finite number, a rank that is no
    integer, or a document ranked twice for a query.
    """
    path = Path(path)
    rows: dict[str, int] = {}
    topics: dict[str, dict[int, tuple[float, int]]] = {}
    tag = path.stem
    for number, line in _lines(path):
        fields = line.split()
        if len(fields) != 6:
            raise BadInput(f"{path}:{number}: {len(fields)} columns instead of TREC's 6 (query_id Q0 doc_id rank score tag)")
        query_id, _, doc_id, rank, score, tag = fields
        try:
            value, place = float(score), int(rank)
        except ValueError:
            raise BadInput(f"{path}:{number}: rank {rank!r} or score {score!r} is not a number") from None
        if not abs(value) <= FLOAT32:
            raise BadInput(f"{path}:{number}: score {score} is not finite in float32")
        ranked = topics.setdefault(query_id, {})
        row = rows.setdefault(doc_id, len(rows))
        if row in ranked:
            raise BadInput(f"{path}:{number}: document {doc_id!r} is ranked twice for query {query_id!r}")
        ranked[row] = (value, place)
    if not topics and name:
        return Run.from_hits(name, (), [], Hits(np.empty((0, 0), np.int64), np.empty((0, 0), np.float32)))
    if not topics:
        raise BadInput(f"{path} holds no rankings; a TREC run has one line per retrieved document")
    width = max(map(len, topics.values()))
    hits = Hits(np.full((len(topics), width), -1, np.int64), np.zeros((len(topics), width), np.float32))
    for i, ranked in enumerate(topics.values()):
        order = sorted(ranked, key=lambda row, ranked=ranked: (-ranked[row][0], ranked[row][1]))  # type: ignore[misc]
        hits.rows[i, : len(order)] = order
        hits.scores[i, : len(order)] = [ranked[row][0] for row in order]
    return Run.from_hits(tag, tuple(topics), list(rows), hits)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with path.open(encoding="utf-8-sig") as file:  # a mark at the beginning is no part of the first query_id
            yield from ((number, line) for number, line in enumerate(file, start=1) if not line.isspace())
    except FileNotFoundError:
        raise BadInput(f"no run at {path}") from None
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is not UTF-8 ({error.reason})") from None
