"""Sparse and dense vectors in the file formats of the field, and folders that hold an index of them with its names."""

from __future__ import annotations

from rarityir.vectors.folders import Collection, build, merge, opened, opened_corpus
from rarityir.vectors.reading import DenseVectors, SparseVectors, dense, documents, known, topics
from rarityir.vectors.writing import write_dense, write_repeated, write_sparse

__all__ = [
    "Collection",
    "DenseVectors",
    "SparseVectors",
    "build",
    "dense",
    "documents",
    "known",
    "merge",
    "opened",
    "opened_corpus",
    "topics",
    "write_dense",
    "write_repeated",
    "write_sparse",
]
