"""Energy correlations against closed forms, the tree against networkx and scipy, chance by permuted columns."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import networkx
import numpy as np
import pytest
import seeds
from scipy.sparse.csgraph import minimum_spanning_tree

from rarityir.ica import coherence, higher_order, spanning_tree
from rarityir.types import RarityError

SEED = seeds.seed(__name__)


def white(s: np.ndarray) -> np.ndarray:
    return (s - s.mean(axis=0)) / s.std(axis=0)


def shared(n: int, sigma: float, width: int = 3) -> np.ndarray:
    """Normal columns that share a log-normal scale g with E g² = 1: uncorrelated, and H = E g⁴ = exp(4σ²)."""
    rng = np.random.default_rng(SEED)
    g = np.exp(sigma * rng.standard_normal(n) - sigma**2)
    return g[:, None] * rng.standard_normal((n, width))


def linked(groups: int = 3, of: int = 4, n: int = 4000, sigma: float = 0.5) -> np.ndarray:
    """Columns in groups that share a scale each."""
    rng = np.random.default_rng(SEED)
    scale = np.exp(sigma * rng.standard_normal((n, groups)))
    return white(np.repeat(scale, of, axis=1) * rng.standard_normal((n, groups * of)))


def test_independent_columns_have_one() -> None:
    s = white(np.random.default_rng(SEED).laplace(size=(200_000, 3)))
    h = higher_order(s).values
    # var(s²) is 5 for a Laplace column, so H has the standard error 5 / √n
    assert np.abs(h[np.triu_indices(3, 1)] - 1).max() < 5 * 5 / np.sqrt(200_000)
    assert np.diag(h) == pytest.approx(6, rel=0.1)
    assert h == pytest.approx(np.mean(s[:, :, None] ** 2 * s[:, None, :] ** 2, axis=0), rel=1e-12)


@pytest.mark.parametrize("sigma", [0.1, 0.25])
def test_a_shared_scale_gives_its_fourth_moment_at_no_linear_correlation(sigma: float) -> None:
    s = shared(400_000, sigma)
    h = higher_order(s).values[np.triu_indices(3, 1)]
    assert h == pytest.approx(np.exp(4 * sigma**2), rel=0.05)
    assert np.abs(np.corrcoef(s.T) - np.eye(3)).max() < 0.02


def test_permuted_columns_drive_it_to_one_and_linked_pairs_are_significant() -> None:
    s = linked(n=10_000, sigma=0.25)
    found = higher_order(s, permutations=60, seed=SEED % 97)
    assert found.null is not None
    assert found.p is not None
    assert found.p_family is not None
    off = ~np.eye(12, dtype=bool)
    same = np.kron(np.eye(3, dtype=bool), np.ones((4, 4), bool)) & off
    assert np.abs(found.null[off] - 1).max() < 0.03
    assert found.values[same].min() > 1.1
    assert found.p_family[same].max() == pytest.approx(1 / 61)
    assert found.p[same].max() == pytest.approx(1 / 61)
    assert np.allclose(found.p, found.p.T)
    assert np.all(found.p_family[off] >= found.p[off])
    rng = np.random.default_rng(SEED)
    alone = np.stack([rng.permutation(column) for column in s.T], axis=1)
    control = higher_order(alone, permutations=60, seed=1)
    assert np.abs(control.values[off] - 1).max() < 0.15
    assert 0.3 < control.p[off].mean() < 0.7
    assert higher_order(s, permutations=60, seed=SEED % 97).p == pytest.approx(found.p)


@pytest.mark.parametrize("large", [16, 700])
def test_equal_energies_count_as_as_large_whatever_the_order_of_the_sum(large: int) -> None:
    """Two columns with one large row each, not the same: an H that nearly every permutation has, and none is below."""
    squares = np.full((50, 2), 0.7)
    squares[[3, 10], [0, 1]] = large
    squares /= squares.mean(axis=0)
    for seed in range(5):
        found = higher_order(np.sqrt(squares), permutations=199, seed=seed)
        assert found.p is not None
        assert found.p_family is not None
        assert found.p[0, 1] == found.p_family[0, 1] == 1


def test_witnesses_are_the_rows_that_stand_out_on_both() -> None:
    s = linked()
    found = higher_order(s)
    brute = sorted(range(len(s)), key=lambda t: -(s[t, 1] ** 2) * s[t, 5] ** 2)[:4]
    assert found.witnesses(1, 5, k=4).tolist() == brute
    with pytest.raises(RarityError, match="not both of 0 to 11"):
        found.witnesses(1, 12)


def test_normalised_rows_are_refused() -> None:
    s = linked()
    with pytest.raises(RarityError, match="variance one"):
        higher_order(s / np.linalg.norm(s, axis=1, keepdims=True))
    with pytest.raises(RarityError, match="two rows"):
        higher_order(s[0])


@pytest.mark.parametrize("width", [2, 30])
def test_the_tree_is_networkxs_and_scipys(width: int) -> None:
    rng = np.random.default_rng(SEED)
    h = rng.uniform(0.7, 3, (width, width))
    h = np.maximum(h, h.T)
    tree = spanning_tree(h)
    edges = {tuple(edge) for edge in tree.edges.tolist()}
    graph = networkx.from_numpy_array(h - np.diag(np.diag(h)))
    assert edges == {tuple(sorted(edge[:2])) for edge in networkx.maximum_spanning_tree(graph).edges}
    theirs = minimum_spanning_tree(np.triu(1 / h, 1)).tocoo()
    assert edges == {tuple(sorted(edge)) for edge in zip(theirs.row.tolist(), theirs.col.tolist(), strict=True)}
    assert tree.weights == pytest.approx([h[i, j] for i, j in tree.edges])


def test_a_tree_of_some_axes_knows_their_numbers_and_names() -> None:
    h = higher_order(linked())
    tree = spanning_tree(h, nodes=[0, 1, 4, 5, 8], labels=[f"a<{i}>" for i in range(12)])
    assert tree.json()["nodes"][2] == {"axis": 4, "label": "a<4>", "cluster": 0}
    assert tree.named(4) == "8 a<8>"
    assert {(edge["a"], edge["b"]) for edge in tree.json()["edges"]} >= {(0, 1), (4, 5)}
    for nodes in ([0, 0], [12], [-1], []):
        with pytest.raises(RarityError, match="each once"):
            spanning_tree(h, nodes=nodes)
    with pytest.raises(RarityError, match="positive"):
        spanning_tree(-h.values)


def test_clusters_of_the_tree_are_the_planted_groups() -> None:
    tree = spanning_tree(higher_order(linked()))
    assert tree.groups(3, seed=SEED % 31) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert tree.clusters(1).tolist() == [0] * 12
    assert tree.clusters(12).tolist() == list(range(12))
    with pytest.raises(RarityError, match="13 clusters of 12"):
        tree.clusters(13)


def test_the_tree_leaves_as_dot_json_and_svg() -> None:
    tree = spanning_tree(higher_order(linked()), labels=[f'"w" & <{i}>' for i in range(12)])
    of = tree.clusters(3)
    assert json.loads(json.dumps(tree.json(of)))["nodes"][11]["cluster"] == 2
    dot = tree.dot(of)
    assert dot.count(" -- ") == 11
    assert '0 [label="0 \\"w\\" & <0>"' in dot
    drawn = ElementTree.fromstring(tree.svg(of))
    space = "{http://www.w3.org/2000/svg}"
    assert len(drawn.findall(f"{space}line")) == 11
    assert drawn.findall(f"{space}text")[0].text == '0 "w" & <0>'
    circles = [(float(c.get("cx")), float(c.get("cy"))) for c in drawn.findall(f"{space}circle")]
    assert len({(round(x), round(y)) for x, y in circles}) == 12
    assert all(0 <= v <= 1000 for place in circles for v in place)
    assert spanning_tree(np.ones((1, 1))).svg().count("<circle") == 1


def test_an_axis_whose_top_rows_belong_together_is_coherent() -> None:
    rng = np.random.default_rng(SEED)
    n, k = 600, 6
    s = np.abs(rng.standard_normal((n, k))) * 0.2 + 4 * np.eye(k)[rng.integers(0, k, n)]
    x = s @ (3 * rng.standard_normal((k, 10))) + 0.1 * rng.standard_normal((n, 10))
    x[:, 4:] += rng.standard_normal((n, 6)) * 0.1
    found = coherence(s, x, seed=SEED % 13)
    assert found.values.min() > 3
    chance = coherence(s, rng.standard_normal((n, 10)), seed=1)
    assert np.abs(chance.values - 1).max() < 0.6
    assert abs(chance.values.mean() - 1) < 0.3
    assert found.top(2).tolist() == sorted(np.argsort(-found.values)[:2].tolist())
    with pytest.raises(RarityError, match="10 rows or more"):
        coherence(s[:4], x[:4])


def test_coherence_is_what_its_definition_says() -> None:
    rng = np.random.default_rng(SEED)
    s, x = rng.exponential(size=(40, 2)), rng.standard_normal((40, 3))
    unit = s / np.linalg.norm(s, axis=1, keepdims=True)
    got = coherence(s, x, seed=3, intruders=4000).values[0]
    own = np.argsort(-unit[:, 0])[:5]
    strange = [t for t in range(40) if unit[t, 0] <= np.median(unit[:, 0]) and unit[t, 1] >= np.quantile(unit[:, 1], 0.9)]
    apart = np.mean([np.linalg.norm(x[i] - x[t]) for i in own for t in strange])
    within = np.mean([np.linalg.norm(x[i] - x[j]) for i in own for j in own if i != j])
    assert got == pytest.approx(apart / within, rel=0.1)
