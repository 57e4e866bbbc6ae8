"""Weights as whole numbers, and tokens' names as terms: what engines that count words can hold."""

from __future__ import annotations

import re
from urllib.parse import unquote

import numpy as np

from rarityir.indexes.postings import SparseIndex
from rarityir.types import Impacts, Json
from rarityir.vectors.folders import blocks

LEVELS = 255  # what a byte holds, and what the 9 bits of a weight in Elasticsearch and OpenSearch hold exactly
_SPECIAL = re.compile(r"[%.\s\x00-\x1f\x7f-\x9f]")


class Rounding:
    """Impacts as whole numbers of one unit: the largest of the index is `levels` units, and none becomes 0.

    Where all are whole and at most `levels`, they stay as they are. `facts()` says what the blocks seen so far lost.
    """

    def __init__(self, index: SparseIndex, levels: int = LEVELS) -> None:
        largest, whole = 0.0, True
        for block in blocks(index):
            largest = max(largest, float(block.values.max(initial=0.0)))
            whole = whole and bool((block.values == np.rint(block.values)).all())
        self.levels = levels
        self.unit = 1.0 if whole and largest <= levels else largest / levels
        self._postings = self._raised = 0
        self._change = 0.0

    def __call__(self, impacts: Impacts) -> Impacts:
        """Returns a block's impacts in whole units."""
        exact = impacts.values.astype(np.float64) / self.unit
        whole = np.maximum(np.rint(exact), 1.0)
        self._postings += len(exact)
        self._raised += int((exact < 0.5).sum())
        self._change = max(self._change, float(np.abs(whole - exact).max(initial=0.0)))
        return impacts._replace(values=whole.astype(np.float32))

    def facts(self) -> dict[str, Json]:
        """Returns the unit, how many impacts were below half of it and became 1, and the largest change in units."""
        return {
            "unit": self.unit,
            "levels": self.levels,
            "postings": self._postings,
            "raised": self._raised,
            "largest_change": round(self._change, 6),
        }


def whole_queries(queries: Impacts, levels: int = LEVELS) -> Impacts:
    """Returns queries of whole weights: each query's largest becomes `levels`, and no token is lost.

    A query of whole weights stays as it is. Anserini cuts fractions off: a weight of 0.7 would be 0.
    """
    values = queries.values.astype(np.float64)
    for start, stop in zip(queries.indptr[:-1].tolist(), queries.indptr[1:].tolist(), strict=True):
        weights = values[start:stop]
        if not (weights == np.rint(weights)).all():
            scaled = np.rint(weights * (levels / weights.max()))
            values[start:stop] = np.where(weights > 0, np.maximum(scaled, 1.0), 0.0)
    return queries._replace(values=values.astype(np.float32))


def escaped(name: str) -> str:
    """Returns a token's name as one term, its white space, controls, `.` and `%` as `%XX`; `unescaped` undoes it.

    The dot is among them because Elasticsearch's `rank_features` take none.
    """
    return _SPECIAL.sub(lambda match: "".join(f"%{byte:02X}" for byte in match[0].encode()), name) or "%"


def unescaped(term: str) -> str:
    """Returns the name that `escaped` made a term of."""
    return "" if term == "%" else unquote(term)
