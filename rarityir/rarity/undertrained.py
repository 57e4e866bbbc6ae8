"""Tokens whose rows look as if no text had trained them, found beside rows that none can have trained.

The indicators are those of Land & Bartolo, "Fishing for Magikarp" (EMNLP 2024): the length of the input row, and how near the
output row is to the mean unused one. Frequent tokens too have short rows in some models, so lengths and distances are judged
against what is usual for tokens of that frequency, where frequencies are given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rarityir.rarity.indicators import READINGS, nearness, norms
from rarityir.types import Floats, Ints, RarityError

Vector = NDArray[np.float64]
FARTHEST = 10.0  # spreads from the usual beyond which a row is not more untrained
BAND = 20  # tokens that say at least what is usual for a frequency
SHARE = 0.5  # of the unused rows' own median score, from which on a token counts as under-trained
LEAST = 3.0  # spreads from the usual that it needs in any case, and that unused rows show in an indicator of full weight
SIGNED = ("cosine", "distance", "surprise")  # what has one direction whatever the unused rows show
_NORMAL = 1.4826  # a normal distribution's standard deviation over its median absolute deviation


@dataclass(frozen=True, eq=False)
class Scored:
    """How under-trained each of V tokens looks.

    Attributes:
        score: (V,) weighted mean over `families`, in spreads from the usual: 0 is a token as most are.
        families: name → (V,) the same for one kind of indicator, at most ±10; NaN where it says nothing of a token.
        weights: name → what the kind weighs in the mean: less where the unused rows do not differ by it.
        measured: name → (V,) the indicators themselves.
        threshold: from which score on a token counts as under-trained: half of the unused rows' median, and at least 3.
        unused: (R,) ids of the reference rows.
    """

    score: Vector
    families: Mapping[str, Vector]
    weights: Mapping[str, float]
    measured: Mapping[str, Vector]
    threshold: float
    unused: Ints

    @property
    def flagged(self) -> NDArray[np.bool_]:
        """Which tokens (V,) count as under-trained, reference rows left out."""
        found = self.score >= self.threshold
        found[self.unused] = False
        return np.asarray(found)


def undertrained(
    output: Any,
    unused: Ints,
    *,
    input: Any = None,
    bias: Floats | None = None,
    cf: Ints | None = None,
    surprise: Vector | None = None,
) -> Scored:
    """Returns how under-trained each of V tokens looks beside rows that are known to be unused.

    Args:
        output: the unembedding (V, D), an array or what yields blocks of rows by `.blocks()`.
        unused: ids of the reference rows, three or more.
        input: the input embeddings, where they are another matrix; their lengths are an indicator of their own.
        bias: (V,) the output head's, where it has one.
        cf: (V,) occurrences in some corpus. Lengths, distances and bias are then judged by frequency.
        surprise: (V,) predicted less counted rarity in nats, positive where a model takes a token for rarer than a corpus
            has it; NaN where it was not counted.
    """
    size = int(output.shape[0])
    for what, values in (("input rows", input), ("biases", bias), ("counts", cf), ("surprises", surprise)):
        if values is not None and int(np.shape(values)[0] if not hasattr(values, "blocks") else values.shape[0]) != size:
            raise RarityError(f"there are not as many {what} as the {size} rows of the unembedding; give those of one model")
    near = nearness(output, unused)
    measured: dict[str, Vector] = {f"cosine, {name}": near.cosine[name] for name in READINGS}
    measured |= {f"distance, {name}": near.distance[name] for name in READINGS}
    measured |= {"norm": near.norm, "distance from centroid": near.centroid}
    usual = np.ones(size, bool)
    usual[unused] = False
    bands, sized = (None, usual) if cf is None else (bands_of(cf, usual), usual & (np.asarray(cf) > 0))
    if sized.sum() < BAND:  # too few are seen to say what is usual
        bands, sized = None, usual
    families = {
        "cosine": np.mean([spreads(near.cosine[name], usual) for name in READINGS], axis=0),
        "distance": np.mean([-spreads(_log(near.distance[name]), sized, bands) for name in READINGS], axis=0),
        "centroid": spreads(_log(near.centroid), sized, bands),
    }
    if input is not None:
        measured["input norm"] = norms(input)
        families["input norm"] = spreads(_log(measured["input norm"]), sized, bands)
    if bias is not None:
        measured["bias"] = np.asarray(bias, np.float64)
        families["bias"] = spreads(measured["bias"], sized, bands)
    if surprise is not None:
        measured["surprise"] = np.asarray(surprise, np.float64)
        families["surprise"] = spreads(measured["surprise"], usual & np.isfinite(measured["surprise"]))
    families, weights = _turned(families, unused)
    score = _mean(families, weights)
    return Scored(score, families, weights, measured, max(LEAST, SHARE * float(np.median(score[unused]))), unused)


def _turned(families: Mapping[str, Vector], unused: Ints) -> tuple[dict[str, Vector], dict[str, float]]:
    """The indicators with the sign that makes unused rows positive, and what each weighs.

    Unused rows are shorter than others where training shortens what it does not use, and longer where the softmax has pushed
    them away from every text: the unused rows themselves say which. What does not tell them apart has no weight.
    """
    turned, weights = {}, {}
    for name, values in families.items():
        if name in SIGNED:
            turned[name], weights[name] = values, 1.0
            continue
        level = float(np.median(values[unused]))
        turned[name] = -values if level < 0 else values
        weights[name] = min(1.0, abs(level) / LEAST)
    return turned, weights


def _mean(families: Mapping[str, Vector], weights: Mapping[str, float]) -> Vector:
    """The weighted mean (V,) of what is known of each token."""
    stacked, weight_F = np.stack(list(families.values())), np.array([weights[name] for name in families])
    known = np.isfinite(stacked)
    total = (known * weight_F[:, None]).sum(axis=0)
    summed = (np.where(known, stacked, 0.0) * weight_F[:, None]).sum(axis=0)
    return np.asarray(np.divide(summed, total, out=np.zeros_like(summed), where=total > 0))


def spreads(values_V: Vector, usual: NDArray[np.bool_], bands: Ints | None = None) -> Vector:
    """Returns how many spreads (V,) each value is above the usual one, at most ±10.

    The usual is the median of the rows marked in `usual`, of the same band where bands (V,) are given; the spread is that of a
    normal distribution with their median absolute deviation.
    """
    centre = np.full(len(values_V), np.median(values_V[usual]))
    for band in np.unique(bands) if bands is not None else ():
        same = bands == band
        centre[same] = np.median(values_V[same & usual])
    away = values_V - centre
    spread = _NORMAL * float(np.median(np.abs(away[usual])))
    # Rows that are all alike leave no spread: then any distance is as far as can be.
    return np.clip(np.divide(away, spread, out=np.sign(away) * FARTHEST, where=spread > 0), -FARTHEST, FARTHEST)


def bands_of(cf: Ints, usual: NDArray[np.bool_]) -> Ints:
    """Returns the band of frequency (V,) of each token: by powers of two of its count, each with 20 usual tokens or more.

    Tokens that do not occur are in the rarest band: that a corpus lacks them does not make it usual that they are untrained.
    """
    power = np.frexp(np.maximum(np.asarray(cf, np.float64), 1))[1].astype(np.int64)
    bands = np.zeros(len(power), np.int64)
    seen = usual & (np.asarray(cf) > 0)
    found, inside = 0, 0
    left = int(seen.sum())
    for value in range(1, int(power.max()) + 1):
        here = int((seen & (power == value)).sum())
        if inside >= BAND and left >= BAND:
            found, inside = found + 1, 0
        bands[power == value] = found
        inside, left = inside + here, left - here
    return bands


def _log(values_V: Vector) -> Vector:
    positive = values_V[values_V > 0]
    least = float(positive.min()) if len(positive) else 1.0
    return np.asarray(np.log(np.maximum(values_V, least)))
