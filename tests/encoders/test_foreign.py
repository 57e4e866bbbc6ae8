"""An encoder that another package brings: what it lacks is one line, and what its identity leaves out is no matter."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from tiny import STORIES

from rarityir import registry
from rarityir.cli import main
from rarityir.encoders import load_encoder

PARTS = ("model", "dim", "encode_document", "encode_query", "unembedding", "unembedding_bias", "tokens", "tokenize")
Bring = Callable[..., str]
pytestmark = pytest.mark.usefixtures("elsewhere")


class Foreign:
    """All of another encoder but some of its parts; its identity says nothing of pooling."""

    def __init__(self, *without: str) -> None:
        self.reader, self.without, self.name = load_encoder(str(STORIES)), without, "foreign"

    def __getattr__(self, name: str) -> object:
        if name in self.without:
            raise AttributeError(name)
        return getattr(self.reader, name)

    def identity(self) -> dict[str, object]:
        return {key: value for key, value in self.reader.identity().items() if key != "pooling"}


@pytest.fixture
def bring(monkeypatch: pytest.MonkeyPatch) -> Bring:
    """Makes `foreign:x` an encoder's name, as an entry point does."""

    def brought(*without: str) -> str:
        monkeypatch.setitem(registry.table("encoders"), "foreign", "brought_by_tests:load")
        made = SimpleNamespace(load=lambda name, **reading: Foreign(*without))
        monkeypatch.setitem(sys.modules, "brought_by_tests", made)
        return "foreign:x"

    return brought


@pytest.mark.parametrize("without", [("tokens", "tokenize"), *((part,) for part in PARTS)])
def test_an_encoder_that_lacks_a_part_is_one_line(
    without: tuple[str, ...], bring: Bring, beir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", "--dataset", str(beir), "--encoder", bring(*without), "--systems", "dense,sparse:8"]) == 1
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert said[0].startswith("rarityir: encoder foreign:x lacks ")
    for part in without:
        assert part in said[0]


def test_an_identity_without_pooling_serves(bring: Bring, beir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    systems = "dense,sparse:8+edge:2,dense+pca:2"
    assert main(["eval", "--dataset", str(beir), "--encoder", bring(), "--systems", systems, "--out", "evaluated"]) == 0
    assert "dense+pca:2" in capsys.readouterr().out
    folders = [path.parent for path in Path("indexes").rglob("filter.json")]
    assert len(folders) == 2
