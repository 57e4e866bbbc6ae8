"""`frequent:k` drops the directions in which frequent tokens have more energy than tokens at large, and keeps k.

They solve the generalised eigenproblem Wᵀ diag(p̂) W v = λ WᵀW v: λ compares a direction's energy over running text with
its energy over the vocabulary. A proposal of this package, beside EmbedFilter's bands, which know no frequencies.
"""

from __future__ import annotations

import numpy as np

from rarityir.filters.band import warn_of_degenerate_cuts
from rarityir.filters.gram import gram
from rarityir.filters.source import Affine, Fit, Source
from rarityir.filters.unembedding import READING, reading
from rarityir.filters.width import at_most, complement, width_of


def frequent(arg: str) -> Fit:
    """Keeps the complement of the D − k leading generalised eigenvectors; option `counts=english|corpus|FILE`."""
    k, given = width_of("frequent", arg, {"counts": str, **READING})
    how = reading(given)

    def fit(source: Source) -> Affine:
        from scipy.linalg import eigh

        counts = source.frequencies(given.get("counts", "english"))
        matrix, found = source.matrix, source.spectrum(how)
        at_most("frequent", k, matrix.width)
        share = np.sqrt(counts.counts / max(1, counts.total))
        mean = matrix.weighted(matrix.used(how) / matrix.used(how).sum(), how) if how.center else 0.0
        heavy = gram(((rows - mean) * share[ids, None] for ids, rows in matrix.blocks(how)), matrix.width, None, source.device)
        # In coordinates where WᵀW is the identity the problem is an ordinary one; what no token writes has no energy there.
        scale = found.directions / found.divisors[:, None]
        shares, columns = eigh(scale @ heavy @ scale.T)
        warn_of_degenerate_cuts(f"frequent:{arg}", shares[::-1], np.arange(matrix.width - k, matrix.width))
        divisors = np.where(np.isfinite(found.divisors), found.divisors, 1.0)
        leading = columns.T[::-1][: matrix.width - k] @ (found.directions / divisors[:, None])
        facts = {**source.read_unembedding(), **source.read_counts(counts)}
        return Affine(complement(leading) if len(leading) else found.directions, None, facts)

    return fit
