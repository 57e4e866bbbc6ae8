"""`auto` cuts each end of the spectrum as far as it holds more than its share of what the unembedding says of frequency.

No label and no document is read. With f the centred log frequencies and u_i the left singular vectors, e_i = ⟨f, u_i⟩² is
the frequency variance that direction i explains; an end of t directions gains Σ e_i / Σ_all e − t / D, the frequency it
takes away beyond the width it costs. Each end is cut where that gain is largest, and only if the gain is beyond the 95th
percentile of what permuted frequencies give: a proposal of this package; the paper presets its cuts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rarityir import registry
from rarityir.counts import TokenCounts
from rarityir.filters.band import warn_of_degenerate_cuts
from rarityir.filters.source import Affine, Fit, Source
from rarityir.filters.unembedding import AS_STORED, READING, Reading, reading
from rarityir.filters.width import whole
from rarityir.types import Json

PERMUTATIONS, LEVEL = 200, 0.95


@dataclass(frozen=True)
class Choice:
    """How many directions to cut at each end, the largest gain there, and what permuted frequencies would have gained.

    An end whose gain is not above its null is not cut; a chance of 5% is left to each end.
    """

    top: int
    bottom: int
    width: int
    gain: tuple[float, float]
    null: tuple[float, float]
    explained: float  # share of the log frequencies' variance that all directions explain, R²
    frequency: float  # share of that which the cut takes away
    energy: float  # share of the unembedding's squared norm that it takes away

    @property
    def name(self) -> str:
        """The band that does the same."""
        return f"cut:{self.top},{self.bottom}"

    def facts(self) -> dict[str, Json]:
        """Returns the choice as JSON."""
        return {
            "cut": self.name,
            "gain": {"top": round(self.gain[0], 4), "bottom": round(self.gain[1], 4)},
            "null_95": {"top": round(self.null[0], 4), "bottom": round(self.null[1], 4)},
            "log_frequency_r2": round(self.explained, 4),
            "frequency_removed": round(self.frequency, 4),
            "width_removed": round((self.top + self.bottom) / self.width, 4),
            "energy_removed": round(self.energy, 4),
        }


def auto(arg: str) -> Fit:
    """Cuts as chosen; options `counts=english|corpus|FILE`, `seed=0` of the permutations, and how rows are read."""
    given = registry.options(arg, {"counts": str, "seed": whole(0), **READING}, "auto")
    how = reading(given)

    def fit(source: Source) -> Affine:
        counts = source.frequencies(given.get("counts", "english"))
        choice = choose(source, counts, how, given.get("seed", 0))
        found = source.spectrum(how)
        kept = np.arange(choice.top, choice.width - choice.bottom)
        warn_of_degenerate_cuts(choice.name, found.values, kept)
        facts = {**source.read_unembedding(), **source.read_counts(counts), "auto": choice.facts()}
        return Affine(found.directions[kept], None, facts)

    return fit


def choose(source: Source, counts: TokenCounts, how: Reading = AS_STORED, seed: int = 0) -> Choice:
    """Returns where to cut the spectrum of a source's unembedding."""
    matrix, found = source.matrix, source.spectrum(how)
    used = matrix.used(how)
    profile = counts.profile(used)
    rng, columns = np.random.default_rng(seed), np.zeros((matrix.vocabulary, 1 + PERMUTATIONS))
    columns[:, 0] = profile
    for column in range(1, 1 + PERMUTATIONS):
        columns[used, column] = rng.permutation(profile[used])
    along_D = found.directions @ matrix.weighted(columns, how) / found.divisors[:, None]
    explained = along_D**2
    total = explained.sum(axis=0)
    excess = explained / np.where(total > 0, total, 1.0) - 1 / len(found.values)
    up, down = np.cumsum(excess, axis=0), np.cumsum(excess[::-1], axis=0)
    null = tuple(float(np.quantile(np.maximum(c[:, 1:].max(axis=0), 0), LEVEL)) for c in (up, down))
    top, bottom = (int(np.argmax(c[:, 0])) + 1 if c[:, 0].max() > n else 0 for c, n in zip((up, down), null, strict=True))
    width = len(found.values)
    if top + bottom >= width:  # both ends at once would leave nothing: the better one stays
        top, bottom = (top, 0) if up[top - 1, 0] >= down[bottom - 1, 0] else (0, bottom)
    removed = np.r_[np.arange(top), np.arange(width - bottom, width)]
    return Choice(
        top,
        bottom,
        width,
        (float(up[:, 0].max()), float(down[:, 0].max())),
        (null[0], null[1]),
        float(total[0] / (profile @ profile)),
        float(explained[removed, 0].sum() / total[0]),
        float((found.values[removed] ** 2).sum() / (found.values**2).sum()),
    )
