"""Under-trained tokens as a picture and as one page that says what of each can be checked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rarityir import store
from rarityir.rarity.listing import share
from rarityir.rarity.repeating import BOUND
from rarityir.rarity.suspects import WHO, Suspects
from rarityir.report import rarity_page
from rarityir.report.rarity_picture import pictures
from rarityir.report.rarity_tokens import Listing, Suspicion
from rarityir.types import Json

_KINDS = (
    "ok: read back as this token. unreachable: its text is read as other tokens. partial: part of a character. invalid: a byte "
    "that no text has. byte: any other byte. special: a special token. padding: no token at all."
)


def write(found: Suspects, folder: Path) -> list[Path]:
    """Draws what was found into a folder: as JSON, as SVG and PNG, and as one page, `undertrained.html`; returns the files."""
    drawn, page = suspicion(found), folder / "undertrained.html"
    facts = found.facts
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in facts["flagged_kinds"].items()) or "none"
    references = ", ".join(f"{count:,} {kind}" for kind, count in facts["references"]["kinds"].items())
    matrices = "one matrix" if facts["tied"] else "two matrices"
    notes = [
        f"{facts['rows']:,} rows, input and output {matrices}. {facts['flagged_count']:,} flagged: {kinds}.",
        f"Compared with rows that no text trains: {references}. Frequencies: {facts['frequencies'] or 'not given'}.",
    ]
    title = f"Tokens of {facts['model']} whose rows look untrained"
    store.write_json(folder / "undertrained.json", facts)
    store.write_text(page, rarity_page.render([drawn], title, notes, tables(facts)))
    return [folder / "undertrained.json", *pictures([drawn], folder), page]


def suspicion(found: Suspects) -> Suspicion:
    """Returns the picture of scores against frequency."""
    unused = np.zeros(len(found.scored.score), bool)
    unused[found.scored.unused] = True
    return Suspicion(found.scored.score, found.scored.flagged, unused, found.scored.threshold, found.cf)


def tables(facts: dict[str, Json]) -> list[Listing]:
    """Returns the most suspect tokens, what they touch, what the model said, short rows, and the indicators."""
    families, title = facts["families"], "The most suspect tokens"
    suspect = _tokens(
        title, facts["most"], families, "Highest scores first, reference rows left out", f"{_KINDS} {_columns(facts)}"
    )
    found = [suspect, *_touched(facts["touched"]), *_asked(facts)]
    if facts["short"]:
        note = "Frequent, so trained: a short row alone is no sign."
        found.append(_tokens("Frequent tokens with the shortest rows", facts["short"], families, note))
    rows = [[name, *(_number(medians[who]) for who in WHO)] for name, medians in facts["indicators"].items()]
    return [
        *found,
        Listing(
            "Medians of the indicators", ["indicator", *(f"#{who}" for who in WHO)], rows, "As measured, before they are judged"
        ),
    ]


def _columns(facts: dict[str, Json]) -> str:
    said = " said: the most probability the model gave it when asked to repeat it." if "asked" in facts else ""
    return f"{', '.join(facts['families'])}: the score's parts, in spreads from the usual; norm: the length of the row.{said}"


def _tokens(title: str, tokens: Sequence[dict[str, Any]], families: Sequence[str], note: str, legend: str = "") -> Listing:
    counted, asked = (any(key in token for token in tokens) for key in ("cf", "said"))
    heads = ["token", "#id", "kind", "#score", *(["#cf"] if counted else []), *(["#said"] if asked else [])]
    heads += [*(f"#{name}" for name in families), "#norm"]
    rows = [
        [
            t["token"], str(t["id"]), t["kind"], f"{t['score']:.2f}".replace("-", "−"), *([f"{t['cf']:,}"] if counted else []),
            *([_number(t.get("said"))] if asked else []), *(_number(t["parts"][name]) for name in families), f"{t['norm']:.3f}",
        ]
        for t in tokens
    ]  # fmt: skip
    return Listing(title, heads, rows, note, legend)


def _touched(touched: dict[str, Json]) -> list[Listing]:
    heads = ["texts", "#all", "#with a flagged token", "#share", "#flagged, of their tokens"]
    return [
        Listing(
            f"What flagged tokens touch in {name}",
            heads,
            [[what, f"{x['all']:,}", f"{x['touched']:,}", share(x["share"]), share(x["of_tokens"])] for what, x in some.items()],
            "How many have a flagged token, and how many of their tokens are flagged",
        )
        for name, some in touched.items()
    ]


def _asked(facts: dict[str, Json]) -> list[Listing]:
    if "asked" not in facts:
        return []
    heads = ["tokens", "#asked", f"#below {BOUND}", "#median probability"]
    rows = [[who, str(x["asked"]), str(x["never said"]), _number(x["median"])] for who, x in facts["asked"].items()]
    return [
        Listing(
            "What the model did when asked to repeat them", heads, rows, "Never more than this, however often they were shown"
        )
    ]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}".replace("-", "−")
