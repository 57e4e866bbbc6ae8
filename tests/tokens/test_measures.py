"""Alignment measures by hand, by brute force over plain sets, and by what must not matter; controls and intervals too."""

from __future__ import annotations

import dataclasses
import json
import math
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rarityir.tokens import Vocabulary
from rarityir.tokens.measures import REPLICATES, Alignment, Figure, TokenSets, measure, partners, strata
from rarityir.types import RarityError

#            0      1        2       3     4       5        6    7
FORMS = ["<s>", " Game", "game", ",", " the", " ball", " red", None]
WORDS = Vocabulary.of([None, *FORMS[1:]])  # game, the, ball, red
GAME, THE, BALL, RED = range(4)
NAMED = ("hit", "lar", "gar", "hit_idf", "lar_idf")


def figures(found: Alignment) -> dict[str, Figure]:
    """Every figure by name."""
    named = {name: getattr(found, name) for name in NAMED}
    for band in (found.stop, found.content, *found.bands):
        named |= {f"{band.name} share": band.share, f"{band.name} hit": band.hit}
    return named


def values(found: Alignment) -> list[float]:
    return [value for figure in figures(found).values() for value in dataclasses.astuple(figure)]


def logits(*best_first: str, names: str = "abcdefgh") -> list[float]:
    """Logits that rank tokens as they are written; the others follow in order of their ids."""
    return [float(-"".join([*best_first, *sorted(set(names) - set("".join(best_first)))]).index(name)) for name in names]


def sets_of(*texts: str, names: str = "abcdefgh") -> TokenSets:
    return TokenSets.corrected([[names.index(name) for name in text] for text in texts], Vocabulary.of(list(names)))


# -- forms --


def test_the_published_form_counts_special_tokens_marks_and_repeats_and_cuts_its_lists_at_k():
    found = TokenSets.published([[0, 1, 3, 2, 1], [0, 4], []], size=8, cutoff=4)
    assert [found[i].tolist() for i in range(3)] == [[0, 1, 2, 3], [0, 4], []]
    assert found.depths.tolist() == [4, 2, 0]
    assert TokenSets.published([[0, 1, 3, 2, 1]], size=8, cutoff=10).depths.tolist() == [5]  # a repeat makes the list longer
    assert TokenSets.published([list(range(8)) * 2], size=8).depths.tolist() == [10]
    assert found.size == 8


def test_ids_that_the_unembedding_has_no_row_for_are_left_out_of_the_published_form():
    found = TokenSets.published([[0, 9, 8, 7]], size=8)
    assert found[0].tolist() == [0, 7]
    assert found.depths.tolist() == [4]


def test_the_corrected_form_counts_each_word_once_whatever_its_case_and_leaves_the_rest_out():
    found = TokenSets.corrected([[0, 1, 3, 2, 1], [6, 5, 4, 4], [0, 3, 7], []], WORDS)
    assert [found[i].tolist() for i in range(4)] == [[GAME], [THE, BALL, RED], [], []]
    assert found.depths.tolist() == [1, 3, 0, 0]
    assert (found.size, len(found)) == (4, 4)
    assert found.frequencies.tolist() == [1, 1, 1, 1]


def test_a_text_longer_than_k_worked_by_hand():
    """One text of a, b, c, d and one of a, e with a repeat; the first's list is b c d e a, the second's e f a."""
    ids = [[0, 1, 2, 3], [0, 4, 0]]
    z = np.array([logits("bcdea"), logits("efa")], np.float32)
    raw = measure([z], TokenSets.published(ids, size=8, cutoff=2), cutoff=2)
    # Lists cut at 2: b c of {a b c d}, and e f of {a e}.
    assert (raw.hit.own, raw.lar.own, raw.gar.own) == (1.0, (2 / 4 + 1 / 2) / 2, 3 / 5)
    words = measure([z], sets_of("abcd", "ae"), cutoff=2)
    # Lists as long as the texts: b c d e of {a b c d}, and e f of {a e}.
    assert (words.hit.own, words.lar.own, words.gar.own) == (1.0, (3 / 4 + 1 / 2) / 2, 4 / 5)
    deep = measure([z], TokenSets.published(ids, size=8, cutoff=10), cutoff=2)
    # Not cut, a repeat makes the second text's list e f a: all of {a e}.
    assert (deep.lar.own, deep.gar.own) == ((3 / 4 + 2 / 2) / 2, 5 / 5)


