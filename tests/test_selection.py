"""Choosing a filter with labels: on development splits only, by the measure that an evaluation would print."""

from __future__ import annotations

import pytest
from tiny import write_beir

import rarityir as ri
from rarityir.retrieval import retrieve
from rarityir.selection import check_split, select
from rarityir.types import RarityError, UnknownName


@pytest.mark.parametrize(
    "name", ["beir/scifact/train", "beir/nfcorpus/dev", "msmarco-passage/dev/small", "msmarco-passage/train", "mine/validation"]
)
def test_a_development_split_may_be_chosen_on(name):
    check_split(name)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("beir/scifact/test", "is a test split"),
        ("msmarco-passage/trec-dl-2019/judged", "is a test split"),
        ("mine/dev-test", "is a test split"),
        ("cranfield", "does not say that it is a development split"),
        ("beir/arguana", "does not say that it is a development split"),
    ],
)
def test_a_test_split_and_one_that_does_not_say_are_refused(name, why):
    with pytest.raises(RarityError, match=rf"^{name} {why}; choose filters on one, such as [^\n]*$"):
        check_split(name)


@pytest.fixture
def dev(tmp_path):
    folder = write_beir(tmp_path / "tiny")
    (folder / "qrels" / "test.tsv").rename(folder / "qrels" / "dev.tsv")
    return ri.load_dataset(f"{folder}:dev")


def test_candidates_are_ranked_by_what_an_evaluation_prints(dev, stories, tmp_path):
    encoder = ri.load_encoder(stories)
    found, best = select(dev, encoder, ["edge:2", "tail:%", "random:2,seed=3"], indexes=tmp_path / "indexes", measure="RR@10")
    assert {c.filter for c in found.candidates} == {"", "edge:2", "tail:32", "random:2,seed=3"}
    assert {c.filter: c.dim for c in found.candidates} == {"": 64, "edge:2": 32, "tail:32": 2, "random:2,seed=3": 32}
    assert [c.value for c in found.candidates] == sorted((c.value for c in found.candidates), reverse=True)
    for candidate in found.candidates:
        run = retrieve("+".join(["dense", *filter(None, [candidate.filter])]), dev, encoder, indexes=tmp_path / "indexes")
        assert ri.evaluate(run, dev.qrels, ["RR@10"], list(dev.topics)).mean("RR@10") == pytest.approx(candidate.value)
    assert (best.name if best else "") == found.candidates[0].filter


def test_equal_means_rank_the_narrower_first(dev, stories, tmp_path):
    found, _ = select(dev, ri.load_encoder(stories), ["edge:1", "random:1"], indexes=tmp_path / "indexes")
    wide = [c for c in found.candidates if c.value == found.candidates[0].value]
    assert [c.dim for c in wide] == sorted(c.dim for c in wide)


def test_a_misspelt_filter_is_refused_by_name(dev, stories, tmp_path):
    with pytest.raises(UnknownName, match="did you mean edge"):
        select(dev, ri.load_encoder(stories), ["egde:2"], indexes=tmp_path / "indexes")
