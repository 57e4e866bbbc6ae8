"""How good the second order is: each state's exact divergence, its quadratic form, and its plain squared norm."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rarityir.informativeness.comparing import correlation
from rarityir.informativeness.divergence import Head, covariance, quadratic
from rarityir.informativeness.model import CHECKED, read_states, reference_of, some_of
from rarityir.types import Encoder, Ints, Json, RarityError

Doubles = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Fit:
    """Of S states: exact KL, ½ (h − h₀)ᵀ G (h − h₀), ‖h − h₀‖², and how often (S,) the token of each occurs in the texts."""

    exact: Doubles = field(repr=False)
    second: Doubles = field(repr=False)
    norm: Doubles = field(repr=False)
    n: Ints = field(repr=False)

    @property
    def slope(self) -> float:
        """Of the second order on the exact divergence, least squares."""
        away = self.exact - self.exact.mean()
        square = float(away @ away)
        return float(away @ (self.second - self.second.mean()) / square) if square > 0 else 0.0

    @property
    def r2(self) -> float:
        """Of the second order."""
        return correlation(self.exact, self.second) ** 2

    @property
    def r2_of_norm(self) -> float:
        """Of the squared norm."""
        return correlation(self.exact, self.norm) ** 2

    def json(self) -> dict[str, Json]:
        """Returns the figures as JSON values; means are in nats."""
        means = {"mean_kl": float(self.exact.mean()), "mean_second_order": float(self.second.mean())}
        return {"states": len(self.exact), **means, "slope": self.slope, "r2": self.r2, "r2_of_norm": self.r2_of_norm}


def fit(encoder: Encoder, texts: Iterable[str], reference: str = "mean", *, checked: int = CHECKED, seed: int = 0) -> Fit:
    """Returns the fit over states drawn by a seed (0: all of them), around h₀ as `from_model` takes it.

    Raises `RarityError` for a reference that is no state's, an encoder that gives no states, or texts without tokens.
    """
    if reference not in ("mean", "argmin"):
        raise RarityError(f"reference {reference!r} has no state that a quadratic form could be around; take mean or argmin")
    rows = encoder.unembedding()
    head = Head(rows, encoder.unembedding_bias(), str(getattr(encoder, "torch_device", "cpu")))
    with tempfile.TemporaryFile(prefix="rarityir-states-") as file:
        read = read_states(encoder, texts, file)
        log_p0, centre = reference_of(head, read, reference)
        some = some_of(len(read.ids), checked, seed)
        states = np.asarray(read.states[some])
    n_V = np.bincount(read.ids, minlength=len(rows))
    second = quadratic(states, centre, covariance(rows, np.exp(log_p0)))
    away: NDArray[Any] = states.astype(np.float64) - centre
    exact = head.divergence(states, log_p0).kl
    return Fit(exact, second, (away**2).sum(axis=1), n_V[read.ids[some]].astype(np.int64))