def test_the_control_asks_the_same_lists_for_the_other_texts_tokens():
    z = np.array([logits("bcdea"), logits("efa")], np.float32)
    found = measure([z], sets_of("abcd", "ae"), cutoff=2)
    # b c d e has e of {a e}, e f none of {a b c d}; among the two best, b c of {a e} none and e f of {a b c d} none.
    assert found.hit.control == 0.0
    assert found.lar.control == (1 / 2 + 0) / 2
    assert found.gar.control == 1 / 5
    assert found.lar.difference == pytest.approx(found.lar.own - found.lar.control)


def test_rare_tokens_weigh_more_worked_by_hand():
    texts = sets_of("ab", "ac", "ad")
    z = np.array([logits("ae"), logits("ca"), logits("fd")], np.float32)
    found = measure([z], texts, cutoff=1)
    often, once = math.log1p(0.5 / 3.5), math.log1p(2.5 / 1.5)  # in three of three texts, in one
    assert found.lar.own == pytest.approx((1 / 2 + 1 + 1 / 2) / 3)
    assert found.lar_idf.own == pytest.approx((often / (often + once) + 1 + once / (often + once)) / 3)
    assert found.hit.own == pytest.approx(2 / 3)
    assert found.hit_idf.own == pytest.approx((often / once + 1 + 0) / 3)


def test_stop_words_and_content_words_are_told_apart_by_frequency():
    texts = sets_of("abc", "abd", "ae")
    z = np.array([logits("ab"), logits("ad"), logits("gh")], np.float32)
    frequency = np.array([0.05, 0.001, 0.0009, 1e-5, 0.9e-5, 0.0, 0.0, 0.0])
    found = measure([z], texts, cutoff=1, frequency=frequency)
    assert (found.stop.entries, found.content.entries) == (5, 3)
    assert [(band.name, band.entries) for band in found.bands] == [
        ("1e-2", 3),
        ("1e-3", 2),
        ("1e-4", 1),
        ("1e-5", 1),
        ("rarer", 1),
    ]
    # Lists: a b c (ids break the tie of what follows), a d b, g h.
    assert found.stop.share.own == 4 / 5
    assert found.content.share.own == 2 / 3
    assert [band.share.own for band in found.bands] == [2 / 3, 1, 1, 1, 0]
    assert (found.stop.hit.own, found.content.hit.own) == (2 / 3, 0)  # the one best token is a, a, g


def test_a_hit_of_content_is_looked_for_in_texts_that_have_content_alone():
    texts, frequency = sets_of("ab", "ac", "a"), np.array([0.5, *[0.0] * 7])
    found = measure([np.array([logits("ba"), logits("ab"), logits("ba")], np.float32)], texts, cutoff=1, frequency=frequency)
    assert found.content.hit.own == 1 / 2
    assert found.stop.hit.own == 1 / 3


def test_without_frequencies_those_of_the_texts_themselves_tell_bands_apart():
    found = measure([np.array([logits("a"), logits("b")], np.float32)], sets_of("ab", "ac"))
    assert (found.stop.entries, found.content.entries) == (4, 0)
    assert [band.entries for band in found.bands] == [4, 0, 0, 0, 0]
    ids = [[2 * i, 2 * i + 1] for i in range(60)]  # each token is one of 120 entries, though one of 60 texts has it
    many = measure([np.eye(60, 120, dtype=np.float32)], TokenSets.corrected(ids, Vocabulary.plain(120)))
    assert [band.entries for band in many.bands] == [0, 120, 0, 0, 0]


def test_a_band_that_no_text_has_gives_no_figure_and_null_in_json():
    found = measure([np.array([logits("a"), logits("b")], np.float32)], sets_of("ab", "ac"))
    assert all(math.isnan(value) for value in dataclasses.astuple(found.content.share))
    facts = json.loads(json.dumps(found.json(), allow_nan=False))
    assert facts["content"] == {
        "name": "content",
        "entries": 0,
        "share": dict.fromkeys(("own", "control", "difference", "low", "high")),
        "hit": dict.fromkeys(("own", "control", "difference", "low", "high")),
    }
    assert facts["lar"]["own"] == round(found.lar.own, 6)


