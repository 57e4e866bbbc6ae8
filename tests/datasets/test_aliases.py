"""Short names stand for data sets that ir_datasets has, with all that an evaluation needs; nothing is downloaded to see."""

from __future__ import annotations

import builtins
import io
import socket
from pathlib import Path

import pytest

from rarityir.datasets import ALIASES


@pytest.fixture
def registry(monkeypatch):
    """ir_datasets' registry with the network shut."""
    import ir_datasets

    monkeypatch.setattr(socket.socket, "connect", shut)
    monkeypatch.setattr(socket, "getaddrinfo", shut)
    return ir_datasets.registry


def shut(*_, **__):
    raise AssertionError("neither the network nor a file is to be used")


def test_every_alias_is_a_registered_data_set_with_documents_queries_and_qrels(registry, monkeypatch):
    known = set(registry)
    monkeypatch.setattr(builtins, "open", shut)
    monkeypatch.setattr(io, "open", shut)
    for alias, name in ALIASES.items():
        assert name in known, f"{alias} → {name}"
        source = registry[name]
        assert source.has_docs(), alias
        assert source.has_queries(), alias
        assert source.has_qrels(), alias


def test_every_alias_knows_its_documents_count_without_reading_them(registry):
    for alias, name in ALIASES.items():
        parent = name.split("/")[0] if name.startswith("msmarco-passage") else name
        assert registry[parent].metadata()["docs"]["count"] > 1000, alias


def collections_of(registry, family: str) -> set[str]:
    """The document sets of a family: its ids up to the name, and up to the forum for CQADupStack."""
    return {"/".join(name.split("/")[: 3 if "cqadupstack" in name else 2]) for name in registry if name.startswith(f"{family}/")}


@pytest.mark.parametrize(("family", "count"), [("beir", 26), ("nano-beir", 13)])
def test_every_data_set_of_a_benchmark_has_an_alias(registry, family, count):
    there = collections_of(registry, family)
    assert len(there) == count, sorted(there)
    reached = {collection for collection in there if any(f"{name}/".startswith(f"{collection}/") for name in ALIASES.values())}
    assert reached == there


def test_beirs_aliases_are_the_splits_the_benchmark_reports(registry):
    assert ALIASES["scifact"] == "beir/scifact/test"
    assert ALIASES["msmarco"] == "beir/msmarco/dev"
    assert ALIASES["webis-touche2020"] == "beir/webis-touche2020/v2"
    for name in ALIASES.values():
        if f"{name}/test" in registry:
            assert name == "beir/msmarco/dev", f"{name} has a test split"


def test_an_alias_hides_no_data_set_that_could_be_evaluated(registry):
    hidden = set(ALIASES) & set(registry)
    assert not [name for name in hidden if registry[name].has_qrels()]
    assert "cranfield" not in ALIASES


def test_no_two_aliases_stand_for_the_same_data_set():
    assert len(set(ALIASES.values())) == len(ALIASES)


def test_no_alias_is_a_folder_of_this_repository():
    assert not [alias for alias in ALIASES if (Path(__file__).parents[2] / alias).exists()]
