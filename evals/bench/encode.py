"""Encoding against sentence-transformers: the same model, texts and type, both on all cores of this machine, taking turns.

Texts of 5 to 500 tokens, drawn once. Theirs is the encoder as `rarityir export` writes it, read by `SentenceTransformer.encode`
(batches of 32, as it comes) in one process with a torch thread a core; and by its own pool of processes, one a core. All
processes run before the clock starts. A ratio is the median of the rounds'; the vectors must agree.

The models: the demo model, and one of Qwen2-0.5B's shape with random weights and a small vocabulary, which takes minutes on two
cores; RARITYIR_BENCH_QWEN=0 leaves it out.
"""

from __future__ import annotations

import json
import logging
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from evals.bench.goals import at_least, at_most
from rarityir import load_encoder
from rarityir.datasets import load_dataset
from rarityir.encoders.hf import HFEncoder
from rarityir.encoders.workers import Read, Window

TEXTS, ROUNDS = int(os.environ.get("RARITYIR_BENCH_TEXTS", "400")), int(os.environ.get("RARITYIR_BENCH_ROUNDS", "3"))
FEW = 16  # for the larger model
SHAPE = {
    "hidden_size": 896,
    "num_hidden_layers": 24,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "intermediate_size": 4864,
}
GOALS = {r"demo.* ours / st": at_least(1.5), r"0.5B.* ours / st": at_least(1.5), ".* largest difference": at_most(1e-4)}


def bench() -> dict[str, float | str]:
    import torch

    cores = len(os.sched_getaffinity(0))
    torch.set_num_threads(cores)
    logging.getLogger("transformers").setLevel(logging.ERROR)
    figures: dict[str, float | str] = {"cores": cores}
    with tempfile.TemporaryDirectory() as place:
        figures |= _compared(
            "demo", load_encoder("demo", device="cpu", max_length=500, workers=cores), TEXTS, Path(place) / "demo"
        )
        if os.environ.get("RARITYIR_BENCH_QWEN", "1") != "0":
            _write_larger(Path(place) / "qwen")
            larger = load_encoder(str(Path(place) / "qwen"), device="cpu", workers=cores)
            figures |= _compared("0.5B", larger, FEW, Path(place) / "st")
    return figures


def _compared(name: str, encoder: Any, count: int, folder: Path) -> dict[str, float | str]:
    from sentence_transformers import SentenceTransformer

    assert isinstance(encoder, HFEncoder)
    export(encoder, folder)
    peer = SentenceTransformer(str(folder), device="cpu")
    texts = drawn(encoder, count)
    tokens = sum(map(len, encoder.tokenize(texts)))
    with ExitStack() as stack:
        read = stack.enter_context(encoder.reading(10**6))
        pool = peer.start_multi_process_pool(["cpu"] * len(os.sched_getaffinity(0)))
        stack.callback(peer.stop_multi_process_pool, pool)
        sides: dict[str, Callable[[list[str]], Any]] = {
            "ours": lambda some: ours(read, some, encoder.dim),
            "st": lambda some: peer.encode(some, show_progress_bar=False),
            "st pool": lambda some: peer.encode(some, pool=pool, show_progress_bar=False),
        }
        for side in sides.values():
            side(texts[:8])
        rates, vectors = timed(sides, texts, tokens)
    error = max(float(np.abs(vectors["ours"] - vectors[side]).max()) for side in ("st", "st pool"))
    if error > 1e-4:
        raise SystemExit(f"{name}: our vectors differ from sentence-transformers' by {error:.2g}")
    figures: dict[str, float | str] = {f"{name} texts": count, f"{name} tokens": tokens, f"{name} largest difference": error}
    for side, found in rates.items():
        figures[f"{name} {side} tokens/s"] = statistics.median(found)
    for side in ("st", "st pool"):
        ratios = [mine / its for mine, its in zip(rates["ours"], rates[side], strict=True)]
        figures[f"{name} ours / {side}"] = statistics.median(ratios)
        figures[f"{name} ours / {side}, lowest"] = min(ratios)
    return figures


def export(encoder: Any, folder: Path) -> None:
    """Writes an encoder as sentence-transformers reads it, without a filter."""
    from rarityir.integrations.portable import written

    folder.mkdir()
    modules = written(encoder, folder)
    (folder / "modules.json").write_text(json.dumps([{"idx": i, "name": str(i), **m} for i, m in enumerate(modules)]))


def timed(
    sides: dict[str, Callable[[list[str]], Any]], texts: list[str], tokens: int
) -> tuple[dict[str, list[float]], dict[str, Any]]:
    rates: dict[str, list[float]] = {side: [] for side in sides}
    vectors = {}
    for _ in range(ROUNDS):
        for side, encode in sides.items():
            started = time.perf_counter()
            vectors[side] = encode(texts)
            rates[side].append(tokens / (time.perf_counter() - started))
            print(f"  {side}: {rates[side][-1]:,.0f} tokens/s", flush=True)
    return rates, vectors


def ours(read: Read, texts: list[str], dim: int) -> Any:
    found = np.empty((len(texts), dim), np.float32)
    for piece in read([Window(0, texts, np.ones(len(texts), bool))]):
        found[piece.rows] = piece.embeddings
    return found


def drawn(encoder: HFEncoder, count: int) -> list[str]:
    """Stretches of the demo collection's text, of 5 to 500 of the encoder's tokens, as many short as long."""
    rng = random.Random(0)
    words = " ".join(doc.text for doc in load_dataset("cranfield").docs()).split()[: 600 * 400]
    return list(_stretches(encoder, words, [rng.randint(5, 500) for _ in range(count)], rng))


def _stretches(encoder: HFEncoder, words: list[str], lengths: list[int], rng: random.Random) -> Iterator[str]:
    for length in lengths:
        start = rng.randrange(len(words) - length)
        counts = np.cumsum([len(ids) for ids in encoder.tokenize(words[start : start + length])])
        yield " ".join(words[start : start + max(1, int(np.searchsorted(counts, length, "right")))])


def _write_larger(folder: Path) -> None:
    """A model of Qwen2-0.5B's shape, with random weights and the demo model's tokenizer."""
    import torch
    from transformers import AutoTokenizer, Qwen2Config, Qwen2ForCausalLM

    from rarityir import checkpoints

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(checkpoints.MODELS["demo"]["model"])
    config = Qwen2Config(vocab_size=len(tokenizer), bos_token_id=0, eos_token_id=0, tie_word_embeddings=True, **SHAPE)
    Qwen2ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
