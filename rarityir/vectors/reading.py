"""Reads vectors: Anserini's JSON vectors, topics whose terms are repeated as often as they weigh, JSON lines of numbers.

Anserini's `JsonVectorCollection` is a JSON object a line, `{"id": …, "contents": …, "vector": {token: weight}}`. Its topics are
`query_id, tab, term term term`: a term that weighs 3 stands there three times. Nothing that is wrong is passed over: the
error names the file and the line.
"""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rarityir.datasets import reading
from rarityir.runs import FLOAT32
from rarityir.types import BadInput, Floats, Impacts, Json

BLOCK = 4096  # documents held at a time
log = logging.getLogger(__name__)
_IDS = ("id", "_id", "docid", "doc_id", "qid", "query_id")
_SUFFIXES = (".json", ".jsonl", ".json.gz", ".jsonl.gz")
# What Java calls white space, and so Lucene's tokenizer: not the spaces that do not break, which str.split takes for white space.
_TERM = re.compile("[^\t-\r\x1c- \u1680\u2000-\u2006\u2008-\u200a\u2028\u2029\u205f\u3000]+")


class SparseVectors(NamedTuple):
    """The sparse vectors of documents or queries: `ids[i]` has row i of `impacts`."""

    ids: Sequence[str]
    impacts: Impacts


class DenseVectors(NamedTuple):
    """The dense vectors of queries or documents: `ids[i]` has row i of `embeddings` (Q, D), float32."""

    ids: list[str]
    embeddings: Floats


def documents(path: str | Path, names: dict[str, int], *, unique: bool = True) -> Iterator[SparseVectors]:
    """Yields the vectors of a JSON-lines file, plain or gzipped, or of a folder of such files, 4,096 documents at a time.

    A token's id is what `names` says; one that is not there is added, so the vocabulary grows from block to block. A weight
    of 0 is no posting. Raises `BadInput` for what is no JSON vector, an id given twice, or a weight that is no number from 0
    to float32's largest. To know an id again all are held; with `unique=False` that is left to the caller, and none is.
    """
    seen: dict[str, int] | None = {} if unique else None
    lines: list[tuple[str, Mapping[str, float]]] = []
    where = ""
    for where, record in _records(files(Path(path))):
        lines.append((_identifier(record, seen, where), _sparse(record, where)))
        if len(lines) == BLOCK:
            yield _joined(lines, names)
            lines = []
    if lines:
        yield _joined(lines, names)
    if not where:
        raise BadInput(f'{path} holds no vectors; a JSON object a line is needed: {{"id": …, "vector": {{token: weight}}}}')


def place(path: str | Path, row: int) -> str:
    """Returns the file and the line of vector `row`, counted from 0, of a file or folder that was read before."""
    return next(islice((where for where, _ in _records(files(Path(path)))), row, None), str(path))


def topics(path: str | Path, names: dict[str, int]) -> SparseVectors:
    """Returns sparse queries: topics of repeated terms, or JSON vectors where the first line begins with a brace.

    Tokens stand in the order of their first appearance in the query; those that `names` lacks are added to it. Queries
    without a token are kept and counted in a warning.
    """
    path = Path(path)
    first = next((line for _, line in reading.lines(path)), "")
    if first.lstrip().startswith("{"):
        blocks = list(documents(path, names))
        found = SparseVectors([i for block in blocks for i in block.ids], _stacked([block.impacts for block in blocks], names))
    else:
        found = _joined(_repeated(path), names)
    if not found.ids:
        raise BadInput(f"{path} holds no topics; a line is query_id, tab, terms, or a JSON vector")
    reading.warn_count(int((np.diff(found.impacts.indptr) == 0).sum()), "empty query", "nothing useful can be found for it")
    return found


def known(queries: SparseVectors, vocabulary: int) -> SparseVectors:
    """Returns queries without the tokens from id `vocabulary` on, which no document has; how many those are is a warning."""
    impacts = queries.impacts
    kept = impacts.token_ids < vocabulary
    if not kept.all():
        log.warning("%d of %d query tokens are in no document: they can match nothing", int((~kept).sum()), len(kept))
    indptr = np.concatenate([[0], np.cumsum(kept)])[impacts.indptr].astype(np.int64)
    return SparseVectors(queries.ids, Impacts(indptr, impacts.token_ids[kept], impacts.values[kept], vocabulary))


def dense(path: str | Path) -> DenseVectors:
    """Returns the dense vectors of JSON lines, `{"qid": …, "vector": [numbers]}`, as (Q, D) float32.

    Raises `BadInput` for a vector of another width than the first, or a number that is not finite in float32.
    """
    path = Path(path)
    rows: list[Floats] = []
    seen: dict[str, int] = {}
    for where, record in _records([path]):
        _identifier(record, seen, where)
        rows.append(_numbers(record, where))
        if len(rows[-1]) != len(rows[0]):
            raise BadInput(f"{where}: {len(rows[-1])} numbers, the first vector has {len(rows[0])}")
    if not rows:
        raise BadInput(f'{path} holds no vectors; a JSON object a line is needed: {{"id": …, "vector": [numbers]}}')
    return DenseVectors(list(seen), np.stack(rows))


