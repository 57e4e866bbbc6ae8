"""Names of measures: the field's, ranx's, and one line for what is neither."""

from __future__ import annotations

import pytest

from rarityir.measures import DEFAULT, Measure
from rarityir.types import RarityError, UnknownName


@pytest.mark.parametrize(
    ("name", "ranx"),
    [
        ("nDCG@10", "ndcg@10"),
        ("nDCG", "ndcg"),
        ("RR@10", "mrr@10"),
        ("RR", "mrr"),
        ("R@1000", "recall@1000"),
        ("AP", "map"),
        ("AP@100", "map@100"),
        ("P@5", "precision@5"),
        ("Success@5", "hit_rate@5"),
        ("Rprec", "r-precision"),
        ("r-precision", "r-precision"),
        ("AP(rel=2)", "map-l2"),
        ("RR(rel=2)@10", "mrr@10-l2"),
        ("R(rel=2)@100", "recall@100-l2"),
        ("AP(rel=1)", "map"),
        ("hit_rate@5", "hit_rate@5"),
        ("f1@10", "f1@10"),
        ("bpref", "bpref"),
        ("ndcg_burges@10", "ndcg_burges@10"),
        ("recall@100-l2", "recall@100-l2"),
        ("rbp.95", "rbp.95"),
        ("rbp.95-l2", "rbp.95-l2"),
    ],
)
def test_a_measure_is_read_and_keeps_the_name_it_was_given(name: str, ranx: str) -> None:
    measure = Measure.parse(name)
    assert (measure.name, measure.ranx) == (name, ranx)


def test_a_measure_says_how_many_documents_it_looks_at() -> None:
    found = {name: Measure.parse(name).cutoff for name in ("nDCG@10", "R(rel=2)@1000", "AP", "AP(rel=2)", "rbp.95", "bpref")}
    assert list(found.values()) == [10, 1000, None, None, None, None]


def test_the_default_measures_are_readable() -> None:
    assert [Measure.parse(name).name for name in DEFAULT] == list(DEFAULT)


@pytest.mark.parametrize("name", ["", "NDCG@10x", "accuracy", "nDCG@", "nDCG@-1", "P@ten", "@10", "AP(rel=x)", "R @10", "MRR@10"])
def test_an_unknown_measure_is_one_line_that_says_what_is_known(name: str) -> None:
    with pytest.raises(UnknownName, match="unknown measure") as caught:
        Measure.parse(name)
    assert "\n" not in str(caught.value)
    assert "known:" in str(caught.value) or "did you mean" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "meant"),
    [("ncdg@10", "nDCG@10"), ("Rpre@10", "Rprec"), ("bperf@5", "bpref"), ("rpb.8", "rbp.8"), ("rpb@10", "rbp.95")],
)
def test_a_near_miss_is_suggested_as_it_may_be_asked_for(name: str, meant: str) -> None:
    with pytest.raises(UnknownName) as caught:
        Measure.parse(name)
    near = str(caught.value).partition("did you mean ")[2].partition("?")[0].split(" or ")
    assert meant in near
    assert [Measure.parse(each).name for each in near] == near


@pytest.mark.parametrize("name", ["nDCG(rel=2)@10", "ndcg@10-l2", "dcg@5-l3", "ndcg_burges-l2"])
def test_a_level_of_a_measure_that_weighs_grades_is_refused(name: str) -> None:
    with pytest.raises(RarityError, match="takes no rel="):
        Measure.parse(name)


@pytest.mark.parametrize("name", ["nDCG@0", "P@0", "hit_rate@0"])
def test_a_cutoff_of_zero_is_refused(name: str) -> None:
    with pytest.raises(RarityError, match="at least 1"):
        Measure.parse(name)


@pytest.mark.parametrize(
    ("name", "use"),
    [
        ("Rprec@10", "Rprec"),
        ("r-precision@5", "r-precision"),
        ("bpref@10", "bpref"),
        ("bpref@10-l2", "bpref-l2"),
        ("Rprec(rel=2)@10", r"Rprec\(rel=2\)"),
    ],
)
def test_a_cutoff_of_a_measure_that_has_none_is_refused_because_it_would_be_ignored(name: str, use: str) -> None:
    with pytest.raises(RarityError, match=f"has no cutoff; use it as {use}$") as caught:
        Measure.parse(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["AP(rel=0)", "RR(rel=0)@10", "recall@10-l0"])
def test_a_level_of_zero_is_refused_because_it_would_be_read_as_one(name: str) -> None:
    with pytest.raises(RarityError, match="rel"):
        Measure.parse(name)


def test_rank_biased_precision_needs_its_persistence() -> None:
    with pytest.raises(RarityError, match=r"rbp\.95"):
        Measure.parse("rbp")
