"""Ids on disk answer as a list of them does."""

from __future__ import annotations

import random
import tracemalloc
import zlib
from pathlib import Path

import pytest

from rarityir import doc_ids
from rarityir.doc_ids import DocIds, rows_of, writing
from rarityir.types import BadInput

# The CRC-32 of each pair is one, so nothing but the text tells them apart.
SAME_CODE = [("plumless", "buckeroo"), ("codding", "gnu")]


def written(folder: Path, ids: list[str]) -> DocIds:
    folder.mkdir(exist_ok=True)
    with writing(folder) as take:
        for doc_id in ids:
            take(doc_id)
    return DocIds(folder)


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    monkeypatch.setattr(doc_ids, "AT_ONCE", 7)


def test_rows_and_ids_are_those_of_the_list(tmp_path):
    rng = random.Random(0)
    for count in (1, 6, 7, 8, 14, 50):
        ids = [rng.choice("aé字😀 \x85\u2028") + str(n) for n in rng.sample(range(1000), count)]
        kept = written(tmp_path / str(count), ids)
        assert list(kept) == ids == kept[:] == [kept[row] for row in range(count)]
        assert kept[-1] == ids[-1]
        assert kept[1:5:2] == ids[1:5:2]
        assert len(kept) == count
        asked = [*rng.sample(ids, count), "gone", ""]
        assert kept.rows(asked) == {doc_id: ids.index(doc_id) for doc_id in asked[:-2]} == rows_of(ids, asked)
        assert rows_of(kept, asked) == rows_of(ids, asked)
        assert kept.index(ids[-1]) == count - 1
        assert ids[0] in kept
        assert "gone" not in kept
        assert 3 not in kept
        assert kept.repeated() is None
        for wrong in (count, -count - 1):
            with pytest.raises(IndexError):
                kept[wrong]
    with pytest.raises(ValueError, match="gone"):
        kept.index("gone")


def test_ids_of_one_code_are_told_apart(tmp_path):
    for one, other in SAME_CODE:
        assert zlib.crc32(one.encode()) == zlib.crc32(other.encode())
        kept = written(tmp_path / one, ["x", other, "y", one])
        assert kept.rows([one, other]) == {other: 1, one: 3}
        assert kept.repeated() is None
        assert one not in written(tmp_path / other, ["x", other])
        assert written(tmp_path / f"{one}2", [other, one, "a", other, one]).repeated() == (0, 3)


def test_the_largest_code_is_found(tmp_path):
    last = "x3hsp252"
    assert zlib.crc32(last.encode()) == 0xFFFFFFFF
    assert written(tmp_path / "ids", ["a", last, "b"]).rows([last]) == {last: 1}


def test_the_first_id_that_comes_twice_is_told(tmp_path):
    ids = [f"d{n}" for n in range(40)]
    ids[31], ids[20], ids[39] = ids[2], ids[19], ids[0]
    assert written(tmp_path / "ids", ids).repeated() == (19, 20)
    assert written(tmp_path / "all", ["d"] * 20).repeated() == (0, 1)


def test_an_id_of_two_lines_is_refused(tmp_path):
    with pytest.raises(BadInput, match="end of a line"):
        written(tmp_path / "ids", ["a", "b\nc"])


def test_memory_does_not_grow_with_the_documents(tmp_path, monkeypatch):
    monkeypatch.setattr(doc_ids, "AT_ONCE", 1024)

    def peak(count: int) -> int:
        tracemalloc.start()
        with writing(tmp_path) as take:
            for n in range(count):
                take(f"document-{n:09d}")
        kept = DocIds(tmp_path)
        assert kept.repeated() is None
        assert sum(1 for _ in kept) == count
        assert len(kept.rows(["document-000000007"])) == 1
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(10)  # what is imported and kept at first use
    # Eight bytes for each of the further documents would be three times as much; whatever else runs in the process counts too.
    assert peak(100_000) < peak(5_000) + (1 << 18)
