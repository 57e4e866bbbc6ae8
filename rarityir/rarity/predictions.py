"""Each token's rarity as its row tells it, by a probe that has not seen that token."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rarityir.rarity.probe import RarityProbe
from rarityir.rarity.rows import rows
from rarityir.rarity.sample import Sample
from rarityir.rarity.stats import TokenStats


def predict(
    model: str,
    stats: TokenStats,
    target: str = "log_idf",
    matrix: str = "input",
    *,
    gain: bool = False,
    folds: int = 5,
    seed: int = 0,
    repair: str = "none",
    device: str = "auto",
) -> NDArray[np.float64]:
    """Returns a target's prediction (V,) for every row of a model's matrix.

    Tokens that the statistics have seen are predicted by a ridge that was fitted without them and without all forms of the
    same word; those never seen, special tokens and rows beyond the vocabulary by the ridge fitted on all that were, among which
    may be other forms of the same word.

    Args:
        model: a short name, hub id or path.
        stats: what the target is computed of.
        target: a name of `TARGETS`.
        matrix: `input`, `output`, `q`, `k` or `type:L`.
        gain: of `output`, whether the final norm's gain is folded in.
        folds: into how many the seen tokens are dealt.
        seed: of the folds.
        repair: `balanced` or `occurrence` for a probe whose head is repaired for both kinds of R², or for running text.
        device: where the model computes states.
    """
    x = rows(model, matrix, gain=gain, device=device)
    sample = Sample.of(model, stats, x)
    probe = RarityProbe(target, folds, seed, test=0.0, bands=1, replicates=2, leakage=False, repair=repair)
    probe.fit(sample.x, sample.target(target), groups=sample.groups, counts=sample.counts)
    mended = probe.result.repaired
    found = np.asarray(probe.predict(x, repaired=mended is not None), np.float64)
    found[sample.types] = (probe.result.predicted if mended is None else mended.predicted)[:, 0]
    return found
