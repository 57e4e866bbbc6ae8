"""Which positions of the falling spectrum each band keeps, against the ranges of EmbedFilter's paper."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rarityir import registry
from rarityir.types import RarityError, UnknownName

BANDS = ("edge", "head", "mid", "random", "tail")
INTERVALS = {"band": "2-8", "offset": "2,6", "cut": "2,2"}


def kept(band: str, width: int, arg: str) -> list[int]:
    return registry.resolve("filters", band)(arg).positions(width).tolist()


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
        ("offset", 4096, "128,2048", 128, 2176),
        ("offset", 4096, "128,512", 128, 640),
        ("band", 896, "224-672", 224, 672),
        ("band", 896, "0-1", 0, 1),
        ("cut", 896, "224,224", 224, 672),
        ("cut", 1536, "0,768", 0, 768),
        ("cut", 7, "0,0", 0, 7),
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


@given(st.integers(1, 300), st.data())
def test_a_cut_a_band_and_an_offset_of_the_same_positions_are_one(width, data):
    first = data.draw(st.integers(0, width - 1))
    last = data.draw(st.integers(first + 1, width))
    expected = list(range(first, last))
    assert kept("band", width, f"{first}-{last}") == expected
    assert kept("offset", width, f"{first},{last - first}") == expected
    assert kept("cut", width, f"{first},{width - last}") == expected


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


@pytest.mark.parametrize(("width", "ratio", "k"), [(33, "1.1", 30), (33, "2.2", 15), (896, "1.6", 560), (7, "3.5", 2)])
def test_a_ratio_is_taken_as_it_is_written_not_as_the_float_nearest_to_it(width, ratio, k):
    assert [len(kept(band, width, ratio)) for band in BANDS] == [k] * len(BANDS)


@pytest.mark.parametrize(
    ("band", "arg"),
    [
        *(("band", arg) for arg in ("", "5", "5-", "-5", "a-b", "3-3", "5-3", "0-101", "1.5-3", "2-8-9", "2,8", "-1-5")),
        *(("offset", arg) for arg in ("", "5", "5,", ",5", "3,0", "90,11", "101,1", "2-8", "-1,5", "2;8")),
        *(("cut", arg) for arg in ("", "5", "5,", "60,40", "100,0", "0,100", "101,0", "-1,2", "2-8", "1.5,2")),
    ],
)
def test_positions_that_keep_nothing_or_lie_outside_are_one_line(band, arg):
    with pytest.raises(RarityError, match=rf"^{band}:[^\n]*$"):
        kept(band, 100, arg)


@pytest.mark.parametrize("band", INTERVALS)
def test_the_two_numbers_of_an_interval_may_be_followed_by_how_rows_are_read(band):
    found = registry.resolve("filters", band)(f"{INTERVALS[band]},rows=real,center=yes")
    assert found.positions(10).tolist() == list(range(2, 8))
    assert str(found.how) == "rows=real,center=yes"
    assert str(registry.resolve("filters", band)(INTERVALS[band]).how) == ""


@pytest.mark.parametrize("band", INTERVALS)
@pytest.mark.parametrize("option", ["row=real", "rows=reel", "center=on", "5", "seed=1"])
def test_an_option_of_an_interval_that_cannot_be_read_is_one_line(band, option):
    with pytest.raises(RarityError, match=rf"^[^\n]*{band}[^\n]*$"):
        kept(band, 10, f"{INTERVALS[band]},{option}")


@pytest.mark.parametrize("band", [*BANDS, *INTERVALS])
def test_a_misspelt_option_of_any_band_names_the_near_one(band):
    with pytest.raises(UnknownName, match="'row'; did you mean rows"):
        kept(band, 10, f"{INTERVALS.get(band, '2')},row=real")


@pytest.mark.parametrize("band", INTERVALS)
def test_what_an_interval_takes_is_listed_without_its_placeholder(band):
    with pytest.raises(RarityError, match=r"\(options: rows, center, gain\)"):
        kept(band, 10, f"{INTERVALS[band]},5")


def test_random_draws_the_same_directions_for_a_seed_and_others_for_another():
    assert kept("random", 100, "2") == kept("random", 100, "2,seed=0")
    assert kept("random", 100, "2") != kept("random", 100, "2,seed=1")


def test_random_draws_every_direction_equally_often():
    counts = np.zeros(20)
    for seed in range(400):
        counts[kept("random", 20, f"4,seed={seed}")] += 1
    assert counts.sum() == 2000
    assert abs(counts - 100).max() < 45  # five standard deviations


@pytest.mark.parametrize("arg", ["2,sead=7", "2,seed=x", "2,7", "2,seed=-1"])
def test_an_option_of_random_that_cannot_be_read_is_refused(arg):
    with pytest.raises(RarityError, match="seed"):
        kept("random", 100, arg)


def test_a_misspelt_option_names_the_near_one():
    with pytest.raises(UnknownName, match="did you mean seed"):
        kept("random", 100, "2,sead=7")
