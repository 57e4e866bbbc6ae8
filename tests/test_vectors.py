"""Vectors in files and folders: real topics, round trips to the last bit, every wrong line by its place, index folders."""

from __future__ import annotations

import gzip
import json
import logging
import re
import tracemalloc
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rarityir import store, vectors
from rarityir.indexes.postings import SparseIndex
from rarityir.types import BadInput, Impacts, RarityError, StaleArtefact
from rarityir.vectors import DenseVectors, SparseVectors
from rarityir.vectors.folders import blocks
from rarityir.vectors.rounding import Rounding, escaped, unescaped, whole_queries

REAL = Path(__file__).parent / "vectors"
F32 = st.floats(0, 2.0**127, width=32)
NAMES = st.text(max_size=6).filter(lambda name: not any("\ud800" <= letter <= "\udfff" for letter in name))
SPARSE = st.lists(st.dictionaries(NAMES, F32, max_size=6), min_size=1, max_size=9)


def written(path: Path, *lines: object) -> Path:
    """JSON lines; what is text already is written as it is."""
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def dictionaries(found: SparseVectors, names) -> dict[str, dict[str, float]]:
    """What was read as plain dictionaries, weights as Python floats."""
    names, (indptr, ids, values, _) = list(names), found.impacts
    spans = [slice(a, b) for a, b in pairwise(indptr)]
    named = [dict(zip((names[i] for i in ids[s]), values[s].tolist(), strict=True)) for s in spans]
    assert [len(one) for one in named] == np.diff(indptr).tolist()
    return dict(zip(found.ids, named, strict=True))


def impacts(vectors_: list[dict[int, float]], vocabulary: int) -> Impacts:
    indptr = np.cumsum([0, *map(len, vectors_)]).astype(np.int64)
    ids = np.array([i for v in vectors_ for i in v], np.int64)
    return Impacts(indptr, ids, np.array([x for v in vectors_ for x in v.values()], np.float32), vocabulary)


# Reading what is right.


def test_real_topics_are_their_terms_counted_in_the_order_in_which_they_first_stand() -> None:
    names: dict[str, int] = {}
    found = vectors.topics(REAL / "dl19.unicoil.tsv", names)
    read = dictionaries(found, names)
    assert read["19335"] == {"anthropological": 239, "definition": 108, "of": 41, "environment": 307}  # counted with awk
    assert read["47923"]["##tic"] == 46
    for line in (REAL / "dl19.unicoil.tsv").read_text().splitlines():
        query_id, terms = line.split("\t")
        assert list(read[query_id].items()) == list(Counter(terms.split()).items())
    assert found.impacts.vocabulary == len(names) == len({term for terms in read.values() for term in terms})


def test_real_splade_topics_gzipped_have_the_sizes_of_the_file() -> None:
    found = vectors.topics(REAL / "dl19.splade-v3.tsv.gz", {})
    assert found.ids == ["19335", "47923", "87181", "87452", "104861", "130510", "131843", "146187"]
    assert np.diff(found.impacts.indptr).tolist() == [32, 29, 25, 23, 18, 25, 16, 26]
    sums = np.add.reduceat(found.impacts.values, found.impacts.indptr[:-1])
    assert sums.tolist() == [1080, 890, 848, 828, 935, 844, 712, 895]


def test_real_dense_queries_are_their_numbers_in_float32() -> None:
    ids, x_QD = vectors.dense(REAL / "dl19.bge-base.jsonl")
    assert ids == ["19335", "47923"]
    assert x_QD.dtype == np.float32
    assert x_QD.shape == (2, 12)
    assert float(x_QD[0, 0]) == 0.021483641117811203  # the file gives float32's own digits


def test_terms_part_where_lucene_parts_them(tmp_path) -> None:
    """Java's white space is not Python's: a space that does not break is a letter, a line separator is none."""
    (tmp_path / "t.tsv").write_bytes("q\ta\u00a0b c\u2028c\u3000c d\x1cd\u2007e f\x85f\n".encode())
    names: dict[str, int] = {}
    found = dictionaries(vectors.topics(tmp_path / "t.tsv", names), names)
    assert found == {"q": {"a\u00a0b": 1, "c": 3, "d": 1, "d\u2007e": 1, "f\x85f": 1}}


