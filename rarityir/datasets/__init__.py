"""Loads documents, topics and qrels by ir_datasets id, alias or folder; `cranfield` ships inside the package."""

from __future__ import annotations

from pathlib import Path

from rarityir.datasets import embedded, folders, irds
from rarityir.datasets.aliases import ALIASES
from rarityir.types import Dataset

__all__ = ["ALIASES", "load_dataset"]


def load_dataset(name: str) -> Dataset:
    """Returns the dataset of an alias (`scifact`), an ir_datasets id (`beir/scifact/test`), or a folder.

    A folder holds either BEIR's layout (`corpus.jsonl`, `queries.jsonl`, `qrels/<split>.tsv`; choose a split with
    `folder:split`) or `docs.tsv`, `queries.tsv` and TREC `qrels.txt`. Documents are read when they are iterated.
    Raises `UnknownName` for a name nobody knows and `BadInput` for a file that is not what its format promises.
    """
    if name == embedded.NAME:
        return embedded.cranfield()
    path, _, split = name.partition(":")
    if path and name not in ALIASES and _is_folder(path):
        return folders.load(Path(path), split)
    return irds.load(ALIASES.get(name, name))


def _is_folder(path: str) -> bool:
    """Whether a folder has this name, which may be one that none can have."""
    try:
        return Path(path).is_dir()
    except OSError:
        return False
