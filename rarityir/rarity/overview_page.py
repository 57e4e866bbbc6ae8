"""Statistics of tokens as pictures and as one page: counts by rank, how tokens crowd in documents, the tokens themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from rarityir import store
from rarityir.rarity.forms import Forms
from rarityir.rarity.listing import share, shown
from rarityir.rarity.overview import Overview
from rarityir.rarity.stats import TokenStats
from rarityir.report import rarity_page
from rarityir.report.rarity import Part
from rarityir.report.rarity_picture import pictures
from rarityir.report.rarity_tokens import Bursts, Listing, Ranks

_LEAST = 5  # documents of a token that is called bursty
_TOP = 20


def write(stats: TokenStats, forms: Forms, overview: Overview, folder: Path) -> list[Path]:
    """Draws statistics into a folder as SVG and PNG, and all of them as one page, `stats.html`; returns the files."""
    drawn, page = parts(stats), folder / "stats.html"
    found = overview.facts
    documents = f"{found['documents']:,} documents, " if found["documents"] else "Words, without documents: "
    seen = f"{found['seen']:,} of {found['vocabulary']:,} tokens seen, {found['unseen']:,} never."
    notes = [f"{found['source']}.", f"{documents}{found['tokens']:,} tokens written. {seen}"]
    tables = [_commonest(found), *_burstiest(stats, forms), _bands(found)]
    store.write_text(page, rarity_page.render(drawn, "How often tokens are written", notes, tables))
    return [*pictures(drawn, folder), page]


def parts(stats: TokenStats) -> list[Part]:
    """Returns the pictures of statistics; where words were counted, that of ranks alone, and none where nothing was."""
    if not stats.tokens:
        return []
    if not stats.documents:
        return [Ranks(stats.cf)]
    return [Ranks(stats.cf, stats.df), Bursts(stats.df, stats.cf, stats.documents)]


def _commonest(found: dict[str, Any]) -> Listing:
    heads = ["token", "#id", "#cf", "#of tokens"]
    rows = [[row["token"], str(row["id"]), f"{row['cf']:,}", share(row["of_tokens"])] for row in found["top"]]
    if found["documents"]:
        heads += ["#df", "#of documents", "#cf / df", "#log_idf"]
        for cells, row in zip(rows, found["top"], strict=True):
            cells += [f"{row['df']:,}", share(row["of_documents"]), f"{row['tf']:.2f}", f"{row['log_idf']:.3f}"]
    return Listing("The commonest tokens", heads, rows, f"By {found['by']}")


def _burstiest(stats: TokenStats, forms: Forms) -> list[Listing]:
    """The tokens written most often in the documents that have them, beside what chance would have; of several documents each."""
    known = np.flatnonzero(stats.df >= _LEAST) if stats.documents else np.zeros(0, np.int64)
    if not len(known):
        return []
    random = Bursts(stats.df, stats.cf, stats.documents).poisson(stats.df[known].astype(np.float64))
    first = np.argsort(-stats.cf[known] / random, kind="stable")[:_TOP]
    order, chance = known[first], random[first] / stats.df[known[first]]
    rows = [
        [
            shown(forms.texts[i], forms.pieces[i]), str(i), f"{stats.df[i]:,}", f"{stats.cf[i]:,}",
            f"{stats.cf[i] / stats.df[i]:.2f}", f"{once:.2f}" if np.isfinite(once) else "–",
        ]
        for i, once in zip(order.tolist(), chance.tolist(), strict=True)
    ]  # fmt: skip
    heads = ["token", "#id", "#df", "#cf", "#cf / df", "#at random"]
    note = f"Written most often beside tokens that fell into as many documents at random; of tokens in {_LEAST} or more"
    return [Listing("The burstiest tokens", heads, rows, note)]


def _bands(found: dict[str, Any]) -> Listing:
    rows = []
    for band in found["bands"]:
        ends = f"{band['from']:,}" if band["from"] == band["to"] else f"{band['from']:,} to {band['to']:,}"
        rows.append([ends, f"{band['types']:,}", share(band["of_types"]), share(band["of_tokens"]), "  ".join(band["such_as"])])
    heads = [found["by"], "#tokens", "#of the vocabulary", "#of what is written", "such as"]
    return Listing("From rare to common", heads, rows, f"Bands of {found['by']} by powers of two")
