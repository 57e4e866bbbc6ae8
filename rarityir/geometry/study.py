"""A study of a matrix's geometry: families of directions by variants of the rows, each measured in the same ways."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rarityir import __version__, progress, store
from rarityir.counts import SMOOTHING
from rarityir.geometry.agreement import Coherence, beyond, coherence
from rarityir.geometry.correlation import ICCTable, icc
from rarityir.geometry.cosines import Cosines, cosines, isotropic
from rarityir.geometry.families import check as check_family
from rarityir.geometry.families import directions
from rarityir.geometry.labelling import Purity, purities
from rarityir.geometry.nearest import Hubness, Neighbours, hubness, neighbours
from rarityir.geometry.nulls import Bands
from rarityir.geometry.rows import Mask, matrix
from rarityir.geometry.variants import NULLS, Variant, variant
from rarityir.geometry.variants import check as check_variant
from rarityir.rarity.labels import groups
from rarityir.types import Ints, Json, RarityError

SHOWN = 5  # directions of a cell whose neighbours are shown as they were drawn, and as many of the most coherent ones
OWN = ("removed", "kept")  # families in vectors of the stored space, as given ones are; the others belong to the variant's rows


@dataclass(frozen=True)
class Homogeneity:
    """How alike in frequency neighbours are: the variance of log ICF among them by that of all tokens, and their mean log ICF."""

    ratio: float
    mean: float
    overall: float


@dataclass(frozen=True)
class Example:
    """A direction's neighbours: token ids, cosines, and how coherent they are in standard deviations of random sets."""

    number: int  # of the direction in its family
    ids: tuple[int, ...]
    cosines: tuple[float, ...]
    score: float
    chosen: bool  # for its score, not drawn


@dataclass(frozen=True, eq=False)
class Cell:
    """All figures of one family of directions among the rows of one variant; `tests` by kind."""

    family: str
    variant: str
    directions: int
    cosines: Cosines
    top: float
    mean_of_k: float
    tests: Mapping[str, Coherence]
    homogeneity: Homogeneity | None
    labels: Mapping[str, Purity]
    hubs: Hubness
    hubs_csls: Hubness
    examples: tuple[Example, ...] = ()

    def json(self) -> dict[str, Json]:
        """Returns the cell's figures as JSON values, without one for each direction."""
        return {
            "family": self.family,
            "variant": self.variant,
            "directions": self.directions,
            "cosines": {**self.cosines.json(), "top": self.top, "nearest": self.mean_of_k},
            "coherence": {kind: test.json() for kind, test in self.tests.items()},
            "frequency": None if self.homogeneity is None else vars(self.homogeneity),
            "labels": {name: purity.json() for name, purity in self.labels.items()},
            "hubs": {"cosine": vars(self.hubs), "csls": vars(self.hubs_csls)},
        }


@dataclass(frozen=True, eq=False)
class Study:
    """What `report` found: a cell for each family and variant, and the intra-class correlations of each variant's labels."""

    name: str
    tokens: int
    width: int
    k: int
    channel: str
    settings: Mapping[str, Json]
    cells: tuple[Cell, ...]
    correlations: Mapping[str, Mapping[str, ICCTable]]
    texts: Sequence[str | None] | None = field(default=None, repr=False)
    counts: Ints | None = field(default=None, repr=False)

    def token(self, token_id: int) -> str:
        """Returns what a token writes, or its number."""
        text = self.texts[token_id] if self.texts is not None else None
        return f"#{token_id}" if text is None else text

    def json(self) -> dict[str, Json]:
        """Returns the whole as JSON values: settings, closed forms, cells and correlations."""
        plain = isotropic(self.tokens, self.width, self.k)._asdict()
        hubs = {id_ for cell in self.cells for found in (cell.hubs, cell.hubs_csls) for id_, _ in found.hubs}
        return {
            "name": self.name,
            "tokens": self.tokens,
            "width": self.width,
            "k": self.k,
            "channel": self.channel,
            "settings": dict(self.settings),
            "isotropic": plain,
            "cells": [cell.json() for cell in self.cells],
            "icc": {v: {name: table.json() for name, table in tables.items()} for v, tables in self.correlations.items()},
            "hub_tokens": {str(id_): self.token(id_) for id_ in sorted(hubs)},
            "rarityir": __version__,
        }

    def text(self) -> str:
        """Returns the tables as plain text."""
        from rarityir.geometry.tables import text

        return text(self)

    def neighbour_tables(self, *, colour: bool = False) -> str:
        """Returns the neighbours of some directions of each cell as plain text, rarer tokens in another colour if asked for."""
        from rarityir.geometry.tables import neighbour_tables

        return neighbour_tables(self, colour=colour)

    def html(self) -> str:
        """Returns one page with tables and pictures that needs nothing else."""
        from rarityir.geometry.page import page

        return page(self)

    def save(self, folder: str | Path) -> list[Path]:
        """Writes geometry.json, geometry.txt, neighbours.txt, geometry.html and its picture into a folder."""
        from rarityir.geometry.pictures import picture

        folder = Path(folder)
        store.write_json(folder / "geometry.json", self.json())
        store.write_text(folder / "geometry.txt", self.text())
        store.write_text(folder / "neighbours.txt", self.neighbour_tables())
        store.write_text(folder / "geometry.html", self.html())
        store.write_text(folder / "geometry.svg", picture(self))
        return [folder / name for name in ("geometry.json", "geometry.txt", "neighbours.txt", "geometry.html", "geometry.svg")]


