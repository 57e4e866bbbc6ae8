"""Any Hugging Face causal language model as an encoder, with no modelling code of any architecture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from rarityir import checkpoints, registry
from rarityir.counts import readable
from rarityir.encoders import files, forward, packing, workers
from rarityir.encoders.batching import Execution, batches
from rarityir.encoders.prompts import POOLINGS, WEIGHTED, Pooling, Templated, lay_out
from rarityir.encoders.vocabulary import surface_forms
from rarityir.types import Floats, Json, RarityError, UnknownName
from rarityir.weights import TokenWeights

CPU_TOKENS, GPU_TOKENS = 1024, 16384  # in a batch: a CPU's stay in its caches, a GPU's fill it


def load(
    name: str,
    *,
    pooling: str | None,
    instruction: str,
    max_length: int | None,
    device: str,
    dtype: str,
    batch_tokens: int,
    execution: Execution,
) -> HFEncoder:
    """Returns the encoder of a short name, hub id or local path; weights are read when something is first encoded."""
    preset = checkpoints.MODELS.get(name, {"model": name})
    pooling, _, weights = (pooling or preset.get("pooling", "mean")).partition(":")
    if pooling not in (*POOLINGS, WEIGHTED):
        raise UnknownName(registry.unknown("pooling", pooling, (*POOLINGS, WEIGHTED)))
    if (pooling == WEIGHTED) != bool(weights):
        raise RarityError(f"pooling {pooling}: {WEIGHTED}:FOLDER names the tokens' weights, and other poolings take none")
    digest = TokenWeights.read(weights).digest if weights else ""
    if dtype not in ("auto", "float32", "bfloat16", "float16"):
        raise UnknownName(registry.unknown("dtype", dtype, ("auto", "float32", "bfloat16", "float16")))
    if max_length is not None and max_length < 1:
        raise RarityError(f"max_length is {max_length}; at least one token of a text must be read")
    tag = Path(name).resolve().name if name not in checkpoints.MODELS and Path(name).is_dir() else name
    variant = ",".join(
        [f"pooling={pooling}{f':{digest[:12]}' if digest else ''}"] * (preset.get("pooling", "mean") != pooling)
        + [f"max_length={max_length}"] * (max_length is not None)
    )
    return HFEncoder(
        name=f"{tag}?{variant}" if variant else tag,
        model=preset["model"],
        pooling=pooling,
        instruction=instruction,
        max_length=max_length or preset.get("max_length", 512),
        device=device,
        dtype=dtype,
        batch_tokens=batch_tokens,
        execution=execution,
        token_weights=weights,
    )


@dataclass(frozen=True)
class HFEncoder:
    """Embeds texts with the states after a causal LM's final norm, pooled in float32 and not normalised.

    Those states are what the unembedding multiplies, which is checked on the first batch: the head applied to them must
    rank the vocabulary as the model's own logits do.
    """

    name: str
    model: str
    pooling: str
    instruction: str = ""
    max_length: int = 512
    device: str = "auto"
    dtype: str = "auto"
    batch_tokens: int = 0
    execution: Execution = field(default_factory=Execution)
    token_weights: str = ""  # a folder or file, where the pooling weighs tokens by one

    @property
    def dim(self) -> int:
        """The embeddings' width D."""
        return int(self._rows.shape[1])

    def identity(self) -> dict[str, Json]:
        """Returns what a document's embedding depends on: weights, pooling, template, length, arithmetic and its releases."""
        layout = self._layout
        return {
            **self._weights,
            "pooling": f"{WEIGHTED}:{TokenWeights.read(self.token_weights).digest}" if self.token_weights else self.pooling,
            "template": list(layout.template),
            "max_length": self.max_length,
            "torch": version("torch").partition("+")[0],
            "transformers": version("transformers"),
            "dtype": self.arithmetic,
            **({"attention": self.execution.attention} if self.execution.attention != "auto" else {}),
            **({"compile": True} if self.execution.compile else {}),
            **({"products": "oneDNN"} if self._packs else {}),
        }

    def check_device(self) -> None:
        """Raises `RarityError` unless the device that was asked for can be used here."""
        forward.check_device(self.device)

    @property
    def arithmetic(self) -> str:
        """The type that the model computes in."""
        return self.dtype if self.dtype != "auto" else "float32" if self.torch_device == "cpu" else "bfloat16"

    @property
    def budget(self) -> int:
        """Tokens in one batch of a corpus, padding included."""
        return self.batch_tokens or (CPU_TOKENS if self.torch_device == "cpu" else GPU_TOKENS)

    def encode_document(self, texts: Sequence[str]) -> Floats:
        """Returns the (N, D) float32 embeddings of documents. A state that is not finite is an error, never a zero."""
        return self._encode(texts)

    def encode_query(self, texts: Sequence[str]) -> Floats:
        """Returns the (N, D) float32 embeddings of queries: the instruction, where there is one, then the query."""
        return self._encode([f"{self.instruction} {text}" for text in texts] if self.instruction else texts)

    def unembedding(self) -> Floats:
        """Returns the (V, D) float32 unembedding: every stored row, padded ones included, without bias."""
        return self._rows if isinstance(self._rows, np.ndarray) else self._rows.array()

    def unembedding_bias(self) -> Floats | None:
        """Returns the (V,) bias of the output head, None where it has none."""
        if isinstance(self._rows, checkpoints.Rows):
            return checkpoints.bias(self._rows)
        bias = self._lm.get_output_embeddings().bias
        return None if bias is None else np.asarray(bias.detach().float().cpu().numpy())

    def causal(self) -> tuple[Any, Any]:
        """Returns the loaded model with its head, and its tokenizer; a weight that its files lack is an error."""
        model, missing = self._loaded
        if missing:
            raise RarityError(f"{self.model} lacks {len(missing)} weights, such as {min(missing)}; download the model again")
        return model, self._tokenizer

    def tokens(self) -> Sequence[str | None]:
        """Returns each unembedding row's surface form; None for special, byte and padded rows."""
        return surface_forms(self._tokenizer, self._rows.shape[0])

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Returns each text's token ids, without special tokens and not cut."""
        ids: list[list[int]] = self._read([self._spaced + t for t in texts])["input_ids"]
        return ids

    def _read(self, texts: Sequence[str], **how: Any) -> Any:
        with readable(self.model):
            return self._tokenizer(texts, add_special_tokens=False, **how)

    @property
    def _layout(self) -> Pooling:
        """How texts are laid out and which states are averaged; weights of tokens change neither."""
        return POOLINGS["mean" if self.pooling == WEIGHTED else self.pooling]

    @cached_property
    def _weight_of(self) -> Any:
        """What each token weighs in the mean (V,), a tensor; None where that depends on no token."""
        import torch

        if not self.token_weights:
            return None
        weight_V = torch.from_numpy(TokenWeights.read(self.token_weights).of_ids(self.tokens())).float()
        if not bool((weight_V > 0).any()):
            raise RarityError(f"{self.token_weights} gives no token any weight, so nothing can be averaged by it")
        return weight_V

    @cached_property
    def _rows(self) -> Any:
        try:
            return checkpoints.unembedding(self.model)
        except checkpoints.HeadNotFound:  # weights in another format than safetensors, or an unusual name
            model, missing = self._loaded
            head = model.get_output_embeddings()
            if head is None or any(model.get_parameter(name) is head.weight for name in missing):
                raise
            return head.weight.detach().float().cpu().numpy()

    @cached_property
    def torch_device(self) -> str:
        """The device that torch is told: the one asked for, or the best there is."""
        import torch

        if self.device != "auto":
            return self.device
        return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"

    @cached_property
    def _tokenizer(self) -> Any:
        return files.tokenizer(self.model)

    @cached_property
    def _config(self) -> Any:
        return files.config(self.model)

    @cached_property
    def _spaced(self) -> str:
        """A space where the tokenizer does not itself write one before the first word, so a word is one token anywhere."""
        first = self._tokenizer.convert_ids_to_tokens(self._read(["a"])["input_ids"][0])[:1]
        return "" if first and first[0][:1] in ("▁", "Ġ") else " "

    @property
    def _ends(self) -> tuple[int, int]:
        """The ids that open and close a text; one stands for the other where a tokenizer lacks it."""
        tokenizer = self._tokenizer
        eos = next((t for t in (tokenizer.eos_token_id, tokenizer.sep_token_id, tokenizer.bos_token_id) if t is not None), 0)
        return tokenizer.bos_token_id if tokenizer.bos_token_id is not None else eos, eos

    @cached_property
    def _length(self) -> int:
        """The tokens of a text that are read: `max_length`, or fewer where its positions end before that."""
        places = getattr(self._config.get_text_config(), "max_position_embeddings", None)
        if not places:
            return self.max_length
        layout = self._layout
        around = 2 + sum(map(len, self._tokenizer([part for part in layout.template if part] or ["a"])["input_ids"]))
        room: int = (places - around - 8 * layout.joint) // (len(layout.template) - 1)  # joined, a cut text may split anew
        if room < 1:
            raise RarityError(f"{self.name}: the template of {self.pooling} alone fills the model's {places} positions")
        return min(self.max_length, room)

    @property
    def _lm(self) -> Any:
        return self._loaded[0]

    @cached_property
    def _weights(self) -> dict[str, str]:
        return checkpoints.fingerprint(self.model)

    @cached_property
    def _loaded(self) -> tuple[Any, set[str]]:
        """The model on its device, and the names of parameters that its files lack."""
        self.check_device()
        _ = self._weights  # before they are read: what is in the folder later is another model
        model, missing = files.causal_lm(self.model, self.arithmetic, self.execution.attention)
        try:
            model.to(self.torch_device).eval()
        except (RuntimeError, AssertionError) as error:  # torch raises either for a device that is not there
            raise RarityError(f"device {self.device!r} cannot be used ({files.first_line(error)}); try --device cpu") from None
        forward.check_space(model, self.model)
        return model, missing

    @cached_property
    def _base(self) -> Any:
        """What gives the states: the model without its head, compiled where asked, its weights packed on a CPU."""
        import torch

        if self.execution.compile:
            return torch.compile(self._lm.base_model, dynamic=True)
        base = self._lm.base_model
        if not self._packs:
            return base
        return packing.packed(
            base, lambda: base(input_ids=forward.few(self._lm), use_cache=False), self._lm.get_output_embeddings()
        )

    @cached_property
    def _packs(self) -> bool:
        """Whether products are oneDNN's."""
        plain = self.torch_device == "cpu" and self.arithmetic == "float32" and not self.execution.compile
        return plain and packing.serves()

    def reading(self, documents: int) -> AbstractContextManager[workers.Read]:
        """Gives what reads windows of so many documents, by as many workers as `execution` says."""
        _ = self.dim
        if self.torch_device != "cuda" or workers.worker_count(self, documents) == 1:
            _ = self._base, self._weight_of  # loaded once: a CPU's workers share it; each of several GPUs loads its own
        return workers.reading(self, documents)

    def operations(self) -> int:
        """Returns the floating-point operations that the layers' matrices cost a token: two a parameter."""
        import torch
        from transformers import AutoModelForCausalLM

        if "_loaded" in self.__dict__:
            model = self._lm
        else:
            with torch.device("meta"):  # shapes alone, as the weights may be wanted elsewhere
                model = AutoModelForCausalLM.from_config(self._config)
        read = model.get_input_embeddings().weight.numel()  # looked up, not multiplied
        return 2 * int(sum(p.numel() for p in model.base_model.parameters()) - read)

    def launch(self, sequences: Sequence[Templated]) -> list[Any]:
        """Returns the pooled (B, D) tensors of a batch's parts, in order, still under way where the device is a GPU."""
        weighted, weight_V = self._layout.states == "weighted-mean", self._weight_of

        def read(part: Sequence[Templated]) -> Any:
            return forward.pooled(forward.states(self._base, part), part, weight_V, weighted=weighted)

        return forward.fitting(sequences, read, self.name)

    def fetch(self, part: Any) -> Floats:
        """Returns one of the tensors as an array, after checking that it is finite."""
        return forward.array(part, self.arithmetic, self.name)

    def document_states(self, texts: Sequence[str]) -> list[Floats]:
        """Returns each document's (T, D) float32 states that its embedding is pooled from, weights left aside."""
        found: list[Floats] = []
        places: list[int] = []

        def read(part: Sequence[Templated]) -> list[Floats]:
            states_BTD = forward.states(self._base, part)
            return [self.fetch(states_BTD[row, s.start : s.stop].float()) for row, s in enumerate(part)]

        for rows, sequences in self._batches(texts):
            places += rows
            found += [x_TD for part in forward.fitting(sequences, read, self.name) for x_TD in part]
        return [found[i] for i in np.argsort(places, kind="stable")]

    @property
    def width(self) -> int:
        """The width of the states between layers, which a few models' heads do not share."""
        return int(self._lm.config.get_text_config().hidden_size)

    @property
    def layers(self) -> int:
        """The number of the model's layers; layer 0 is their input."""
        return int(self._lm.config.get_text_config().num_hidden_layers)

    def alone(self, token_ids: Sequence[int]) -> list[Templated]:
        """Returns each token by itself behind the token that opens a text."""
        return [Templated([self._ends[0], token], 1, 2) for token in token_ids]

    def layer_states(self, sequences: Sequence[Templated], layer: int) -> list[Floats]:
        """Returns each sequence's (T, D) float32 states of its span after so many layers; after the last comes the final norm."""

        def read(part: Sequence[Templated]) -> list[Floats]:
            states_BTD = forward.states(self._base, part, layer)
            return [self.fetch(states_BTD[row, s.start : s.stop].float()) for row, s in enumerate(part)]

        found: dict[int, Floats] = {}
        for rows in batches([len(s.ids) for s in sequences], self.budget):
            parts = forward.fitting([sequences[i] for i in rows], read, self.name)
            found.update(zip(rows, (x_TD for part in parts for x_TD in part), strict=True))
        return [found[i] for i in range(len(sequences))]

    def _encode(self, texts: Sequence[str]) -> Floats:
        out = np.empty((len(texts), self.dim), np.float32)
        for rows, sequences in self._batches(texts):
            out[rows] = np.concatenate([self.fetch(part) for part in self.launch(sequences)])
        return out

    def _batches(self, texts: Sequence[str]) -> Iterator[tuple[list[int], list[Templated]]]:
        """Batches of a few texts, which all of torch's threads read together, so that large ones serve better."""
        _ = self.dim  # first: it says best what an unknown or half model lacks
        laid_out = self.lay_out(texts)
        for rows in batches([len(s.ids) for s in laid_out], self.batch_tokens or GPU_TOKENS):
            yield rows, [laid_out[i] for i in rows]

    def lay_out(self, texts: Sequence[str]) -> list[Templated]:
        """Returns each text's tokens, cut and within the template, with the span that is pooled."""
        layout = self._layout
        bos, eos = self._ends
        if layout.joint:
            before, after = layout.template
            filled = [before + text + after for text in self._cut(texts)]
            joined = self._read(filled)["input_ids"] if filled else []
            return [Templated([bos, *ids], len(ids), len(ids) + 1) for ids in joined]
        parts = [self._read([part])["input_ids"][0] if part else [] for part in layout.template]
        spaced = [self._spaced + text for text in texts]
        cut = {"truncation": True, "max_length": self._length}
        bodies = self._read(spaced, **cut)["input_ids"] if spaced else []
        sequences = [lay_out(parts, body, bos, eos) for body in bodies]
        if layout.states == "last":
            return [Templated(s.ids, len(s.ids) - 1, len(s.ids)) for s in sequences]
        return sequences

    def _cut(self, texts: Sequence[str]) -> list[str]:
        """Texts cut after `max_length` tokens, as text: the template is filled afterwards and never cut."""
        if not texts:
            return []
        found = self._read(list(texts), truncation=True, max_length=self._length, return_offsets_mapping=True)
        ends = [spans[-1][1] if spans else 0 for spans in found["offset_mapping"]]
        return [text[:end] for text, end in zip(texts, ends, strict=True)]