def test_documents_come_in_blocks_from_all_files_of_a_folder_and_names_grow(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("rarityir.vectors.reading.BLOCK", 2)
    written(tmp_path / "b.jsonl.gz", {"id": 7, "contents": "x", "vector": {"new": 2, "a": 0}})
    written(tmp_path / "a.json", *({"_id": f"d{i}", "vector": {"a": i + 1}} for i in range(3)))
    (tmp_path / "notes.txt").write_text("not read")
    names: dict[str, int] = {}
    found = list(vectors.documents(tmp_path, names))
    assert [block.ids for block in found] == [["d0", "d1"], ["d2", "7"]]
    assert [block.impacts.vocabulary for block in found] == [1, 2]
    assert found[1].impacts.values.tolist() == [3, 2]  # a weight of 0 is no posting
    assert names == {"a": 0, "new": 1}


def test_topics_may_be_json_vectors_and_empty_ones_are_counted(tmp_path, caplog) -> None:
    path = written(
        tmp_path / "q.jsonl", {"qid": "1", "vector": {"a": 0.5}}, {"qid": "2", "vector": {}}, {"qid": "3", "vector": {"b": 0}}
    )
    names = {"b": 0}
    found = vectors.topics(path, names)
    assert dictionaries(found, names) == {"1": {"a": 0.5}, "2": {}, "3": {}}
    assert names == {"b": 0, "a": 1}
    assert [record.message for record in caplog.records] == ["2 empty queries: nothing useful can be found for it"]
    (tmp_path / "q.tsv").write_text("1\ta a\n2\t\n")
    assert vectors.topics(tmp_path / "q.tsv", names).impacts.indptr.tolist() == [0, 1, 1]


def test_tokens_that_no_document_has_are_left_out_and_counted(caplog) -> None:
    asked = SparseVectors(["1", "2"], impacts([{0: 1, 5: 2}, {4: 1, 3: 7}], 6))
    found = vectors.known(asked, 4)
    assert dictionaries(found, "abcd") == {"1": {"a": 1}, "2": {"d": 7}}
    assert found.impacts.vocabulary == 4
    assert [record.message for record in caplog.records] == ["2 of 4 query tokens are in no document: they can match nothing"]
    caplog.clear()
    assert vectors.known(asked, 6).impacts.values.tolist() == [1, 2, 1, 7]
    assert not caplog.records


# Writing, and reading back.


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(docs=SPARSE, packed=st.booleans())
def test_any_sparse_vectors_are_read_back_to_the_last_bit(tmp_path, docs, packed) -> None:
    path = tmp_path / f"v.jsonl{'.gz' if packed else ''}"
    given_names = sorted({name for doc in docs for name in doc})
    rows = [{given_names.index(name): value for name, value in doc.items() if value > 0} for doc in docs]
    ids = [f"d{i}" for i in range(len(docs))]
    assert vectors.write_sparse(path, [SparseVectors(ids, impacts(rows, len(given_names)))], given_names) == len(docs)
    names: dict[str, int] = {}
    [block] = vectors.documents(path, names)
    assert dictionaries(block, names) == {
        i: {name: float(np.float32(value)) for name, value in doc.items() if value > 0} for i, doc in zip(ids, docs, strict=True)
    }


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.floats(-(2.0**127), 2.0**127, width=32), min_size=3, max_size=3), min_size=1, max_size=4))
def test_any_dense_vectors_are_read_back_to_the_last_bit(tmp_path, rows) -> None:
    x_QD = np.array(rows, np.float32)
    vectors.write_dense(tmp_path / "d.jsonl", DenseVectors([str(i) for i in range(len(rows))], x_QD))
    assert vectors.dense(tmp_path / "d.jsonl").embeddings.tobytes() == x_QD.tobytes()


def test_whole_weights_are_written_as_anserini_wants_them(tmp_path) -> None:
    vectors.write_sparse(tmp_path / "v.jsonl", [SparseVectors(["é"], impacts([{0: 3, 1: 70000}], 2))], ["ä", "b"])
    assert (tmp_path / "v.jsonl").read_text(encoding="utf-8") == '{"id": "é", "contents": "", "vector": {"ä": 3, "b": 70000}}\n'


def test_the_same_vectors_are_the_same_gzipped_bytes_whenever_they_are_written(tmp_path, monkeypatch) -> None:
    found = SparseVectors(["1"], impacts([{0: 3}], 1))
    for now, name in ((1e9, "a"), (2e9, "b")):
        monkeypatch.setattr("time.time", lambda now=now: now)
        vectors.write_sparse(tmp_path / name / "v.jsonl.gz", [found], ["x"])
    assert (tmp_path / "a/v.jsonl.gz").read_bytes() == (tmp_path / "b/v.jsonl.gz").read_bytes()


