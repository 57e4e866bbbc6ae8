"""Settings of groups and years, and the baselines without which their scores mean nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import rarityir as ri
from rarityir.analogy.named import Named
from rarityir.analogy.pairs import Pair, read_pairs, split
from rarityir.analogy.scoring import BASELINES, evaluate, popularity
from rarityir.analogy.task import Task
from rarityir.types import BadInput, RarityError


def named(letter: str, x_ND: np.ndarray) -> Named:
    return Named(tuple(f"{letter}{i}" for i in range(len(x_ND))), np.asarray(x_ND, np.float32))


def timed(rng: np.random.Generator, count: int = 120) -> tuple[Named, Named, list[Pair]]:
    """Random pairs in groups with years, many of them more than once, in another group or year."""
    q, a = named("q", rng.normal(size=(25, 6))), named("a", rng.normal(size=(20, 6)))
    pairs = [
        Pair(f"q{rng.integers(25)}", f"a{rng.integers(20)}", f"g{rng.integers(4)}", float(rng.integers(1980, 2000)))
        for _ in range(count)
    ]
    return q, a, pairs


@pytest.mark.parametrize("setting", ["G", "P1", "P2"])
def test_years_fit_on_what_was_known_and_find_what_came_later(setting: str, rng: np.random.Generator) -> None:
    q, a, pairs = timed(rng)
    task = Task.of(q, a, pairs, setting=setting, cut=1990)
    assert max(pair.time for pair in task.fitted) <= 1990 < min(pair.time for pair in task.judged)
    known = {pair[:2] for pair in pairs if pair.time <= 1990}
    run, qrels = task.run(), task.qrels
    assert run.name == "analogy"
    assert list(run) == list(qrels)
    ids, groups = zip(*(name.partition("@")[::2] for name in run), strict=True)
    whole = task.relation().search(
        q, a, asked=ids, groups=None if setting == "G" else groups, k=99, exclude=task.exclude, leave_out=None
    )
    assert all(whole[name] == run[name] for name in run)  # what is known of a query is not left out of its vector
    later = {(p.query, p.answer, p.group) for p in pairs if p.time > 1990 and p[:2] not in known}
    for name in run:
        query, _, group = name.partition("@")
        found = {answer for answer, _ in run[name]}
        assert found == {x for x in a.ids if (query, x) not in known}  # all that is not known, and nothing that is
        right = {x for p, x, g in later if p == query and (setting != "P1" or g == group)}
        assert set(qrels[name]) == right
        assert right <= found
    for baseline in BASELINES.values():
        tried, found = baseline(task, 1)
        for name in found:
            query = name.partition("@")[0]
            assert not {x for x, _ in found[name]} & tried.exclude[query] if query in tried.exclude else True


def test_a_pair_later_than_the_cut_is_never_fitted_on(rng: np.random.Generator) -> None:
    q, a, pairs = timed(rng)
    with pytest.raises(RarityError, match="1 pairs to fit on are not of 1990 or before"):
        Task(q, a, (Pair("q0", "a0", "g", 1991.0),), tuple(pairs), cut=1990)
    with pytest.raises(RarityError, match="are not of 1990 or before"):
        Task(q, a, (Pair("q0", "a0", "g"),), tuple(pairs), cut=1990)
    with pytest.raises(RarityError, match="has no time"):
        split([Pair("q0", "a0")], 1990)
    with pytest.raises(RarityError, match="choose another cut"):
        split(pairs, 2050)
    early = Task.of(q, a, pairs, cut=1990, years="Y1")
    assert early.judged == early.fitted
    assert max(pair.time for pair in early.judged) <= 1990
    assert early.exclude is None


def test_groups_that_share_answers_are_found_with_vectors_that_know_nothing(rng: np.random.Generator) -> None:
    pairs = []
    for group in range(25):  # each group: 8 queries, 2 to 4 of its own 5 answers
        own = rng.choice(300, size=5, replace=False)
        for query in range(8):
            pairs += [
                Pair(f"q{group}-{query}", f"a{x}", f"g{group}") for x in rng.choice(own, size=rng.integers(2, 5), replace=False)
            ]
    names = tuple(dict.fromkeys(pair.query for pair in pairs))
    q = Named(names, rng.normal(size=(len(names), 60)).astype(np.float32))
    a = named("a", rng.normal(size=(300, 60)))
    found = evaluate(Task.of(q, a, pairs, setting="P1"), names=["hit_rate@10"], repeats=2)
    score = {row.system: row.mean("hit_rate@10") for row in found.rows}
    assert min(score["analogy"], score["random-vectors"], score["popularity"]) > 0.45
    assert max(score["zero"], score["shuffled-pairs"]) < 0.35
    assert {c.system: c.fisher_holm < 0.01 for c in found.comparisons}["zero"]
    assert abs(score["analogy"] - score["random-vectors"]) < 0.25


def test_drawn_baselines_keep_what_they_should(rng: np.random.Generator) -> None:
    q, a, pairs = timed(rng)
    task = Task.of(q, q, [pair._replace(answer=f"q{pair.answer[1:]}") for pair in pairs])
    dealt, other = task.shuffled(3), task.drawn(3)
    assert dealt.judged == dealt.fitted != task.fitted
    assert sorted(p.answer for p in dealt.fitted) == sorted(p.answer for p in task.fitted)
    assert [(p.query, p.group) for p in dealt.fitted] == [(p.query, p.group) for p in task.fitted]
    assert np.array_equal(other.queries.vectors, other.answers.vectors)  # a name has one vector
    assert not np.allclose(other.queries.vectors, q.vectors)
    later = Task.of(q, a, pairs, cut=1990).shuffled(3)
    assert max(p.time for p in later.fitted) <= 1990 < min(p.time for p in later.judged)


@pytest.mark.parametrize("setting", ["G", "P1", "P2"])
def test_what_is_dealt_as_later_is_not_known_and_so_can_be_found(setting: str, rng: np.random.Generator) -> None:
    q, a = named("q", rng.normal(size=(30, 6))), named("a", rng.normal(size=(5, 6)))
    pairs = []
    for query in q.ids:
        known, later = rng.permutation(5)[:2]
        pairs += [Pair(query, f"a{known}", "g", 1980.0), Pair(query, f"a{later}", "g", 1990.0)]
    task = Task.of(q, a, pairs, setting=setting, cut=1985)
    for seed in range(10):
        dealt = task.shuffled(seed)
        assert not {pair[:2] for pair in dealt.judged} & {pair[:2] for pair in dealt.fitted}
        assert sorted(pair.answer for pair in dealt.judged) == sorted(pair.answer for pair in task.judged)
        assert [pair._replace(answer="") for pair in dealt.judged] == [pair._replace(answer="") for pair in task.judged]
        run = dealt.run()
        assert all({answer for answer, _ in run[name]} >= set(right) for name, right in dealt.qrels.items())
        assert task.shuffled(seed).judged == dealt.judged
    lone = Task.of(q, a, [Pair("q0", "a0", "g", 1980.0), Pair("q1", "a0", "g", 1990.0), Pair("q0", "a1", "g", 1990.0)], cut=1985)
    assert {pair[:2] for pair in lone.shuffled(0).judged} == {("q0", "a1"), ("q1", "a0")}  # the only way
    stuck = Task.of(q, a, [Pair("q0", "a0", "g", 1980.0), Pair("q0", "a1", "g", 1980.0), Pair("q0", "a2", "g", 1990.0)], cut=1985)
    assert len(stuck.shuffled(0).judged) == 1


def test_popularity_counts_the_others_pairs() -> None:
    q, a = named("q", np.eye(4)), named("a", np.eye(4))
    pairs = [Pair("q0", "a3", "g"), Pair("q1", "a3", "g"), Pair("q2", "a2", "h"), Pair("q3", "a2", "h"), Pair("q0", "a2", "h")]
    _, run = BASELINES["popularity"](Task.of(q, a, pairs), 0)
    assert [x for x, _ in run["q0"]] == ["a2", "a3", "a0", "a1"]  # 2 others' pairs, 1 other's, none
    assert [x for x, _ in run["q2"]] == ["a2", "a3", "a0", "a1"]  # equal: the candidates' order
    _, run = BASELINES["popularity"](Task.of(q, a, pairs[:4]), 0)
    assert [x for x, _ in run["q2"]][:2] == ["a3", "a2"]  # 2 others' pairs, and 1 once its own is out
    assert [x for x, _ in run["q0"]][:2] == ["a2", "a3"]
    _, run = BASELINES["popularity"](Task.of(q, a, pairs, setting="P1"), 0)
    assert [x for x, _ in run["q0@g"]][:2] == ["a3", "a2"]


def test_no_in_sample_figure_goes_without_the_word(rng: np.random.Generator) -> None:
    q, a, pairs = timed(rng)
    own = evaluate(Task.of(q, a, pairs, leave_out=None), baselines=["zero"])
    assert own.in_sample
    assert own.rows[0].system == "analogy:in-sample"
    assert "in-sample" in str(own).splitlines()[0]
    assert own.json()["in_sample"] is True
    left = evaluate(Task.of(q, a, pairs), baselines=["zero"])
    assert "in-sample" not in str(left) + json.dumps(left.json()).replace('"in_sample": false', "")
    with pytest.raises(RarityError, match="unknown baseline 'chance'"):
        evaluate(left.task, baselines=["chance"])


def test_a_table_of_pairs_is_read_by_its_heading(tmp_path: Path) -> None:
    table = tmp_path / "pairs.tsv"
    table.write_text("drug\tgene\tpathway\tyear\nfolic acid\tMTHFR\tp 1\t1985\nx\ty\tp2\t2001.5\n")
    assert read_pairs(table) == [Pair("folic_acid", "MTHFR"), Pair("x", "y")]
    assert read_pairs(table, group="pathway", time="year")[0] == Pair("folic_acid", "MTHFR", "p_1", 1985.0)
    assert read_pairs(table, reverse=True)[1] == Pair("y", "x")
    assert read_pairs(table, query="gene", answer="drug")[1] == Pair("y", "x")
    for text, words in (
        ("", "is empty"),
        ("a\n", "one column"),
        ("a\tb\n", "holds no pair"),
        ("a\tb\nx\n", ":2: 1 columns instead of 2"),
        ("a\tb\nx\t \n", ":2: a pair lacks"),
    ):
        table.write_text(text)
        with pytest.raises(BadInput, match=words):
            read_pairs(table)
    table.write_text("a\tb\tc\nx\ty\tlate\n")
    with pytest.raises(BadInput, match=":2: the time 'late' is not a number"):
        read_pairs(table, time="c")
    with pytest.raises(BadInput, match="has no column 'year'; its columns: a, b, c"):
        read_pairs(table, time="year")
    with pytest.raises(BadInput, match="no pairs at"):
        read_pairs(tmp_path / "none.tsv")
    with pytest.raises(RarityError, match="needs a group for every pair"):
        Task.of(named("q", np.eye(2)), named("a", np.eye(2)), [Pair("q0", "a0")], setting="P1")


def test_vectors_are_read_from_both_forms(tmp_path: Path) -> None:
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.savez(tmp_path / "x.npz", names=np.array(["a", "b"]), vectors=x)
    (tmp_path / "x.txt").write_text("2 3\na 0 1 2\nb 3 4 5\n")
    (tmp_path / "y.txt").write_text("a 0 1 2\nb 3 4\n")
    (tmp_path / "z.txt").write_text("a 0 1\nb 3 x\n")
    np.savez(tmp_path / "y.npz", names=np.array(["a", "b"]))
    for name in ("x.npz", "x.txt"):
        found = Named.read(tmp_path / name)
        assert found.ids == ("a", "b")
        assert np.array_equal(found.vectors, x)
    for name, words in (
        ("y.txt", ":2: 2 numbers"),
        ("z.txt", "a line is a name"),
        ("y.npz", "no arrays"),
        ("no.npz", "no vectors"),
    ):
        with pytest.raises(BadInput, match=words):
            Named.read(tmp_path / name)
    assert ri.analogy.Named is Named


def test_popularity_without_those_that_share_an_answer_counts_only_the_others() -> None:
    q, a = (Named(tuple(f"{kind}{i}" for i in range(5)), np.eye(5)) for kind in "qa")
    known = ("q0 a0", "q1 a0", "q1 a1", "q2 a1", "q3 a2", "q4 a2", "q4 a3")
    pairs = [Pair(*pair.split()) for pair in known]
    task = Task.of(q, a, pairs, leave_out="shared")
    _, run = popularity(task, 0)
    # q0 shares a0 with q1, so what is left counts a1 once (by q2), a2 twice and a3 once.
    assert dict(run["q0"]) == pytest.approx({"a0": 0, "a1": 1, "a2": 2, "a3": 1, "a4": 0}, abs=1e-5)
    assert dict(run["q3"]) == pytest.approx({"a0": 2, "a1": 2, "a2": 0, "a3": 0, "a4": 0}, abs=1e-5)
    own = Task.of(q, a, pairs)
    assert dict(popularity(own, 0)[1]["q0"]) == pytest.approx({"a0": 1, "a1": 2, "a2": 2, "a3": 1, "a4": 0}, abs=1e-5)
    assert task.run().name == "analogy"


def test_what_a_group_left_out_knows_counts_nowhere(rng: np.random.Generator) -> None:
    q, a = (Named(tuple(f"{kind}{i}" for i in range(5)), rng.normal(size=(5, 4)).astype(np.float32)) for kind in "qa")
    known = ("q0 a0 g", "q1 a0 g", "q1 a1 g", "q0 a2 h", "q2 a2 h", "q2 a0 h", "q3 a3 h", "q1 a0 h")
    pairs = [Pair(*pair.split()) for pair in known]
    task = Task.of(q, a, pairs, setting="P1", leave_out="group")
    _, run = popularity(task, 0)
    # Of h are left q2's a2 and a0 and q3's a3: q1's a0 is also of g, and q0's a2 its own.
    assert dict(run["q0@g"]) == pytest.approx({"a0": 1, "a1": 0, "a2": 1, "a3": 1, "a4": 0}, abs=1e-5)
    assert dict(run["q2@h"]) == pytest.approx({"a0": 1, "a1": 1, "a2": 0, "a3": 0, "a4": 0}, abs=1e-5)
    found = evaluate(task, baselines=["popularity"])
    assert (found.in_sample, found.json()["leave_out"]) == (False, "group")
    ungrouped = Task.of(q, a, pairs, leave_out="group")
    for scored in (evaluate, lambda task: popularity(task, 0)):
        with pytest.raises(RarityError, match="of a task: setting P1 or P2"):
            scored(ungrouped)
