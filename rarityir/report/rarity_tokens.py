"""Tokens as pictures: how often they are written, how they crowd in documents, how untrained they look; figures in rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rarityir.types import Ints

Vector = NDArray[np.float64]
Shown = tuple[list[str], list[list[str]]]  # heads and rows of a table; a head that begins with `#` stands over numbers

_COMMON = 100  # the commonest tokens whose share is said
_LEAST = 10  # tokens of a band that a sentence is about


@dataclass(frozen=True, eq=False)
class Ranks:
    """How often each of V tokens is written, `cf`, and in how many documents, `df`; both are drawn from the commonest on."""

    cf: Ints
    df: Ints | None = None
    name: str = "ranks"
    title: str = "How often tokens are written, commonest first"

    @property
    def seen(self) -> int:
        """How many tokens are written at all."""
        return int((self.cf > 0).sum())

    @property
    def sorted(self) -> tuple[Ints, Ints | None]:
        """`cf` and `df` of the tokens that are written, each from its largest on."""
        return -np.sort(-self.cf)[: self.seen], None if self.df is None else -np.sort(-self.df)[: self.seen]

    @property
    def zipf(self) -> Vector:
        """What each rank would have by Zipf's law, c / rank, of as many occurrences on as many tokens."""
        ranks = np.arange(1, self.seen + 1)
        return np.asarray(self.cf.sum() / (1 / ranks).sum() / ranks)

    @property
    def said(self) -> str:
        """What the picture shows."""
        counts, _ = self.sorted
        share, common = counts[:_COMMON].sum() / max(counts.sum(), 1), min(_COMMON, self.seen)
        unseen = len(self.cf) - self.seen
        never = f"{unseen:,} of {len(self.cf):,} never are" if unseen else "all are seen"
        once = int((self.cf == 1).sum())
        return f"The {common} commonest tokens are {share:.1%} of what is written; {once:,} are seen once, {never}."

    def table(self) -> Shown:
        """Returns the figures at ranks 1, 2, 5, 10, …"""
        counts, documents = self.sorted
        total, zipf = np.cumsum(counts), self.zipf
        ranks = sorted({step * 10**n for n in range(len(str(self.seen))) for step in (1, 2, 5)} | {self.seen})
        rows = [
            [
                f"{r:,}", f"{counts[r - 1]:,}", *([] if documents is None else [f"{documents[r - 1]:,}"]), f"{zipf[r - 1]:,.1f}",
                f"{100 * total[r - 1] / total[-1]:.1f} %",
            ]
            for r in ranks
            if 0 < r <= self.seen
        ]  # fmt: skip
        return ["rank", "#cf", *([] if documents is None else ["#df"]), "#Zipf's cf", "#of tokens, so far"], rows


@dataclass(frozen=True, eq=False)
class Bursts:
    """In how many of N `documents` each token is, `df` (V,), and how often it is written in them, `cf` (V,)."""

    df: Ints
    cf: Ints
    documents: int
    name: str = "bursts"
    title: str = "How often tokens are written, against how many documents have them"

    def poisson(self, df: Vector) -> Vector:
        """Returns how often a token is written that is in `df` documents and fell into them at random: −N ln(1 − df / N).

        Infinite where every document has it.
        """
        with np.errstate(divide="ignore"):
            return np.asarray(-self.documents * np.log1p(-np.asarray(df, np.float64) / self.documents))

    def bands(self) -> tuple[Ints, Ints, Vector, Vector]:
        """Returns bands of df by powers of two: edges (B + 1,), tokens (B,), quantiles of cf / df (B, 3), chance's median (B,).

        The quantiles are a tenth, a half and nine tenths. Bands without tokens have NaN.
        """
        edges = 2 ** np.arange(int(self.df.max(initial=1)).bit_length() + 1)
        found, chance = np.full((len(edges) - 1, 3), np.nan), np.full(len(edges) - 1, np.nan)
        tokens = np.zeros(len(edges) - 1, np.int64)
        for b, (low, high) in enumerate(pairwise(edges)):
            inside = (self.df >= low) & (self.df < high)
            tokens[b] = inside.sum()
            if inside.any():
                df = self.df[inside].astype(np.float64)
                found[b] = np.quantile(self.cf[inside] / df, (0.1, 0.5, 0.9))
                chance[b] = np.median(self.poisson(df) / df)
        return edges, tokens, found, chance

    @property
    def said(self) -> str:
        """What the picture shows."""
        edges, tokens, found, chance = self.bands()
        more = np.where((tokens >= min(_LEAST, tokens.max())) & np.isfinite(chance), found[:, 1] / chance, -np.inf)
        b = int(np.argmax(more))
        low, high = int(edges[b]), min(int(edges[b + 1]) - 1, self.documents)
        where = f"{low:,} to {high:,}" if high > low else f"{low:,}"
        return (
            f"Tokens in {where} of {self.documents:,} documents are written {found[b, 1]:.2f} times in each on the median; "
            f"had they fallen at random it would be {chance[b]:.2f}."
        )

    def table(self) -> Shown:
        """Returns the bands."""
        edges, tokens, found, chance = self.bands()
        rows = [
            [
                f"{a:,} to {min(b - 1, self.documents):,}" if b > a + 1 else f"{a:,}",
                f"{tokens[i]:,}",
                *map(_two, found[i]),
                _two(float(chance[i])),
            ]
            for i, (a, b) in enumerate(pairwise(edges))
        ]
        return ["df", "#tokens", "#cf / df, a tenth", "#median", "#nine tenths", "#at random"], rows


