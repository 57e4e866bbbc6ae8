"""What libraries of other languages read: FAISS's and Seismic's indexes, and tokenizers.

Their readers are not made for hostile bytes: FAISS's and Seismic's may end the process. So what stands before them is fuzzed with
them: the manifest, or the checksum beside the file, by which a changed file is refused before they see it. There is no `seal`.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from tiny import STORIES

from rarityir import counts, store
from rarityir.indexes.approximate import FaissIndex, Kind
from rarityir.rarity.tokenizing import Tokenizing
from rarityir.types import Impacts, RarityError

Made = tuple[Callable[[Path, Random], Any], Callable[[Path], Any], Callable[[Path], None] | None]
KINDS = ("hnsw,4", "ivf4", "ivf2,sq8", "sq8", "pq2")
WIDTH = 4


def _faiss(folder: Path, rng: Random) -> None:
    x_NK = np.random.default_rng(rng.randrange(2**32)).standard_normal((300, WIDTH)).astype(np.float32)
    kind = rng.choice(KINDS)
    facts: dict[str, Any] = {}
    with store.building(folder, {"index": kind}, facts) as needed:
        assert needed
        facts.update(FaissIndex.build(Kind.parse(kind), [x_NK], folder))


def _read_faiss(folder: Path) -> None:
    identity = store.described(folder)["identity"]
    store.opened(folder, identity)  # as a retriever does
    kind = identity.get("index")
    if kind not in KINDS:
        raise RarityError(f"{folder} is of another kind")
    hits = FaissIndex.open(Kind.parse(kind), folder).search(np.ones((2, WIDTH), np.float32), 3)
    assert hits.rows.shape == (2, 3)


def _seismic(folder: Path, rng: Random) -> None:
    from rarityir.indexes.seismic import SeismicIndex

    ids = np.array([token for _ in range(60) for token in sorted(rng.sample(range(40), 3))], np.int64)
    values = np.array([rng.uniform(0.1, 3) for _ in ids], np.float32)
    SeismicIndex.build(Impacts(np.arange(61, dtype=np.int64) * 3, ids, values, 40), folder)


def _read_seismic(folder: Path) -> None:
    from rarityir.indexes.seismic import SeismicIndex

    found = SeismicIndex.load(folder)
    found.search(Impacts(np.array([0, 2]), np.array([0, 1]), np.ones(2, np.float32), found.vocabulary), 3)


def _tokenizer(folder: Path, rng: Random) -> None:
    """One that is small, of one of the models that tokenizers have."""
    words = ["<s>", "</s>", "▁", "a", "b", "c", "▁a", "ab", "▁ab", "é"]
    vocabulary: Any = {word: number for number, word in enumerate(words)}
    model = {
        "BPE": {"vocab": vocabulary, "merges": ["▁ a", "a b", "▁a b"], "unk_token": "<s>", "byte_fallback": False},
        "WordPiece": {"vocab": vocabulary, "unk_token": "<s>", "continuing_subword_prefix": "##", "max_input_chars_per_word": 50},
        "Unigram": {"vocab": [[word, -1.0 - number] for number, word in enumerate(words)], "unk_id": 0, "byte_fallback": False},
        "WordLevel": {"vocab": vocabulary, "unk_token": "<s>"},
    }
    kind = rng.choice(sorted(model))
    said = json.loads((STORIES / "tokenizer.json").read_text(encoding="utf-8"))
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    said["added_tokens"] = [{"id": n, "content": words[n], **flags, "special": True} for n in range(2)]
    said["model"] = {"type": kind, **model[kind]}
    said["normalizer"] = rng.choice(
        (said["normalizer"], {"type": "NFKC"}, {"type": "Replace", "pattern": {"Regex": "b+"}, "content": "b"})
    )
    said["pre_tokenizer"] = rng.choice(
        (
            None,
            {"type": "Whitespace"},
            {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
            {"type": "Split", "pattern": {"Regex": "\\s+|\\p{L}+"}, "behavior": "Isolated", "invert": False},
        )
    )
    (folder / "tokenizer.json").write_text(json.dumps(said, ensure_ascii=False), encoding="utf-8")
    shutil.copy(STORIES / "config.json", folder / "config.json")


def _read_tokenizer(folder: Path) -> None:
    found = Tokenizing.of(str(folder))
    for ids in found.encode(["a ab b", "", "é <s> ab\n\ud7ff"]):
        assert all(0 <= token < found.vocabulary for token in ids)
    assert counts.real_rows(str(folder), 8).shape == (8,)


PARSERS: dict[str, Made] = {
    "FAISS's indexes": (_faiss, _read_faiss, None),
    "tokenizers": (_tokenizer, _read_tokenizer, None),
}
if importlib.util.find_spec("seismic") is not None:
    PARSERS["Seismic's indexes"] = (_seismic, _read_seismic, None)
