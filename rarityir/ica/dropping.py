"""`ica-drop:rarity` drops the independent axes that go most with token rarity; `ica:p` keeps the first p axes of documents.

A proposal of this package after Yamagiwa et al. (EMNLP 2023, arXiv 2305.13175), as a rival of EmbedFilter, whose directions are
singular vectors. Rows of the unembedding are W = μ + S A; an embedding h gives the logits W h = const + S (A h), so it writes
axis ℓ by as much as a_ℓ · h. To drop axes is to keep what is orthogonal to their a_ℓ: orthonormal rows, an exact zero on each.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rarityir import registry
from rarityir.filters.band import kept_width
from rarityir.filters.source import Affine, Fit, Source
from rarityir.filters.spectrum import cache_folder
from rarityir.filters.unembedding import READING, Reading, reading
from rarityir.filters.width import at_most, complement, whole, width_of
from rarityir.ica.axes import Axes
from rarityir.ica.fitting import ICA
from rarityir.ica.rarity import of_values
from rarityir.types import Json, RarityError

Vectors = NDArray[np.float64]
SEARCH = {"seed": whole(0), "iterations": whole(1), "sample": whole(0), "components": whole(1)}
ITERATIONS, TOL, SAMPLE = 500, 1e-4, 20_000
WHAT, ON = ("rarity", "random"), ("unembedding", "documents")


def _of(known: tuple[str, ...]) -> Any:
    def read(text: str) -> str:
        if text not in known:
            raise ValueError(text)
        return text

    read.__name__ = f"choice of {' and '.join(known)}"
    return read


def ica_drop(arg: str) -> Fit:
    """Drops the axes most correlated with rarity, or as many at random: `ica-drop:rarity,keep=128`, `ica-drop:random,tau=2`.

    Options: `keep=` directions or `tau=` (2), the share 1/τ that is kept; `on=unembedding|documents`, whose axes; `counts=`;
    `draw=` of random axes; `seed=`, `iterations=`, `sample=` and `components=` of the search; how rows are read.
    """
    known = {"drop": _of(WHAT), "keep": whole(1), "tau": str, "on": _of(ON), "counts": str, "draw": whole(0), **SEARCH, **READING}
    given = registry.options(arg, known, "ica-drop")
    if "drop" not in given or ("keep" in given and "tau" in given):
        raise RarityError(f"ica-drop:{arg or '?'} reads ica-drop:rarity or ica-drop:random, with keep=K or tau=2 but not both")
    kept_width("ica-drop", given.get("tau", "2"), None)
    if not given.setdefault("center", True):
        raise RarityError("ica-drop centres the rows it finds axes of; leave center out")
    how = reading(given)

    def fit(source: Source) -> Affine:
        if given.get("on") == "documents":
            axes = of_documents(source, given)
            writes = source.matrix.width
        else:
            axes = of_unembedding(source, given, how)
            writes = axes.width
        kept = given["keep"] if "keep" in given else kept_width("ica-drop", given.get("tau", "2"), writes)
        dropped = writes - at_most("ica-drop", kept, writes)
        if dropped > len(axes):
            raise RarityError(f"ica-drop:{arg} drops {dropped} axes of {len(axes)}; keep {writes - len(axes)} or more")
        chosen, facts = _chosen(source, axes, given, how, dropped)
        basis = complement(axes.writing[chosen]) if dropped else np.eye(writes)
        return Affine(basis, None, {**source.read_unembedding(), **facts})

    return fit


def ica(arg: str) -> Fit:
    """Keeps the coordinates on the first p axes of the documents, by falling skewness; options of the search."""
    p, given = width_of("ica", arg, SEARCH)

    def fit(source: Source) -> Affine:
        axes = of_documents(source, given)
        at_most("ica", p, len(axes))
        return Affine(axes.reading[:p], axes.mean, {**source.read_documents(), "ica": told(axes)})

    return fit


def _chosen(
    source: Source, axes: Axes, given: dict[str, Any], how: Reading, dropped: int
) -> tuple[NDArray[np.int64], dict[str, Json]]:
    """The axes to drop, in rising order, and what is to be said of them."""
    said: dict[str, Json] = {"drop": given["drop"], "on": given.get("on", "unembedding"), **told(axes)}
    if given["drop"] == "random":
        drawn = np.random.default_rng(given.get("draw", 0)).permutation(len(axes))[:dropped]
        return np.sort(drawn), {"ica": {**said, "axes": np.sort(drawn).tolist()}}
    counts = source.frequencies(given.get("counts", "english"))
    used = source.matrix.used(how)
    values = np.concatenate([_values(rows, axes, given) for _, rows in source.matrix.blocks(how)])
    found = of_values(values, -counts.log_probability()[used])
    chosen = np.sort(found.order[:dropped])
    said |= {"axes": chosen.tolist(), "spearman": [round(float(rho), 4) for rho in found.rho[chosen]]}
    return chosen, {"ica": said, **source.read_counts(counts)}


def _values(rows: NDArray[Any], axes: Axes, given: dict[str, Any]) -> Vectors:
    """Tokens' coordinates on axes of the unembedding; or what axes of documents write into tokens' logits."""
    if given.get("on") == "documents":
        return np.asarray(np.asarray(rows, np.float64) @ axes.writing.T)
    return axes.transform(rows)


def told(axes: Axes) -> dict[str, Json]:
    """Returns what a filter says of the axes it was made of."""
    found = axes.diagnostics
    return {"components": len(axes), "n_iter": found.n_iter, "converged": found.converged, "flags": list(found.flags)}


def of_unembedding(source: Source, given: dict[str, Any], how: Reading) -> Axes:
    """Returns the axes of an unembedding's rows, kept in the cache unless a filter went before."""
    matrix = source.matrix
    key = None if matrix.turn is not None else f"{matrix.digest}-{how}{matrix.read_with(how)}"
    return _kept(source, key, given, lambda: (rows for _, rows in matrix.blocks(how)))


def of_documents(source: Source, given: dict[str, Any]) -> Axes:
    """Returns the axes of documents' embeddings as a filter before this one leaves them."""
    moments, before = source.moments, source.before
    total = hashlib.sha256(moments.mean.tobytes() + moments.covariance.tobytes() + bytes(str(moments.count), "ascii"))

    def read() -> Iterator[Any]:
        assert source.documents is not None  # the moments were of them
        return (block if before is None else before(block) for block in source.documents())

    return _kept(source, f"documents-{total.hexdigest()}", given, read)


def _kept(source: Source, key: str | None, given: dict[str, Any], read: Any) -> Axes:
    search = ICA(
        given.get("components"), given.get("iterations", ITERATIONS), TOL, given.get("seed", 0), 1, given.get("sample", SAMPLE)
    )
    if key is None:
        return search.stream(read)
    asked = hashlib.sha256(json.dumps([key, str(search)]).encode()).hexdigest()
    folder: Path = (source.cache or cache_folder()) / f"ica-{asked[:32]}"
    try:
        return Axes.load(folder)
    except RarityError:
        axes = search.stream(read)
        axes.save(folder)
        return axes
