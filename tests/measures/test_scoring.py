"""Measures agree with ir_measures on the written run files, topic by topic, whatever was tied before."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("NUMBA_NUM_THREADS", "2")  # numba fixes its threads when it is first imported

import ir_measures

from rarityir.measures import compare, evaluate
from rarityir.runs import Run, read_run
from rarityir.types import Hits, Qrels, Scores

MEASURES = {  # our name → ir_measures' name
    "nDCG@10": "nDCG@10",
    "nDCG": "nDCG",
    "RR@10": "RR@10",
    "RR(rel=2)@10": "RR(rel=2)@10",
    "R@100": "R@100",
    "R@1000": "R@1000",
    "AP": "AP",
    "AP(rel=2)": "AP(rel=2)",
    "P@10": "P@10",
    "Success@5": "Success@5",
}
# All ids are of one length: ranx and numba compile anew for every other one.
DOCUMENTS = 400
DOC_IDS = [f"d{i:04d}" for i in range(DOCUMENTS)]


def tied_run(seed: int, *, queries: int = 12, depth: int = 150, levels: int = 4, name: str = "system") -> Run:
    """A run whose scores take few values, so that most documents are tied before ties are broken."""
    rng = np.random.default_rng(seed)
    rows = np.full((queries, depth), -1, np.int64)
    scores = np.zeros((queries, depth), np.float32)
    for i in range(queries):
        found = int(rng.integers(1, depth + 1))
        drawn = rng.integers(0, levels, found).astype(np.float32)
        order = np.argsort(-drawn, kind="stable")
        rows[i, :found] = rng.permutation(DOCUMENTS)[:found][order]
        scores[i, :found] = drawn[order]
    return Run.from_hits(name, [f"q{i:02d}" for i in range(queries)], DOC_IDS, Hits(rows, scores))


def graded_qrels(seed: int, *, queries: int = 12, grades: tuple[int, ...] = (-2, -1, 0, 0, 1, 1, 2, 3)) -> Qrels:
    """Judgments with negative grades and, every fifth, a document that no run and no corpus holds."""
    rng = np.random.default_rng(seed)
    qrels: dict[str, dict[str, int]] = {}
    for i in range(queries):
        judged = rng.permutation(DOCUMENTS)[: int(rng.integers(5, 60))]
        names = [f"x{row:04d}" if row % 5 == 0 else f"d{row:04d}" for row in judged]
        qrels[f"q{i:02d}"] = {name: int(rng.choice(grades)) for name in names}
        qrels[f"q{i:02d}"][f"d{399 - i:04d}"] = 2
    return qrels


def theirs(path: Path, qrels: Qrels) -> dict[str, dict[str, float]]:
    measures = {ir_measures.parse_measure(name): ours for ours, name in MEASURES.items()}
    found: dict[str, dict[str, float]] = {ours: {} for ours in MEASURES}
    for metric in ir_measures.iter_calc(list(measures), qrels, ir_measures.read_trec_run(str(path))):
        found[measures[metric.measure]][metric.query_id] = metric.value
    return found


def agree(scores: Scores, expected: dict[str, dict[str, float]]) -> None:
    for name, by_topic in expected.items():
        ours = dict(zip(scores.query_ids, scores.values[name], strict=True))
        assert ours.keys() == by_topic.keys()
        for query_id, value in by_topic.items():
            assert ours[query_id] == pytest.approx(value, abs=1e-6), f"{name} of {query_id}"
        assert scores.mean(name) == pytest.approx(sum(by_topic.values()) / len(by_topic), abs=1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_every_topic_of_a_tied_run_scores_as_in_ir_measures(tmp_path: Path, seed: int) -> None:
    run, qrels = tied_run(seed), graded_qrels(seed + 100)
    scores = evaluate(run, qrels, list(MEASURES))
    agree(scores, theirs(run.save(tmp_path / "run.trec"), qrels))
    assert 0 < scores.mean("nDCG@10") < 1


def test_a_run_read_back_scores_as_the_run_that_was_written(tmp_path: Path) -> None:
    run, qrels = tied_run(1), graded_qrels(2)
    written = evaluate(run, qrels, list(MEASURES))
    found = evaluate(read_run(run.save(tmp_path / "run.trec")), qrels, list(MEASURES))
    assert found.query_ids == written.query_ids
    for name in MEASURES:
        assert found.values[name].tolist() == written.values[name].tolist()


def test_a_foreign_run_full_of_ties_scores_as_its_written_form_in_ir_measures(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    lines = [
        f"q{q:02d} Q0 d{row:04d} {rank} {int(rng.integers(0, 3))} foreign"
        for q in range(12)
        for rank, row in enumerate(rng.permutation(DOCUMENTS)[:80], start=1)
    ]
    (tmp_path / "foreign.trec").write_text("\n".join(lines) + "\n")
    run, qrels = read_run(tmp_path / "foreign.trec"), graded_qrels(4)
    agree(evaluate(run, qrels, list(MEASURES)), theirs(run.save(tmp_path / "run.trec"), qrels))


def test_a_judged_topic_the_run_lacks_scores_zero_and_counts_in_the_mean(tmp_path: Path) -> None:
    run, qrels = tied_run(5, queries=9), graded_qrels(6, queries=12)
    scores = evaluate(run, qrels, list(MEASURES))
    assert len(scores.query_ids) == 12
    for name in MEASURES:
        assert scores.values[name][9:].tolist() == [0.0, 0.0, 0.0]
    agree(scores, theirs(run.save(tmp_path / "run.trec"), qrels))


def test_a_topic_of_the_run_that_nobody_judged_is_left_out(tmp_path: Path) -> None:
    run, qrels = tied_run(7, queries=12), graded_qrels(8, queries=7)
    scores = evaluate(run, qrels, list(MEASURES))
    assert scores.query_ids == tuple(f"q{i:02d}" for i in range(7))
    agree(scores, theirs(run.save(tmp_path / "run.trec"), qrels))


def test_a_topic_without_any_relevant_document_scores_zero(tmp_path: Path) -> None:
    run = tied_run(9, queries=3)
    qrels = graded_qrels(10, queries=3)
    qrels = {**qrels, "q01": {doc_id: min(0, grade) for doc_id, grade in qrels["q01"].items()}}
    scores = evaluate(run, qrels, list(MEASURES))
    for name in MEASURES:
        assert scores.values[name][1] == 0.0
    agree(scores, theirs(run.save(tmp_path / "run.trec"), qrels))


def test_a_run_without_any_hit_scores_zero_everywhere() -> None:
    run = Run.from_hits("none", ["q00", "q01"], DOC_IDS, Hits(np.empty((2, 0), np.int64), np.empty((2, 0), np.float32)))
    scores = evaluate(run, graded_qrels(1, queries=2), list(MEASURES))
    assert all(scores.values[name].tolist() == [0.0, 0.0] for name in MEASURES)


def test_topics_come_in_the_order_that_is_asked_for() -> None:
    run, qrels = tied_run(1), graded_qrels(1)
    some = evaluate(run, qrels, ["AP"], ["q05", "q01"])
    every = evaluate(run, qrels, ["AP"])
    assert some.query_ids == ("q05", "q01")
    assert some.values["AP"].tolist() == [every.values["AP"][5], every.values["AP"][1]]
    assert some.system == "system"


def test_the_precision_at_the_number_of_relevant_documents_is_as_in_ir_measures(tmp_path: Path) -> None:
    run, qrels = tied_run(5), graded_qrels(6)
    found = evaluate(run, qrels, ["Rprec"])
    expected = ir_measures.iter_calc([ir_measures.Rprec], qrels, ir_measures.read_trec_run(str(run.save(tmp_path / "run.trec"))))
    by_topic = {metric.query_id: metric.value for metric in expected}
    assert found.values["Rprec"].tolist() == pytest.approx([by_topic[query_id] for query_id in found.query_ids], abs=1e-6)


def test_measures_by_hand() -> None:
    run = Run.from_hits("a", ["q00"], DOC_IDS, Hits(np.array([[3, 1, 2, 4]]), np.array([[4, 3, 2, 1]], np.float32)))
    qrels = {"q00": {"d0001": 1, "d0002": 2, "d0003": 0, "x0000": 1}}
    names = ["nDCG@10", "RR@10", "AP", "R@100", "P@10", "AP(rel=2)", "Success@5"]
    found = {name: values[0] for name, values in evaluate(run, qrels, names).values.items()}
    ideal = 2 / math.log2(2) + 1 / math.log2(3) + 1 / math.log2(4)
    assert found["nDCG@10"] == pytest.approx((1 / math.log2(3) + 2 / math.log2(4)) / ideal)
    assert found["RR@10"] == 0.5
    assert found["AP"] == pytest.approx((1 / 2 + 2 / 3) / 3)
    assert found["R@100"] == pytest.approx(2 / 3)
    assert found["P@10"] == pytest.approx(0.2)
    assert found["AP(rel=2)"] == pytest.approx(1 / 3)
    assert found["Success@5"] == 1.0


@pytest.mark.parametrize("level", [1, 2])
@pytest.mark.parametrize("grades", [(-2, -1, 0, 0, 1, 1, 2, 3), (1, 2, 3), (-1, 1), (0, 0, 0, 0, 1)])
def test_bpref_is_as_in_trec_eval_whatever_is_judged(tmp_path: Path, grades: tuple[int, ...], level: int) -> None:
    name, nonzero = "bpref" if level == 1 else f"bpref-l{level}", 0
    for seed in range(5):
        run, qrels = tied_run(seed), graded_qrels(seed + 200, grades=grades)
        found = evaluate(run, qrels, [name])
        written = ir_measures.read_trec_run(str(run.save(tmp_path / "run.trec")))
        theirs = {m.query_id: m.value for m in ir_measures.pytrec_eval.iter_calc([ir_measures.Bpref(rel=level)], qrels, written)}
        expected = [theirs[query_id] for query_id in found.query_ids]
        assert found.values[name].tolist() == pytest.approx(expected, abs=1e-12)
        nonzero += sum(value > 0 for value in expected)
    assert nonzero > 0


def test_bpref_of_a_topic_without_a_judged_non_relevant_document_is_the_share_found() -> None:
    run = Run.from_hits("a", ["q00"], DOC_IDS, Hits(np.array([[3, 1, 2, 4]]), np.array([[4, 3, 2, 1]], np.float32)))
    found = evaluate(run, {"q00": {"d0001": 1, "d0002": 2, "x0000": 1}}, ["bpref", "bpref-l2"])
    assert found.values["bpref"].tolist() == pytest.approx([2 / 3])
    assert found.values["bpref-l2"].tolist() == [0.0]  # of grade 2 is one document, and one judged lower is above it


def test_rank_biased_precision_does_not_weigh_grades() -> None:
    run = Run.from_hits("a", ["q00"], DOC_IDS, Hits(np.array([[3, 1, 2, 4]]), np.array([[4, 3, 2, 1]], np.float32)))
    grades = {"d0001": 3, "d0002": 3, "d0004": 3}
    found = evaluate(run, {"q00": grades}, ["rbp.95", "rbp.95-l2"])
    whole = sum(0.05 * 0.95 ** (rank - 1) for rank in (2, 3, 4))
    assert [found.values[name][0] for name in ("rbp.95", "rbp.95-l2")] == pytest.approx([whole, whole])
    found = evaluate(run, {"q00": grades | {"d0002": 1}}, ["rbp.95", "rbp.95-l2"])
    assert found.values["rbp.95"][0] == pytest.approx(whole)
    assert found.values["rbp.95-l2"][0] == pytest.approx(whole - 0.05 * 0.95**2)


RANX = [
    "hits@10", "hit_rate@5", "precision@7", "recall@50", "f1@10", "r-precision", "bpref", "rbp.95", "rbp.80", "mrr", "map@50",
    "dcg@10", "dcg_burges@10", "ndcg@20", "ndcg_burges@10", "recall@50-l2", "map-l2", "precision", "f1", "hits",
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::Warning:numba")
@pytest.mark.parametrize("name", RANX)
def test_any_measure_ranx_knows_is_what_ranx_says_of_each_topic_alone(name: str) -> None:
    """ranx is given one topic at a time, so nothing is padded and no other topic can touch its figure.

    To rank-biased precision a document is relevant or not, and ranx is told no more. Each topic has one judged non-relevant,
    without which ranx has no bpref.
    """
    import ranx

    run, qrels = tied_run(11, queries=6, depth=60), graded_qrels(12, queries=6, grades=(0, 1, 2))
    found = evaluate(run, qrels, [name]).values[name]
    for i, query_id in enumerate(run):
        ids = {doc_id: number for number, doc_id in enumerate(sorted({*qrels[query_id], *dict(run[query_id])}))}
        grades = {doc_id: min(grade, 1) if "rbp" in name else grade for doc_id, grade in qrels[query_id].items()}
        assert 0 in grades.values()
        judged = sorted(([ids[doc_id], grade] for doc_id, grade in grades.items()), key=lambda pair: -pair[1])
        ranked = [[ids[doc_id], len(run[query_id]) - rank] for rank, (doc_id, _) in enumerate(run[query_id])]
        both = ranx.evaluate(np.array([judged]), np.array([ranked]), [name, name], return_mean=False, save_results_in_run=False)
        assert found[i] == pytest.approx(both[name][0], abs=1e-9), query_id


def test_one_topic_scores_the_same_whatever_other_topics_are_scored_with_it() -> None:
    run, qrels = tied_run(13, queries=8), graded_qrels(14, queries=8, grades=(0, 1, 2))
    names = [name for name in RANX if name != "r-precision"]
    together = evaluate(run, qrels, names)
    for i, query_id in enumerate(run):
        alone = evaluate(run, qrels, names, [query_id])
        for name in names:
            assert alone.values[name][0] == pytest.approx(together.values[name][i], abs=1e-12), f"{name} of {query_id}"


def test_thirty_and_more_systems_are_compared_with_one_baseline() -> None:
    qrels = graded_qrels(20)
    scores = [evaluate(tied_run(seed, name=f"system{seed:02d}"), qrels, ["nDCG@10", "AP"]) for seed in range(34)]
    compared = compare(scores, "system07", "nDCG@10")
    assert [c.system for c in compared] == [f"system{seed:02d}" for seed in range(34) if seed != 7]
    for c in compared:
        assert c.difference == pytest.approx(scores[int(c.system[-2:])].mean("nDCG@10") - scores[7].mean("nDCG@10"))
        assert 0 < c.fisher <= c.fisher_holm <= 1
        assert 0 < c.t <= c.t_holm <= 1
