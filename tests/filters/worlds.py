"""What the filter tests share: sources of random matrices, counts that follow Zipf's law, worlds with planted frequency."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from rarityir.counts import TokenCounts
from rarityir.filters import EmbedFilter, Source, Unembedding
from rarityir.filters.fitting import fit
from rarityir.filters.source import Affine
from rarityir.systems import Part

STORIES = Path(__file__).parents[1] / "models" / "stories260K"
DOCS, QUERIES = 2000, 200
NUISANCE = {"both ends": np.r_[0:32, 96:128], "middle": np.r_[32:96], "bottom": np.r_[64:128], "top": np.r_[0:64]}


def zipf(vocabulary: int, total: int = 10**9) -> TokenCounts:
    """Counts that fall as one over the token's id; so many that smoothing changes nothing."""
    return TokenCounts((total / np.arange(1, vocabulary + 1)).astype(np.int64), "zipf")


def source_of(
    matrix: np.ndarray | None,
    cache: Path,
    counts: TokenCounts | None = None,
    documents: np.ndarray | None = None,
    model: str | None = None,
    block: int = 700,
) -> Source:
    """A source whose documents come in blocks."""

    def blocks() -> Iterator[np.ndarray]:
        for start in range(0, len(documents), block):
            yield documents[start : start + block]

    return Source(
        None if matrix is None else Unembedding.of(matrix, model),
        None if counts is None else lambda _: counts,
        None if documents is None else blocks,
        cache=cache,
    )


def affine(name: str, source: Source) -> Affine:
    """A filter's map in float64, so that only the algebra is judged."""
    return fit([Part.parse(part) for part in name.split("+")], source)


def projector(rows: np.ndarray) -> np.ndarray:
    return rows.T @ rows


def apart(a: np.ndarray, b: np.ndarray) -> float:
    """The sine of the largest angle between what two sets of orthonormal rows span; 1 where they span unlike widths."""
    return float(np.linalg.norm(projector(a) - projector(b), 2))


def model_folder(folder: Path, head: np.ndarray, norm: dict[str, np.ndarray] | None = None, **config: object) -> str:
    """A model folder with an output head and a final norm alone, and the small tokenizer of 512 tokens."""
    folder.mkdir(parents=True)
    norm = norm or {"weight": np.ones(head.shape[1], np.float32)}
    tensors = {f"model.norm.{name}": value for name, value in norm.items()}
    save_file({"lm_head.weight": np.ascontiguousarray(head), **tensors}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "tie_word_embeddings": False, **config}))
    shutil.copy(STORIES / "tokenizer.json", folder)
    return str(folder)


@dataclass(frozen=True)
class World:
    """Documents and queries, and the source of an unembedding in whose directions they were written."""

    source: Source
    docs: np.ndarray
    queries: np.ndarray
    planted: np.ndarray

    def ndcg(self, docs: np.ndarray | None = None, queries: np.ndarray | None = None) -> float:
        """The mean nDCG@10 by cosine, where query i's one relevant document is row i."""
        docs, queries = self.docs if docs is None else docs, self.queries if queries is None else queries
        unit = docs / np.linalg.norm(docs, axis=1, keepdims=True)  # a query's own length changes no ranking
        scores = queries @ unit.T
        ranks = 1 + (scores > np.diagonal(scores)[:, None]).sum(axis=1)
        return float(np.where(ranks <= 10, 1 / np.log2(1 + ranks), 0).mean())

    def filtered(self, name: str) -> float:
        chosen = EmbedFilter.fit(self.source, name)
        return self.ndcg(chosen(self.docs), chosen(self.queries))

    def counted(self, counts: TokenCounts) -> Source:
        return replace(self.source, counts=lambda _: counts)


def build(where: str, seed: int, cache: Path) -> World:
    """Texts carry their content in some right singular vectors, and a nuisance, common to all and large, in the others.

    The left singular vectors of the others hold Zipf's log frequencies. A query is its document's content with noise.
    """
    rng, vocabulary, width = np.random.default_rng(seed), 4000, 128
    nuisance = NUISANCE[where]
    content = np.setdiff1d(np.arange(width), nuisance)
    half = len(nuisance)
    profile = -np.log(np.arange(1, vocabulary + 1))
    left = rng.standard_normal((vocabulary, width))
    left[:, nuisance] += (profile - profile.mean())[:, None]
    left, right = np.linalg.qr(left)[0], np.linalg.qr(rng.standard_normal((width, width)))[0]
    # Orthogonalising left most of the frequency to the first of them; a reflection shares it out evenly.
    held = left[:, nuisance].T @ (profile - profile.mean())
    normal = held / np.linalg.norm(held) - 1 / np.sqrt(half)
    left[:, nuisance] -= 2 * np.outer(left[:, nuisance] @ normal, normal) / (normal @ normal)
    unembed_VD = ((left * np.geomspace(10, 0.1, width)) @ right.T).astype(np.float32)
    common = rng.standard_normal(half)
    common *= 2 / np.linalg.norm(common)
    meant = rng.standard_normal((DOCS, half)) / 8
    asked = meant[:QUERIES] + 2 * rng.standard_normal((QUERIES, half)) / 8

    def texts(said: np.ndarray) -> np.ndarray:
        noise = common + 1.5 * rng.standard_normal(said.shape) / 8
        return said @ right[:, content].T + noise @ right[:, nuisance].T

    docs = texts(meant)
    return World(source_of(unembed_VD, cache, zipf(vocabulary), docs), docs, texts(asked), nuisance)
