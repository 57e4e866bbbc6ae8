"""Texts read as tokens: by brute force, by hand, and what may not matter."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest
from tiny import write_beir

from rarityir.datasets import load_dataset
from rarityir.encoders import load_encoder
from rarityir.filters import EmbedFilter
from rarityir.filters.components import components
from rarityir.matching import match
from rarityir.reading import compared, read
from rarityir.report.matching import Column, Pair, Reading, Word, as_json, escaped, visible
from rarityir.retrieval import Retriever
from rarityir.tokens import TokenLens, Vocabulary

RNG = np.random.default_rng(5)
FORMS = ["<s>", " cat", "Cat", " dog", "dog", " ball", " red", " blue", " tree", ",", " sand", " CAT", None, " sea", " balls"]
NAMES = ("<s>", "cat", "dog", "ball", "red", "blue", "tree", "sand", "sea", "balls")
D = 6
W = RNG.integers(-4, 5, (len(FORMS), D)).astype(np.float32)
BIAS = RNG.integers(-3, 4, len(FORMS)).astype(np.float32)


class Toy:
    """An encoder whose embeddings are sums of whole numbers, so that all it writes can be worked out by hand."""

    name, model, dim = "toy", "toy", D

    def identity(self) -> dict:
        return {"model": "toy", "pooling": "sum"}

    def encode_document(self, texts: Sequence[str]) -> np.ndarray:
        rows = [sum((W[i] * (place + 1) for place, i in enumerate(ids)), np.zeros(D)) for ids in self.tokenize(texts)]
        return np.array(rows, np.float32).reshape(len(texts), D)

    def encode_query(self, texts: Sequence[str]) -> np.ndarray:
        return self.encode_document(texts) - 3  # a query is another text than a document

    def unembedding(self) -> np.ndarray:
        return W

    def unembedding_bias(self) -> np.ndarray:
        return BIAS

    def tokens(self) -> list:
        return FORMS

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        known = {(form or "").strip(): i for i, form in enumerate(FORMS)}
        return [[known[word] for word in text.split() if word in known] for text in texts]


def logits(x: np.ndarray, phi: np.ndarray | None = None) -> dict[str, float]:
    """Each canonical token's logit: the largest of its ids, the bias included."""
    z = W @ (x if phi is None else phi @ x) + BIAS
    found: dict[str, float] = {}
    for i, form in enumerate(FORMS):
        name = (form or "").strip().lower()
        if any(c.isalnum() for c in name):
            found[name] = max(found.get(name, -np.inf), float(z[i]))
    return found


def weighed(z: dict[str, float], k: int) -> dict[str, float]:
    """The k best above the next, in unit length."""
    order = sorted(z, key=lambda name: -z[name])
    base = z[order[k]] if k < len(order) else z[order[-1]]
    found = {name: z[name] - base for name in order[:k] if z[name] > base}
    length = sum(w * w for w in found.values()) ** 0.5
    return {name: w / length for name, w in found.items()}


def words(column: Column) -> dict[str, float]:
    assert [w.weight for w in column.words] == sorted((w.weight for w in column.words), reverse=True)
    return {word.token: word.weight for word in column.words}


@pytest.fixture(scope="module")
def encoder(stories: str):
    return load_encoder(stories)


@pytest.fixture(scope="module")
def retriever(tmp_path_factory, encoder) -> Retriever:
    folder = tmp_path_factory.mktemp("reading")
    return Retriever(load_dataset(str(write_beir(folder / "tiny"))), encoder, folder / "indexes")


