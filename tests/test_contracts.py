"""What every registered part promises, whatever it is: a new part is covered by being in the registry."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rarityir import registry
from rarityir.filters import EmbedFilter, spectrum
from rarityir.types import Hits, Impacts

RNG = np.random.default_rng(0)
UNEMBEDDING = RNG.standard_normal((300, 24)).astype(np.float32) * np.geomspace(9, 1, 24).astype(np.float32)
TEXTS = ["the red ball", "a blue ball under the tree", "rain on the sea", "red red stone", "the tree by the sea"]


def blocks(takes: str) -> list:
    """Five documents in the form an index takes, in two blocks."""
    if takes == "text":
        return [TEXTS[:3], TEXTS[3:]]
    if takes == "embeddings":
        x = RNG.standard_normal((5, 8)).astype(np.float32)
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        return [x[:3], x[3:]]
    words = sorted({word for text in TEXTS for word in text.split()})
    return [impacts(TEXTS[:3], words), impacts(TEXTS[3:], words)]


def impacts(texts: list[str], words: list[str]) -> Impacts:
    sets = [sorted({words.index(word) for word in text.split()}) for text in texts]
    indptr = np.cumsum([0, *map(len, sets)])
    return Impacts(indptr, np.concatenate([np.array(s) for s in sets]), np.ones(indptr[-1], np.float32), len(words))


def first(block) -> object:
    """The first document of a block as a batch of one query."""
    if isinstance(block, Impacts):
        return Impacts(block.indptr[:2], block.token_ids[: block.indptr[1]], block.values[: block.indptr[1]], block.vocabulary)
    return block[:1]


@pytest.mark.parametrize("name", sorted(registry.table("filters")))
@pytest.mark.parametrize("ratio", ["1", "2", "3", "8"])
def test_a_filter_keeps_the_width_it_promises_in_orthonormal_rows_each_time_the_same(
    name: str, ratio: str, tmp_path: Path
) -> None:
    fitted = spectrum(UNEMBEDDING, tmp_path)
    one, two = (EmbedFilter.fit(fitted, f"{name}:{ratio}") for _ in range(2))
    assert one.basis.shape == (24 // int(ratio), 24)
    assert one.basis.dtype == np.float32
    assert np.abs(one.basis @ one.basis.T - np.eye(len(one.basis))).max() < 1e-5
    assert one.digest == two.digest


@pytest.mark.parametrize("name", sorted(registry.table("indexes")))
def test_an_index_finds_a_document_by_itself_and_survives_being_opened_anew(name: str, tmp_path: Path) -> None:
    kind = registry.resolve("indexes", name)
    documents = blocks(kind.takes)
    facts = kind.build("", iter(documents), tmp_path)
    assert facts["bytes_per_doc"] > 0
    found = [kind.open("", tmp_path).search(first(documents[0]), cutoff) for cutoff in (1000, 1000, 2)]
    rows, scores = found[0]
    assert rows[0, 0] == 0
    assert np.array_equal(rows, found[1].rows)
    assert np.array_equal(scores, found[1].scores)
    assert np.all(np.diff(scores[0][rows[0] >= 0]) <= 0)
    assert rows.shape[1] <= 5  # a cutoff beyond the corpus is no error and invents no rows
    assert np.array_equal(found[2].rows, rows[:, :2])


@pytest.mark.parametrize("name", sorted(registry.table("indexes")))
def test_an_index_says_what_its_stored_form_depends_on(name: str) -> None:
    kind = registry.resolve("indexes", name)
    assert kind.key("").startswith(name)
    assert kind.version()


@pytest.mark.parametrize("name", sorted(registry.table("fusions")))
def test_a_fusion_of_a_ranking_with_itself_keeps_its_order(name: str) -> None:
    hits = Hits(np.array([[4, 2, 0, -1]]), np.array([[3.0, 2.0, 1.0, 0.0]], np.float32))
    rows, scores = registry.resolve("fusions", name)("", [hits, hits], 10)
    assert rows[0].tolist() == [4, 2, 0]
    assert np.all(np.diff(scores[0]) < 0)
