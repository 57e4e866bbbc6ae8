"""EmbedFilter: the projection that removes where an unembedding writes frequent, uninformative tokens.

Source: "EmbedFilter", arXiv 2606.07502, §3 and Appendix A. The published code projects inside three forked models; as
the map is linear it commutes with mean and last-token pooling, so here it is a value applied to pooled embeddings.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rarityir import registry, store
from rarityir.checkpoints import read_tensors, write_tensors
from rarityir.filters.spectrum import Spectrum, spectrum
from rarityir.systems import Part
from rarityir.types import Filter, Floats, Json, RarityError

_WEIGHTS, _CARD = "filter.safetensors", "filter.json"
log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class EmbedFilter:
    """K orthonormal rows of the D-dimensional space. Calling it projects: (N, D) float32 → (N, K) float32."""

    name: str
    basis: Floats = field(repr=False)
    fitted_on: dict[str, Json] = field(default_factory=dict)

    @classmethod
    def fit(cls, unembedding: Floats | str | Path | Spectrum, band: str, *, cache: Path | None = None) -> EmbedFilter:
        """Returns the filter of a band such as `edge:2` over an unembedding.

        Args:
            unembedding: a (V, D) array, or a short name, hub id or path whose head is read from its safetensors shard.
            band: `edge:τ`, `tail:τ`, `head:τ`, `mid:τ` or `random:τ`, named for what it drops.
            cache: where computed spectra are kept (default: the user's cache folder).
        """
        part = Part.parse(band)
        select = registry.resolve("filters", part.name)
        found = unembedding if isinstance(unembedding, Spectrum) else spectrum(unembedding, cache)
        kept = select(len(found.values), part.arg)
        _warn_of_degenerate_cuts(band, found, kept)
        basis = found.directions[kept].astype(np.float32)
        fitted: dict[str, Json] = {"unembedding_sha256": found.digest, "vocabulary": found.vocabulary}
        if isinstance(unembedding, str | Path):
            fitted["model"] = str(unembedding)
        return cls(band, basis, fitted)

    @property
    def digest(self) -> str:
        """The SHA-256 over the basis's bytes."""
        return hashlib.sha256(np.ascontiguousarray(self.basis).data).hexdigest()

    def __call__(self, x_BD: Floats) -> Floats:
        """Returns x @ basis.T, the kept coordinates; raises `RarityError` if the widths differ."""
        if x_BD.shape[-1] != self.basis.shape[1]:
            raise RarityError(
                f"filter {self.name} was fitted on width {self.basis.shape[1]}, these embeddings have {x_BD.shape[-1]}"
            )
        return np.asarray(x_BD, dtype=np.float32) @ self.basis.T

    def save(self, folder: str | Path) -> Path:
        """Writes `filter.safetensors` and its card `filter.json` into a folder."""
        folder = Path(folder)
        write_tensors(folder / _WEIGHTS, {"basis": self.basis})
        card = {"name": self.name, "kept": self.basis.shape[0], "width": self.basis.shape[1], "fitted_on": self.fitted_on}
        store.write_json(folder / _CARD, {**card, "basis_sha256": self.digest})
        return folder

    @classmethod
    def load(cls, folder: str | Path) -> EmbedFilter:
        """Reads a saved filter; a basis that is not the one its card describes is a `RarityError`."""
        folder = Path(folder)
        try:
            card = json.loads((folder / _CARD).read_text(encoding="utf-8"))
            basis = read_tensors(folder / _WEIGHTS)["basis"]
            loaded = cls(card["name"], basis, card["fitted_on"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RarityError(
                f"{folder} holds no whole filter ({type(error).__name__}: {error}); fit and save it again"
            ) from None
        if loaded.digest != card.get("basis_sha256"):
            raise RarityError(f"{folder / _WEIGHTS} is not the basis its card describes; fit and save it again")
        return loaded


def compose(parts: Sequence[Part], fitted: Spectrum) -> Filter | None:
    """Returns the filter of a system's `+` parts, or None where there are none."""
    check(parts)
    return EmbedFilter.fit(fitted, str(parts[0])) if parts else None


def check(parts: Sequence[Part]) -> None:
    """Raises what is wrong with a system's `+` parts, without a spectrum to fit them on."""
    if len(parts) > 1:
        raise RarityError(f"{'+'.join(map(str, parts))}: one filter at a time")
    for part in parts:
        registry.resolve("filters", part.name)(2**16, part.arg)


def _warn_of_degenerate_cuts(band: str, found: Spectrum, kept: np.ndarray) -> None:
    """A cut between two equal singular values leaves the band undefined: any rotation of the two would do."""
    inside = np.zeros(len(found.values), bool)
    inside[kept] = True
    cuts = np.flatnonzero(inside[1:] != inside[:-1])
    gaps = (found.values[cuts] - found.values[cuts + 1]) / max(found.values[0], np.finfo(float).tiny)
    if (gaps < 1e-8).any():
        log.warning("%s cuts between singular values that are equal: the band is not well defined", band)
