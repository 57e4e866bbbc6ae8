"""`pc1` takes the documents' first uncentred component off, or moves every text along it by the same length.

Source: "A Text is Worth Several Tokens", ACL 2025, arXiv 2406.17378: h + λ u_1, the same λ for every text, where λ is how far a
fine-tuned twin moves texts along u_1 on the average (`pc1:twin=FOLDER`) or a number (`pc1:-47`). Where there is no twin there are
two proposals of this package: `pc1` projects u_1 out (λ = −h · u_1, each text its own), `pc1:mean` takes the mean of h · u_1 off.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rarityir import parsing, store
from rarityir.filters.band import warn_of_degenerate_cuts
from rarityir.filters.components import Components, components
from rarityir.filters.source import Affine, Fit, Source, Vectors
from rarityir.types import Json, RarityError, StaleArtefact

TWIN = "twin="


def pc1(arg: str) -> Fit:
    """Projects u_1 out; `mean`, a number or `twin=FOLDER` moves all texts along it instead, and keeps every direction."""
    folder = arg.removeprefix(TWIN) if arg.startswith(TWIN) else ""
    given = 0.0 if arg in ("", "mean") or folder else _number(arg)

    def fit(source: Source) -> Affine:
        found = components(source)
        warn_of_degenerate_cuts(f"pc1:{arg}" if arg else "pc1", found.energies, np.arange(1, len(found.energies)))
        if not arg:
            return _without(found, source)
        if folder:
            twin = Twin.open(folder)
            move = float(found.directions[0] @ (twin.mean(source) - source.moments.mean))
            return _moved(found, source, move, {"twin": twin.facts()})
        return _moved(found, source, -float(found.coefficients[0]) if arg == "mean" else given, {})

    return fit


@dataclass(frozen=True)
class Twin:
    """A folder of a twin's raw document embeddings, as `rarityir encode` writes it."""

    folder: Path
    identity: dict[str, Json]
    count: int
    width: int
    files: dict[str, Json]

    @classmethod
    def open(cls, folder: str | Path) -> Twin:
        """Reads what a folder says of itself; one that is not of whole, raw embeddings is a `RarityError`."""
        path = Path(folder)
        try:
            said = store.described(path)
            identity, facts, files = dict(said["identity"]), said["facts"], dict(said["files"])
            found = cls(path, identity, int(facts["documents"]), int(facts["dim"]), files)
            raw = "documents" in identity and "filter" not in identity
        except (*parsing.BROKEN, StaleArtefact):
            raise RarityError(f"{path} holds no complete embeddings; make them with rarityir encode") from None
        if not raw:
            raise RarityError(f"{path} holds an index or filtered embeddings; a twin's raw ones are what rarityir encode makes")
        store.manifest(path, identity)
        return found

    @property
    def digest(self) -> str:
        """The SHA-256 of what the embeddings were made from and of their files' checksums."""
        return hashlib.sha256(json.dumps([self.identity, self.files], sort_keys=True).encode()).hexdigest()

    def mean(self, source: Source) -> Vectors:
        """Returns the twin's mean embedding (D,) in the coordinates of a source of the same documents and width."""
        before = source.before
        width = len(source.moments.mean) if before is None else before.basis.shape[1]
        if self.width != width:
            raise RarityError(f"{self.folder}: the twin's embeddings are {self.width} wide, here are {width}: it is no twin")
        # An array of embeddings comes without its texts: there the caller answers for what its rows are.
        here = source.documents_facts.get("sha256") if "encoder" in source.documents_facts else self.identity["documents"]
        if (self.count, self.identity["documents"]) != (source.moments.count, here):
            raise RarityError(
                f"{self.folder}: the twin's {self.count} documents are not the {source.moments.count} here; "
                "encode the same dataset with it"
            )
        total = np.zeros(width)
        for name in sorted(name for name in self.files if name.endswith(".npy")):
            store.check(self.folder, name)
            total += parsing.array(self.folder / name, mapped=True).sum(axis=0, dtype=np.float64)
        if not np.isfinite(total).all():
            raise RarityError(f"{self.folder}: some embeddings are not finite; encode them again")
        return total / self.count if before is None else before((total / self.count)[None])[0]

    def facts(self) -> dict[str, Json]:
        """Returns what a filter says of the twin it was fitted on."""
        known = {name: self.identity.get(f"encoder.{name}") for name in ("model", "revision", "pooling")}
        return {**known, "sha256": self.digest}


def _number(arg: str) -> float:
    try:
        number = float(arg)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise RarityError(f"pc1:{arg} is none of pc1, pc1:mean, pc1:-47 (any number) and pc1:twin=FOLDER (of rarityir encode)")
    return number


def _without(found: Components, source: Source) -> Affine:
    if len(found.directions) == 1:
        raise RarityError("pc1 drops the only direction there is")
    return Affine(found.directions[1:], None, _facts(found, source, None, {}))


def _moved(found: Components, source: Source, move: float, more: dict[str, Json]) -> Affine:
    return Affine(np.eye(len(found.directions)), -move * found.directions[0], _facts(found, source, move, more))


def _facts(found: Components, source: Source, move: float | None, more: dict[str, Json]) -> dict[str, Json]:
    """What was fitted; `lambda` is None where each text has its own."""
    share, coefficient = float(found.shares[0]), float(found.coefficients[0])
    said = {"lambda": move, "energy_share": round(share, 6), "mean_coefficient": round(coefficient, 6), **more}
    return {**source.read_documents(), "pc1": said}
