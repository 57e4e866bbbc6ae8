"""Relations: planted translations, exact leaving out, controls of chance, and gensim's rule, each by another route."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from rarityir.analogy.named import Named
from rarityir.analogy.relation import Relation
from rarityir.analogy.searching import Asked, rank
from rarityir.measures import evaluate
from rarityir.types import BadInput, RarityError

RARE = 1e-6  # how often a test of chance may fail


def named(letter: str, x_ND: np.ndarray) -> Named:
    return Named(tuple(f"{letter}{i}" for i in range(len(x_ND))), np.asarray(x_ND, np.float32))


def graph(rng: np.random.Generator, queries: int = 12, answers: int = 9, pairs: int = 40, groups: int = 4, width: int = 5):
    """Random vectors, and random pairs in groups, some of them twice, some in several groups."""
    q, a = named("q", rng.normal(size=(queries, width))), named("a", rng.normal(size=(answers, width)))
    chosen = [(f"q{rng.integers(queries)}", f"a{rng.integers(answers)}") for _ in range(pairs)]
    return q, a, chosen, [f"g{rng.integers(groups)}" for _ in chosen]


def brute(q: Named, a: Named, pairs: set[tuple[str, str]], scheme: str) -> np.ndarray | None:
    """The vector of some distinct pairs, pair by pair; None of no pairs."""
    if not pairs:
        return None
    if scheme == "pair-mean":
        return np.mean(
            [a.vectors[a.rows[y]].astype(float) - q.vectors[q.rows[x]].astype(float) for x, y in sorted(pairs)], axis=0
        )
    own, theirs = {x for x, _ in pairs}, {y for _, y in pairs}
    return np.mean([a.vectors[a.rows[y]].astype(float) for y in sorted(theirs)], axis=0) - np.mean(
        [q.vectors[q.rows[x]].astype(float) for x in sorted(own)], axis=0
    )


@pytest.mark.parametrize("scheme", ["pair-mean", "type-mean"])
def test_vectors_and_every_way_of_leaving_out_are_those_of_a_fit_without(scheme: str, rng: np.random.Generator) -> None:
    cases = {"group": 0, "all": 0, "none": 0}
    for pairs in (1, 2, 5, 12, 40):
        q, a, chosen, groups = graph(rng, pairs=pairs)
        relation = Relation.fit(q, a, chosen, groups, scheme=scheme)
        everything = set(chosen)
        inside = {g: {p for p, h in zip(chosen, groups, strict=True) if h == g} for g in [*groups, "unseen"]}
        assert np.allclose(relation.vector(), brute(q, a, everything, scheme), atol=1e-12)
        ids = [x for x in q.ids for _ in inside]
        where = [g for _ in q.ids for g in inside]
        out = relation.leave_one_out(ids, where)
        plain = relation.moves(ids, where, leave_out=None)
        for i, (x, g) in enumerate(zip(ids, where, strict=True)):
            own, every = ({p for p in some if p[0] != x} for some in (inside[g], everything))
            wanted = [brute(q, a, some, scheme) for some in (own, every)]
            source = "group" if own else "all" if every else "none"
            cases[source] += 1
            assert out.source[i] == source
            vector = next((v for v in wanted if v is not None), np.zeros(q.width))
            assert np.abs(out.vectors[i] - vector).max() < 1e-12
            assert np.abs(plain.vectors[i] - brute(q, a, inside[g] or everything, scheme)).max() < 1e-12
    assert min(cases.values()) > 0  # every fallback was seen


@pytest.mark.parametrize("scheme", ["pair-mean", "type-mean"])
def test_a_group_left_out_takes_the_querys_pairs_elsewhere_along(scheme: str, rng: np.random.Generator) -> None:
    cases = {"all": 0, "none": 0, "elsewhere": 0}
    for pairs in (1, 2, 5, 12, 40):
        q, a, chosen, groups = graph(rng, pairs=pairs)
        relation = Relation.fit(q, a, chosen, groups, scheme=scheme)
        for x in (*q.ids, "stranger"):
            for g in relation.groups:
                inside = {p for p, h in zip(chosen, groups, strict=True) if h == g}
                elsewhere = {p for p in chosen if p[0] == x} - inside
                cases["elsewhere"] += bool(elsewhere)
                if elsewhere and scheme == "type-mean":
                    with pytest.raises(RarityError, match="pairs in other groups too; leave its group out of a mean over pairs"):
                        relation.moves([x], [g], leave_out="group")
                    continue
                found = relation.moves([x], [g], leave_out="group")
                rest = brute(q, a, set(chosen) - inside - elsewhere, scheme)
                cases["all" if rest is not None else "none"] += 1
                assert found.source == ("all" if rest is not None else "none",)
                assert np.abs(found.vectors[0] - (np.zeros(q.width) if rest is None else rest)).max() < 1e-12
    assert min(cases.values()) > 0


def test_a_group_that_is_none_or_unknown_is_not_left_out_silently(rng: np.random.Generator) -> None:
    q, a, chosen, groups = graph(rng)
    relation = Relation.fit(q, a, chosen, groups)
    with pytest.raises(RarityError, match="leave_out='group' needs each query's group; give groups"):
        relation.search(q, a, leave_out="group")
    with pytest.raises(RarityError, match="no pair is of group 'unseen'; known: g0, g1, g2, g3"):
        relation.search(q, a, groups=["g0", *["unseen"] * (len(q) - 1)], leave_out="group")
    asked = relation.moves(["q0", "q0"], ["g0", "unseen"])  # leaving out the query alone asks for no group
    assert asked.source[1] == "all"


def test_queries_that_share_an_answer_are_left_out_together(rng: np.random.Generator) -> None:
    cases = {"group": 0, "all": 0, "none": 0}
    for pairs in (1, 12, 25, 40):
        q, a, chosen, groups = graph(rng, queries=20, answers=30, pairs=pairs)
        relation = Relation.fit(q, a, chosen, groups)
        inside = {g: {p for p, h in zip(chosen, groups, strict=True) if h == g} for g in [*groups, "unseen"]}
        ids, where = [x for x in q.ids for _ in inside], [g for _ in q.ids for g in inside]
        found = relation.moves([*ids, "stranger"], [*where, groups[0]], leave_out="shared")
        for i, (x, g) in enumerate(zip(ids, where, strict=True)):
            mine = {answer for query, answer in chosen if query == x}
            near = {query for query, answer in chosen if answer in mine} | {x}
            rest = [{p for p in some if p[0] not in near} for some in (inside[g], set(chosen))]
            wanted = next((v for v in (brute(q, a, some, "pair-mean") for some in rest) if v is not None), np.zeros(q.width))
            source = "group" if rest[0] else "all" if rest[1] else "none"
            cases[source] += 1
            assert found.source[i] == source
            assert np.abs(found.vectors[i] - wanted).max() < 1e-12
        assert np.allclose(found.vectors[-1], relation.vector(groups[0]))
        one = relation.moves(ids, None, leave_out="shared").vectors
        assert np.allclose(one[0], relation.moves(ids[:1], leave_out="shared").vectors[0])
    assert min(cases.values()) > 0
    with pytest.raises(RarityError, match="use scheme pair-mean"):
        Relation.fit(q, a, chosen, scheme="type-mean").moves(ids, leave_out="shared")


def test_leaving_out_equals_a_fit_without_to_rounding_at_size(rng: np.random.Generator) -> None:
    q, a, chosen, _ = graph(rng, queries=100, answers=80, pairs=400, width=32)
    relation = Relation.fit(q, a, chosen)
    out = relation.leave_one_out(q.ids)
    for row, x in enumerate(q.ids):
        again = Relation.fit(q, a, [p for p in chosen if p[0] != x])
        assert np.abs(out.vectors[row] - again.vector()).max() < 2e-14


def planted(rng: np.random.Generator, queries: int = 600, width: int = 10) -> tuple[Named, Named, dict[str, dict[str, int]]]:
    """Answers are their queries moved by one vector, with noise, in a space whose answers share a large mean."""
    x = rng.normal(size=(queries, width))
    away = rng.normal(size=width)
    away *= 9.0 / np.linalg.norm(away)
    y = x + away + 0.55 * rng.normal(size=x.shape)
    return named("q", x), named("a", y), {f"q{i}": {f"a{i}": 1} for i in range(queries)}


def hits(run, qrels, measure: str = "hit_rate@1") -> float:
    return evaluate(run, qrels, [measure]).mean(measure)


def test_a_planted_translation_is_found_and_centring_finds_more(rng: np.random.Generator) -> None:
    q, a, qrels = planted(rng)
    pairs = list(zip(q.ids, a.ids, strict=True))
    none = hits(rank("zero", q.vectors.astype(float), Asked.of(q.ids), a, centre=False, k=10), qrels)
    moved = hits(Relation.fit(q, a, pairs, centre=False).search(q, a, k=10), qrels)
    centred = hits(Relation.fit(q, a, pairs).search(q, a, k=10), qrels)
    assert none + 0.1 < moved < centred - 0.02


def test_labels_dealt_at_random_are_found_in_sample_and_by_chance_when_left_out(rng: np.random.Generator) -> None:
    count, k = 330, 10
    q, a = named("q", rng.normal(size=(count, 50))), named("a", rng.normal(size=(count, 50)))
    answers = [f"a{i}" for i in rng.integers(count, size=count)]
    pairs, groups = list(zip(q.ids, answers, strict=True)), [f"g{i // 2}" for i in range(count)]
    qrels = {f"{x}@{g}": {y: 1} for (x, y), g in zip(pairs, groups, strict=True)}
    relation = Relation.fit(q, a, pairs, groups)
    own = relation.search(q, a, groups=groups, k=k, leave_out=None)
    left = relation.search(q, a, groups=groups, k=k)
    assert hits(own, qrels, "hit_rate@10") > 0.9
    assert (own.name, left.name) == ("analogy:in-sample", "analogy")
    found = round(hits(left, qrels, "hit_rate@10") * count)
    assert binom.ppf(RARE, count, 9 / count) <= found <= binom.isf(RARE, count, 11 / count)


def test_one_vector_of_all_pairs_finds_shuffled_pairs_by_chance(rng: np.random.Generator) -> None:
    q, a, _ = planted(rng)
    pairs = [(x, f"a{i}") for x, i in zip(q.ids, rng.integers(len(a), size=len(q)), strict=True)]
    run = Relation.fit(q, a, pairs).search(q, a, k=10)
    found = round(hits(run, {x: {y: 1} for x, y in pairs}, "hit_rate@10") * len(q))
    # A dealt answer is its query's own translation once in as many; then it is found.
    assert binom.ppf(RARE, len(q), 9 / len(a)) <= found <= binom.isf(RARE, len(q), 12 / len(a))


def test_the_vector_of_all_pairs_does_not_know_which_answer_is_whose(rng: np.random.Generator) -> None:
    q, a, chosen, _ = graph(rng, queries=30, answers=30, pairs=30)
    answers = rng.permutation([y for _, y in chosen])
    dealt = [(x, str(y)) for (x, _), y in zip(chosen, answers, strict=True)]
    if len(set(dealt)) == len(set(chosen)) == 30:
        assert np.allclose(Relation.fit(q, a, chosen).vector(), Relation.fit(q, a, dealt).vector(), atol=1e-12)


def most_similar(vectors: np.ndarray, a: int, b: int, c: int) -> list[int]:
    """gensim's `most_similar(positive=[b, c], negative=[a])`: mean of unit rows, signed; its inputs are left out."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    mean = np.mean([unit[b], unit[c], -unit[a]], axis=0)
    return [i for i in np.argsort(-(unit @ (mean / np.linalg.norm(mean)))) if i not in (a, b, c)]


