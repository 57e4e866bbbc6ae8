"""The rows of a model that a probe of rarity reads, and what is known of each row's token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rarityir import checkpoints, registry
from rarityir.rarity.forms import Forms
from rarityir.rarity.labels import Labels, groups
from rarityir.rarity.rows import Matrix
from rarityir.rarity.stats import SYNONYMS, TARGETS, TokenStats
from rarityir.rarity.surface import surface
from rarityir.types import Ints, RarityError, UnknownName

Vectors = NDArray[np.float64]
LABELS = ("stop_word", "punctuation", "digit", "fragment")
CONTROLS = ("noise", "coin")  # that nothing can tell: a uniform draw and a fair coin for each token
POOLS = ("seen", "all")
RARE = 20  # rows that must differ from the others in a surface feature


@dataclass(frozen=True, eq=False)
class Sample:
    """N rows of a matrix, each of a token; V tokens are known by their statistics and forms.

    `counts` (N,) are what each row weighs where occurrences count. `left_out` says which tokens' rows are not among them.
    """

    x: Matrix
    types: Ints = field(repr=False)
    stats: TokenStats
    forms: Forms = field(repr=False)
    groups: Ints = field(repr=False)
    counts: Vectors = field(repr=False)
    left_out: Mapping[str, int]

    @classmethod
    def of(cls, model: str, stats: TokenStats, x: Matrix, *, pool: str = "seen") -> Sample:
        """Returns the rows of real tokens that the statistics have seen, or with `pool="all"` of all real tokens.

        Special tokens and rows beyond the vocabulary are never among them.
        """
        if pool not in POOLS:
            raise UnknownName(registry.unknown("pool", pool, POOLS))
        types = np.arange(x.shape[0]) if x.types is None else x.types
        size = max(checkpoints.input_embeddings(model)[0].shape[0], int(types.max()) + 1)
        forms = Forms.of(model, size)
        stats = _sized(stats.counted_by(forms.tokens), size)
        padding = np.array([piece is None for piece in forms.pieces])
        real = ~(forms.special | padding)
        wanted = real if pool == "all" else real & (stats.cf > 0)
        kept = wanted[types]
        if not kept.any():
            raise RarityError(f"no row of {x.name} is of a token that {stats.source} has seen; count other documents")
        left_out = {
            "special": int(forms.special.sum()), "padding": int(padding.sum()), "unseen": int((real & ~wanted).sum()),
        }  # fmt: skip
        of = types[kept]
        weights = stats.cf[of].astype(np.float64)
        if x.contextual:  # each row is an occurrence already; what differs is how many rows a type has
            weights = 1.0 / np.bincount(of, minlength=size)[of]
        whole = x if kept.all() and x.types is None else x.take(kept)
        return cls(whole, of, stats, forms, groups(forms.texts)[of], weights, left_out)

    @property
    def rows(self) -> int:
        """N."""
        return len(self.types)

    @cached_property
    def labels(self) -> Labels:
        """The labels of all V tokens."""
        return Labels.of(self.forms)

    def target(self, name: str, seed: int = 0) -> Vectors:
        """Returns a target (N,): one of the statistics, a label as 0 and 1, or a control drawn for each token."""
        if name in LABELS:
            values = getattr(self.labels, name).astype(np.float64)
        elif name in CONTROLS:
            drawn = np.random.default_rng([seed, CONTROLS.index(name)]).random(len(self.forms))
            values = drawn if name == "noise" else (drawn < 0.5).astype(np.float64)
        elif name in TARGETS or name in SYNONYMS:
            values = self.stats.target(name)
        else:
            raise UnknownName(registry.unknown("target", name, [*TARGETS, *SYNONYMS, *LABELS, *CONTROLS]))
        found = np.asarray(values[self.types])
        if not np.isfinite(found).all():
            raise RarityError(f"{name} has no value for tokens that never occur; take the pool of seen ones")
        return found

    def targets(self, names: Sequence[str], seed: int = 0) -> Vectors:
        """Returns several targets (N, T)."""
        return np.stack([self.target(name, seed) for name in names], axis=1)

    def surface(self) -> tuple[Vectors, tuple[str, ...]]:
        """Returns what is known of each row's token without its row (N, F), and the F names.

        A script or a case that hardly a row has is left out: no fold learns anything of it.
        """
        found, names = surface(self.forms.texts)
        own = found[self.types]
        kept = [i for i, column in enumerate(own.T) if len(column) - np.unique(column, return_counts=True)[1].max() >= RARE]
        return own[:, kept], tuple(names[i] for i in kept)


def _sized(stats: TokenStats, size: int) -> TokenStats:
    """Statistics of as many ids as there are rows: rows beyond a vocabulary are of no token and never occur."""
    missing = size - stats.vocabulary
    if missing < 0 and stats.cf[size:].any():
        raise RarityError(f"{stats.source} has {stats.vocabulary} ids, the model {size} rows; count with the model's tokenizer")

    def fit(row_V: Ints) -> Ints:
        return np.pad(row_V[:size], (0, max(missing, 0)))

    return replace(stats, df=fit(stats.df), cf=fit(stats.cf), squares=fit(stats.squares), df2=fit(stats.df2))
