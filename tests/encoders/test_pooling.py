"""Which states become the embedding, by hand against the raw model; and that batches, lengths and order change nothing."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from tiny import STORIES
from transformers import AutoModelForCausalLM, AutoTokenizer

from rarityir.encoders import load_encoder
from rarityir.encoders.prompts import POOLINGS, lay_out
from rarityir.types import RarityError, UnknownName

BOS, EOS = 1, 2
TEXT = "Lily and Tom went to the beach."
TEXTS = [
    TEXT, "", "cat", "The bird sang a happy song in the tree. The sun was warm and the sky was blue. " * 6, "the dog ran",
    "Mom said", " ", "They made a castle from the sand, and then a wave came and took it away.", "é漢", "cat",
]  # fmt: skip


class Raw:
    """The model and its tokenizer as transformers gives them."""

    def __init__(self):
        self.tokenizer = AutoTokenizer.from_pretrained(STORIES)
        self.model = AutoModelForCausalLM.from_pretrained(STORIES, dtype=torch.float32).eval()

    def ids(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def states(self, ids: list[int]) -> np.ndarray:
        with torch.inference_mode():
            return self.model.model(input_ids=torch.tensor([ids])).last_hidden_state[0].numpy()


@pytest.fixture(scope="module")
def raw() -> Raw:
    return Raw()


def close(found, expected) -> bool:
    return bool(np.allclose(found, expected, atol=1e-5, rtol=1e-4))


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_text_alone_and_among_many_gives_the_same_embedding(stories, pooling):
    encoder = load_encoder(stories, pooling=pooling)
    many = encoder.encode_document(TEXTS)
    alone = np.concatenate([encoder.encode_document([text]) for text in TEXTS])
    np.testing.assert_allclose(many, alone, atol=1e-5)
    assert len({row.tobytes() for row in alone}) >= len(set(TEXTS)) - 2, "different texts must differ (blank ones may not)"


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("budget", [1, 70, 300])
def test_a_tiny_token_budget_changes_no_embedding(stories, pooling, budget):
    large = load_encoder(stories, pooling=pooling, batch_tokens=100_000).encode_document(TEXTS)
    np.testing.assert_allclose(
        load_encoder(stories, pooling=pooling, batch_tokens=budget).encode_document(TEXTS), large, atol=1e-5
    )


def test_the_mean_is_over_the_texts_tokens_and_not_over_bos(stories, raw):
    found = load_encoder(stories, pooling="mean").encode_document([TEXT])[0]
    states = raw.states([BOS, *raw.ids(TEXT)])
    assert close(found, states[1:].mean(0))
    assert not close(found, states.mean(0))


def test_the_weighted_mean_weighs_the_nth_token_n(stories, raw):
    found = load_encoder(stories, pooling="weighted-mean").encode_document([TEXT])[0]
    states = raw.states([BOS, *raw.ids(TEXT)])[1:]
    weights = np.arange(1, len(states) + 1, dtype=np.float32)
    assert close(found, (weights[:, None] * states).sum(0) / weights.sum())
    assert not close(found, states.mean(0))


def test_last_is_the_state_of_the_last_token(stories, raw):
    found = load_encoder(stories, pooling="last").encode_document([TEXT])[0]
    states = raw.states([BOS, *raw.ids(TEXT)])
    assert close(found, states[-1])
    assert not close(found, states[-2])


def test_prompteol_is_the_state_of_the_templates_last_token(stories, raw):
    found = load_encoder(stories, pooling="prompteol").encode_document([TEXT])[0]
    ids = [BOS, *raw.ids(f'Summarize the sentence: "{TEXT}" in one word:"')]
    assert close(found, raw.states(ids)[-1])
    assert not close(found, raw.states(ids[:-1])[-1])


def test_echo_pools_exactly_the_second_copy_and_the_closing_eos(stories, raw):
    found = load_encoder(stories, pooling="echo").encode_document([TEXT])[0]
    before, between, body = raw.ids("Rewrite the following paragraph:"), raw.ids(". The rewritten paragraph:"), raw.ids(TEXT)
    states = raw.states([BOS, *before, *body, *between, *body, EOS])
    second = len(states) - len(body) - 1
    first = 1 + len(before)
    assert close(found, states[second:].mean(0))
    for wrong in (states[second:-1], states[second - 1 :], states[second + 1 :], states[first : first + len(body)], states[1:]):
        assert not close(found, wrong.mean(0))


tokens = st.lists(st.integers(3, 500), max_size=12)


@given(st.lists(tokens, min_size=3, max_size=3), tokens)
def test_both_echoed_copies_are_the_same_tokens_and_only_the_second_is_pooled(parts, body):
    found = lay_out(parts, body, BOS, EOS)
    assert found.ids[found.start : found.stop] == [*body, *parts[2], EOS]
    at = 1 + len(parts[0])
    assert found.ids[:at] == [BOS, *parts[0]]
    assert found.ids[at : at + len(body)] == body
    assert found.ids[at + len(body) : found.start] == parts[1]


@given(st.lists(tokens, min_size=2, max_size=2), tokens)
def test_a_single_copy_has_no_eos_and_never_pools_bos_unless_nothing_else_is_there(parts, body):
    found = lay_out(parts, body, BOS, EOS)
    assert found.ids == [BOS, *parts[0], *body, *parts[1]]
    assert 0 <= found.start < found.stop == len(found.ids)
    assert found.start > 0 or found.ids == [BOS]


@pytest.mark.parametrize("pooling", ["mean", "last", "prompteol", "echo"])
def test_a_documents_states_are_those_its_embedding_is_the_mean_of(stories, pooling):
    encoder = load_encoder(stories, pooling=pooling, batch_tokens=64)
    states = encoder.document_states(TEXTS)
    assert len(states) == len(TEXTS)
    for found, embedding in zip(states, encoder.encode_document(TEXTS), strict=True):
        assert close(found.mean(axis=0), embedding)


def test_the_states_of_a_mean_are_the_models_own_one_a_token(stories, raw):
    (found,) = load_encoder(stories, pooling="mean").document_states([TEXT])
    ids = raw.ids(TEXT)
    assert len(found) == len(ids)
    assert close(found, raw.states([BOS, *ids])[1:])


@pytest.mark.parametrize("limit", [1, 16])
def test_prompteols_template_is_never_cut_however_long_the_text(stories, raw, limit):
    encoder = load_encoder(stories, pooling="prompteol", max_length=limit)
    text = "the dog ran to the park and found a shiny stone near the tree " * 200
    end = raw.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"][limit - 1][1]
    ids = [BOS, *raw.ids(f'Summarize the sentence: "{text[:end]}" in one word:"')]
    assert ids[-len(raw.ids('word:"')) + 1 :] == raw.ids('word:"')[1:]
    found = encoder.encode_document([text, text[:end] + " what follows the cut", "a " + text])
    assert close(found[0], raw.states(ids)[-1])
    assert close(found[1], found[0])
    assert not close(found[2], found[0])


def test_echo_cuts_each_copy_on_the_right_and_keeps_the_template(stories, raw):
    limit, text = 8, "the dog ran to the park and found a shiny stone near the tree " * 50
    found = load_encoder(stories, pooling="echo", max_length=limit).encode_document([text])[0]
    before, between = raw.ids("Rewrite the following paragraph:"), raw.ids(". The rewritten paragraph:")
    body = raw.ids(text)[:limit]
    assert close(found, raw.states([BOS, *before, *body, *between, *body, EOS])[-limit - 1 :].mean(0))


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("blank", ["", " ", "\n\t"])
def test_a_blank_text_gives_a_finite_vector_that_is_not_zero(stories, pooling, blank):
    encoder = load_encoder(stories, pooling=pooling)
    for encode in (encoder.encode_document, encoder.encode_query):
        found = encode([blank])
        assert found.shape == (1, encoder.dim)
        assert np.isfinite(found).all()
        assert np.linalg.norm(found) > 0


@pytest.mark.parametrize("pooling", POOLINGS)
def test_no_texts_give_no_rows_of_the_right_width(stories, pooling):
    encoder = load_encoder(stories, pooling=pooling)
    assert encoder.encode_document([]).shape == encoder.encode_query([]).shape == (0, 64)


def test_the_instruction_stands_before_queries_and_never_before_documents(stories):
    plain = load_encoder(stories, pooling="mean")
    told = load_encoder(stories, pooling="mean", instruction="Find a story:")
    assert np.array_equal(told.encode_document([TEXT]), plain.encode_document([TEXT]))
    assert np.array_equal(told.encode_query([TEXT]), plain.encode_document([f"Find a story: {TEXT}"]))
    assert not close(told.encode_query([TEXT]), plain.encode_query([TEXT]))
    assert np.array_equal(plain.encode_query([TEXT]), plain.encode_document([TEXT]))
    assert told.name == plain.name  # so that documents are encoded once for all instructions
    assert told.identity() == plain.identity()


def test_raw_embeddings_are_not_normalised(stories):
    norms = np.linalg.norm(load_encoder(stories, pooling="mean").encode_document(TEXTS), axis=1)
    assert (np.abs(norms - 1) > 0.1).all()
    assert norms.std() > 0.01


@pytest.mark.parametrize("pooling", ["mean", "echo"])
def test_weights_that_are_not_numbers_are_an_error_and_never_an_embedding(tmp_path, pooling):
    broken = tmp_path / "broken"
    shutil.copytree(STORIES, broken, ignore=shutil.ignore_patterns("*.safetensors"))
    weights = load_file(STORIES / "model.safetensors")
    weights["model.layers.4.mlp.down_proj.weight"][3, 5] = float("nan")
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(RarityError, match=r"broken.* not finite"):
        load_encoder(str(broken), pooling=pooling).encode_document([TEXT])


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"pooling": "maen"}, "unknown pooling 'maen'; did you mean mean"),
        ({"pooling": "Echo"}, "unknown pooling 'Echo'; did you mean echo"),
        ({"dtype": "int8"}, "unknown dtype 'int8'"),
    ],
)
def test_an_unknown_option_is_one_line_with_the_near_misses(stories, options, named):
    with pytest.raises(UnknownName) as caught:
        load_encoder(stories, **options)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("qwen2.5-0.6b", "did you mean qwen2.5-0.5b"),
        ("no/such-model", "no config.json here or on the hub"),
        ("./nowhere", "folder"),
        ("un known", "hub"),
        ("st:no-such-model", ""),
    ],
)
def test_an_unknown_encoder_is_one_line_that_names_it_when_it_is_first_used(name, hint):
    with pytest.raises(RarityError) as caught:
        load_encoder(name).encode_document(["the cat"])
    assert name.removeprefix("st:") in str(caught.value)
    assert hint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_no_model_says_what_it_lacks(tmp_path):
    with pytest.raises(RarityError, match=r"has no config\.json"):
        load_encoder(str(tmp_path)).encode_document(["the cat"])


@pytest.mark.parametrize("options", [{"device": "nonsense"}, {"max_length": -3}, {"max_length": 0}])
def test_an_option_out_of_its_range_is_a_one_line_error(stories, options):
    with pytest.raises(RarityError) as caught:
        load_encoder(stories, **options).encode_document(["the cat"])
    assert str(next(iter(options.values()))) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_encoders_that_read_differently_have_different_names_and_identities(stories):
    variants = [{}, {"pooling": "echo"}, {"max_length": 32}]
    encoders = [load_encoder(stories, **options) for options in variants]
    assert len({encoder.name for encoder in encoders}) == len(variants)
    assert len({str(encoder.identity()) for encoder in encoders}) == len(variants)
