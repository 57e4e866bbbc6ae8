"""How a system's documents and queries become impacts: in which style they are read, and what is kept of a long reading."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from rarityir import parsing, progress, registry, store
from rarityir.settings import ImpactSettings
from rarityir.tokens import Asking, TokenLens, check_weighting
from rarityir.tokens.queries import NAMED
from rarityir.tokens.vocabulary import check_stem
from rarityir.types import Encoder, Floats, Impacts, RarityError, UnknownName
from rarityir.weights import read_table, table_of

BLOCK = 128  # documents whose states are read at a time, and whose impacts are kept when reading stops
STYLES = ("aligned", "lightretriever", "promptreps", "promptreps-control")


def check(settings: ImpactSettings) -> None:
    """Raises what is wrong with an index's settings, before anything is read or encoded."""
    check_weighting(settings.weighting)
    check_stem(settings.stem)
    if asking(settings).weights not in NAMED:
        read_table(table_of(settings.weights))
    if settings.style not in STYLES:
        raise UnknownName(registry.unknown("style of impacts", settings.style, STYLES))
    if settings.style != "aligned" and settings.weighting != "minus-next":
        raise RarityError(f"style={settings.style} weighs by log(1 + z); weighting={settings.weighting} is for style=aligned")


def asking(settings: ImpactSettings) -> Asking:
    """Returns how queries become tokens."""
    return Asking(settings.query, settings.weights, settings.gamma)


def aligned(lens: TokenLens, settings: ImpactSettings, embeddings: Iterable[Floats]) -> Iterator[Impacts]:
    """Yields the K best tokens of each block of embeddings (N, D)."""
    for x_ND in embeddings:
        yield lens.align(x_ND, settings.keep)


def own(
    lens: TokenLens, settings: ImpactSettings, encoder: Encoder, embeddings: Iterable[Floats], texts: Iterator[str]
) -> Iterator[Impacts]:
    """Yields the K best of each document's own tokens; `texts` are the documents of the embeddings, in order.

    The control weighs them by the embedding of another document, the one before it in its block: what is left is what a
    document's own tokens find without a model.
    """
    before = None
    for x_ND in embeddings:
        if settings.style.endswith("-control"):
            others = np.roll(x_ND, 1, axis=0) if len(x_ND) > 1 or before is None else before
            before, x_ND = x_ND[-1:], others
        yield lens.own(x_ND, encoder.tokenize([next(texts) for _ in range(len(x_ND))]), settings.keep)


def strongest(
    lens: TokenLens, settings: ImpactSettings, encoder: Encoder, texts: Iterator[str], count: int, folder: Path
) -> Iterator[Impacts]:
    """Yields the K tokens that any of a document's states writes most.

    Every block is kept under `folder` as soon as it is read, so reading that was stopped goes on where it was; whoever takes
    the blocks removes the folder when they are stored.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{start // BLOCK:06d}.npz" for start in range(0, count, BLOCK)]
    there = min(count, sum(store.kept(path) for path in paths) * BLOCK)
    with progress.bar(f"reading every state of {encoder.name}", count, there) as advance:
        for number, path in enumerate(paths):
            block = [next(texts) for _ in range(min(BLOCK, count - number * BLOCK))]
            if not path.exists():
                _keep(lens.strongest(states(encoder, block), settings.keep), path)
                advance(len(block))
            found = parsing.arrays(path)
            yield Impacts(found["indptr"], found["token_ids"], found["values"], len(lens.vocabulary.names))


def states(encoder: Encoder, texts: Sequence[str]) -> Iterable[Floats]:
    """Returns each text's states (T, D); `RarityError` for an encoder that has none to give."""
    read = getattr(encoder, "document_states", None)
    if read is None:
        raise RarityError(f"{encoder.name} gives no states of single tokens; style=lightretriever needs a causal language model")
    found: Iterable[Floats] = read(texts)
    return found


def _keep(impacts: Impacts, path: Path) -> None:
    with store.keeping(path) as temporary, temporary.open("wb") as file:
        np.savez(file, indptr=impacts.indptr, token_ids=impacts.token_ids, values=impacts.values)
