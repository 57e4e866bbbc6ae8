"""Parts of a relation: the plane of its pairs, scores by group and by year, an offset's gain by cluster; and the pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rarityir.analogy.named import Named
from rarityir.analogy.pairs import Pair
from rarityir.analogy.scoring import evaluate
from rarityir.analogy.task import Task
from rarityir.analogy.views import by_cluster, by_group, by_year, plane, sizes
from rarityir.encoders import load_encoder
from rarityir.indexes.offset import Offset
from rarityir.rarity.rows import rows
from rarityir.report import analogy as pictures
from rarityir.types import RarityError, Scores


def planted(rng: np.random.Generator, count: int = 24) -> tuple[Named, Named, list[Pair]]:
    """Two groups, each with its own translation; a later pair of every third query, since 2000 + its number."""
    q, a, pairs = [], [], []
    for number, group in enumerate(("g1", "g2")):
        away = 30 * rng.normal(size=10)
        for i in range(count):
            q.append(rng.normal(size=10))
            a.append(q[-1] + away)
            name = number * count + i
            pairs.append(Pair(f"q{name}", f"a{name}", group, 2000.0 + i))
    q_ND, a_ND = np.array(q, np.float32), np.array(a, np.float32)
    return Named(tuple(f"q{i}" for i in range(len(q))), q_ND), Named(tuple(f"a{i}" for i in range(len(a))), a_ND), pairs


def test_pairs_stand_on_the_plane_of_the_largest_variance(rng) -> None:
    q, a, pairs = planted(rng, 7)
    found = plane(Task.of(q, a, [*pairs, pairs[0]], setting="P1"))
    assert found.queries.shape == found.answers.shape == (14, 2)  # the pair that stands twice is drawn once
    both = np.concatenate([q.vectors, a.vectors]).astype(float)
    both = both - both.mean(axis=0)
    values, vectors = np.linalg.eigh(both.T @ both)
    assert found.share == pytest.approx(values[-2:].sum() / values.sum())
    drawn = np.concatenate([found.queries, found.answers])
    on_axes = both @ vectors[:, ::-1][:, :2]
    np.testing.assert_allclose(np.abs(drawn), np.abs(on_axes), rtol=1e-4, atol=1e-3)
    assert (drawn[np.abs(drawn).argmax(axis=0), range(2)] > 0).all()
    assert found.groups == ("g1",) * 7 + ("g2",) * 7
    with pytest.raises(RarityError, match="all names stand on one place"):
        plane(Task.of(*(Named(("x", "y"), np.ones((2, 3))) for _ in "qa"), [Pair("x", "y")]))


def test_a_groups_score_is_the_mean_of_what_is_asked_in_it(rng) -> None:
    q, a, pairs = planted(rng, 6)
    found = evaluate(Task.of(q, a, pairs, setting="P1"), repeats=1)
    table = by_group(found, "mrr")
    assert list(table) == [row.system for row in found.rows]
    for row in found.rows:
        for group, first in (("g1", 0), ("g2", 6)):
            wanted = [
                value
                for name, value in zip(row.query_ids, row.values["mrr"], strict=True)
                if name in {f"q{i}@{group}" for i in range(first, first + 6)}
            ]
            assert len(wanted) == 6
            assert table[row.system][group] == pytest.approx(np.mean(wanted))
    assert sizes(found.task) == {"g1": 6, "g2": 6}
    with pytest.raises(RarityError, match="asks in no group"):
        by_group(evaluate(Task.of(q, a, pairs), repeats=1), "mrr")


def test_every_cut_is_the_evaluation_of_that_cut(rng) -> None:
    q, a, pairs = planted(rng)
    found = by_year(q, a, pairs, [2015, 2005], setting="P1", repeats=1)
    assert [(one.cut, one.known, one.later) for one in found] == [(2005, 12, 36), (2015, 32, 16)]
    for one in found:
        assert one.scores == evaluate(Task.of(q, a, pairs, setting="P1", cut=one.cut), repeats=1).json()["scores"]
        assert one.scores["analogy"]["hit_rate@10"] > 0.95


def test_what_an_offset_gains_is_told_cluster_by_cluster(rng) -> None:
    centroids = np.eye(4, dtype=np.float32)
    offset = Offset(np.zeros((4, 4), np.float32), centroids, {"vectors": {}})
    at = np.array([0] * 30 + [1] * 20 + [3])
    change = np.where(at == 0, 0.2, 0.0) + 0.01 * rng.normal(size=51)
    ids, zero = [f"t{i}" for i in range(51)], rng.uniform(size=51)
    before, after = Scores("a", ids, {"m": zero}), Scores("b", ids, {"m": zero + change})
    found = by_cluster(offset, centroids[at], before, after, "m", seed=1)
    assert [(one.cluster, one.topics) for one in found] == [(0, 30), (1, 20), (3, 1)]
    for one in found:
        own = change[at == one.cluster]
        assert one.mean == pytest.approx(own.mean())
        assert one.low - 1e-12 <= one.mean <= one.high + 1e-12
    assert found[0].low > 0.15
    assert found[0].high - found[0].low == pytest.approx(2 * 1.96 * change[at == 0].std() / np.sqrt(30), rel=0.35)
    assert found[2].low == pytest.approx(found[2].high)
    with pytest.raises(RarityError, match="on the same topics"):
        by_cluster(offset, centroids[at], before, Scores("b", ids[::-1], {"m": zero}), "m")


def test_names_are_the_mean_row_of_their_tokens(stories: str) -> None:
    encoder = load_encoder(stories)
    names = ("red_ball", "sun")
    for matrix in ("input", "output"):
        table = rows(stories, matrix).array()
        found = Named.of_tokens(names, encoder, matrix)
        for name, vector in zip(names, found.vectors, strict=True):
            (ids,) = encoder.tokenize([name.replace("_", " ")])
            np.testing.assert_allclose(vector, np.mean([table[token] for token in ids], axis=0), rtol=1e-5)
    with pytest.raises(RarityError, match="makes no token of ''"):
        Named.of_tokens(("",), _Empty(encoder), "output")


class _Empty:
    """An encoder whose tokenizer makes nothing of a text without letters."""

    def __init__(self, encoder) -> None:
        self.model, self.name, self._encoder = encoder.model, encoder.name, encoder

    def tokenize(self, texts):
        return [ids if text else [] for text, ids in zip(texts, self._encoder.tokenize(texts), strict=True)]


def test_pictures_show_what_they_are_given_and_are_the_same_twice(rng, tmp_path: Path) -> None:
    q, a, pairs = planted(rng, 5)
    found = evaluate(Task.of(q, a, pairs, setting="P1"), repeats=1)
    drawn = plane(found.task)
    gains = [(0, 3, 0.1, 0.05, 0.2), (7, 2, -0.1, -0.3, 0.2)]
    for name, draw in (
        ("arrows", lambda path: pictures.arrows(path, *drawn)),
        ("groups", lambda path: pictures.groups(path, sizes(found.task), by_group(found, "mrr"), "mrr")),
        ("years", lambda path: pictures.years(path, [1, 2], [3, 4], [9, 8], {"analogy": [0.1, 0.2], "zero": [0, 0.1]}, "mrr")),
        ("gains", lambda path: pictures.gains(path, gains, "nDCG@10")),
    ):
        one, two = (draw(tmp_path / f"{name}{i}.svg").read_bytes() for i in "12")
        assert one == two
        text = one.decode()
        words = {"arrows": ("g1", "g2"), "groups": ("g1", "mrr"), "years": ("analogy", "zero"), "gains": ("nDCG@10",)}[name]
        assert all(f"<!-- {word} -->" in text or word in text for word in words)
    thin = (tmp_path / "arrows1.svg").read_text()
    assert thin.count("<path") >= 10 + 2  # an arrow for every pair, and one for each group
    with pytest.raises(RarityError, match="a picture is"):
        pictures.gains(tmp_path / "x.gif", gains, "m")
