"""Which positions of the falling spectrum each band keeps, against the ranges of EmbedFilter's paper."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rarityir import registry
from rarityir.types import RarityError, UnknownName

BANDS = ("edge", "head", "mid", "random", "tail")


def kept(band: str, width: int, arg: str) -> list[int]:
    return registry.resolve("filters", band)(width, arg).tolist()


@pytest.mark.parametrize(
    ("band", "width", "arg", "start", "stop"),
    [
        ("edge", 896, "2", 224, 672),
        ("edge", 896, "4", 336, 560),
        ("edge", 896, "8", 392, 504),
        ("edge", 4096, "2", 1024, 3072),
        ("edge", 7, "2", 2, 5),
        ("tail", 896, "2", 0, 448),
        ("tail", 7, "2", 0, 3),
        ("head", 896, "2", 448, 896),
        ("head", 7, "2", 4, 7),
    ],
)
def test_a_band_keeps_the_published_range(band, width, arg, start, stop):
    assert kept(band, width, arg) == list(range(start, stop))


@pytest.mark.parametrize(("arg", "top", "bottom"), [("2", 224, 224), ("4", 112, 112), ("8", 56, 56)])
def test_mid_keeps_both_ends(arg, top, bottom):
    assert kept("mid", 896, arg) == [*range(top), *range(896 - bottom, 896)]


@given(st.integers(1, 200).map(lambda half: 2 * half))
def test_edge_2_and_mid_2_share_out_an_even_width(width):
    assert sorted(kept("edge", width, "2") + kept("mid", width, "2")) == list(range(width))


@given(st.integers(1, 100).map(lambda half: 2 * half))
def test_tail_2_and_head_2_share_out_an_even_width(width):
    assert kept("tail", width, "2") + kept("head", width, "2") == list(range(width))


@given(st.sampled_from(BANDS), st.integers(1, 300), st.data())
def test_every_band_keeps_the_floor_of_width_over_ratio(band, width, data):
    ratio = data.draw(st.integers(1, width))
    found = kept(band, width, str(ratio))
    assert len(found) == width // ratio
    assert found == sorted(set(found))
    assert found[0] >= 0
    assert found[-1] < width


@pytest.mark.parametrize("band", BANDS)
def test_a_ratio_of_1_keeps_every_direction(band):
    assert kept(band, 9, "1") == list(range(9))


@pytest.mark.parametrize("band", BANDS)
def test_a_ratio_need_not_be_whole(band):
    assert len(kept(band, 10, "2.5")) == 4


@pytest.mark.parametrize("band", BANDS)
@pytest.mark.parametrize("arg", ["", "0", "0.5", "-2", "101", "nan", "inf", "half"])
def test_a_ratio_that_keeps_nothing_or_more_than_all_is_one_line(band, arg):
    with pytest.raises(RarityError, match=rf"^{band}[^\n]*τ[^\n]*$"):
        kept(band, 100, arg)


def test_random_draws_the_same_directions_for_a_seed_and_others_for_another():
    assert kept("random", 100, "2") == kept("random", 100, "2,seed=0")
    assert kept("random", 100, "2") != kept("random", 100, "2,seed=1")


def test_random_draws_every_direction_equally_often():
    counts = np.zeros(20)
    for seed in range(400):
        counts[kept("random", 20, f"4,seed={seed}")] += 1
    assert counts.sum() == 2000
    assert abs(counts - 100).max() < 45  # five standard deviations


@pytest.mark.parametrize("arg", ["2,sead=7", "2,seed=x", "2,7"])
def test_an_option_of_random_that_cannot_be_read_is_refused(arg):
    with pytest.raises(RarityError, match="seed"):
        kept("random", 100, arg)


def test_a_misspelt_option_names_the_near_one():
    with pytest.raises(UnknownName, match="did you mean seed"):
        kept("random", 100, "2,sead=7")
