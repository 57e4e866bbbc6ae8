"""Nearest tokens: exact for any blocks, ties by id, CSLS, hubs; cosines beside their closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import beta

import rarityir as ri
from rarityir.geometry.cosines import cosines, isotropic, isotropic_quantiles
from rarityir.geometry.nearest import hubness
from rarityir.types import RarityError


def brute(x: np.ndarray, v: np.ndarray, k: int) -> tuple[list[int], list[float]]:
    """Every pair by itself, then a sort by falling cosine and rising id."""
    pairs = []
    unit = v / np.sqrt(np.sum(v * v))
    for i, row in enumerate(x):
        if np.any(row):
            pairs.append((-float(np.sum(row / np.sqrt(np.sum(row * row)) * unit)), i))
    best = sorted(pairs)[:k]
    return [i for _, i in best], [-c for c, _ in best]


@pytest.mark.parametrize("block", [0, 1, 7, 4096])
def test_any_blocks_give_brute_force_with_ties_by_id(block: int, rng: np.random.Generator) -> None:
    x = rng.standard_normal((150, 33))
    x = np.concatenate([x, x[rng.permutation(150)], x[:20] * 4.0, np.zeros((3, 33))])  # equal directions, powers of two longer
    x = x[rng.permutation(len(x))]
    v = np.concatenate([rng.standard_normal((9, 33)), x[np.any(x, axis=1)][:3]])
    found = ri.geometry.neighbours(x, v, 11, block=block)
    for i in range(len(v)):
        ids, values = brute(x, v[i], 11)
        assert found.ids[i].tolist() == ids
        assert found.cosines[i].tolist() == values


def test_rows_that_float32_cannot_tell_apart_are_told_apart(rng: np.random.Generator) -> None:
    v = rng.standard_normal((6, 100))
    x = np.concatenate([row + 1e-4 * rng.standard_normal((200, 100)) for row in v])
    found = ri.geometry.neighbours(x, v, 10, block=300)
    for i in range(6):
        ids, values = brute(x, v[i], 10)
        assert found.ids[i].tolist() == ids
        assert found.cosines[i].tolist() == values


def test_many_equal_rows_come_by_id(rng: np.random.Generator) -> None:
    x = np.tile(rng.standard_normal(200), (900, 1)) * 2.0 ** rng.integers(-3, 4, 900)[:, None]
    found = ri.geometry.neighbours(x, x[:1] + rng.standard_normal((5, 200)), 10, block=64)
    assert found.ids.tolist() == [list(range(10))] * 5


def test_only_allowed_rows_are_found_and_a_centre_is_taken_off(rng: np.random.Generator) -> None:
    x, v = rng.standard_normal((80, 12)) + 3, rng.standard_normal((6, 12))
    allowed = rng.random(80) < 0.6
    mean = x[allowed].mean(axis=0)
    found = ri.geometry.neighbours(x, v, 4, centre="mean", allowed=allowed, block=13)
    ids = np.flatnonzero(allowed)
    for i in range(6):
        best, values = brute(x[allowed] - mean, v[i], 4)
        assert found.ids[i].tolist() == ids[best].tolist()
        assert found.cosines[i] == pytest.approx(values, abs=1e-12)
    same = ri.geometry.neighbours(x, v, 4, centre=mean, allowed=allowed)
    assert np.array_equal(same.ids, found.ids)


@pytest.mark.parametrize("block", [0, 5])
def test_csls_is_its_definition(block: int, rng: np.random.Generator) -> None:
    x, v = rng.standard_normal((70, 10)) + 0.8, rng.standard_normal((12, 10))
    c = (v / np.linalg.norm(v, axis=1)[:, None]) @ (x / np.linalg.norm(x, axis=1)[:, None]).T
    nearness = np.sort(c, axis=0)[-5:].mean(axis=0)
    ranked = 2 * c - np.sort(c, axis=1)[:, -5:].mean(axis=1)[:, None] - nearness
    found = ri.geometry.neighbours(x, v, 5, method="csls", block=block)
    assert np.array_equal(found.ids, np.argsort(-ranked, axis=1)[:, :5])
    assert found.cosines == pytest.approx(np.take_along_axis(c, found.ids, axis=1), abs=1e-12)


def test_csls_takes_a_hub_its_place(rng: np.random.Generator) -> None:
    v = rng.standard_normal((200, 20)) + 0.5
    x = np.concatenate([rng.standard_normal((500, 20)), np.ones((1, 20))])
    plain, corrected = (hubness(ri.geometry.neighbours(x, v, 10, method=m), 501) for m in ("cosine", "csls"))
    assert plain.hubs[0][0] == 500
    assert dict(corrected.hubs)[500] < 0.75 * plain.hubs[0][1]
    assert corrected.skew < plain.skew


def test_hubness_is_the_skew_of_occurrences(rng: np.random.Generator) -> None:
    x, v = rng.standard_normal((60, 8)), rng.standard_normal((40, 8))
    allowed = np.arange(60) != 7
    found = ri.geometry.neighbours(x, v, 5, allowed=allowed)
    times = np.array([(found.ids == i).sum() for i in range(60) if i != 7])
    skew = np.mean((times - times.mean()) ** 3) / np.mean((times - times.mean()) ** 2) ** 1.5
    assert hubness(found).skew == pytest.approx(skew, abs=1e-12)
    assert hubness(found).never == pytest.approx(np.mean(times == 0))
    counted = [t for _, t in hubness(found, 60).hubs]
    assert sum(counted) == 200
    assert counted == sorted(counted, reverse=True)


def test_rows_that_cannot_be_found_are_not_counted_as_never_found(rng: np.random.Generator) -> None:
    x, v = rng.standard_normal((50, 8)), rng.standard_normal((300, 8))
    centre = rng.standard_normal(8)
    for taken, rest in ((None, 0.0), (centre, centre)):
        x[30:] = rest  # of no length once the centre is taken off
        found = hubness(ri.geometry.neighbours(x, v, 3, centre=taken))
        alone = hubness(ri.geometry.neighbours(x, v, 3, centre=taken, allowed=np.arange(50) < 30))
        assert found == alone
        assert found.never < 0.4


def test_rotation_and_the_rows_lengths_change_nothing(rng: np.random.Generator) -> None:
    x, v = rng.standard_normal((400, 24)), rng.standard_normal((30, 24))
    turn = np.linalg.qr(rng.standard_normal((24, 24)))[0]
    one = ri.geometry.neighbours(x, v, 10)
    other = ri.geometry.neighbours((x @ turn) * rng.uniform(0.01, 100, 400)[:, None], v @ turn * 7, 10)
    assert np.array_equal(one.ids, other.ids)
    assert other.cosines == pytest.approx(one.cosines, abs=1e-10)


def test_moments_and_histogram_are_those_of_all_cosines(rng: np.random.Generator) -> None:
    x, v = rng.standard_normal((300, 15)) + rng.standard_normal(15), rng.standard_normal((8, 15))
    allowed = rng.random(300) < 0.7
    found = cosines(ri.geometry.neighbours(x, v, 3, allowed=allowed), block=17)
    u = x[allowed] / np.linalg.norm(x[allowed], axis=1)[:, None]
    c = (v / np.linalg.norm(v, axis=1)[:, None]) @ u.T
    z = (c - c.mean(axis=1)[:, None]) / c.std(axis=1)[:, None]
    assert found.mean == pytest.approx(c.mean(axis=1), abs=1e-12)
    assert found.sd == pytest.approx(c.std(axis=1), abs=1e-12)
    assert found.skew == pytest.approx((z**3).mean(axis=1), abs=1e-9)
    assert found.kurtosis == pytest.approx((z**4).mean(axis=1), abs=1e-9)
    assert found.histogram.sum() == c.size
    # Between two order statistics the quantile is a matter of definition; the nearest cosine on either side bounds it.
    order = np.sort(c.ravel())
    for share, value in zip((0.05, 0.5, 0.95), found.quantiles((0.05, 0.5, 0.95)), strict=True):
        place = int(share * len(order))
        assert order[max(0, place - 2)] - 0.001 <= value <= order[min(len(order) - 1, place + 2)] + 0.001


def test_isotropic_constants_are_those_of_drawn_rows(rng: np.random.Generator) -> None:
    rows, width, n = 2500, 80, 200
    x, v = rng.standard_normal((rows, width)), rng.standard_normal((n, width))
    found = ri.geometry.neighbours(x, v, 10)
    plain = isotropic(rows, width, 10)
    u = x / np.linalg.norm(x, axis=1)[:, None]
    near = u[found.ids]
    pairs = ((near.sum(axis=1) ** 2).sum(axis=1) - 10) / 90
    sd = cosines(found).sd
    for values, expected in ((found.cosines[:, 0], plain.top), (found.cosines.mean(axis=1), plain.nearest), (pairs, plain.pairs)):
        assert abs(values.mean() - expected) < 4.5 * values.std(ddof=1) / np.sqrt(n)
    assert abs(np.sqrt((sd**2).mean()) - plain.sd) < 4.5 * (sd**2).std(ddof=1) / np.sqrt(n) / (2 * plain.sd)


def test_isotropic_constants_are_their_integrals_and_those_measured_at_gpt2s_size() -> None:
    def above(c: float, width: int) -> float:
        half = beta.sf(c * c, 0.5, (width - 1) / 2) / 2
        return half if c > 0 else 1 - half

    for rows, width in ((300, 16), (5000, 200)):
        largest = 1 - quad(lambda c: (1 - above(c, width)) ** rows, -1, 1, limit=400, points=[0.1, 0.3, 0.5, 0.7])[0]  # noqa: B023
        assert isotropic(rows, width).top == pytest.approx(largest, rel=2e-3)
    # V = 50,257, D = 1,280, measured on drawn rows: .028, .119, .106 and .012, with the errors of a few dozen directions.
    plain = isotropic(50257, 1280)
    assert plain.sd == pytest.approx(0.028, abs=5e-4)
    assert plain.top == pytest.approx(0.119, abs=2.5e-3)
    assert plain.nearest == pytest.approx(0.106, abs=1e-3)
    assert plain.pairs == pytest.approx(0.012, abs=1.2e-3)
    for share in (0.001, 0.2, 0.5, 0.93):
        assert 1 - above(float(isotropic_quantiles((share,), 40)[0]), 40) == pytest.approx(share, abs=1e-9)


@pytest.mark.parametrize(
    ("rows", "directions", "k", "says"),
    [
        (np.eye(3), np.eye(3), 4, "only 3 rows"),
        (np.eye(3), np.eye(4), 2, "4 wide, the rows 3"),
        (np.eye(3), np.zeros((1, 3)), 2, "zero"),
        (np.eye(3), np.ones(3), 2, "directions are a"),
    ],
)
def test_what_cannot_be_searched_is_an_error_of_one_line(rows: np.ndarray, directions: np.ndarray, k: int, says: str) -> None:
    with pytest.raises(RarityError, match=says) as error:
        ri.geometry.neighbours(rows, directions, k)
    assert "\n" not in str(error.value)
