"""Turns a name into the part it stands for, importing that part only then.

Every table is plain data, so listing what exists imports nothing. Other packages add parts through entry points of the
same shape, in the groups `rarityir.filters`, `rarityir.indexes`, `rarityir.fusions`, `rarityir.encoders` and `rarityir.exports`.
"""

from __future__ import annotations

import ast
import difflib
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rarityir.types import RarityError, UnknownName

TABLES: Mapping[str, Mapping[str, str]] = {
    "filters": {
        "abtt": "rarityir.filters.abtt:abtt",
        "auto": "rarityir.filters.auto:auto",
        "band": "rarityir.filters.interval:band",
        "center": "rarityir.filters.center:center",
        "cut": "rarityir.filters.interval:cut",
        "edge": "rarityir.filters.edge:edge",
        "frequent": "rarityir.filters.frequent:frequent",
        "head": "rarityir.filters.head:head",
        "ica": "rarityir.ica.dropping:ica",
        "ica-drop": "rarityir.ica.dropping:ica_drop",
        "logfreq": "rarityir.filters.logfreq:logfreq",
        "mid": "rarityir.filters.mid:mid",
        "offset": "rarityir.filters.interval:offset",
        "pc1": "rarityir.filters.pc1:pc1",
        "pca": "rarityir.filters.pca:pca",
        "randproj": "rarityir.filters.randproj:randproj",
        "random": "rarityir.filters.random:random",
        "saved": "rarityir.filters.saved:saved",
        "spectroscopy": "rarityir.filters.spectroscopy:spectroscopy",
        "tail": "rarityir.filters.tail:tail",
        "truncate": "rarityir.filters.truncate:truncate",
        "whiten": "rarityir.filters.whiten:whiten",
    },
    "indexes": {
        "axes": "rarityir.indexes.axes:AxesIndex",
        "bm25": "rarityir.indexes.bm25:BM25Index",
        "bm25-idf": "rarityir.indexes.subword:SubwordIndex",
        "dense": "rarityir.indexes.dense:DenseIndex",
        "milvus:bm25": "rarityir.indexes.milvus_text:BM25",
        "milvus:dense": "rarityir.indexes.milvus:DENSE",
        "milvus:sparse": "rarityir.indexes.milvus:SPARSE",
        "qdrant:dense": "rarityir.indexes.qdrant:DENSE",
        "qdrant:sparse": "rarityir.indexes.qdrant:SPARSE",
        "seismic": "rarityir.indexes.seismic:ApproximateIndex",
        "sparse": "rarityir.indexes.sparse:AlignedIndex",
    },
    "fusions": {
        "combsum": "rarityir.indexes.fusion:combsum",
        "rrf": "rarityir.indexes.fusion:rrf",
    },
    "encoders": {
        "hf": "rarityir.encoders.hf:load",
        "st": "rarityir.encoders.sentence_transformers:load",
    },
    "exports": {
        "faiss": "rarityir.integrations.faiss:export",
        "onnx": "rarityir.integrations.onnx:export",
        "pytorch": "rarityir.integrations.pytorch:export",
        "sentence-transformers": "rarityir.integrations.sentence_transformers:export",
    },
}

_FARTHER = 0.25  # of a likeness of at most 1


@cache
def table(kind: str) -> dict[str, str]:
    """Returns name → "module:attribute" of every part of a kind, the package's own and those other packages add."""
    return {**{point.name: point.value for point in entry_points(group=f"rarityir.{kind}")}, **TABLES[kind]}


def described(kind: str) -> dict[str, str]:
    """Returns name → the first line of what its source says of every part of a kind; nothing is imported but packages."""
    return {name: _first_line(place) for name, place in sorted(table(kind).items())}


def _first_line(place: str) -> str:
    module, _, attribute = place.partition(":")
    try:
        found = find_spec(module)
        tree = ast.parse(Path(found.origin).read_text(encoding="utf-8")) if found and found.origin else None
    except (ImportError, OSError, SyntaxError, ValueError):
        return ""
    parts = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)) if tree else iter(())
    said = next((ast.get_docstring(node) for node in parts if node.name == attribute), None)
    return (said or "").partition("\n")[0]


def resolve(kind: str, name: str) -> Any:
    """Returns the part; an unknown name is an `UnknownName` that lists what is known."""
    known = table(kind)
    if name not in known:
        raise UnknownName(unknown(f"{kind[:-1] if kind != 'indexes' else 'index'}", name, known))
    module, _, attribute = known[name].partition(":")
    return getattr(import_module(module), attribute)


def lazy(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Returns a package's `__getattr__` and `__dir__`: names are imported when first used, from modules that `homes` tells."""

    def attribute(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{homes[name]}"), name)

    return attribute, lambda: sorted({*vars(sys.modules[package]), *homes})


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """Returns the one line that says a name is unknown, with near misses first."""
    return f"unknown {what} {name!r}; {hint(name, known)}"


def hint(name: str, known: Iterable[str]) -> str:
    """Returns what may have been meant by a name that is not known, or the first names that are."""
    names = sorted(known)
    if close := near(name, names):
        return f"did you mean {' or '.join(close)}?"
    return f"known: {', '.join(names[:12])}" + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def near(name: str, known: Iterable[str]) -> list[str]:
    """Returns the known names that a misspelt one is nearest to, at most three, best first; small and capital letters are one.

    One that is far less like it than the best is left out.
    """
    spelt: dict[str, list[str]] = {}
    for each in sorted(known):
        spelt.setdefault(each.lower(), []).append(each)
    close = difflib.get_close_matches(name.lower(), spelt, n=3, cutoff=0.5)
    likeness = [difflib.SequenceMatcher(None, each, name.lower()).ratio() for each in close]
    found = [word for word, like in zip(close, likeness, strict=True) if like >= likeness[0] - _FARTHER]
    return [each for word in found for each in spelt[word]][:3]


def options(text: str, known: Mapping[str, Callable[[str], Any]], where: str) -> dict[str, Any]:
    """Returns `k1=0.9,b=0.4` as typed values; a bare first value belongs to the first known option."""
    values: dict[str, Any] = {}
    for position, item in enumerate(part for part in text.split(",") if part):
        key, equals, value = item.partition("=")
        if not equals:
            if position:
                raise RarityError(f"{where}: {item!r} should read option=value (options: {', '.join(known)})")
            key, value = next(iter(known), ""), item
        if key not in known:
            raise UnknownName(unknown(f"option of {where}", key, known))
        try:
            values[key] = known[key](value)
        except ValueError:
            wanted = {int: "whole number", float: "number"}.get(known[key], getattr(known[key], "__name__", "value"))  # type: ignore[call-overload]
            raise RarityError(f"{where}: {key}={value!r} is not a {wanted}") from None
    return values
