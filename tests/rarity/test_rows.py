"""Rows are what transformers' own modules give, of every family; states in context are those of the tokens they say."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from tiny import STORIES

from rarityir import checkpoints
from rarityir.datasets import load_dataset
from rarityir.encoders import load_encoder
from rarityir.rarity.attention import projection
from rarityir.rarity.probe import RarityProbe
from rarityir.rarity.rows import Matrix, _sampled, rows
from rarityir.types import RarityError

V, D = 512, 32
_COMMON = {"vocab_size": V, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": None, "initializer_range": 0.3}
_LAYERS = {"hidden_size": D, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48, **_COMMON}
_GROUPED = {**_LAYERS, "num_key_value_heads": 2, "head_dim": 8}
_GEMMA = {**_GROUPED, "initializer_range": 0.1}
_OPT = {k: v for k, v in _LAYERS.items() if k not in ("intermediate_size", "initializer_range")}

FAMILIES: dict[str, Callable[[], Any]] = {
    "llama": lambda: transformers.LlamaConfig(**_GROUPED, tie_word_embeddings=False, rms_norm_eps=0.01),
    "llama-biased": lambda: transformers.LlamaConfig(**_GROUPED, tie_word_embeddings=False, attention_bias=True),
    "qwen2": lambda: transformers.Qwen2Config(**_GROUPED, tie_word_embeddings=True),
    "qwen3": lambda: transformers.Qwen3Config(**_GROUPED, tie_word_embeddings=True),
    "mistral": lambda: transformers.MistralConfig(**_GROUPED),
    "gemma": lambda: transformers.GemmaConfig(**_GEMMA, rms_norm_eps=0.01),
    "gemma2": lambda: transformers.Gemma2Config(**_GEMMA, query_pre_attn_scalar=8),
    "gpt2": lambda: transformers.GPT2Config(n_embd=D, n_layer=2, n_head=4, n_positions=64, layer_norm_epsilon=0.01, **_COMMON),
    "gpt-neox": lambda: transformers.GPTNeoXConfig(**_LAYERS, tie_word_embeddings=False, layer_norm_eps=0.01),
    "phi": lambda: transformers.PhiConfig(**_LAYERS, partial_rotary_factor=0.5, tie_word_embeddings=False),
    "phi3": lambda: transformers.Phi3Config(**{**_LAYERS, "num_key_value_heads": 2}, tie_word_embeddings=False),
    "cohere": lambda: transformers.CohereConfig(**{**_LAYERS, "num_key_value_heads": 2}),
    "opt": lambda: transformers.OPTConfig(**_OPT, ffn_dim=48, init_std=0.3, word_embed_proj_dim=D),
}
FUSED = {"gpt2", "gpt-neox", "phi3"}


def random_model(config: Any) -> Any:
    """A model whose norms and biases are random too, so that leaving one out shows."""
    torch.manual_seed(7)
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.3 * torch.randn_like(parameter))
    return model


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, str]]:
    root, made = tmp_path_factory.mktemp("rows"), {}
    for name, config in FAMILIES.items():
        model = random_model(config())
        model.save_pretrained(root / name)
        for file in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(STORIES / file, root / name / file)
        made[name] = (model, str(root / name))
    return made


def first_attention(model: Any) -> Any:
    """The first layer's attention module."""
    return next(module for name, module in model.named_modules() if name.endswith((".self_attn", ".attn", ".attention")))