def test_one_pair_of_unit_rows_without_centring_is_gensims_rule(rng: np.random.Generator) -> None:
    x = rng.normal(size=(60, 20)) + 0.5
    unit = named("w", x / np.linalg.norm(x, axis=1, keepdims=True))
    for _ in range(20):
        a, b, c = (int(i) for i in rng.choice(60, size=3, replace=False))
        relation = Relation.fit(unit, unit, [(f"w{a}", f"w{b}")], centre=False)
        run = relation.search(unit, unit, asked=[f"w{c}"], k=60, exclude={f"w{c}": [f"w{a}", f"w{b}", f"w{c}"]})
        assert [int(i[1:]) for i, _ in run[f"w{c}"]] == most_similar(unit.vectors.astype(float), a, b, c)


def test_measures_of_a_run_are_those_counted_by_hand(rng: np.random.Generator) -> None:
    q, a, chosen, _ = graph(rng, queries=40, answers=30, pairs=120)
    run = Relation.fit(q, a, chosen).search(q, a, k=30)
    qrels = {x: {y: 1 for p, y in chosen if p == x} for x in {x for x, _ in chosen}}
    scores = evaluate(run, qrels, ["hit_rate@1", "hit_rate@5", "mrr"])
    for i, x in enumerate(scores.query_ids):
        first = next(rank for rank, (y, _) in enumerate(run[x], start=1) if y in qrels[x])
        assert [scores.values[m][i] for m in scores.values] == pytest.approx([float(first == 1), float(first <= 5), 1 / first])