@dataclass(frozen=True, eq=False)
class _Asked:
    """What is the same for every cell."""

    rows: NDArray[Any]
    allowed: Mask
    counts: Ints | None
    basis: NDArray[Any] | None
    given: Mapping[str, NDArray[Any]]
    channel: NDArray[Any] | None
    groups: Ints | None
    labels: Mapping[str, NDArray[Any]]
    n: int
    k: int
    n_null: int
    seed: int


def report(
    rows_VD: NDArray[Any],
    *,
    families: Sequence[str] = ("iso",),
    variants: Sequence[str] = ("raw", "centred"),
    channel: NDArray[Any] | None = None,
    texts: Sequence[str | None] | None = None,
    counts: Ints | None = None,
    labels: Mapping[str, NDArray[Any]] | None = None,
    basis: NDArray[Any] | None = None,
    given: Mapping[str, NDArray[Any]] | None = None,
    n: int = 1000,
    k: int = 10,
    n_null: int = 1000,
    seed: int = 0,
    name: str = "rows",
    channel_name: str = "",
) -> Study:
    """Returns the study of (V, D) rows of tokens.

    Args:
        families: names of `families.FAMILIES` or of `given`.
        variants: names of `variants.VARIANTS`. Rows that are no token's any more have no label purity and no correlations.
        channel: (V, D') rows of the same tokens elsewhere, in which coherence is scored independently.
        texts: what each token writes; tokens that write nothing take no part, and spellings of one word are told from others.
        counts: (V,) occurrences, for frequency-matched chance, `zipf`, and how alike in frequency neighbours are.
        labels: (V,) labels by name of their system, as `label_systems` gives; one label for all has no correlation.
        basis: (K, D) of a filter, for `removed`, `kept` and `filtered`.
        given: families as (M, D) arrays of vectors in the stored space.
        n, k, n_null: directions of a family, neighbours of a direction, random sets for each.
    """
    x_VD, given = matrix(rows_VD), given or {}
    _check(len(x_VD), families, variants, given, {"texts": texts, "counts": counts, **(labels or {})})
    allowed = np.ones(len(x_VD), bool) if texts is None else np.array([text is not None for text in texts])
    same = None if texts is None else groups(texts)
    asked = _Asked(x_VD, allowed, counts, basis, given, channel, same, labels or {}, n, k, n_null, seed)
    cells, correlations = [], {}
    with progress.bar("directions", len(variants) * len(families)) as advance:
        for one in variants:
            rows = variant(x_VD, one, allowed=allowed, counts=counts, basis=basis, seed=seed)
            if one not in NULLS:
                correlations[one] = _correlations(asked, rows)
            here = [family for family in families if (one, family) != ("filtered", "removed")]  # nothing is there
            searches = [_searched(asked, rows, family) for family in here]
            for family, found, against in zip(here, searches, beyond(searches, seed) if searches else [], strict=True):
                cells.append(_cell(asked, rows, family, found, against))
                advance(1)
    settings = {"families": list(families), "variants": list(variants), "n": n, "n_null": n_null, "seed": seed}
    tokens = int(allowed.sum())
    return Study(name, tokens, x_VD.shape[1], k, channel_name, settings, tuple(cells), correlations, texts, counts)