def test_bands_share_out_all_tokens_once():
    frequency = np.array([1.0, 0.01, 0.00999, 1e-3, 1e-4, 1e-5, 1e-6, 0.0])
    names, member = strata(frequency)
    assert names == ("stop", "content", "1e-2", "1e-3", "1e-4", "1e-5", "rarer")
    assert member[:2].sum(axis=0).tolist() == member[2:].sum(axis=0).tolist() == [1] * 8
    assert [np.flatnonzero(row).tolist() for row in member[2:]] == [[0, 1], [2, 3], [4], [5], [6, 7]]
    assert np.flatnonzero(member[0]).tolist() == [0, 1, 2, 3]


def test_texts_without_tokens_are_skipped_and_counted():
    z = np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32)
    some = measure([z], sets_of("", "abc", "", "de", "fgh"))
    rest = measure([z[[1, 3, 4]]], sets_of("abc", "de", "fgh"))
    assert (some.texts, some.skipped, some.tokens) == (3, 2, 8 / 3)
    assert rest.skipped == 0
    assert values(some) == pytest.approx(values(rest), nan_ok=True)


# -- brute force --


def best(z: list[float], depth: int) -> set[int]:
    return set(sorted(range(len(z)), key=lambda token: (-z[token], token))[:depth])


def brute(z: np.ndarray, texts: list[set[int]], depths: list[int], other: list[int], cutoff: int, bands: list[set[int]]):
    """Hit, LAR, GAR, their weighted forms, and each band's share and hit, in plain sets; `other` says whose tokens count."""
    used = [i for i, own in enumerate(texts) if own]
    df = [sum(token in own for own in texts) for token in range(z.shape[1])]
    idf = [math.log1p((len(used) - d + 0.5) / (d + 0.5)) for d in df]
    found: dict[str, list[float]] = {"hit": [], "lar": [], "hit_idf": [], "lar_idf": []}
    seen: set[int] = set()
    counts = [[0, 0, 0, 0] for _ in bands]
    for i in used:
        own = texts[other[i]]
        deep, top = best(z[i].tolist(), depths[i]), best(z[i].tolist(), cutoff)
        found["hit"].append(float(bool(top & own)))
        found["lar"].append(len(deep & own) / len(own))
        found["hit_idf"].append(max((idf[t] for t in top & own), default=0.0) / max(idf[t] for t in own))
        found["lar_idf"].append(sum(idf[t] for t in deep & own) / sum(idf[t] for t in own))
        seen |= deep & own
        for row, band in zip(counts, bands, strict=True):
            row[0] += len(deep & own & band)
            row[1] += len(own & band)
            row[2] += bool(top & own & band)
            row[3] += bool(own & band)
    means = {name: sum(values) / len(values) for name, values in found.items()}
    shares = [(row[0] / row[1], row[2] / row[3]) if row[1] else (math.nan, math.nan) for row in counts]
    return {**means, "gar": len(seen) / len(set().union(*texts))}, shares


@st.composite
def worlds(draw):
    size, count = draw(st.integers(2, 12)), draw(st.integers(2, 9))
    texts = draw(st.lists(st.sets(st.integers(0, size - 1)), min_size=count, max_size=count))
    z = draw(st.lists(st.lists(st.integers(-3, 3), min_size=size, max_size=size), min_size=count, max_size=count))
    repeats = draw(st.lists(st.integers(0, 3), min_size=count, max_size=count))
    frequency = draw(st.lists(st.sampled_from([0.02, 0.005, 5e-4, 5e-5, 0.0]), min_size=size, max_size=size))
    return size, texts, np.array(z, np.float32), repeats, np.array(frequency), draw(st.integers(1, size + 2))


