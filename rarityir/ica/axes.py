"""Axes as a value: rows to coordinates and back, the items that stand out on each, and a folder without any pickle."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rarityir import checkpoints, parsing, store
from rarityir.ica.diagnostics import Diagnostics
from rarityir.types import Json, RarityError, StaleArtefact

if TYPE_CHECKING:
    from rarityir.ica.cosine import AxisHit

Vectors = NDArray[np.float64]
WEIGHTS, CARD = "axes.safetensors", "ica.json"


@dataclass(frozen=True, eq=False)
class Axes:
    """K axes of a space of width D: s = (x − mean) @ reading.T, and x = mean + s @ writing where no direction was left out.

    Over the rows of the fit the coordinates s are centred, uncorrelated and of variance 1. Axes come by falling skewness, and
    each is turned so that its long tail is positive: over the rows the rotation was searched on, which `ICA.sample` may make few.
    """

    mean: Vectors = field(repr=False)
    reading: Vectors = field(repr=False)  # (K, D)
    writing: Vectors = field(repr=False)  # (K, D)
    diagnostics: Diagnostics = field(repr=False)
    fitted_on: dict[str, Json] = field(default_factory=dict)
    labels: tuple[tuple[str, ...], ...] = field(default=(), repr=False)  # of each axis, the items at its positive end

    def __len__(self) -> int:
        return len(self.reading)

    @property
    def width(self) -> int:
        """The width D of the rows."""
        return len(self.mean)

    @np.errstate(over="ignore", invalid="ignore")  # of axes that nobody fitted
    def transform(self, x_BD: NDArray[Any], *, normalize: bool = False) -> Vectors:
        """Returns coordinates (B, K); normalised they are rows of unit length, as axes are read and cosines taken."""
        x = np.asarray(x_BD, np.float64)
        if x.shape[-1] != self.width:
            raise RarityError(
                f"these axes are of rows {self.width} wide, not {x.shape[-1]}; fit them on embeddings of that model"
            )
        s_BK = (x - self.mean) @ self.reading.T
        return unit(s_BK) if normalize else s_BK

    @np.errstate(over="ignore", invalid="ignore")
    def inverse_transform(self, s_BK: NDArray[Any]) -> Vectors:
        """Returns rows (B, D) of coordinates; what lay outside the axes is gone."""
        return np.asarray(self.mean + np.asarray(s_BK, np.float64) @ self.writing)

    def drop(self, axes: Sequence[int]) -> Axes:
        """Returns the axes without some of them; one that is none of them is a `RarityError`."""
        kept = np.setdiff1d(np.arange(len(self)), self.chosen(axes))
        labels = tuple(self.labels[i] for i in kept) if self.labels else ()
        told = self.diagnostics.of(kept)
        return replace(self, reading=self.reading[kept], writing=self.writing[kept], diagnostics=told, labels=labels)

    def chosen(self, axes: Sequence[int]) -> NDArray[np.int64]:
        """Returns axes' numbers as an array; one that is none of them is a `RarityError`."""
        wanted = np.asarray(list(axes), np.int64)
        if len(wanted) and not (wanted.min() >= 0 and wanted.max() < len(self)):
            raise RarityError(f"axis {wanted[(wanted < 0) | (wanted >= len(self))][0]} is none of 0 to {len(self) - 1}")
        return wanted

    def labelled(self, x_ND: NDArray[Any], names: Sequence[str], k: int = 10) -> Axes:
        """Returns the axes with the k names of the rows that stand highest on each, rows normalised first."""
        if len(x_ND) != len(names):
            raise RarityError(f"{len(x_ND)} rows have {len(names)} names; give one for each")
        rows_KT = tops(self.transform(x_ND, normalize=True), k)
        return self.named([[names[i] for i in rows] for rows in rows_KT])

    def named(self, names: Sequence[Sequence[str]]) -> Axes:
        """Returns the axes with a list of names each."""
        if len(names) != len(self):
            raise RarityError(f"{len(self)} axes were given {len(names)} lists of names")
        return replace(self, labels=tuple(map(tuple, names)))

    def label(self, axis: int, k: int = 3) -> str:
        """Returns an axis's first names in one string; empty where it has none."""
        return " ".join(self.labels[axis][:k]) if self.labels else ""

    def explain(self, q_D: NDArray[Any], d_D: NDArray[Any], *, alpha: float = 0.05) -> list[AxisHit]:
        """Returns the axes that carry the cosine of two rows, as `rarityir.ica.cosine.explain` says."""
        from rarityir.ica.cosine import explain

        return explain(self, q_D, d_D, alpha=alpha)

    def ablate(self, x_BD: NDArray[Any], axes: Sequence[int]) -> Vectors:
        """Returns normalised coordinates (B, K) with some axes at 0, not normalised again: dot products lose those axes' part."""
        s_BK = self.transform(x_BD, normalize=True)
        s_BK[..., self.chosen(axes)] = 0.0
        return s_BK

    @cached_property
    def digest(self) -> str:
        """The SHA-256 over mean, reading and writing directions."""
        total = hashlib.sha256()
        for array in (self.mean, self.reading, self.writing):
            total.update(np.ascontiguousarray(array, "<f8").data)
        return total.hexdigest()

    def save(self, folder: str | Path) -> Path:
        """Writes `axes.safetensors` and its card `ica.json` into a folder."""
        folder = Path(folder)
        if (folder / WEIGHTS).exists() and not (folder / CARD).exists():
            raise RarityError(f"{folder} holds {WEIGHTS} that is not of axes; choose another folder")
        tensors = {"mean": self.mean, "reading": self.reading, "writing": self.writing}
        card = {"sha256": self.digest, "diagnostics": self.diagnostics.json(), "fitted_on": self.fitted_on}
        store.write_json(folder / CARD, {**card, "labels": [list(names) for names in self.labels]})
        checkpoints.write_tensors(folder / WEIGHTS, tensors)  # after its card: weights without one are someone else's
        return folder

    @classmethod
    def load(cls, folder: str | Path) -> Axes:
        """Reads saved axes; what is not whole is a `RarityError`, tensors of another card a `StaleArtefact`."""
        folder = Path(folder)

        def made(card: dict[str, Json], found: dict[str, Any]) -> Axes:
            labels = tuple(tuple(names) for names in card["labels"])
            diagnostics = Diagnostics.read(card["diagnostics"])
            axes = cls(found["mean"], found["reading"], found["writing"], diagnostics, dict(card["fitted_on"]), labels)
            _check(axes)
            return axes

        again = "write them with rarityir ica fit"
        axes, card = checkpoints.carded(folder / CARD, folder / WEIGHTS, made, what="axes", again=again)
        if axes.digest != card.get("sha256"):
            raise StaleArtefact(f"{folder / WEIGHTS} is not what its card {CARD} describes; fit and save the axes again")
        return axes


