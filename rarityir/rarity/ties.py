"""What filters of embeddings have to do with rarity: how much of it lies in what they remove, and where in the spectrum it lies.

A filter's map is of the residual stream, so its ties are with rows that live there: input and output embeddings, and states.
The control is a filter that removes as many singular directions of the same unembedding, drawn by chance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rarityir.filters import EmbedFilter, Spectrum
from rarityir.rarity.result import plain
from rarityir.rarity.rows import Matrix
from rarityir.rarity.scores import Pair
from rarityir.rarity.subspaces import Share, Vectors, cosine, principal_angles, share, split
from rarityir.types import Json, RarityError

Judge = Callable[[Matrix], Pair]  # fits and judges a probe of the rows it is given


class Part(NamedTuple):
    """What part of the rows' space says of rarity: its width, its share of the rows' variance, and its own R² pair."""

    width: int
    energy: float
    r2: Pair | None  # None for no width at all

    def json(self) -> dict[str, Json]:
        """Returns the part as JSON values."""
        return {"width": self.width, "energy": round(self.energy, 6), "r2": plain(self.r2) if self.r2 else None}


@dataclass(frozen=True, eq=False)
class Tie:
    """A filter against the direction that predicts rarity.

    `inside` is what it removes, `outside` what it keeps, `chance` what random filters of the same width remove. `share` and
    `pattern_share` say how much of the probe's weight vector, and of the rows' covariance with the target, is removed;
    `mean_share` how much of the rows' mean. `angle` is between the weight vector and what is removed, in degrees.
    """

    filter: str
    inside: Part
    outside: Part
    chance: tuple[Part, ...]
    share: Share
    pattern_share: Share
    mean_share: Share
    angle: float

    def json(self) -> dict[str, Json]:
        """Returns the tie as JSON values."""
        shares = {name: getattr(self, name)._asdict() for name in ("share", "pattern_share", "mean_share")}
        return {
            "filter": self.filter,
            "inside": self.inside.json(),
            "outside": self.outside.json(),
            "chance": [part.json() for part in self.chance],
            "angle_degrees": round(self.angle, 4),
            **{name: {key: round(float(v), 6) for key, v in found.items()} for name, found in shares.items()},
        }


class Band(NamedTuple):
    """Singular directions [first, last) of the unembedding, by falling value: what they hold, say, and who keeps them."""

    first: int
    last: int
    values: tuple[float, float]  # the largest and the smallest singular value
    part: Part
    share: float  # of the probe's weight vector
    kept: Mapping[str, float]  # filter → share of the band that it keeps

    def json(self) -> dict[str, Json]:
        """Returns the band as JSON values."""
        kept = {name: round(value, 6) for name, value in self.kept.items()}
        ends = {"first": self.first, "last": self.last, "values": [round(float(v), 8) for v in self.values]}
        return {**ends, **self.part.json(), "share": round(self.share, 6), "kept": kept}


@dataclass(frozen=True, eq=False)
class Second:
    """First and second moments of rows and a target: mean (D,), covariance (D, D), covariance with the target (D,)."""

    mean: Vectors
    covariance: Vectors = field(repr=False)
    pattern: Vectors

    @classmethod
    def of(cls, x: Matrix, y_N: NDArray[Any]) -> Second:
        """Reads the rows twice: the mean first."""
        if len(y_N) != x.shape[0]:
            raise RarityError(f"{x.shape[0]} rows of {x.name} need as many targets, not {len(y_N)}")
        target = np.asarray(y_N, np.float64) - np.mean(y_N)
        count, width = x.shape
        mean = np.zeros(width)
        for block in x.blocks():
            mean += block.sum(axis=0, dtype=np.float64)
        mean /= count
        covariance, pattern, start = np.zeros((width, width)), np.zeros(width), 0
        for block in x.blocks():
            rows = block.astype(np.float64) - mean
            covariance += rows.T @ rows
            pattern += rows.T @ target[start : start + len(rows)]
            start += len(rows)
        return cls(mean, covariance / count, pattern / count)

    def energy(self, directions_KD: Vectors) -> float:
        """Returns the share of the rows' variance along orthonormal directions."""
        along = np.einsum("kd,de,ke->", directions_KD, self.covariance, directions_KD, optimize=True)
        return float(along / max(np.trace(self.covariance), np.finfo(float).tiny))