@given(worlds(), st.sampled_from([1, 2, 7, 100]), st.booleans())
def test_every_figure_is_that_of_plain_sets(world, block, published):
    size, texts, z, repeats, frequency, cutoff = world
    ids = [[*sorted(own), *([min(own)] * extra if own else [])] for own, extra in zip(texts, repeats, strict=True)]
    plain = Vocabulary.plain(size)
    found = TokenSets.published(ids, size, cutoff) if published else TokenSets.corrected(ids, plain)
    depths = [min(len(row), cutoff) if published else len(set(row)) for row in ids]
    try:
        other = partners(found, seed=3).tolist()
    except RarityError:
        return
    bands = [{t for t in range(size) if (frequency[t] >= 1e-3) == stop} for stop in (True, False)]
    bands += [{t for t in range(size) if frequency[t] == value} for value in (0.02, 0.005, 5e-4, 5e-5, 0.0)]
    blocks = (z[at : at + block] for at in range(0, len(z), block))
    measured = measure(blocks, found, cutoff=cutoff, frequency=frequency, seed=3)
    own, own_bands = brute(z, texts, depths, list(range(len(texts))), cutoff, bands)
    control, control_bands = brute(z, texts, depths, other, cutoff, bands)
    for name in NAMED:
        figure = getattr(measured, name)
        assert (figure.own, figure.control) == pytest.approx((own[name], control[name]))
        assert 0 <= figure.own <= 1
        assert 0 <= figure.control <= 1
        assert figure.difference == pytest.approx(figure.own - figure.control)
    for i, band in enumerate((measured.stop, measured.content, *measured.bands)):
        assert (band.share.own, band.hit.own) == pytest.approx(own_bands[i], nan_ok=True)
        assert (band.share.control, band.hit.control) == pytest.approx(control_bands[i], nan_ok=True)
        assert band.entries == sum(len(text & bands[i]) for text in texts)


# -- what must not matter, and what must hold --


def world(seed: int, count: int = 40, size: int = 120, words: int = 12) -> tuple[np.ndarray, TokenSets]:
    """Logits that favour low ids, and favour a text's own tokens a little; tokens drawn with a long tail."""
    rng = np.random.default_rng(seed)
    chance = 1 / np.arange(1, size + 1)
    ids = [rng.choice(size, words, p=chance / chance.sum()).tolist() for _ in range(count)]
    z = rng.normal(size=(count, size)) + 0.7 * np.log(chance)
    for row, own in zip(z, ids, strict=True):
        row[own] += 1.0
    return z.astype(np.float32), TokenSets.corrected(ids, Vocabulary.plain(size))


@pytest.mark.parametrize("block", [1, 7, 39])
def test_texts_are_read_in_blocks_without_a_seam(block):
    z, texts = world(0)
    whole = measure([z], texts, seed=2)
    parts = measure((z[at : at + block] for at in range(0, len(z), block)), texts, seed=2)
    assert values(parts) == pytest.approx(values(whole), abs=1e-12, nan_ok=True)


def test_the_order_of_the_vocabulary_changes_nothing():
    z, texts = world(1)
    new = np.random.default_rng(5).permutation(z.shape[1])  # the new id of every token
    frequency = np.random.default_rng(6).choice([0.02, 0.005, 5e-4, 5e-5, 0.0], z.shape[1])
    moved = TokenSets.corrected([new[texts[i]].tolist() for i in range(len(texts))], Vocabulary.plain(z.shape[1]))
    shuffled, turned = np.empty_like(z), np.empty_like(frequency)
    shuffled[:, new], turned[new] = z, frequency
    found = measure([shuffled], moved, frequency=turned)
    assert values(found) == pytest.approx(values(measure([z], texts, frequency=frequency)), abs=1e-9, nan_ok=True)


def test_logits_that_are_the_texts_own_tokens_align_wholly():
    _, texts = world(2)
    z = np.zeros((len(texts), texts.size), np.float32)
    for i, row in enumerate(z):
        row[texts[i]] = 1.0
    found = measure([z], texts, cutoff=12)
    for name in NAMED:
        assert getattr(found, name).own == pytest.approx(1.0, abs=1e-12)
    assert found.lar.control < 1
    assert found.lar.low > 0


def test_random_logits_find_as_much_in_another_text_as_in_their_own():
    rng = np.random.default_rng(0)
    size, words = 200, 20
    ids = [rng.choice(size, words, replace=False).tolist() for _ in range(400)]
    found = measure([rng.normal(size=(400, size))], TokenSets.corrected(ids, Vocabulary.plain(size)), cutoff=1)
    for figure in (found.lar, found.hit):
        assert figure.control == pytest.approx(words / size, abs=0.04)
        assert figure.own == pytest.approx(words / size, abs=0.04)
        assert figure.low < 0 < figure.high


