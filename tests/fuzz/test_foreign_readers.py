"""What libraries of C++ and Rust read: a changed byte is refused before they see it, and what they raise is one line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fuzz.parsers import PARSERS
from tiny import STORIES

from rarityir.counts import TokenCounts, tokenizer_of
from rarityir.datasets import load_dataset
from rarityir.encoders import load_encoder
from rarityir.indexes import seismic
from rarityir.rarity.tokenizing import Tokenizing
from rarityir.retrieval import retrieve
from rarityir.types import RarityError, StaleArtefact


def changed(path: Path, rng: Random) -> None:
    """One bit of a file turned, its size as it was."""
    raw = bytearray(path.read_bytes())
    raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
    path.chmod(0o644)
    path.write_bytes(raw)


def refused(*_: object) -> Any:
    raise AssertionError("a library has seen the changed bytes")


@pytest.mark.usefixtures("elsewhere")
def test_faiss_never_sees_a_changed_byte(beir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import faiss

    dataset, encoder = load_dataset(str(beir)), load_encoder(str(STORIES))
    retrieve("dense:hnsw,4", dataset, encoder)
    (path,) = Path("indexes").rglob("index.faiss")
    whole, rng = path.read_bytes(), Random(0)
    monkeypatch.setattr(faiss, "read_index", refused)
    for _ in range(20):
        changed(path, rng)
        with pytest.raises(StaleArtefact, match=r"index\.faiss is corrupt \(checksum differs\)"):
            retrieve("dense:hnsw,4", dataset, encoder)
        path.write_bytes(whole)
    with pytest.raises(AssertionError):  # as it was, it is read
        retrieve("dense:hnsw,4", dataset, encoder)


def test_seismic_never_sees_a_changed_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def save(name: str) -> None:
        Path(f"{name}{seismic._SUFFIX}").write_bytes(Random(1).randbytes(200))

    monkeypatch.setattr(seismic, "_seismic", lambda: SimpleNamespace(SeismicIndex=SimpleNamespace(load=refused)))
    seismic.SeismicIndex(SimpleNamespace(save=save), 3, np.array([1, 2, 0])).save(tmp_path)
    with pytest.raises(AssertionError):  # as it was, it is read
        seismic.SeismicIndex.load(tmp_path)
    rng = Random(0)
    for path in sorted(tmp_path.iterdir()):
        whole = path.read_bytes()
        for _ in range(20):
            changed(path, rng)
            with pytest.raises(RarityError, match="holds no whole Seismic index"):
                seismic.SeismicIndex.load(tmp_path)
            path.write_bytes(whole)


def test_an_index_that_says_it_is_larger_than_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import faiss

    from rarityir.indexes.approximate import FaissIndex, Kind

    def full(path: str) -> None:
        raise MemoryError("std::bad_alloc")

    monkeypatch.setattr(faiss, "read_index", full)
    with pytest.raises(RarityError, match="is not a FAISS index"):
        FaissIndex.open(Kind.parse("sq8"), tmp_path)


@pytest.fixture
def unreadable(tmp_path: Path) -> str:
    """A model whose tokenizer has no token for what it does not know, as its loader does not find out."""
    folder = shutil.copytree(STORIES, tmp_path / "model", copy_function=shutil.copyfile)
    said = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    said["model"] = {"type": "WordLevel", "vocab": {"a": 0, "b": 1}, "unk_token": "[UNK]"}
    said["added_tokens"] = []
    (folder / "tokenizer.json").chmod(0o644)
    (folder / "tokenizer.json").write_text(json.dumps(said), encoding="utf-8")
    return str(folder)


def test_a_tokenizer_that_cannot_read_a_text_is_one_line(unreadable: str) -> None:
    tokenizer_of(unreadable)
    encoder = load_encoder(unreadable)
    for read in (
        lambda: Tokenizing.of(unreadable).encode(["ball"]),
        lambda: TokenCounts.english(unreadable, 512),
        lambda: encoder.tokenize(["ball"]),
        lambda: encoder.encode_document(["ball"]),
    ):
        with pytest.raises(RarityError, match="cannot read a text"):
            read()


def test_valid_indexes_and_tokenizers_are_read(tmp_path: Path) -> None:
    for number, name in enumerate(("FAISS's indexes", "tokenizers")):
        for seed in range(8):
            folder = tmp_path / f"{number}-{seed}"
            folder.mkdir()
            PARSERS[name].write(folder, Random(seed))
            PARSERS[name].read(folder)
