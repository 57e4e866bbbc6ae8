"""The argument of filters that say how many directions they keep, and the projections those directions make."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rarityir import registry
from rarityir.types import RarityError

Option = Callable[[str], Any]
NONE: Mapping[str, Option] = MappingProxyType({})


def whole(least: int) -> Option:
    """Returns what reads a whole number from `least` on."""

    def read(text: str) -> int:
        if int(text) < least:
            raise ValueError(text)
        return int(text)

    read.__name__ = f"whole number from {least} on"
    return read


def width_of(name: str, arg: str, options: Mapping[str, Option] = NONE, verb: str = "keep") -> tuple[int, dict[str, Any]]:
    """Returns k and the options of `name:k,option=value`."""
    given = registry.options(arg, {"k": int, **options}, name)
    k = given.pop("k", None)
    if k is None or k < 1:
        raise RarityError(f"{name}:{arg or '?'} needs how many directions to {verb}, such as {name}:64")
    return k, given


def at_most(name: str, k: int, width: int) -> int:
    """Returns k, after checking that there are that many directions."""
    if k > width:
        raise RarityError(f"{name}:{k} keeps more directions than the {width} there are")
    return k


def complement(dropped_MD: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns D − M orthonormal rows that span what is orthogonal to M independent rows."""
    q, _ = np.linalg.qr(dropped_MD.T, mode="complete")
    return np.ascontiguousarray(q[:, len(dropped_MD) :].T)
