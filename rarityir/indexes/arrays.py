"""The arrays of a sparse index and its folder: gathered or written block by block, opened memory-mapped."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rarityir import parsing, store, unfinished
from rarityir.indexes.packing import BLOCK, Codes, packed
from rarityir.types import Ints, RarityError

_FACTS, _FORMAT = "index.json", 2


class Arrays(NamedTuple):
    """An index's arrays (N documents, V tokens, P light postings, H heavy tokens of all blocks), as its files hold them."""

    starts: Any  # (blocks + 1, 2) int64: light postings, and heavy tokens, before each block
    pointers: Any  # (blocks, V + 1) uint32: a block's light postings before each token
    peaks: Any  # (blocks, V) uint8: a token's largest impact in a block is at most this times the block's step
    steps: Any  # (blocks,) float32
    rows: Any  # (P,) uint16: within the block, rising within a token
    impacts: Any  # (P,) uint8
    heavy: Any  # (H, 2) uint32: the token, rising within a block, and how many of the block's documents have it
    columns: Any  # uint8: for each heavy token an impact of every document of the block, 0 for none
    scales: Any  # (N,) float32


NAMES = Arrays._fields
_TYPES = {
    name: np.dtype(kind)
    for name, kind in zip(NAMES, ("i8", "u4", "u1", "f4", "u2", "u1", "u4", "u1", "f4"), strict=True)
}  # fmt: skip


def gathered(blocks: Iterable[Codes]) -> dict[str, Any]:
    """Returns the arrays of an index in memory."""
    parts = list(_counted(packed(blocks)))
    return {name: np.concatenate([part[name] for part in parts]) for name in NAMES}


def write(blocks: Iterable[Codes], folder: Path) -> None:
    """Writes the arrays of an index as its blocks come."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {name: Growing(folder / f"{name}.npy") for name in NAMES}
    try:
        for part in _counted(packed(blocks)):
            for name, file in files.items():
                file.append(part[name])
            del part  # gone before the next block is gathered, here and in `_counted`
        _write_facts(folder, {name: file.close() for name, file in files.items()})
    finally:
        for file in files.values():
            file.discard()


def save(found: dict[str, Any], folder: Path) -> Path:
    """Writes the arrays of an index; returns the folder."""
    for name, array in found.items():
        with store.replacing(folder / f"{name}.npy") as temporary, temporary.open("wb") as file:
            np.save(file, np.asarray(array))
    _write_facts(folder, {name: array.shape for name, array in found.items()})
    return folder


def load(folder: Path) -> dict[str, Any]:
    """Opens an index's arrays; raises `RarityError` where one is missing, cut short or of another format."""
    try:
        facts = parsing.value(folder / _FACTS)
        if facts.get("format") != _FORMAT:
            raise RarityError(f"{folder} holds a sparse index in the format of another version; build it again")
        found = {name: parsing.array(folder / f"{name}.npy", mapped=True) for name in NAMES}
    except parsing.BROKEN as error:
        raise RarityError(f"{folder} holds no whole sparse index ({error}); build it again") from None
    if {name: list(array.shape) for name, array in found.items()} != facts.get("shapes"):
        raise RarityError(f"{folder} holds no whole sparse index (its arrays are of other sizes); build it again")
    if not (_formed(found) and _sound(found)):  # the compiled loops read where these arrays point and do not look
        raise RarityError(f"{folder} holds a damaged sparse index (its arrays point outside each other); build it again")
    return found


def document_frequencies(found: dict[str, Any]) -> Ints:
    """Returns how many documents have each token: (V,)."""
    light: Ints = np.diff(np.asarray(found["pointers"]).astype(np.int64), axis=1).sum(axis=0)
    heavy = np.asarray(found["heavy"])
    np.add.at(light, heavy[:, 0], heavy[:, 1])
    return light


def first_frequencies(found: dict[str, Any], count: int) -> Ints:
    """Returns how many of the first `count` documents have each token: (V,)."""
    pointers, starts = np.asarray(found["pointers"]).astype(np.int64), np.asarray(found["starts"])
    size, at = pointers.shape[1] - 1, 0
    total = np.zeros(size, np.int64)
    for block, first in enumerate(range(0, min(count, len(found["scales"])), BLOCK)):
        documents, (light, heavy) = min(BLOCK, len(found["scales"]) - first), starts[block : block + 2].T
        tokens = np.repeat(np.arange(size), np.diff(pointers[block]))
        total += np.bincount(tokens[np.asarray(found["rows"][light[0] : light[1]]) < count - first], minlength=size)
        columns = np.asarray(found["columns"][at : at + documents * (heavy[1] - heavy[0])]).reshape(-1, documents)
        total[np.asarray(found["heavy"])[heavy[0] : heavy[1], 0]] += (columns[:, : count - first] > 0).sum(axis=1)
        at += columns.size
    return total