def test_real_topics_are_written_as_they_were(tmp_path) -> None:
    names: dict[str, int] = {}
    found = vectors.topics(REAL / "dl19.splade-v3.tsv.gz", names)
    vectors.write_repeated(tmp_path / "t.tsv.gz", found, list(names))
    assert gzip.decompress((tmp_path / "t.tsv.gz").read_bytes()) == gzip.decompress((REAL / "dl19.splade-v3.tsv.gz").read_bytes())


@pytest.mark.parametrize(
    ("vector", "names", "words"),
    [
        ({0: 1.5}, ["a"], "token 'a' of query 'q' weighs 1.5, which is not whole; write JSON vectors"),
        ({0: 2}, ["a b"], "token 'a b' of query 'q' is empty or holds white space"),
        ({0: 2}, [""], "token '' of query 'q' is empty"),
    ],
)
def test_what_repeated_terms_cannot_say_is_one_line_and_leaves_no_file(tmp_path, vector, names, words) -> None:
    with pytest.raises(RarityError, match=words):
        vectors.write_repeated(tmp_path / "t.tsv", SparseVectors(["q"], impacts([vector], 1)), names)
    assert not (tmp_path / "t.tsv").exists()


def test_what_json_cannot_say_is_one_line(tmp_path) -> None:
    with pytest.raises(RarityError, match="not finite"):
        vectors.write_dense(tmp_path / "d.jsonl", DenseVectors(["1"], np.array([[np.nan]], np.float32)))
    with pytest.raises(RarityError, match="'d' holds a token twice"):
        vectors.write_sparse(tmp_path / "v.jsonl", [SparseVectors(["d"], impacts([{0: 1, 1: 2}], 2))], ["same", "same"])
    assert not list(tmp_path.glob("*.jsonl"))


# Reading what is wrong: docs/input.md has a row for each.

GOOD = '{"id": "d1", "vector": {"a": 1}}'
WRONG = {
    "vector-json": (
        [GOOD, '{"id": "d2", "vector": {"a": 1}'],
        ":2: not JSON (Expecting ',' delimiter: line 1 column 32",
    ),
    "vector-depth": ([GOOD, "[" * 100_000], ":2: not JSON ("),
    "vector-object": ([GOOD, "[1]"], ":2: a JSON object per line is needed, this is a list"),
    "vector-id": (['{"vector": {}}'], ":1: no field 'id' or '_id' or 'docid' or 'doc_id' or 'qid' or 'query_id'"),
    "vector-white-id": (
        [GOOD, '{"id": "d 2", "vector": {}}'],
        ":2: id 'd 2' is empty or holds white space, which TREC runs cannot carry",
    ),
    "vector-twice": ([GOOD, GOOD], ":2: duplicate id 'd1' (vectors 1 and 2)"),
    "vector-absent": ([GOOD, '{"id": "d2"}'], ":2: no field 'vector'"),
    "vector-dense": (
        [GOOD, '{"id": "d2", "vector": [1, 2]}'],
        ":2: 'vector' must be an object of tokens and weights, it is a list",
    ),
    "vector-negative": (['{"id": "d2", "vector": {"a": 1, "b": -1}}'], ":1: token 'b' weighs -1; a weight is a number from 0 on"),
    "vector-nan": ([GOOD, '{"id": "d2", "vector": {"b": NaN}}'], ":2: token 'b' weighs NaN; a weight is a number from 0 on"),
    "vector-infinite": (['{"id": "d2", "vector": {"b": 1e39}}'], ":1: token 'b' weighs 1e+39; a weight is a number from 0 on"),
    "vector-text": (['{"id": "d2", "vector": {"a": 1, "b": "2"}}'], ":1: token 'b' weighs \"2\"; a weight is a number from 0 on"),
    "vector-truth": (['{"id": "d2", "vector": {"b": true}}'], ":1: token 'b' weighs true; a weight is a number from 0 on"),
    "vector-null": (['{"id": "d2", "vector": {"b": null}}'], ":1: token 'b' weighs null; a weight is a number from 0 on"),
    "vector-token-twice": ([GOOD, '{"id": "d2", "vector": {"b": 1, "b": 2}}'], ":2: 'b' stands twice in one object"),
    "vector-half": (
        [GOOD, '{"id": "d2", "vector": {"\\ud83d": 1}}'],
        ":2: a token holds half of a surrogate pair, which is no character",
    ),
    "vectors-none": (["", " "], " holds no vectors; a JSON object a line is needed: "),
}


