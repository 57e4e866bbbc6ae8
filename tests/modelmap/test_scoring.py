"""Log-likelihoods and layers of models with random weights: the model's own loss, BOS policies, the final norm once."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from tiny import STORIES

from rarityir.modelmap import ModelMap, TextSet, layer_loglik, loglik, score
from rarityir.modelmap.scoring import Reader, opened, read, read_map
from rarityir.types import RarityError

_COMMON = {"vocab_size": 512, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": None, "initializer_range": 0.3}
_LAYERS = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48, **_COMMON}
_GPT2 = {"n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 64, **_COMMON}
FAMILIES = {
    "gpt2": lambda: transformers.GPT2Config(**_GPT2),  # LayerNorm
    "gpt-neox": lambda: transformers.GPTNeoXConfig(**_LAYERS, max_position_embeddings=64),  # LayerNorm
    "llama": lambda: transformers.LlamaConfig(**_LAYERS, max_position_embeddings=64),  # RMSNorm
    "gemma2": lambda: transformers.Gemma2Config(  # RMSNorm, and logits that are capped
        **{**_LAYERS, "initializer_range": 0.1},
        num_key_value_heads=2,
        head_dim=8,
        final_logit_softcapping=2.0,
        query_pre_attn_scalar=8,
    ),
}
TEXTS = TextSet(
    ("Lily saw a red ball.", "The dog ran to the park.", "One day Tom and his mom went to see the big tree.", "Rain, é!"), {}
)


def made(family: str, folder: Path, seed: int = 7) -> Path:
    torch.manual_seed(seed)
    model = transformers.AutoModelForCausalLM.from_config(FAMILIES[family]()).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:  # norms and biases that do something
                parameter.add_(0.3 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(STORIES / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Reader]:
    root = tmp_path_factory.mktemp("lms")
    return {family: opened(str(made(family, root / family)), bos="always") for family in FAMILIES}


def own_loss(model: Any, ids: list[int]) -> float:
    """The sum of log-probabilities as transformers' own loss has it."""
    batch = torch.tensor([ids])
    with torch.inference_mode():
        return -float(model(input_ids=batch, labels=batch).loss) * (len(ids) - 1)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_texts_sum_is_the_models_loss_times_its_tokens(readers, family: str) -> None:
    reader = readers[family]
    found, facts = loglik(reader, TEXTS)
    ids, cut, before = reader.lay_out(TEXTS)
    wanted = [own_loss(reader.model, of) for of in ids]
    np.testing.assert_allclose(found, wanted, rtol=1e-4)
    assert (before, facts["cut"], cut) == (1, [], [False] * 4)
    assert facts["scored"] == [len(of) - 1 for of in ids]
    alone = [loglik(reader, TEXTS[[row]])[0][0] for row in range(4)]
    np.testing.assert_allclose(found, alone, rtol=1e-5)  # whatever else is in the batch


@pytest.mark.parametrize("family", FAMILIES)
def test_the_last_layer_is_the_models_own_log_likelihood(readers, family: str) -> None:
    reader = readers[family]
    found, facts = layer_loglik(reader, TEXTS)
    assert found.shape == (4, 4)
    np.testing.assert_allclose(found[-1], [own_loss(reader.model, of) for of in reader.lay_out(TEXTS)[0]], rtol=1e-4)
    assert facts["identity"] < 1e-5
    assert facts["final_norm"] in ("transformer.ln_f", "gpt_neox.final_layer_norm", "model.norm")
    assert np.abs(found[:-1] - found[-1]).min() > 1e-3


@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma2"])
def test_each_layer_is_the_norm_once_and_the_head(readers, family: str) -> None:
    reader = readers[family]
    found, facts = layer_loglik(reader, TEXTS)
    norm = reader.model.get_submodule(facts["final_norm"])
    ids = torch.tensor([reader.lay_out(TEXTS)[0][0]])
    cap = getattr(reader.model.config, "final_logit_softcapping", None)
    with torch.inference_mode():
        states = reader.model(input_ids=ids, output_hidden_states=True).hidden_states
        heads = [*map(norm, states[:-1]), states[-1], norm(states[-1])]
        logits = [reader.model.lm_head(state) for state in heads]
        logits = [cap * torch.tanh(of / cap) if cap else of for of in logits]
        rows = [of[0, :-1].log_softmax(-1).gather(1, ids[0, 1:, None]).sum().item() for of in logits]
    np.testing.assert_allclose(found[:, 0], rows[:-1], rtol=1e-4)
    assert abs(rows[-1] / found[-1, 0] - 1) > 1e-3, "normalising twice is to show"


def test_a_norm_that_is_not_the_last_one_is_refused(readers) -> None:
    reader = readers["llama"]
    assert layer_loglik(reader, TEXTS, final_norm="model.norm")[1]["final_norm"] == "model.norm"
    for path in ("model.layers.2.input_layernorm", "model.layers.0.mlp.down_proj", "model.embed_tokens"):
        with pytest.raises(RarityError, match=r"not the final norm|miss the model's own logits"):
            layer_loglik(reader, TEXTS, final_norm=path)
    with pytest.raises(RarityError, match="no module 'norm'"):
        layer_loglik(reader, TEXTS, final_norm="norm")


