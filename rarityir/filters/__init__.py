"""Filters choose which directions of the embedding space to keep; each is a value that any index or stack can apply."""

from __future__ import annotations

from rarityir.filters.embed_filter import EmbedFilter, check, compose
from rarityir.filters.spectrum import Spectrum, spectrum

__all__ = ["EmbedFilter", "Spectrum", "check", "compose", "spectrum"]