def ties(
    x: Matrix,
    moments: Second,
    weights_D: NDArray[Any],
    filters: Sequence[EmbedFilter],
    spectrum: Spectrum,
    judge: Judge,
    *,
    draws: int = 3,
    seed: int = 0,
) -> list[Tie]:
    """Returns each filter's tie with a probe whose weight vector is given.

    Args:
        x: the rows the probe read, in the residual stream.
        moments: their moments with the target.
        weights_D: what the probe multiplies a row by.
        spectrum: the unembedding's; random filters of the same width drop directions of it.
        judge: fits a probe on the rows it is given and returns its R² pair.
        draws: how many random filters.

    Raises:
        RarityError: if the rows are not in the residual stream, or of another width than a filter.
    """

    def part(directions_KD: Vectors) -> Part:
        judged = judge(x.projected(directions_KD)) if len(directions_KD) else None
        return Part(len(directions_KD), moments.energy(directions_KD), judged)

    def tie(chosen: EmbedFilter) -> Tie:
        removed, kept = split(chosen.basis)[::-1]
        rng = np.random.default_rng(seed)
        drawn = [np.sort(rng.permutation(x.shape[1])[: len(removed)]) for _ in range(draws if len(removed) else 0)]
        angles = principal_angles(np.asarray(weights_D)[None], removed)
        return Tie(
            chosen.name,
            part(removed),
            part(kept),
            tuple(part(spectrum.directions[positions]) for positions in drawn),
            share(weights_D, removed),
            share(moments.pattern, removed),
            share(moments.mean, removed),
            float(np.degrees(angles[0])) if len(angles) else 90.0,
        )

    _check(x, filters)
    return [tie(chosen) for chosen in filters]


def _check(x: Matrix, filters: Sequence[EmbedFilter]) -> None:
    if not x.stream:
        raise RarityError(f"{x.name} rows are not in the space that filters work in; take input, output or states")
    for chosen in filters:
        if chosen.basis.shape[1] != x.shape[1]:
            raise RarityError(f"filter {chosen.name} is of width {chosen.basis.shape[1]}, {x.name} rows are {x.shape[1]} wide")


def spectroscopy(
    x: Matrix,
    moments: Second,
    weights_D: NDArray[Any],
    filters: Sequence[EmbedFilter],
    spectrum: Spectrum,
    judge: Judge,
    *,
    bands: int = 20,
) -> list[Band]:
    """Returns what each band of the unembedding's spectrum says of rarity by itself, in the order that filters cut in.

    Raises:
        RarityError: if the rows are not in the residual stream, or there are more bands than directions.
    """
    width = len(spectrum.values)
    if not x.stream or x.shape[1] != width:
        raise RarityError(f"{x.name} rows are not in the space of the unembedding; take input, output or states")
    if not 1 <= bands <= width:
        raise RarityError(f"{bands} bands cannot be cut of {width} directions; give 1 to {width}")
    turned = x.projected(spectrum.directions).kept()
    weights = np.asarray(weights_D, np.float64)
    square = float(weights @ weights) or 1.0
    keeps = {chosen.name: split(chosen.basis).kept for chosen in filters}
    found = []
    for group in np.array_split(np.arange(width), bands):
        first, last = int(group[0]), int(group[-1]) + 1
        own = spectrum.directions[first:last]
        part = Part(last - first, moments.energy(own), judge(turned.columns(first, last)))
        kept = {name: float(((own @ basis.T) ** 2).sum() / len(own)) for name, basis in keeps.items()}
        values = float(spectrum.values[first]), float(spectrum.values[last - 1])
        found.append(Band(first, last, values, part, float(((own @ weights) ** 2).sum() / square), kept))
    return found


def between(directions: Mapping[str, NDArray[Any]], spaces: Mapping[str, Vectors], mean_D: Vectors) -> dict[str, Json]:
    """Returns principal angles in degrees between the span of several targets' directions and subspaces, as JSON values.

    `spaces` may be what filters remove, axes of an independent component analysis, or any rows; `mean_D` is the rows' mean.
    """
    rows = np.stack([np.asarray(direction, np.float64) for direction in directions.values()])
    angles = {name: np.degrees(principal_angles(rows, space)).round(4).tolist() for name, space in spaces.items()}
    cosines = {name: round(cosine(direction, mean_D), 6) for name, direction in directions.items()}
    return {"principal_angles_degrees": angles, "cosine_with_mean_row": cosines}