def files(path: Path) -> list[Path]:
    """Returns the file itself, or the files of vectors in a folder, by name."""
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.iterdir() if file.name.endswith(_SUFFIXES))
    if not found:
        raise BadInput(f"{path} holds no file of vectors ({', '.join(_SUFFIXES)})")
    return found


class _Twice(ValueError):
    """A name that stands twice in one JSON object, of which Python's reader would keep the last."""


def _pairs(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Twice(next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1))
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_pairs)


def _records(paths: Iterable[Path]) -> Iterator[tuple[str, dict[str, Json]]]:
    """Each line's place and object."""
    for path in paths:
        for number, line in reading.lines(path):
            where = f"{path}:{number}"
            try:
                record = _DECODER.decode(line)
            except _Twice as error:
                raise BadInput(f"{where}: {str(error)!r} stands twice in one object") from None
            except (ValueError, RecursionError) as error:
                raise BadInput(f"{where}: not JSON ({error})") from None
            if not isinstance(record, dict):
                raise BadInput(f"{where}: a JSON object per line is needed, this is a {type(record).__name__}")
            yield where, record


def _identifier(record: dict[str, Json], seen: dict[str, int] | None, where: str) -> str:
    """The record's id, which is added to those seen, by their number."""
    found = reading.identifier(reading.text_field(record, _IDS, where), where)
    if seen is None:
        return found
    if found in seen:
        raise BadInput(f"{where}: duplicate id {found!r} (vectors {seen[found] + 1} and {len(seen) + 1})")
    seen[found] = len(seen)
    return found


def _vector(record: dict[str, Json], where: str) -> Any:
    if "vector" not in record:
        raise BadInput(f"{where}: no field 'vector'")
    return record["vector"]


def _sparse(record: dict[str, Json], where: str) -> Mapping[str, float]:
    vector = _vector(record, where)
    if not isinstance(vector, dict):
        raise BadInput(f"{where}: 'vector' must be an object of tokens and weights, it is a {type(vector).__name__}")
    # Types and range are checked before numpy sees the weights: it would take True for 1 and "2" for 2.
    if not {int, float}.issuperset(map(type, vector.values())) or not all(0 <= weight <= FLOAT32 for weight in vector.values()):
        token = next(token for token, weight in vector.items() if not _is_weight(weight))
        raise BadInput(f"{where}: token {token!r} weighs {json.dumps(vector[token])[:40]}; a weight is a number from 0 on")
    try:
        "".join(vector).encode()
    except UnicodeEncodeError:
        raise BadInput(f"{where}: a token holds half of a surrogate pair, which is no character") from None
    return vector


def _is_weight(weight: Json) -> bool:
    return type(weight) in (int, float) and 0 <= weight <= FLOAT32


def _numbers(record: dict[str, Json], where: str) -> Floats:
    vector = _vector(record, where)
    if not isinstance(vector, list) or not vector:
        raise BadInput(f"{where}: 'vector' must be a list of numbers, it is {'empty' if vector == [] else type(vector).__name__}")
    if not {int, float}.issuperset(map(type, vector)) or not all(-FLOAT32 <= number <= FLOAT32 for number in vector):
        raise BadInput(f"{where}: 'vector' holds something that is no finite number")
    return np.array(vector, np.float32)


def _repeated(path: Path) -> list[tuple[str, Mapping[str, float]]]:
    found: dict[str, Mapping[str, float]] = {}
    for number, line in reading.lines(path):
        where = f"{path}:{number}"
        query_id, tab, terms = line.partition("\t")
        if not tab:
            raise BadInput(f"{where}: no tab between query_id and terms")
        if reading.identifier(query_id.strip(), where) in found:
            raise BadInput(f"{where}: duplicate query_id {query_id.strip()!r}")
        found[query_id.strip()] = Counter(terms.split() if terms.isascii() else _TERM.findall(terms))
    return list(found.items())


def _joined(vectors: list[tuple[str, Mapping[str, float]]], names: dict[str, int]) -> SparseVectors:
    """The vectors as CSR arrays, tokens in the order in which they stand; those that weigh nothing are left out."""
    token_ids: list[int] = []
    values: list[float] = []
    for _, vector in vectors:
        token_ids += [names.setdefault(token, len(names)) for token in vector]
        values += vector.values()
    found = np.array(values, np.float32)
    kept = found > 0
    indptr = np.concatenate([[0], np.cumsum(kept)])[np.cumsum([0, *(len(vector) for _, vector in vectors)])]
    ids = np.array(token_ids, np.int64)[kept]
    return SparseVectors([i for i, _ in vectors], Impacts(indptr.astype(np.int64), ids, found[kept], len(names)))


def _stacked(parts: list[Impacts], names: Mapping[str, int]) -> Impacts:
    ends = np.cumsum([0, *(len(part.values) for part in parts)])
    indptr = np.concatenate([[0], *(part.indptr[1:] + end for part, end in zip(parts, ends, strict=False))])
    token_ids, values = (np.concatenate([getattr(part, name) for part in parts]) for name in ("token_ids", "values"))
    return Impacts(indptr.astype(np.int64), token_ids, values, len(names))
