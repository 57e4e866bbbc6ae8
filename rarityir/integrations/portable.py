"""An encoder as the files of a sentence-transformer, in the one form that releases 5 and 6 both read.

Only standard modules, under the names they had first: no code of ours is in the folder, so nothing has to be trusted, and
servers that know these modules can serve it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rarityir import checkpoints, parsing, store
from rarityir.encoders.hf import HFEncoder
from rarityir.encoders.prompts import POOLINGS
from rarityir.encoders.sentence_transformers import SentenceTransformerEncoder
from rarityir.filters import EmbedFilter
from rarityir.types import Encoder, Json, RarityError

if TYPE_CHECKING:
    from rarityir.integrations.templating import Templated

Module = dict[str, Json]
POOLED = {"last": "lasttoken", "prompteol": "lasttoken", "mean": "mean_tokens"}  # which mode of theirs is ours
_MODES = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken")
# Weight of the bos token in a mean that leaves it out: lost in float32's rounding beside one other token, yet a text
# without tokens still has the state of its bos token, as in the encoder.
_NEXT_TO_NOTHING = 1e-7
# A model type whose tokenizer transformers reads from tokenizer.json as it stands. For some types (qwen2) transformers 5
# builds one of its own instead, which has no template.
_AS_IT_STANDS = "modernbert"
_PLACES = 32768  # tokens read of a text by a model that has no limit
_FOREIGN = ("onnx", "openvino", ".git", "*.h5", "*.msgpack", "*.ot", "*.onnx")  # the same weights for other libraries


def written(encoder: Encoder, folder: Path) -> list[Module]:
    """Writes an encoder's files into a folder and returns its modules, up to but without normalisation."""
    if isinstance(encoder, HFEncoder):
        return causal(encoder, folder)
    if isinstance(encoder, SentenceTransformerEncoder):
        return copied(encoder, folder)
    raise RarityError(f"{encoder.name} is neither a causal LM nor a sentence-transformer; export a model of either kind")


def causal(encoder: HFEncoder, folder: Path) -> list[Module]:
    """Writes a causal LM without its head, its tokenizer with the pooling's template, its pooling; returns the modules."""
    from rarityir.integrations.templating import templated

    if encoder.pooling not in POOLED:
        *names, last = sorted(POOLED)
        raise RarityError(
            f"pooling {encoder.pooling} cannot be expressed by sentence-transformers; "
            f"export with --pooling {', '.join(names)} or {last}"
        )
    model, tokenizer = _loaded(encoder)
    text = templated(tokenizer, encoder.pooling, encoder.name)
    model.save_pretrained(folder)
    config = _settings(folder / "config.json")
    config.pop("torch_dtype", None)
    store.write_json(folder / "config.json", {**config, "dtype": encoder.identity()["dtype"]})
    sizes = model.config.get_text_config()
    places = getattr(sizes, "max_position_embeddings", None) or _PLACES
    # A cut text would lose the template's mark behind it, and the template its sense; so where there is one, none is cut.
    joint = POOLINGS[encoder.pooling].joint
    length = places if joint else min(encoder.max_length + text.added, places)
    _write_tokenizer(text, length, folder)
    reading = {"max_seq_length": length, "do_lower_case": False, "tokenizer_args": {"tokenizer_type": _AS_IT_STANDS}}
    store.write_json(folder / "sentence_bert_config.json", reading)
    prompts = {"query": f"{encoder.instruction} "} if encoder.instruction else {}
    settings = {"prompts": prompts, "default_prompt_name": None, "similarity_fn_name": "cosine"}
    store.write_json(folder / "config_sentence_transformers.json", settings)
    modules = [module("Transformer", "")]
    if encoder.pooling == "mean":
        modules.append(_all_but(text.bos, max(text.tokenizer.get_vocab_size(), sizes.vocab_size), folder))
    modules.append(_pooling(encoder, folder, f"{len(modules)}_Pooling"))
    return modules