@dataclass(frozen=True, eq=False)
class Suspicion:
    """How untrained each of V tokens looks, `score`, against how often it is written, `cf`, where that is known.

    `flagged` (V,) count as under-trained, `unused` (V,) are the rows they are compared with; `threshold` is
    the score from which on.
    """

    score: Vector
    flagged: NDArray[np.bool_]
    unused: NDArray[np.bool_]
    threshold: float
    cf: Ints | None = None
    name: str = "undertrained"
    title: str = "How untrained rows look, by how often their tokens are written"

    @property
    def groups(self) -> dict[str, NDArray[np.bool_]]:
        """Tokens (V,) by what is said of them."""
        return {"usual": ~self.flagged & ~self.unused, "flagged": self.flagged, "reference rows": self.unused}

    @property
    def said(self) -> str:
        """What the picture shows."""
        middle = float(np.median(self.score[self.unused])) if self.unused.any() else float("nan")
        never = "" if self.cf is None else f", {int((self.flagged & (self.cf == 0)).sum()):,} of them never seen"
        high = int((self.groups["usual"] & (self.score >= self.threshold)).sum())
        other = f" {high:,} more score as high, but do not point where reference rows do." if high else ""
        return (
            f"{int(self.flagged.sum()):,} tokens are flagged{never}. Reference rows, which no text trains, score {_two(middle)} "
            f"on the median, and a token is suspect from {_two(self.threshold)} on.{other}"
        )

    def table(self) -> Shown:
        """Returns each group's scores."""
        rows = []
        for name, inside in self.groups.items():
            found = np.quantile(self.score[inside], (0.1, 0.5, 0.9)) if inside.any() else np.full(3, np.nan)
            seen = [] if self.cf is None else [f"{int((inside & (self.cf > 0)).sum()):,}"]
            rows.append([name, f"{int(inside.sum()):,}", *seen, *map(_two, found)])
        return ["tokens", "#all", *([] if self.cf is None else ["#seen"]), "#score, a tenth", "#median", "#nine tenths"], rows


@dataclass(frozen=True, eq=False)
class Forest:
    """Values (P, R) of R rows in P panels side by side, NaN where there is none, with `low` and `high` where they have intervals.

    A row is a name and a kind; kinds differ by shape. What is not `sure` (P, R) is hollow, which `told` explains.
    `lines` are places that values are held against. `sentence` says what the picture shows.
    """

    panels: tuple[str, ...]
    rows: tuple[tuple[str, str], ...]
    values: Vector
    sure: NDArray[np.bool_]
    axis: str
    told: str
    sentence: str
    low: Vector | None = None
    high: Vector | None = None
    lines: tuple[float, ...] = ()
    name: str = "forest"
    title: str = "Side by side"

    @property
    def said(self) -> str:
        """What the picture shows."""
        return self.sentence

    def table(self) -> Shown:
        """Returns every value, with its interval; a hollow one is in brackets."""
        rows = [
            [" ".join(filter(None, row)), *(self._cell(p, r) for p in range(len(self.panels)))] for r, row in enumerate(self.rows)
        ]
        return ["", *(f"#{panel}" for panel in self.panels)], rows

    def _cell(self, p: int, r: int) -> str:
        if np.isnan(self.values[p, r]):
            return "–"
        text = _figure(float(self.values[p, r]))
        if self.low is not None and self.high is not None and np.isfinite(self.low[p, r]):
            text += f" ({_figure(float(self.low[p, r]))} to {_figure(float(self.high[p, r]))})"
        return text if self.sure[p, r] else f"[{text}]"


TokenPart = Ranks | Bursts | Suspicion | Forest


@dataclass(frozen=True)
class Listing:
    """A table that stands on a page as it is, under a note, over a legend; a head that begins with `#` stands over numbers."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str
    legend: str = ""


def _two(value: float) -> str:
    return f"{value:.2f}".replace("-", "−") if np.isfinite(value) else "–"


def _figure(value: float) -> str:
    return f"{value:.3f}".replace("-", "−")
