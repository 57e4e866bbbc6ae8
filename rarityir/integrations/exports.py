"""What can be written for other stacks, and what every exporter does: check the filter, write a folder whole, say what it is."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rarityir import __version__, parsing, registry, store, unfinished
from rarityir.filters import EmbedFilter, Unembedding
from rarityir.types import Encoder, Json, RarityError

CARD = "export.json"
Exporter = Callable[[Encoder, EmbedFilter, Path], Path]


def exporter(kind: str) -> Exporter:
    """Returns the function that writes one kind of export; an unknown kind is an `UnknownName`."""
    found: Exporter = registry.resolve("exports", kind)
    return found


def export(kind: str, encoder: Encoder, filter: EmbedFilter, out: str | Path) -> Path:
    """Writes an encoder's filter as another stack reads it and returns the folder.

    An unknown kind is an `UnknownName`; a filter of another model or width is a `RarityError`, and so is an `out` that
    holds something else than an earlier export of this kind.
    """
    return exporter(kind)(encoder, filter, Path(out))


def check(encoder: Encoder, filter: EmbedFilter) -> None:
    """Raises `RarityError` unless the filter was fitted on this encoder's unembedding and fits its width."""
    if "unembedding_sha256" in filter.fitted_on:
        filter.check_model(encoder.name, Unembedding.of(encoder.unembedding()).digest)
    if filter.basis.shape[1] != encoder.dim:
        raise RarityError(
            f"filter {filter.name} was fitted on width {filter.basis.shape[1]}, {encoder.name} gives {encoder.dim}; "
            "fit it again on that model"
        )


def check_free(out: Path, kind: str) -> None:
    """Raises `RarityError` if `out` holds anything but an earlier export of this kind."""
    if out.exists() and not _ours(out, kind):
        raise RarityError(f"{out} is there already and is no {kind} export; choose another --out, or remove it: rm -r {out}")


@contextmanager
def folder(out: Path, kind: str, encoder: Encoder, filter: EmbedFilter) -> Iterator[Path]:
    """Gives a temporary folder beside `out`; when the block ends well it gets its card and takes the name, else it is removed.

    An earlier export of the same kind is replaced. Anything else that stands there is a `RarityError` and stays.
    """
    with written(out, kind) as (temporary, facts):
        yield temporary
        facts.update(card(kind, encoder, filter))


@contextmanager
def written(out: Path, kind: str) -> Iterator[tuple[Path, dict[str, Json]]]:
    """The same for what is no filter: gives the temporary folder, and facts to fill, which its card says."""
    check_free(out, kind)
    out = out.resolve()  # a name of its own, also for "." and for a link
    temporary = unfinished.beside(out)
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    facts: dict[str, Json] = {}
    try:
        yield temporary, facts
        store.write_json(temporary / CARD, {"export": kind, **facts, "rarityir": __version__})
        if out.exists():
            shutil.rmtree(out)
        os.replace(temporary, out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def card(kind: str, encoder: Encoder, filter: EmbedFilter) -> dict[str, Json]:
    """Returns what an export says of itself: its kind, the filter with what it was fitted on, the encoder's identity."""
    kept, width = filter.basis.shape
    return {
        "export": kind,
        "filter": {"name": filter.name, "kept": kept, "width": width, "sha256": filter.digest, "fitted_on": filter.fitted_on},
        "encoder": {"name": encoder.name, **encoder.identity()},
        "rarityir": __version__,
    }


def _ours(out: Path, kind: str) -> bool:
    if out.is_dir() and not any(out.iterdir()):
        return True
    try:
        found: Any = parsing.value(out / CARD)
    except parsing.BROKEN:
        return False
    return isinstance(found, dict) and found.get("export") == kind
