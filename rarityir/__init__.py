"""Retrieval evaluation of what language models write about token rarity into their embeddings.

    import rarityir as ri
    report = ri.perform(ri.Experiment(dataset="cranfield", encoder="demo"))

Importing the package loads none of the heavy libraries; a name below is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rarityir import analogy as analogy
    from rarityir import geometry as geometry
    from rarityir import ica as ica
    from rarityir import informativeness as informativeness
    from rarityir import modelmap as modelmap
    from rarityir import rarity as rarity
    from rarityir.datasets import load_dataset
    from rarityir.encoders import load_encoder
    from rarityir.experiment import Experiment, perform
    from rarityir.filters import EmbedFilter
    from rarityir.indexes.postings import SparseIndex
    from rarityir.measures import evaluate
    from rarityir.report import Report
    from rarityir.retrieval import retrieve
    from rarityir.runs import Run, read_run
    from rarityir.systems import System
    from rarityir.tokens import TokenLens
    from rarityir.types import Dataset, Encoder, RarityError

__version__ = "0.1.0"

_HOMES = {
    "Dataset": "types",
    "EmbedFilter": "filters",
    "Encoder": "types",
    "Experiment": "experiment",
    "RarityError": "types",
    "Report": "report",
    "Run": "runs",
    "SparseIndex": "indexes.postings",
    "System": "systems",
    "TokenLens": "tokens",
    "evaluate": "measures",
    "load_dataset": "datasets",
    "load_encoder": "encoders",
    "perform": "experiment",
    "read_run": "runs",
    "retrieve": "retrieval",
}

__all__ = [
    "Dataset",
    "EmbedFilter",
    "Encoder",
    "Experiment",
    "RarityError",
    "Report",
    "Run",
    "SparseIndex",
    "System",
    "TokenLens",
    "evaluate",
    "load_dataset",
    "load_encoder",
    "perform",
    "read_run",
    "retrieve",
]


# Imported when they are first used, as `ri.rarity.RarityProbe`.
_PACKAGES = ("analogy", "geometry", "ica", "informativeness", "modelmap", "rarity")


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return import_module(f"{__name__}.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__, *_PACKAGES])
