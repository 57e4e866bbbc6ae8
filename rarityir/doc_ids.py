"""A corpus's doc_ids on disk: row to id and id to row, for any number of documents in the memory of a few."""

from __future__ import annotations

import mmap
import tempfile
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, overload
from zlib import crc32

import numpy as np

from rarityir import parsing
from rarityir.types import BadInput, StaleArtefact

if TYPE_CHECKING:
    from numpy.typing import NDArray

IDS, ENDS, SORTED = "doc_ids.txt", "doc_id_ends.npy", "doc_id_rows.npy"
AT_ONCE = 1 << 16  # ids that are read or written together
ROW_BITS = np.uint64(32)  # of a sorted entry: the id's CRC-32 above, its row below


class DocIds(Sequence[str]):
    """The ids in row order. What is asked for is read from the folder; nothing is held."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            self._ends = np.asarray(parsing.array(folder / ENDS, mapped=True))
            self._sorted = np.asarray(parsing.array(folder / SORTED, mapped=True))
            with (folder / IDS).open("rb") as file:
                self._text = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            for found in (self._ends, self._sorted):
                parsing.need(found.dtype == np.uint64 and found.shape == self._ends.shape and found.ndim == 1, "other sizes")
            parsing.need(len(self._ends) and int(self._ends[-1]) == len(self._text), "other lengths")
        except parsing.BROKEN:
            raise self._broken() from None

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> list[str]: ...
    def __getitem__(self, row: int | slice) -> str | list[str]:
        if isinstance(row, slice):
            return [self[i] for i in range(*row.indices(len(self)))]
        if not -len(self) <= row < len(self):
            raise IndexError(row)
        at = row % len(self)
        try:
            return self._text[int(self._ends[at - 1]) if at else 0 : int(self._ends[at]) - 1].decode()
        except UnicodeDecodeError:
            raise self._broken() from None

    def __iter__(self) -> Iterator[str]:
        start = 0
        for end in [*self._ends[AT_ONCE - 1 :: AT_ONCE].tolist(), len(self._text)]:
            try:
                yield from self._text[start:end].decode().split("\n")[:-1]
            except UnicodeDecodeError:
                raise self._broken() from None
            start = end

    def __contains__(self, doc_id: object) -> bool:
        return isinstance(doc_id, str) and bool(self.rows([doc_id]))

    def index(self, doc_id: str, start: int = 0, stop: int | None = None) -> int:
        """Returns the row of an id; `ValueError` for one that is not there."""
        row = self.rows([doc_id]).get(doc_id, -1)
        if row not in range(len(self))[start:stop]:
            raise ValueError(f"{doc_id!r} is not in the corpus")
        return row

    def rows(self, doc_ids: Iterable[str]) -> dict[str, int]:
        """Returns the row of each of some ids that is there."""
        wanted = list(dict.fromkeys(doc_ids))
        codes = np.array([crc32(doc_id.encode()) for doc_id in wanted], np.uint64)
        starts = np.searchsorted(self._sorted, codes << ROW_BITS).tolist()
        ends = np.searchsorted(self._sorted, (codes + np.uint64(1)) << ROW_BITS).tolist()
        ends = [len(self) if code == 0xFFFFFFFF else end for code, end in zip(codes.tolist(), ends, strict=True)]
        found = {}
        for doc_id, start, end in zip(wanted, starts, ends, strict=True):
            row = next((row for row in _low(self._sorted[start:end]) if row < len(self) and self[row] == doc_id), None)
            if row is not None:
                found[doc_id] = row
        return found

    def repeated(self) -> tuple[int, int] | None:
        """Returns two rows of one id, the pair whose second row is first; None where every id is there once."""
        first: tuple[int, int] | None = None
        for start in range(0, len(self) - 1, AT_ONCE):
            codes = self._sorted[start : start + AT_ONCE + 1] >> ROW_BITS
            for at in (start + np.flatnonzero(codes[1:] == codes[:-1])).tolist():
                pair = self._same(at)
                if pair and (first is None or pair[1] < first[1]):
                    first = pair
        return first

    def _rows(self, at: int) -> list[int]:
        """The row of a sorted entry."""
        rows = _low(self._sorted[at : at + 1])
        if rows[0] >= len(self):
            raise self._broken()
        return rows

    def _broken(self) -> StaleArtefact:
        return StaleArtefact(f"{self._folder} holds no whole doc_ids; remove the folder to read them again: rm -r {self._folder}")

    def _same(self, at: int) -> tuple[int, int] | None:
        """The last row before that of a sorted entry's successor which has its id, and that row; their CRC-32 is one."""
        (row,) = self._rows(at + 1)
        while at >= 0 and self._sorted[at] >> ROW_BITS == self._sorted[at + 1] >> ROW_BITS:
            (earlier,) = self._rows(at)
            if self[earlier] == self[row]:
                return earlier, row
            at -= 1
        return None


def rows_of(doc_ids: Sequence[str], wanted: Iterable[str]) -> dict[str, int]:
    """Returns the row of each of some ids that is among the doc_ids of a corpus or a run."""
    if isinstance(doc_ids, DocIds):
        return doc_ids.rows(wanted)
    known = set(wanted)
    return {doc_id: row for row, doc_id in enumerate(doc_ids) if doc_id in known}


@contextmanager
def writing(folder: Path) -> Iterator[Callable[[str], None]]:
    """Gives what takes doc_ids in row order; at the end they are in the folder, as `DocIds` reads them.

    Raises `BadInput` for an id that holds the end of a line.
    """
    with ExitStack() as stack:
        file = stack.enter_context((folder / IDS).open("wb"))
        ends, keys = (stack.enter_context(tempfile.TemporaryFile(dir=folder)) for _ in range(2))
        writer = _Writer(file, ((array("Q"), ends), (array("Q"), keys)))
        yield writer.take
        writer.flush()
        for name, spool in ((ENDS, ends), (SORTED, keys)):
            _copy(spool, folder / name, writer.rows)
    np.load(folder / SORTED, mmap_mode="r+").sort()  # in place, on the file's own pages


@dataclass
class _Writer:
    text: IO[bytes]
    columns: tuple[tuple[Any, IO[bytes]], ...]  # of ends and of codes with rows, each with where it is spooled
    rows: int = 0
    end: int = 0

    def take(self, doc_id: str) -> None:
        if "\n" in doc_id:
            raise BadInput(f"doc_id {doc_id!r} holds the end of a line, which no run can")
        line = doc_id.encode() + b"\n"
        self.text.write(line)
        self.end += len(line)
        for (values, _), value in zip(self.columns, (self.end, crc32(line[:-1]) << 32 | self.rows), strict=True):
            values.append(value)
        self.rows += 1
        if self.rows % AT_ONCE == 0:
            self.flush()

    def flush(self) -> None:
        for values, spool in self.columns:
            values.tofile(spool)
            del values[:]


def _copy(spool: Any, path: Path, count: int) -> None:
    spool.seek(0)
    with path.open("wb") as file:  # written, not mapped: where a disk is full, a page that was never written ends the process
        header = {"descr": "<u8", "fortran_order": False, "shape": (count,)}
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, count, AT_ONCE):
            file.write(np.fromfile(spool, np.uint64, min(AT_ONCE, count - start)).astype("<u8", copy=False).data)


def _low(entries: NDArray[np.uint64]) -> list[int]:
    rows: list[int] = (entries & np.uint64(0xFFFFFFFF)).tolist()
    return rows
