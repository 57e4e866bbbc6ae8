"""`weighted:FOLDER`: a text's embedding is the mean of its states weighed by its tokens, and says by which weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny import STORIES_DOCS, write_beir

import rarityir as ri
from rarityir.informativeness import TokenInformation
from rarityir.types import RarityError, StaleArtefact, UnknownName

TEXTS = [f"{title} {text}".strip() for title, text in STORIES_DOCS.values()]


def folder(path: Path, values: np.ndarray, encoder: ri.Encoder) -> Path:
    n = np.ones(len(values), np.int64)
    names = tuple(encoder.tokens())
    return TokenInformation(values, values, n, n, values, 1, names, "made", identity={"made": path.name}).save(path)


@pytest.fixture(scope="module")
def plain(stories):
    return ri.load_encoder(stories)


def test_each_state_weighs_what_its_token_does(plain, stories, tmp_path, rng):
    values = rng.gamma(1.0, 1.0, 512)
    encoder = ri.load_encoder(stories, pooling=f"weighted:{folder(tmp_path / 'w', values, plain)}")
    expected = []
    for sequence, x_TD in zip(plain.lay_out(TEXTS), plain.document_states(TEXTS), strict=True):
        w = values[sequence.ids[sequence.start : sequence.stop]]
        expected.append((w[:, None] * x_TD).sum(axis=0) / w.sum())
    np.testing.assert_allclose(encoder.encode_document(TEXTS), expected, atol=2e-5)
    assert np.abs(encoder.encode_document(TEXTS) - plain.encode_document(TEXTS)).max() > 0.01


def test_equal_weights_are_the_mean_and_so_is_a_text_that_weighs_nothing(plain, stories, tmp_path):
    flat = ri.load_encoder(stories, pooling=f"weighted:{folder(tmp_path / 'flat', np.full(512, 3.0), plain)}")
    np.testing.assert_allclose(flat.encode_document(TEXTS), plain.encode_document(TEXTS), atol=1e-5)
    one = np.zeros(512)
    one[plain.tokenize([TEXTS[0]])[0][0]] = 1.0
    lone = ri.load_encoder(stories, pooling=f"weighted:{folder(tmp_path / 'one', one, plain)}")
    nothing = [text for text, ids in zip(TEXTS, plain.tokenize(TEXTS), strict=True) if not one[ids].any()] or [""]
    np.testing.assert_allclose(lone.encode_document(nothing), plain.encode_document(nothing), atol=1e-5)
    none = ri.load_encoder(stories, pooling=f"weighted:{folder(tmp_path / 'none', np.zeros(512), plain)}")
    with pytest.raises(RarityError, match="no token any weight"):
        none.encode_document(TEXTS)


def test_the_identity_and_the_name_carry_the_weights_digest(plain, stories, tmp_path):
    rng = np.random.default_rng(0)
    paths = [folder(tmp_path / name, rng.random(512), plain) for name in "ab"]
    one, other = (ri.load_encoder(stories, pooling=f"weighted:{path}") for path in paths)
    assert one.identity()["pooling"] != other.identity()["pooling"]
    assert one.name != other.name
    assert str(tmp_path) not in one.name + str(one.identity())
    assert {k: v for k, v in one.identity().items() if k != "pooling"} == {
        k: v for k, v in plain.identity().items() if k != "pooling"
    }
    # Embeddings by other weights, kept under the same name, are refused in words.
    from rarityir.retrieval import Retriever

    dataset = ri.load_dataset(str(write_beir(tmp_path / "tiny")))
    _ = Retriever(dataset, one, tmp_path / "ix").embeddings
    with pytest.raises(StaleArtefact, match="pooling"):
        _ = Retriever(dataset, replace(other, name=one.name), tmp_path / "ix").embeddings


def test_a_pooling_that_names_no_weights_is_one_line(stories, tmp_path):
    for pooling, error, message in (
        ("weighted", RarityError, "names the tokens' weights"),
        ("mean:x", RarityError, "other poolings take none"),
        ("weighed:x", UnknownName, "did you mean weighted"),
        (f"weighted:{tmp_path / 'no'}", RarityError, "no file of token and weight"),
    ):
        with pytest.raises(error, match=message) as raised:
            ri.load_encoder(stories, pooling=pooling)
        assert "\n" not in str(raised.value)