def projected(model: Any, family: str, which: str) -> np.ndarray:
    """What the model's own modules give for each token alone: a hook takes it off the running model."""
    attention, seen = first_attention(model), []
    part = {"gpt2": "c_attn", "gpt-neox": "query_key_value", "phi3": "qkv_proj"}.get(family, f"{which}_proj")
    hook = getattr(attention, part).register_forward_hook(lambda module, given, out: seen.append(out.detach()))
    rows_VD = model.get_input_embeddings().weight.detach()
    with torch.inference_mode():
        if family == "gpt2":  # the first position is taken off, so that what meets the norm is the row alone
            model(inputs_embeds=(rows_VD - model.transformer.wpe.weight[0])[:, None])
        elif family == "opt":
            model(inputs_embeds=(rows_VD - model.model.decoder.embed_positions.weight[2])[:, None])
        else:
            model(input_ids=torch.arange(V)[:, None])
    hook.remove()
    out = seen[0][:, 0]
    if family == "gpt2":
        out = out.split(D, dim=-1)["qk".index(which)]
    elif family == "gpt-neox":
        out = out.view(V, 4, 3, D // 4)[:, :, "qk".index(which)].reshape(V, D)
    elif family == "phi3":
        out = out[:, :D] if which == "q" else out[:, D : D + D // 2]
    return out.numpy()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("which", ["q", "k"])
def test_query_and_key_rows_are_what_the_running_model_projects(models, family, which):
    model, path = models[family]
    expected = projected(model, family, which)
    found = rows(path, which)
    assert found.shape == expected.shape
    assert not found.stream
    assert np.abs(found.array() - expected).max() <= 1e-5 * np.abs(expected).max()
    by_hundreds = np.concatenate(list(found.blocks(100)))
    np.testing.assert_allclose(by_hundreds, found.array(), atol=1e-6 * np.abs(expected).max())
    assert expected.std() > 0.1, "flat rows would prove nothing"


@pytest.mark.parametrize("family", FAMILIES)
def test_input_and_output_rows_are_the_models_own(models, family):
    model, path = models[family]
    assert np.array_equal(rows(path, "input").array(), model.get_input_embeddings().weight.detach().numpy())
    assert np.array_equal(rows(path, "output").array(), model.get_output_embeddings().weight.detach().numpy())
    tied = model.get_input_embeddings().weight is model.get_output_embeddings().weight
    assert rows(path, "input").tied is rows(path, "output").tied is tied


def test_a_model_without_a_head_is_tied_though_its_config_does_not_say_so(models, tmp_path):
    shutil.copytree(models["gpt2"][1], tmp_path / "silent")
    file = tmp_path / "silent" / "config.json"
    config = json.loads(file.read_text())
    config.pop("tie_word_embeddings", None)
    file.write_text(json.dumps(config))
    assert rows(str(file.parent), "input").tied is True


@pytest.mark.parametrize("family", ["llama", "gemma", "gpt2", "cohere"])
def test_gain_makes_rows_what_multiplies_the_normalised_state(models, family):
    model, path = models[family]
    found = rows(path, "output", gain=True).array().astype(np.float64)
    norm = next(m for name, m in model.named_modules() if name.endswith((".norm", "ln_f")) and name.count(".") == 1)
    state = 1000 * torch.randn(5, D)  # beside which the norm's ε is nothing
    whole = (norm(state) @ model.get_output_embeddings().weight.T).detach().numpy()
    bias = getattr(norm, "bias", None)
    if bias is not None:
        whole = whole - (model.get_output_embeddings().weight @ bias).detach().numpy()
    x = state.numpy().astype(np.float64)
    x = x - x.mean(1, keepdims=True) if family in ("gpt2", "cohere") else x
    ours = (x / np.sqrt((x**2).mean(1, keepdims=True))) @ found.T
    np.testing.assert_allclose(ours, whole, atol=1e-4 * np.abs(whole).max())
    if family in ("gpt2", "cohere"):
        np.testing.assert_allclose(found.mean(axis=1), 0, atol=1e-6 * np.abs(found).max())


@pytest.mark.parametrize("family", ["llama", "qwen2", "gpt2", "gpt-neox"])
def test_type_rows_are_the_states_of_the_token_behind_the_opening_one(models, family):
    model, path = models[family]
    with torch.inference_mode():
        ids = torch.stack([torch.full((V,), 1), torch.arange(V)], dim=1)
        states = model(input_ids=ids, output_hidden_states=True).hidden_states
    for layer in (0, 1, 2):
        expected = states[layer][:, 1].numpy()
        found = rows(path, f"type:{layer}", device="cpu")
        assert found.shape == (V, D)
        assert found.stream
        assert np.abs(found.array() - expected).max() <= 1e-5 * np.abs(expected).max()
    assert np.array_equal(found.array(), rows(path, "type", layer=2, device="cpu").array())


def test_context_rows_are_the_states_of_the_tokens_they_say(models):
    model, path = models["llama"]
    texts = ["Lily saw a red ball.", "The dog", "", "One day Tom and his mom went to the park to see the big tree."]
    found = rows(path, "context:1", texts=texts, device="cpu")
    encoder = load_encoder(path)
    tokens = [ids for ids in encoder.tokenize(texts) if ids]
    assert found.types.tolist() == [i for ids in tokens for i in ids]
    assert found.contextual
    expected = []
    for ids in tokens:
        with torch.inference_mode():
            states = model(input_ids=torch.tensor([[1, *ids]]), output_hidden_states=True).hidden_states
        expected.append(states[1][0, 1:].numpy())
    np.testing.assert_allclose(found.array(), np.concatenate(expected), atol=1e-5 * np.abs(np.concatenate(expected)).max())


def test_mean_rows_are_the_means_of_frequent_tokens_alone(models):
    path = models["llama"][1]
    texts = ["the cat and the dog and the ball", "the dog saw the cat and the tree", "a bird"]
    every = rows(path, "context:2", texts=texts, device="cpu")
    found = rows(path, "context-mean:2", texts=texts, device="cpu")
    ids, counts = np.unique(every.types, return_counts=True)
    assert found.types.tolist() == ids[counts >= 5].tolist()
    assert 0 < len(found.types) < len(ids)
    x_ND = every.array()
    for token, row in zip(found.types, found.array(), strict=True):
        np.testing.assert_allclose(row, x_ND[every.types == token].mean(axis=0), atol=1e-5)
    assert found.name == "context-mean:2"
    assert not found.contextual


def test_states_are_computed_once_and_two_readings_do_not_disturb_each_other(models, monkeypatch):
    from rarityir.encoders.hf import HFEncoder

    calls = []
    real = HFEncoder.layer_states
    monkeypatch.setattr(HFEncoder, "layer_states", lambda self, *given: calls.append(1) or real(self, *given))
    found = rows(models["llama"][1], "type:1", device="cpu")
    assert calls == [], "nothing is computed before it is read"
    whole = found.array()
    made = len(calls)
    assert made > 0
    one, two = found.blocks(7), found.blocks(50)
    parts: tuple[list, list] = ([], [])
    for _ in range(V):
        for place, reading in enumerate((one, two)):
            block = next(reading, None)
            if block is not None:
                parts[place].append(block)
    assert [len(p[0]) for p in parts] == [7, 50]
    assert all(np.array_equal(np.concatenate(p), whole) for p in parts)
    assert len(calls) == made


def matrix(array: np.ndarray, **more: Any) -> Matrix:
    def read(size: int):
        return (array[start : start + size] for start in range(0, len(array), size))

    return Matrix("given", array.shape, read, **more)


def test_rows_taken_and_turned_are_those_of_the_array(rng):
    x, basis = rng.normal(size=(50, 6)).astype(np.float32), rng.normal(size=(4, 6))
    types = rng.permutation(200)[:50]
    mask = rng.random(50) < 0.4
    mask[0] = True
    for wanted in (mask, np.flatnonzero(mask)):
        found = matrix(x, types=types).take(wanted)
        assert np.array_equal(np.concatenate(list(found.blocks(7))), x[mask])
        assert np.array_equal(found.types, types[mask])
        assert found.shape == (mask.sum(), 6)
    plain = matrix(x).take(mask)
    assert np.array_equal(plain.types, np.flatnonzero(mask))
    assert np.array_equal(plain.of(np.arange(50) * 2), np.flatnonzero(mask) * 2)
    turned = plain.projected(basis)
    np.testing.assert_allclose(turned.array(), x[mask] @ basis.T, atol=1e-5)
    assert turned.shape == (mask.sum(), 4)
    assert not turned.stream
    with pytest.raises(RarityError, match="3 rows are marked of 50"):
        matrix(x).take(np.ones(3, bool))
    with pytest.raises(RarityError, match="width 5 do not fit"):
        matrix(x).projected(np.ones((2, 5)))


def test_folds_of_occurrences_are_never_naive_unless_asked_to_leak():
    x = np.zeros((4, 2), np.float32)
    found = matrix(x, types=np.array([3, 1, 3, 0]), contextual=True)
    with pytest.raises(RarityError, match="given: folds of occurrences must keep a token's rows together"):
        found.fold_groups(None)
    assert found.fold_groups(None, allow_leaky=True) is None
    assert found.fold_groups(np.array([7, 8, 9, 8])).tolist() == [8, 8, 8, 7]
    assert matrix(x).fold_groups(None) is None
    assert found.take(np.array([0, 2])).contextual


def test_a_control_is_told_in_context_only_where_folds_leak(rng):
    """A draw for each type is learnt by heart from its other occurrences; no probe may be judged so unasked."""
    texts = [doc.text for doc in itertools.islice(load_dataset("cranfield").docs(), 25)]
    found = rows(str(STORIES), "context:1", texts=texts, device="cpu")
    control = rng.normal(size=V)[found.types]
    with pytest.raises(RarityError, match="learnt by heart"):
        RarityProbe().fit(found, control)
    leaky = RarityProbe(allow_leaky=True, bands=1, replicates=2, leakage=False, test=0.0).fit(found, control)
    whole = RarityProbe(bands=1, replicates=2, leakage=False, test=0.0).fit(found, control, groups=found.types)
    assert leaky.r2_type.value > 0.3
    assert whole.r2_type.value < 0.1


def test_sampled_texts_are_a_draw_of_all_with_equal_chances(seed):
    texts = [str(i) for i in range(12)]
    assert _sampled(texts, 20, 0) == texts
    hits = np.zeros(12)
    for draw in range(3000):
        drawn = _sampled(iter(texts), 4, seed + draw)
        assert len(set(drawn)) == 4
        assert drawn == sorted(drawn, key=int)
        hits[[int(text) for text in drawn]] += 1
    assert np.abs(hits - 1000).max() < 4.5 * np.sqrt(3000 * (1 / 3) * (2 / 3))
    assert _sampled(texts, 4, seed) == _sampled(texts, 4, seed)


@pytest.mark.parametrize(
    ("matrix", "options", "said"),
    [
        ("inputs", {}, "inputs"),
        ("type", {}, "needs the number of a layer, such as type:2"),
        ("type:x", {}, "needs the number of a layer"),
        ("type:9", {}, "has 2 layers, so there are no states after 9"),
        ("input", {"gain": True}, "use it with output"),
        ("q:3", {}, "q rows are of no layer; leave 3 out"),
        ("context:1", {}, "give a dataset's texts"),
        ("context:1", {"texts": [""]}, "no texts with tokens"),
        ("context-mean:1", {"texts": ["The dog"]}, "no token occurs 5 times"),
    ],
)
def test_what_cannot_be_is_one_line(models, matrix, options, said):
    with pytest.raises(RarityError) as caught:
        rows(models["llama"][1], matrix, device="cpu", **options)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_model_without_a_norm_before_its_attention_is_refused(tmp_path):
    config = transformers.OPTConfig(**{**_OPT, "hidden_size": D}, ffn_dim=48, do_layer_norm_before=False, word_embed_proj_dim=16)
    random_model(config).save_pretrained(tmp_path / "opt")
    with pytest.raises(RarityError, match="no norm stands before its first attention"):
        rows(str(tmp_path / "opt"), "q")


def test_tensors_are_read_by_name_and_the_absent_left_out():
    found = checkpoints.tensors(str(STORIES), ["model.norm.weight", "nothing"])
    assert list(found) == ["model.norm.weight"]
    assert found["model.norm.weight"].dtype == np.float32
    assert Path(STORIES).is_dir()
    assert projection(str(STORIES), "k").weight.shape == (32, 64)
