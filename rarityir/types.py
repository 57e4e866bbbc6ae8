"""The nouns every module shares, and the errors a user can put right.

Array names end in their shape: B batch, Q queries, N documents, T tokens, D encoder width, K kept width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Ints = NDArray[np.int64]
else:  # annotations alone name these, and naming them must not cost the import of numpy
    Floats = Ints = Any

Json = Any  # what json.dumps takes
_LONGEST = 2000  # letters of a message that are shown
Topics = Mapping[str, str]  # query_id → query
Qrels = Mapping[str, Mapping[str, int]]  # query_id → doc_id → relevance


class Doc(NamedTuple):
    """A document as every system sees it: its id and one text (title + " " + text)."""

    doc_id: str
    text: str


@dataclass(frozen=True)
class Dataset:
    """A corpus with topics and qrels. `docs()` reads the documents anew, in row order, without holding them."""

    name: str
    corpus: str  # names the document set: datasets with the same corpus share everything under indexes/<corpus>
    identity: Mapping[str, Json]  # what makes the document set this one (id, count, digest)
    docs: Callable[[], Iterator[Doc]] = field(repr=False)
    topics: Topics = field(repr=False)
    qrels: Qrels = field(repr=False)
    docs_count: int | None = None
    drops_query_document: bool = False  # ArguAna-style: a query is itself a document and must not find itself
    subset: Mapping[str, Json] = field(default_factory=dict)  # of a judged sub-collection: tag, documents, of, judged


class Hits(NamedTuple):
    """Rows and scores of the documents found for each query, best first: two arrays (Q, at most cutoff); row −1 pads."""

    rows: Ints
    scores: Floats


class Impacts(NamedTuple):
    """A batch of sparse vectors in CSR form: `token_ids[indptr[i]:indptr[i+1]]` carry `values` of the same slice."""

    indptr: Ints
    token_ids: Ints
    values: Floats
    vocabulary: int


@dataclass(frozen=True)
class Scores:
    """One system's measures by topic: `values[measure][i]` belongs to `query_ids[i]`."""

    system: str
    query_ids: Sequence[str]
    values: Mapping[str, NDArray[np.float64]]

    def __repr__(self) -> str:
        means = ", ".join(f"{measure} {self.mean(measure):.4f}" for measure in self.values)
        return f"Scores({self.system!r}, {len(self.query_ids)} topics: {means})"

    def mean(self, measure: str) -> float:
        """Returns the measure's mean over topics."""
        return float(self.values[measure].mean())


class Encoder(Protocol):
    """Turns text into raw embeddings: pooled in float32, after the final norm, not normalised."""

    @property
    def name(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def dim(self) -> int: ...

    def identity(self) -> dict[str, Json]: ...
    def encode_document(self, texts: Sequence[str]) -> Floats: ...
    def encode_query(self, texts: Sequence[str]) -> Floats: ...
    def unembedding(self) -> Floats: ...
    def unembedding_bias(self) -> Floats | None: ...
    def tokens(self) -> Sequence[str | None]: ...
    def tokenize(self, texts: Sequence[str]) -> list[list[int]]: ...


class Filter(Protocol):
    """A linear map `(x - mean) @ basis_KD.T`; a value, so the same one serves every index and every other stack."""

    @property
    def name(self) -> str: ...
    @property
    def basis(self) -> Floats: ...
    @property
    def digest(self) -> str: ...
    def __call__(self, x_BD: Floats) -> Floats: ...


Takes = Literal["text", "embeddings", "impacts", "tokens"]


class Index(Protocol):
    """Stores documents in one form and searches them exactly. `takes` says which form it eats."""

    takes: Takes

    @classmethod
    def key(cls, arg: str) -> str: ...
    @classmethod
    def version(cls) -> str: ...
    @classmethod
    def build(cls, arg: str, blocks: Iterable[Any], folder: Path) -> dict[str, Json]: ...
    @classmethod
    def open(cls, arg: str, folder: Path) -> Index: ...
    def search(self, queries: Any, cutoff: int) -> Hits: ...


@runtime_checkable
class Approximates(Protocol):
    """What an index has beside where it may be approximate: the index its results are measured against, None if it is exact."""

    def exact(self, arg: str) -> str | None: ...


@runtime_checkable
class Refuses(Protocol):
    """What an index has beside that cannot hold everything: the error of `build`, before documents are encoded."""

    def refuse(self, arg: str, documents: int, width: int) -> None: ...


@runtime_checkable
class Prepared(Protocol):
    """What an index has beside that may be there already: facts of one that was put into the folder, None if there is none.

    Some rows' texts, by which it is known to be of these documents, are read where they are asked for.
    """

    def ready(
        self, corpus: str, doc_ids: Sequence[str], probes: Callable[[], Mapping[int, str]], folder: Path
    ) -> dict[str, Json] | None: ...


class RarityError(Exception):
    """Something the user can put right; the message is one line: what is wrong, where, and what to do.

    What it tells of a file or a name may hold anything: controls are shown as escapes, and of a very long message the middle is
    left out.
    """

    def __str__(self) -> str:
        shown = (letter if letter.isprintable() else repr(letter)[1:-1] for letter in _middle_out(super().__str__()))
        return _middle_out("".join(shown))  # escapes are longer than what they stand for


def _middle_out(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]} … {text[-_LONGEST // 2 :]}"


class UnknownName(RarityError):
    """A name that no table, registry or folder knows."""


class BadInput(RarityError):
    """A file or text that is not what its format promises."""


class StaleArtefact(RarityError):
    """A stored artefact that was built from something else than what is asked for now."""


class MissingExtra(RarityError):
    """An optional package that is not installed."""


class Busy(RarityError):
    """Another process is building the same artefact."""
