"""Milvus' rows as Parquet, which its bulk import reads: `rows.parquet` beside the `rows.jsonl` of an export.

Columns are the schema's fields: int64 `id`, `doc_id`, and `embedding` as a list of float, or `tokens` as JSON text of token id →
weight, as Milvus' own example of a bulk import writes sparse vectors (`example_bulkinsert_parquet.py` of pymilvus).
"""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

from rarityir.integrations.bodies import EMBEDDING, TOKENS

FILE = "rows.parquet"
_ROWS = 4096  # a row group, read and written at once


def write(rows: Path, width: int = 0) -> None:
    """Writes the Parquet file beside JSON rows of vectors of a width, or of impacts (0); nothing where pyarrow is missing."""
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ImportError:
        return
    vector = (EMBEDDING, arrow.list_(arrow.float32())) if width else (TOKENS, arrow.string())
    schema = arrow.schema([("id", arrow.int64()), ("doc_id", arrow.string()), vector])
    with rows.open(encoding="utf-8") as file, parquet.ParquetWriter(rows.with_name(FILE), schema) as writer:
        while lines := list(islice(file, _ROWS)):
            found = [json.loads(line) for line in lines]
            if not width:
                found = [{**row, TOKENS: json.dumps(row[TOKENS])} for row in found]
            writer.write_batch(arrow.RecordBatch.from_pylist(found, schema=schema))
