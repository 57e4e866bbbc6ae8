"""How much of a ranking a few coordinates hold: the p largest of each row, on these axes and on others of the same space.

At p = K all sets of axes rank alike, to rounding: they are rotations of one white space. Only below that can they differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rarityir.ica.axes import Axes
from rarityir.ica.sweeping import Judged
from rarityir.indexes.axes import cut
from rarityir.types import Json, RarityError

Vectors = NDArray[np.float64]


def turned(axes: Axes, turn_KK: Vectors) -> Axes:
    """Returns the axes of the same white space after a rotation; names are left off."""
    return replace(axes, reading=turn_KK @ axes.reading, writing=turn_KK @ axes.writing, labels=())


def principal(axes: Axes) -> Axes:
    """Returns the principal axes of the space, by falling variance, each of variance one."""
    u, _, _ = np.linalg.svd(axes.writing)  # rows s @ writing have the covariance writingᵀ writing
    return turned(axes, np.asarray(u.T))


def anyhow(axes: Axes, seed: int = 0) -> Axes:
    """Returns axes drawn at random: the control for whatever is said of any."""
    q, r = np.linalg.qr(np.random.default_rng(seed).standard_normal((len(axes), len(axes))))
    return turned(axes, np.asarray(q * np.sign(np.diag(r))))


def overlap(axes: Axes, q_QD: NDArray[Any], x_ND: NDArray[Any], p: int, depth: int = 10) -> float:
    """Returns the share of each query's `depth` nearest rows that its p largest coordinates, and theirs, find too."""
    if not 0 < depth <= len(x_ND):
        raise RarityError(f"{depth} nearest of {len(x_ND)} rows; ask for 1 to {len(x_ND)}")
    q, x = axes.transform(q_QD, normalize=True), axes.transform(x_ND, normalize=True)
    whole, few = (np.argsort(-scores, axis=1, kind="stable")[:, :depth] for scores in (q @ x.T, cut(q, p) @ cut(x, p).T))
    return float(np.mean([len(np.intersect1d(a, b)) / depth for a, b in zip(whole, few, strict=True)]))


def curve(
    axes: Axes,
    q_QD: NDArray[Any],
    x_ND: NDArray[Any],
    ps: Sequence[int],
    *,
    named: Any = None,
    measure: str = "nDCG@10",
    drops_query_document: bool = False,
    seed: int = 0,
) -> dict[str, Json]:
    """Returns, for each p, the overlap at 10 of ICA, PCA and random axes; with `query_ids, doc_ids, qrels` the measure too.

    With `drops_query_document` no topic is measured by the document that it is itself.
    """
    if not ps or min(ps) < 1:
        raise RarityError(f"numbers of coordinates are from 1 on, not {list(ps)}")
    kinds = {"ica": axes, "pca": principal(axes), "random": anyhow(axes, seed)}
    found: dict[str, Json] = {"p": list(ps), "overlap@10": {}, "components": len(axes)}
    for name, kind in kinds.items():
        found["overlap@10"][name] = [overlap(kind, q_QD, x_ND, p, min(10, len(x_ND))) for p in ps]
        if named is not None:
            judged = Judged.of(kind, q_QD, x_ND, *named, measure=measure, drops_query_document=drops_query_document)
            scores = [cut(judged.queries, p) @ cut(judged.documents, p).T for p in ps]
            found.setdefault(measure, {})[name] = [float(judged.values(part).mean()) for part in scores]
    return found
