"""Sparse systems in every style, with every kind of query: read from a real model, found as brute force finds it."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from tiny import STORIES_DOCS, STORIES_QUERIES, write_beir

import rarityir as ri
from rarityir import impacts, retrieval
from rarityir.retrieval import Retriever
from rarityir.systems import System
from rarityir.tokens import TokenLens, Vocabulary
from rarityir.types import Impacts, RarityError, UnknownName

TEXTS = [f"{title} {text}".strip() for title, text in STORIES_DOCS.values()]
QUERIES = list(STORIES_QUERIES.values())


@pytest.fixture(scope="module")
def retriever(tmp_path_factory: pytest.TempPathFactory, stories: str) -> Retriever:
    home = tmp_path_factory.mktemp("impacts")
    return Retriever(ri.load_dataset(str(write_beir(home / "tiny"))), ri.load_encoder(stories), home / "indexes")


def dense(found: Impacts) -> np.ndarray:
    out = np.zeros((len(found.indptr) - 1, found.vocabulary))
    for row, (one, other) in enumerate(pairwise(found.indptr)):
        out[row, found.token_ids[one:other]] = found.values[one:other]
    return out


def eight_bits(weights_NC: np.ndarray) -> np.ndarray:
    scale = weights_NC.max(axis=1, keepdims=True) / 255
    return np.where(weights_NC > 0, np.clip(np.rint(weights_NC / np.where(scale > 0, scale, 1)), 1, 255) * scale, 0)


def assert_finds(retriever: Retriever, name: str, documents: Impacts, queries_QC: np.ndarray) -> None:
    """The system's scores are those of these documents and queries, multiplied out."""
    hits = retriever.search(System.parse(name)).hits
    wanted_QN = queries_QC @ eight_bits(dense(documents)).T
    for rows, scores, wanted in zip(*hits, wanted_QN, strict=True):
        found = dict(zip(rows[rows >= 0].tolist(), scores[rows >= 0].tolist(), strict=True))
        assert found == pytest.approx({n: float(w) for n, w in enumerate(wanted) if w > 0}, rel=1e-5)
    assert (hits.rows >= 0).any()


def own_tokens(encoder: ri.Encoder, vocabulary: Vocabulary, texts: list[str]) -> np.ndarray:
    out = np.zeros((len(texts), len(vocabulary.names)))
    for row, ids in enumerate(encoder.tokenize(texts)):
        out[row, [vocabulary.class_of[i] for i in ids if vocabulary.class_of[i] >= 0]] = 1
    return out


def test_a_document_in_the_style_of_promptreps_is_its_own_tokens(retriever):
    encoder = retriever.encoder
    lens = TokenLens(encoder)
    documents = lens.own(encoder.encode_document(TEXTS), encoder.tokenize(TEXTS), 12)
    own = own_tokens(encoder, lens.vocabulary, TEXTS)
    assert all(own[row, documents.token_ids[a:b]].all() for row, (a, b) in enumerate(pairwise(documents.indptr)))
    assert_finds(retriever, "sparse:12,style=promptreps", documents, own_tokens(encoder, lens.vocabulary, QUERIES))


def test_the_control_weighs_a_documents_own_tokens_by_the_embedding_of_another(retriever):
    encoder = retriever.encoder
    lens = TokenLens(encoder)
    others = encoder.encode_document([TEXTS[-1], *TEXTS[:-1]])
    documents = lens.own(others, encoder.tokenize(TEXTS), 12)
    assert_finds(retriever, "sparse:12,style=promptreps-control", documents, own_tokens(encoder, lens.vocabulary, QUERIES))


def test_a_document_in_the_style_of_lightretriever_is_read_state_by_state(retriever, monkeypatch):
    encoder = retriever.encoder
    lens = TokenLens(encoder, unit=False)
    states = encoder.document_states(TEXTS)
    assert [len(s) for s in states] == [len(ids) for ids in encoder.tokenize(TEXTS)]
    np.testing.assert_allclose([s.mean(axis=0) for s in states], encoder.encode_document(TEXTS), atol=1e-5)
    monkeypatch.setattr(impacts, "BLOCK", 4)
    asked = own_tokens(encoder, lens.vocabulary, QUERIES)
    assert_finds(retriever, "sparse:40,style=lightretriever,scale=none", lens.strongest(states, 40), asked)


def test_a_long_reading_goes_on_where_it_was_stopped(tmp_path, stories, monkeypatch):
    dataset, name = ri.load_dataset(str(write_beir(tmp_path / "tiny"))), "sparse:16,style=lightretriever"
    monkeypatch.setattr(impacts, "BLOCK", 2)
    whole = retrieval.retrieve(name, dataset, ri.load_encoder(stories), indexes=tmp_path / "whole")
    encoder, calls = ri.load_encoder(stories), []
    read = type(encoder).document_states

    def stopped(self: ri.Encoder, texts: list[str]) -> list[np.ndarray]:
        calls.append(list(texts))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return read(self, texts)

    monkeypatch.setattr(type(encoder), "document_states", stopped)
    with pytest.raises(KeyboardInterrupt):
        retrieval.retrieve(name, dataset, encoder, indexes=tmp_path / "stopped")
    again = retrieval.retrieve(name, dataset, encoder, indexes=tmp_path / "stopped")
    assert calls == [TEXTS[:2], TEXTS[2:4], TEXTS[4:], TEXTS[4:]]
    assert again.scores.tolist() == whole.scores.tolist()
    folders = [next(path.parent for path in (tmp_path / kind).rglob("scales.npy")) for kind in ("whole", "stopped")]
    names = [sorted(path.name for path in folder.rglob("*")) for folder in folders]
    assert names[0] == names[1]
    assert all((folders[0] / n).read_bytes() == (folders[1] / n).read_bytes() for n in names[0] if n.endswith(".npy"))


