"""`milvus:bm25`: BM25 by its definition of the terms that Lucene finds, in Milvus Lite; ties, empty texts, long ones."""

from __future__ import annotations

import logging
import math
from collections import Counter

import numpy as np
import pytest

from rarityir import registry
from rarityir.indexes import java, milvus_text
from rarityir.types import RarityError

KIND = registry.resolve("indexes", "milvus:bm25")
WORDS = ("layers", "boundary", "wing", "flow", "supersonic", "heat", "transfers", "the", "of", "shock")


@pytest.fixture
def lite(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pymilvus")
    pytest.importorskip("milvus_lite")
    monkeypatch.delenv("RARITYIR_MILVUS", raising=False)


def drawn(rng: np.random.Generator, count: int) -> list[str]:
    """Texts of which every ninth is empty and every seventh the one before it again."""
    found: list[str] = []
    for row in range(count):
        again = row % 7 == 6
        found.append(found[-1] if again else "" if row % 9 == 8 else " ".join(rng.choice(WORDS, rng.integers(1, 20))))
    return found


def bm25(texts: list[str], query: str, k1: float, b: float) -> np.ndarray:
    """Each text's score (Robertson & Zaragoza 2009, 3.3, with Lucene's idf), of the texts that have terms."""
    documents = [Counter(terms) for terms in java.analysed(texts)]
    count = sum(map(bool, documents))
    mean = sum(map(Counter.total, documents)) / count
    scores = np.zeros(len(texts))
    for term in next(iter(java.analysed([query]))):
        frequency = sum(term in document for document in documents)
        idf = math.log(1 + (count - frequency + 0.5) / (frequency + 0.5))
        for row, document in enumerate(documents):
            tf = document[term]
            scores[row] += idf * tf * (k1 + 1) / (tf + k1 * (1 - b + b * document.total() / mean)) if tf else 0
    return scores


@pytest.mark.parametrize("arg", ["", "k1=1.6,b=0.7"])
def test_it_is_bm25_of_lucenes_terms(arg, lite, rng, tmp_path) -> None:
    texts = drawn(rng, 120)
    facts = KIND.build(arg, iter([texts[:50], texts[50:]]), tmp_path)
    assert facts["dim"] is None
    assert facts["bytes_per_doc"] > 0
    queries = ["boundary layer", "The heat transfer of a wing", "", "of the", "nothing known", "shocks shock flow"]
    k1, b = (1.6, 0.7) if arg else (0.9, 0.4)
    for cutoff in (3, 120):
        hits = KIND.open(arg, tmp_path).search(queries, cutoff)
        for query, rows, scores in zip(queries, hits.rows, hits.scores, strict=True):
            expected = bm25(texts, query, k1, b)
            found = rows[rows >= 0]
            assert len(found) == min(cutoff, np.count_nonzero(expected))
            if len(found):
                ratios = scores[: len(found)] / expected[found]  # whether (k1 + 1) is in the numerator ranks nothing
                np.testing.assert_allclose(ratios, ratios[0], rtol=1e-4)
                assert expected[found].min() >= np.sort(expected)[::-1][: len(found)].min() - 1e-6
                order = np.lexsort((found, -scores[: len(found)]))
                assert order.tolist() == list(range(len(found)))  # equal texts by row, also at the cutoff


def test_what_does_not_fit_is_left_out_and_said(lite, tmp_path, caplog) -> None:
    long = " ".join(f"word{i}" for i in range(12_000))
    with caplog.at_level(logging.WARNING):
        KIND.build("", iter([[long, "heat"]]), tmp_path)
    assert "documents with more terms than the 65535 bytes that Milvus takes: 1;" in caplog.text
    held = KIND.open("", tmp_path)
    assert held.search(["word5", "word11999"], 2).rows.tolist() == [[0], [-1]]


def test_only_whole_terms_are_sent() -> None:
    text = "é" * 30_000 + " " + "a" * 9_000
    assert milvus_text._fitting(text) == "é" * 30_000
    assert milvus_text._fitting("ab " * 20_000 + "c" * 5_535) == "ab " * 20_000 + "c" * 5_535
    assert len(milvus_text._fitting("é" * 40_000).encode()) == 65_534


def test_what_is_stored_depends_on_k1_and_b_and_bad_ones_are_refused_first() -> None:
    assert KIND.key("") == KIND.key("k1=0.9,b=0.4") == "milvus:bm25:k1=0.9,b=0.4"
    assert KIND.key("b=0.75") != KIND.key("")
    assert (KIND.exact(""), KIND.exact("b=0.75")) == ("bm25", "bm25:b=0.75")
    with pytest.raises(RarityError, match="k1 must be at least 0"):
        KIND.key("k1=-1")


def test_no_terms_at_all_is_an_error(lite, tmp_path) -> None:
    with pytest.raises(RarityError, match="none has a token"):
        KIND.build("", iter([["", "the of"]]), tmp_path)
