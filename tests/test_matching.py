"""Matches taken apart: products that sum to the engine's score, readings by brute force, and what may not matter."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from tiny import STORIES_DOCS, STORIES_QUERIES, write_beir

from rarityir import matching
from rarityir.datasets import load_dataset
from rarityir.encoders import load_encoder
from rarityir.filters import EmbedFilter
from rarityir.matching import match, match_stored
from rarityir.report.matching import Column, Match, as_json, visible
from rarityir.retrieval import Retriever
from rarityir.systems import System
from rarityir.tokens import TokenLens, Vocabulary
from rarityir.types import RarityError, UnknownName


def words(column: Column) -> dict[str, float]:
    assert [w.weight for w in column.words] == sorted((w.weight for w in column.words), reverse=True)
    return {word.token: word.weight for word in column.words}


@pytest.fixture(scope="module")
def encoder(stories: str):
    return load_encoder(stories)


@pytest.fixture(scope="module")
def texts() -> tuple[str, str]:
    return "The cat looked at the red ball", " ".join(STORIES_DOCS["d1"])


@pytest.fixture(scope="module")
def retriever(tmp_path_factory, encoder) -> Retriever:
    folder = tmp_path_factory.mktemp("matching")
    return Retriever(load_dataset(str(write_beir(folder / "tiny"))), encoder, folder / "indexes")


SYSTEMS = [
    "sparse:64",
    "sparse:8+edge:2",
    "sparse:64,query=both:16,weights=logit+tail:2",
    "sparse:64,query=aligned:4+edge:2",
    "sparse:32,weighting=softmax",
    "sparse:64,style=promptreps",
    "sparse:64,style=lightretriever,query=both:4",
    "sparse:64,scale=none,query=both:8,stem=english",
]


def by_hand(system: str, encoder, query: str, document: str) -> tuple[dict[str, float], dict[str, float]]:
    """A query's weights and a document's impacts rounded to 8 bits, by token, straight from the definitions."""
    parsed = System.parse(system)
    settings = matching._explained(parsed)[1]
    filter = EmbedFilter.fit(encoder.unembedding(), str(parsed.filters[0])) if parsed.filters else None
    vocabulary = Vocabulary.of(encoder.tokens(), settings.stem)
    lens = TokenLens(
        encoder.unembedding(), filter, vocabulary=vocabulary, weighting=settings.weighting, unit=settings.scale == "unit"
    )
    x, q = encoder.encode_document([document]), encoder.encode_query([query])
    if settings.style == "promptreps":
        found = lens.own(x, encoder.tokenize([document]), settings.keep)
    elif settings.style == "lightretriever":
        found = lens.strongest(encoder.document_states([document]), settings.keep)
    else:
        found = lens.align(x, settings.keep)
    values = found.values.astype(np.float64)
    scale = values.max() / 255
    impacts = {vocabulary.names[t]: max(1, round(v / scale)) * scale for t, v in zip(found.token_ids, values, strict=True)}
    z = lens.logits(q)[0].astype(np.float64)
    form, _, count = settings.query.partition(":")
    asked = set() if form == "aligned" else {int(c) for c in vocabulary.classes(encoder.tokenize([query]))[0]}
    asked |= set(np.argsort(-z, kind="stable")[: int(count or 0)].tolist())
    weigh = (lambda c: float(np.log1p(max(z[c] - z.mean(), 0)))) if settings.weights == "logit" else lambda c: 1.0
    return {vocabulary.names[c]: weigh(c) for c in asked if weigh(c) > 0}, impacts


@pytest.mark.parametrize("system", SYSTEMS)
def test_products_sum_to_the_engines_score_and_are_those_by_hand(encoder, texts, system):
    found = match(*texts, encoder, system, k=7)
    weights, impacts = by_hand(system, encoder, *texts)
    both = {token: weights[token] * impacts[token] for token in weights if token in impacts}
    assert {t.token: t.product for t in found.score.terms} == pytest.approx(both, abs=2e-5)
    assert found.score.total == pytest.approx(sum(t.product for t in found.score.terms), rel=1e-6)
    assert found.score.total > 0
    assert [t.product for t in found.score.terms] == sorted((t.product for t in found.score.terms), reverse=True)
    missing = {t.token: t.weight for t in found.score.missing}
    assert missing == pytest.approx({token: w for token, w in weights.items() if token not in impacts}, abs=1e-5)
    rest = sorted((v for token, v in impacts.items() if token not in weights), reverse=True)[:7]
    assert [t.impact for t in found.score.unasked] == pytest.approx(rest, abs=1e-5)
    assert all(t.token in impacts and t.token not in weights and t.weight == 0 for t in found.score.unasked)


def test_a_term_says_which_of_the_texts_has_it(encoder, texts):
    found = match(*texts, encoder, "sparse:64,query=both:16")
    own = [{visible(encoder.tokens()[i] or "").lower() for i in ids} for ids in encoder.tokenize(list(texts))]
    for term in (*found.score.terms, *found.score.missing, *found.score.unasked):
        assert (term.in_query, term.in_document) == (term.token in own[0], term.token in own[1])
    assert {(t.in_query, t.in_document) for t in found.score.terms} > {(True, True)}


@pytest.mark.parametrize("filter", ["", "edge:2"])
def test_the_pair_has_cosines_and_shared_tokens_by_hand(encoder, texts, filter):
    system = f"dense+{filter}" if filter else "dense"
    found = match(*texts, encoder, system, k=12)
    assert found.score is None
    q, x = (encoder.encode_document([text])[0].astype(np.float64) for text in texts)
    chosen = EmbedFilter.fit(encoder.unembedding(), filter) if filter else None
    basis = np.eye(len(q)) if chosen is None else chosen.basis

    def cosine(a, b):
        return a @ b / np.sqrt((a @ a) * (b @ b))

    assert found.pair.cosine_raw == pytest.approx(cosine(q, x), abs=1e-5)
    assert found.pair.cosine == pytest.approx(cosine(basis @ q, basis @ x), abs=1e-5)
    for way, jaccard in ((None, found.pair.jaccard_raw), (chosen, found.pair.jaccard)):
        one, other = TokenLens(encoder, way).tokens(np.array([q, x], np.float32), 12)
        assert jaccard == pytest.approx(len(set(one) & set(other)) / len(set(one) | set(other)))
    assert found.pair.shared == tuple(token for token in one if token in other)
    assert len(found.pair.query.columns) == (2 if filter else 1)


def test_another_encoder_reads_the_same_texts_through_its_own_filter(encoder, texts):
    other = load_encoder("demo")
    found = match(*texts, encoder, "dense+tail:2", against=other, k=40)
    turned = match(*texts, other, "dense+tail:2", k=40)
    assert found.against == turned.pair
    both, ours, theirs = found.only
    assert set(both) == set(found.pair.shared) & set(found.against.shared)
    assert set(ours) == set(found.pair.shared) - set(found.against.shared)
    assert set(theirs) == set(found.against.shared) - set(found.pair.shared)
    assert ours
    assert theirs
    facts = found.json()["against"]
    assert (facts["shared_by_both"], facts["shared_here"], facts["shared_there"]) == (list(both), list(ours), list(theirs))


@pytest.mark.parametrize("system", ["sparse:64,query=both:16,weights=logit+edge:2", "dense+edge:2"])
def test_an_instruction_is_read_as_an_encoder_that_was_given_it_reads_it(stories, encoder, texts, system):
    words_first = "Tell me about an animal:"
    found = match(*texts, encoder, system, instruction=words_first)
    given = match(*texts, load_encoder(stories, instruction=words_first), system)
    changed = found.instructed
    assert changed.cosine == pytest.approx(given.pair.cosine, abs=1e-6)
    assert changed.cosine_raw == pytest.approx(given.pair.cosine_raw, abs=1e-6)
    assert words(changed.query.columns[1]) == pytest.approx(words(given.pair.query.columns[-1]), abs=1e-4)
    assert words(changed.query.columns[0]) == words(found.pair.query.columns[-1])
    assert [c.label for c in changed.query.columns] == ["edge:2", "edge:2, instructed"]
    if system.startswith("sparse"):
        assert changed.score == pytest.approx(given.score.total, abs=1e-5)
        assert changed.score != pytest.approx(found.score.total, abs=1e-4)
    else:
        assert changed.score is None
    edge = EmbedFilter.fit(encoder.unembedding(), "edge:2")
    a, b = edge(encoder.encode_query([texts[0], f"{words_first} {texts[0]}"])).astype(np.float64)
    assert changed.same == pytest.approx(a @ b / np.sqrt((a @ a) * (b @ b)), abs=1e-5)
    assert changed.same < 0.999
    assert replace(found, instructed=None) == match(*texts, encoder, system)


def test_an_instruction_does_not_change_a_query_of_its_own_tokens_alone(encoder, texts):
    found = match(*texts, encoder, "sparse:64+edge:2", instruction="An animal:")
    assert found.instructed.score == found.score.total


@pytest.mark.parametrize(
    "system",
    ["sparse:8+edge:2", "sparse:32,query=both:16,weights=idf+edge:2", "sparse:32,style=promptreps,weights=idf", "dense+center"],
)
def test_a_stored_match_has_the_score_and_rank_of_the_run(retriever, system):
    hits = retriever.search(System.parse(system)).hits
    for q, query_id in enumerate(STORIES_QUERIES):
        for row, doc_id in list(enumerate(STORIES_DOCS))[q::3]:
            found = match_stored(retriever, query_id, doc_id, system, k=3)
            places = np.flatnonzero(hits.rows[q] == row)
            assert found.rank == (places[0] + 1 if len(places) else None)
            score = float(hits.scores[q][places].sum())
            if system.startswith("sparse"):
                assert found.score.total == pytest.approx(score, abs=1e-5)
                assert sum(t.product for t in found.score.terms) == pytest.approx(found.score.total, abs=1e-6)
            else:
                assert found.pair.cosine == pytest.approx(score, abs=1e-5)
            assert (found.query, found.document) == (STORIES_QUERIES[query_id], " ".join(STORIES_DOCS[doc_id]).strip())
            assert (found.dataset, found.documents, found.query_id, found.doc_id) == ("tiny/test", 6, query_id, doc_id)


def test_rare_tokens_weigh_more_by_their_document_frequency(retriever):
    found = match_stored(retriever, "q2", "d4", "sparse:32,query=both:16,weights=idf+edge:2")
    lens = TokenLens(retriever.encoder, retriever.filter(System.parse("dense+edge:2").filters))
    impacts = lens.align(np.concatenate(list(retriever.embeddings)), 32)
    for term in found.score.terms:
        df = int((impacts.token_ids == lens.vocabulary.names.index(term.token)).sum())
        assert term.weight == pytest.approx(np.log(1 + (6 - df + 0.5) / (df + 0.5)), abs=1e-5)
    assert len({t.weight for t in found.score.terms}) > 1


def test_a_stored_match_against_another_encoder_fits_on_its_own_embeddings(retriever):
    other = load_encoder("demo")
    found = match_stored(retriever, "q1", "d6", "dense+center", against=other)
    turned = match_stored(Retriever(retriever.dataset, other, retriever.indexes), "q1", "d6", "dense+center")
    assert found.against == turned.pair


def test_a_document_beyond_the_cutoff_has_no_rank(retriever, monkeypatch):
    monkeypatch.setattr(matching, "CUTOFF", 2)
    ranks = [match_stored(retriever, "q1", doc_id, "dense").rank for doc_id in STORIES_DOCS]
    assert sorted(rank for rank in ranks if rank) == [1, 2]
    assert ranks.count(None) == 4


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        (("q9", "d1"), r"^unknown query_id 'q9' in tiny/test; did you mean q\d or q\d or q\d\?$"),
        (("q1", "d16"), r"^unknown doc_id 'd16' in tiny/test; did you mean d6 or d1\?$"),
        (("zzz", "d1"), "^unknown query_id 'zzz' in tiny/test; the first are q1, q2, q3$"),
    ],
)
def test_an_unknown_id_is_one_line_with_near_misses(retriever, ids, said):
    with pytest.raises(UnknownName, match=said):
        match_stored(retriever, *ids)


def test_near_misses_of_very_many_ids_begin_alike(retriever, monkeypatch):
    monkeypatch.setattr(matching, "NEAR", 3)
    known = [f"MED-{i}" for i in range(50)] + ["PLAIN-17"]
    error = matching._unknown("doc_id", "PLAIN-18", known, retriever.dataset)
    assert str(error) == "unknown doc_id 'PLAIN-18' in tiny/test; did you mean PLAIN-17?"
    error = matching._unknown("doc_id", "x", ["x\x1b[31m"], retriever.dataset)
    assert str(error).isprintable()


@pytest.mark.parametrize(
    ("system", "said"),
    [
        ("bm25", r"^bm25 reads no embeddings; explain .*sparse:64\+edge:2$"),
        ("rrf(dense,sparse:8)", r"^rrf\(dense,sparse:8\) is a fusion; explain one part of it"),
        ("sparse:8,weights=idf", "^sparse:8,weights=idf: weights=idf counts documents; explain a query_id and a doc_id"),
        ("sparse:8,weighting=odd", "unknown weighting 'odd'"),
        ("sparse:8+hedge:2", "unknown filter 'hedge'"),
        ("dense+center", "documents' embeddings"),
    ],
)
def test_what_cannot_be_explained_is_one_line(encoder, texts, system, said):
    with pytest.raises(RarityError, match=said) as error:
        match(*texts, encoder, system)
    assert "\n" not in str(error.value)


def test_an_engine_whose_impacts_do_not_sum_to_its_score_is_refused(encoder, texts, monkeypatch):
    whole = matching._Stored.score
    monkeypatch.setattr(
        matching._Stored, "score", lambda self, query: whole(self, query) * (1.001 if len(query.values) > 1 else 1)
    )
    with pytest.raises(RarityError, match=r"^the index scores [^\n]* it is approximate; explain sparse:K instead$"):
        match(*texts, encoder, "sparse:64,query=both:16")


def test_the_json_holds_all_and_is_finite(encoder, texts):
    found = match(*texts, encoder, "sparse:64,query=both:8+edge:2", against=load_encoder("demo"), instruction="A:", k=4)
    facts = json.loads(as_json(found.json()))
    assert sum(t["product"] for t in facts["score"]["terms"]) == pytest.approx(facts["score"]["total"], abs=1e-6)
    assert facts["pair"]["jaccard"] == found.pair.jaccard
    assert [w["token"] for w in facts["pair"]["query"]["columns"][1]["words"]] == [
        w.token for w in found.pair.query.columns[1].words
    ]
    assert facts["instructed"]["query"]["columns"][1]["label"] == "edge:2, instructed"
    assert "rank" not in facts
    assert "logit" not in facts["pair"]["query"]["columns"][0]["words"][0]


def test_a_match_of_two_texts_has_no_rank_and_leaves_no_files(encoder, texts, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    found = match(*texts, encoder, "sparse:4")
    assert isinstance(found, Match)
    assert (found.dataset, found.rank, found.documents) == ("", None, 1)
    assert list(tmp_path.iterdir()) == []
