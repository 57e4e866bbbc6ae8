"""Bands given by positions: `band:l-r`, `offset:l,k` and `cut:top,bottom`."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from rarityir import registry
from rarityir.filters.band import Band
from rarityir.filters.unembedding import READING, reading
from rarityir.types import Ints, RarityError

_PLACE = r"(\d{1,9})"


def band(arg: str) -> Band:
    """`band:l-r` keeps positions [l, r) of the falling spectrum, counted from 0."""
    example = "two positions, such as band:64-192"
    return _kept("band", arg, rf"{_PLACE}-{_PLACE}", example, lambda first, last, width: (first, last))


def offset(arg: str) -> Band:
    """`offset:l,k` keeps the k positions from l on (EmbedFilter, Appendix A: l = 128 for Mistral)."""
    example = "a first position and a width, such as offset:128,64"
    return _kept("offset", arg, rf"{_PLACE},{_PLACE}", example, lambda first, k, width: (first, first + k))


def cut(arg: str) -> Band:
    """`cut:top,bottom` drops that many directions at the large end and at the small end, which need not be as many."""
    example = "two numbers of directions, such as cut:8,64"
    return _kept("cut", arg, rf"{_PLACE},{_PLACE}", example, lambda top, bottom, width: (top, width - bottom))


def _kept(name: str, arg: str, form: str, example: str, ends: Callable[[int, int, int], tuple[int, int]]) -> Band:
    match = re.match(rf"{form}(?:,|$)", arg)
    if match is None:
        raise RarityError(f"{name}:{arg or '?'} needs {example}")
    one, two = int(match[1]), int(match[2])
    rest = arg[match.end() :]
    first = rest.partition(",")[0]
    if rest and "=" not in first:
        raise RarityError(f"{name}: {first!r} should read option=value (options: {', '.join(READING)})")
    given = registry.options(rest, READING, name)

    def positions(width: int) -> Ints:
        first, last = ends(one, two, width)
        if not 0 <= first < last <= width:
            raise RarityError(f"{name}:{arg} keeps [{first}, {last}) of a spectrum of {width} directions")
        return np.arange(first, last)

    return Band(f"{name}:{arg}", positions, reading(given))
