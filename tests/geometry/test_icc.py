"""Intra-class correlation: closed form, drawn directions, labels in random order."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

import rarityir as ri
from rarityir.types import RarityError


def planted(rng: np.random.Generator, rows: int, width: int, clusters: int, pull: float) -> tuple[np.ndarray, np.ndarray]:
    labels = rng.integers(0, clusters, rows)
    centres = rng.standard_normal((clusters, width))
    return rng.standard_normal((rows, width)) + pull * centres[labels] + 0.3, labels


def closed(x: np.ndarray, labels: np.ndarray) -> float:
    """The definition, cluster by cluster."""
    u = x / np.linalg.norm(x, axis=1)[:, None]
    overall = np.linalg.norm(u.mean(axis=0)) ** 2
    weighted = sum(np.mean(labels == c) * np.linalg.norm(u[labels == c].mean(axis=0)) ** 2 for c in set(labels.tolist()))
    return (weighted - overall) / (1 - overall)


@pytest.mark.parametrize("time", range(3))
def test_closed_form_is_what_drawn_directions_give(time: int, rng: np.random.Generator, seed: int) -> None:
    width = int(rng.integers(20, 90))
    x, labels = planted(rng, int(rng.integers(300, 1500)), width, int(rng.integers(2, 40)), rng.uniform(0.1, 1.0))
    table = ri.geometry.icc(x, labels, seed=seed, permutations=0)
    assert table.value == pytest.approx(closed(x, labels), abs=1e-12)
    assert abs(table.drawn - table.value) < 4.5 * table.error
    # A Monte Carlo of the test's own, with its own error.
    u, parts = x / np.linalg.norm(x, axis=1)[:, None], []
    for _ in range(400):
        v = rng.standard_normal(width)
        c = u @ (v / np.linalg.norm(v))
        means = np.array([c[labels == code].mean() for code in range(labels.max() + 1) if (labels == code).any()])
        sizes = np.array([(labels == code).sum() for code in range(labels.max() + 1) if (labels == code).any()])
        parts.append((sizes @ (means - c.mean()) ** 2 / len(c), c.var()))
    between, total = np.array(parts).T
    ratio = between.mean() / total.mean()
    error = np.std(between - ratio * total, ddof=1) / np.sqrt(400) / total.mean()
    assert abs(ratio - table.value) < 4.5 * error
    assert error / 2 < table.error * np.sqrt(300 / 400) < 2 * error  # its standard error is one
    assert abs(between.mean() - table.between) < 4.5 * between.std(ddof=1) / 20
    assert table.between + table.within == pytest.approx((1 - table.squared_mean) / width, abs=1e-12)


def test_each_clusters_variance_is_what_its_mean_says(rng: np.random.Generator, seed: int) -> None:
    x, labels = planted(rng, 900, 40, 6, 0.6)
    table = ri.geometry.icc(x, labels, seed=seed, draws=3000, permutations=0)
    u = x / np.linalg.norm(x, axis=1)[:, None]
    assert sum(c.size for c in table.clusters) == 900
    for cluster in table.clusters:
        own = u[labels == int(cluster.label)]
        assert cluster.squared_mean == pytest.approx(np.linalg.norm(own.mean(axis=0)) ** 2, abs=1e-12)
        assert cluster.within == pytest.approx((1 - cluster.squared_mean) / 40, abs=1e-12)
        # One direction's variance of a cluster of ~150 varies by sqrt(2/150) and by the spread of its own covariance.
        assert cluster.within_drawn == pytest.approx(cluster.within, rel=0.05)


def test_labels_in_random_order_have_the_correlation_of_their_number(rng: np.random.Generator, seed: int) -> None:
    x, labels = planted(rng, 1200, 50, 25, 0.8)
    planted_table = ri.geometry.icc(x, labels, seed=seed, permutations=150, draws=2)
    expected = (len(set(labels.tolist())) - 1) / (1200 - 1)
    spread = planted_table.shuffled.std(ddof=1)
    assert abs(planted_table.shuffled.mean() - expected) < 4.5 * spread / np.sqrt(150)
    assert planted_table.expected == pytest.approx(expected, abs=1e-15)
    assert planted_table.p == pytest.approx(1 / 151)
    mixed = ri.geometry.icc(x, rng.permutation(labels), seed=seed, permutations=150, draws=2)
    assert mixed.value < expected + 4.5 * spread
    assert planted_table.value > expected + 20 * spread
    assert abs(mixed.adjusted) < 4.5 * spread / (1 - expected)
    assert mixed.p > 1e-4


def test_extremes_are_exact(rng: np.random.Generator) -> None:
    points = rng.standard_normal((5, 12))
    labels = np.repeat(list("abcde"), [3, 1, 7, 2, 4])
    one_point_each = points[np.searchsorted(list("abcde"), labels)] * rng.uniform(0.1, 9, 17)[:, None]
    table = ri.geometry.icc(one_point_each, labels, draws=50)
    assert table.value == pytest.approx(1.0, abs=1e-12)
    assert table.drawn == pytest.approx(1.0, abs=1e-12)
    assert table.within == pytest.approx(0.0, abs=1e-12)
    assert table.adjusted == pytest.approx(1.0, abs=1e-12)


def test_rotation_and_the_rows_lengths_change_nothing(rng: np.random.Generator) -> None:
    x, labels = planted(rng, 500, 30, 8, 0.5)
    turn = np.linalg.qr(rng.standard_normal((30, 30)))[0]
    one = ri.geometry.icc(x, labels, permutations=0, draws=2)
    other = ri.geometry.icc((x @ turn) * rng.uniform(0.01, 100, 500)[:, None], labels, permutations=0, draws=2)
    assert other.value == pytest.approx(one.value, abs=1e-10)
    assert [c.squared_mean for c in other.clusters] == pytest.approx([c.squared_mean for c in one.clusters], abs=1e-10)


def test_rows_without_a_label_or_a_length_are_left_out(rng: np.random.Generator) -> None:
    x, labels = planted(rng, 200, 16, 4, 0.5)
    named = np.array([str(label) for label in labels], dtype=object)
    named[:20], named[20:30] = None, float("nan")
    x[30:40] = 0
    table = ri.geometry.icc(x, named, permutations=0, draws=2)
    assert table.rows == 160
    assert table.value == pytest.approx(closed(x[40:], labels[40:]), abs=1e-12)
    assert table.json()["rows"] == 160


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_labels_that_are_nan_are_left_out_whatever_their_width(kind: type, rng: np.random.Generator) -> None:
    x, labels = planted(rng, 200, 16, 4, 0.5)
    named = np.unique(labels, return_inverse=True)[1].astype(kind)
    named[:20] = np.nan
    table = ri.geometry.icc(x, named, permutations=0, draws=2)
    assert (table.rows, len(table.clusters)) == (180, 4)
    assert table.value == pytest.approx(closed(x[20:], labels[20:]), abs=1e-12)


@pytest.mark.parametrize(
    ("rows", "labels", "says"),
    [
        (np.eye(4), [0, 1, 0], "3 labels for 4 rows"),
        (np.eye(4), [0, 0, 0, 0], "two clusters"),
        (np.ones((4, 3)), [0, 1, 0, 1], "same way"),
        (np.ones(4), [0, 1, 0, 1], r"\(V, D\)"),
        (np.full((2, 2), np.nan), [0, 1], "not finite"),
    ],
)
def test_what_has_no_correlation_is_an_error_of_one_line(rows: np.ndarray, labels: list[int], says: str) -> None:
    with pytest.raises(RarityError, match=says) as error:
        ri.geometry.icc(rows, labels)
    assert "\n" not in str(error.value)


def test_public_names_are_functions_whatever_was_imported() -> None:
    for module in ("correlation", "families", "nearest", "agreement", "study", "variants", "labelling", "cosines"):
        importlib.import_module(f"rarityir.geometry.{module}")
    assert ri.geometry.__all__ == sorted(ri.geometry.__all__)
    for name in ri.geometry.__all__:
        assert callable(getattr(ri.geometry, name))
        assert getattr(ri.geometry, name).__name__ == name
        assert name in dir(ri.geometry)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        ri.geometry.nonsense  # noqa: B018
