"""Folders on disk: BEIR's layout with its splits, TSV with TREC qrels, plain or gzipped."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import STORIES_DOCS, STORIES_QRELS, STORIES_QUERIES, write_beir

from rarityir.datasets import load_dataset
from rarityir.datasets.reading import document_text
from rarityir.types import BadInput


def write_tsv(folder: Path, suffix: str = "") -> Path:
    """The same small collection as TSV documents and queries with TREC qrels."""
    folder.mkdir()
    docs = "".join(f"{i}\t{title} {text}\n" for i, (title, text) in STORIES_DOCS.items())
    if suffix:
        (folder / f"docs.tsv{suffix}").write_bytes(gzip.compress(docs.encode()))
    else:
        (folder / "docs.tsv").write_text(docs)
    (folder / "queries.tsv").write_text("".join(f"{i}\t{text}\n" for i, text in STORIES_QUERIES.items()))
    rows = [f"{q} 0 {d} {r}\n" for q, judged in STORIES_QRELS.items() for d, r in judged.items()]
    (folder / "qrels.txt").write_text("".join(rows))
    return folder


def test_a_beir_folder_is_its_documents_queries_and_test_split(beir):
    found = load_dataset(str(beir))
    docs = list(found.docs())
    assert [doc.doc_id for doc in docs] == list(STORIES_DOCS)
    assert docs[0].text == "The cat The black cat sat on the mat and looked at the big red ball."
    assert dict(found.topics) == STORIES_QUERIES
    assert found.qrels == STORIES_QRELS
    assert found.name == "tiny/test"
    assert not found.drops_query_document


def test_a_document_is_its_title_a_space_and_its_text_with_single_spaces(tmp_path):
    docs = {"a": ("  A\ttitle ", "and\n\na  text "), "b": ("", " no title"), "c": ("only a title", ""), "d": ("", "")}
    found = load_dataset(str(write_beir(tmp_path / "x", docs=docs, qrels={"q1": {"a": 1}})))
    assert [doc.text for doc in found.docs()] == ["A title and a text", "no title", "only a title", ""]


@given(st.text(), st.text())
def test_the_text_of_a_document_has_no_run_of_white_space_and_loses_no_word(title, text):
    found = document_text(title, text)
    assert found.split() == title.split() + text.split()
    assert found == " ".join(found.split())


def test_a_document_without_a_title_field_and_with_a_number_as_id_is_read(tmp_path):
    folder = write_beir(tmp_path / "x", queries={"1": "red ball"}, qrels={"1": {"7": 1}})
    (folder / "corpus.jsonl").write_text('{"_id": 7, "text": "red"}\n{"id": "8", "contents": "ball", "metadata": {"a": [1]}}\n')
    found = load_dataset(str(folder))
    assert [tuple(doc) for doc in found.docs()] == [("7", "red"), ("8", "ball")]
    assert dict(found.qrels["1"]) == {"7": 1}


def test_a_split_is_chosen_after_a_colon_and_takes_its_own_topics(beir):
    (beir / "qrels" / "dev.tsv").write_text("query-id\tcorpus-id\tscore\nq3\td3\t1\n")
    dev, test = load_dataset(f"{beir}:dev"), load_dataset(str(beir))
    assert (dev.name, list(dev.topics), dev.qrels) == ("tiny/dev", ["q3"], {"q3": {"d3": 1}})
    assert (test.name, list(test.topics)) == ("tiny/test", ["q1", "q2", "q3"])
    assert load_dataset(f"{beir}:test").topics == test.topics
    assert dev.corpus == test.corpus, "splits share the documents and all that is built from them"
    assert dev.identity == test.identity


def test_the_only_split_there_is_taken_unasked(beir):
    (beir / "qrels" / "test.tsv").rename(beir / "qrels" / "dev.tsv")
    assert load_dataset(str(beir)).name == "tiny/dev"


def test_queries_of_another_split_are_no_warning(beir, caplog):
    (beir / "qrels" / "dev.tsv").write_text("query-id\tcorpus-id\tscore\nq3\td3\t1\n")
    load_dataset(f"{beir}:dev")
    assert caplog.messages == []


def test_qrels_with_and_without_a_header_are_the_same(beir):
    with_header = load_dataset(str(beir)).qrels
    path = beir / "qrels" / "test.tsv"
    path.write_text(path.read_text().partition("\n")[2])
    assert load_dataset(str(beir)).qrels == with_header == STORIES_QRELS


def test_gzipped_files_read_as_plain_ones(beir):
    plain = load_dataset(str(beir))
    expected = list(plain.docs()), plain.topics, plain.qrels
    for name in ("corpus.jsonl", "queries.jsonl"):
        (beir / f"{name}.gz").write_bytes(gzip.compress((beir / name).read_bytes()))
        (beir / name).unlink()
    zipped = load_dataset(str(beir))
    assert (list(zipped.docs()), zipped.topics, zipped.qrels) == expected


def test_blank_lines_windows_line_ends_and_a_byte_order_mark_are_passed_over(beir):
    expected = list(load_dataset(str(beir)).docs())
    for name in ("corpus.jsonl", "queries.jsonl", "qrels/test.tsv"):
        text = (beir / name).read_text()
        (beir / name).write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n\r\n").encode())
    found = load_dataset(str(beir))
    assert list(found.docs()) == expected
    assert dict(found.topics) == STORIES_QUERIES
    assert found.qrels == STORIES_QRELS


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_tsv_folder_with_trec_qrels_is_the_same_collection(tmp_path, beir, suffix):
    found, expected = load_dataset(str(write_tsv(tmp_path / "tsv", suffix))), load_dataset(str(beir))
    assert list(found.docs()) == list(expected.docs())
    assert found.topics == expected.topics
    assert found.qrels == expected.qrels
    assert found.name == "tsv"


def test_a_tab_inside_a_tsv_text_is_a_space(tmp_path):
    folder = write_tsv(tmp_path / "tsv")
    (folder / "docs.tsv").write_text("d1\tone\ttwo\n")
    assert [tuple(doc) for doc in load_dataset(str(folder)).docs()] == [("d1", "one two")]


def test_a_split_of_a_tsv_folder_is_an_error_since_it_has_none(tmp_path):
    folder = write_tsv(tmp_path / "tsv")
    with pytest.raises(BadInput, match="dev"):
        load_dataset(f"{folder}:dev")


def test_two_folders_of_one_name_are_two_corpora_and_a_changed_one_is_another_identity(tmp_path):
    one, two = (write_beir(tmp_path / side / "same") for side in ("a", "b"))
    first, second = load_dataset(str(one)), load_dataset(str(two))
    assert first.corpus != second.corpus
    assert first.identity == second.identity
    (one / "corpus.jsonl").write_text((one / "corpus.jsonl").read_text() + json.dumps({"_id": "d7", "text": "new"}) + "\n")
    changed = load_dataset(str(one))
    assert changed.corpus == first.corpus
    assert changed.identity != first.identity


def test_a_folder_is_one_corpus_however_its_path_is_written(beir, monkeypatch):
    monkeypatch.chdir(beir.parent)
    assert load_dataset("tiny").corpus == load_dataset(str(beir)).corpus == load_dataset("./tiny/").corpus


def test_an_alias_wins_over_a_folder_of_its_name_and_a_path_over_neither(tmp_path, monkeypatch):
    folder = write_beir(tmp_path / "cranfield")
    monkeypatch.chdir(tmp_path)
    assert len(load_dataset("cranfield").topics) == 225
    assert len(load_dataset("./cranfield").topics) == len(load_dataset(str(folder)).topics) == 3


def test_documents_are_read_only_when_they_are_asked_for(beir):
    (beir / "corpus.jsonl").write_text('{"_id": "d1", "text": "fine"}\nnot json\n')
    docs = load_dataset(str(beir)).docs()
    assert next(docs).text == "fine"
    with pytest.raises(BadInput, match=r"corpus\.jsonl:2"):
        next(docs)