def test_lists_full_of_function_words_hit_always_and_say_nothing():
    """The planted world of function words: raw lists never name content, cleaned ones always, and the control tells both."""
    rng = np.random.default_rng(4)
    size, functions, count = 500, 20, 300
    content = [rng.choice(np.arange(functions, size), 6, replace=False) for _ in range(count)]
    texts = TokenSets.corrected([[*own.tolist(), *range(functions)] for own in content], Vocabulary.plain(size))
    z = np.zeros((count, size), np.float32)
    for row, own in zip(z, content, strict=True):
        row[own] = rng.uniform(1, 2, 6)
    loud = z.copy()
    loud[:, :functions] = 5 * rng.uniform(0.9, 1.1, (count, functions))
    frequency = np.where(np.arange(size) < functions, 0.02, 1e-5)
    before, after = (measure([one], texts, cutoff=5, frequency=frequency) for one in (loud, z))
    assert (before.hit.own, before.hit.control, before.hit.high) == (1.0, 1.0, 0.0)
    assert (before.content.hit.own, after.content.hit.own) == (0.0, 1.0)
    assert after.content.hit.control < 0.2
    assert after.content.hit.low > 0.8


# -- control --


@given(
    st.lists(st.sets(st.integers(0, 4)), min_size=2, max_size=24), st.integers(0, 1000)
)  # few tokens, so that many texts are equal
def test_no_text_is_the_control_of_itself_nor_of_its_double(texts, seed):
    found = TokenSets.corrected([sorted(own) for own in texts], Vocabulary.plain(5))
    used = [i for i, own in enumerate(texts) if own]
    most = max([sum(texts[i] == texts[j] for j in used) for i in used], default=0)
    if not used or 2 * most > len(used):
        with pytest.raises(RarityError, match=r"^[^\n]*no other text can be their control[^\n]*$"):
            partners(found, seed)
        return
    other = partners(found, seed)
    assert sorted(other[used].tolist()) == used
    assert all(texts[i] != texts[other[i]] for i in used)
    assert all(other[i] == -1 for i in range(len(texts)) if i not in used)


def test_the_control_is_drawn_by_the_seed():
    _, texts = world(3)
    drawn = [partners(texts, seed).tolist() for seed in (0, 0, 1, 2)]
    assert drawn[0] == drawn[1]
    assert len({tuple(other) for other in drawn}) == 3
    z, _ = world(3)
    one, same, next_ = (measure([z], texts, seed=seed) for seed in (0, 0, 1))
    assert values(one) == pytest.approx(values(same), abs=0, nan_ok=True)
    assert one.lar.own == next_.lar.own
    assert one.lar.control != next_.lar.control


def test_every_other_text_is_drawn_as_a_control_about_as_often():
    texts = sets_of("a", "b", "c", "d", "e")
    drawn = np.array([partners(texts, seed) for seed in range(400)])
    counts = np.array([[(drawn[:, i] == j).sum() for j in range(5)] for i in range(5)])
    assert (np.diag(counts) == 0).all()
    off = counts[~np.eye(5, dtype=bool)]
    assert off.min() > 60
    assert off.max() < 140


# -- intervals --


def test_the_interval_of_a_mean_is_that_of_the_paired_differences():
    z, texts = world(7, count=300)
    found, other = measure([z], texts).lar, partners(texts)
    deep = [best(row.tolist(), len(texts[i])) for i, row in enumerate(z)]
    own = np.array([len(deep[i] & {*texts[i].tolist()}) / len(texts[i]) for i in range(len(texts))])
    control = np.array([len(deep[i] & {*texts[j].tolist()}) / len(texts[j]) for i, j in enumerate(other)])
    half = 1.96 * (own - control).std() / len(texts) ** 0.5
    assert (found.low, found.high) == pytest.approx((found.difference - half, found.difference + half), abs=0.15 * half)


def test_an_interval_holds_the_mean_over_many_draws_about_as_often_as_it_says():
    found = [measure([z], texts, seed=i) for i in range(60) for z, texts in (world(i, count=60),)]
    for name in ("lar", "gar"):
        drawn = [getattr(one, name) for one in found]
        mean = np.mean([figure.difference for figure in drawn])
        assert sum(figure.low <= mean <= figure.high for figure in drawn) >= 48
        assert all(figure.low < figure.difference < figure.high for figure in drawn)
        spread = 3.92 * np.std([figure.difference for figure in drawn])
        assert np.mean([figure.high - figure.low for figure in drawn]) == pytest.approx(spread, rel=0.4)


