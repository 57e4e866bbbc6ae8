"""A map of models: their values on shared texts, clipped once, kept in one file, and read as distances and places."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from rarityir import parsing, store
from rarityir.modelmap import prediction
from rarityir.modelmap.agreement import Mismatch, mismatch, onto
from rarityir.modelmap.distances import Matrix, centred, embedded, floor, matrix, per_unit, squared
from rarityir.modelmap.resampling import Sample
from rarityir.types import Json, RarityError, StaleArtefact


@dataclass(frozen=True)
class ModelMap:
    """K models' clipped values on columns (U of N texts, all of them unless sampled), with the columns' factors.

    `reference` rows were there from the beginning: columns are centred on them, so that a model added moves none of them.
    """

    names: tuple[str, ...]
    values: Matrix = field(repr=False)  # (K, U)
    floor: float  # what values were raised to, in nats
    mean_bytes: float
    texts: int
    factors: Matrix = field(repr=False)  # (U,)
    reference: int
    clip: float = 0.02
    facts: Mapping[str, Json] = field(default_factory=dict, repr=False)

    @classmethod
    def from_matrix(
        cls,
        names: Sequence[str],
        l_KN: ArrayLike,
        mean_bytes: float,
        *,
        clip: float = 0.02,
        facts: Mapping[str, Json] | None = None,
    ) -> ModelMap:
        """Returns the map of K models' log-likelihoods of N texts, in nats a text, raised to the `clip` quantile of all."""
        values = matrix(l_KN)
        if len(names) != len(values) or len(set(names)) != len(names):
            raise RarityError(f"{len(set(names))} different names for {len(values)} models; each needs one of its own")
        low = floor(values, clip)
        texts = values.shape[1]
        return cls(
            tuple(names), np.maximum(values, low), low, mean_bytes, texts, np.ones(texts), len(names), clip, dict(facts or {})
        )

    @property
    def whole(self) -> bool:
        """Whether columns are all texts, each once; a sample may happen to hold every text, and has factors all the same."""
        return len(self.factors) == self.texts and bool((self.factors == 1).all())

    def kl(self, unit: str = "bits/byte") -> Matrix:
        """Returns half the variance of every pair's difference (K, K), relative to the map's texts."""
        return np.asarray(squared(self._centred(), self.reference) / (2 * self.texts * per_unit(unit, self.mean_bytes)))

    def coords(self, unit: str = "bits/byte") -> Matrix:
        """Returns places (K, U) whose squared distances are `kl(unit)`; the reference models' mean is the origin."""
        places = self._centred()
        scale = math.sqrt(2 * self.texts * per_unit(unit, self.mean_bytes))
        return np.asarray((places - places[: self.reference].mean(axis=0)) / scale)

    def embed(self, method: str = "pca", dims: int = 2) -> tuple[Matrix, Matrix]:
        """Returns places (K, dims) and what they hold, as `embedded` says: axes are the reference models' own."""
        return embedded(self.coords("nats/text"), method, dims, self.reference)

    def jitter(self, runs: int = 100, seed: int = 0, method: str = "pca") -> Matrix:
        """Returns where each model stands (runs, K, 2) on maps of texts drawn anew, with replacement, from this map's.

        Each such map is turned, mirrored and shifted onto `embed(method)` as near as it goes, but not scaled. How far a model
        strays is what the choice of texts leaves open; what another kind of text would show is not in it.
        """
        if not self.whole or self.reference != len(self.names):
            raise RarityError("jitter is of a map of whole text sets, and this one has a sample of texts or models added to it")
        wanted, rng = self.embed(method)[0], np.random.default_rng(seed)
        x_KN = self.coords("nats/text")
        drawn = (rng.integers(self.texts, size=self.texts) for _ in range(runs))
        return np.array([onto(embedded(centred(x_KN[:, texts]), method)[0], wanted) for texts in drawn])

    def mean(self) -> Matrix:
        """Returns each model's mean log-likelihood of a text in nats, on a sample an estimate of it."""
        weights = self.factors**2 / (self.factors**2).sum()
        return np.asarray(self.values @ weights)

    def predict(
        self, y: ArrayLike, groups: Sequence[str] | None = None, *, cv: int = 5, seed: int = 0, centre: str = "train"
    ) -> prediction.Prediction:
        """Predicts a score of models not seen from their places, as `prediction.predict` says.

        Values are raised anew to the threshold of the training models, but were raised before to the map's, which is of all its
        models. A map of clip 0 is raised to none; `prediction.predict` of plain values clips by training models alone.
        """
        return prediction.predict(self.values, y, groups, cv=cv, seed=seed, centre=centre, clip=self.clip, factors_N=self.factors)

    def mismatch(self, own_KM: ArrayLike, own_bytes: float) -> Mismatch:
        """Compares the map's distances with those on texts sampled from the models (K, M) in nats; see `agreement.mismatch`.

        The same share of their values is raised as of the map's own, to a threshold of their own: nats of a text grow with its
        length, so the map's is none for texts of another length.
        """
        if not self.whole:
            raise RarityError("this map stands on a sample of texts; check the map it was drawn from")
        own = matrix(own_KM)
        return mismatch(self.values, np.maximum(own, floor(own, self.clip)), self.mean_bytes, own_bytes)

    def sampled(self, sample: Sample) -> ModelMap:
        """Returns the same models on the drawn texts alone, each column with its factor."""
        if not self.whole or sample.texts != self.texts:
            raise RarityError(
                f"a sample of {sample.texts} texts for a map of {self.texts}{'' if self.whole else ', itself a sample'}; "
                "draw from a whole map of as many"
            )
        if not sample.centre:
            raise RarityError("this sample is of values that keep their means, such as topics' measures; fit it with centre=True")
        return replace(self, values=self.values[:, sample.indices], factors=sample.factors)

    def add(self, name: str, values: ArrayLike, sample: Sample | None = None) -> ModelMap:
        """Returns the map with one more model, its values (of the drawn texts, with a sample) raised to the map's floor."""
        here = self if sample is None else self.sampled(sample)
        row = matrix(np.atleast_2d(np.asarray(values, np.float64)))
        if row.shape != (1, len(here.factors)):
            raise RarityError(f"{name}: {row.shape[1]} values for a map of {len(here.factors)} texts read")
        if name in here.names:
            raise RarityError(f"{name} is on the map already; give it another name")
        return replace(here, names=(*here.names, name), values=np.concatenate([here.values, np.maximum(row, here.floor)]))

    def save(self, path: str | Path) -> Path:
        """Writes the numbers as `.npz`, and beside it a `.json` that says what they are and what they sum to."""
        path = Path(path)
        if path.suffix != ".npz":
            raise RarityError(f"{path}: a map is a .npz file, with a .json of the same name beside it")
        with store.replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, values=self.values, factors=self.factors)
        facts = {key: getattr(self, key) for key in ("names", "mean_bytes", "texts", "reference", "clip")}
        low = None if math.isinf(self.floor) else self.floor
        store.write_json(
            path.with_suffix(".json"), {**facts, "floor": low, "facts": dict(self.facts), "map_sha256": store.digest_file(path)}
        )
        return path

    @classmethod
    def load(cls, path: str | Path) -> ModelMap:
        """Reads a map; one whose files do not belong together or were changed is a `StaleArtefact`."""
        path = Path(path)
        try:
            facts = parsing.value(path.with_suffix(".json"))
            wanted, low = facts.pop("map_sha256"), facts.pop("floor")
            if store.digest_file(path) != wanted:
                raise StaleArtefact(f"{path} is not the map that its .json tells of (checksum differs); build it again")
            arrays = parsing.arrays(path)
            values, factors = matrix(arrays["values"]), np.asarray(arrays["factors"], np.float64)
            names, low = tuple(map(str, facts.pop("names"))), -math.inf if low is None else float(low)
            found = cls(names=names, values=values, factors=factors, floor=low, **facts)
            _check(found)
            return found
        except parsing.BROKEN as error:
            raise StaleArtefact(f"{path} and its .json are not a stored map ({type(error).__name__}); build it again") from None

    def _centred(self) -> Matrix:
        return centred(self.values, None if self.whole else self.factors)


def _check(found: ModelMap) -> None:
    """Raises `ValueError` for names, factors or sizes that are not those of the values."""
    models, columns = found.values.shape
    parsing.need(len(found.names) == models and len(set(found.names)) == models, "names of other models")
    parsing.need(parsing.finite(found.factors, columns) and (found.factors**2).sum() > 0, "factors of other columns")
    parsing.need(type(found.reference) is int and 0 < found.reference <= models, "reference models that are not there")
    parsing.need(type(found.texts) is int and columns <= found.texts, "fewer texts than columns")
    parsing.need(0 < float(found.mean_bytes) < math.inf and found.floor < math.inf, "no length of texts, or no threshold")
    parsing.need(0 <= float(found.clip) < 1 and isinstance(found.facts, dict), "no share that is clipped, or no facts")
