"""Families of directions: drawn at random in several ways, or given.

The question whether the tokens nearest to a random direction belong together was raised for isotropic directions of GPT-2;
what the answer depends on shows in the other families.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rarityir import registry
from rarityir.geometry.rows import Mask, Vectors, lengths, matrix, moments, principal
from rarityir.rarity.subspaces import split
from rarityir.types import RarityError, UnknownName

FAMILIES = {
    "iso": "N(0, I): every direction alike",
    "cov": "N(0, Σ) with the rows' covariance",
    "pc:K": "uniform in the span of the first K principal axes (pc alone: 10)",
    "pcs": "the principal axes themselves, both signs of each",
    "removed": "uniform in what the filter removes",
    "kept": "uniform in what the filter keeps",
    "pairs": "differences of two tokens' rows",
    "rows": "tokens' rows",
}
RANK = 1e-11  # of the largest variance: what float32 rows cannot tell from zero has no direction
SPAN = 10  # principal axes of `pc` where no number is given


def seeded(seed: int, *names: str) -> np.random.Generator:
    """Returns a generator of its own for each seed and name, so that leaving one part out does not change another."""
    return np.random.default_rng([seed, *(byte for name in names for byte in (*name.encode(), 0))])


def directions(
    rows_VD: NDArray[Any],
    family: str,
    n: int = 1000,
    seed: int = 0,
    *,
    allowed: Mask | None = None,
    basis: NDArray[Any] | None = None,
    given: Mapping[str, NDArray[Any]] | None = None,
) -> Vectors:
    """Returns (n, D) unit vectors of a family in the space of (V, D) rows.

    Fewer than n are returned where a family has no more: 2 D of `pcs`, as many as are given of a given one.

    Args:
        family: a name of `FAMILIES`, or of `given`.
        allowed: (V,) which rows count and may be drawn (default: all).
        basis: (K, D) of a filter, for `removed` and `kept`.
        given: families as (M, D) arrays; n of M rows are drawn where there are more.

    Raises:
        RarityError: if the name is unknown, what it needs is not given, or it spans nothing.
    """
    x_VD = matrix(rows_VD)
    given = given or {}
    name, _, arg = family.partition(":")
    rng = seeded(seed, family)
    if n < 1:
        raise RarityError(f"{n} directions are too few; ask for one or more")
    if family in given:
        found = np.asarray(given[family], np.float64)
        if found.ndim != 2 or found.shape[1] != x_VD.shape[1] or not np.isfinite(found).all():
            raise RarityError(f"directions {family} are of shape {found.shape}; (M, {x_VD.shape[1]}) finite numbers are needed")
        return _unit(found if len(found) <= n else found[np.sort(rng.choice(len(found), n, replace=False))], family)
    check(family, given)
    if name == "iso":
        return _unit(rng.standard_normal((n, x_VD.shape[1])), family)
    if name in ("removed", "kept"):
        return _unit(_within(_span(basis, name, x_VD.shape[1]), n, rng), family)
    ids = np.flatnonzero(allowed) if allowed is not None else np.arange(len(x_VD))
    if name in ("rows", "pairs"):
        return _unit(_drawn(x_VD, ids, name, n, rng), family)
    values, axes_DD = principal(moments(x_VD, allowed))
    if name == "cov":
        return _unit(((rng.standard_normal((n, len(values))) @ axes_DD.T) * np.sqrt(values)) @ axes_DD, family)
    if name == "pcs":
        real = axes_DD[values > values[0] * RANK]
        return np.asarray(np.stack([real, -real], axis=1).reshape(-1, x_VD.shape[1])[:n])
    return _unit(_within(axes_DD[: _width(arg, family, len(values))], n, rng), family)


def check(family: str, given: Iterable[str] = ()) -> None:
    """Raises `UnknownName` unless there is such a family, or it is given."""
    name, _, arg = family.partition(":")
    if family not in (known := [*FAMILIES, *given]) and (
        name not in {key.split(":")[0] for key in known} or (arg and name != "pc")
    ):
        raise UnknownName(registry.unknown("family of directions", family, known))


def _span(basis: NDArray[Any] | None, name: str, width: int) -> Vectors:
    if basis is None:
        raise RarityError(f"directions {name!r} are in or outside a filter's span; give the filter's basis")
    if np.ndim(basis) != 2 or np.shape(basis)[1] != width:
        raise RarityError(f"the filter is of shape {np.shape(basis)}, the rows are {width} wide; fit it on this model")
    parts = split(basis)
    found = parts.kept if name == "kept" else parts.removed
    if not len(found):
        raise RarityError(f"nothing lies in what the filter has {name} of {width} directions; leave {name!r} out")
    return found


def _within(span_KD: Vectors, n: int, rng: np.random.Generator) -> Vectors:
    """Drawn in the whole space, so that they are the same whatever axes of the span LAPACK chose."""
    return np.asarray((rng.standard_normal((n, span_KD.shape[1])) @ span_KD.T) @ span_KD)


def _drawn(x_VD: NDArray[Any], ids: NDArray[np.int64], name: str, n: int, rng: np.random.Generator) -> Vectors:
    """Rows, or differences of two different ones, drawn with replacement among those that have a direction."""
    if name == "rows":
        ids = ids[lengths(x_VD[ids].astype(np.float64)) > 0]
        if not len(ids):
            raise RarityError("no allowed row has any length, so none is a direction")
        return np.asarray(x_VD[rng.choice(ids, n, replace=n > len(ids))], np.float64)
    found: list[Vectors] = []
    for _ in range(100):
        one, two = rng.choice(ids, (2, n))
        difference = x_VD[one].astype(np.float64) - x_VD[two].astype(np.float64)
        found += list(difference[lengths(difference) > 0])
        if len(found) >= n:
            return np.array(found[:n])
    raise RarityError("hardly any two allowed rows differ, so they have no differences; are the rows real?")


def _width(arg: str, family: str, most: int) -> int:
    if arg and not (arg.isdigit() and int(arg)):
        raise RarityError(f"{family}: {arg!r} is no number of principal axes; write pc:10")
    return min(int(arg or SPAN), most)


def _unit(found: Vectors, family: str) -> Vectors:
    long = lengths(found)
    if not (long > 0).all():
        raise RarityError(f"a direction of {family} is zero, so it points nowhere; leave it out")
    return np.asarray(found / long[:, None])
