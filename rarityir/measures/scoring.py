"""Scores one run per topic with ranx, through its integer-array path (this package owns ranx); bpref is trec_eval's.

ranx takes seconds to tie its own dictionaries and breaks ties by an unstable sort; fed integer arrays whose rows are
already in order it does neither. A run is strictly decreasing, so there is no tie to break.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rarityir.doc_ids import rows_of
from rarityir.measures.names import Measure
from rarityir.runs import Run
from rarityir.types import Ints, Qrels, Scores

_NO_QREL, _NO_HIT = -1, -2  # paddings that never meet
_WHOLE = ("f1", "precision")  # without a cutoff


def evaluate(run: Run, qrels: Qrels, measures: Sequence[str], query_ids: Sequence[str] | None = None) -> Scores:
    """Returns the run's measures for every judged topic; a topic the run lacks scores 0.

    Args:
        query_ids: the topics to score (default: all of the qrels, in their order).
    """
    wanted = [Measure.parse(name) for name in measures]
    query_ids = list(qrels) if query_ids is None else list(query_ids)
    judged = {doc_id for query_id in query_ids for doc_id in qrels.get(query_id, {})}
    ids = rows_of(run.doc_ids, judged)
    for doc_id in sorted(judged - ids.keys()):
        ids[doc_id] = len(run.doc_ids) + len(ids)  # judged, but in no ranking: it counts as relevant and is not found
    qrels_QJ2 = _qrels(qrels, query_ids, ids)
    run_QN2 = _run(run, query_ids)
    from ranx import evaluate as score

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numba's note on integer types at first use
        values = {}
        for m in wanted:
            stem, _, level = m.ranx.partition("-l")
            if stem == "bpref":
                graded = [{ids[d]: grade for d, grade in qrels.get(query_id, {}).items()} for query_id in query_ids]
                found = [_bpref(one, run_N2[:, 0], int(level or 1)) for one, run_N2 in zip(graded, run_QN2, strict=True)]
                values[m.name] = np.asarray(found, dtype=np.float64)
            elif stem.startswith("rbp."):
                values[m.name] = _one(score, _binary(qrels_QJ2, int(level or 1)), run_QN2, stem)
            else:
                values[m.name] = _one(score, qrels_QJ2, run_QN2, m.ranx)
    return Scores(run.name, tuple(query_ids), values)


def _bpref(grades: Mapping[int, int], ranked_N: Ints, level: int) -> float:
    """As trec_eval has it, where a negative grade is no judgment; ranx divides by 0 where none is judged non-relevant."""
    relevant = [row for row, grade in grades.items() if grade >= level]
    wrong = [row for row, grade in grades.items() if 0 <= grade < level]
    if not relevant:
        return 0.0
    above = np.minimum(np.cumsum(np.isin(ranked_N, wrong)), len(relevant))[np.isin(ranked_N, relevant)]
    bound = max(1, min(len(relevant), len(wrong)))  # where none is judged non-relevant, none is above
    return float((1 - above / bound).sum() / len(relevant))


def _binary(qrels_QJ2: Ints, level: int) -> Ints:
    """The grades as 1 and 0: rank-biased precision asks whether a document is relevant, and ranx weighs by its grade."""
    out = qrels_QJ2.copy()
    out[:, :, 1] = qrels_QJ2[:, :, 1] >= level
    return out


def _one(score: Any, qrels_QJ2: Ints, run_QN2: Ints, name: str) -> NDArray[np.float64]:
    if name.split("-l")[0] in _WHOLE:  # these count every row they are given: each topic goes alone, without its padding
        parts = [(q[q[:, 0] != _NO_QREL], r[r[:, 0] != _NO_HIT]) for q, r in zip(qrels_QJ2, run_QN2, strict=True)]
        values = [_ranx(score, q[None], r[None], name)[0] if len(q) and len(r) else 0.0 for q, r in parts]
        return np.nan_to_num(np.asarray(values, dtype=np.float64))
    return np.nan_to_num(np.asarray(_ranx(score, qrels_QJ2, run_QN2, name), dtype=np.float64))


def _ranx(score: Any, qrels_QJ2: Ints, run_QN2: Ints, name: str) -> Any:
    # Asked for one name, ranx returns it under another; asked for two, it returns both by name.
    return score(qrels_QJ2, run_QN2, [name, name], return_mean=False, save_results_in_run=False)[name]


def _qrels(qrels: Qrels, query_ids: Sequence[str], ids: dict[str, int]) -> Ints:
    """(Q, J, 2) of id and grade, highest grade first as ranx's ideal ranking needs; grades below 0 count as 0."""
    width = max([1, *(len(qrels.get(query_id, {})) for query_id in query_ids)])
    out = np.zeros((len(query_ids), width, 2), np.int64)
    out[:, :, 0] = _NO_QREL
    for i, query_id in enumerate(query_ids):
        ranked = sorted(qrels.get(query_id, {}).items(), key=lambda pair: -pair[1])
        for j, (doc_id, relevance) in enumerate(ranked):
            out[i, j] = ids[doc_id], max(0, relevance)
    return out


def _run(run: Run, query_ids: Sequence[str]) -> Ints:
    """(Q, N, 2) of id and a falling score that says no more than the rank."""
    at = {query_id: i for i, query_id in enumerate(run.query_ids)}
    width = max(1, int(np.diff(run.indptr).max(initial=0)))
    out = np.empty((len(query_ids), width, 2), np.int64)
    out[:, :, 0], out[:, :, 1] = _NO_HIT, np.arange(width, 0, -1)
    for row, query_id in enumerate(query_ids):
        if query_id in at:
            found = run.rows[run.indptr[at[query_id]] : run.indptr[at[query_id] + 1]]
            out[row, : len(found), 0] = found
    return out
