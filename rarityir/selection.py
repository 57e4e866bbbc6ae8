"""Chooses a filter with labels: on a development split, never on the topics that are to be reported."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rarityir.datasets.reading import check_measurable
from rarityir.filters import EmbedFilter
from rarityir.measures import evaluate
from rarityir.retrieval import CUTOFF, INDEXES, Retriever
from rarityir.systems import Part, System
from rarityir.types import Dataset, Encoder, Json, RarityError

CANDIDATES = ("edge:2", "edge:4", "tail:2", "tail:4", "head:2", "mid:2", "random:2", "auto", "spectroscopy:%", "frequent:%")
_DEVELOPMENT, _TEST = {"dev", "train", "val", "valid", "validation"}, {"test", "eval", "judged"}


@dataclass(frozen=True)
class Candidate:
    """A filter (empty: none), its mean measure over the topics and the width it keeps."""

    filter: str
    value: float
    dim: int


@dataclass(frozen=True)
class Selection:
    """Candidates from best to worst; the first is chosen. Equal means rank the narrower first."""

    dataset: str
    measure: str
    topics: int
    candidates: tuple[Candidate, ...]

    def json(self) -> dict[str, Json]:
        """Returns the selection as JSON values."""
        rows = [{"filter": c.filter, "value": round(c.value, 6), "dim": c.dim} for c in self.candidates]
        return {"dataset": self.dataset, "measure": self.measure, "topics": self.topics, "candidates": rows}


def check_split(name: str) -> None:
    """Raises `RarityError` unless a dataset's name says that it is a development split: a test split is never chosen on."""
    words = set(re.split(r"[^a-z]+", name.lower()))
    if words & _TEST or not words & _DEVELOPMENT:
        state = "is a test split" if words & _TEST else "does not say that it is a development split"
        raise RarityError(
            f"{name} {state}; choose filters on one, such as beir/scifact/train, msmarco-passage/train or folder:dev"
        )


def select(
    dataset: Dataset,
    encoder: Encoder,
    filters: Sequence[str],
    *,
    index: str = "dense",
    measure: str = "nDCG@10",
    indexes: str | Path = INDEXES,
) -> tuple[Selection, EmbedFilter | None]:
    """Returns how each filter, and none, does on a development split, and the best one (None where none is best).

    Args:
        filters: names such as `edge:2` or `tail:2+whiten:64`; `%` as a width stands for half of D.
        index: the index it is chosen for, `dense` or `sparse:64`.
    """
    check_split(dataset.name)
    check_measurable(dataset)
    retriever = Retriever(dataset, encoder, Path(indexes))
    found, topics = [], list(dataset.topics)
    half = str(encoder.dim // 2)
    for name in ("", *dict.fromkeys(name.replace("%", half) for name in filters)):
        system = System.parse("+".join(filter(None, (index, name))))
        value = evaluate(retriever.run(system, CUTOFF), dataset.qrels, [measure], topics).mean(measure)
        chosen = retriever.filter(system.filters)
        found.append(Candidate(name, value, len(chosen.basis) if chosen else encoder.dim))
    found.sort(key=lambda c: (-c.value, c.dim))
    best = retriever.filter([Part.parse(part) for part in found[0].filter.split("+") if part])
    return Selection(dataset.name, measure, len(topics), tuple(found)), best