def test_the_same_resamples_serve_every_filter():
    """Two readings of the same texts that differ by nothing have the same interval, so figures of filters can be paired."""
    z, texts = world(8)
    assert values(measure([z], texts)) == pytest.approx(values(measure([2 * z + 1], texts)), abs=0, nan_ok=True)


# -- size --


def test_what_is_held_does_not_grow_with_the_texts():
    size, block = 4000, 50
    peaks = []
    for count in (100, 1600):
        rng = np.random.default_rng(0)
        texts = TokenSets.corrected([rng.integers(0, size, 30).tolist() for _ in range(count)], Vocabulary.plain(size))
        blocks = (rng.normal(size=(block, size)).astype(np.float32) for _ in range(0, count, block))
        tracemalloc.start()
        measure(blocks, texts)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    bits = 4 * size * (REPLICATES + 1) / 8
    assert peaks[1] < peaks[0] + bits + 2e6  # all logits at once would be 25 MB
    assert peaks[1] < 1.5e7


def test_a_text_of_hundreds_of_tokens_is_measured_to_its_depth():
    rng = np.random.default_rng(1)
    ids = [rng.choice(1000, 350, replace=False).tolist() for _ in range(3)]
    z = rng.normal(size=(3, 1000)).astype(np.float32)
    found = measure([z], TokenSets.corrected(ids, Vocabulary.plain(1000)))
    wanted = [len(best(row.tolist(), 350) & set(own)) / 350 for row, own in zip(z, ids, strict=True)]
    assert found.lar.own == pytest.approx(np.mean(wanted))
    cut = measure([z], TokenSets.published(ids, 1000))
    assert cut.lar.own == pytest.approx(np.mean([len(best(r.tolist(), 10) & set(o)) / 350 for r, o in zip(z, ids, strict=True)]))


def test_going_deeper_never_finds_less():
    z, texts = world(9)
    found = [measure([z], dataclasses.replace(texts, depths=np.full(len(texts), depth))) for depth in (1, 3, 10, 40, 120)]
    for fewer, more in pairwise(found):
        assert fewer.lar.own <= more.lar.own
        assert fewer.gar.own <= more.gar.own
    assert found[-1].lar.own == found[-1].gar.own == found[-1].lar.control == 1.0


# -- errors --


@pytest.mark.parametrize(
    ("blocks", "words"),
    [
        ([np.zeros((2, 7))], r"shape \(2, 7\) after 0 texts; 2 rows of 8"),
        ([np.zeros((1, 8)), np.zeros((2, 8))], "after 1 texts"),
        ([np.zeros(8)], "are wanted"),
        ([np.zeros((1, 8))], "logits of 1 texts, but tokens of 2"),
        ([np.full((2, 8), np.nan)], "texts 1 to 2 are not finite"),
        ([np.zeros((1, 8)), np.full((1, 8), np.inf)], "texts 2 to 2 are not finite"),
    ],
)
def test_logits_that_are_not_those_of_the_texts_are_one_line(blocks, words):
    with pytest.raises(RarityError, match=rf"^[^\n]*{words}[^\n]*$"):
        measure(blocks, sets_of("ab", "c"))


def test_no_token_to_look_at_and_frequencies_of_other_tokens_are_one_line():
    with pytest.raises(RarityError, match=r"^Hit@0 has no token to look at"):
        measure([np.zeros((2, 8))], sets_of("ab", "c"), cutoff=0)
    with pytest.raises(RarityError, match=r"^frequencies of shape \(5,\) for 8 tokens"):
        measure([np.zeros((2, 8))], sets_of("ab", "c"), frequency=np.zeros(5))


@pytest.mark.parametrize(
    ("texts", "why"),
    [((), "0 texts have tokens"), (("ab",), "1 texts have tokens"), (("ab", "ba", "c"), "2 of 3 texts have the same tokens")],
)
def test_texts_that_leave_no_control_are_one_line(texts, why):
    with pytest.raises(RarityError, match=rf"^{why}, so no other text can be their control; [^\n]*$"):
        measure([np.zeros((len(texts), 8))], sets_of(*texts))
