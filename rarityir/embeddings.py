"""Raw document embeddings, block by block: kept under `indexes/<corpus>/<encoder>/embeddings`, resumed after a kill."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from rarityir import progress, store
from rarityir.corpus import Corpus
from rarityir.filters import EmbedFilter
from rarityir.systems import slug
from rarityir.types import Dataset, Encoder, Floats, Json, RarityError

BLOCK = 512
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Embeddings:
    """The (N, D) float32 embeddings of a corpus in row order, as memory-mapped blocks."""

    folder: Path
    paths: tuple[Path, ...]
    identity: dict[str, Json]
    seconds: float

    def __iter__(self) -> Iterator[Floats]:
        for path in self.paths:
            yield np.load(path, mmap_mode="r")


def identify(corpus: Corpus, encoder: Encoder) -> dict[str, Json]:
    """Returns what document embeddings depend on: the documents' digest and the encoder's identity."""
    return {"documents": corpus.digest, "block": BLOCK, **{f"encoder.{k}": v for k, v in encoder.identity().items()}}


def embed(dataset: Dataset, corpus: Corpus, encoder: Encoder) -> Embeddings:
    """Returns the corpus's embeddings, encoding only the blocks that are not there yet."""
    folder = corpus.folder / slug(encoder.name) / "embeddings"
    identity = identify(corpus, encoder)
    count = len(corpus.doc_ids)
    paths = tuple(folder / f"{start // BLOCK:06d}.npy" for start in range(0, count, BLOCK))
    facts: dict[str, Json] = {"documents": count, "dim": encoder.dim}
    with store.building(folder, identity, facts) as needed:
        if needed:
            _encode(dataset, encoder, paths, count)
    found = store.manifest(folder, identity)
    return Embeddings(folder, paths, identity, float(found["facts"]["build_seconds"]) if found else 0.0)


def filtered(folder: Path, chosen: EmbedFilter, out: Path) -> dict[str, Json]:
    """Writes a folder of raw embeddings through a filter, block by block, and returns the new folder's facts.

    What was stopped goes on where it was. Raises `RarityError`, naming both models, if the filter was fitted on another
    model than the embeddings are of.
    """
    try:
        stored = json.loads((folder / store.MANIFEST).read_text(encoding="utf-8"))
        identity, count = dict(stored["identity"]), int(stored["facts"]["documents"])
    except (OSError, ValueError, KeyError, TypeError):
        raise RarityError(f"{folder} holds no complete embeddings; make them with rarityir encode") from None
    fitted, given = chosen.fitted_on.get("revision"), identity.get("encoder.revision")
    if fitted is not None and fitted != given:
        raise RarityError(
            f"filter {chosen.name} was fitted on {chosen.fitted_on.get('model')} ({fitted[:12]}), "
            f"these embeddings are of {identity.get('encoder.model')} ({str(given)[:12]}); fit it on that model"
        )
    pooled = chosen.fitted_on.get("documents", {}).get("pooling")
    if pooled not in (None, identity.get("encoder.pooling")):
        raise RarityError(
            f"filter {chosen.name} was fitted on embeddings pooled by {pooled}, these are by {identity.get('encoder.pooling')}"
        )
    names = sorted(name for name in stored["files"] if name.endswith(".npy"))
    facts: dict[str, Json] = {"documents": count, "dim": len(chosen.basis)}
    with store.building(out, {**identity, "filter": chosen.name, "filter_sha256": chosen.digest}, facts) as needed:
        if needed:
            with progress.bar(f"filtering with {chosen.name}", len(names)) as advance:
                for name in names:
                    if not (out / name).exists():
                        with store.replacing(out / name) as temporary, temporary.open("wb") as file:
                            np.save(file, chosen(np.load(folder / name, mmap_mode="r")))
                    advance(1)
    return {"folder": str(out), **facts}


def _encode(dataset: Dataset, encoder: Encoder, paths: tuple[Path, ...], count: int) -> None:
    done = [path.exists() for path in paths]
    there = min(count, sum(done) * BLOCK)
    if there:
        log.info("resuming: %d of %d documents are encoded", there, count)
    started, fresh = time.monotonic(), 0
    docs = dataset.docs()
    with progress.bar(f"encoding with {encoder.name}", count, there) as advance:
        for path, ready in zip(paths, done, strict=True):
            block = [doc.text for doc in islice(docs, BLOCK)]
            if ready:
                continue
            x_ND = encoder.encode_document(block)
            with store.replacing(path) as temporary, temporary.open("wb") as file:
                np.save(file, x_ND)
            advance(len(block))
            fresh += len(block)
    log.info("encoded %d documents in %.1f s", fresh, time.monotonic() - started)
