"""How often tokens occur in documents, and in how many: counted once, kept, added up, and read as measures of rarity."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rarityir import checkpoints, notebook, parsing, registry, store
from rarityir.counts import SMOOTHING, TokenCounts
from rarityir.datasets import load_dataset
from rarityir.rarity import words
from rarityir.rarity.counting import ROWS, count
from rarityir.rarity.tokenizing import Tokenizing
from rarityir.types import BadInput, Dataset, Ints, Json, RarityError, StaleArtefact, UnknownName

if TYPE_CHECKING:
    import pandas as pd

FORM = 1  # of the files
FILE, JOURNAL = "stats.safetensors", "unfinished.safetensors"
Vector = NDArray[np.float64]
# What each target is, in natural logarithms unless it says otherwise; s is the smoothing.
TARGETS: Mapping[str, str] = {
    "log_icf": "−ln((cf + s) / (T + sV))",
    "log_idf": "ln((N + 1) / (df + s))",
    "bm25_idf": "ln(1 + (N − df + s) / (df + s)), Lucene's for s = ½",
    "mp_idf": "ln(N / (df + 1))",
    "mp_icf": "ln(T / (cf + 1))",
    "inverse_frequency": "N / (df + 1)",
    "inverse_occurrences": "T / (cf + 1)",
    "burstiness": "ln(cf / df)",
    "adapt": "ln((df2 + s) / (df − df2 + s)): the odds that a document that has it once has it again",
    "ridf": "−log2(df / N) + log2(1 − e^(−cf/N)): the IDF beyond that of a Poisson process",
    "vmr": "Var(tf) / mean(tf) over all N documents",
}
# What the first published study of rarity in embeddings calls them.
SYNONYMS: Mapping[str, str] = {
    "inverse_document_frequency": "mp_idf",
    "log_inverse_frequency": "mp_idf",
    "log_inverse_occurrences": "mp_icf",
    "lif": "mp_idf",
    "lio": "mp_icf",
}
OF_WORDS = ("log_icf", "mp_icf", "inverse_occurrences")  # what needs no document


@dataclass(frozen=True, eq=False)
class TokenStats:
    """Statistics of V token ids in N documents.

    Attributes:
        documents: N, all documents read, those without text among them; 0 where words were counted and not documents.
        df: (V,) documents that have the token.
        cf: (V,) occurrences.
        squares: (V,) Σ tf² over documents.
        df2: (V,) documents that have it twice or more.
        source: what was counted, in words.
        identity: what the counts depend on (corpus, tokenizer, limit); kept in the manifest.
    """

    documents: int
    df: Ints = field(repr=False)
    cf: Ints = field(repr=False)
    squares: Ints = field(repr=False)
    df2: Ints = field(repr=False)
    source: str
    identity: Mapping[str, Json] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if len({np.shape(getattr(self, row)) for row in ROWS}) > 1 or np.ndim(self.df) != 1:
            raise RarityError(f"statistics of {self.source} need df, cf, squares and df2 of one length, one number a token")

    @classmethod
    def from_dataset(
        cls, ds: Dataset | str, tokenizer: Any, *, limit: int = 0, workers: int = 0, folder: str | Path | None = None,
        vocabulary: int = 0,
    ) -> TokenStats:  # fmt: skip
        """Counts a dataset's documents in one pass and returns their statistics.

        Args:
            ds: a dataset, or its name as `load_dataset` takes it.
            tokenizer: a model's name or folder, a tokenizer object, or a function from a list of texts to lists of ids.
            limit: read that many documents only, the first ones; 0 for all.
            workers: processes that tokenise, 0 for one a core; they change no number.
            folder: where the statistics are kept. A stopped pass goes on from there, a complete one is read.
            vocabulary: V; 0 for the tokenizer's own size, for a function one more than the largest id. Ids beyond V are
                left out.

        Raises `StaleArtefact` where the folder holds other statistics, `RarityError` for what is no dataset or tokenizer.
        """
        if limit < 0:
            raise RarityError(f"a limit of {limit} documents cannot be read; give 0 for all, or more")
        dataset = load_dataset(ds) if isinstance(ds, str) else ds
        tokens = Tokenizing.of(tokenizer)
        size = vocabulary or tokens.vocabulary
        identity: dict[str, Json] = {"corpus": dataset.corpus, "limit": limit, "vocabulary": size, **tokens.identity}
        identity |= {f"corpus.{key}": value for key, value in dataset.identity.items()}
        source = f"{f'the first {limit} documents of ' if limit else ''}{dataset.corpus} in tokens of {tokens.name}"
        if folder is None:
            counts, documents, digest = count(dataset, tokens.encode, size, limit=limit, workers=workers)
            return cls._of(counts, documents, source, {**identity, "documents_sha256": digest})
        path = Path(folder)
        facts: dict[str, Json] = {}
        with store.building(path, {"form": FORM, **identity}, facts) as needed:
            if needed:
                journal = path / JOURNAL
                counts, documents, digest = count(dataset, tokens.encode, size, limit=limit, workers=workers, journal=journal)
                facts.update(_facts(cls._of(counts, documents, source, {})), documents_sha256=digest)
                checkpoints.write_tensors(path / FILE, dict(zip(ROWS, counts, strict=True)))
                journal.unlink()
        return cls.load(path)

    @classmethod
    def from_words(cls, file: str | Path, tokenizer: Any, *, vocabulary: int = 0) -> TokenStats:
        """Returns the statistics of a file of word counts (`word<tab or space>count` a line) in a tokenizer's own tokens.

        Each word is tokenised as it stands in running text, behind a space. There are no documents: what needs df is an
        error. The tokenizer is a model's name or folder, or a tokenizer object.
        """
        tokens, path = Tokenizing.of(tokenizer), Path(file)
        size = vocabulary or tokens.vocabulary
        cf = words.counted(path, tokens, size)
        none = np.zeros(len(cf), np.int64)
        identity = {"words": path.name, "words_sha256": store.digest_file(path), "vocabulary": size, **tokens.identity}
        return cls(0, none, cf, none, none, f"the words of {path.name} in tokens of {tokens.name}", identity)

    @property
    def tokens(self) -> int:
        """T, the number of occurrences."""
        return int(self.cf.sum())

    @property
    def vocabulary(self) -> int:
        """V."""
        return len(self.cf)

    @property
    def censored(self) -> NDArray[np.bool_]:
        """Which tokens (V,) never occur: their rarity is only known to be above that of the others."""
        return np.asarray(self.cf == 0)

    def to_frame(self) -> pd.DataFrame:
        """Returns a DataFrame of a row a token id, in order: `df`, `cf`, `squares` and `df2`."""
        return notebook.frame({row: getattr(self, row) for row in ROWS})

    def _repr_html_(self) -> str:
        """How much was counted, for a notebook."""
        values = {"documents": f"{self.documents:,}", "tokens": f"{self.tokens:,}", "vocabulary": f"{self.vocabulary:,}"}
        return notebook.facts(self.source, {**values, "never seen": f"{int(self.censored.sum()):,}", "sha256": self.digest})

    @cached_property
    def digest(self) -> str:
        """The SHA-256 over N and the counts' bytes."""
        total = hashlib.sha256(str(self.documents).encode())
        for row in ROWS:
            total.update(getattr(self, row).astype("<i8").tobytes())
        return total.hexdigest()

    def target(self, name: str, smoothing: float = SMOOTHING) -> Vector:
        """Returns a measure of rarity (V,) by its name in `TARGETS`, or a synonym of it.

        Those of smoothed counts are finite for every token; `burstiness`, `ridf` and `vmr` have no value for a token that
        never occurs, and are NaN there (see `censored`). Raises `UnknownName`, and `RarityError` where documents are needed
        and words were counted.
        """
        known = SYNONYMS.get(name, name)
        if known not in TARGETS:
            raise UnknownName(registry.unknown("target", name, [*TARGETS, *SYNONYMS]))
        if smoothing <= 0:
            raise RarityError(f"smoothing {smoothing} leaves unseen tokens without a logarithm; give more than 0")
        if not self.documents and known not in OF_WORDS:
            raise RarityError(
                f"{name} needs documents, and {self.source} has none; take {', '.join(OF_WORDS)}, or count a dataset"
            )
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(_FORMULAS[known](self, smoothing), np.float64)

    def counts(self) -> TokenCounts:
        """Returns the occurrences as what filters are fitted on."""
        return TokenCounts(self.cf, self.source)

    def over(self, vocabulary: int) -> TokenStats:
        """Returns the same statistics over V ids, as many as a matrix has rows: more are unseen, those beyond V are left out."""
        rows = [_padded(getattr(self, row)[:vocabulary], vocabulary) for row in ROWS]
        return TokenStats._of(rows, self.documents, self.source, {**self.identity, "vocabulary": vocabulary})

    def may_be_of(self, tokens: Tokenizing) -> bool:
        """Whether these are counts of a tokenizer's tokens; what a function counted, and what does not say, may be anyone's."""
        theirs = {str(part["tokenizer"]) for part in _parts(self) if "tokenizer" in part}
        return any(name.startswith("function ") for name in theirs) or theirs <= {str(tokens.identity["tokenizer"])}

    def counted_by(self, tokens: Tokenizing) -> TokenStats:
        """Returns the statistics as they are. Raises `RarityError` where they are of another tokenizer's tokens."""
        if not self.may_be_of(tokens):
            raise RarityError(f"the counts of {self.source} are not of {tokens.name}'s tokens; count with its tokenizer")
        return self

    def merge(self, other: TokenStats) -> TokenStats:
        """Returns the statistics of both sets of documents together, in whichever order.

        The parts must not share a document. Raises `RarityError` if the two are of other tokenizers, or one has no documents.
        """
        mine, theirs = _parts(self), _parts(other)
        tokenizers = {str(part["tokenizer"]) for part in [*mine, *theirs] if "tokenizer" in part}
        if len(tokenizers) > 1:
            raise RarityError(f"{self.source} and {other.source} are of two tokenizers and do not add up; count both with one")
        twice = {part.get("documents_sha256") for part in mine} & {part.get("documents_sha256") for part in theirs} - {None}
        if twice:
            raise RarityError(f"{self.source} and {other.source} hold the same documents, which would be counted twice")
        if bool(self.documents) != bool(other.documents):
            raise RarityError(f"{self.source} and {other.source} do not add up: one has documents, the other words alone")
        fixed = {int(part["vocabulary"]) for part in [*mine, *theirs] if part.get("vocabulary")}
        if self.vocabulary != other.vocabulary and fixed:
            raise RarityError(
                f"statistics of {self.vocabulary} and of {other.vocabulary} tokens do not add up; give one vocabulary"
            )
        size = max(self.vocabulary, other.vocabulary)
        rows = [_padded(getattr(self, row), size) + _padded(getattr(other, row), size) for row in ROWS]
        parts = sorted([*mine, *theirs], key=lambda part: json.dumps(part, sort_keys=True))
        source = " + ".join(sorted({*self.source.split(" + "), *other.source.split(" + ")}))
        return TokenStats._of(rows, self.documents + other.documents, source, {"parts": parts})

    def save(self, folder: str | Path) -> Path:
        """Writes the statistics as safetensors with a manifest, whole or not at all, and returns the folder.

        Raises `StaleArtefact` if the folder holds other statistics.
        """
        path = Path(folder)
        identity = {key: value for key, value in self.identity.items() if key != "documents_sha256"}
        facts = _facts(self) | {key: value for key, value in self.identity.items() if key == "documents_sha256"}
        identity = identity or {"source": self.source, "sha256": self.digest}
        with store.building(path, {"form": FORM, **identity}, facts) as needed:
            if needed:
                checkpoints.write_tensors(path / FILE, {row: getattr(self, row) for row in ROWS})
                (path / JOURNAL).unlink(missing_ok=True)
        if TokenStats.load(path).digest != self.digest:
            raise StaleArtefact(f"{path} holds other counts of {self.source}; remove it, or choose another folder: rm -r {path}")
        return path

    @classmethod
    def load(cls, folder: str | Path) -> TokenStats:
        """Reads saved statistics; `RarityError` for a folder that has none, or files that changed since they were written."""
        path = Path(folder)
        hint = "write them with rarityir rarity stats"
        if not (path / store.MANIFEST).exists():
            begun = (path / store.PARTIAL).exists()
            state = "its pass was stopped; give the same command again, it goes on" if begun else hint
            raise BadInput(f"{path} holds no token statistics: {state}")
        try:
            found = store.described(path)
            identity, facts = dict(found["identity"]), found["facts"]
            documents, source = int(facts["documents"]), str(facts["source"])
            if identity.pop("form") != FORM:
                raise KeyError("form")
            store.verify(path)
            tensors = checkpoints.read_tensors(path / FILE)
            rows = [tensors[row].astype(np.int64) for row in ROWS]
            parsing.need(0 <= documents < 2**53, "a number of documents that is none")
            parsing.need(all(parsing.finite(tensors[row], len(rows[0]), kind="i") for row in ROWS), "counts that are no rows")
        except parsing.BROKEN as error:
            raise BadInput(f"{path} holds no token statistics ({type(error).__name__}: {error}); {hint}") from None
        kept = {key: facts[key] for key in ("documents_sha256",) if key in facts}
        return cls._of(rows, documents, source, {**identity, **kept})

    @classmethod
    def _of(cls, rows: Sequence[Ints] | Ints, documents: int, source: str, identity: Mapping[str, Json]) -> TokenStats:
        """The statistics whose counts stand in the order of ROWS."""
        df, cf, squares, df2 = rows
        return cls(documents, df, cf, squares, df2, source, identity)