def compiled(found: dict[str, Any]) -> Arrays:
    """Returns the arrays as the compiled loops take them."""
    views = [np.asarray(found[name]).view() for name in NAMES]
    for array in views:  # as those from a file: the loops are compiled once for both
        array.flags.writeable = False
    return Arrays(*views)


def _formed(found: dict[str, Any]) -> bool:
    """Whether the arrays are of the types and sizes that `Arrays` says."""
    if {name: array.dtype for name, array in found.items()} != _TYPES or not all(a.flags.c_contiguous for a in found.values()):
        return False
    if [found[name].ndim for name in NAMES] != [2, 2, 2, 1, 1, 1, 2, 1, 1] or not len(found["scales"]):
        return False
    count, size = -(-len(found["scales"]) // BLOCK), found["peaks"].shape[1]
    wanted = {"starts": (count + 1, 2), "pointers": (count, size + 1), "peaks": (count, size), "steps": (count,)}
    wanted |= {"impacts": found["rows"].shape, "heavy": (len(found["heavy"]), 2)}
    return size > 0 and all(found[name].shape == shape for name, shape in wanted.items())


def _sound(found: dict[str, Any]) -> bool:
    """Whether postings lie within their arrays and rows within the last block, which may be shorter than others."""
    starts, pointers = np.asarray(found["starts"]), np.asarray(found["pointers"])
    light = np.diff(starts[:, 0])
    inside = (starts[0] == 0).all() and (starts[-1] == (len(found["rows"]), len(found["heavy"]))).all()
    rising = (pointers[:, 0] == 0).all() and (pointers[:, 1:] >= pointers[:, :-1]).all() and (pointers[:, -1] == light).all()
    documents = len(found["scales"]) - (len(light) - 1) * BLOCK
    heavy = np.diff(starts[:, 1])
    inside &= (
        (light >= 0).all()
        and (heavy >= 0).all()
        and len(found["columns"]) == int(heavy[:-1].sum()) * BLOCK + int(heavy[-1]) * documents
    )
    if not inside:
        return False
    rows, tokens = np.asarray(found["rows"][starts[-2, 0] :]), np.asarray(found["heavy"])[:, 0]
    return bool(inside and rising and (rows < documents).all() and (tokens < pointers.shape[1] - 1).all())


def _write_facts(folder: Path, shapes: dict[str, tuple[int, ...]]) -> None:
    documents, vocabulary = shapes["scales"][0], shapes["peaks"][1]
    store.write_json(folder / _FACTS, {"format": _FORMAT, "documents": documents, "vocabulary": vocabulary, "shapes": shapes})


def _counted(parts: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The blocks' arrays with `starts`: the light postings and heavy tokens before each block, and last of all."""
    starts = np.zeros((1, 2), np.int64)
    none = True
    for part in parts:
        after = starts[-1:] + np.array([[len(part["rows"]), len(part["heavy"])]])
        part["starts"] = np.concatenate([starts, after]) if none else after
        yield part
        del part
        starts, none = after, False
    if none:
        raise RarityError("there are no documents to index")


class Growing:
    """A `.npy` file whose first axis grows; numpy leaves room in the header for its final length."""

    def __init__(self, path: Path) -> None:
        self._path, self._temporary = path, unfinished.beside(path)
        self._file: BinaryIO = self._temporary.open("wb")
        self._sample: NDArray[Any] | None = None
        self._shape: tuple[int, ...] = (0,)

    def append(self, array: NDArray[Any]) -> None:
        """Writes more of the first axis."""
        array = np.ascontiguousarray(array)
        if self._sample is None:
            self._sample, self._shape = array[:0], (0, *array.shape[1:])
            self._header()
        self._shape = (self._shape[0] + len(array), *self._shape[1:])
        self._file.write(array.data)

    def close(self) -> tuple[int, ...]:
        """Gives the file its length and its name; returns the array's shape."""
        self._file.seek(0)
        self._header()
        self._file.close()
        store.sync(self._temporary)
        os.replace(self._temporary, self._path)
        return self._shape

    def discard(self) -> None:
        """Removes what has no name yet."""
        self._file.close()
        self._temporary.unlink(missing_ok=True)

    def _header(self) -> None:
        descr = np.lib.format.dtype_to_descr(self._sample.dtype if self._sample is not None else np.dtype(np.uint8))
        np.lib.format.write_array_header_1_0(self._file, {"shape": self._shape, "fortran_order": False, "descr": descr})
