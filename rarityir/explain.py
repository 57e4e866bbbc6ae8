"""Says what a filter removes and why: direction by direction, token by token, text by text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rarityir import checkpoints
from rarityir.counts import TokenCounts
from rarityir.filters import EmbedFilter, Source
from rarityir.filters.spectroscopy import shift
from rarityir.filters.unembedding import AS_STORED, Reading
from rarityir.report import Aligned, Explanation, Zone
from rarityir.tokens import TokenLens, Vocabulary
from rarityir.types import Floats, Ints

MOST = 9  # runs of kept and dropped directions that are told apart; more are put together as two zones


def explain(
    chosen: EmbedFilter | None,
    source: Source,
    tokens: Sequence[str | None],
    *,
    texts: Sequence[str] = (),
    embeddings_ND: Floats | None = None,
    counts: str = "english",
    top: int = 8,
) -> Explanation:
    """Returns what a filter (None: nothing) does to a model's directions, tokens, and texts given with raw embeddings.

    Args:
        tokens: each unembedding row's surface form, None for what is no text.
        embeddings_ND: the texts' raw embeddings, (N, D); needed where there are texts.
        counts: the table of token frequencies: `english`, `corpus` or a file.
        top: tokens named for each zone and each text.
    """
    found, table = source.spectrum(), source.frequencies(counts)
    span_DK = np.eye(len(found.values)) if chosen is None else np.linalg.qr(chosen.basis.T.astype(np.float64))[0]
    kept = np.minimum(((found.directions @ span_DK) ** 2).sum(axis=1), 1.0)
    frequency = _frequency(source, table)
    zones = _zones(source, tokens, table, kept, frequency, top)
    energy: NDArray[np.float64] | None = None
    readings: tuple[Aligned, ...] = ()
    if len(texts) and embeddings_ND is not None:
        x_ND = embeddings_ND.astype(np.float64)
        lengths = np.maximum((x_ND**2).sum(axis=1), np.finfo(float).tiny)
        energy = ((x_ND @ found.directions.T) ** 2 / lengths[:, None]).mean(axis=0)
        shares = ((x_ND @ span_DK) ** 2).sum(axis=1) / lengths
        readings = _readings(chosen, source, tokens, texts, embeddings_ND, shares, top)
    return Explanation(
        checkpoints.called(source.matrix.model) if source.matrix.model else "array",
        chosen.name if chosen else "",
        len(found.values),
        found.vocabulary,
        table.source,
        found.values,
        kept,
        shift(source, table, Reading(center=True), directions=found.directions),
        frequency,
        energy,
        zones,
        readings,
        chosen.fitted_on if chosen else {},
    )


def _frequency(source: Source, table: TokenCounts) -> NDArray[np.float64]:
    found = source.spectrum()
    profile = table.profile(source.matrix.used(AS_STORED))
    along = (found.directions @ source.matrix.weighted(profile) / found.divisors) ** 2
    return np.asarray(along / max(along.sum(), np.finfo(float).tiny))


def _zones(
    source: Source,
    tokens: Sequence[str | None],
    table: TokenCounts,
    kept: NDArray[np.float64],
    frequency: NDArray[np.float64],
    top: int,
) -> tuple[Zone, ...]:
    """Each run of kept or dropped directions; of a scattered filter, all dropped and all kept ones."""
    mask = kept > 0.5
    runs = np.split(np.arange(len(mask)), np.flatnonzero(np.diff(mask.astype(np.int8))) + 1)
    parts = runs if len(runs) <= MOST else [np.flatnonzero(~mask), np.flatnonzero(mask)]
    energies = source.spectrum().values ** 2
    energies = energies / energies.sum()
    return tuple(
        Zone(tuple(part.tolist()), float(kept[part].mean()), float(energies[part].sum()), float(frequency[part].sum()), names)
        for part, names in zip(parts, _writers(source, tokens, table, parts, top), strict=True)
    )


def _writers(
    source: Source, tokens: Sequence[str | None], table: TokenCounts, zones: Sequence[Ints], top: int
) -> list[tuple[str, ...]]:
    """For each zone, the words more frequent than the average token whose rows lie most in it, by share of squared length."""
    directions = source.spectrum().directions
    best: list[list[tuple[float, int]]] = [[] for _ in zones]
    wanted = (Vocabulary.of(tokens).class_of >= 0) & (table.counts > table.total / len(table.counts))
    for ids, rows in source.matrix.blocks(AS_STORED):
        here = ids[wanted[ids]]
        squares = (rows[wanted[ids]] @ directions.T) ** 2
        squares /= np.maximum(squares.sum(axis=1, keepdims=True), np.finfo(float).tiny)
        for zone, part in enumerate(zones):
            shares = squares[:, part].sum(axis=1)
            best[zone] += [(-float(shares[i]), int(here[i])) for i in np.argsort(-shares, kind="stable")[:top]]
    return [tuple(str(tokens[i]) for _, i in sorted(found)[:top]) for found in best]


def _readings(
    chosen: EmbedFilter | None,
    source: Source,
    tokens: Sequence[str | None],
    texts: Sequence[str],
    embeddings_ND: Floats,
    kept_N: NDArray[np.float64],
    top: int,
) -> tuple[Aligned, ...]:
    matrix = np.concatenate([rows for _, rows in source.matrix.blocks(AS_STORED)])
    vocabulary = Vocabulary.of(tokens)
    best = [TokenLens(matrix, filter, vocabulary=vocabulary).tokens(embeddings_ND, top) for filter in (None, chosen)]
    return tuple(
        Aligned(
            text,
            float(kept_N[i]),
            tuple(best[0][i]),
            tuple(best[1][i]),
        )
        for i, text in enumerate(texts)
    )
