"""A saved offset: what queries are moved by before a dense search, one vector of all or one of each cluster of topics.

Under an inner product a single vector adds the same number to a document for every query, v·d: it is a prior over documents,
learned from judgements. Only vectors of several clusters can move queries differently.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rarityir import __version__, checkpoints, parsing, store
from rarityir.types import Floats, Json, RarityError, StaleArtefact

WEIGHTS, CARD, FORM = "offset.safetensors", "offset.json", 1
OFFSET = "offset="  # before its folder, last in a dense system's argument
SAME = ("filter",)  # beside all that the encoder is identified by
NOT_MEANT = ("encoder.torch", "encoder.transformers")  # whose versions change no more than a vector's last bits


def moved(arg: str) -> tuple[str, str]:
    """Returns an argument without its offset, and the offset's folder; empty where there is none."""
    *before, last = arg.split(",")
    if not last.startswith(OFFSET):
        return arg, ""
    folder = last.removeprefix(OFFSET)
    if not folder:
        raise RarityError(f"dense:{arg}: offset= needs the folder of an offset, such as dense:offset=offsets/scifact")
    return ",".join(before), folder


@dataclass(frozen=True, eq=False)
class Offset:
    """Calling it moves unit (Q, K) queries by their cluster's vector and returns them at unit length again."""

    vectors: Floats = field(repr=False)  # (C, K)
    centroids: Floats = field(repr=False)  # (C, K), of unit length
    learned_on: dict[str, Json]

    @property
    def digest(self) -> str:
        """The SHA-256 over the bytes of both arrays."""
        total = hashlib.sha256(np.ascontiguousarray(self.vectors, np.float32).data)
        total.update(np.ascontiguousarray(self.centroids, np.float32).data)
        return total.hexdigest()

    def clusters(self, q_QK: Floats) -> Any:
        """Returns each query's cluster: the nearest centroid, of equal ones the first."""
        return np.argmax(q_QK @ self.centroids.T, axis=1)

    def __call__(self, q_QK: Floats) -> Floats:
        """Returns the moved queries; `RarityError` for another width."""
        width = self.vectors.shape[1]
        if q_QK.shape[1] != width:
            raise RarityError(f"the offset was learned on width {width}, these queries have {q_QK.shape[1]}")
        moved_QK = q_QK.astype(np.float64) + self.vectors[self.clusters(q_QK)]
        norms = np.linalg.norm(moved_QK, axis=1, keepdims=True)
        return np.asarray(moved_QK / np.where(norms > 0, norms, 1.0), np.float32)

    def check(self, identity: Mapping[str, Json], where: str) -> None:
        """Raises `StaleArtefact`, naming what differs, unless it was learned on the same vectors as an index holds."""
        wanted = {key: value for key, value in identity.items() if _meant(key)}
        held = {key: value for key, value in self.learned_on["vectors"].items() if _meant(key)}
        if difference := store.differing(held, json.loads(json.dumps(wanted))):
            raise StaleArtefact(f"the offset {where} was learned with {difference}; learn it again with rarityir analogy offset")

    def save(self, folder: str | Path) -> Path:
        """Writes the arrays and a card of what they were learned on into a folder."""
        folder = Path(folder)
        if (folder / WEIGHTS).exists() and not (folder / CARD).exists():
            raise RarityError(f"{folder} holds a {WEIGHTS} that is no offset's; choose another folder")
        arrays = {name: np.ascontiguousarray(getattr(self, name), np.float32) for name in ("vectors", "centroids")}
        card = {"form": FORM, "learned_on": self.learned_on, "sha256": self.digest, "rarityir": __version__}
        store.write_json(folder / CARD, card)  # first: vectors without a card are someone else's
        checkpoints.write_tensors(folder / WEIGHTS, arrays)
        return folder

    @classmethod
    def load(cls, folder: str | Path) -> Offset:
        """Reads a saved offset; what is not whole, or not what its card describes, is a `RarityError`."""
        folder = Path(folder)

        def made(card: dict[str, Json], arrays: dict[str, Any]) -> Offset:
            found = cls(arrays["vectors"], arrays["centroids"], dict(card["learned_on"]))
            shape = found.vectors.shape
            for array in (found.vectors, found.centroids):
                parsing.need(
                    array.dtype == np.float32 and array.size and parsing.finite(array, *shape) and len(shape) == 2, "no rows"
                )
            parsing.need(isinstance(found.learned_on.get("vectors"), dict), "learned_on says no vectors")
            parsing.need({"form", "sha256"} <= set(card), "the card says neither form nor checksum")
            return found

        again = "learn it with rarityir analogy offset"
        found, card = checkpoints.carded(folder / CARD, folder / WEIGHTS, made, what="offset", again=again)
        if card["form"] != FORM or found.digest != card["sha256"]:
            raise RarityError(f"{folder / WEIGHTS} is not the offset its card describes; learn it again")
        return found

    @classmethod
    def opened(cls, where: str, index: Path) -> Offset | None:
        """Reads the offset of an opened index, None where its name is empty.

        Raises `StaleArtefact` where it was learned on other vectors than the index's manifest says it holds.
        """
        if not where:
            return None
        found, built = cls.load(where), index / store.MANIFEST
        if built.exists():
            found.check(store.described(index)["identity"], where)
        return found


def _meant(key: str) -> bool:
    return key in SAME or (key.startswith("encoder.") and key not in NOT_MEANT)