def test_policies_of_the_beginning(tmp_path) -> None:
    path = str(made("llama", tmp_path / "m"))
    none, always, own = (opened(path, bos=bos) for bos in ("none", "always", "tokenizer"))
    plain = always.tokenizer(TEXTS.texts[0], add_special_tokens=False)["input_ids"]
    assert none.lay_out(TEXTS)[0][0] == plain
    assert always.lay_out(TEXTS)[0][0] == [1, *plain]
    added = own.tokenizer(TEXTS.texts[0])["input_ids"]
    assert own.lay_out(TEXTS)[0][0] == added[: len(added) - len(added) + own.lay_out(TEXTS)[2] + len(plain)]
    values, facts = loglik(none, TEXTS)
    assert facts["before"] == 0
    assert facts["scored"][0] == len(plain) - 1
    assert values[0] == pytest.approx(own_loss(none.model, plain), rel=1e-4)
    with pytest.raises(RarityError, match="known: tokenizer, always, none"):
        opened(path, bos="yes")
    with pytest.raises(RarityError, match=r"text 0 has \d tokens"):
        loglik(none, TextSet(("",), {}))


def test_a_beginning_that_the_tokenizer_adds_is_never_doubled(readers) -> None:
    reader = readers["llama"]

    class Adding:
        bos_token_id = eos_token_id = 1

        def __call__(self, text: Any, *, add_special_tokens: bool = True) -> dict[str, Any]:
            plain = reader.tokenizer(text, add_special_tokens=False)["input_ids"]
            if isinstance(text, list):
                return {"input_ids": [[1, *ids, 2] if add_special_tokens else ids for ids in plain]}
            return {"input_ids": [1, *plain, 2] if add_special_tokens else plain}

    for bos in ("tokenizer", "always"):
        ids, _, before = Reader(reader.model, Adding(), bos, 64).lay_out(TEXTS)
        assert before == 1
        assert ids[0] == [1, *reader.tokenizer(TEXTS.texts[0], add_special_tokens=False)["input_ids"]]


def test_what_stands_before_a_text_is_read_and_not_summed(readers) -> None:
    reader = readers["llama"]

    class Two:
        bos_token_id, eos_token_id = 1, 2

        def __call__(self, text: Any, *, add_special_tokens: bool = True) -> dict[str, Any]:
            plain = reader.tokenizer(text, add_special_tokens=False)["input_ids"]
            if isinstance(text, list):
                return {"input_ids": plain}
            return {"input_ids": [1, 2, *plain] if add_special_tokens else plain}

    two = Reader(reader.model, Two(), "tokenizer", 64)
    found, facts = loglik(two, TEXTS)
    ids = two.lay_out(TEXTS)[0]
    assert (facts["before"], ids[0][:2]) == (2, [1, 2])
    assert facts["scored"] == [len(of) - 2 for of in ids]
    np.testing.assert_allclose(found, [own_loss(two.model, of) - own_loss(two.model, [1, 2]) for of in ids], rtol=1e-4)
    np.testing.assert_allclose(layer_loglik(two, TEXTS)[0][-1], found, rtol=1e-5)
    with pytest.raises(RarityError, match=r"text 1 has 2 tokens"):
        loglik(two, TextSet(("Lily", ""), {}))


def test_a_text_that_is_too_long_is_cut_and_said_to_be(readers) -> None:
    long = TextSet((TEXTS.texts[0], "red ball " * 60), {})
    found, facts = loglik(readers["gpt2"], long)
    assert facts["cut"] == [1]
    assert facts["scored"][1] == 63
    assert found[1] == pytest.approx(own_loss(readers["gpt2"].model, readers["gpt2"].lay_out(long)[0][1]), rel=1e-4)


def test_scoring_goes_on_where_it_stopped_and_refuses_other_texts(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("rarityir.modelmap.scoring.BLOCK", 2)
    one, two = (str(made("llama", tmp_path / name, seed)) for name, seed in (("one", 1), ("two", 2)))
    seen: list[int] = []

    def counted(reader: Reader, texts: TextSet) -> Any:
        seen.append(len(texts))
        if len(seen) == 2:
            raise KeyboardInterrupt
        return loglik(reader, texts)

    monkeypatch.setattr("rarityir.modelmap.scoring.loglik", counted)
    with pytest.raises(KeyboardInterrupt):
        score(one, TEXTS, tmp_path / "scores", bos="always")
    with pytest.raises(RarityError, match="not complete"):
        read(tmp_path / "scores" / "one")
    place = score(one, TEXTS, tmp_path / "scores", bos="always")
    assert seen == [2, 2, 2]
    score(one, TEXTS, tmp_path / "scores", bos="always")
    assert seen == [2, 2, 2]
    values, facts = read(place)
    np.testing.assert_allclose(values, loglik(opened(one, bos="always"), TEXTS)[0], rtol=1e-6)
    assert facts["mean_bytes"] == TEXTS.mean_bytes
    with pytest.raises(RarityError, match="bos always, now none"):
        score(one, TEXTS, tmp_path / "scores", bos="none")
    other = score(two, TEXTS[[0, 1, 2]], tmp_path / "other", bos="always")
    with pytest.raises(RarityError, match="different text sets"):
        read_map([place, other])
    namesake = score(two, TEXTS, tmp_path / "elsewhere", name="one", bos="always")
    with pytest.raises(RarityError, match="two folders of scores are called one"):
        read_map([place, namesake, other])
    assert read_map({"one": place, "another": namesake}, clip=0).names == ("one", "another")
    found = read_map([place, score(two, TEXTS, tmp_path / "scores", bos="always")], clip=0)
    assert isinstance(found, ModelMap)
    assert found.names == ("one", "two")
    np.testing.assert_array_equal(found.values[0], values)
    block = place / "00000002.json"
    block.write_text(json.dumps({**json.loads(block.read_text()), "values": [0.0, 0.0]}))
    with pytest.raises(RarityError, match="corrupt"):
        read(place)
