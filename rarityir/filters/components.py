"""Uncentred principal directions of texts' embeddings, and how far a fine-tuned twin moves the same texts along them.

Source: "A Text is Worth Several Tokens", ACL 2025, arXiv 2406.17378, its spectral analysis. Nothing is centred, so the first
direction u_1 is all but that of the mean; fine-tuning was found to move texts mostly along it. The sign of a direction is
arbitrary where it is computed; here it is fixed, so that a number of the one machine means the same on another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import NamedTuple

import numpy as np

from rarityir.filters.gram import axes
from rarityir.filters.source import Source, Vectors
from rarityir.types import Floats, RarityError

TIE = 1e-12  # of the texts' root mean square length: a mean coefficient below is rounding and has no sign
Blocks = Callable[[], Iterator[Floats]]


@dataclass(frozen=True, eq=False)
class Components:
    """The directions u_j (D, D), one a row, by falling energy (D,), the texts' mean of (h · u_j)².

    `coefficients` (D,) are the means of h · u_j. None is negative, which fixes the sign of its direction; where the mean is 0
    within rounding, the direction's largest entry is positive.
    """

    count: int
    directions: Vectors
    energies: Vectors
    coefficients: Vectors

    @property
    def shares(self) -> Vectors:
        """Each direction's share of the energy of all, (D,)."""
        return np.asarray(self.energies / self.energies.sum())


class Variation(NamedTuple):
    """How far a twin moves texts along each direction: the mean v_j and the standard deviation over texts, (D,) each."""

    means: Vectors
    spreads: Vectors


class Split(NamedTuple):
    """Texts' logits (B, V) as the sum of what u_1 writes and what the rest of the embedding writes."""

    first: Vectors
    rest: Vectors

    @property
    def total(self) -> Vectors:
        """The logits W h."""
        return self.first + self.rest


def components(source: Source) -> Components:
    """Returns the directions of a source's documents; `RarityError` where all embeddings are zero."""
    moments = source.moments
    second_DD = moments.covariance + np.outer(moments.mean, moments.mean)
    energies, directions = axes(second_DD, source.device)
    if not energies[0] > 0:
        raise RarityError(f"all {moments.count} embeddings are zero, so they have no direction; encode the documents again")
    directions = _oriented(directions, moments.mean, TIE * float(np.sqrt(np.trace(second_DD))))
    return Components(moments.count, directions, energies, directions @ moments.mean)


def variation(found: Components, backbone: Blocks, twin: Blocks) -> Variation:
    """Returns v_j = mean over texts of (ĥ − h) · u_j, and its spread.

    Args:
        backbone: blocks of the texts' embeddings h, in order; read twice.
        twin: blocks of the same lengths, the twin's embeddings ĥ of the same texts.

    Raises:
        RarityError: if the blocks are not of the same texts and width.
    """

    def moves() -> Iterator[Floats]:
        for h_BD, twin_BD in zip_longest(backbone(), twin()):
            if h_BD is None or twin_BD is None or h_BD.shape != twin_BD.shape:
                shapes = ["none" if block is None else str(block.shape) for block in (twin_BD, h_BD)]
                raise RarityError(
                    f"a block of the twin's embeddings is {shapes[0]}, the backbone's is {shapes[1]}; "
                    "encode the same texts with two models of one width"
                )
            yield twin_BD - h_BD

    moments = Source(documents=moves).moments
    squares = np.einsum("jd,de,je->j", found.directions, moments.covariance, found.directions, optimize=True)
    return Variation(found.directions @ moments.mean, np.sqrt(np.maximum(squares, 0.0)))


def split(unembed_VD: Floats, first_D: Vectors, x_BD: Floats | Vectors) -> Split:
    """Returns W h = W u_1 (u_1 · h) + W (h − u_1 (u_1 · h)) for embeddings h, without the head's bias."""
    along_B = x_BD @ first_D
    rest_BD = x_BD - np.outer(along_B, first_D)
    return Split(np.outer(along_B, unembed_VD @ first_D), rest_BD @ unembed_VD.T)


def _oriented(directions: Vectors, mean_D: Vectors, tie: float) -> Vectors:
    """Directions whose largest entry is positive, turned round where that makes their mean coefficient negative."""
    return np.asarray(directions * np.where(directions @ mean_D < -tie, -1.0, 1.0)[:, None])