def test_a_text_is_read_raw_and_through_a_filter_as_by_hand():
    edge = EmbedFilter.fit(W, "band:1-4")
    text = "red cat ball"
    (x,) = Toy().encode_document([text])
    (reading,) = read([text], Toy(), edge, k=4)
    assert [column.label for column in reading.columns] == ["raw", "band:1-4"]
    phi = edge.basis.T.astype(np.float64) @ edge.basis
    assert words(reading.columns[0]) == pytest.approx(weighed(logits(x), 4), abs=1e-5)
    assert words(reading.columns[1]) == pytest.approx(weighed(logits(x, phi), 4), abs=1e-5)
    assert {w.token for column in reading.columns for w in column.words if w.own} <= {"red", "cat", "ball"}
    for column in reading.columns:
        assert all(w.own == (w.token in ("red", "cat", "ball")) for w in column.words)
        assert all(w.logit is None and w.rest is None for w in column.words)


def test_a_word_written_otherwise_is_the_texts_own():
    (reading,) = read(["CAT"], Toy(), k=9)
    assert [w.token for w in reading.columns[0].words if w.own] == ["cat"]


def test_each_text_has_its_own_words():
    one, two = read(["cat dog", "ball red"], Toy(), k=9)
    assert {w.token for w in one.columns[0].words if w.own} == {"cat", "dog"} & {w.token for w in one.columns[0].words}
    assert {w.token for w in two.columns[0].words if w.own} == {"ball", "red"} & {w.token for w in two.columns[0].words}
    assert any(w.own for w in one.columns[0].words)
    assert any(w.own for w in two.columns[0].words)


def test_words_of_one_stem_are_one_token():
    found = match("ball", "balls", Toy(), "sparse:9,stem=english,query=literal")
    terms = {t.token: (t.in_query, t.in_document) for t in (*found.score.terms, *found.score.missing)}
    assert terms == {"ball": (True, True)}
    apart = match("ball", "balls", Toy(), "sparse:9")
    assert [t.in_document for t in (*apart.score.terms, *apart.score.missing) if t.token == "ball"] == [False]


def test_a_text_with_an_instruction_is_read_as_a_query_and_else_as_a_document():
    (plain,), (asked,) = read(["red sea"], Toy(), k=4), read(["red sea"], Toy(), k=4, instruction="blue")
    assert words(plain.columns[0]) == pytest.approx(weighed(logits(Toy().encode_document(["red sea"])[0]), 4), abs=1e-5)
    assert words(asked.columns[0]) == pytest.approx(weighed(logits(Toy().encode_query(["red sea"])[0]), 4), abs=1e-5)
    assert words(asked.columns[1]) == pytest.approx(weighed(logits(Toy().encode_query(["blue red sea"])[0]), 4), abs=1e-5)


def test_marks_say_what_each_reading_lost_and_gained():
    def column(label: str, tokens: str) -> Column:
        return Column(label, tuple(Word(t, 1.0, own=False) for t in tokens))

    found = compared([column("a", "pq"), column("b", "qr"), column("c", "rs")])
    marks = [{w.token: (w.new, w.gone) for w in c.words} for c in found]
    assert marks == [
        {"p": (False, True), "q": (False, False)},
        {"q": (False, True), "r": (True, False)},
        {"r": (False, False), "s": (True, False)},
    ]
    (alone,) = compared([column("a", "pq")])
    assert not any(w.new or w.gone for w in alone.words)


@pytest.mark.parametrize("filter", ["", "band:1-4", "center", "whiten:3"])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_logit_is_split_into_the_first_components_part_and_the_rest(filter: str, sign: int):
    documents = Toy().encode_document(["cat ball", "red tree , sea", "blue dog", "sand sea sea", "dog dog , red", "Cat tree"])
    chosen = EmbedFilter.fit(W, filter, embeddings=documents) if filter else None
    first = np.linalg.svd(documents.astype(np.float64))[2][0] * sign
    text = "dog tree red"
    (x,) = Toy().encode_document([text]).astype(np.float64)
    (reading,) = read([text], Toy(), chosen, k=5, first_D=first)
    basis = np.eye(D) if chosen is None else chosen.basis.astype(np.float64)
    mean = np.zeros(D) if chosen is None or chosen.mean is None else chosen.mean.astype(np.float64)
    z = W @ basis.T @ basis @ (x - mean) + BIAS
    for word in reading.columns[-1].words:
        best = max((i for i, form in enumerate(FORMS) if (form or "").strip().lower() == word.token), key=lambda i: z[i])
        part = (W[best] @ basis.T @ basis @ first) * (first @ x)
        assert (word.logit, word.first) == pytest.approx((z[best], part), abs=1e-3)
        assert word.first + word.rest == pytest.approx(word.logit, abs=1e-12)
    assert len(reading.columns[-1].words) == 5
    first_word = json.loads(as_json(reading.json()))["columns"][-1]["words"][0]
    assert first_word["first"] + first_word["rest"] == pytest.approx(first_word["logit"])