def test_scores_are_cosines_from_the_candidates_mean_and_ties_keep_the_candidates_order(rng: np.random.Generator) -> None:
    q, a, chosen, _ = graph(rng)
    doubled = Named((*a.ids, "twin"), np.concatenate([a.vectors, a.vectors[:1]]))
    run = Relation.fit(q, a, chosen).search(q, doubled, k=99)
    mean = doubled.vectors.astype(float).mean(axis=0)
    out = Relation.fit(q, a, chosen).leave_one_out(q.ids)
    for row, x in enumerate(q.ids):
        point = q.vectors[row] + out.vectors[row] - mean
        ids = [y for y, _ in run[x]]
        assert ids.index("twin") == ids.index("a0") + 1
        for y, score in run[x]:
            other = doubled.vectors[doubled.rows[y]] - mean
            assert score == pytest.approx(point @ other / np.linalg.norm(point) / np.linalg.norm(other), abs=1e-5)


def test_what_is_excluded_is_never_found_and_a_run_says_when_it_is_in_sample(rng: np.random.Generator) -> None:
    q, a, chosen, _ = graph(rng)
    relation = Relation.fit(q, a, chosen)
    run = relation.search(q, a, k=99, exclude=relation.known, leave_out=None)
    for x in run:
        assert {y for y, _ in run[x]} == set(a.ids) - {y for p, y in chosen if p == x}
    assert run.name == "analogy"  # what it was fitted on cannot be found
    assert relation.search(q, a, leave_out=None).name == "analogy:in-sample"
    one = next(iter(relation.known))
    partly = {x: found for x, found in relation.known.items() if x != one}
    assert relation.search(q, a, leave_out=None, exclude=partly).name == "analogy:in-sample"
    strangers = named("s", rng.normal(size=(3, q.width)))
    assert relation.search(strangers, a, leave_out=None).name == "analogy"
    assert np.allclose(relation.moves(["s0"]).vectors[0], relation.vector())


