"""Where an IDF without a corpus comes from: statistics of other texts, and probes fitted on them, each made once."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rarityir import checkpoints, parsing, store
from rarityir.counts import TokenCounts
from rarityir.datasets import load_dataset
from rarityir.rarity import idf, predictions
from rarityir.rarity.stats import TokenStats
from rarityir.rarity.tokenizing import Tokenizing
from rarityir.settings import IdfSettings
from rarityir.systems import slug
from rarityir.types import Dataset, Encoder, Ints, Json, RarityError, UnknownName

Doubles = NDArray[np.float64]
ENGLISH = "english"
HOME = "@rarity"  # under the indexes: what belongs to an encoder and no corpus
FORM = 1  # of what probes predict
REPAIR = "balanced"  # what the head of a repaired probe is repaired for: types and running text
_RAREST = 60.0  # nats: no token is rarer
NEED = ("transfer", "probe", "probe-repaired", "shuffled")  # what takes statistics of a source


@dataclass(frozen=True, eq=False)
class Statistics:
    """What a source says of an encoder's tokens: their surprise and occurrences (V,), what was counted, in which documents."""

    surprise: Doubles = field(repr=False)
    occurrences: Ints = field(repr=False)
    source: str
    digest: str
    stats: TokenStats = field(repr=False)

    @property
    def corpora(self) -> frozenset[str]:
        """The names and digests of the document sets."""
        parts = self.stats.identity.get("parts", [self.stats.identity])
        return frozenset(str(part[key]) for part in parts for key in ("corpus", "documents_sha256") if part.get(key))

    @property
    def frequencies(self) -> Ints | None:
        """The (V,) document frequencies, where documents were counted."""
        return self.stats.df if self.stats.documents else None

    @property
    def seen(self) -> NDArray[np.bool_]:
        """Which tokens (V,) occur at all."""
        return np.asarray(self.occurrences > 0)

    @classmethod
    def of(cls, found: TokenStats, length: float) -> Statistics:
        """Returns what statistics of documents say; occurrences alone speak for documents of `length` tokens drawn one by one."""
        if found.documents:
            return cls(found.target("log_idf"), found.cf, found.source, found.digest, found)
        source = f"{found.source}: occurrences, as of documents of {length:g} tokens drawn one by one"
        return cls(idf.counted_surprise(found.counts(), length), found.cf, source, f"{found.digest}, {length:g}", found)


def named(source: str) -> Dataset | None:
    """Returns the dataset that a source's name means; None for English and for folders of saved statistics.

    Raises `UnknownName` for a name that is none of these.
    """
    if source == ENGLISH or (Path(source) / store.MANIFEST).is_file():
        return None
    try:
        return load_dataset(source)
    except UnknownName as error:
        raise UnknownName(f"source={source}: neither english, a folder of rarity stats nor a dataset ({error})") from None


