"""Gram matrices of folds out of one pass over the rows, from which every regression of the probe follows.

Two passes, in fact: the mean first, then products of centred rows. Rows of language models stand far off the origin and
their spectrum falls steeply; products of rows that are not centred, or summed in float32, lose what a probe looks for.
Only D × D is held for each fold, in float64 and as a lower triangle; V × D never is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from rarityir.types import BadInput, Ints, RarityError

Vectors = NDArray[np.float64]
ENTRIES, ROWS = 1 << 24, 1 << 14  # of a block, at most
PRECISIONS = ("exact", "fast")


class Source(Protocol):
    """Rows that can be read again and again, block by block, in order."""

    @property
    def shape(self) -> tuple[int, int]:
        """V and D."""

    def blocks(self, rows: int) -> Iterator[NDArray[Any]]:
        """Yields blocks of so many rows."""


@dataclass(frozen=True)
class Plain:
    """An array (V, D), perhaps mapped from a file, as a source."""

    array: NDArray[Any]

    @property
    def shape(self) -> tuple[int, int]:
        """V and D."""
        return (int(self.array.shape[0]), int(self.array.shape[1]))

    def blocks(self, rows: int) -> Iterator[NDArray[Any]]:
        """Yields so many rows at a time."""
        for start in range(0, len(self.array), rows):
            yield self.array[start : start + rows]


def source(x: Any) -> Source:
    """Returns the rows of an array (V, D) of numbers, or of anything with `.shape` and `.blocks(rows)`."""
    if hasattr(x, "blocks"):
        found: Source = x
        return found
    array = np.asanyarray(x)
    if array.ndim != 2 or array.dtype.kind not in "fiub" or not array.size:
        raise RarityError(f"rows are a (V, D) array of numbers; this one has shape {array.shape} and holds {array.dtype}")
    return Plain(array)


def reading(rows: Source, block: int = 0) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yields blocks of rows, each with the number of its first one. Raises `BadInput` if they are not as many as promised."""
    count, width = rows.shape
    at = 0
    for part in rows.blocks(block or min(ROWS, max(256, ENTRIES // width))):
        if part.ndim != 2 or part.shape[1] != width or at + len(part) > count:
            raise BadInput(f"a block of shape {part.shape} after {at} rows; the source promised {count} rows of {width}")
        yield at, part
        at += len(part)
    if at != count:
        raise BadInput(f"the source gave {at} rows and promised {count}; read it whole")


def centre(rows: Source, used_V: NDArray[np.bool_], block: int = 0) -> Vectors:
    """Returns the mean (D,) of the rows that are used. Raises `RarityError` for rows that are not finite."""
    total_D = np.zeros(rows.shape[1])
    for at, part in reading(rows, block):
        total_D += used_V[at : at + len(part)].astype(np.float64) @ part.astype(np.float64)
        if not np.isfinite(total_D).all():
            bad = np.flatnonzero(~np.isfinite(part).all(axis=1))
            where = f"row {at + bad[0]} holds" if len(bad) else f"the sums of rows up to {at + len(part) - 1} hold"
            raise RarityError(f"{where} entries that are not finite; leave such rows out")
    return np.asarray(total_D / used_V.sum())


class Moments(NamedTuple):
    """Sums over rows x and columns y, each about one fixed centre; with weights where rows have some.

    `gram` is (D, D), its lower triangle alone; `cross` is (D, C); `outer` (E, E) is of the first E columns among themselves.
    """

    mass: float
    sums: Vectors
    gram: Vectors
    cross: Vectors
    y_sums: Vectors
    y_squares: Vectors
    outer: Vectors

    @classmethod
    def zeros(cls, width: int, columns: int, outer: int) -> Moments:
        """Sums of no rows."""
        shapes = ((width,), (width, width), (width, columns), (columns,), (columns,), (outer, outer))
        return cls(0.0, *(np.zeros(shape, order="F") for shape in shapes))

    def plus(self, x_BD: Vectors, y_BC: Vectors, weights_B: Vectors | None, dtype: type = np.float64) -> Moments:
        """Adds rows, to the arrays in place; the Gram matrix of these rows is multiplied in `dtype`."""
        mass = float(len(x_BD)) if weights_B is None else float(weights_B.sum())
        if weights_B is not None:
            roots = np.sqrt(weights_B)[:, None]
            self.sums[:] += weights_B @ x_BD
            self.y_sums[:] += weights_B @ y_BC
            x_BD, y_BC = x_BD * roots, y_BC * roots
        else:
            self.sums[:] += x_BD.sum(axis=0)
            self.y_sums[:] += y_BC.sum(axis=0)
        _add_gram(x_BD.astype(dtype, copy=False), self.gram)
        self.cross[:] += x_BD.T @ y_BC
        self.y_squares[:] += np.einsum("bc,bc->c", y_BC, y_BC)
        first = y_BC[:, : len(self.outer)]
        self.outer[:] += first.T @ first
        return self._replace(mass=self.mass + mass)

    def first(self, columns: int) -> Moments:
        """The same sums with the first columns alone."""
        return self._replace(
            cross=self.cross[:, :columns],
            y_sums=self.y_sums[:columns],
            y_squares=self.y_squares[:columns],
            outer=self.outer[:columns, :columns],
        )

    def narrow(self, width: int) -> Moments:
        """The sums of the rows' first columns, in arrays of their own."""
        gram = self.gram[:width, :width].copy(order="F")
        return self._replace(sums=self.sums[:width].copy(), gram=gram, cross=self.cross[:width].copy())

    def within(self, basis_DK: Vectors) -> Moments:
        """The sums of the rows' coordinates x @ basis."""
        from scipy.linalg import blas

        gram = basis_DK.T @ blas.dsymm(1.0, self.gram, basis_DK, lower=1)
        return self._replace(sums=self.sums @ basis_DK, gram=np.asfortranarray(gram), cross=basis_DK.T @ self.cross)

    def joined(self, other: Moments) -> Moments:
        """Adds another's sums, in place."""
        for mine, theirs in zip(self[1:], other[1:], strict=True):
            mine += theirs
        return self._replace(mass=self.mass + other.mass)


def _add_gram(x_BD: NDArray[Any], gram_DD: Vectors) -> None:
    from scipy.linalg import blas

    if x_BD.dtype == np.float32:
        gram_DD += blas.ssyrk(1.0, x_BD.T, lower=1)
    else:  # into the array itself: it is float64 and in Fortran's order, so that nothing is copied
        blas.dsyrk(1.0, x_BD.T, beta=1.0, c=gram_DD, lower=1, overwrite_c=1)


@dataclass(frozen=True)
class FoldGrams:
    """The sums of each fold about common centres `x_mean` (D,) and `y_mean` (C,)."""

    folds: tuple[Moments, ...]
    x_mean: Vectors
    y_mean: Vectors

    def without(self, *left_out: int) -> Moments:
        """Returns the sums of all folds but these: sums of parts, so that nothing cancels."""
        kept = [fold for number, fold in enumerate(self.folds) if number not in left_out]
        total = Moments(kept[0].mass, *(part.copy(order="F") for part in kept[0][1:]))
        for fold in kept[1:]:
            total = total.joined(fold)
        return total


Columns = Callable[[Ints], Vectors]  # the columns (B, C) of rows that are named by number


class Weighing(NamedTuple):
    """One set of Grams: each row's weight (None: all equal), the columns, how many there are, and how many go into `outer`."""

    weights: Vectors | None
    columns: Columns
    width: int
    outer: int


def fold_grams(
    rows: Source,
    folds_V: Ints,
    weighings: Sequence[Weighing],
    x_mean_D: Vectors,
    y_means: Sequence[Vectors],
    *,
    precision: str = "exact",
    block: int = 0,
) -> list[FoldGrams]:
    """Returns the sums of each fold for each weighing, out of one pass over the rows; rows of no fold (−1) are left out.

    `precision="fast"` multiplies in float32 and adds up in float64: twice as fast and good to about 1e-5 of an R² at best.
    """
    if precision not in PRECISIONS:
        raise RarityError(f"precision {precision!r} is none of {', '.join(PRECISIONS)}")
    dtype = np.float64 if precision == "exact" else np.float32
    count = int(folds_V.max()) + 1
    sums = [[Moments.zeros(rows.shape[1], w.width, w.outer) for _ in range(count)] for w in weighings]
    for at, part in reading(rows, block):
        for fold in range(count):
            inside = np.flatnonzero(folds_V[at : at + len(part)] == fold)
            if not len(inside):
                continue
            x_BD = part[inside].astype(np.float64)
            x_BD -= x_mean_D
            for weighing, mean, found in zip(weighings, y_means, sums, strict=True):
                weights = None if weighing.weights is None else weighing.weights[at + inside]
                found[fold] = found[fold].plus(x_BD, weighing.columns(at + inside) - mean, weights, dtype)
    return [FoldGrams(tuple(found), x_mean_D, mean) for found, mean in zip(sums, y_means, strict=True)]
