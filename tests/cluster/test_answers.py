"""What a folder of a cluster is searched for, and what is refused before anything is asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from cluster.conftest import BLOCK, WINDOW

from rarityir import store
from rarityir.cluster import Recipe
from rarityir.cluster.answers import answer
from rarityir.cluster.recipe import ENCODED
from rarityir.cluster.taking import take
from rarityir.embeddings import identify
from rarityir.retrieval import Retriever
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


@dataclass
class Written:
    """What a cluster wrote, as `Encoded` gives it."""

    folder: Path
    identity: dict[str, Any]
    facts: dict[str, Any]
    rows: list[np.ndarray]

    def __iter__(self) -> Iterator[tuple[list[str], np.ndarray]]:
        return ((["id"] * len(x_ND), x_ND) for x_ND in self.rows)


def test_what_a_cluster_encoded_is_a_machines_own_once_it_is_taken_over(
    one: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rarityir.embeddings.BLOCK", BLOCK)
    size = BLOCK * WINDOW
    windows = [one.raw[at : at + size] for at in range(0, len(one.raw), size)]
    identity = Recipe.of(one.corpus, one.encoder).identity
    source = Retriever(one.source.dataset, one.encoder, tmp_path)
    whole: Any = Written(Path("out"), identity, {"build_seconds": 7.0}, windows)
    for wrong, told in (
        ({"identity": {**identity, "filter": "edge:2"}}, "vectors behind edge:2; encode without --filter"),
        ({"identity": {**identity, "encoder.pooling": "last"}}, "made of something else: encoder.pooling last, now mean"),
        ({"rows": windows[:-1]}, f"{len(one.raw) // size * size} embeddings of {len(one.raw)} documents"),
        ({"rows": [*windows, windows[0]]}, r"are no part of"),
        ({"rows": [x_ND[:, 1:] for x_ND in windows]}, r"are no part of"),
    ):
        with pytest.raises(RarityError, match=told):
            take(source, replace(whole, **wrong))
    found = take(source, whole)
    assert found.seconds == 7
    np.testing.assert_array_equal(np.concatenate(list(found)), one.raw)
    monkeypatch.setattr(type(one.encoder), "reading", None)  # it would be called to encode
    assert source.embeddings.folder == found.folder
    (folder,) = source.index(System.parse("dense+edge:2"))
    np.testing.assert_array_equal(np.load(folder / "vectors.npy"), one.vectors)
    for name in ("identity", "files"):
        assert store.described(found.folder)[name] == store.described(one.source.embeddings.folder)[name]
