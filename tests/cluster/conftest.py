"""A corpus of windows small enough to kill one, and what one machine makes of it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tiny import write_beir

DOCUMENTS, BLOCK, WINDOW = 1990, 16, 4  # 32 windows, the last one short
WORDS = ("cat", "dog", "bird", "tree", "ball", "sun", "rain", "park", "boat", "fish", "moon", "star", "cake", "door")
QUERIES = {"q1": "cat dog", "q2": "a bird in the tree", "q3": "cake"}


@pytest.fixture(scope="session")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BEIR folder; every seventh document is the one before it again, so that scores are equal."""
    rng = random.Random(0)
    texts: list[str] = []
    for i in range(DOCUMENTS):
        texts.append(texts[-1] if i % 7 == 6 else " ".join(rng.choices(WORDS, k=rng.randint(0, 40))))
    docs = {f"d{i:05d}": ("", text) for i, text in enumerate(texts)}
    return write_beir(tmp_path_factory.mktemp("cluster") / "many", docs, QUERIES, {query: {"d00000": 1} for query in QUERIES})


@pytest.fixture(scope="session")
def one(many: Path, stories: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What one machine has: the corpus, the encoder, raw embeddings (N, D), a filter, filtered vectors (N, K) and the index."""
    from threadpoolctl import threadpool_limits

    from rarityir import embeddings
    from rarityir.datasets import load_dataset
    from rarityir.encoders import load_encoder
    from rarityir.retrieval import Retriever
    from rarityir.systems import System

    with pytest.MonkeyPatch.context() as patch, threadpool_limits(1):
        patch.setattr(embeddings, "BLOCK", BLOCK)
        patch.setattr(embeddings, "WINDOW", WINDOW)
        source = Retriever(
            load_dataset(str(many)), load_encoder(stories, device="cpu"), tmp_path_factory.mktemp("one") / "indexes"
        )
        raw_ND = np.concatenate([np.array(x) for x in source.embeddings])
        system = System.parse("dense+edge:2")
        (folder,) = source.index(system)
        return SimpleNamespace(
            source=source,
            corpus=source.corpus,
            encoder=source.encoder,
            raw=raw_ND,
            filter=source.filter(system.filters),
            vectors=np.load(folder / "vectors.npy"),
            folder=folder,
        )


@pytest.fixture
def one_thread() -> Iterator[None]:
    """NumPy's products by one thread, as a worker computes them."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small windows here too."""
    from rarityir import embeddings

    monkeypatch.setattr(embeddings, "BLOCK", BLOCK)
    monkeypatch.setattr(embeddings, "WINDOW", WINDOW)