def copied(encoder: SentenceTransformerEncoder, folder: Path) -> list[Module]:
    """Copies a sentence-transformer, with the encoder's length and instruction; returns the modules but the last norm."""
    listed = checkpoints.look(encoder.model, "modules.json")
    if listed is None:
        raise RarityError(f"{encoder.name} has no modules.json; save it once with sentence-transformers and export that folder")
    source = Path(encoder.model)
    if not source.is_dir():
        from huggingface_hub import snapshot_download

        source = Path(snapshot_download(encoder.model, ignore_patterns=[*_FOREIGN, "onnx/*", "openvino/*"]))
    shutil.copytree(source, folder, dirs_exist_ok=True, ignore=_not_needed)
    modules: list[Module] = parsing.value(listed)
    while modules[-1]["type"].endswith(".Normalize"):
        shutil.rmtree(folder / modules.pop()["path"], ignore_errors=True)
    if encoder.max_length is not None:
        _change(folder / modules[0]["path"] / "sentence_bert_config.json", {"max_seq_length": encoder.max_length})
    if encoder.instruction:
        path = folder / "config_sentence_transformers.json"
        prompts = _settings(path).get("prompts") or {}
        _change(path, {"prompts": {**prompts, "query": f"{prompts.get('query') or ''}{encoder.instruction} "}})
    if (folder / "README.md").exists():
        (folder / "README.md").rename(folder / "README.base.md")
    return modules


def dense(filter: EmbedFilter, folder: Path, path: str) -> Module:
    """Writes the filter as a `Dense` without activation, with a bias if it has a mean; returns the module."""
    kept, width = filter.basis.shape
    tensors = {"linear.weight": filter.basis}
    if filter.mean is not None:
        tensors["linear.bias"] = filter.bias
    settings = {
        "in_features": width,
        "out_features": kept,
        "bias": filter.mean is not None,
        "activation_function": "torch.nn.modules.linear.Identity",
    }
    store.write_json(folder / path / "config.json", settings)
    checkpoints.write_tensors(folder / path / "model.safetensors", tensors)
    return module("Dense", path)


def module(kind: str, path: str) -> Module:
    """Returns the entry of `modules.json` for a standard module, under the name that every release knows."""
    return {"path": path, "type": f"sentence_transformers.models.{kind}"}


def _loaded(encoder: HFEncoder) -> tuple[Any, Any]:
    """The model without its head, in the checkpoint's own type, which is the smallest that loses nothing; the tokenizer."""
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        tokenizer = AutoTokenizer.from_pretrained(encoder.model, trust_remote_code=False)
        model = AutoModelForCausalLM.from_pretrained(encoder.model, dtype="auto", trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().partition("\n")[0][:160]
        raise RarityError(f"{encoder.model} does not load as a causal language model ({reason})") from None
    return model.base_model, tokenizer


def _write_tokenizer(text: Templated, length: int, folder: Path) -> None:
    text.tokenizer.save(str(folder / "tokenizer.json"))
    before = json.loads(text.tokenizer.to_str())["pre_tokenizer"] or {}
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",  # reads tokenizer.json and adds nothing
        "model_max_length": length,
        "pad_token": text.pad,
        "padding_side": "right",
        "truncation_side": "right",
        "clean_up_tokenization_spaces": False,
        # transformers 4 writes this into the tokenizer, whatever tokenizer.json says.
        "add_prefix_space": before.get("add_prefix_space", False),
        "model_input_names": ["input_ids", "attention_mask"],
    }
    store.write_json(folder / "tokenizer_config.json", settings)


def _all_but(bos: int, vocabulary: int, folder: Path) -> Module:
    """Weights by which a mean over all tokens becomes one over all but the bos token."""
    # Ids as names: by their text the module would take tokens that differ in case for one another.
    names = [str(i) for i in range(vocabulary)]
    weights = {"vocab": names, "word_weights": {str(bos): _NEXT_TO_NOTHING}, "unknown_word_weight": 1}
    found = module("WordWeights", "1_WordWeights")
    store.write_json(folder / found["path"] / "config.json", weights)
    return found


def _pooling(encoder: HFEncoder, folder: Path, path: str) -> Module:
    modes = {f"pooling_mode_{mode}": mode == POOLED[encoder.pooling] for mode in _MODES}
    settings = {"word_embedding_dimension": encoder.dim, **modes, "include_prompt": True}
    store.write_json(folder / path / "config.json", settings)
    return module("Pooling", path)


def _not_needed(folder: str, names: Sequence[str]) -> set[str]:
    """What is not copied: weights for other libraries, and pickled ones where safetensors stand beside them."""
    skipped = set(shutil.ignore_patterns(*_FOREIGN)(folder, list(names)))
    if any(name.endswith(".safetensors") for name in names):
        skipped |= {name for name in names if name.startswith("pytorch_model") and name.endswith((".bin", ".bin.index.json"))}
    return skipped


def _settings(path: Path) -> dict[str, Json]:
    return parsing.mapping(path) if path.exists() else {}


def _change(path: Path, changes: dict[str, Json]) -> None:
    store.write_json(path, {**_settings(path), **changes})
