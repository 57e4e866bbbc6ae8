"""The same encoding as a step of a Spark job, for a corpus that lives in one (extra `spark`)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from rarityir.cluster.recipe import Recipe

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

LOADED: dict[str, Recipe] = {}  # a Python worker of Spark outlives its tasks, and so does its model


def encoded(documents: DataFrame, recipe: Recipe) -> DataFrame:
    """Returns id, row, emb, and tokens and weights where asked for, of a frame of id, row and text; rows come in any order.

    Spark has neither float16 nor lists of a fixed length: emb is array<float>, of the same values.
    """
    import pyarrow as pa

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        ready = LOADED.setdefault(json.dumps(recipe.identity, sort_keys=True), recipe)
        ready.check_process()
        for window in windows(batches, recipe.window):
            found = ready.encode_batch(window)
            yield found.set_column(2, "emb", found.column("emb").cast(pa.list_(pa.float32())))

    number = (documents["row"] / recipe.window).cast("long")
    tokens = ", tokens array<string>, weights array<float>" if recipe.sparse else ""
    together = documents.select("id", "row", "text").repartition(number).sortWithinPartitions("row")
    return together.mapInArrow(run, f"id string, row long, emb array<float>{tokens}")


def windows(batches: Iterable[pa.RecordBatch], size: int) -> Iterator[pa.RecordBatch]:
    """Yields the rows of each window, which come in order, as one batch, however they were cut."""
    import pyarrow as pa

    held: list[pa.RecordBatch] = []
    for batch in batches:
        numbers = batch.column("row").to_numpy() // size
        starts = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(numbers)]
        for start, stop in pairwise(starts):
            if held and stop > start and held[-1].column("row")[0].as_py() // size != numbers[start]:
                yield pa.concat_batches(held)
                held = []
            held += [batch.slice(start, stop - start)] if stop > start else []
    if held:
        yield pa.concat_batches(held)