def _check(axes: Axes) -> None:
    """Raises `ValueError` for arrays, labels or diagnostics that are not of one size."""
    (count, width), said = axes.reading.shape, axes.diagnostics
    for array in (axes.reading, axes.writing):
        parsing.need(array.size and parsing.finite(array, count, width), "directions that are no matrix of numbers")
    parsing.need(parsing.finite(axes.mean, width), "a mean of another width")
    parsing.need(not axes.labels or len(axes.labels) == count, "labels of other axes")
    parsing.need(all(isinstance(name, str) for names in axes.labels for name in names), "labels that are no text")
    for array in (said.skew, said.kurtosis, said.log_cosh, said.neg_exp, *([] if said.stability is None else [said.stability])):
        parsing.need(parsing.finite(array, count), "diagnostics of other axes")
    parsing.need(
        0 < int(said.fitted_rows) < 2**53 and int(said.n_iter) >= 0 and int(said.seeds) > 0, "diagnostics that are no numbers"
    )


def unit(s_BK: Vectors) -> Vectors:
    """Returns rows of unit length; a row of zeros stays one."""
    norms = np.linalg.norm(s_BK, axis=-1, keepdims=True)
    return np.asarray(s_BK / np.where(norms > 0, norms, 1.0))


def tops(s_NK: Vectors, k: int) -> NDArray[np.int64]:
    """Returns the k highest rows of each column (K, k), of equal ones the earlier."""
    return np.argsort(-s_NK, axis=0, kind="stable")[:k].T
