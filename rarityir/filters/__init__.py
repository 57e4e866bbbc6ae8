"""Filters choose which directions of the embedding space to keep; each is a value that any index or stack can apply."""

from __future__ import annotations

from rarityir.filters.embed_filter import EmbedFilter
from rarityir.filters.fitting import check, identity
from rarityir.filters.source import Source
from rarityir.filters.spectrum import Spectrum, spectrum
from rarityir.filters.unembedding import Reading, Unembedding

__all__ = ["EmbedFilter", "Reading", "Source", "Spectrum", "Unembedding", "check", "identity", "spectrum"]
