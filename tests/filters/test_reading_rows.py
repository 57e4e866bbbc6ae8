"""How filters read an unembedding: real rows alone, centred, with the final norm's gain; each against the matrix made by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from worlds import affine, apart, model_folder, source_of, zipf

from rarityir import checkpoints
from rarityir.counts import TokenCounts, real_rows
from rarityir.filters import EmbedFilter, Reading, Source, Unembedding
from rarityir.filters.auto import choose
from rarityir.filters.spectroscopy import shift
from rarityir.types import RarityError

V, D = 520, 16
REAL = slice(3, 512)  # the small tokenizer has 512 tokens, of which the first three are special
RNG = np.random.default_rng(0)
HEAD = (RNG.standard_normal((V, D)) * np.geomspace(4, 0.5, D) + 0.5 * RNG.standard_normal(D)).astype(np.float32)
HEAD[:3], HEAD[512:] = 40 * RNG.standard_normal((3, D)), 30 * RNG.standard_normal((8, D))  # garbage that must not count
GAIN, BIAS = np.linspace(0.3, 3, D, dtype=np.float32), np.linspace(-1, 1, D, dtype=np.float32)
# The rarer a token, the more of the first coordinate, so that `auto` has something to find.
COUNTS = TokenCounts(zipf(V).counts[np.argsort(np.argsort(HEAD[:, 0] + RNG.standard_normal(V)))], "by the first coordinate")
FILTERS = ("edge:2", "tail:4", "cut:1,3", "spectroscopy:8", "frequent:8", "logfreq", "auto")
READINGS = ("rows=real", "center=yes", "gain=yes", "rows=real,center=yes", "rows=real,gain=yes", "rows=real,center=yes,gain=yes")


def by_hand(options: str, centring: bool) -> tuple[np.ndarray, TokenCounts]:
    """The matrix that options stand for, and the counts of its rows."""
    rows, counts = HEAD.astype(np.float64), COUNTS
    if "rows=real" in options:
        rows, counts = rows[REAL], TokenCounts(COUNTS.counts[REAL], COUNTS.source)
    if "gain=yes" in options:
        rows = rows * GAIN
        if centring:
            rows = rows - rows.mean(axis=1, keepdims=True)
    if "center=yes" in options:
        rows = rows - rows.mean(axis=0)
    return rows, counts


@pytest.fixture(scope="module")
def rms(tmp_path_factory) -> str:
    """A model whose final norm scales and does not centre."""
    return model_folder(tmp_path_factory.mktemp("rms") / "model", HEAD, {"weight": GAIN})


@pytest.fixture(scope="module")
def layernorm(tmp_path_factory) -> str:
    """A model whose final norm centres, scales and shifts."""
    return model_folder(tmp_path_factory.mktemp("layernorm") / "model", HEAD, {"weight": GAIN, "bias": BIAS})


def given(model: str, cache: Path) -> Source:
    return Source(Unembedding.of(model), lambda _: COUNTS, cache=cache)


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("options", READINGS)
@pytest.mark.parametrize("norm", ["rms", "layernorm"])
def test_a_filter_with_options_is_the_filter_of_the_matrix_they_stand_for(request, tmp_path, name, options, norm):
    found = affine(f"{name}{',' if ':' in name else ':'}{options}", given(request.getfixturevalue(norm), tmp_path / "a"))
    rows, counts = by_hand(options, norm == "layernorm")
    expected = affine(name, source_of(rows, tmp_path / "b", counts))
    assert apart(found.basis, expected.basis) < 1e-4
    if name == "auto":
        assert found.facts["auto"]["cut"] == expected.facts["auto"]["cut"]


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("options", ["rows=real", "gain=yes"])
def test_each_option_makes_a_difference(rms, tmp_path, name, options):
    plain, read = (affine(f"{name}{o}", given(rms, tmp_path)) for o in ("", f"{',' if ':' in name else ':'}{options}"))
    assert apart(plain.basis, read.basis) > 0.05


def test_options_say_no_as_they_say_yes(rms, tmp_path):
    plain, said = (affine(name, given(rms, tmp_path)) for name in ("edge:2", "edge:2,rows=all,center=no,gain=no"))
    assert np.array_equal(plain.basis, said.basis)


def test_the_shift_and_the_choice_of_real_rows_are_those_of_the_matrix_without_the_others(rms, tmp_path):
    rows, counts = by_hand("rows=real", centring=False)
    alone, how = source_of(rows, tmp_path / "b"), Reading(rows="real", center=True)
    found = shift(given(rms, tmp_path / "a"), COUNTS, how)
    np.testing.assert_allclose(found, shift(alone, counts, Reading(center=True)), rtol=1e-4, atol=1e-9)
    chosen, expected = choose(given(rms, tmp_path / "a"), COUNTS, Reading(rows="real")), choose(alone, counts)
    assert chosen.facts() == expected.facts()


def test_a_filter_of_the_stored_rows_takes_the_matrix_as_it_is(rms, tmp_path):
    _, _, directions = np.linalg.svd(HEAD.astype(np.float64), full_matrices=False)
    assert apart(affine("edge:2", given(rms, tmp_path)).basis, directions[4:12]) < 1e-8


def test_centred_rows_have_the_directions_of_a_centred_svd(rms, tmp_path):
    _, _, directions = np.linalg.svd(HEAD - HEAD.astype(np.float64).mean(axis=0), full_matrices=False)
    assert apart(affine("edge:2,center=yes", given(rms, tmp_path)).basis, directions[4:12]) < 1e-8


@pytest.mark.parametrize("option", ["rows=real", "gain=yes"])
def test_an_option_that_needs_the_model_says_so_for_an_array(tmp_path, option):
    with pytest.raises(RarityError, match=rf"^{option} needs the model [^\n]*$"):
        affine(f"edge:2,{option}", source_of(HEAD, tmp_path))


def test_an_array_may_be_given_with_its_model(rms, tmp_path):
    found = affine("edge:2,rows=real,gain=yes", source_of(HEAD, tmp_path, model=rms))
    assert apart(found.basis, affine("edge:2,rows=real,gain=yes", given(rms, tmp_path)).basis) == 0


def test_a_model_without_a_final_norm_or_tokenizer_says_so(tmp_path):
    folder = model_folder(tmp_path / "bare", HEAD, {"nothing": GAIN})
    (Path(folder) / "tokenizer.json").unlink()
    with pytest.raises(RarityError, match=r"^[^\n]*bare: no final norm[^\n]*leave gain out$"):
        EmbedFilter.fit(folder, "edge:2,gain=yes", cache=tmp_path)
    with pytest.raises(RarityError, match=r"^[^\n]*bare has no tokenizer.json[^\n]*$"):
        EmbedFilter.fit(folder, "edge:2,rows=real", cache=tmp_path)
    assert EmbedFilter.fit(folder, "edge:2", cache=tmp_path).basis.shape == (D // 2, D)


def test_a_gain_of_another_width_than_the_head_is_one_line(tmp_path):
    folder = model_folder(tmp_path / "projected", HEAD, {"weight": np.ones(2 * D, np.float32)})
    with pytest.raises(RarityError, match=rf"^[^\n]*projected[^\n]*{2 * D}[^\n]*{D}[^\n]*$"):
        EmbedFilter.fit(folder, "edge:2,gain=yes", cache=tmp_path)


def test_real_rows_are_the_tokens_that_are_neither_special_nor_beyond_the_tokenizer(rms):
    expected = np.zeros(V, bool)
    expected[REAL] = True
    assert np.array_equal(real_rows(rms, V), expected)
    assert np.array_equal(real_rows(rms, 100), expected[:100])


def test_real_rows_are_known_by_their_ids_where_a_tokenizer_leaves_ids_out(tmp_path):
    folder = Path(model_folder(tmp_path / "gaps", HEAD[:12]))
    tokenizer = Tokenizer(WordLevel({"a": 0, "b": 1, "c": 7}, unk_token="a"))
    tokenizer.save(str(folder / "tokenizer.json"))
    assert np.flatnonzero(real_rows(str(folder), 12)).tolist() == [0, 1, 7]


# the fold against the norms of real architectures

SIZE = {"vocab_size": 64, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": None}
LAYERS = {"hidden_size": D, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16, **SIZE}
GROUPED = {**LAYERS, "num_key_value_heads": 1, "head_dim": 8}
OPT = {k: v for k, v in LAYERS.items() if k != "intermediate_size"}
FULL = {"layer_types": ["full_attention"]}
FAMILIES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "llama": (lambda t: t.LlamaConfig(**GROUPED, tie_word_embeddings=False), "model.norm"),
    "qwen2": (lambda t: t.Qwen2Config(**GROUPED, tie_word_embeddings=True), "model.norm"),
    "mistral": (lambda t: t.MistralConfig(**GROUPED), "model.norm"),
    "gemma": (lambda t: t.GemmaConfig(**GROUPED), "model.norm"),
    "gemma2": (lambda t: t.Gemma2Config(**GROUPED), "model.norm"),
    "gemma3": (lambda t: t.Gemma3TextConfig(**GROUPED), "model.norm"),
    "vaultgemma": (lambda t: t.VaultGemmaConfig(**GROUPED), "model.norm"),
    "qwen3-next": (lambda t: t.Qwen3NextConfig(**GROUPED, **FULL, num_experts=0), "model.norm"),
    "qwen3.5": (lambda t: t.Qwen3_5TextConfig(**GROUPED, **FULL), "model.norm"),
    "gpt2": (lambda t: t.GPT2Config(n_embd=D, n_layer=1, n_head=2, n_positions=16, **SIZE), "transformer.ln_f"),
    "gpt-neox": (lambda t: t.GPTNeoXConfig(**LAYERS), "gpt_neox.final_layer_norm"),
    "opt": (lambda t: t.OPTConfig(**OPT, ffn_dim=16, word_embed_proj_dim=D), "model.decoder.final_layer_norm"),
    "phi": (lambda t: t.PhiConfig(**LAYERS), "model.final_layernorm"),
    "cohere": (lambda t: t.CohereConfig(**LAYERS), "model.norm"),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_folded_rows_times_the_bare_normalised_state_are_the_rows_times_the_norms_output(tmp_path, family):
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    config, name = FAMILIES[family]
    torch.manual_seed(7)
    model = transformers.AutoModelForCausalLM.from_config(config(transformers)).eval()
    norm = model.get_submodule(name)
    with torch.no_grad():
        for parameter in norm.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
    model.save_pretrained(tmp_path / family)
    states = 5 + 30 * np.random.default_rng(2).standard_normal((20, D)).astype(np.float32)
    with torch.inference_mode():
        normed = norm(torch.from_numpy(states)).numpy()
        shifted = norm(torch.zeros(1, D)).numpy()  # what a LayerNorm's bias adds to every state
    head = model.get_output_embeddings().weight.detach().numpy().astype(np.float64)
    folded = np.concatenate([rows for _, rows in Unembedding.of(str(tmp_path / family)).blocks(Reading(gain=True))])
    _, centres = checkpoints.final_norm(str(tmp_path / family))
    scale = (states - states.mean(axis=1, keepdims=True) * centres).std(axis=1) if centres else np.sqrt((states**2).mean(axis=1))
    ours, theirs = states / scale[:, None] @ folded.T, (normed - shifted) @ head.T
    np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max())
    assert not np.allclose(states / scale[:, None] @ head.T, theirs, atol=0.1 * np.abs(theirs).max()), "the gain is to matter"


def test_a_gain_in_half_precision_and_in_another_shard_is_read(tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    folder = Path(model_folder(tmp_path / "sharded", HEAD))
    (folder / "model.safetensors").unlink()
    save_file({"lm_head.weight": torch.from_numpy(HEAD)}, folder / "one.safetensors")
    save_file({"model.norm.weight": torch.from_numpy(GAIN).to(torch.bfloat16)}, folder / "two.safetensors")
    names = {"lm_head.weight": "one.safetensors", "model.norm.weight": "two.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    gain, centres = checkpoints.final_norm(str(folder))
    assert gain.dtype == np.float32
    np.testing.assert_allclose(gain, GAIN, rtol=1e-2)
    assert not centres
