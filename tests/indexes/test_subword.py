"""BM25 over token ids: brute force, another library, and what no implementation may depend on."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rarityir.indexes import packing, subword
from rarityir.indexes.subword import SubwordIndex, counted
from rarityir.settings import IdfSettings
from rarityir.types import Impacts, RarityError, UnknownName

V = 60
LONG = [3] * 700 + [4] * 256 + [5] * 255 + [6] * 254  # more of a token than a byte holds


def texts(rng: np.random.Generator, count: int, most: int = 90) -> list[list[int]]:
    """Documents of Zipf's tokens, some empty, one long."""
    found = [(rng.zipf(1.3, size=rng.integers(0, most)) % V).tolist() for _ in range(count)]
    found[count // 2] = LONG
    return found


def built(folder: Path, documents: list[list[int]], arg: str = "", batch: int = 37) -> SubwordIndex:
    folder.mkdir(exist_ok=True)
    blocks = (counted(documents[i : i + batch], V) for i in range(0, len(documents), batch))
    SubwordIndex.build(arg, blocks, folder)
    return SubwordIndex.open(arg, folder)


def lucene(documents, queries, idf, k1=0.9, b=0.4, mean=None) -> np.ndarray:
    """Lucene's formula, term by term and document by document."""
    lengths = [len(document) for document in documents]
    mean = mean or sum(lengths) / len(lengths)
    found = np.zeros((len(queries), len(documents)))
    for d, document in enumerate(documents):
        frequencies = Counter(document)
        for q, query in enumerate(queries):
            for token in query:  # a token asked for twice counts twice
                tf = frequencies[token]
                if tf:
                    found[q, d] += idf[token] * tf / (tf + k1 * (1 - b + b * lengths[d] / mean))
    return found


def own_idf(documents) -> list[float]:
    df, n = Counter(token for document in documents for token in set(document)), len(documents)
    return [math.log(1 + (n - df[t] + 0.5) / (df[t] + 0.5)) for t in range(V)]


def best(scores: np.ndarray, cutoff: int) -> list[int]:
    order = sorted((d for d in range(len(scores)) if scores[d] > 0), key=lambda d: (-scores[d], d))
    return order[:cutoff]


@pytest.mark.parametrize(("k1", "b"), [(0.9, 0.4), (1.2, 0.75), (0.0, 0.4), (2.0, 0.0), (0.5, 1.0)])
def test_it_scores_as_the_formula_says_and_ranks_by_it(tmp_path, k1, b, monkeypatch, rng):
    monkeypatch.setattr(packing, "HEAVY", 8)
    documents, queries = texts(rng, 150), [rng.integers(0, V, 6).tolist() for _ in range(15)] + [[3, 3, 4, 5, 6], []]
    index = built(tmp_path / "index", documents, f"k1={k1},b={b}")
    scores = index.scores(counted(queries, V))
    expected = lucene(documents, queries, own_idf(documents), k1, b)
    assert np.abs(scores - expected).max() <= 1e-9
    hits = index.search(counted(queries, V), 20)
    for q in range(len(queries)):
        rows = hits.rows[q][hits.rows[q] >= 0].tolist()
        assert rows == best(scores[q], 20)  # equal sums in another order differ in their last bit, so by its own
        assert np.array_equal(hits.scores[q][: len(rows)], scores[q][rows].astype(np.float32))


def test_the_corpus_own_idf_from_outside_is_ordinary_bm25(tmp_path, rng):
    documents, queries = texts(rng, 300), counted([rng.integers(0, V, 8).tolist() for _ in range(40)], V)
    index = built(tmp_path / "index", documents)
    outside = index.weighed(np.array(own_idf(documents)))
    assert np.abs(outside.scores(queries) - index.scores(queries)).max() <= 1e-9
    assert np.array_equal(outside.search(queries, 50).rows, index.search(queries, 50).rows)


def test_bm25s_gives_the_same_scores_and_ranking_within_float32(tmp_path, rng):
    bm25s = pytest.importorskip("bm25s")
    documents = texts(rng, 200)
    other = bm25s.BM25(method="lucene", k1=0.9, b=0.4)
    named = [[f"t{token}" for token in document] for document in documents]
    other.index(named, show_progress=False)
    index = built(tmp_path / "index", documents)
    for _ in range(20):
        query = np.unique(rng.integers(0, V, 5)).tolist()
        mine = index.scores(counted([query], V))[0]
        theirs = other.get_scores([f"t{token}" for token in query if f"t{token}" in other.vocab_dict])
        np.testing.assert_allclose(mine, theirs, rtol=2e-6, atol=2e-6)


@given(st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_neither_blocks_nor_batches_nor_threads_change_a_result(size, seed):
    import tempfile

    rng = np.random.default_rng(seed)
    documents = texts(rng, 40)
    queries = counted([rng.integers(0, V, 4).tolist() for _ in range(5)], V)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as changing:
        whole = built(Path(folder) / "whole", documents)
        changing.setattr(subword, "_AT_ONCE", size)
        parts = built(Path(folder) / "parts", documents, batch=size)
        assert sorted(path.name for path in Path(folder, "whole").iterdir()) == sorted(
            path.name for path in Path(folder, "parts").iterdir()
        )
        for path in Path(folder, "whole").iterdir():
            assert path.read_bytes() == (Path(folder) / "parts" / path.name).read_bytes()
        one, two = whole.search(queries, 7, threads=1), parts.search(queries, 7, threads=3)
    assert np.array_equal(one.rows, two.rows)
    assert np.array_equal(one.scores, two.scores)


def test_a_second_block_of_documents_is_searched_like_the_first(tmp_path):
    """More documents than a block holds, cut by the two-byte rows: those of the second block are found, ties by row."""
    count = packing.BLOCK + 50
    documents = [[7] if d % 3 else [8, 8] for d in range(count)]
    documents[packing.BLOCK + 20] = [9] * 300 + [7]
    documents[11] = [9, 7]
    index = built(tmp_path / "index", documents, batch=30_000)
    scores = index.scores(counted([[9], [7]], V))
    expected = lucene([documents[11], documents[packing.BLOCK + 20]], [[9]], own_idf(documents), mean=index.tokens / count)
    np.testing.assert_allclose(scores[0][[11, packing.BLOCK + 20]], expected[0], rtol=1e-12)
    assert np.flatnonzero(scores[0]).tolist() == [11, packing.BLOCK + 20]
    hits = index.search(counted([[9], [7]], V), 5)
    assert hits.rows[0].tolist() == [packing.BLOCK + 20, 11, -1, -1, -1]
    assert hits.rows[1].tolist() == [1, 2, 4, 5, 7]
    for some in (11, 12, packing.BLOCK, packing.BLOCK + 20, packing.BLOCK + 21):
        df = Counter(token for document in documents[:some] for token in set(document))
        assert index.first_frequencies(some).tolist() == [df[t] for t in range(V)]
    last = index.search(counted([[7]], V), count).rows[0]
    assert last[last >= 0].tolist() == best(scores[1], count)


def test_a_multiple_of_every_idf_changes_no_ranking(tmp_path, rng):
    documents, queries = texts(rng, 300), counted([rng.integers(0, V, 8).tolist() for _ in range(60)], V)
    index = built(tmp_path / "index", documents)
    for idf in (np.ones(V), rng.gamma(1.0, 3.0, V)):
        rows = index.weighed(idf).search(queries, 300).rows
        for factor in np.exp(rng.uniform(-20, 20, 6)):
            assert np.array_equal(index.weighed(idf * factor).search(queries, 300).rows, rows)


def test_documents_that_ought_to_tie_do_whatever_the_order_of_tokens(tmp_path):
    """With equal weights a document's score depends on which frequencies meet, not on whose they are: 1/3 is no binary number."""
    documents = [[a] + [b] * 2 + [c] * 3 for a in range(3, 6) for b in range(3, 6) for c in range(3, 6) if len({a, b, c}) == 3]
    index = built(tmp_path / "index", documents).weighed(np.full(V, 1 / 3))
    scores = index.scores(counted([[3, 4, 5]], V))[0]
    assert len(set(scores.tolist())) == 1
    assert index.search(counted([[3, 4, 5]], V), 6).rows[0].tolist() == list(range(6))


@pytest.mark.parametrize("part", range(3))
def test_a_score_at_level_0_depends_on_no_other_document(tmp_path, part, rng):
    documents = texts(rng, 200)
    queries, idf = counted([rng.integers(0, V, 6).tolist() for _ in range(30)], V), rng.gamma(1.0, 3.0, V)
    kept = np.sort(rng.permutation(200)[:20])
    whole = built(tmp_path / "whole", documents, "probe,level=L0").weighed(idf).scores(queries)[:, kept]
    few = built(tmp_path / "few", [documents[d] for d in kept], "probe,level=L0").weighed(idf).scores(queries)
    assert np.abs(whole - few).max() <= 1e-12
    peeking = built(tmp_path / "few", [documents[d] for d in kept], "probe,level=L1").weighed(idf).scores(queries)
    assert np.abs(whole - peeking).max() > 1e-6  # at L1 the mean length is looked at: the check can fail


def test_what_is_stored_depends_on_no_argument(tmp_path):
    args = ["", "probe,level=L1", "uniform,k1=2,b=0.1", "transfer,source=english,pieces=last", "shuffled,seed=3"]
    assert {SubwordIndex.key(arg) for arg in args} == {"bm25-idf"}
    documents = texts(np.random.default_rng(1), 20)
    for number, arg in enumerate(args):
        built(tmp_path / str(number), documents, arg)
    names = [path.name for path in (tmp_path / "0").iterdir()]
    assert len(names) > 5
    for number in range(1, len(args)):
        assert all((tmp_path / "0" / n).read_bytes() == (tmp_path / str(number) / n).read_bytes() for n in names)


def test_what_the_index_counts_is_what_was_there(tmp_path):
    documents = texts(np.random.default_rng(2), 80)
    index = built(tmp_path / "index", documents)
    assert index.tokens == sum(map(len, documents))
    assert index.documents == 80
    assert index.mean_length == sum(map(len, documents)) / 80
    df = Counter(token for document in documents for token in set(document))
    assert index.document_frequencies.tolist() == [df[t] for t in range(V)]
    assert built(tmp_path / "zero", documents, "uniform,length=77").mean_length == 77


def test_the_first_documents_are_counted_alone(tmp_path):
    documents = texts(np.random.default_rng(5), 120)
    index = built(tmp_path / "index", documents)
    for count in (0, 1, 17, 119, 120, 500):
        df = Counter(token for document in documents[:count] for token in set(document))
        assert index.first_frequencies(count).tolist() == [df[t] for t in range(V)]


@pytest.mark.parametrize(
    ("arg", "message"),
    [
        ("mix=2", "mix lies between 0 and 1"),
        ("first=-1", "first is a number of documents"),
        ("k1=-1", "k1 must be at least 0"),
        ("b=1.5", "b between 0 and 1"),
        ("length=0", "length is the tokens of a document"),
        ("length=nan", "length is the tokens of a document"),
        ("k1=x", "k1='x' is not a number"),
        ("probe,level=L3", "unknown level 'L3'"),
        ("prob", "unknown source of IDF 'prob'; did you mean probe"),
        ("pieces=first", "unknown choice of pieces"),
        ("nonsense=1", "unknown option of bm25-idf"),
    ],
)
def test_an_argument_that_cannot_be_read_is_one_line(arg, message):
    with pytest.raises(RarityError, match=message) as raised:
        SubwordIndex.key(arg)
    assert "\n" not in str(raised.value)


def test_levels_follow_the_idf_where_none_is_given():
    assert IdfSettings.parse("").idf == "oracle"
    assert IdfSettings.parse("oracle").level == "L2"
    assert IdfSettings.parse("oracle,level=L0").level == "L0"
    assert {IdfSettings.parse(name).level for name in ("uniform", "probe", "transfer", "shuffled")} == {"L0"}


def test_an_idf_or_a_query_that_no_index_can_use_is_an_error(tmp_path):
    index = built(tmp_path / "index", texts(np.random.default_rng(3), 10))
    for idf in (np.ones(V - 1), np.full(V, -1.0), np.full(V, np.nan), np.full(V, np.inf)):
        with pytest.raises(RarityError, match="IDF"):
            index.weighed(idf)
    with pytest.raises(RarityError, match="61 tokens, the index 60"):
        index.search(counted([[1]], V + 1), 5)
    with pytest.raises(RarityError, match="negative"):
        index.search(Impacts(np.array([0, 1]), np.array([1]), np.array([-1], np.float32), V), 5)
    with pytest.raises(RarityError, match="outside 0 to"):
        index.search(Impacts(np.array([0, 1]), np.array([V]), np.ones(1, np.float32), V), 5)


def test_frequencies_are_whole_and_at_least_one(tmp_path):
    for value in (0.5, 0.0, -2.0):
        block = Impacts(np.array([0, 1]), np.array([1]), np.array([value], np.float32), V)
        with pytest.raises(RarityError, match="whole number of times"):
            SubwordIndex.build("", [block], tmp_path / "index")
    assert not list((tmp_path / "index").glob("*.npy"))


@pytest.mark.parametrize("name", ["lengths", "excess", "rows", "pointers"])
def test_a_damaged_folder_is_one_line(tmp_path, name):
    built(tmp_path / "index", texts(np.random.default_rng(4), 10))
    path = tmp_path / "index" / f"{name}.npy"
    path.write_bytes(path.read_bytes()[:-4] if name in ("rows", "pointers") else b"")
    with pytest.raises(RarityError, match="build it again"):
        SubwordIndex.open("", tmp_path / "index")


def test_excess_rows_outside_the_documents_are_noticed(tmp_path):
    built(tmp_path / "index", texts(np.random.default_rng(4), 10))
    excess = np.load(tmp_path / "index" / "excess.npy")
    assert len(excess) == 2
    np.save(tmp_path / "index" / "excess.npy", excess + 100)
    with pytest.raises(RarityError, match="damaged"):
        SubwordIndex.open("", tmp_path / "index")


def test_counting_leaves_out_ids_beyond_the_vocabulary():
    found = counted([[5, 1, 5, 99], [], [60]], V)
    assert found.indptr.tolist() == [0, 2, 2, 2]
    assert found.token_ids.tolist() == [1, 5]
    assert found.values.tolist() == [1.0, 2.0]


def test_an_unknown_source_of_idf_names_its_neighbours():
    with pytest.raises(UnknownName, match="transfer"):
        SubwordIndex.key("transfr")