@dataclass
class Rarities:
    """What an encoder's tokens weigh by any setting; what takes long is kept under `indexes`."""

    encoder: Encoder
    indexes: Path
    _statistics: dict[tuple[str, float], Statistics] = field(default_factory=dict, init=False)
    _surprises: dict[tuple[Any, ...], Doubles] = field(default_factory=dict, init=False)

    @property
    def vocabulary(self) -> int:
        """The rows V of the encoder's unembedding."""
        return len(self.encoder.tokens())

    def statistics(self, source: str, length: float) -> Statistics:
        """Returns what a source says: `english`, a folder of saved statistics, or a dataset, which is read for it.

        Raises `UnknownName` for a name that is none of these, `RarityError` for statistics of other tokens.
        """
        if (source, length) not in self._statistics:
            self._statistics[source, length] = self._read(source, length)
        return self._statistics[source, length]

    def surprise(self, settings: IdfSettings) -> Doubles:
        """Returns the surprise (V,) of `id-zipf`, `transfer`, `probe` or `probe-repaired`."""
        key = (settings.idf, settings.source, settings.length, settings.rows)
        if key not in self._surprises:
            self._surprises[key] = self._surprise(settings)
        return self._surprises[key]

    def canonical(self, settings: IdfSettings, class_of: Ints, classes: int) -> Doubles:
        """Returns the IDF (C,) of canonical tokens in a corpus of which nothing is known."""
        shuffled = settings.idf == "shuffled"
        surprise_V = self.surprise(settings._replace(idf="probe") if shuffled else settings)
        surprise_C = idf.joined_surprise(surprise_V, class_of, classes)
        if shuffled:
            surprise_C = np.random.default_rng(settings.seed).permutation(surprise_C)
        return idf.expected_idf(surprise_C, idf.DOCUMENTS)

    def told(self, settings: IdfSettings, corpus: str, digest: str, frequencies: Ints | None = None) -> dict[str, Json]:
        """Returns what is to be said of an IDF beside its figures: level, source, and whether that is in-domain.

        It is where the source holds documents of the corpus itself: known by the corpus's name, by the digest of its documents,
        or by its document frequencies (V,), where they are given. A sub-collection's corpus is that of the whole, too.
        """
        told: dict[str, Json] = {"level": settings.level, **({"first": settings.first} if settings.first else {})}
        if settings.idf in NEED:
            found = self.statistics(settings.source, settings.length)
            same = found.frequencies is not None and frequencies is not None and np.array_equal(found.frequencies, frequencies)
            whole = corpus.partition("@")[0]
            told |= {"source": found.source, "in_domain": same or bool(found.corpora & {corpus, whole, digest})}
        return told

    def _read(self, source: str, length: float) -> Statistics:
        size = self.vocabulary
        if source == ENGLISH:
            counts, none = TokenCounts.english(self.encoder.model, size), np.zeros(size, np.int64)
            return Statistics.of(TokenStats(0, none, counts.counts, none, none, "running English"), length)
        if (Path(source) / store.MANIFEST).is_file():
            found = TokenStats.load(source)
            self._check(found, source)
        else:
            dataset = named(source)
            assert dataset is not None  # it is neither English nor a folder
            folder = self.indexes / slug(dataset.corpus) / slug(self.encoder.name) / "statistics"
            found = TokenStats.from_dataset(dataset, self.encoder.tokenize, folder=folder, vocabulary=size)
            found = replace(found, source=f"{dataset.corpus} in tokens of {self.encoder.name}")
        return Statistics.of(found.over(size), length)

    def _check(self, found: TokenStats, source: str) -> None:
        """Raises where saved statistics are of other tokens than the encoder's."""
        size, name = self.vocabulary, self.encoder.name
        if found.cf[size:].any():
            raise RarityError(f"source={source} counts {found.vocabulary} tokens, {name} has {size}; count with its tokenizer")
        own = (self.encoder.tokenize, self.encoder.model)  # an encoder's function is told by the encoder, not by its tokenizer
        if not any(found.may_be_of(Tokenizing.of(tokenizer)) for tokenizer in own):
            raise RarityError(f"source={source} counts tokens of another model than {name}; count with its tokenizer")

    def _surprise(self, settings: IdfSettings) -> Doubles:
        if settings.idf == "id-zipf":
            return idf.numbered_surprise(self.vocabulary, settings.length)
        found = self.statistics(settings.source, settings.length)
        if settings.idf == "transfer":
            return found.surprise
        documents = found.stats.documents > 0
        target = "log_idf" if documents else "log_icf"
        predicted = self._predicted(found.stats, target, settings.rows, repaired=settings.idf == "probe-repaired")
        if documents:
            return predicted
        return idf.poisson_surprise(np.exp(-np.clip(predicted, 0.0, _RAREST)), settings.length)

    def _predicted(self, stats: TokenStats, target: str, rows: str, *, repaired: bool) -> Doubles:
        """A target (V,) as the encoder's rows tell it, by probes that have not seen the token."""
        name = slug(f"{target}-{rows}{'-repaired' if repaired else ''}-{stats.digest[:16]}")
        folder = self.indexes / HOME / slug(self.encoder.name) / name
        identity: dict[str, Json] = {
            **checkpoints.fingerprint(self.encoder.model), "form": FORM, "statistics": stats.digest, "target": target,
            "rows": rows, "repair": REPAIR if repaired else "none",
        }  # fmt: skip
        with store.building(folder, identity, {"source": stats.source}) as needed:
            if needed:
                # Whose tokens they are was seen to when they were read; an encoder's own function has a name of its own.
                own = replace(stats, identity={})
                found = predictions.predict(self.encoder.model, own, target, rows, repair=REPAIR if repaired else "none")
                with store.replacing(folder / "predicted.npy") as temporary, temporary.open("wb") as file:
                    np.save(file, found)
        store.check(folder)
        return parsing.array(folder / "predicted.npy")