@pytest.mark.parametrize("row", WRONG)
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_wrong_vector_is_one_line_that_names_file_and_line(tmp_path, row, suffix) -> None:
    lines, words = WRONG[row]
    path = written(tmp_path / f"v.jsonl{suffix}", *lines)
    with pytest.raises(BadInput) as caught:
        list(vectors.documents(path, {}))
    assert str(caught.value).startswith(f"{path}{words}")
    assert "\n" not in str(caught.value)


TOPICS = {
    "topic-tab": ("1\ta\n2 a a\n", ":2: no tab between query_id and terms"),
    "topic-twice": ("1\ta\n1\tb\n", ":2: duplicate query_id '1'"),
    "topic-white-id": ("1 2\ta\n", ":1: id '1 2' is empty or holds white space, which TREC runs cannot carry"),
    "topics-none": ("\n", " holds no topics; a line is query_id, tab, terms, or a JSON vector"),
}
DENSE = {
    "dense-width": (['{"qid": "1", "vector": [1, 2]}', '{"qid": "2", "vector": [1]}'], ":2: 1 numbers, the first vector has 2"),
    "dense-object": (['{"qid": "1", "vector": {"a": 1}}'], ":1: 'vector' must be a list of numbers, it is dict"),
    "dense-empty": (['{"qid": "1", "vector": []}'], ":1: 'vector' must be a list of numbers, it is empty"),
    "dense-number": (['{"qid": "1", "vector": [1, NaN]}'], ":1: 'vector' holds something that is no finite number"),
}


@pytest.mark.parametrize("row", TOPICS)
def test_a_wrong_topic_is_one_line_that_names_file_and_line(tmp_path, row) -> None:
    text, words = TOPICS[row]
    (tmp_path / "t.tsv").write_text(text)
    with pytest.raises(BadInput) as caught:
        vectors.topics(tmp_path / "t.tsv", {})
    assert str(caught.value) == f"{tmp_path / 't.tsv'}{words}"


@pytest.mark.parametrize("row", [*DENSE, "dense-twice", "dense-huge", "dense-text", "dense-none"])
def test_a_wrong_dense_vector_is_one_line_that_names_file_and_line(tmp_path, row) -> None:
    more = {
        "dense-twice": (['{"qid": "1", "vector": [1]}'] * 2, ":2: duplicate id '1' (vectors 1 and 2)"),
        "dense-huge": (['{"qid": "1", "vector": [1e39]}'], DENSE["dense-number"][1]),
        "dense-text": (['{"qid": "1", "vector": ["1"]}'], DENSE["dense-number"][1]),
        "dense-none": ([" "], ' holds no vectors; a JSON object a line is needed: {"id": …, "vector": [numbers]}'),
    }
    lines, words = {**DENSE, **more}[row]
    path = written(tmp_path / "d.jsonl", *lines)
    with pytest.raises(BadInput) as caught:
        vectors.dense(path)
    assert str(caught.value) == f"{path}{words}"


# Whole numbers and terms.


@settings(max_examples=100)
@given(NAMES)
def test_a_term_has_no_white_space_and_its_name_comes_back(name) -> None:
    term = escaped(name)
    assert unescaped(term) == name
    assert term.split() == [term]
    assert "." not in term


def test_terms_that_need_no_escape_stay_and_different_names_stay_different() -> None:
    assert [escaped(name) for name in ("##ing", "Ġthe", "한국어", "🙂", "a:b/c")] == ["##ing", "Ġthe", "한국어", "🙂", "a:b/c"]
    assert [escaped(name) for name in ("a b", "a%20b", "a\u00a0b", "3.5", "", "%", "\n")] == [
        "a%20b", "a%2520b", "a%C2%A0b", "3%2E5", "%", "%25", "%0A",
    ]  # fmt: skip


