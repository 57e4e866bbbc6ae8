"""What every registered part promises, whatever it is: a new part is covered by being in the registry."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rarityir import registry
from rarityir.counts import TokenCounts
from rarityir.filters import EmbedFilter, Source, Unembedding
from rarityir.systems import Part
from rarityir.types import Hits, Impacts, Index, MissingExtra, RarityError

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


# Arguments of each filter, and the width it then keeps of 24; None where the filter chooses it.
FILTERS: dict[str, dict[str, int | None]] = {
    "abtt": {"1": 23, "5": 19},
    "auto": {"": None, "seed=3": None},
    "band": {"0-24": 24, "3-9": 6},
    "center": {"": 24},
    "cut": {"0,0": 24, "3,5": 16},
    "frequent": {"1": 1, "9": 9, "24": 24},
    "ica": {"1": 1, "9": 9, "24,iterations=20": 24},
    "ica-drop": {"rarity": 12, "rarity,keep=20": 20, "random,tau=3,draw=4": 8, "rarity,on=documents,keep=7": 7},
    "logfreq": {"": 23},
    "offset": {"0,24": 24, "3,6": 6},
    "pc1": {"": 23, "mean": 24, "-4.7": 24},
    "pca": {"1": 1, "9": 9, "24": 24},
    "randproj": {"1": 1, "9": 9},
    "saved": {"FOLDER": 12},
    "spectroscopy": {"1": 1, "9": 9, "24": 24, "9,gauge=paper": 9},
    "truncate": {"1": 1, "9": 9, "24": 24},
    "whiten": {"1": 1, "9": 9, "24": 24},
    **{name: {"1": 24, "2": 12, "3": 8, "8": 3, "24": 1} for name in ("edge", "head", "mid", "random", "tail")},
}
CASES = [(name, arg, kept) for name, args in FILTERS.items() for arg, kept in args.items()]
CENTRED, SCALED = ("abtt", "center", "ica", "pc1:mean", "pc1:-4.7", "pca", "whiten"), ("ica", "randproj", "whiten")
COUNTS = TokenCounts((10**6 / np.arange(1, 301)).astype(np.int64), "zipf")
DOCUMENTS = (RNG.standard_normal((90, 24)) + 1).astype(np.float32)


def fitted(name: str, arg: str, tmp_path: Path, more: str = "") -> EmbedFilter:
    """A filter fitted on everything there is, anew each time."""
    if name == "saved":
        arg = str(EmbedFilter.fit(UNEMBEDDING, "edge:2", cache=tmp_path).save(tmp_path / "saved"))
    source = Source(Unembedding.of(UNEMBEDDING), lambda _: COUNTS, lambda: iter([DOCUMENTS[:50], DOCUMENTS[50:]]), cache=tmp_path)
    return EmbedFilter.fit(source, str(Part(name, arg)) + more)


def test_every_filter_of_the_package_promises_something_here() -> None:
    assert sorted(FILTERS) == sorted(registry.TABLES["filters"])


@pytest.mark.parametrize(("name", "arg", "kept"), CASES)
def test_a_filter_keeps_the_width_it_promises_in_orthonormal_rows_each_time_the_same(
    name: str, arg: str, kept: int | None, tmp_path: Path
) -> None:
    matrix, documents = UNEMBEDDING.copy(), DOCUMENTS.copy()
    one, two = (fitted(name, arg, tmp_path) for _ in range(2))
    assert one.basis.shape[1] == 24
    assert len(one.basis) == kept if kept else 0 < len(one.basis) <= 24
    assert one.basis.dtype == np.float32
    assert one.basis.flags.c_contiguous
    if name not in SCALED:
        assert np.abs(one.basis @ one.basis.T - np.eye(len(one.basis))).max() < 1e-5
    assert (one.mean is not None) == (name in CENTRED or f"{name}:{arg}" in CENTRED)
    assert one.mean is None or (one.mean.shape, one.mean.dtype) == ((24,), np.float32)
    assert one.digest == two.digest
    assert one.fitted_on == two.fitted_on
    assert np.array_equal(matrix, UNEMBEDDING)
    assert np.array_equal(documents, DOCUMENTS)


@pytest.mark.parametrize(("name", "arg", "kept"), CASES)
def test_a_filter_is_saved_and_joined_to_others_like_any_other(name: str, arg: str, kept: int | None, tmp_path: Path) -> None:
    found = fitted(name, arg, tmp_path)
    loaded = EmbedFilter.load(found.save(tmp_path / "again"))
    assert loaded.digest == found.digest
    assert json.loads(json.dumps(found.fitted_on)) == loaded.fitted_on == found.fitted_on
    assert loaded(DOCUMENTS).tobytes() == found(DOCUMENTS).tobytes()
    joined = fitted(name, arg, tmp_path, "+tail:1")
    out, expected = joined(DOCUMENTS), found(DOCUMENTS)
    assert np.allclose(out @ out.T, expected @ expected.T, atol=1e-4 * np.abs(expected @ expected.T).max())


@pytest.mark.parametrize(("name", "arg"), [(name, next(iter(args))) for name, args in FILTERS.items() if name != "saved"])
def test_an_option_no_filter_has_is_one_line_before_anything_is_read(name: str, arg: str) -> None:
    with pytest.raises(RarityError, match=rf"^[^\n]*{name}[^\n]*$"):
        registry.resolve("filters", name)(f"{arg},nonsense=1")


@pytest.mark.parametrize("name", sorted(set(FILTERS) - {"saved"}))
def test_an_argument_no_filter_can_read_is_one_line_before_anything_is_read(name: str) -> None:
    with pytest.raises(RarityError, match=rf"^[^\n]*{name}[^\n]*$"):
        registry.resolve("filters", name)("!,?")


def index_of(name: str) -> type[Index]:
    """The index of a name; one whose library is not installed skips the test."""
    kind: type[Index] = registry.resolve("indexes", name)
    try:
        kind.version()
    except MissingExtra as missing:
        pytest.skip(str(missing))
    return kind


@pytest.mark.parametrize("name", sorted(registry.table("indexes")))
def test_an_index_finds_a_document_by_itself_and_survives_being_opened_anew(name: str, tmp_path: Path) -> None:
    kind = index_of(name)
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
    kind = index_of(name)
    assert kind.key("").startswith(name)
    assert kind.version()


@pytest.mark.parametrize("name", sorted(registry.table("fusions")))
def test_a_fusion_of_a_ranking_with_itself_keeps_its_order(name: str) -> None:
    hits = Hits(np.array([[4, 2, 0, -1]]), np.array([[3.0, 2.0, 1.0, 0.0]], np.float32))
    rows, scores = registry.resolve("fusions", name)("", [hits, hits], 10)
    assert rows[0].tolist() == [4, 2, 0]
    assert np.all(np.diff(scores[0]) < 0)
