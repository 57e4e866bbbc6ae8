"""Before a clock starts queries are searched as they are, each once and in order, and no longer than a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import STORIES

from rarityir.datasets import load_dataset
from rarityir.encoders import load_encoder
from rarityir.indexes import warming
from rarityir.indexes.dense import DenseIndex
from rarityir.retrieval import Retriever
from rarityir.systems import System
from rarityir.types import Impacts


class Noted:
    """An index that notes what it is asked, and takes its time."""

    def __init__(self, clock: list[float], seconds: float) -> None:
        self.clock, self.seconds, self.asked = clock, seconds, []

    def search(self, queries: Any, cutoff: int) -> None:
        assert cutoff == 7
        self.asked.append(queries)
        self.clock[0] += self.seconds


def impacts(count: int) -> Impacts:
    """Query i has i % 3 tokens."""
    lengths = np.arange(count) % 3
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    return Impacts(indptr, np.arange(indptr[-1]) % 50, np.arange(indptr[-1], dtype=np.float32), 50)


@pytest.mark.parametrize(("seconds", "times"), [(0.0, 3), (0.6, 2), (5.0, 1)])
def test_queries_are_searched_until_a_second_has_passed(monkeypatch, seconds, times):
    clock = [100.0]
    monkeypatch.setattr(warming.time, "monotonic", lambda: clock[0])
    index = Noted(clock, seconds)
    warming.warm(index, [f"q{i}" for i in range(40)], 40, 7)
    assert [q for batch in index.asked for q in batch] == [f"q{i}" for i in range(40)][: 16 * times]
    assert len(index.asked) == times


def test_an_index_that_does_not_stay_in_memory_is_not_warmed(monkeypatch):
    monkeypatch.setattr(warming.os, "sysconf", {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}.get)
    assert warming.fits(500 * 4096)
    assert not warming.fits(500 * 4096 + 1)


def test_every_form_of_queries_is_cut_alike():
    x_QK, sparse = np.arange(80.0).reshape(40, 2), impacts(40)
    for start, stop in ((0, 16), (16, 32), (32, 48)):
        assert np.array_equal(warming.between(x_QK, start, stop), x_QK[start:stop])
        part = warming.between(sparse, start, stop)
        assert part.indptr[0] == 0
        assert part.vocabulary == 50
        for i in range(len(part.indptr) - 1):
            whole = slice(*sparse.indptr[start + i : start + i + 2])
            own = slice(*part.indptr[i : i + 2])
            assert np.array_equal(part.token_ids[own], sparse.token_ids[whole])
            assert np.array_equal(part.values[own], sparse.values[whole])
        assert len(part.indptr) - 1 == min(stop, 40) - start


@pytest.mark.usefixtures("elsewhere")
def test_what_the_first_search_takes_is_in_no_systems_cost(beir: Path, monkeypatch):
    made = [Retriever(load_dataset(str(beir)), load_encoder(str(STORIES)), timed=timed) for timed in (True, False)]
    retriever, calls, search = made[0], [], DenseIndex.search
    clock = [0.0]
    monkeypatch.setattr("rarityir.retrieval.time", type("Clock", (), {"monotonic": staticmethod(lambda: clock[0])}))

    def slow(self: DenseIndex, queries: Any, cutoff: int) -> Any:
        calls.append(len(queries))
        clock[0] += 60.0 if len(calls) == 1 else 0.5
        return search(self, queries, cutoff)

    monkeypatch.setattr(DenseIndex, "search", slow)
    cost = retriever.search(System.parse("dense"), 3).cost
    assert calls == [3, 3]
    assert cost["search_qps"] == 3 / 0.5
    assert cost["qps"] == 3 / 0.5  # encoding the queries took no time by this clock
    calls.clear()
    monkeypatch.setattr("rarityir.retrieval.fits", lambda size: False)
    made[0].search(System.parse("dense"), 2)
    assert calls == [3]
    calls.clear()
    made[1].search(System.parse("dense"), 3)  # where nobody reads costs, nothing is searched twice
    assert calls == [3]