def test_the_first_component_is_that_of_the_documents(retriever):
    first = components(retriever.source).directions[0]
    (reading,) = read(["red ball"], retriever.encoder, k=3, first_D=first)
    x_ND = np.concatenate(list(retriever.embeddings)).astype(np.float64)
    direction = np.linalg.svd(x_ND, full_matrices=False)[2][0]
    x = retriever.encoder.encode_document(["red ball"])[0]
    scores = TokenLens(retriever.encoder).logits(x[None])[0]
    names = Vocabulary.of(retriever.encoder.tokens()).names
    for word in reading.columns[0].words:
        assert word.logit == pytest.approx(scores[names.index(word.token)], abs=1e-4)
    ids = [
        i
        for i, form in enumerate(retriever.encoder.tokens())
        if (form or "").strip().lower() == reading.columns[0].words[0].token
    ]
    rows = retriever.encoder.unembedding()[ids]
    part = (rows[(rows @ x).argmax()] @ direction) * (direction @ x)
    assert reading.columns[0].words[0].first == pytest.approx(part, abs=1e-3)


def test_texts_that_write_nothing_share_nothing():
    empty = Reading("", (Column("raw", ()),))
    pair = Pair("toy", "", 0.0, 0.0, empty, empty)
    assert (pair.jaccard, pair.jaccard_raw, pair.shared) == (0.0, 0.0, ())
    assert match("", "", Toy(), "dense", k=3).pair.cosine == 0


def test_texts_are_read_without_and_with_an_instruction(stories, encoder):
    (reading,) = read(["a red ball"], encoder, EmbedFilter.fit(encoder.unembedding(), "edge:2"), instruction="A colour:", k=6)
    assert [column.label for column in reading.columns] == ["raw", "edge:2", "edge:2, instructed"]
    x = load_encoder(stories, instruction="A colour:").encode_query(["a red ball"])
    wanted = TokenLens(encoder, EmbedFilter.fit(encoder.unembedding(), "edge:2")).tokens(x, 6)
    assert [w.token for w in reading.columns[2].words] == wanted[0]
    (reading,) = read(["a red ball"], encoder, instruction="A colour:", k=6)
    assert [column.label for column in reading.columns] == ["raw", "raw, instructed"]


HOSTILE = "\x1b[31mred\x1b[0m \u202eevil\u202c \x9b2J \x07 <b>&amp; \ud83d\ud83d"


def test_hostile_text_is_shown_as_escapes_and_stays_the_same_in_json():
    assert visible("a\tb\n\n c") == "a b c"
    assert visible(HOSTILE).isprintable()
    assert visible(HOSTILE).startswith("\\x1b[31mred\\x1b[0m \\u202eevil\\u202c \\x9b2J \\x07 <b>&amp; ")
    assert escaped("  two  spaces") == "  two  spaces"
    shown = as_json({"text": HOSTILE, "é": "日本語 עברית"})
    assert shown.replace("\n", "").isprintable()
    assert json.loads(shown) == {"text": HOSTILE, "é": "日本語 עברית"}
    assert "日本語 עברית" in shown
