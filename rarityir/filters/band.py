"""What all bands of the spectrum share: how wide τ makes them, what their argument may be, and how they become a map."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from rarityir import registry
from rarityir.filters.source import Affine, Source
from rarityir.filters.unembedding import AS_STORED, READING, Reading, reading
from rarityir.filters.width import NONE, Option
from rarityir.types import Ints, RarityError

# Relative to the largest singular value: a cut between values closer than GAP, or both nothing but the rounding of a Gram
# matrix (√ε), is not well defined.
GAP, ZERO = 1e-8, 1e-7
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Band:
    """Keeps some positions of the falling spectrum: right singular vectors of the unembedding as it is read."""

    name: str
    positions: Callable[[int], Ints] = field(repr=False)
    how: Reading = AS_STORED

    def __call__(self, source: Source) -> Affine:
        """Returns the projection onto the kept right singular vectors."""
        found = source.spectrum(self.how)
        kept = self.positions(len(found.values))
        warn_of_degenerate_cuts(self.name, found.values, kept)
        return Affine(found.directions[kept], None, source.read_unembedding())


def share(name: str, arg: str, options: Mapping[str, Option] = NONE) -> tuple[str, dict[str, Any]]:
    """Returns τ as it was written, checked to be a number from 1 on, and the options of `name:τ,option=value`."""
    given = registry.options(arg, {"ratio": str, **options, **READING}, name)
    ratio = given.pop("ratio", "")
    kept_width(name, ratio, None)
    return ratio, given


def by_share(name: str, arg: str, positions: Callable[[int, int], Ints]) -> Band:
    """Returns the band `name:τ` whose positions follow from the width D and the kept width k."""
    ratio, given = share(name, arg)
    return Band(f"{name}:{arg}", lambda width: positions(width, kept_width(name, ratio, width)), reading(given))


def kept_width(name: str, ratio: str, width: int | None) -> int:
    """Returns k = floor(D / τ), the width that `name:τ` keeps of D (EmbedFilter, §3: τ = 2, 4, 8)."""
    try:
        tau = Fraction(ratio if re.fullmatch(r"[\d./]{1,20}", ratio) else "")  # never 1e999999999, which has as many digits
    except (ValueError, ZeroDivisionError):
        raise RarityError(f"{name}:{ratio or '?'} needs a number τ ≥ 1, the share 1/τ to keep, such as {name}:2") from None
    if not 1 <= tau <= (width or tau):
        raise RarityError(f"{name}:{ratio}: τ must lie between 1 (keep all) and the width {width or 'D'}")
    return int((width or 0) / tau)  # exact: 33 / 1.1 is 30


def warn_of_degenerate_cuts(name: str, values: Any, kept: Ints) -> None:
    """Warns of a cut between two equal singular values, which leaves a band undefined: any rotation of the two would do."""
    inside = np.zeros(len(values), bool)
    inside[kept] = True
    cuts = np.flatnonzero(inside[1:] != inside[:-1])
    above, below = np.array([values[cuts], values[cuts + 1]]) / max(values[0], np.finfo(float).tiny)
    if ((above - below < GAP) | (above < ZERO)).any():
        log.warning("%s cuts between singular values that are equal: the band is not well defined", name)
