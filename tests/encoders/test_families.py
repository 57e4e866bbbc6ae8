"""Every family of causal models is read alike: random weights, made offline, with the vocabulary of a small tokenizer."""

from __future__ import annotations

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
from rarityir.encoders import load_encoder
from rarityir.encoders.forward import check_space
from rarityir.encoders.prompts import POOLINGS
from rarityir.types import RarityError

V, D, CAP = 512, 32, 2.0
TEXTS = ["Lily saw a red ball.", "The dog", "", "One day Tom and his mom went to the park to see the big tree and the birds."]
_COMMON = {"vocab_size": V, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": None, "initializer_range": 0.3}
_LAYERS = {"hidden_size": D, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48, **_COMMON}
_GROUPED = {**_LAYERS, "num_key_value_heads": 2, "head_dim": 8}
_GEMMA = {**_GROUPED, "initializer_range": 0.1}
_OPT = {k: v for k, v in _LAYERS.items() if k not in ("intermediate_size", "initializer_range")}

FAMILIES: dict[str, Callable[[], Any]] = {
    "llama": lambda: transformers.LlamaConfig(**_GROUPED, tie_word_embeddings=False),
    "qwen2": lambda: transformers.Qwen2Config(**_GROUPED, tie_word_embeddings=True),
    "qwen3": lambda: transformers.Qwen3Config(**_GROUPED, tie_word_embeddings=True),
    "mistral": lambda: transformers.MistralConfig(**_GROUPED, sliding_window=8),
    "gemma": lambda: transformers.GemmaConfig(**_GEMMA),
    "gemma2": lambda: transformers.Gemma2Config(**_GEMMA, final_logit_softcapping=CAP, query_pre_attn_scalar=8, sliding_window=8),
    "gpt2": lambda: transformers.GPT2Config(n_embd=D, n_layer=2, n_head=4, n_positions=256, **_COMMON),
    "gpt-neox": lambda: transformers.GPTNeoXConfig(**_LAYERS, tie_word_embeddings=False),
    "opt": lambda: transformers.OPTConfig(**_OPT, ffn_dim=48, init_std=0.3, word_embed_proj_dim=D),
    "opt-projected": lambda: transformers.OPTConfig(
        **_OPT, ffn_dim=48, init_std=0.3, word_embed_proj_dim=16, do_layer_norm_before=False
    ),
    "phi": lambda: transformers.PhiConfig(**_LAYERS, partial_rotary_factor=0.5, tie_word_embeddings=False),
}


def save(model: Any, folder: Path, **options: Any) -> Path:
    """Saves a model with the small tokenizer beside it."""
    model.save_pretrained(folder, **options)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(STORIES / name, folder / name)
    return folder


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
    root = tmp_path_factory.mktemp("families")
    made = {name: random_model(config()) for name, config in FAMILIES.items()}
    return {name: (model, str(save(model, root / name))) for name, model in made.items()}


def logits_of(model: Any, ids: list[int]) -> np.ndarray:
    with torch.inference_mode():
        return model(input_ids=torch.tensor([ids])).logits[0, -1].float().numpy()


@pytest.mark.parametrize("family", FAMILIES)
def test_the_unembedding_times_our_state_gives_the_models_own_logits(models, family):
    model, path = models[family]
    encoder = load_encoder(path, pooling="last")
    text = TEXTS[0]
    bias = encoder.unembedding_bias()
    ours = encoder.unembedding() @ encoder.encode_document([text])[0] + (0.0 if bias is None else bias)
    logits = logits_of(model, [1, *encoder.tokenize([text])[0]])
    assert logits.std() > 0.2, "flat logits would prove nothing"
    if family == "gemma2":
        assert not np.allclose(ours, logits, atol=0.1), "the cap is to bite"
        ours = CAP * np.tanh(ours / CAP)
    np.testing.assert_allclose(ours, logits, atol=2e-4 * np.abs(logits).max())


def test_only_phis_head_has_a_bias_and_it_is_read_whole(models):
    with_bias = {family: load_encoder(path).unembedding_bias() for family, (_, path) in models.items()}
    assert [family for family, bias in with_bias.items() if bias is not None] == ["phi"]
    assert np.array_equal(with_bias["phi"], models["phi"][0].lm_head.bias.detach().numpy())
    assert np.abs(with_bias["phi"]).max() > 0.1


def test_a_head_narrower_than_the_model_reads_the_projected_state(models):
    assert load_encoder(models["opt-projected"][1]).dim == 16


@pytest.mark.parametrize("family", FAMILIES)
def test_the_unembedding_read_from_the_shard_is_the_models_output_head(models, family):
    model, path = models[family]
    encoder = load_encoder(path)
    head = model.get_output_embeddings().weight.detach().numpy()
    assert np.array_equal(encoder.unembedding(), head)
    assert encoder.dim == head.shape[1]
    rows = checkpoints.unembedding(path)
    assert rows.shape == head.shape
    assert np.array_equal(np.concatenate(list(rows.blocks(100))), head)
    assert len(encoder.tokens()) == len(head)


def test_tied_families_store_no_head_and_untied_ones_do(models):
    tied = {family for family, (_, path) in models.items() if checkpoints.unembedding(path).name in checkpoints._TIED}
    assert tied == {"qwen2", "qwen3", "gemma", "gemma2", "gpt2", "opt", "opt-projected"}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_pooling_is_finite_and_the_same_alone_and_in_a_batch(models, family):
    for pooling in POOLINGS:
        many = load_encoder(models[family][1], pooling=pooling).encode_document(TEXTS)
        alone = load_encoder(models[family][1], pooling=pooling, batch_tokens=1).encode_document(TEXTS)
        assert many.shape == (len(TEXTS), load_encoder(models[family][1]).dim)
        assert many.dtype == np.float32
        assert np.isfinite(many).all()
        np.testing.assert_allclose(many, alone, atol=2e-5 * np.abs(many).max(), err_msg=pooling)
        assert not np.allclose(many[0], many[1]), f"{pooling} sees no difference between texts"


@pytest.mark.parametrize("family", ["llama", "gpt2", "phi"])
def test_the_head_and_its_bias_are_found_among_several_shards(models, tmp_path, family):
    model, whole = models[family]
    path = save(model, tmp_path / "sharded", max_shard_size="2KB")
    assert len(list(path.glob("*.safetensors"))) > 2
    encoder = load_encoder(str(path))
    assert np.array_equal(encoder.unembedding(), model.get_output_embeddings().weight.detach().numpy())
    expected, found = load_encoder(whole).unembedding_bias(), encoder.unembedding_bias()
    assert (found is None) == (expected is None)
    assert expected is None or np.array_equal(found, expected)


def test_half_precision_shards_are_read_as_float32(models, tmp_path):
    path = save(random_model(FAMILIES["llama"]()).to(torch.bfloat16), tmp_path / "half")
    found = load_encoder(str(path)).unembedding()
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, models["llama"][0].lm_head.weight.detach().numpy(), atol=1e-2)