def test_rounding_gives_one_unit_to_all_and_says_what_it_lost() -> None:
    index = SparseIndex.build(impacts([{0: 51.0, 1: 0.3}, {1: 10.2, 0: 5.0}], 2))
    stored = index.impacts(0, 2).values.astype(np.float64)  # n/255 of each document's largest
    rounding = Rounding(index, 10)
    assert rounding.unit == pytest.approx(5.1)
    found = rounding(index.impacts(0, 2))
    assert found.values.tolist() == [10, 1, 1, 2]  # 0.3 is 0.06 units, and yet a posting
    facts = rounding.facts()
    assert (facts["levels"], facts["postings"], facts["raised"]) == (10, 4, 1)
    assert facts["largest_change"] == pytest.approx(1 - stored[1] / 5.1, abs=1e-5)


def test_whole_impacts_stay_and_larger_ones_do_not() -> None:
    index = SparseIndex.build(impacts([{0: 7, 1: 255}], 2))
    assert Rounding(index).unit == 1
    assert Rounding(index)(index.impacts(0, 1)).values.tolist() == [7, 255]
    assert Rounding(index, 100)(index.impacts(0, 1)).values.tolist() == [3, 100]


def test_queries_become_whole_each_by_its_own_largest_weight() -> None:
    queries = impacts([{0: 0.5, 1: 0.25, 2: 0.0001}, {0: 900, 1: 3}, {}, {0: 2.5, 1: 0}], 3)
    assert whole_queries(queries, 100).values.tolist() == [100, 50, 1, 900, 3, 100, 0]


# Folders.


@pytest.fixture
def source(tmp_path) -> Path:
    docs = [{"id": f"d{i}", "vector": {f"t{j}": 0.37 * (i + 1) + j for j in range(i % 4, i % 4 + 3)}} for i in range(20)]
    return written(
        tmp_path / "docs.jsonl", *docs, {"id": "empty", "vector": {}}, {"id": "odd", "vector": {"line\nend": 2, "\u2028": 1}}
    )


def test_a_folder_has_the_index_of_the_matrix_and_its_names(tmp_path, source) -> None:
    found = vectors.build(source, tmp_path / "out")
    records = [json.loads(line) for line in source.read_text().splitlines()]
    assert list(found.doc_ids) == [record["id"] for record in records]
    assert list(found.tokens) == list(dict.fromkeys(token for record in records for token in record["vector"]))
    column = {token: i for i, token in enumerate(found.tokens)}
    dense = np.zeros((len(records), len(column)), np.float32)
    for row, record in zip(dense, records, strict=True):
        for token, weight in record["vector"].items():
            row[column[token]] = weight
    expected, queries = SparseIndex.build(sp.csr_matrix(dense)), sp.csr_matrix(np.eye(len(column), dtype=np.float32))
    for one, other in zip(found.index.search(queries, 9), expected.search(queries, 9), strict=True):
        assert np.array_equal(one, other)
    assert not [path for path in (tmp_path / "out").iterdir() if path.name.endswith(".tmp")]


def test_blocks_of_any_size_give_the_same_bytes(tmp_path, source, monkeypatch) -> None:
    vectors.build(source, tmp_path / "a")
    for module in ("reading", "folders"):
        monkeypatch.setattr(f"rarityir.vectors.{module}.BLOCK", 3)
    vectors.build(source, tmp_path / "b")
    for path in (tmp_path / "a").iterdir():
        if path.name != "manifest.json":
            assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


def test_a_complete_folder_is_not_built_again_and_other_vectors_are_refused(tmp_path, source, monkeypatch) -> None:
    vectors.build(source, tmp_path / "out")
    with monkeypatch.context() as patched:
        patched.setattr("rarityir.vectors.folders.documents", None)  # nothing is read
        vectors.build(source, tmp_path / "out")
    written(source, {"id": "d1", "vector": {"a": 1}})
    with pytest.raises(StaleArtefact, match="was built with sha256"):
        vectors.build(source, tmp_path / "out")
    assert vectors.opened(tmp_path / "out").doc_ids[0] == "d0"


def test_a_wrong_line_leaves_nothing_complete_and_the_mended_file_is_built(tmp_path, source) -> None:
    good = source.read_text()
    written(source, good.rstrip("\n"), "no json")
    with pytest.raises(BadInput, match=r"docs.jsonl:23: not JSON"):
        vectors.build(source, tmp_path / "out")
    assert not list((tmp_path / "out").glob(".*.tmp"))  # what was read is not left lying
    with pytest.raises(RarityError, match="holds no sparse index"):
        vectors.opened(tmp_path / "out")
    source.write_text(good)
    assert len(vectors.build(source, tmp_path / "out").doc_ids) == 22