def test_what_is_wrong_is_said_in_a_line() -> None:
    q, a = named("q", np.eye(3)), named("a", np.eye(3))
    for wrong, words in (
        (lambda: Relation.fit(q, a, []), "at least one pair"),
        (lambda: Relation.fit(q, a, [("q0", "b")]), "answer 'b' has no vector"),
        (lambda: Relation.fit(q, a, [("b", "a0")]), "query 'b' has no vector"),
        (lambda: Relation.fit(q, a, [("q0", "a0")], []), "0 groups for 1 pairs"),
        (lambda: Relation.fit(q, a, [("q0", "a0")], scheme="mean"), "unknown scheme 'mean'"),
        (lambda: Relation.fit(q, named("a", np.eye(4)), [("q0", "a0")]), "3 wide, answers 4"),
        (lambda: Relation.fit(q, a, [("q0", "a0")]).search(q, a, k=0), "k is 0"),
        (lambda: Relation.fit(q, a, [("q0", "a0")]).moves(["q0"], leave_out="all"), "unknown leave_out"),
        (lambda: Named(("x", "x"), np.eye(2, dtype=np.float32)), "'x' has two vectors"),
        (lambda: Named(("x",), np.eye(2, dtype=np.float32)), "one row a name"),
        (lambda: Named(("x", "y"), np.array([[1, 2], [np.nan, 1]], np.float32)), "'y' is not finite"),
    ):
        with pytest.raises((RarityError, BadInput), match=words) as caught:
            wrong()
        assert "\n" not in str(caught.value)
