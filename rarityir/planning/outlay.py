"""What building and searching one index takes: seconds, and bytes on disk and in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from rarityir.indexes.approximate import Kind
from rarityir.indexes.dense import EXACT
from rarityir.indexes.offset import moved
from rarityir.planning import calibration, sizes
from rarityir.planning.rates import Rates
from rarityir.rarity.sources import NEED
from rarityir.settings import ImpactSettings
from rarityir.systems import Part
from rarityir.types import Encoder

LUCENE = 5e-9  # seconds a query and document; assumed, 44 ms a query over MS MARCO's passages
POSTINGS = 3e7  # postings a second that a query's tokens meet, if every token had as many; assumed
JAVA = 512 << 20  # bytes that Lucene's heap may grow to
CHARACTERS = 4  # bytes of text that a token is assumed to have; seven of ten are a document's first of their kind
QUERY = 10  # tokens that a query is assumed to have where its text is not here


class Made(NamedTuple):
    """Seconds of building an index and of searching it, its bytes on disk and in memory at most, and where they come from."""

    build: float
    search: float
    disk: int
    memory: int
    basis: str


@dataclass(frozen=True)
class Outlay:
    """Prices indexes over `count` documents, for `topics` queries answered `cutoff` deep; times only where `timed`."""

    rates: Rates
    encoder: Encoder
    count: int
    topics: int
    cutoff: int
    timed: bool
    reading: float  # seconds in which the whole collection is read once

    def text(self, count: int) -> Made:
        """Lucene: its index, and the texts it is built from, which are there meanwhile."""
        tried, topics = self.rates.lucene, self.topics
        basis = f"{tried.bytes_each:,.0f} bytes and {1e3 * tried.each:.2f} ms a document, {tried.basis}; with the texts meanwhile"
        basis += "; searching larger ones assumed"
        disk = round((tried.bytes_each + self.rates.text) * count)
        search = topics * (tried.query + LUCENE * count)
        return Made(tried.before + tried.each * count + self.reading, search, disk, JAVA, basis)

    def tokens(self, part: Part, kind: Any) -> Made:
        """BM25 over the encoder's tokens, which are cut anew; and the IDF, where a probe is fitted for it."""
        vocabulary, settings = len(self.encoder.tokens()), kind.arguments(part.arg)
        each = 0.7 * sizes.FREQUENCY * self.rates.text / CHARACTERS if not self.timed else self.rates.tokens(kind).bytes_each
        held = sizes.frequencies(each, self.count, vocabulary)
        fitted = settings.idf in NEED and settings.idf != "transfer"
        basis = f"{each:,.0f} bytes a document"
        if not self.timed:
            return Made(0.0, 0.0, *held, f"{basis}, assumed")
        tried, width = self.rates.tokens(kind), self.encoder.dim
        fit = (12 * vocabulary * width**2 + 150 * width**3) / self.rates.multiplying if fitted else 0.0
        search = fit + self.topics * tried.query * self.count
        basis += f" and {1e3 * tried.each:.2f} ms, {tried.basis}{'; with the fit of a probe' if fitted else ''}"
        return Made(tried.before + tried.each * self.count + self.reading, search, *held, basis)

    def vectors(self, part: Part, kind: Any, width: int, *, known: bool) -> Made:
        """A dense index of the width that its filters leave."""
        topics, told = self.topics, "" if known else "at most "
        arg, _ = moved(part.arg)  # an offset costs nothing to speak of
        shape = None if arg in EXACT else Kind.parse(arg)
        held = sizes.approximate(shape, self.count, width) if shape else sizes.exact(self.count, width, topics, self.cutoff)
        told += f"{width} dimensions; "
        if part.name != "dense":  # an engine, which is counted to hold all it has
            held = sizes.Size(held.disk, held.memory + held.disk)
            told += f"held by {part.name.partition(':')[0]}"
        else:
            told += "in memory, its vectors on disk meanwhile" if shape else "read from disk"
        if not self.timed:
            return Made(0.0, 0.0, *held, told)
        if shape and not shape.links:
            build, search = (n / self.rates.multiplying for n in sizes.operations(shape, self.count, width, topics))
            return Made(build, search, *held, f"{told}; time by its operations")
        tried = self.rates.dense(kind, arg, width)
        # A graph's paths grow with the logarithm of its size, and a search reads no more than those.
        more = sizes.deeper(self.count, tried.documents) if shape else 1.0
        searched = topics * tried.query * (tried.documents * more if shape else self.count)
        return Made(tried.each * more * self.count, searched, *held, f"{told}, {tried.basis}")

    def impacts(self, part: Part, kind: Any) -> Made:
        """Postings, and the reading of embeddings as tokens; `lightretriever` reads documents' states itself."""
        settings: ImpactSettings = kind.settings(part.arg)
        vocabulary, dim = len(self.encoder.tokens()), self.encoder.dim
        held = sizes.postings(settings, self.count, vocabulary, dim, whole=part.name != "sparse")
        basis = f"at most {settings.keep} postings of about {sizes.POSTING} bytes a document"
        if not self.timed:
            return Made(0.0, 0.0, *held, basis)
        if settings.style == "lightretriever":
            rate, mean = self.rates.encoding(self.count), self.rates.lengths.mean
            alone = rate.each / calibration.gpus(self.encoder, self.count)  # states are read in one process
            each = mean / alone + mean * vocabulary * dim / self.rates.multiplying
        else:
            each = self.rates.lens(kind, part.arg, self.count)
        told = self.rates.measured(kind)
        met = self.topics * QUERY * settings.keep * self.count / max(1, vocabulary)
        return Made(
            each * self.count, met / POSTINGS, *held, f"{basis}; {1e3 * each:.2f} ms a document, {told}; searching assumed"
        )
