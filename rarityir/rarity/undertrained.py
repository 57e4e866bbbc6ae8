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
ALONG = 0.75  # of the unused rows' median of `along`, that it needs where they share a direction
LEAST = 3.0  # spreads from the usual that it needs in any case, and that unused rows show in an indicator of full weight
SIGNED = ("cosine", "distance", "surprise")  # what has one direction whatever the unused rows show
_NORMAL = 1.4826  # a normal distribution's standard deviation over its median absolute deviation


@dataclass(frozen=True, eq=False)
class Scored:
    """How under-trained each of V tokens looks.

    Attributes:
        score: (V,) weighted mean over `families`, in spreads from the usual: 0 is a token as most are.
        along: (V,) the least of the three readings' cosine, in spreads from the usual. Less the mean, every short row points
            away from the mean, as unused rows may: one reading is not enough.
        families: name → (V,) the same for one kind of indicator, at most ±10; NaN where it says nothing of a token.
        weights: name → what the kind weighs in the mean: less where the unused rows do not differ by it.
        measured: name → (V,) the indicators themselves.
        threshold: from which score on a token counts as under-trained: half of the unused rows' median, and at least 3.
        unused: (R,) ids of the reference rows.
    """

    score: Vector
    along: Vector
    families: Mapping[str, Vector]
    weights: Mapping[str, float]
    measured: Mapping[str, Vector]
    threshold: float
    unused: Ints

    @property
    def flagged(self) -> NDArray[np.bool_]:
        """Which tokens (V,) count as under-trained, reference rows left out.

        The score must reach the threshold and, where the unused rows share a direction, the row must point along it in every
        reading: a row that is short or near alone is no sign, since frequent tokens have such rows too.
        """
        level = float(np.median(self.along[self.unused]))
        found = (self.score >= self.threshold) & ((self.along >= ALONG * level) | (level < LEAST))
        found[self.unused] = False
        return np.asarray(found)


def undertrained(
    output: Any,
    unused: Ints,
    *,
    input: Any = None,
    bias: Floats | None = None,
    usual: NDArray[np.bool_] | None = None,
    cf: Ints | None = None,
    surprise: Vector | None = None,
) -> Scored:
    """Returns how under-trained each of V tokens looks beside rows that are known to be unused.

    Args:
        output: the unembedding (V, D), an array or what yields blocks of rows by `.blocks()`.
        unused: ids of the reference rows, three or more.
        input: the input embeddings, where they are another matrix; their lengths are an indicator of their own.
        bias: (V,) the output head's, where it has one.
        usual: (V,) which tokens are likely to have been trained, and so say what is usual; all others where nothing is said.
        cf: (V,) occurrences in some corpus. What is usual is then said by the tokens that occur, and for lengths, distances
            and bias by those as frequent.
        surprise: (V,) predicted less counted rarity in nats, positive where a model takes a token for rarer than a corpus
            has it; NaN where it was not counted.
    """
    size = int(output.shape[0])
    for what, values in (("input rows", input), ("biases", bias), ("counts", cf), ("surprises", surprise)):
        if values is not None and int(np.shape(values)[0] if not hasattr(values, "blocks") else values.shape[0]) != size:
            raise RarityError(f"there are not as many {what} as the {size} rows of the unembedding; give those of one model")
    known = np.ones(size, bool) if usual is None else usual.copy()
    known[unused] = False
    bands = None
    if cf is not None and (known & (np.asarray(cf) > 0)).sum() >= BAND:
        known &= np.asarray(cf) > 0
        bands = bands_of(cf, known)
    near = nearness(output, unused, known)
    measured: dict[str, Vector] = {f"cosine, {name}": near.cosine[name] for name in READINGS}
    measured |= {f"distance, {name}": near.distance[name] for name in READINGS}
    measured |= {"norm": near.norm, "distance from centroid": near.centroid}
    cosines = [spreads(near.cosine[name], known) for name in READINGS]
    families = {
        "cosine": np.mean(cosines, axis=0),
        "distance": np.mean([-spreads(_log(near.distance[name]), known, bands) for name in READINGS], axis=0),
        "centroid": spreads(_log(near.centroid), known, bands),
    }
    if input is not None:
        measured["input norm"] = norms(input)
        families["input norm"] = spreads(_log(measured["input norm"]), known, bands)
    if bias is not None:
        measured["bias"] = np.asarray(bias, np.float64)
        families["bias"] = spreads(measured["bias"], known, bands)
    if surprise is not None:
        measured["surprise"] = np.asarray(surprise, np.float64)
        families["surprise"] = spreads(measured["surprise"], known & np.isfinite(measured["surprise"]))
    families, weights = _turned(families, unused)
    score = _mean(families, weights)
    return Scored(
        score, np.min(cosines, axis=0), families, weights, measured, max(LEAST, SHARE * float(np.median(score[unused]))), unused
    )


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

    The rarer half of the seen tokens, and those never seen, are one band. What is rare may well be untrained, and its rows
    must not become what is usual for the rare; it is frequent tokens whose rows are short for another reason.
    """
    counts = np.asarray(cf, np.float64)
    seen = usual & (counts > 0)
    middle = float(np.median(counts[seen])) if seen.any() else 0.0
    power = np.where(counts <= middle, 0, np.frexp(np.maximum(counts, 1))[1]).astype(np.int64)
    bands = np.zeros(len(power), np.int64)
    found, inside, left = 0, 0, int(seen.sum())
    for value in range(int(power.max()) + 1):
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
