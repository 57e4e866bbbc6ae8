"""Every row once, in files that are the same however they came; anything else is refused."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rarityir import store
from rarityir.cluster import Encoded
from rarityir.cluster.shards import FILTER, SHARDS, STAGED, check_rows, gather, stage
from rarityir.types import StaleArtefact

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def write(path: Path, rows: Any, value: float = 1.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = np.asarray(rows, np.int64)
    emb = pa.FixedSizeListArray.from_arrays(pa.array(np.repeat(rows * value, 2).astype(np.float32)), 2)
    pq.write_table(pa.table({"id": [f"d{row}" for row in rows], "row": rows, "emb": emb}), path)


def test_staged_windows_hold_every_document_once_and_are_written_once(many: Path, tmp_path: Path) -> None:
    from rarityir.datasets import load_dataset

    dataset = load_dataset(str(many))
    named = stage(dataset, 1990, 64, tmp_path)
    windows = pq.read_table(named).to_pydict()
    assert named.name == STAGED
    assert windows["row"] == list(range(0, 1990, 64))
    tables = [pq.read_table(path) for path in windows["path"]]
    assert [len(table) for table in tables] == [64] * 31 + [6]
    together = pa.concat_tables(tables).to_pydict()
    assert together["row"] == list(range(1990))
    assert list(zip(together["id"], together["text"])) == list(dataset.docs())
    before = {path: Path(path).stat().st_mtime_ns for path in windows["path"]}
    Path(windows["path"][3]).unlink()
    stage(dataset, 1990, 64, tmp_path)
    changed = [path for path in windows["path"] if Path(path).stat().st_mtime_ns != before[path]]
    assert changed == [windows["path"][3]]
    assert pq.read_table(changed[0]).equals(tables[3])


def test_shards_are_named_by_their_window(tmp_path: Path) -> None:
    write(tmp_path / "w" / "b.parquet", range(4))
    write(tmp_path / "w" / "a.parquet", range(8, 10))
    write(tmp_path / "w" / "c.parquet", range(4, 8))
    write(tmp_path / "w" / "late.parquet", range(4))  # written twice: the same bytes
    gather(tmp_path / "w", tmp_path / SHARDS, 10, 4)
    assert [path.name for path in check_rows(tmp_path / SHARDS, 10)] == ["000000.parquet", "000001.parquet", "000002.parquet"]
    assert pq.read_table(tmp_path / SHARDS).column("row").to_pylist() == list(range(10))
    gather(tmp_path / "w", tmp_path / SHARDS, 10, 4)  # again, after a kill: nothing is left to do


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([range(4)], r"holds 4 rows of 10"),
        ([range(4), range(8, 10)], r"000002.parquet does not go on at row 4"),
        ([range(4), range(4, 7), range(8, 10)], r"no whole window"),
        ([[0, 1, 2, 2], range(4, 8), range(8, 10)], r"no whole window"),
        ([range(2, 6)], r"no whole window"),
        ([range(8)], r"no whole window"),
        ([range(4), range(4, 8), []], r"no whole window"),
    ],
)
def test_rows_that_are_missing_or_there_twice_are_refused(tmp_path: Path, files: list[Any], message: str) -> None:
    for number, rows in enumerate(files):
        write(tmp_path / "w" / f"{number}.parquet", rows)
    with pytest.raises(StaleArtefact, match=message):
        gather(tmp_path / "w", tmp_path / SHARDS, 10, 4)


def test_a_window_written_twice_with_other_bytes_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "w" / "a.parquet", range(4))
    write(tmp_path / "w" / "b.parquet", range(4), 2.0)
    with pytest.raises(StaleArtefact, match="hold the same rows and differ"):
        gather(tmp_path / "w", tmp_path / SHARDS, 4, 4)


@pytest.fixture
def complete(tmp_path: Path) -> Path:
    with store.building(tmp_path / "out", {"filter": None}, {"documents": 6}):
        for number, rows in enumerate((range(4), range(4, 6))):
            write(tmp_path / "out" / SHARDS / f"{number:06d}.parquet", rows)
    return tmp_path / "out"


def test_the_reader_gives_rows_in_the_order_of_the_corpus(complete: Path) -> None:
    found = Encoded.open(complete)
    ids, vectors = zip(*found)
    assert [i for block in ids for i in block] == [f"d{row}" for row in range(6)]
    assert np.concatenate(vectors).tolist() == [[row, row] for row in range(6)]
    assert all(x.dtype == np.float32 for x in vectors)
    assert found.unit(np.array([[3.0, 4.0]], np.float32)).tolist() == [[np.float32(0.6), np.float32(0.8)]]
    (emb,) = [batch.column("emb") for batch in list(found.batches())[1:]]
    assert found.documents(emb).tolist() == [[np.float32(0.5**0.5)] * 2] * 2
    found.identity["filter"] = "edge:2"  # filtered vectors are searched as they were written
    assert found.documents(emb).tolist() == [[4, 4], [5, 5]]
    assert not (complete / FILTER).exists()


def test_a_folder_is_opened_by_a_relative_path_and_by_a_link(complete: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(complete.parent)
    Path("link").symlink_to(complete.name, target_is_directory=True)
    for name in ("out", "link", str(complete.parent / "link")):
        found = Encoded.open(name)
        assert found.folder == complete.resolve()
        assert [path.relative_to(found.folder).as_posix() for path in found.paths] == [
            f"{SHARDS}/{number:06d}.parquet" for number in range(2)
        ]
        assert sum(len(ids) for ids, _ in found) == 6


def test_the_reader_refuses_what_is_not_complete_or_not_as_it_was(complete: Path) -> None:
    with pytest.raises(StaleArtefact, match="holds no complete embeddings"):
        Encoded.open(complete.parent)
    shard = complete / SHARDS / "000001.parquet"
    kept = shard.read_bytes()
    shard.unlink()
    with pytest.raises(StaleArtefact, match="is missing"):
        Encoded.open(complete)
    shard.write_bytes(kept)
    shutil.copy(complete / SHARDS / "000000.parquet", complete / SHARDS / "000000b.parquet")  # rows there twice
    with pytest.raises(StaleArtefact, match=r"000000b.parquet does not go on at row 4"):
        Encoded.open(complete)
