"""EmbedFilter: the projection that removes where an unembedding writes frequent, uninformative tokens.

Source: "EmbedFilter", arXiv 2606.07502, §3 and Appendix A. The published code projects inside three forked models; as
the map is linear it commutes with mean and last-token pooling, so here it is a value applied to pooled embeddings.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rarityir import __version__, checkpoints, notebook, parsing, store
from rarityir.counts import TokenCounts
from rarityir.filters.fitting import fit
from rarityir.filters.source import Source
from rarityir.filters.unembedding import Unembedding
from rarityir.systems import Part
from rarityir.types import Floats, Json, RarityError

if TYPE_CHECKING:
    import pandas as pd

WEIGHTS, CARD, _README = "model.safetensors", "filter.json", "README.md"
SEAL = "card_sha256"  # over all else that the card says


@dataclass(frozen=True, eq=False)
class EmbedFilter:
    """The linear map x ↦ (x − mean) @ basis.T from D to K coordinates; calling it maps (N, D) to (N, K) float32.

    The rows of `basis` are orthonormal unless the filter scales (`whiten`) or draws them (`randproj`); `mean` is None
    unless it was fitted on documents. `fitted_on` says on what: model, digests, counts, documents.
    """

    name: str
    basis: Floats = field(repr=False)
    fitted_on: dict[str, Json] = field(default_factory=dict)
    mean: Floats | None = field(default=None, repr=False)

    @classmethod
    def fit(
        cls,
        unembedding: Floats | str | Path | Source,
        filter: str,
        *,
        counts: TokenCounts | str | Path | None = None,
        embeddings: Floats | None = None,
        cache: Path | None = None,
        device: str = "cpu",
    ) -> EmbedFilter:
        """Returns the filter of a name such as `edge:2`, `spectroscopy:128` or `tail:2+whiten:64`.

        Args:
            unembedding: a short name, hub id or path whose head is read from its safetensors shard, or a (V, D) array;
                or a `Source`, which keeps what several filters of one model share.
            filter: any filter of `docs/filters.md`, or several joined by `+`, each fitted after the ones before it.
            counts: the token frequencies for `spectroscopy`, `frequent`, `logfreq` and `auto` (default: running English).
            embeddings: (N, D) raw embeddings for `center`, `abtt`, `pca` and `whiten`.
            cache: where computed spectra are kept (default: the user's cache folder).
            device: where Gram matrices are accumulated: `cpu`, or a torch device such as `cuda`.
        """
        if isinstance(unembedding, Source):
            if counts is not None or embeddings is not None:
                raise RarityError("a Source has its own counts and documents; give it those, or a model instead of a Source")
            source = unembedding
        else:
            source = _source(unembedding, counts, embeddings, cache, device)
        parts = [Part.parse(part) for part in filter.split("+")]
        affine = fit(parts, source)
        facts = dict(affine.facts)
        if source.unembedding is not None:
            facts.setdefault("unembedding_sha256", source.unembedding.digest)
        model = source.unembedding.model if source.unembedding else None
        if model is not None:
            facts["model"] = checkpoints.called(model)
            facts["revision"] = checkpoints.fingerprint(model)["revision"]
        mean = None if affine.mean is None else affine.mean.astype(np.float32)
        return cls("+".join(map(str, parts)), np.ascontiguousarray(affine.basis, np.float32), facts, mean)

    @classmethod
    def auto(
        cls,
        unembedding: Floats | str | Path | Source,
        *,
        counts: TokenCounts | str | Path | None = None,
        cache: Path | None = None,
    ) -> EmbedFilter:
        """Returns the cut that the spectrum and token frequencies alone suggest; `fitted_on["auto"]` says why."""
        return cls.fit(unembedding, "auto", counts=counts, cache=cache)

    @property
    def digest(self) -> str:
        """The SHA-256 over the bytes of basis and mean."""
        total = hashlib.sha256(np.ascontiguousarray(self.basis).data)
        if self.mean is not None:
            total.update(np.ascontiguousarray(self.mean).data)
        return total.hexdigest()

    @property
    def bias(self) -> Floats:
        """The (K,) vector −mean @ basis.T: with `basis` as weight, what a linear layer needs to be this filter."""
        if self.mean is None:
            return np.zeros(len(self.basis), np.float32)
        return np.asarray(-(self.mean.astype(np.float64) @ self.basis.T.astype(np.float64)), np.float32)

    def __call__(self, x_BD: Floats) -> Floats:
        """Returns (x − mean) @ basis.T, the kept coordinates; raises `RarityError` if the widths differ."""
        x = np.asarray(x_BD, dtype=np.float32)
        if x.shape[-1] != self.basis.shape[1]:
            raise RarityError(
                f"filter {self.name} was fitted on width {self.basis.shape[1]}, these embeddings have {x.shape[-1]}"
            )
        centred: Floats = x if self.mean is None else x - self.mean
        return centred @ self.basis.T

    def to_frame(self) -> pd.DataFrame:
        """Returns a DataFrame of one row, `filter`: `kept`, `width`, `centred`, what it was fitted on, `sha256`.

        Those of several filters stand below each other with `pandas.concat`; `rarityir.explain.explain` says what a filter does
        to each direction, and has a DataFrame too.
        """
        kept, width = self.basis.shape
        plain = {name: value for name, value in self.fitted_on.items() if isinstance(value, str | int | float)}
        row = {
            "filter": self.name,
            "kept": kept,
            "width": width,
            "centred": self.mean is not None,
            **plain,
            "sha256": self.digest,
        }
        return notebook.frame({name: [value] for name, value in row.items()}, "filter")

    def _repr_html_(self) -> str:
        """What it keeps and what it was fitted on, for a notebook."""
        kept, width = self.basis.shape
        values = {name: value for name, value in self.fitted_on.items() if isinstance(value, str | int | float)}
        shown = {"keeps": f"{kept:,} of {width:,} directions", "centred": "yes" if self.mean is not None else "no"}
        return notebook.facts(f"filter {self.name}", {**shown, **values, "sha256": self.digest})

    def stream(self, blocks: Iterable[Floats]) -> Iterator[Floats]:
        """Yields each block of embeddings filtered; memory-mapped blocks are read one at a time."""
        for block in blocks:
            yield self(block)

    def check_model(self, model: str, unembedding_sha256: str) -> None:
        """Raises `RarityError`, naming both, if this filter was fitted on another unembedding than that model's."""
        fitted = self.fitted_on.get("unembedding_sha256")
        if fitted is not None and fitted != unembedding_sha256:
            raise RarityError(
                f"filter {self.name} was fitted on {self.fitted_on.get('model', 'another matrix')} "
                f"(unembedding {fitted[:12]}), not on {model} ({unembedding_sha256[:12]}); fit it again on that model"
            )

    @staticmethod
    def check_place(folder: str | Path) -> None:
        """Raises `RarityError` for a folder with files of a saved filter's names that are none's, and for a file."""
        store.check_folder(Path(folder))
        card = Path(folder) / CARD
        if card.exists():
            try:
                ours = {"name", "kept", "width", "fitted_on"} <= parsing.mapping(card).keys()
            except parsing.BROKEN:
                ours = False
            if not ours:
                raise RarityError(f"{card} is no filter's, and is left alone; choose another folder, or remove it: rm {card}")
        elif any((Path(folder) / name).exists() for name in (WEIGHTS, _README)):
            raise RarityError(f"{folder} holds a {WEIGHTS} or {_README} that is no filter's; choose another folder")

    def save(self, folder: str | Path) -> Path:
        """Writes `model.safetensors`, its card `filter.json` and a README for people into a folder."""
        from rarityir.filters.card import readme

        folder = Path(folder)
        self.check_place(folder)
        tensors = {"basis": self.basis} if self.mean is None else {"basis": self.basis, "mean": self.mean}
        card = {"name": self.name, "kept": self.basis.shape[0], "width": self.basis.shape[1], "fitted_on": self.fitted_on}
        card |= {"sha256": self.digest, "rarityir": __version__}
        store.write_json(folder / CARD, store.sealed(card, SEAL))  # first: weights without a card are someone else's
        checkpoints.write_tensors(folder / WEIGHTS, tensors)
        store.write_text(folder / _README, readme(self))
        return folder

    @classmethod
    def load(cls, folder: str | Path) -> EmbedFilter:
        """Reads a saved filter, with numpy alone; weights that are not those of its card are a `RarityError`."""
        folder = Path(folder)

        def made(card: dict[str, Json], tensors: dict[str, Any]) -> EmbedFilter:
            loaded = cls(str(card["name"]), tensors["basis"], dict(card["fitted_on"]), tensors.get("mean"))
            _check(loaded)
            return loaded

        again = "fit and save it again"
        if not folder.is_dir():
            raise RarityError(f"{folder} holds no whole filter (no such folder); save one there with rarityir filter fit")
        if not (folder / CARD).exists():
            raise RarityError(f"{folder} holds no whole filter (it has no {CARD}); {again}")
        loaded, card = checkpoints.carded(folder / CARD, folder / WEIGHTS, made, what="filter", again=again)
        if not store.unbroken(card, SEAL):
            raise RarityError(f"{folder / CARD} was changed after it was written; fit and save it again")
        if loaded.digest != card.get("sha256"):
            raise RarityError(f"{folder / WEIGHTS} is not the filter its card describes; fit and save it again")
        return loaded

    def push_to_hub(self, repo_id: str, *, private: bool = False, token: str | None = None) -> str:
        """Uploads the saved form to a model repository of the Hugging Face hub and returns its address."""
        from rarityir.filters.hub import push

        return push(self, repo_id, private=private, token=token)

    @classmethod
    def from_hub(cls, repo_id: str, *, revision: str | None = None, token: str | None = None) -> EmbedFilter:
        """Loads a filter from a model repository of the hub, or from a folder of that form."""
        from rarityir.filters.hub import pull

        return pull(repo_id, revision=revision, token=token)


def _check(loaded: EmbedFilter) -> None:
    """Raises `ValueError` for arrays or facts of another form than `save` writes."""
    basis, mean, facts = loaded.basis, loaded.mean, loaded.fitted_on
    parsing.need(basis.dtype == np.float32 and basis.size and parsing.finite(basis, None, None), "basis is no matrix of numbers")
    if mean is not None:
        parsing.need(mean.dtype == np.float32 and parsing.finite(mean, basis.shape[1]), "mean is no vector of its width")
    for key in ("unembedding_sha256", "model", "revision"):
        parsing.need(isinstance(facts.get(key, ""), str), f"fitted_on: {key} is no text")
    parsing.need(isinstance(facts.get("documents", {}), dict), "fitted_on: documents is no object")


def _source(
    unembedding: Floats | str | Path,
    counts: TokenCounts | str | Path | None,
    embeddings: Floats | None,
    cache: Path | None,
    device: str,
) -> Source:
    named = counts is None or counts == "english"
    given = counts if named or isinstance(counts, TokenCounts) else TokenCounts.load(str(counts))
    documents, facts = None, {}
    if embeddings is not None:
        x_ND = np.asarray(embeddings)
        documents = lambda: iter([x_ND])  # noqa: E731
        facts = {"sha256": hashlib.sha256(np.ascontiguousarray(x_ND, np.float32).data).hexdigest()}
    matrix = Unembedding.of(unembedding)
    if not isinstance(given, TokenCounts):
        return Source(matrix, None, documents, facts, cache, device)

    def table(name: str) -> TokenCounts:
        if name == "corpus":
            raise RarityError("counts=corpus needs documents' texts; leave it out where a table of counts is given")
        return given

    return Source(matrix, table, documents, facts, cache, device)