def test_an_architecture_whose_head_transforms_the_state_first_is_refused(tmp_path):
    config = transformers.BertConfig(**_LAYERS, is_decoder=True, max_position_embeddings=64)
    path = save(random_model(config), tmp_path / "bert")
    with pytest.raises(RarityError, match=r"bert.* is not what its head multiplies"):
        load_encoder(str(path)).encode_document(["the cat"])


class _Headless(torch.nn.Module):
    def get_output_embeddings(self):
        return None


def test_check_space_refuses_a_model_that_changes_the_state_before_its_head():
    model = random_model(FAMILIES["llama"]())
    check_space(model, "whole")
    head = model.lm_head

    class Turned(torch.nn.Module):
        weight = head.weight

        def forward(self, states):
            return head(states.flip(-1) if self.turning else states)

    turned = Turned()
    model.set_output_embeddings(turned)
    forward = model.forward

    def turning(*args, **kwargs):
        turned.turning = True
        try:
            return forward(*args, **kwargs)
        finally:
            turned.turning = False

    turned.turning, model.forward = False, turning
    with pytest.raises(RarityError, match="broken: its last hidden state is not what its head multiplies"):
        check_space(model, "broken")


def test_check_space_refuses_a_model_whose_base_leaves_out_the_final_norm():
    model = random_model(FAMILIES["llama"]())
    norm, base = model.model.norm, model.model
    base.norm = torch.nn.Identity()
    head = model.lm_head
    model.forward = lambda **inputs: transformers.modeling_outputs.CausalLMOutput(
        logits=head(norm(base(**inputs).last_hidden_state))
    )
    with pytest.raises(RarityError, match="broken"):
        check_space(model, "broken")


def test_check_space_refuses_a_model_without_a_head():
    with pytest.raises(RarityError, match="bare has no output head"):
        check_space(_Headless(), "bare")


def test_weights_without_a_head_are_an_error_and_never_a_random_head(tmp_path):
    base = random_model(FAMILIES["llama"]()).model
    path = save(base, tmp_path / "headless")
    config = json.loads((path / "config.json").read_text())
    assert config["tie_word_embeddings"] is False
    with pytest.raises(RarityError, match="head"):
        load_encoder(str(path)).unembedding()


def test_a_text_longer_than_the_learned_positions_is_cut_to_them(tmp_path):
    config = transformers.GPT2Config(n_embd=D, n_layer=1, n_head=4, n_positions=64, **_COMMON)
    path = str(save(random_model(config), tmp_path / "short"))
    text = "the cat sat on the mat and looked at the big red ball " * 20
    for pooling in POOLINGS:
        found = load_encoder(path, pooling=pooling).encode_document([text, f"{text} dog", f"bird {text}"])
        assert np.isfinite(found).all(), pooling
        np.testing.assert_allclose(found[0], found[1], atol=1e-5, err_msg="what differs stands behind the cut")
        assert not np.allclose(found[0], found[2]), pooling