def _check(
    rows: int, families: Sequence[str], variants: Sequence[str], given: Mapping[str, Any], others: Mapping[str, Any]
) -> None:
    for what, value in others.items():
        if value is not None and len(value) != rows:
            raise RarityError(f"{what}: {len(value)} values for {rows} rows; give one for each row")
    if not families or not variants or (set(families) == {"removed"} and set(variants) == {"filtered"}):
        raise RarityError("a study needs a family of directions and a variant of the rows that lie in one space")
    for family in families:
        check_family(family, given)
    for one in variants:
        check_variant(one)


def _correlations(asked: _Asked, rows: Variant) -> dict[str, ICCTable]:
    return {
        label: icc(rows.rows, codes, allowed=asked.allowed, seed=asked.seed)
        for label, codes in asked.labels.items()
        if len(set(codes[asked.allowed]) - {None}) > 1
    }


def _searched(asked: _Asked, rows: Variant, family: str) -> Neighbours:
    stored = family in asked.given or family in OWN
    v_nD = directions(
        asked.rows if stored else rows.rows, family, asked.n, asked.seed,
        allowed=asked.allowed, basis=asked.basis, given=asked.given,
    )  # fmt: skip
    if stored or rows.name == "filtered":  # whose rows lie in a subspace; what of a direction does not is near to none of them
        v_nD = rows.turned(v_nD)
    if not (np.abs(v_nD).max(axis=1) > 1e-9).all():
        raise RarityError(f"{rows.name} rows have nothing along directions {family}; leave one of the two out")
    return neighbours(rows.rows, v_nD, asked.k, allowed=asked.allowed)


def _cell(asked: _Asked, rows: Variant, family: str, found: Neighbours, against: Coherence) -> Cell:
    csls = neighbours(rows.rows, found.directions, asked.k, allowed=asked.allowed, method="csls")
    options: dict[str, Any] = {"counts": asked.counts, "n_null": asked.n_null, "seed": asked.seed}
    tests: dict[str, Coherence] = {}
    if asked.channel is not None:
        tests["cross"] = coherence(found, asked.channel, **options)
        if asked.groups is not None:
            tests["distinct"] = coherence(found, asked.channel, groups=asked.groups, **options)
    tests["self"] = coherence(found, "self", **options)
    bands = Bands.of(len(asked.rows), asked.k, asked.counts, asked.allowed)
    return Cell(
        family, rows.name, len(found.ids), cosines(found), float(found.cosines[:, 0].mean()), float(found.cosines.mean()),
        {**tests, "beyond": against}, _homogeneity(found.ids, asked.counts, asked.allowed),
        {} if rows.name in NULLS else purities(found.ids, asked.labels, bands, asked.seed),
        hubness(found), hubness(csls), _examples(found, next(iter(tests.values()))),
    )  # fmt: skip


def _homogeneity(ids_nk: Ints, counts: Ints | None, allowed: Mask) -> Homogeneity | None:
    if counts is None:
        return None
    smoothed = np.asarray(counts) + SMOOTHING
    icf_V = np.log(smoothed.sum()) - np.log(smoothed)
    overall = icf_V[allowed]
    ratio = icf_V[ids_nk].var(axis=1).mean() / max(overall.var(), np.finfo(float).tiny)
    return Homogeneity(float(ratio), float(icf_V[ids_nk].mean()), float(overall.mean()))


def _examples(found: Neighbours, test: Coherence) -> tuple[Example, ...]:
    best = np.argsort(-test.scores, kind="stable")[:SHOWN]
    wanted = [(i, False) for i in range(min(SHOWN, len(found.ids)))] + [(int(i), True) for i in best]
    return tuple(
        Example(i, tuple(found.ids[i].tolist()), tuple(found.cosines[i].tolist()), float(test.scores[i]), chosen)
        for i, chosen in wanted
    )