def _facts(stats: TokenStats) -> dict[str, Json]:
    seen = int((stats.cf > 0).sum())
    return {
        "source": stats.source, "documents": stats.documents, "tokens": stats.tokens, "vocabulary": stats.vocabulary,
        "seen": seen, "sha256": stats.digest,
    }  # fmt: skip


def _parts(stats: TokenStats) -> list[dict[str, Json]]:
    return list(stats.identity.get("parts", [dict(stats.identity) or {"source": stats.source, "sha256": stats.digest}]))


def _padded(row: Ints, size: int) -> Ints:
    return np.pad(row, (0, size - len(row)))


def _bm25_idf(stats: TokenStats, s: float) -> Vector:
    return np.asarray(np.log1p((stats.documents - stats.df + s) / (stats.df + s)))


@np.errstate(over="ignore", invalid="ignore")  # of counts that nobody counted
def _ridf(stats: TokenStats, _: float) -> Vector:
    poisson = -np.expm1(-stats.cf / stats.documents)
    return np.asarray(np.log2(poisson) - np.log2(stats.df / stats.documents))


_FORMULAS: Mapping[str, Callable[[TokenStats, float], Any]] = {
    "log_icf": lambda found, s: np.log(found.tokens + s * found.vocabulary) - np.log(found.cf + s),
    "log_idf": lambda found, s: np.log(found.documents + 1) - np.log(found.df + s),
    "bm25_idf": _bm25_idf,
    "mp_idf": lambda found, _: np.log(found.documents / (found.df + 1)),
    "mp_icf": lambda found, _: np.log(found.tokens / (found.cf + 1)),
    "inverse_frequency": lambda found, _: found.documents / (found.df + 1),
    "inverse_occurrences": lambda found, _: found.tokens / (found.cf + 1),
    "burstiness": lambda found, _: np.log(found.cf / found.df),
    "adapt": lambda found, s: np.log(found.df2 + s) - np.log(found.df - found.df2 + s),
    "ridf": _ridf,
    # mean = cf / N and Var = Σtf² / N − mean², so their ratio is:
    "vmr": lambda found, _: found.squares / found.cf - found.cf / found.documents,
}
