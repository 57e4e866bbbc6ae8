"""`logfreq` drops the one direction that says best, linearly, how frequent a token is.

a = argmin ‖W a + c − log p̂‖² over the vocabulary: the log-linear frequency direction of unembeddings (Cho et al., arXiv
2406.01468). An embedding's part along a raises all tokens by their log frequency.
"""

from __future__ import annotations

from rarityir import registry
from rarityir.filters.source import Affine, Fit, Source
from rarityir.filters.unembedding import READING, reading
from rarityir.filters.width import complement
from rarityir.types import RarityError


def logfreq(arg: str) -> Fit:
    """Keeps the D − 1 directions orthogonal to a; option `counts=english|corpus|FILE`."""
    given = registry.options(arg, {"counts": str, **READING}, "logfreq")
    if not given.setdefault("center", True):
        raise RarityError("logfreq fits log frequencies up to a constant, which centring the rows takes off; leave center out")
    how = reading(given)

    def fit(source: Source) -> Affine:
        counts = source.frequencies(given.get("counts", "english"))
        matrix, found = source.matrix, source.spectrum(how)
        if matrix.width == 1:
            raise RarityError("logfreq drops one direction, and there is only one")
        along = found.directions @ matrix.weighted(
            counts.profile(matrix.used(how)), how
        )  # centred by the profile, which sums to nothing
        direction = (along / found.divisors**2) @ found.directions
        facts = {**source.read_unembedding(), **source.read_counts(counts)}
        return Affine(complement(direction[None]), None, facts)

    return fit
