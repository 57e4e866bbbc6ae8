"""Spark calls the same function, whatever the order and cut of its rows."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rarityir.cluster.on_spark import windows

pa = pytest.importorskip("pyarrow")
JOB = """
import sys
import rarityir.embeddings
rarityir.embeddings.BLOCK, rarityir.embeddings.WINDOW = 16, 4
from pathlib import Path
from pyspark.sql import SparkSession
from rarityir.cluster import Recipe
from rarityir.cluster.on_spark import encoded
from rarityir.corpus import prepare
from rarityir.datasets import load_dataset
from rarityir.encoders import load_encoder
from rarityir.filters import EmbedFilter
from rarityir.settings import ImpactSettings
data, model, home = sys.argv[1:]
dataset = load_dataset(data)
corpus = prepare(dataset, Path(home) / "indexes")
encoder = load_encoder(model, device="cpu")
recipe = Recipe.of(corpus, encoder, EmbedFilter.fit(model, "edge:2"), ImpactSettings.parse("8"))
spark = SparkSession.builder.master("local[2]").config("spark.sql.shuffle.partitions", "3").getOrCreate()
spark.sparkContext.setLogLevel("ERROR")
rows = [(doc.doc_id, row, doc.text) for row, doc in enumerate(dataset.docs())]
documents = spark.createDataFrame(rows[::-1], "id string, row long, text string").repartition(5)
encoded(documents, recipe).write.parquet(f"{home}/out")
"""


def test_rows_are_cut_into_windows_however_they_come() -> None:
    rows = [0, 1, 2, 3, 8, 9, 10, 11, 16, 17]
    for cuts in ([10], [1] * 10, [3, 0, 4, 3], [4, 6], [7, 3]):
        table = pa.record_batch({"row": pa.array(rows, pa.int64())})
        starts = np.concatenate([[0], np.cumsum(cuts)])
        given = [table.slice(start, count) for start, count in zip(starts, cuts, strict=False)]
        found = [window.column("row").to_pylist() for window in windows(iter(given), 4)]
        assert found == [[0, 1, 2, 3], [8, 9, 10, 11], [16, 17]]
    assert list(windows(iter([]), 4)) == []


def test_spark_gives_the_bits_of_one_machine(many: Path, one: Any, stories: str, tmp_path: Path) -> None:
    pytest.importorskip("pyspark")
    if shutil.which("java") is None:
        pytest.skip("no Java on the path")
    pq = pytest.importorskip("pyarrow.parquet")
    settings = {"PYSPARK_PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}
    settings["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    command = [sys.executable, "-c", JOB, str(many), stories, str(tmp_path)]
    done = subprocess.run(command, env={**os.environ, **settings}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    found = pq.read_table(tmp_path / "out").sort_by("row")
    assert found.column("row").to_pylist() == list(range(1990))
    assert found.column("id").to_pylist() == list(one.corpus.doc_ids)
    values = np.asarray(found.column("emb").combine_chunks().flatten().to_numpy(), np.float32).reshape(1990, -1)
    assert values.tobytes() == one.vectors.tobytes()
    assert max(map(len, found.column("tokens").to_pylist())) == 8
