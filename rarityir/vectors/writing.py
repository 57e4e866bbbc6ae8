"""Writes vectors as other tools read them; what is written is read back to the last bit of float32."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import numpy as np

from rarityir import store
from rarityir.types import Floats, Impacts, RarityError
from rarityir.vectors.reading import DenseVectors, SparseVectors


def write_sparse(path: str | Path, blocks: Iterable[SparseVectors], names: Sequence[str]) -> int:
    """Writes JSON vectors, documents or queries, gzipped where the path ends in .gz, and returns how many.

    Whole weights are written as whole numbers, as Anserini wants them; others it would cut off, so round them first
    (`rarityir.integrations.impacts.Rounding`).
    """
    count = 0
    with text(Path(path)) as file:
        for ids, impacts in blocks:
            for vector_id, (tokens, weights) in zip(ids, rows(impacts), strict=True):
                vector = {names[token]: weight for token, weight in zip(tokens, weights, strict=True)}
                if len(vector) != len(tokens):
                    raise RarityError(f"vector {vector_id!r} holds a token twice; give every token a name of its own")
                file.write(_line({"id": vector_id, "contents": "", "vector": vector}))
                count += 1
    return count


def write_repeated(path: str | Path, vectors: SparseVectors, names: Sequence[str]) -> int:
    """Writes topics whose terms stand as often as they weigh (query_id, tab, terms), and returns how many.

    A weight that is no whole number, or a name that holds white space, is a `RarityError`: the format has no place for it.
    """
    with text(Path(path)) as file:
        for query_id, (tokens, weights) in zip(vectors.ids, rows(vectors.impacts), strict=True):
            terms: list[str] = []
            for token, weight in zip(tokens, weights, strict=True):
                name = names[token]
                if name.split() != [name]:
                    raise RarityError(f"token {name!r} of query {query_id!r} is empty or holds white space; write JSON vectors")
                if not isinstance(weight, int):
                    raise RarityError(
                        f"token {name!r} of query {query_id!r} weighs {weight}, which is not whole; write JSON vectors"
                    )
                terms += [name] * weight
            file.write(f"{query_id}\t{' '.join(terms)}\n")
    return len(vectors.ids)


def write_dense(path: str | Path, vectors: DenseVectors) -> int:
    """Writes JSON lines of numbers, `{"id": …, "vector": […]}`, and returns how many."""
    if not np.isfinite(vectors.embeddings).all():
        raise RarityError("vectors hold numbers that are not finite, which JSON cannot carry")
    with text(Path(path)) as file:
        for vector_id, x_D in zip(vectors.ids, np.asarray(vectors.embeddings, np.float32), strict=True):
            file.write(_line({"id": vector_id, "vector": _digits(x_D)}))
    return len(vectors.ids)


def rows(impacts: Impacts) -> Iterator[tuple[list[int], list[int | float]]]:
    """Yields each row's token ids and weights, whole weights as whole numbers."""
    whole = bool((impacts.values == np.rint(impacts.values)).all() and (impacts.values < 2**53).all())
    for start, stop in zip(impacts.indptr[:-1].tolist(), impacts.indptr[1:].tolist(), strict=True):
        values = impacts.values[start:stop]
        weights: list[int | float] = values.astype(np.int64).tolist() if whole else []
        yield impacts.token_ids[start:stop].tolist(), weights or [int(x) if x.is_integer() else x for x in _digits(values)]


def _digits(values: Floats) -> list[float]:
    """The numbers with no more digits than float32 needs."""
    return [float(f"{value:.9g}") for value in values.tolist()]


def _line(record: dict[str, object]) -> str:
    return json.dumps(record, ensure_ascii=False) + "\n"


@contextmanager
def text(path: Path) -> Iterator[TextIO]:
    """Gives a file to write text to, gzipped by its suffix, which takes its name when the block ends well."""
    with store.replacing(path) as temporary, temporary.open("wb") as raw:
        if path.suffix != ".gz":
            with io.TextIOWrapper(raw, encoding="utf-8", newline="\n") as file:
                yield file
        else:
            # No file name and no time in the header: the same vectors are the same bytes.
            with gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed, io.TextIOWrapper(packed, "utf-8", newline="\n") as file:
                yield file
