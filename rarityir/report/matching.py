"""What is seen of texts read as tokens, and of a query matched with a document: the values that pages and terminals show."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass

from rarityir.types import Json


@dataclass(frozen=True)
class Word:
    """A canonical token that an embedding writes, and what it weighs.

    `own` says that the text itself has it, `new` that the column before lacks it, `gone` that the next one does. Where logits are
    split, `logit` is the sum of `first`, what the documents' first component writes of it, and `rest`.
    """

    token: str
    weight: float
    own: bool
    new: bool = False
    gone: bool = False
    logit: float | None = None
    first: float | None = None

    @property
    def rest(self) -> float | None:
        """What all but the first component writes, the head's bias included; None where logits are not split."""
        return None if self.logit is None or self.first is None else self.logit - self.first


@dataclass(frozen=True)
class Column:
    """An embedding's best tokens, best first, under the name of how it was read: `raw`, `edge:2`, `edge:2, instructed`."""

    label: str
    words: tuple[Word, ...]


@dataclass(frozen=True)
class Reading:
    """A text read in one or more ways, each compared with the one before it."""

    text: str
    columns: tuple[Column, ...]

    def json(self) -> Json:
        """Returns the reading as JSON values."""
        return {
            "text": self.text,
            "columns": [{"label": column.label, "words": [_word(word) for word in column.words]} for column in self.columns],
        }


@dataclass(frozen=True)
class Term:
    """A token of a query or of a document: what it weighs in the query, and its impact in the document as it is stored."""

    token: str
    weight: float
    impact: float
    in_query: bool  # whether the query's text has it
    in_document: bool  # whether the document's text has it

    @property
    def product(self) -> float:
        """What it adds to the score."""
        return self.weight * self.impact


@dataclass(frozen=True)
class Score:
    """A sparse score as the engine gives it, and the tokens it is the sum of, largest first.

    `missing` are the query's tokens that the document lacks, `unasked` the document's heaviest that the query lacks.
    """

    total: float
    terms: tuple[Term, ...]
    missing: tuple[Term, ...]
    unasked: tuple[Term, ...]


@dataclass(frozen=True)
class Pair:
    """A query and a document as one encoder has them: cosines, and the tokens that both write.

    Of each reading the first column is raw and the last is read through the filter; without a filter they are one.
    """

    encoder: str
    filter: str
    cosine_raw: float
    cosine: float
    query: Reading
    document: Reading

    @property
    def shared(self) -> tuple[str, ...]:
        """The tokens that both write through the filter, in the query's order."""
        return _shared(self.query.columns[-1], self.document.columns[-1])

    @property
    def jaccard_raw(self) -> float:
        """The share of the tokens written by either that both write, without the filter; 0 where nothing is written."""
        return _jaccard(self.query.columns[0], self.document.columns[0])

    @property
    def jaccard(self) -> float:
        """The same through the filter."""
        return _jaccard(self.query.columns[-1], self.document.columns[-1])

    def json(self) -> Json:
        """Returns the pair as JSON values."""
        return {
            "encoder": self.encoder,
            "filter": self.filter,
            "cosine_raw": self.cosine_raw,
            "cosine": self.cosine,
            "jaccard_raw": self.jaccard_raw,
            "jaccard": self.jaccard,
            "shared": list(self.shared),
            "query": self.query.json(),
            "document": self.document.json(),
        }


@dataclass(frozen=True)
class Instructed:
    """The query with an instruction before it: its reading without and with, its cosine with itself and the document.

    `same` is the cosine of the query's two embeddings, through the filter; `score` is None where no index is sparse.
    """

    instruction: str
    same: float
    cosine_raw: float
    cosine: float
    score: float | None
    query: Reading

    def json(self) -> Json:
        """Returns the change as JSON values."""
        return {**dataclasses.asdict(self), "query": self.query.json()}


@dataclass(frozen=True)
class Match:
    """Why a system scores a document for a query as it does.

    Ids, dataset and rank are there where the two come from a dataset; `rank` is None where the document is not among the system's
    best `cutoff`.
    """

    query: str
    document: str
    system: str
    k: int
    pair: Pair
    score: Score | None = None
    against: Pair | None = None
    instructed: Instructed | None = None
    dataset: str = ""
    query_id: str = ""
    doc_id: str = ""
    rank: int | None = None
    cutoff: int = 1
    documents: int = 1

    @property
    def only(self) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
        """Shared tokens by both encoders, by this one alone, and by the other alone."""
        ours, theirs = self.pair.shared, self.against.shared if self.against else ()
        return (
            tuple(token for token in ours if token in theirs),
            tuple(token for token in ours if token not in theirs),
            tuple(token for token in theirs if token not in ours),
        )

    def json(self) -> Json:
        """Returns the whole as JSON values."""
        found: dict[str, Json] = (
            {"dataset": self.dataset, "query_id": self.query_id, "doc_id": self.doc_id} if self.dataset else {}
        )
        found |= {"query": self.query, "document": self.document, "system": self.system, "k": self.k}
        if self.dataset:
            found |= {"rank": self.rank, "cutoff": self.cutoff, "documents": self.documents}
        found |= {"score": _score(self.score) if self.score else None, "pair": self.pair.json()}
        if self.against:
            both, ours, theirs = map(list, self.only)
            found["against"] = {**self.against.json(), "shared_by_both": both, "shared_here": ours, "shared_there": theirs}
        if self.instructed:
            found["instructed"] = self.instructed.json()
        return found


def visible(text: str) -> str:
    """Returns a text on one line, its white space as one space, with everything that is not printed written as an escape."""
    return escaped(" ".join(text.split()))


def escaped(line: str) -> str:
    """Returns a line in which characters that are not printed are escapes.

    A terminal obeys control characters, and marks of direction turn what stands beside them round: neither may act here.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


def as_json(facts: Json) -> str:
    """Returns JSON in which characters that are not printed are escaped, so that it may be shown on a terminal."""
    return json_shown(json.dumps(facts, indent=1, ensure_ascii=False, allow_nan=False))


def json_shown(text: str) -> str:
    """Returns a JSON text in which characters that are not printed are JSON's escapes."""
    return "".join(c if c == "\n" or c.isprintable() else json.dumps(c)[1:-1] for c in text)


def lines_shown(text: str) -> str:
    """Returns lines in which characters that are not printed, but for tabs, are escapes."""
    return "\n".join("\t".join(map(escaped, line.split("\t"))) for line in text.split("\n"))


def _word(word: Word) -> Json:
    found = dataclasses.asdict(word)
    if word.logit is None:
        del found["logit"], found["first"]
        return found
    return {**found, "rest": word.rest}


def _score(score: Score) -> Json:
    kinds = {"terms": score.terms, "missing": score.missing, "unasked": score.unasked}
    return {
        "total": score.total,
        **{name: [{**dataclasses.asdict(term), "product": term.product} for term in terms] for name, terms in kinds.items()},
    }


def _shared(one: Column, other: Column) -> tuple[str, ...]:
    there = {word.token for word in other.words}
    return tuple(word.token for word in one.words if word.token in there)


def _jaccard(one: Column, other: Column) -> float:
    either = {word.token for word in (*one.words, *other.words)}
    return len(_shared(one, other)) / len(either) if either else 0.0
