"""Says what a filter removes and why: direction by direction, token by token, text by text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

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
    kept = _kept(chosen, found.directions)
    frequency = _frequency(source, table)
    parts_Z = _zones(kept > 0.5)
    writers = _writers(source, tokens, table, parts_Z, top)
    shares = found.values**2 / (found.values**2).sum()
    zones = tuple(
        Zone(tuple(part.tolist()), bool(kept[part[0]] > 0.5), float(shares[part].sum()), float(frequency[part].sum()), written)
        for part, written in zip(parts_Z, writers, strict=True)
    )
    energy: NDArray[np.float64] | None = None
    readings: tuple[Aligned, ...] = ()
    if len(texts) and embeddings_ND is not None:
        parts = (embeddings_ND.astype(np.float64) @ found.directions.T) ** 2
        parts /= parts.sum(axis=1, keepdims=True)
        energy = parts.mean(axis=0)
        readings = _readings(chosen, source, tokens, texts, embeddings_ND, parts @ kept, top)
    return Explanation(
        source.matrix.model or "array",
        chosen.name if chosen else "",
        len(found.values),
        found.vocabulary,
        table.source,
        found.values,
        kept,
        shift(source, table, Reading(center=True)),
        frequency,
        energy,
        zones,
        readings,
        chosen.fitted_on if chosen else {},
    )


def _kept(chosen: EmbedFilter | None, directions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each direction's squared length inside the span of the filter's rows."""
    if chosen is None:
        return np.ones(len(directions))
    rows = np.linalg.qr(chosen.basis.T.astype(np.float64))[0]
    return np.asarray(np.minimum(((directions @ rows) ** 2).sum(axis=1), 1.0))


def _frequency(source: Source, table: TokenCounts) -> NDArray[np.float64]:
    found = source.spectrum()
    profile = table.log_probability()
    along = (found.directions @ source.matrix.weighted(profile - profile.mean()) / found.divisors) ** 2
    return np.asarray(along / max(along.sum(), np.finfo(float).tiny))


def _zones(mask: NDArray[np.bool_]) -> list[Ints]:
    """The positions of each run of kept or dropped directions; of a scattered filter, all dropped and all kept ones."""
    runs = np.split(np.arange(len(mask)), np.flatnonzero(np.diff(mask.astype(np.int8))) + 1)
    return runs if len(runs) <= MOST else [np.flatnonzero(~mask), np.flatnonzero(mask)]


def _writers(
    source: Source, tokens: Sequence[str | None], table: TokenCounts, zones: Sequence[Ints], top: int
) -> list[tuple[str, ...]]:
    """For each zone, those tokens in use whose rows have the most squared length in it."""
    directions = source.spectrum().directions
    best: list[list[tuple[float, int]]] = [[] for _ in zones]
    text = np.array([bool(token and token.strip()) for token in tokens]) & (table.counts > 0)
    for ids, rows in source.matrix.blocks(AS_STORED):
        here = ids[text[ids]]
        squares = (rows[text[ids]] @ directions.T) ** 2
        for zone, part in enumerate(zones):
            energies = squares[:, part].sum(axis=1)
            best[zone] += [(-float(energies[i]), int(here[i])) for i in np.argsort(-energies)[:top]]
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
    lenses = [TokenLens(matrix, vocabulary, top, filter) for filter in (None, chosen)]
    best = [np.argsort(-lens.logits(embeddings_ND), axis=1, kind="stable")[:, :top] for lens in lenses]
    return tuple(
        Aligned(
            text,
            float(kept_N[i]),
            tuple(vocabulary.names[c] for c in best[0][i]),
            tuple(vocabulary.names[c] for c in best[1][i]),
        )
        for i, text in enumerate(texts)
    )
