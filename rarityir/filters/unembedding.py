"""The unembedding as filters read it: blocks of rows, of which some may be left out, scaled or centred."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rarityir import checkpoints
from rarityir.checkpoints import ENTRIES
from rarityir.counts import real_rows
from rarityir.types import Floats, Ints, RarityError


def _choice(text: str) -> str:
    if text not in ("all", "real"):
        raise ValueError(text)
    return text


def _switch(text: str) -> bool:
    if text not in ("yes", "no"):
        raise ValueError(text)
    return text == "yes"


_choice.__name__, _switch.__name__ = "choice of all and real", "choice of yes and no"


@dataclass(frozen=True)
class Reading:
    """How rows are read: which of them, whether their mean is taken off, whether the final norm's gain is folded in.

    `rows=real` leaves padding rows and special tokens out. `gain=yes` is for states before the final norm's gain: rows
    become w ⊙ g, and lose their own mean where that norm is a LayerNorm, which centres the states.
    """

    rows: str = "all"
    center: bool = False
    gain: bool = False

    def __str__(self) -> str:
        parts = ["rows=real"] * (self.rows == "real") + ["center=yes"] * self.center + ["gain=yes"] * self.gain
        return ",".join(parts)


AS_STORED = Reading()
READING = {"rows": _choice, "center": _switch, "gain": _switch}  # the options of every filter that reads the rows


def reading(given: Mapping[str, object], **other: object) -> Reading:
    """Returns the reading that a filter's options describe."""
    return Reading(**{key: value for key, value in {**other, **given}.items() if key in READING})  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class Unembedding:
    """A (V, D) matrix in float32 blocks, with what is known of the model it belongs to."""

    read: Callable[[], Iterator[Floats]] = field(repr=False)
    model: str | None = None
    turn: NDArray[Any] | None = field(default=None, repr=False)

    @classmethod
    def of(cls, given: Floats | str | Path, model: str | None = None) -> Unembedding:
        """Returns the unembedding of a short name, hub id or path (not loading the model), or a (V, D) array."""
        if isinstance(given, str | Path):
            return cls(checkpoints.unembedding(str(given)).blocks, str(given))
        matrix = np.asarray(given)
        if matrix.ndim != 2 or not matrix.size:
            raise RarityError(f"an unembedding is a (V, D) matrix; this array has shape {matrix.shape}")

        def read() -> Iterator[Floats]:
            rows = max(1, ENTRIES // matrix.shape[1])
            for start in range(0, len(matrix), rows):
                yield matrix[start : start + rows].astype(np.float32, copy=False)

        return cls(read, model)

    def turned(self, turn: NDArray[Any]) -> Unembedding:
        """Returns the rows as coordinates in which a filter before this one gives its embeddings."""
        return replace(self, turn=turn if self.turn is None else self.turn @ turn)

    @cached_property
    def _seen(self) -> tuple[str, tuple[int, int]]:
        total, rows, width = hashlib.sha256(), 0, 0
        for block in self.read():
            total.update(np.ascontiguousarray(block).data)
            rows, width = rows + len(block), block.shape[1]
        total.update(json.dumps([rows, width]).encode())
        return total.hexdigest(), (rows, width)

    @property
    def digest(self) -> str:
        """The SHA-256 over the matrix's float32 rows and its shape."""
        return self._seen[0]

    @property
    def vocabulary(self) -> int:
        """The number V of rows."""
        return self._seen[1][0]

    @property
    def width(self) -> int:
        """The rows' width, after a turn where there is one."""
        return self._seen[1][1] if self.turn is None else self.turn.shape[1]

    def used(self, how: Reading) -> NDArray[np.bool_]:
        """Returns which of the V rows a reading uses."""
        if how.rows == "all":
            return np.ones(self.vocabulary, bool)
        return real_rows(self.known("rows=real"), self.vocabulary)

    def blocks(self, how: Reading = AS_STORED) -> Iterator[tuple[Ints, NDArray[Any]]]:
        """Yields (ids, rows) block by block: masked and scaled as the reading says, not yet centred."""
        used = self.used(how) if how.rows != "all" else None
        gain, centres = checkpoints.final_norm(self.known("gain=yes")) if how.gain else (None, False)
        start = 0
        for block in self.read():
            ids = np.arange(start, start + len(block))
            start += len(block)
            if used is not None:
                ids, block = ids[used[ids]], block[used[ids]]
            if gain is not None:
                if len(gain) != block.shape[1]:
                    raise RarityError(
                        f"{self.model}: its final norm has width {len(gain)}, its head {block.shape[1]}; leave gain out"
                    )
                block = block * gain
            if centres:
                block = block - block.mean(axis=1, keepdims=True)
            if self.turn is not None and len(self.turn) != block.shape[1]:
                raise RarityError(f"the filter before is of width {len(self.turn)}, the unembedding of {block.shape[1]}")
            yield ids, block if self.turn is None else (block @ self.turn)

    def read_with(self, how: Reading) -> str:
        """Returns a digest of what a reading takes from the model besides its rows, empty where that is nothing."""
        if how.rows == "all" and not how.gain:
            return ""
        total = hashlib.sha256(np.packbits(self.used(how)).tobytes())
        if how.gain:
            gain, centres = checkpoints.final_norm(self.known("gain=yes"))
            total.update(gain.tobytes() + bytes([centres]))
        return f"-{total.hexdigest()[:16]}"

    def weighted(self, weights_V: NDArray[np.float64], how: Reading = AS_STORED) -> NDArray[np.float64]:
        """Returns Σ weight · row over the vocabulary: Wᵀ weights, (D,) or (D, M) for M columns of weights."""
        return np.asarray(sum(rows.astype(np.float64).T @ weights_V[ids] for ids, rows in self.blocks(how)))

    def gather(self, wanted: Ints, how: Reading = AS_STORED) -> NDArray[np.float64]:
        """Returns the rows of some ids, in rising order of id."""
        return np.concatenate([rows[np.isin(ids, wanted)] for ids, rows in self.blocks(how)]).astype(np.float64)

    def known(self, option: str) -> str:
        """Returns the model; an option that needs one is a `RarityError` without it."""
        if self.model is None:
            raise RarityError(f"{option} needs the model that the unembedding belongs to, not the array alone")
        return self.model
