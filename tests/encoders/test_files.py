"""A model's files: what is there is read, what lacks is told."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from rarityir.encoders import files, load_encoder
from rarityir.types import RarityError


def copied(stories: str, tmp_path: Path, *left_out: str) -> str:
    folder = tmp_path / "model"
    shutil.copytree(stories, folder, ignore=shutil.ignore_patterns(*left_out))
    return str(folder)


def test_a_model_with_all_its_files_is_read_without_a_word(stories, tmp_path, caplog):
    folder = copied(stories, tmp_path)
    assert files.tokenizer(folder)("once upon")["input_ids"]
    assert files.config(folder).hidden_size == 64
    model, missing = files.causal_lm(folder, "float32", "auto")
    assert model.num_parameters() > 200_000
    assert not missing
    assert not caplog.records


def test_a_tokenizer_whose_special_tokens_are_guessed_is_told(stories, tmp_path, caplog):
    files.tokenizer(copied(stories, tmp_path, "tokenizer_config.json"))
    (told,) = caplog.messages
    assert "model has no tokenizer_config.json" in told


@pytest.mark.parametrize(
    ("left_out", "read", "says"),
    [
        ("tokenizer*", files.tokenizer, "no tokenizer for"),
        ("config.json", files.config, "no configuration for"),
        (
            "model.safetensors",
            lambda folder: files.causal_lm(folder, "float32", "auto"),
            "does not load as a causal language model",
        ),
    ],
)
def test_what_a_model_lacks_is_one_line(stories, tmp_path, left_out, read, says):
    folder = copied(stories, tmp_path, left_out)
    with pytest.raises(RarityError, match=says) as caught:
        read(folder)
    assert "\n" not in str(caught.value)


def test_weights_that_are_trained_on_in_place_are_another_model(stories, tmp_path):
    """As in a notebook: the folder is written again, and the same process loads it once more."""
    folder = Path(shutil.copytree(stories, tmp_path / "checkpoint"))
    before = load_encoder(str(folder), device="cpu")
    old = before.identity()["revision"]
    assert load_encoder(str(folder), device="cpu").identity()["revision"] == old
    tensors = load_file(folder / "model.safetensors")
    save_file({name: value + 1 for name, value in tensors.items()}, folder / "model.safetensors", metadata={"format": "pt"})
    after = load_encoder(str(folder), device="cpu")
    assert after.identity()["revision"] != old
    assert before.identity()["revision"] == old, "what an encoder has read is what it was"
    texts = ["a red ball"]
    assert not np.array_equal(after.encode_document(texts), load_encoder(str(stories), device="cpu").encode_document(texts))
