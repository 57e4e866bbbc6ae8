"""Fits the filters of a system's name, one after another, and makes one linear map of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from rarityir import registry, store
from rarityir.filters.pc1 import TWIN, Twin
from rarityir.filters.source import Affine, Source
from rarityir.systems import Part
from rarityir.types import Json, RarityError

FORM = 2  # raised when a filter of the same name becomes another map


def fit(parts: Sequence[Part], source: Source) -> Affine:
    """Returns the map that does all parts in turn, each fitted in the coordinates that the ones before it give."""
    fits = [registry.resolve("filters", part.name)(part.arg) for part in parts]
    found: Affine = fits[0](source)
    for later in fits[1:]:
        found = found.then(later(source.after(found)))
    return found


def check(parts: Sequence[Part]) -> None:
    """Raises what is wrong with a system's `+` parts, before anything is read."""
    for part in parts:
        registry.resolve("filters", part.name)(part.arg)


def identity(parts: Sequence[Part]) -> dict[str, Json]:
    """Returns what a filter of this name depends on besides model and documents: its form, and the files it names."""
    named = [part.arg for part in parts if part.name == "saved"]
    named += [table for part in parts for table in _tables(part) if table not in ("english", "corpus")]
    files: dict[str, Json] = {}
    for name in named:
        path = Path(name) / "filter.json" if Path(name).is_dir() else Path(name)
        if not path.is_file():
            raise RarityError(f"there is no {path}, which the filter {'+'.join(map(str, parts))} names")
        files[name] = store.digest_file(path)
    for part in parts:
        if part.name == "pc1" and part.arg.startswith(TWIN):
            twin = Twin.open(part.arg.removeprefix(TWIN))
            files[str(twin.folder)] = twin.digest
    return {"filter": "+".join(map(str, parts)), "filter_form": FORM, "filter_files": files}


def _tables(part: Part) -> list[str]:
    """The tables of counts a part names; they are the first option of `auto` and `logfreq`, which may stand bare."""
    first = part.arg.partition(",")[0]
    bare = [first] if part.name in ("auto", "logfreq") and first and "=" not in first else []
    return bare + re.findall(r"counts=([^,]+)", part.arg)
