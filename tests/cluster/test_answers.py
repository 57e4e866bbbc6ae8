"""What a folder of a cluster is searched for, and what is refused before anything is asked."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rarityir.cluster import Recipe
from rarityir.cluster.answers import answer
from rarityir.cluster.recipe import ENCODED
from rarityir.embeddings import identify
from rarityir.systems import System
from rarityir.types import RarityError, StaleArtefact


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"store_dtype": "float16"}, "store_dtype float16, now null"),
        ({"encoder.attention": "eager"}, "encoder.attention eager, now null"),
        ({"encoder.pooling": "last"}, "encoder.pooling last, now mean"),
        ({"documents": "0" * 64}, "documents 0000000000000000…, now"),
    ],
)
def test_embeddings_that_one_machine_would_not_have_are_refused(one: Any, other: dict[str, str], told: str) -> None:
    identity = Recipe.of(one.corpus, one.encoder).identity
    assert {*identity} == {*identify(one.corpus, one.encoder), *ENCODED}
    found: Any = SimpleNamespace(folder=Path("out"), identity={**identity, **other})
    with pytest.raises(StaleArtefact, match=f"out was made of something else: {told}"):
        answer(one.source, System.parse("dense"), found, 10)


def test_an_offset_is_refused_before_anything_is_read() -> None:
    with pytest.raises(RarityError, match="a cluster moves no queries by an offset; search it on one machine"):
        answer(Any, System.parse("dense:offset=offsets/x"), Any, 10)


def test_without_ray_nothing_is_read_before_it_is_said(
    elsewhere: None, beir: Path, stories: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from rarityir.cli import main

    monkeypatch.setattr("rarityir.cluster.on_ray.find_spec", lambda _: None)
    common = ["--dataset", str(beir), "--encoder", stories, "--cluster", "local"]
    (beir / "corpus.jsonl").write_text("no document\n")
    for argv in (["encode", *common, "--out", "out"], ["search", "dense", *common, "--encoded", "out"]):
        assert main(argv) == 1
        assert "a cluster needs Ray: pip install" in capsys.readouterr().err
    assert not Path("out").exists()
