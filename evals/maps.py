"""Trains the small models that evals/modelmap maps: `python -m evals.maps CORPUS.jsonl.gz OUT [steps]`.

Two Llamas of width 96 with the demo model's tokenizer, from one initialisation, on two slices of the corpus: scientific
abstracts, and everything else. Checkpoints are kept as ordinary model folders, `science-10` after ten steps.
"""

from __future__ import annotations

import gzip
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import torch
import transformers
from transformers import LlamaConfig, LlamaForCausalLM

from rarityir import checkpoints

KEPT = (5, 10, 20, 40, 80, 160, 320)
SCIENCE = ("scifact", "nfcorpus", "cranfield", "lisa")
ROWS, LENGTH = 16, 128


def slices(corpus: Path, wanted: int) -> dict[str, list[str]]:
    """As many characters of either slice, documents in the corpus's order of a fixed shuffle."""
    found: dict[str, list[str]] = {"science": [], "other": []}
    size = dict.fromkeys(found, 0)
    with gzip.open(corpus, "rt", encoding="utf-8") as file:
        documents = [json.loads(line) for line in file]
    for at in np.random.default_rng(0).permutation(len(documents)):
        name = "science" if documents[at]["source"].lower().startswith(SCIENCE) else "other"
        if size[name] < wanted:
            found[name].append(documents[at]["text"][:4000])
            size[name] += len(found[name][-1])
    return found


def train(name: str, texts: list[str], out: Path, steps: int) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoints.DEMO)
    ids = np.concatenate([[*of, tokenizer.eos_token_id or 0] for of in tokenizer(texts, add_special_tokens=False)["input_ids"]])
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=96, num_hidden_layers=3, num_attention_heads=4, intermediate_size=256,
        max_position_embeddings=512, tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01)
    rng = np.random.default_rng(1)
    for step in range(1, steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * min(1, step / 20)
        starts = rng.integers(0, len(ids) - LENGTH, ROWS)
        batch = torch.tensor(np.stack([ids[s : s + LENGTH] for s in starts]), dtype=torch.long)
        loss = model(input_ids=batch, labels=batch).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step in KEPT:
            folder = out / f"{name}-{step}"
            model.save_pretrained(folder)
            for file in ("tokenizer.json", "tokenizer_config.json"):
                shutil.copy(checkpoints.DEMO / file, folder / file)
            print(f"{folder.name}: loss {loss.item():.3f}", flush=True)


def main() -> None:
    steps = int(sys.argv[3]) if len(sys.argv) > 3 else 160
    for name, texts in slices(Path(sys.argv[1]), 4_000_000).items():
        train(name, texts, Path(sys.argv[2]), steps)


if __name__ == "__main__":
    main()
