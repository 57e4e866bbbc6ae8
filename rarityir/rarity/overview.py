"""Statistics of tokens as a page one can read: how many there are, the commonest, and the bands of rarity."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

from rarityir.rarity.forms import Forms
from rarityir.rarity.labels import Labels
from rarityir.rarity.listing import columns, share, shown
from rarityir.rarity.stats import TokenStats
from rarityir.types import Json

LABELS = ("stop_word", "punctuation", "digit", "fragment")
EXAMPLES = 4  # tokens shown of a band


@dataclass(frozen=True, eq=False)
class Overview:
    """What `rarityir rarity stats` says of some statistics; `facts` are JSON."""

    facts: dict[str, Json]

    @classmethod
    def of(cls, stats: TokenStats, forms: Forms, top: int = 20) -> Overview:
        """Returns the overview of statistics, with the `top` commonest tokens by df, by cf where there are no documents."""
        by = "df" if stats.documents else "cf"
        counts_V = stats.df if stats.documents else stats.cf
        seen = int((stats.cf > 0).sum())
        order = np.lexsort((np.arange(stats.vocabulary), -stats.cf, -counts_V))[: min(top, seen)]
        facts: dict[str, Any] = {
            "source": stats.source, "documents": stats.documents, "tokens": stats.tokens, "vocabulary": stats.vocabulary,
            "seen": seen, "unseen": stats.vocabulary - seen, "sha256": stats.digest, "by": by, "identity": dict(stats.identity),
            "top": [_token(stats, forms, int(i)) for i in order],
            "bands": _bands(stats, forms, counts_V),
            "labels": _labels(stats, forms),
        }  # fmt: skip
        return cls(facts)

    def text(self) -> str:
        """Returns the overview as lines for a terminal."""
        found = self.facts
        documents, mean = "", ""
        if found["documents"]:
            documents = f"{found['documents']:,} documents, "
            mean = f", {found['tokens'] / found['documents']:,.1f} a document"
        bands = [
            (_range(b["from"], b["to"]), f"{b['types']:,}", share(b["of_types"]), share(b["of_tokens"]), "  ".join(b["such_as"]))
            for b in found["bands"]
        ]
        labels = [
            (name.replace("_", " "), f"{x['types']:,}", share(x["of_types"]), share(x["of_tokens"]))
            for name, x in found["labels"].items()
        ]
        lines = [
            found["source"],
            f"{documents}{found['tokens']:,} tokens{mean}",
            f"{found['seen']:,} of {found['vocabulary']:,} ids seen, {found['unseen']:,} not",
            "",
            f"commonest by {found['by']}",
            *columns(*_top_table(found["top"], documents=bool(found["documents"]))),
            "",
            f"bands by {found['by']}, rarest first",
            *columns((found["by"], "types", "of types", "of tokens", "such as"), bands, words=(0, 4)),
            "",
            *columns(("label", "types", "of types", "of tokens"), labels),
        ]
        return "\n".join(lines)


def _token(stats: TokenStats, forms: Forms, i: int) -> dict[str, Json]:
    found: dict[str, Json] = {"id": i, "token": shown(forms.texts[i], forms.pieces[i]), "cf": int(stats.cf[i])}
    if stats.documents:
        df, cf = int(stats.df[i]), int(stats.cf[i])
        found |= {"df": df, "of_documents": df / stats.documents, "tf": cf / df}
        found["log_idf"] = float(np.log((stats.documents + 1) / (df + 0.5)))
    return found | {"of_tokens": float(stats.cf[i] / stats.tokens)}


def _top_table(rows: list[dict[str, Json]], *, documents: bool) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    if not documents:
        return ("token", "id", "cf", "of tokens"), [
            (r["token"], str(r["id"]), f"{r['cf']:,}", share(r["of_tokens"])) for r in rows
        ]
    heads = ("token", "id", "df", "of documents", "cf", "of tokens", "mean tf", "log_idf")
    return heads, [
        (r["token"], str(r["id"]), f"{r['df']:,}", share(r["of_documents"]), f"{r['cf']:,}", share(r["of_tokens"]),
         f"{r['tf']:.2f}", f"{r['log_idf']:.3f}")
        for r in rows
    ]  # fmt: skip


def _bands(stats: TokenStats, forms: Forms, counts_V: Any) -> list[dict[str, Json]]:
    """Tokens by powers of two of their count; those that never occur, and those that do once, are bands of their own."""
    found = []
    edges = [0, *(2**n for n in range(int(counts_V.max()).bit_length() + 1))]
    for low, high in itertools.pairwise(edges):
        inside = np.flatnonzero((counts_V >= low) & (counts_V < high))
        if len(inside):
            spread = inside[np.linspace(0, len(inside) - 1, min(EXAMPLES, len(inside))).astype(int)]
            found.append({
                "from": low, "to": high - 1, "types": len(inside), "of_types": len(inside) / stats.vocabulary,
                "of_tokens": float(stats.cf[inside].sum() / max(stats.tokens, 1)),
                "such_as": [shown(forms.texts[i], forms.pieces[i]) for i in spread],
            })  # fmt: skip
    return found


def _labels(stats: TokenStats, forms: Forms) -> dict[str, Json]:
    labels = Labels.of(forms)
    found = {}
    for name in LABELS:
        has = getattr(labels, name)
        of_tokens = float(stats.cf[has].sum() / max(stats.tokens, 1))
        found[name] = {"types": int(has.sum()), "of_types": float(has.mean()), "of_tokens": of_tokens}
    return found


def _range(low: int, high: int) -> str:
    return f"{low:,}" if low == high else f"{low:,}–{high:,}"
