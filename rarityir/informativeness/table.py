"""Tokens with what they tell: raw and corrected, what it was made of, and how it is kept and read again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rarityir import checkpoints, parsing, store, weights
from rarityir.informativeness import bins
from rarityir.informativeness.comparing import Comparison, compare
from rarityir.types import BadInput, Ints, Json, RarityError

Doubles = NDArray[np.float64]
CORRECTIONS = ("none", "shuffle", "quantile", "analytic", "round")
ROWS = ("values", "raw", "n", "draws", "entropy")


@dataclass(frozen=True, eq=False)
class TokenInformation:
    """What V tokens tell, in nats unless `method` says otherwise.

    Attributes:
        values: (V,) corrected where `correction` says so; NaN for tokens that never occur.
        raw: (V,) before any correction.
        n: (V,) occurrences.
        draws: (V,) contexts that the token's distribution was counted in; 0 where nothing was counted but computed.
        entropy: (V,) of the token's distribution over contexts, NaN where none was counted.
        support: contexts there are.
        names: what each token writes, None where that is no text.
        method: what the values are, in words.
        correction: one of `CORRECTIONS`.
        identity: what they depend on; kept in the manifest.
        facts: figures that belong beside them, such as the fit of an approximation.
    """

    values: Doubles = field(repr=False)
    raw: Doubles = field(repr=False)
    n: Ints = field(repr=False)
    draws: Ints = field(repr=False)
    entropy: Doubles = field(repr=False)
    support: int
    names: tuple[str | None, ...] = field(repr=False)
    method: str
    correction: str = "none"
    identity: Mapping[str, Json] = field(default_factory=dict, repr=False)
    facts: Mapping[str, Json] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if {np.shape(getattr(self, row)) for row in ROWS} != {(len(self.names),)}:
            raise RarityError(f"{self.method}: values, raw, n, draws and entropy need one number for each of the names")

    @property
    def seen(self) -> NDArray[np.bool_]:
        """Which tokens (V,) have a value."""
        return np.isfinite(self.values)

    @cached_property
    def bin_of(self) -> Ints:
        """Each token's bin of frequency (V,), −1 for those without a value."""
        return bins.frequency_bins(np.where(self.seen, self.n, 0))

    @property
    def mutual_information(self) -> float:
        """Σ p(w) raw(w): of tokens and contexts, where those were counted (nats)."""
        share = self.draws / max(1, self.draws.sum())
        return float(np.nansum(share * np.where(self.draws > 0, self.raw, 0.0)))

    def correct(
        self, method: str, *, bins_count: int = bins.BINS, min_per_bin: int = bins.LEAST, q: float = bins.QUANTILE
    ) -> TokenInformation:
        """Returns the raw values less the bias of few draws, as `quantile` or `analytic` says; `none` gives them back.

        `quantile` takes off the q quantile of the raw values of tokens about as frequent, whatever they measure. `analytic`
        takes off (contexts − 1) / (2 draws), the bias of a divergence counted in that many draws to first order: near the truth
        from 4 draws a context on, too much below. `shuffle` and `round` need the corpus: `from_corpus(…, correct="shuffle")`.

        Raises:
            RarityError: for a method that is unknown or needs the corpus, or after `permuted` or `powered`: a correction starts
                from the raw values, which those leave as they are, so they would come undone under their name.
        """
        if done := [key for key in ("permuted", "power") if key in self.identity]:
            raise RarityError(f"{self.method}: a correction would undo that ({done[0]}); correct first, then permute or power")
        if method == "none":
            return self._corrected(self.raw, "none", {})
        if method == "quantile":
            bin_V = bins.frequency_bins(np.where(self.seen, self.n, 0), bins_count, min_per_bin)
            how: dict[str, Json] = {"bins": bins_count, "min_per_bin": min_per_bin, "q": q}
            return self._corrected(self.raw - bins.quantile_curve(self.raw, bin_V, q), "quantile", how)
        if method == "analytic":
            if not self.draws.any():
                raise RarityError(f"{self.method} was not counted in draws, so no bias follows from them; correct by quantile")
            with np.errstate(divide="ignore", invalid="ignore"):
                return self._corrected(self.raw - (self.support - 1) / (2 * self.draws), "analytic", {})
        raise RarityError(
            f"correction {method!r}: one of none, quantile, analytic; shuffle and round are made from the corpus itself"
        )

    def permuted(self, seed: int) -> TokenInformation:
        """Returns the control: values dealt anew among tokens about as frequent."""
        values = bins.permuted_within(self.values, self.bin_of, seed)
        return replace(
            self,
            values=values,
            method=f"{self.method}, permuted within bins of frequency",
            identity={**self.identity, "permuted": seed},
        )

    def powered(self, gamma: float) -> TokenInformation:
        """Returns the values to a power γ, those below 0 as 0: for poolings, whose names have no `gamma=`."""
        if not gamma > 0:
            raise RarityError(f"a power of {gamma} leaves nothing of the weights; give one above 0")
        with np.errstate(invalid="ignore"):
            values = np.maximum(self.values, 0.0) ** gamma
        method, identity = f"{self.method}, to the power {gamma:g}", {**self.identity, "power": gamma}
        return replace(self, values=values, method=method, identity=identity)

    def replaced(self, values_V: Doubles, method: str) -> TokenInformation:
        """Returns other values (V,) of the same tokens, such as an IDF: finite, or NaN for none."""
        raw = np.asarray(values_V, np.float64)
        return replace(
            self, values=raw, raw=raw, method=method, correction="none", facts={}, identity={**self.identity, "method": method}
        )

    @property
    def others(self) -> float:
        """What a token without a value weighs: the median of the rarest bin, and at least 0."""
        rarest = self.values[self.bin_of == 0]
        return max(0.0, float(np.median(rarest))) if len(rarest) else 1.0

    def weights(self) -> Doubles:
        """Returns the values as weights (V,): at least 0, and `others` where there is none."""
        return np.where(self.seen, np.maximum(np.nan_to_num(self.values), 0.0), self.others)

    def by_name(self) -> dict[str, float]:
        """Returns canonical token → weight: the mean over occurrences of the ids that write it without space and case.

        A token that never occurs is left out, and weighs what the last line, `*`, says.
        """
        sums: dict[str, tuple[float, float]] = {}
        weight_V = self.weights()
        for i in np.flatnonzero(self.seen):
            name = (self.names[i] or "").strip().lower()
            if any(letter.isalnum() for letter in name) and "\n" not in name and "\t" not in name:
                total, count = sums.get(name, (0.0, 0.0))
                times = max(1.0, float(self.n[i]))
                sums[name] = (total + times * float(weight_V[i]), count + times)
        return {**{name: total / count for name, (total, count) in sums.items()}, weights.OTHERS: self.others}

    def compare(self, idf: Doubles) -> Comparison:
        """Returns how the values go with an IDF (V,), also beyond what both owe to log n; see `compare`."""
        return compare(self.values, np.asarray(idf, np.float64), self.n)

    def save(self, folder: str | Path) -> Path:
        """Writes the folder that `sparse:K,weights=`, `bm25-idf:` and `pooling=weighted:` read, and returns it.

        Raises `StaleArtefact` if it holds other weights.
        """
        path = Path(folder)
        facts: dict[str, Json] = {
            "kind": "token weights", "method": self.method, "correction": self.correction, "support": self.support,
            "tokens": int(self.seen.sum()), "figures": dict(self.facts), "names": list(self.names),
        }  # fmt: skip
        identity = {"form": weights.FORM, **self.identity, "correction": self.correction, "sha256": self.digest}
        with store.building(path, identity, facts) as needed:
            if needed:
                rows = {row: getattr(self, row) for row in ROWS}
                # The weights as they are used come under `values`; NaN, a token without a value, stands under `measured`.
                checkpoints.write_tensors(path / weights.FILE, {**rows, "measured": self.values, "values": self.weights()})
                lines = [f"{name}\t{value!r}\n" for name, value in self.by_name().items()]
                store.write_text(path / weights.TABLE, "".join(lines))
        return path

    @cached_property
    def digest(self) -> str:
        """The SHA-256 over the values' bytes."""
        import hashlib

        return hashlib.sha256(np.ascontiguousarray(self.values, "<f8").tobytes()).hexdigest()

    @classmethod
    def load(cls, folder: str | Path) -> TokenInformation:
        """Reads a saved folder; `BadInput` for one that is none, `StaleArtefact` for files that have changed."""
        path = Path(folder)
        weights.TokenWeights.read(path)
        manifest: dict[str, Any] = parsing.value(path / store.MANIFEST)
        identity, facts = dict(manifest["identity"]), manifest["facts"]
        found = checkpoints.read_tensors(path / weights.FILE)
        try:
            parsing.need(all(isinstance(name, str | None) for name in facts["names"]), "names that are no text")
            for counts in (found["n"], found["draws"]):
                whole = np.isfinite(counts).all() and (counts == np.rint(counts)).all()
                parsing.need(whole and (counts >= 0).all(), "counts that are no whole numbers from 0 on")
            rows = {row: found["measured" if row == "values" else row] for row in ROWS}
            kept = {key: value for key, value in identity.items() if key not in ("form", "correction", "sha256")}
            return cls(
                **rows, support=int(facts["support"]), names=tuple(facts["names"]), method=str(facts["method"]),
                correction=str(facts["correction"]), identity=kept, facts=facts["figures"],
            )  # fmt: skip
        except parsing.BROKEN as error:
            raise BadInput(f"{path} holds no whole table of weights ({error}); write it again") from None

    def _corrected(self, values_V: Doubles, correction: str, how: Mapping[str, Json]) -> TokenInformation:
        identity = {**self.identity, **{f"correction.{key}": value for key, value in how.items()}}
        values = np.where(np.isfinite(self.raw), values_V, np.nan)
        return replace(self, values=values, correction=correction, identity=identity)