def test_a_long_reading_is_kept_until_its_index_is_built(tmp_path, stories, monkeypatch):
    from rarityir.indexes import arrays

    dataset, encoder = ri.load_dataset(str(write_beir(tmp_path / "tiny"))), ri.load_encoder(stories)
    monkeypatch.setattr(impacts, "BLOCK", 2)
    with monkeypatch.context() as stopping:
        stopping.setattr(arrays, "_write_facts", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            retrieval.retrieve("sparse:16,style=lightretriever", dataset, encoder, indexes=tmp_path / "indexes")
    assert len(list((tmp_path / "indexes").rglob("read/*.npz"))) == 3
    monkeypatch.setattr(type(encoder), "document_states", None)  # nothing is read again
    retrieval.retrieve("sparse:16,style=lightretriever", dataset, encoder, indexes=tmp_path / "indexes")
    assert not list((tmp_path / "indexes").rglob("read"))


@pytest.mark.parametrize("name", ["", "+edge:2"])
def test_aligned_queries_are_read_through_the_documents_filter(retriever, name):
    encoder = retriever.encoder
    filter = retriever.filter(System.parse(f"sparse{name}").filters)
    lens = TokenLens(encoder, filter)
    documents = lens.align(encoder.encode_document(TEXTS), 24)
    asked = dense(TokenLens(encoder, filter, weighting="raw", unit=False).align(encoder.encode_query(QUERIES), 7)) != 0
    assert_finds(retriever, f"sparse:24,query=aligned:7{name}", documents, asked.astype(float))
    both = asked | (own_tokens(encoder, lens.vocabulary, QUERIES) > 0)
    assert_finds(retriever, f"sparse:24,query=both:7{name}", documents, both.astype(float))


def test_rare_tokens_weigh_more_where_queries_are_weighed_by_idf(retriever):
    encoder = retriever.encoder
    lens = TokenLens(encoder)
    documents = lens.align(encoder.encode_document(TEXTS), 24)
    df = (dense(documents) > 0).sum(axis=0)
    idf = np.log(1 + (len(TEXTS) - df + 0.5) / (df + 0.5))
    assert_finds(retriever, "sparse:24,weights=idf", documents, own_tokens(encoder, lens.vocabulary, QUERIES) * idf)


def test_how_queries_are_made_changes_nothing_that_is_stored_and_costs_a_model_only_where_it_asks_one(retriever):
    found = {
        name: retriever.search(System.parse(f"sparse:24{name}"))
        for name in ("", ",weights=idf", ",query=both:7", ",weights=logit")
    }
    assert [one.asked for one in found.values()] == [False, False, True, True]
    of_query = [one.cost["impacts_per_query"] for one in found.values()]
    literal = own_tokens(retriever.encoder, TokenLens(retriever.encoder).vocabulary, QUERIES).sum() / len(QUERIES)
    assert of_query[0] == of_query[1] == pytest.approx(literal, abs=0.005)
    assert of_query[2] > literal > of_query[3]
    folders = {tuple(retriever.index(System.parse(f"sparse:24{name}"))) for name in found}
    assert len(folders) == 1
    assert not retriever.search(System.parse("sparse:40,style=lightretriever,scale=none")).embedded
    other = [
        retriever.index(System.parse(f"sparse:24,{given}"))[0] for given in ("scale=none", "style=promptreps", "stem=english")
    ]
    assert len({*other, *(folder for one in folders for folder in one)}) == 4


def test_an_encoder_without_states_cannot_be_read_state_by_state(retriever, tmp_path):
    class Pooled:
        name = "pooled"

    with pytest.raises(RarityError, match="pooled gives no states of single tokens"):
        impacts.states(Pooled(), ["a"])


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("sparse:8,style=spladé", UnknownName, "unknown style of impacts"),
        ("sparse:8,style=promptreps,weighting=raw", RarityError, "weighting=raw is for style=aligned"),
        ("sparse:8,scale=2", RarityError, "scale is unit"),
        ("sparse:8,stem=klingon", UnknownName, "unknown stemmer"),
        ("sparse:8,query=all", RarityError, "literal, aligned:M or both:M"),
        ("sparse:8,weights=/no/file", RarityError, "weights are 1, logit, idf, id-zipf, .* or a file"),
        ("sparse:8,wieghts=idf", UnknownName, "did you mean weights"),
    ],
)
def test_what_is_wrong_with_a_sparse_system_is_said_before_any_work(name, error, words):
    with pytest.raises(error, match=rf"^[^\n]*{words}[^\n]*$"):
        retrieval.check(System.parse(name))


def test_a_file_of_weights_is_part_of_a_systems_name(retriever, tmp_path: Path):
    encoder = retriever.encoder
    lens = TokenLens(encoder)
    asked = own_tokens(encoder, lens.vocabulary, QUERIES)
    written = dense(lens.own(encoder.encode_document(TEXTS), encoder.tokenize(TEXTS), 24)).any(axis=0)
    token = np.flatnonzero((asked[0] > 0) & (asked[1:] == 0).all(axis=0) & written)[0]
    path = tmp_path / "weights.tsv"
    path.write_text(f"{lens.vocabulary.names[token]}\t3\n*\t0\n")
    hits = retriever.search(System.parse(f"sparse:24,style=promptreps,weights={path}")).hits
    assert [(rows >= 0).any() for rows in hits.rows] == [True, False, False]