def test_a_build_that_was_killed_is_begun_again(tmp_path, source, monkeypatch) -> None:
    def killed(*args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("rarityir.vectors.folders.write_tokens", killed)
        with pytest.raises(KeyboardInterrupt):
            vectors.build(source, tmp_path / "out")
    assert (tmp_path / "out" / "rows.npy").exists()
    with pytest.raises(RarityError):
        vectors.opened(tmp_path / "out")
    assert len(vectors.build(source, tmp_path / "out").doc_ids) == 22


@pytest.mark.parametrize(
    ("lines", "words"),
    [(['{"id": "1", "vector": {}}'], "holds no token: every vector is empty"), ([""], "holds no vectors")],
)
def test_vectors_without_a_token_are_one_line(tmp_path, lines, words) -> None:
    with pytest.raises(BadInput, match=words):
        vectors.build(written(tmp_path / "v.jsonl", *lines), tmp_path / "out")


def test_a_file_or_folder_that_is_not_there_or_holds_no_vectors_is_one_line(tmp_path) -> None:
    with pytest.raises(BadInput, match=r"no file .*nowhere"):
        vectors.build(tmp_path / "nowhere", tmp_path / "out")
    (tmp_path / "bare").mkdir()
    with pytest.raises(BadInput, match=r"bare holds no file of vectors \(\.json, "):
        vectors.build(tmp_path / "bare", tmp_path / "out")


def test_a_folder_that_lost_a_name_or_a_file_is_one_line(tmp_path, source, monkeypatch) -> None:
    out = vectors.build(source, tmp_path / "out").folder
    names = (out / "doc_ids.txt").read_text()
    (out / "doc_ids.txt").write_text(names.replace("d0\n", "d0xx\n"))
    with pytest.raises(StaleArtefact, match=r"doc_ids\.txt has"):
        vectors.opened(out)
    (out / "doc_ids.txt").write_text("".join(names.splitlines(keepends=True)[:-1]) + "a\nb\n")  # the same number of bytes
    with pytest.raises(StaleArtefact, match=r"^[^\n]*doc_ids\.txt is corrupt \(checksum differs\); remove .*: rm -r \S*$"):
        vectors.opened(out)
    (out / "doc_ids.txt").write_text(names)
    tokens = (out / "tokens.txt").read_text()
    (out / "tokens.txt").write_text(tokens.replace(r'"line\nend"', '"lin"\n"end"'))  # the same number of bytes
    monkeypatch.setenv("RARITYIR_TRUST", "1")
    with pytest.raises(RarityError, match=r"^[^\n]*holds 22 documents and 8 tokens, but names 22 and 9; build it again$"):
        vectors.opened(out)


def test_parts_merge_into_the_bytes_of_the_whole(tmp_path, source) -> None:
    lines = source.read_text().splitlines()
    singles = [written(tmp_path / f"p{i}.jsonl", line) for i, line in enumerate(lines) if i != 20]
    parts = [vectors.build(path, path.with_suffix("")).folder for path in singles]
    with pytest.raises(BadInput, match="no token"):
        vectors.build(written(tmp_path / "p20.jsonl", lines[20]), tmp_path / "p20")
    whole = vectors.build(written(tmp_path / "w.jsonl", *lines[:20], lines[21]), tmp_path / "whole")
    merged = vectors.merge(parts, tmp_path / "merged")
    assert list(merged.doc_ids) == list(whole.doc_ids)
    assert list(merged.tokens) == list(whole.tokens)
    for path in whole.folder.iterdir():
        if path.name != "manifest.json":
            assert path.read_bytes() == (merged.folder / path.name).read_bytes(), path.name


def test_parts_of_the_same_tokens_merge_bit_for_bit_and_once(tmp_path, source, monkeypatch) -> None:
    records = [{"id": f"d{i}", "vector": {"a": i + 0.1, "b": 3}} for i in range(9)]
    parts = [vectors.build(written(tmp_path / f"{i}.jsonl", *records[i : i + 3]), tmp_path / f"{i}").folder for i in (0, 3, 6)]
    whole = vectors.build(written(tmp_path / "w.jsonl", *records), tmp_path / "whole")
    merged = vectors.merge(parts, tmp_path / "merged")
    for one, other in zip(blocks(whole.index), blocks(merged.index), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    monkeypatch.setattr(SparseIndex, "merge", None)
    assert list(vectors.merge(parts, tmp_path / "merged").doc_ids) == list(merged.doc_ids)  # complete: nothing is done
    with pytest.raises(StaleArtefact, match="was built with merged"):
        vectors.merge(parts[:2], tmp_path / "merged")


def test_parts_that_share_a_document_are_refused_and_nothing_is_left_of_them(tmp_path, source) -> None:
    one = vectors.build(source, tmp_path / "one").folder
    other, third = (
        vectors.build(written(tmp_path / f"{i}.jsonl", *({"id": n, "vector": {"a": 1}} for n in names)), tmp_path / i).folder
        for i, names in (("other", ("e1", "e2")), ("third", ("e3", "d7")))
    )
    words = r"^doc_id 'd7' is in [^\n]*one and [^\n]*third; merge parts that share no document$"
    with pytest.raises(RarityError, match=words):
        vectors.merge([one, other, third], tmp_path / "merged")
    assert [path.name for path in (tmp_path / "merged").iterdir()] == [store.LOCK]
    assert list(vectors.merge([one, other], tmp_path / "merged").doc_ids) == [*vectors.opened(one).doc_ids, "e1", "e2"]


def test_an_id_given_twice_is_named_with_its_place_however_far_apart(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("rarityir.vectors.reading.BLOCK", 4)
    folder = tmp_path / "parts"
    folder.mkdir()
    for part in range(3):
        ids = [f"d{part}{i}" for i in range(9)] + (["d01", "d11"] if part == 2 else [])
        written(folder / f"{part}.jsonl", *({"id": name, "vector": {"a": 1}} for name in ids))
    with pytest.raises(BadInput, match=r"parts/2\.jsonl:10: duplicate id 'd01' \(vectors 2 and 28\)$"):
        vectors.build(folder, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == [store.LOCK]


def test_reading_holds_no_more_for_more_documents(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("rarityir.doc_ids.AT_ONCE", 4096)
    peaks: list[int] = []

    def read(*args: object) -> None:
        peaks.append(tracemalloc.get_traced_memory()[1])
        raise KeyboardInterrupt

    monkeypatch.setattr(SparseIndex, "build", read)
    for count in (5_000, 10_000, 40_000):  # the first one imports
        path = tmp_path / f"{count}.jsonl"
        with path.open("w") as file:
            file.writelines(f'{{"id": "{i:060}", "vector": {{"t{i % 50}": 1, "t{i % 7}x": 2}}}}\n' for i in range(count))
        tracemalloc.start()
        try:
            with pytest.raises(KeyboardInterrupt):
                vectors.build(path, tmp_path / f"{count}")
        finally:
            tracemalloc.stop()
    assert peaks[2] < peaks[1] + (1 << 20), peaks  # the ids alone are 110 bytes each: 3.3 MB more


def test_progress_and_logging_are_silent_where_nobody_looks(tmp_path, source, capsys, caplog) -> None:
    caplog.set_level(logging.INFO)
    vectors.build(source, tmp_path / "out")
    assert capsys.readouterr() == ("", "")
    assert not caplog.records


def message(tmp_path: Path, row: str) -> str:
    if row in TOPICS:
        (tmp_path / "t.tsv").write_text(TOPICS[row][0])
        read, path = lambda path: vectors.topics(path, {}), tmp_path / "t.tsv"
    else:
        path = written(tmp_path / "v.jsonl", *{**WRONG, **DENSE}[row][0])
        read = vectors.dense if row in DENSE else lambda path: list(vectors.documents(path, {}))
    with pytest.raises(BadInput) as caught:
        read(path)
    return str(caught.value)


def test_every_row_of_the_page_on_wrong_input_is_what_happens(tmp_path) -> None:
    page = (Path(__file__).parents[1] / "docs" / "input.md").read_text(encoding="utf-8").partition("## Sparse vectors")[2]
    page = page.partition("\n## ")[0]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in page.splitlines() if "error, exit 1" in line]
    assert {row for row, *_ in cells} == {*WRONG, *TOPICS, *DENSE}
    assert len(cells) == len({row for row, *_ in cells})
    for row, _, _, pattern in cells:
        parts = map(re.escape, pattern.strip("`").split("…"))
        assert re.fullmatch(".*".join(parts), message(tmp_path, row)), row
